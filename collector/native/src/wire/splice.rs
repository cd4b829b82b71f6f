//! Edits to a request: what goes, what comes instead, and the lengths around it. All other bytes are copied.

use crate::wire::{push_varint, varint_size};

/// A length-delimited field that others stand in: a resource level or a scope level.
#[derive(Clone, Copy, Debug)]
pub struct Container {
    pub length_at: usize,
    pub body_at: usize,
    pub end: usize,
    /// Index of the container around this one; its own index where there is none.
    pub parent: usize,
    growth: isize,
    is_touched: bool,
}

impl Container {
    pub fn new(length_at: usize, body_at: usize, end: usize, parent: usize) -> Self {
        Container { length_at, body_at, end, parent, growth: 0, is_touched: false }
    }

    /// What stands in it becomes longer by so much.
    pub fn grow(&mut self, growth: isize) {
        self.growth += growth;
        self.is_touched = true;
    }

    fn new_length(&self) -> usize {
        (self.end - self.body_at).wrapping_add_signed(self.growth)
    }
}

/// `from..to` of the request is replaced by `insert` of the added bytes.
#[derive(Clone, Copy, Debug)]
pub struct Splice {
    pub from: usize,
    pub to: usize,
    pub insert: (usize, usize),
}

impl Splice {
    /// The length that stands at `from..to` becomes `length`, which is put behind `added`.
    pub fn length(from: usize, to: usize, length: usize, added: &mut Vec<u8>) -> Self {
        let start = added.len();
        push_varint(added, length as u64);
        Splice { from, to, insert: (start, added.len()) }
    }

    pub fn growth(&self) -> isize {
        (self.insert.1 - self.insert.0).cast_signed() - (self.to - self.from).cast_signed()
    }
}

/// The edits of one request, in the order of their places.
#[derive(Default)]
pub struct Plan {
    splices: Vec<Splice>,
    added: Vec<u8>,
}

/// A span that changes: fields at `removed` go, `appended` of the added bytes come behind the rest.
pub struct SpanEdit {
    pub length_at: usize,
    pub body_at: usize,
    pub end: usize,
    pub scope: usize,
    pub removed: (usize, usize),
    pub appended: (usize, usize),
}

impl Plan {
    /// Lays out `edits`, which are in the order of the request. `added` holds what they append, `removed` what goes.
    pub fn new(edits: &[SpanEdit], removed: &[(usize, usize)], added: Vec<u8>, containers: &mut [Container]) -> Self {
        let mut plan = Plan { splices: Vec::with_capacity(edits.len() * 2 + containers.len()), added };
        for edit in edits {
            let new_length = edit.new_length(removed);
            let old_size = edit.end - edit.length_at;
            let new_size = new_length + varint_size(new_length as u64);
            containers[edit.scope].grow(new_size.cast_signed() - old_size.cast_signed());
        }
        grow_parents(containers);
        let mut edits = edits.iter().peekable();
        for (index, container) in containers.iter().enumerate() {
            if container.is_touched {
                plan.length(container.length_at, container.body_at, container.new_length());
            }
            while let Some(edit) = edits.next_if(|edit| edit.scope == index) {
                plan.length(edit.length_at, edit.body_at, edit.new_length(removed));
                for &(from, to) in &removed[edit.removed.0..edit.removed.1] {
                    plan.splices.push(Splice { from, to, insert: (0, 0) });
                }
                plan.splices.push(Splice { from: edit.end, to: edit.end, insert: edit.appended });
            }
        }
        plan
    }

    /// Lays out `splices`, which are in any order; the containers around them know already how they grow.
    pub fn of(mut splices: Vec<Splice>, mut added: Vec<u8>, containers: &mut [Container]) -> Self {
        grow_parents(containers);
        for one in containers.iter().filter(|one| one.is_touched) {
            splices.push(Splice::length(one.length_at, one.body_at, one.new_length(), &mut added));
        }
        splices.sort_by_key(|one| one.from);
        Plan { splices, added }
    }

    fn length(&mut self, from: usize, to: usize, length: usize) {
        self.splices.push(Splice::length(from, to, length, &mut self.added));
    }

    /// Bytes of the edited request.
    pub fn size(&self, request: &[u8]) -> usize {
        let grown: usize = self.splices.iter().map(|one| one.insert.1 - one.insert.0).sum();
        let gone: usize = self.splices.iter().map(|one| one.to - one.from).sum();
        request.len() + grown - gone
    }

    /// Writes the edited request to `target`, which has [`Plan::size`] bytes.
    pub fn write(&self, request: &[u8], target: &mut [u8]) {
        let mut target = target;
        let mut copied = 0;
        for one in &self.splices {
            target = put(target, &request[copied..one.from]);
            target = put(target, &self.added[one.insert.0..one.insert.1]);
            copied = one.to;
        }
        put(target, &request[copied..]);
    }
}

/// Adds to each container how those in it grow. A container stands behind the one around it.
fn grow_parents(containers: &mut [Container]) {
    for index in (0..containers.len()).rev() {
        let one = containers[index];
        if one.is_touched && one.parent != index {
            let new_size = one.new_length() + varint_size(one.new_length() as u64);
            containers[one.parent].grow(new_size.cast_signed() - (one.end - one.length_at).cast_signed());
        }
    }
}

impl SpanEdit {
    fn new_length(&self, removed: &[(usize, usize)]) -> usize {
        let gone: usize = removed[self.removed.0..self.removed.1].iter().map(|(from, to)| to - from).sum();
        self.end - self.body_at + (self.appended.1 - self.appended.0) - gone
    }
}

fn put<'t>(target: &'t mut [u8], bytes: &[u8]) -> &'t mut [u8] {
    let (head, tail) = target.split_at_mut(bytes.len());
    head.copy_from_slice(bytes);
    tail
}
