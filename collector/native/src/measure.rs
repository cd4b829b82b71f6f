//! The numbers of one request, summed up by what they are labelled with.

use std::collections::HashMap;
use std::sync::Arc;

use crate::meaning::{GenAi, MEASURED_KINDS};
use crate::tables::Boundaries;

/// Observations by bucket; one more than there are boundaries.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    pub counts: Vec<u64>,
    pub sum: f64,
}

impl Histogram {
    pub fn observe(&mut self, boundaries: &[f64], value: f64) {
        if self.counts.is_empty() {
            self.counts.resize(boundaries.len() + 1, 0);
        }
        self.counts[boundaries.partition_point(|boundary| *boundary < value)] += 1;
        self.sum += value;
    }

    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

/// What a group of spans is labelled with: service, operation, provider, request model.
pub type Labels<'a> = [&'a str; 4];

/// The price of a span as it is measured.
#[derive(Clone, Debug)]
pub enum Cost {
    /// No price belongs here.
    None,
    Usd(f64),
    Unknown(Arc<str>),
}

/// Seconds that a span took.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// `None` where the span ended before it began.
    pub duration: Option<f64>,
    /// Between output tokens after the first; `None` where that is not known.
    pub per_token: Option<f64>,
}

/// Sums of the spans with the same labels.
#[derive(Default)]
pub struct Group<'a> {
    pub labels: Labels<'a>,
    pub requests: u64,
    pub errors: HashMap<&'a str, u64>,
    pub duration: Histogram,
    pub first_token: Histogram,
    pub time_per_token: Histogram,
    pub returned: Histogram,
    pub score: Histogram,
    pub requested: Histogram,
    pub tokens: [Option<u64>; MEASURED_KINDS.len()],
    pub cost: Option<f64>,
    pub unpriced: HashMap<Arc<str>, u64>,
    pub refusals: HashMap<&'a str, u64>,
}

impl<'a> Group<'a> {
    fn add(&mut self, span: &GenAi<'a>, times: Times, cost: &Cost, boundaries: &Boundaries) {
        self.requests += 1;
        if !span.error.is_empty() {
            *self.errors.entry(span.error).or_default() += 1;
        }
        if let Some(seconds) = times.duration {
            self.duration.observe(&boundaries.duration, seconds);
        }
        if let Some(seconds) = span.first_token {
            self.first_token.observe(&boundaries.first_token, seconds);
        }
        if let Some(seconds) = times.per_token {
            self.time_per_token.observe(&boundaries.time_per_token, seconds);
        }
        if let Some(score) = span.best_score {
            self.score.observe(&boundaries.score, score);
        }
        if let Some(count) = span.returned_k {
            self.returned.observe(&boundaries.returned, count as f64);
        }
        if let Some(count) = span.requested_k {
            self.requested.observe(&boundaries.requested, count as f64);
        }
        for (sum, count) in self.tokens.iter_mut().zip(span.tokens) {
            if let Some(count) = count {
                *sum = Some(sum.unwrap_or(0).saturating_add(count));
            }
        }
        match cost {
            Cost::None => {}
            Cost::Usd(usd) => self.cost = Some(self.cost.unwrap_or(0.0) + usd),
            Cost::Unknown(reason) => *self.unpriced.entry(reason.clone()).or_default() += 1,
        }
        if !span.refusal.is_empty() && span.is_call {
            *self.refusals.entry(span.refusal).or_default() += 1;
        }
    }
}

/// All groups of a request.
#[derive(Default)]
pub struct Sums<'a> {
    pub groups: Vec<Group<'a>>,
    by_labels: HashMap<Labels<'a>, usize>,
}

impl<'a> Sums<'a> {
    /// Counts one span under `service`.
    pub fn add(&mut self, service: &'a str, span: &GenAi<'a>, times: Times, cost: &Cost, boundaries: &Boundaries) {
        let labels = [service, span.operation, span.provider, span.request_model];
        let index = *self.by_labels.entry(labels).or_insert_with(|| {
            self.groups.push(Group { labels, ..Group::default() });
            self.groups.len() - 1
        });
        self.groups[index].add(span, times, cost, boundaries);
    }
}
