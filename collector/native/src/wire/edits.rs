//! Edits anywhere in a request: what stands in the place of what, and the lengths of all that is around it.

use crate::wire::splice::{Container, Plan, Splice};

/// A length-delimited field in which something changes, such as a span.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub length_at: usize,
    pub body_at: usize,
    pub end: usize,
    /// Index of the container around it.
    pub container: usize,
}

/// Collects edits. Frames come in any order; within one, edits come in the order of their places.
#[derive(Default)]
pub struct Edits {
    /// What is put in; `replace` names parts of it.
    pub added: Vec<u8>,
    splices: Vec<Splice>,
    frames: Vec<(Frame, usize, usize)>,
    insertions: Vec<(usize, usize)>,
}

impl Edits {
    /// Where the next edits begin; see [`Edits::close`].
    pub fn mark(&self) -> usize {
        self.splices.len()
    }

    /// `insert`, a part of `added`, comes in the place of `from..to` of the request.
    pub fn replace(&mut self, from: usize, to: usize, insert: (usize, usize)) {
        self.splices.push(Splice { from, to, insert });
    }

    /// All edits since `mark` were in `frame`.
    pub fn close(&mut self, frame: Frame, mark: usize) {
        if self.splices.len() > mark {
            self.frames.push((frame, mark, self.splices.len()));
        }
    }

    /// `insert` comes at `at`, directly in the container of this index.
    pub fn insert(&mut self, at: usize, insert: (usize, usize), container: usize) {
        self.replace(at, at, insert);
        self.insertions.push((container, insert.1 - insert.0));
    }

    pub fn is_empty(&self) -> bool {
        self.splices.is_empty()
    }

    /// Lays them out.
    pub fn plan(mut self, containers: &mut [Container]) -> Plan {
        for (container, size) in self.insertions {
            containers[container].grow(size.cast_signed());
        }
        let mut lengths = Vec::with_capacity(self.frames.len());
        for (frame, from, to) in self.frames {
            let growth: isize = self.splices[from..to].iter().map(Splice::growth).sum();
            let length = (frame.end - frame.body_at).wrapping_add_signed(growth);
            let splice = Splice::length(frame.length_at, frame.body_at, length, &mut self.added);
            containers[frame.container].grow(growth + splice.growth());
            lengths.push(splice);
        }
        self.splices.append(&mut lengths);
        Plan::of(self.splices, self.added, containers)
    }
}
