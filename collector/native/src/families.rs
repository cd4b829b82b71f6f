//! OpenTelemetry's own client metrics, derived from spans. The twin of `engine/families.py`.

use std::collections::HashMap;

use crate::measure::Histogram;
use crate::prices::NANO;
use crate::scan::Found;

// The metrics of both families, in the order in which Python lists them.
const OLD_TOKENS: usize = 0;
const DURATION: usize = 1;
const OLD_FIRST_CHUNK: usize = 2;
const NEW_DURATION: usize = 3;
const NEW_FIRST_CHUNK: usize = 4;
const FIRST_COUNTER: usize = 5; // one for each kind of tokens, in their order
const FIRST_OPERATION: usize = 10; // input and output
const OLD_PER_CHUNK: usize = 12;
const NEW_PER_CHUNK: usize = 13;
const ALWAYS_COUNTED: usize = 2; // input and output, which are 0 where they did not come

/// Modalities of tokens as they are labelled; the last is for those of which nothing is known.
pub const MODALITIES: usize = 4;
const UNKNOWN: usize = 3;

/// Which families are derived, and of which spans.
pub struct Families {
    pub has_old: bool,
    pub has_new: bool,
    pub inference: Vec<String>,
    pub client: Vec<String>,
    /// What inputs and outputs are called, and modalities.
    pub kinds: [String; 2],
    pub modalities: [String; MODALITIES],
    /// Of the histograms; empty for counters.
    pub boundaries: Vec<Vec<f64>>,
}

/// What only these metrics ask of a span.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers {
    pub port: Option<u64>,
    /// Of the input, the output and what came from the cache: the tokens of text, images and audio.
    pub parts: [[Option<u64>; 3]; 3],
}

/// Service, operation, provider, request model, response model, host.
pub type Labels<'a> = ([&'a str; 6], Option<u64>);

/// A metric, the number of its labels in [`Sums::labels`], and one more label where there is one.
pub type Key<'a> = (usize, usize, Option<&'a str>);

/// The numbers of one request.
#[derive(Default)]
pub struct Sums<'a> {
    pub labels: Vec<Labels<'a>>,
    places: HashMap<Labels<'a>, usize>,
    pub counters: HashMap<Key<'a>, u64>,
    pub histograms: HashMap<Key<'a>, Histogram>,
}

impl<'a> Sums<'a> {
    fn place(&mut self, labels: Labels<'a>) -> usize {
        *self.places.entry(labels).or_insert_with(|| {
            self.labels.push(labels);
            self.labels.len() - 1
        })
    }
}

impl Families {
    /// Adds the numbers of one span that is no layer around another; what is no client operation has none here.
    /// `per_chunk`: seconds between the chunks of a streamed answer.
    pub fn measure<'a>(&'a self, service: &'a str, span: &Found<'a>, per_chunk: Option<f64>, sums: &mut Sums<'a>) {
        let meaning = &span.meaning;
        let Some(numbers) = &meaning.family else { return };
        let names = [meaning.operation, meaning.provider, meaning.request_model, meaning.response_model, meaning.host];
        let [operation, provider, request_model, response_model, host] = names;
        let labels = sums.place(([service, operation, provider, request_model, response_model, host], numbers.port));
        let mut observe = |metric: usize, tail: Option<&'a str>, value: f64| {
            sums.histograms.entry((metric, labels, tail)).or_default().observe(&self.boundaries[metric], value);
        };
        let is_inference = self.inference.iter().any(|one| one == meaning.operation);
        let seconds = span.end.checked_sub(span.start).map(|nanoseconds| nanoseconds as f64 / NANO);
        let (is_new, error) = (self.has_new && is_inference, Some(meaning.error));
        if let Some(seconds) = seconds.filter(|_| self.has_old || !is_inference) {
            observe(DURATION, error, seconds);
        }
        if let Some(seconds) = seconds.filter(|_| is_new) {
            observe(NEW_DURATION, error, seconds);
        }
        if let Some(seconds) = meaning.first_token {
            if self.has_old {
                observe(OLD_FIRST_CHUNK, None, seconds);
            }
            if is_new {
                observe(NEW_FIRST_CHUNK, None, seconds);
            }
        }
        if let Some(seconds) = per_chunk {
            if self.has_old {
                observe(OLD_PER_CHUNK, None, seconds);
            }
            if is_new {
                observe(NEW_PER_CHUNK, None, seconds);
            }
        }
        for (kind, name) in self.kinds.iter().enumerate() {
            let Some(count) = meaning.tokens[kind] else { continue };
            if self.has_old {
                observe(OLD_TOKENS, Some(name), count as f64);
            }
            if is_new {
                observe(FIRST_OPERATION + kind, error, count as f64);
            }
        }
        if !is_new {
            return;
        }
        for (kind, count) in meaning.tokens.iter().enumerate() {
            let Some(count) = count.or((kind < ALWAYS_COUNTED).then_some(0)) else { continue };
            let parts = numbers.parts.get(kind).copied().unwrap_or_default();
            for (modality, share) in self.modalities.iter().zip(shares(count, parts)) {
                if let Some(share) = share {
                    *sums.counters.entry((FIRST_COUNTER + kind, labels, Some(modality))).or_default() += share;
                }
            }
        }
    }
}

/// `count` by modality as far as the span says it; the rest is unknown. Parts that exceed the whole say nothing.
fn shares(count: u64, parts: [Option<u64>; 3]) -> [Option<u64>; MODALITIES] {
    let [text, image, audio] = parts.map(|part| part.filter(|share| *share > 0));
    let known: u64 = [text, image, audio].into_iter().flatten().sum();
    let mut shares = [text, image, audio, None];
    match count.checked_sub(known) {
        None => shares = [None, None, None, Some(count)],
        Some(rest) if rest > 0 || known == 0 => shares[UNKNOWN] = Some(rest),
        Some(_) => {}
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_and_the_rest_make_the_whole() {
        assert_eq!(shares(10, [Some(4), None, Some(0)]), [Some(4), None, None, Some(6)]);
        assert_eq!(shares(10, [Some(4), Some(6), None]), [Some(4), Some(6), None, None]);
        assert_eq!(shares(10, [Some(11), None, None]), [None, None, None, Some(10)]);
        assert_eq!(shares(0, [None; 3]), [None, None, None, Some(0)]);
    }
}
