//! What changes on spans: the price, what follows from the numbers, what was repaired.

use crate::derive::Derived;
use crate::measure::Cost;
use crate::prices::{Priced, NANO};
use crate::scan::{Found, Place};
use crate::spans::{Field, GenAi};
use crate::splice::SpanEdit;
use crate::tables::{attribute, text_attribute, Slot, Tables};
use crate::wire::{push_field, push_varint};

/// Collects what changes on spans.
#[derive(Default)]
pub struct Writer {
    pub edits: Vec<SpanEdit>,
    pub removed: Vec<(usize, usize)>,
    pub added: Vec<u8>,
}

impl Writer {
    /// Puts the price, or why there is none, what follows from the numbers, and what was repaired on the span.
    pub fn span(
        &mut self,
        span: &Found<'_>,
        replaceable: &[Field],
        price: &Priced,
        more: &Derived,
        tables: &Tables,
    ) -> Cost {
        let (removed_from, added_from) = (self.removed.len(), self.added.len());
        let (input, output) = (span.meaning.tokens[0], span.meaning.tokens[1]);
        let is_repaired = span.meaning.cache_was_outside || span.meaning.reasoning_was_outside;
        for field in &replaceable[span.replaceable.0..span.replaceable.1] {
            let goes = match field.slot {
                Slot::Input => is_repaired && input.is_some(),
                Slot::Output => is_repaired && output.is_some(),
                _ => true,
            };
            if goes {
                self.removed.push((field.from, field.to));
            }
        }
        if let Some(content) = span.replaced {
            let gone = self.removed.split_off(removed_from);
            self.content(content, &gone);
            self.removed.push((span.body_at, span.body_end));
        }
        let written = &tables.written;
        let cost = match price {
            Priced::None => Cost::None,
            Priced::Price(price, rates) => {
                let usd = |nano: i128| nano as f64 / NANO;
                self.double(&written.cost_total, usd(price.total));
                self.double(&written.cost_input, usd(price.input));
                self.double(&written.cost_output, usd(price.output));
                self.added.extend_from_slice(&rates.origin);
                Cost::Usd(usd(price.total))
            }
            Priced::Unknown(reason) => {
                self.added.extend_from_slice(&text_attribute(&written.unknown_reason, reason));
                Cost::Unknown(reason.clone())
            }
        };
        for (head, value) in [
            (&written.cache_hit_ratio, more.cache_hit_ratio),
            (&written.context_utilization, more.context_utilization),
            (&written.tokens_per_second, more.tokens_per_second),
            (&written.time_per_token, more.time_per_token),
        ] {
            if let Some(value) = value {
                self.double(head, value);
            }
        }
        if is_repaired {
            self.repairs(&span.meaning, tables);
        }
        if self.removed.len() > removed_from || self.added.len() > added_from {
            self.edits.push(SpanEdit {
                length_at: span.length_at,
                body_at: span.body_at,
                end: span.body_end,
                scope: span.scope,
                removed: (removed_from, self.removed.len()),
                appended: (added_from, self.added.len()),
            });
        }
        cost
    }

    /// Adds `content` without what is `gone` of it.
    fn content(&mut self, content: &[u8], gone: &[(usize, usize)]) {
        let mut at = 0;
        for &(from, to) in gone {
            self.added.extend_from_slice(&content[at..from]);
            at = to;
        }
        self.added.extend_from_slice(&content[at..]);
    }

    /// Puts new content in the place of spans that are no `GenAI` spans.
    pub fn replace(&mut self, replaced: &[(Place, &[u8])]) {
        for (place, content) in replaced {
            let (removed_from, added_from) = (self.removed.len(), self.added.len());
            self.content(content, &[]);
            self.removed.push((place.body_at, place.body_end));
            self.edits.push(SpanEdit {
                length_at: place.length_at,
                body_at: place.body_at,
                end: place.body_end,
                scope: place.scope,
                removed: (removed_from, self.removed.len()),
                appended: (added_from, self.added.len()),
            });
        }
        if !replaced.is_empty() {
            self.edits.sort_by_key(|edit| edit.length_at);
        }
    }

    fn double(&mut self, head: &[u8], value: f64) {
        self.added.extend_from_slice(head);
        self.added.extend_from_slice(&value.to_le_bytes());
    }

    /// The corrected totals under their current names, and a list of what was corrected.
    fn repairs(&mut self, meaning: &GenAi<'_>, tables: &Tables) {
        let written = &tables.written;
        for (key, count) in [(&written.input_tokens, meaning.tokens[0]), (&written.output_tokens, meaning.tokens[1])] {
            if let Some(count) = count {
                let mut int_value = vec![3 << 3];
                push_varint(&mut int_value, count);
                self.added.extend_from_slice(&attribute(key, &int_value));
            }
        }
        let mut flags = Vec::new();
        for (is_set, flag) in [
            (meaning.cache_was_outside, &written.cache_outside_input),
            (meaning.reasoning_was_outside, &written.reasoning_outside_output),
        ] {
            if is_set {
                let mut string_value = Vec::new();
                push_field(&mut string_value, 1, flag.as_bytes());
                push_field(&mut flags, 1, &string_value);
            }
        }
        let mut array_value = Vec::new();
        push_field(&mut array_value, 5, &flags);
        self.added.extend_from_slice(&attribute(&written.repaired, &array_value));
    }
}
