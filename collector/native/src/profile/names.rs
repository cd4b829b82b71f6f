//! The names that a profile gives to the attributes of a span.

use std::collections::HashSet;

use crate::profile::scan::{Attribute, Range};

const FEW: usize = 32; // names, up to which comparing with each is fastest

/// New names of a span's attributes, and whether one is free.
#[derive(Default)]
pub struct Names {
    text: String,
    kept: Vec<Range>,
    /// A bit for each length that a name has.
    lengths: u64,
    /// All names, where they are many.
    all: HashSet<String>,
    is_filled: bool,
}

impl Names {
    pub fn clear(&mut self) {
        self.text.clear();
        self.kept.clear();
        self.is_filled = false;
    }

    pub fn make(&mut self, head: &str, tail: &str) -> Range {
        let from = self.text.len();
        self.text.push_str(head);
        self.text.push_str(tail);
        (from, self.text.len())
    }

    pub fn get(&self, (from, to): Range) -> &str {
        &self.text[from..to]
    }

    /// Takes a name for good; `false` when an attribute had it, or has it now.
    pub fn keep(&mut self, made: Range, own: &[Attribute<'_>]) -> bool {
        if !self.is_filled {
            self.lengths = own.iter().fold(0, |bits, one| bits | bit(one.key));
            self.all.clear();
            if own.len() > FEW {
                self.all.extend(own.iter().map(|one| one.key.to_owned()));
            }
            self.is_filled = true;
        }
        let name = &self.text[made.0..made.1];
        if own.len() > FEW {
            return self.all.insert(name.to_owned());
        }
        let stands = || own.iter().any(|one| one.key == name) || self.kept.iter().any(|one| self.get(*one) == name);
        if self.lengths & bit(name) != 0 && stands() {
            return false;
        }
        self.lengths |= bit(name);
        self.kept.push(made);
        true
    }
}

fn bit(name: &str) -> u64 {
    1 << (name.len() % 64)
}
