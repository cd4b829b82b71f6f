//! Edits to fields inside fields: what is replaced, and every length around it. All other bytes are copied.

use crate::wire::{push_varint, Cursor};

struct Splice {
    from: usize,
    to: usize,
    insert: (usize, usize),
}

/// Edits in the order of their places.
#[derive(Default)]
pub struct Patch {
    splices: Vec<Splice>,
    added: Vec<u8>,
    growth: isize,
}

/// A field that was entered and not left yet.
pub struct Open {
    splice: usize,
    growth: isize,
    body_at: usize,
}

impl Patch {
    /// Enters the field whose length stands at `length_at` and whose content is `body`.
    pub fn open(&mut self, length_at: usize, body: Cursor<'_>) -> Open {
        self.splices.push(Splice { from: length_at, to: body.at, insert: (0, 0) });
        Open { splice: self.splices.len() - 1, growth: self.growth, body_at: body.at }
    }

    /// Leaves it at its end; where nothing changed in it, its length stays too.
    pub fn close(&mut self, open: &Open, end: usize) {
        if self.splices.len() == open.splice + 1 {
            self.splices.pop();
            return;
        }
        let length = (end - open.body_at).wrapping_add_signed(self.growth - open.growth);
        let from = self.added.len();
        push_varint(&mut self.added, length as u64);
        let splice = &mut self.splices[open.splice];
        splice.insert = (from, self.added.len());
        self.growth += (self.added.len() - from).cast_signed() - (splice.to - splice.from).cast_signed();
    }

    /// Puts `content` in the place of `from..to`.
    pub fn replace(&mut self, from: usize, to: usize, content: &[u8]) {
        let start = self.added.len();
        self.added.extend_from_slice(content);
        self.splices.push(Splice { from, to, insert: (start, self.added.len()) });
        self.growth += content.len().cast_signed() - (to - from).cast_signed();
    }

    pub fn is_empty(&self) -> bool {
        self.splices.is_empty()
    }

    /// Bytes of the edited request.
    pub fn size(&self, request: &[u8]) -> usize {
        request.len().wrapping_add_signed(self.growth)
    }

    /// The edited request.
    pub fn edited(&self, request: &[u8]) -> Vec<u8> {
        let mut target = vec![0; self.size(request)];
        self.write(request, &mut target);
        target
    }

    /// Writes the edited request to `target`, which has [`Patch::size`] bytes.
    pub fn write(&self, request: &[u8], target: &mut [u8]) {
        let (mut at, mut copied) = (0, 0);
        let mut put = |bytes: &[u8]| {
            target[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        for one in &self.splices {
            put(&request[copied..one.from]);
            put(&self.added[one.insert.0..one.insert.1]);
            copied = one.to;
        }
        put(&request[copied..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_around_an_edit_follow_it() {
        let request = [b"\x0a\x08\x0a\x02ab\x12\x02cd".as_slice(), b"\x0a\x01x"].concat();
        let mut patch = Patch::default();
        let mut cursor = Cursor::new(&request);
        cursor.tag().unwrap();
        let outer_at = cursor.at;
        let mut outer = cursor.message().unwrap();
        let outside = patch.open(outer_at, outer);
        outer.tag().unwrap();
        let inner_at = outer.at;
        let inner = outer.message().unwrap();
        let inside = patch.open(inner_at, inner);
        patch.replace(inner.at, inner.end(), &[b'z'; 200]);
        patch.close(&inside, inner.end());
        outer.tag().unwrap();
        let untouched_at = outer.at;
        let untouched = outer.message().unwrap();
        let nothing = patch.open(untouched_at, untouched);
        patch.close(&nothing, untouched.end());
        patch.close(&outside, outer.end());
        let wanted = [b"\x0a\xcf\x01\x0a\xc8\x01".as_slice(), &[b'z'; 200], b"\x12\x02cd", b"\x0a\x01x"].concat();
        assert_eq!(patch.edited(&request), wanted);
    }
}
