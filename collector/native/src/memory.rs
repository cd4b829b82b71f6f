//! Which provider calls were counted already: the memory that reaches across requests. The twin of `engine/calls.py`,
//! which says how it works. Names are kept as hashes with a key of this process, so that an entry has one size.

use std::collections::hash_map::RandomState;
use std::collections::HashMap;
use std::hash::BuildHasher;

const MAX_NAME_CHARS: usize = 200;

/// Trace id and span id.
pub type SpanKey = [u8; 24];

/// What is known about a call; the numbers are those of `Verdict` in Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    New = 0,
    Layer = 1,
    Answered = 2,
    Repeated = 3,
    Late = 4,
    Forgotten = 5,
}

/// What is remembered of one provider call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub key: SpanKey,
    pub parent: SpanKey,
    pub operation: u64,
    /// 0 when it has no response id.
    pub response: u64,
    pub has_usage: bool,
    pub is_wrapper: bool,
    pub start: u64,
    pub end: u64,
}

#[derive(Default)]
struct Generation {
    began: u64,
    newest: u64,
    spans: HashMap<SpanKey, (u64, bool)>,
    layers: HashMap<(SpanKey, u64), bool>,
    responses: HashMap<u64, bool>,
}

/// See the module.
pub struct Memory {
    capacity: usize,
    window: u64,
    younger: Generation,
    older: Generation,
    horizon: u64,
    hasher: RandomState,
}

impl Memory {
    pub fn new(capacity: usize, window_ns: u64) -> Self {
        Memory {
            capacity: (capacity / 2).max(1),
            window: window_ns / 2,
            younger: Generation::default(),
            older: Generation::default(),
            horizon: 0,
            hasher: RandomState::new(),
        }
    }

    /// A name as it is remembered.
    pub fn name(&self, name: &str) -> u64 {
        self.hasher.hash_one(name)
    }

    /// A response as it is remembered; names that nobody has are none.
    pub fn response(&self, service: &str, id: &str) -> u64 {
        let is_short = |text: &str| text.len() <= MAX_NAME_CHARS || text.chars().count() <= MAX_NAME_CHARS;
        if id.is_empty() || !is_short(id) || !is_short(service) {
            0
        } else {
            self.hasher.hash_one((service, id)).max(1)
        }
    }

    /// What earlier requests say about `call`.
    pub fn judge(&self, call: &Call) -> Verdict {
        let both = [&self.younger, &self.older];
        if both.iter().any(|one| one.spans.contains_key(&call.key)) {
            return Verdict::Repeated;
        }
        if call.is_wrapper {
            return Verdict::New;
        }
        if let Some(inner) = either(both.map(|one| one.layers.get(&(call.key, call.operation)))) {
            return counted(Verdict::Layer, inner, call);
        }
        let outer = both.iter().find_map(|one| one.spans.get(&call.parent));
        if let Some((_, has_usage)) = outer.filter(|(operation, _)| *operation == call.operation) {
            return counted(Verdict::Layer, *has_usage, call);
        }
        if call.response != 0 {
            if let Some(answered) = either(both.map(|one| one.responses.get(&call.response))) {
                return counted(Verdict::Answered, answered, call);
            }
        }
        if call.start < self.horizon {
            Verdict::Forgotten
        } else {
            Verdict::New
        }
    }

    /// The request of `call` is kept.
    pub fn remember(&mut self, call: &Call) {
        let is_full = self.younger.spans.len() >= self.capacity;
        let is_old = !self.younger.spans.is_empty() && call.end.saturating_sub(self.younger.began) >= self.window;
        if is_full || is_old {
            self.horizon = self.horizon.max(self.older.newest);
            self.older = std::mem::take(&mut self.younger);
        }
        let now = &mut self.younger;
        if now.spans.is_empty() {
            now.began = call.end;
        }
        now.newest = now.newest.max(call.end);
        now.spans.insert(call.key, (call.operation, call.has_usage));
        *now.layers.entry((call.parent, call.operation)).or_default() |= call.has_usage;
        if call.response != 0 {
            *now.responses.entry(call.response).or_default() |= call.has_usage;
        }
    }
}

/// Whether any is true; `None` when there is none at all.
fn either(found: [Option<&bool>; 2]) -> Option<bool> {
    found.into_iter().flatten().copied().reduce(|one, other| one | other)
}

/// `verdict`, unless what was counted knew no tokens and `call` does.
fn counted(verdict: Verdict, has_usage: bool, call: &Call) -> Verdict {
    if has_usage || !call.has_usage {
        verdict
    } else {
        Verdict::Late
    }
}

/// Trace id and span id in one; an id of another length is none.
pub fn span_key(trace_id: &[u8], span_id: &[u8]) -> SpanKey {
    let mut key = SpanKey::default();
    if trace_id.len() == 16 && span_id.len() == 8 {
        key[..16].copy_from_slice(trace_id);
        key[16..].copy_from_slice(span_id);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(memory: &Memory, span: u8, parent: u8, response: &str, has_usage: bool, end: u64) -> Call {
        Call {
            key: span_key(&[1; 16], &[span; 8]),
            parent: span_key(&[1; 16], &[parent; 8]),
            operation: memory.name("chat"),
            response: memory.response("service", response),
            has_usage,
            is_wrapper: false,
            start: end.saturating_sub(1),
            end,
        }
    }

    #[test]
    fn layers_are_recognised_in_either_order() {
        let mut memory = Memory::new(100, 1000);
        let (inner, outer, outermost) =
            (call(&memory, 3, 2, "", true, 10), call(&memory, 2, 1, "", true, 11), call(&memory, 1, 0, "", true, 12));
        assert_eq!(memory.judge(&outer), Verdict::New);
        memory.remember(&inner);
        assert_eq!(memory.judge(&outer), Verdict::Layer);
        memory.remember(&outer);
        assert_eq!(memory.judge(&outermost), Verdict::Layer);
        assert_eq!(memory.judge(&inner), Verdict::Repeated);
        assert_eq!(memory.judge(&call(&memory, 9, 2, "", true, 13)), Verdict::Layer);
        assert_eq!(memory.judge(&call(&memory, 9, 8, "", true, 13)), Verdict::New);
    }

    #[test]
    fn a_response_counts_once_unless_the_first_knew_no_tokens() {
        let mut memory = Memory::new(100, 1000);
        memory.remember(&call(&memory, 1, 0, "r1", true, 10));
        memory.remember(&call(&memory, 2, 0, "r2", false, 10));
        assert_eq!(memory.judge(&call(&memory, 3, 0, "r1", true, 10)), Verdict::Answered);
        assert_eq!(memory.judge(&call(&memory, 3, 0, "r2", true, 10)), Verdict::Late);
        assert_eq!(memory.judge(&call(&memory, 3, 0, "r3", true, 10)), Verdict::New);
    }

    #[test]
    fn the_memory_is_bounded_by_number_and_by_event_time() {
        let mut memory = Memory::new(4, 1000);
        for span in 1..=20 {
            memory.remember(&call(&memory, span, 100, "", true, u64::from(span)));
            assert!(memory.younger.spans.len() + memory.older.spans.len() <= 4);
        }
        assert_eq!(memory.judge(&call(&memory, 200, 0, "", true, 5)), Verdict::Forgotten);
        assert_eq!(memory.judge(&call(&memory, 200, 0, "", true, 50)), Verdict::New);
        memory.remember(&call(&memory, 150, 100, "", true, 5000));
        memory.remember(&call(&memory, 151, 100, "", true, 9000));
        assert_eq!(memory.older.spans.len(), 1);
    }
}
