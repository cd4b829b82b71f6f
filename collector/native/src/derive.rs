//! What follows from a call's own numbers. The twin of `engine/derive.py`.

use crate::meaning::GenAi;

const NANO: f64 = 1e9;

/// Each only where all it is made of is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Derived {
    pub cache_hit_ratio: Option<f64>,
    pub context_utilization: Option<f64>,
    pub tokens_per_second: Option<f64>,
    pub time_per_token: Option<f64>,
    pub time_per_chunk: Option<f64>,
}

/// Speed of the answer and of its chunks, use of the cache and of the context window (in tokens, 0 where it is not known).
pub fn derived(call: &GenAi<'_>, start: u64, end: u64, context_window: u64) -> Derived {
    let mut found = Derived::default();
    let [spent, written, cached, ..] = call.tokens;
    if let Some(spent) = spent.filter(|spent| *spent > 0) {
        if let Some(cached) = cached.filter(|cached| *cached <= spent) {
            found.cache_hit_ratio = Some(cached as f64 / spent as f64);
        }
        if context_window > 0 {
            found.context_utilization = Some(spent as f64 / context_window as f64);
        }
    }
    let seconds = (i128::from(end) - i128::from(start)) as f64 / NANO;
    let first = call.first_token.filter(|first| *first < seconds); // otherwise timed by another clock
    if let (Some(first), Some(chunks), None) = (first, call.chunks.filter(|chunks| *chunks > 1), call.time_per_chunk) {
        found.time_per_chunk = Some((seconds - first) / (chunks - 1) as f64);
    }
    if let Some(written) = written.filter(|written| *written > 0 && seconds > 0.0) {
        let answering = seconds - first.unwrap_or(0.0);
        found.tokens_per_second = Some(written as f64 / answering);
        if first.is_some() && written > 1 {
            found.time_per_token = Some(answering / (written - 1) as f64);
        }
    }
    found
}
