//! What changes on spans: the price, what follows from the numbers, what was repaired.

use crate::derive::Derived;
use crate::meaning::GenAi;
use crate::measure::Cost;
use crate::prices::{Priced, NANO};
use crate::scan::{Change, Found, Scan};
use crate::tables::{attribute, text_attribute, Slot, Tables};
use crate::wire::splice::SpanEdit;
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
        request: &Scan<'_>,
        price: &Priced,
        more: &Derived,
        tables: &Tables,
    ) -> Cost {
        let (removed_from, added_from) = (self.removed.len(), self.added.len());
        let (input, output) = (span.meaning.tokens[0], span.meaning.tokens[1]);
        let is_repaired = span.meaning.cache_was_outside || span.meaning.reasoning_was_outside;
        let mut made_in_vain = Vec::new();
        for field in &request.replaceable[span.replaceable.0..span.replaceable.1] {
            let goes = match field.slot {
                Slot::Input => is_repaired && input.is_some(),
                Slot::Output => is_repaired && output.is_some(),
                _ => true,
            };
            if goes {
                let list = if field.is_made { &mut made_in_vain } else { &mut self.removed };
                list.push((field.from, field.to));
            }
        }
        if let Some(change) = &span.change {
            self.change(change, request, &made_in_vain);
            self.removed[removed_from..].sort_unstable();
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
            (&written.time_per_chunk, more.time_per_chunk),
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

    /// Takes over what became of a span of another dialect, without what was `made_in_vain` of it.
    fn change(&mut self, change: &Change<'_>, scan: &Scan<'_>, made_in_vain: &[(usize, usize)]) {
        self.removed.extend_from_slice(&scan.removed[change.removed.0..change.removed.1]);
        let mut at = 0;
        for &(from, to) in made_in_vain {
            self.added.extend_from_slice(&change.made[at..from]);
            at = to;
        }
        self.added.extend_from_slice(&change.made[at..]);
    }

    /// Changes the spans of other dialects that are no `GenAI` spans.
    pub fn changes(&mut self, scan: &Scan<'_>) {
        for (place, change) in &scan.changed {
            let (removed_from, added_from) = (self.removed.len(), self.added.len());
            self.change(change, scan, &[]);
            self.edits.push(SpanEdit {
                length_at: place.length_at,
                body_at: place.body_at,
                end: place.body_end,
                scope: place.scope,
                removed: (removed_from, self.removed.len()),
                appended: (added_from, self.added.len()),
            });
        }
        if !scan.changed.is_empty() {
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
