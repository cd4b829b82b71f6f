//! Rates asked from Python once and kept, and the price of a call in integers.
//!
//! Rates are femto-USD per token, prices nano-USD, as in `engine/prices.py`, which compiles them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Kinds of tokens, in the order in which rates name them.
pub const KINDS: [&str; 9] = [
    "input",
    "cache_read",
    "cache_write",
    "input_audio",
    "input_image",
    "output",
    "reasoning",
    "output_audio",
    "output_image",
];

/// Nano-USD in a USD, and nanoseconds in a second.
pub const NANO: f64 = 1e9;

const SLOT_NS: u64 = 30 * 60 * 1_000_000_000;
const FEMTO_PER_NANO: i128 = 1_000_000;
const MAX_KEY_BYTES: usize = 1200;

/// Counts of one call; subsets are inside their wholes. Indexed as [`KINDS`], and by [`GPU_MICROSECONDS`].
pub type Usage = [u64; KINDS.len() + 1];

pub const INPUT: usize = 0;
pub const CACHE_READ: usize = 1;
pub const CACHE_WRITE: usize = 2;
pub const INPUT_AUDIO: usize = 3;
pub const INPUT_IMAGE: usize = 4;
pub const OUTPUT: usize = 5;
pub const REASONING: usize = 6;
pub const OUTPUT_AUDIO: usize = 7;
pub const OUTPUT_IMAGE: usize = 8;
/// GPU time of a self-hosted model; no token kind, so no other price knows it.
pub const GPU_MICROSECONDS: usize = KINDS.len();

/// Nano-USD of one call; what is charged per request and for GPU time is in `total` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    pub total: i128,
    pub input: i128,
    pub output: i128,
}

/// Rates that hold above `start` input tokens, each with the index of its kind.
#[derive(Clone, Debug)]
pub struct Tier {
    pub start: i64,
    pub input: Vec<(usize, i64)>,
    pub output: Vec<(usize, i64)>,
    pub per_request: i64,
    pub per_gpu_microsecond: i64,
}

/// Everything needed to price a call to one model at one time.
#[derive(Debug)]
pub struct Rates {
    /// From the highest threshold down.
    pub tiers: Vec<Tier>,
    /// Attributes that say where the price comes from, encoded.
    pub origin: Vec<u8>,
    /// In tokens; 0 where it is not known.
    pub context_window: u64,
}

impl Rates {
    /// Whether tokens are needed for a price; a price by GPU time or by call needs none.
    pub fn by_tokens(&self) -> bool {
        self.tiers.iter().any(|tier| !tier.input.is_empty() || !tier.output.is_empty())
    }
}

/// What is known about a model: its rates, or why there is no price.
#[derive(Clone, Debug)]
pub enum Answer {
    Rates(Arc<Rates>),
    Unknown(Arc<str>),
}

/// What a provider call costs.
pub enum Priced {
    None,
    Price(Price, Arc<Rates>),
    Unknown(Arc<str>),
}

/// What rates are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub provider: &'a str,
    pub model: &'a str,
    pub host: &'a str,
    pub tier: &'a str,
    pub start_ns: u64,
}

/// Who knows the rates. `None` when asking failed.
pub trait Source {
    fn ask(&self, question: &Question<'_>) -> Option<Answer>;
}

/// Why usage has no price although there are rates.
#[derive(Debug, PartialEq, Eq)]
pub struct InconsistentUsage;

/// The price of `usage`.
///
/// # Errors
/// When a subset is larger than its whole.
pub fn price(tiers: &[Tier], usage: &Usage) -> Result<Price, InconsistentUsage> {
    if usage[CACHE_READ] + usage[CACHE_WRITE] > usage[INPUT] || usage[REASONING] > usage[OUTPUT] {
        return Err(InconsistentUsage);
    }
    let above = |tier: &&Tier| tier.start < 0 || i128::from(usage[INPUT]) > i128::from(tier.start);
    let tier = tiers.iter().find(above).ok_or(InconsistentUsage)?;
    let spent = |rates: &[(usize, i64)]| -> i128 {
        let femto = |&(kind, rate): &(usize, i64)| i128::from(rate) * i128::from(usage[kind]);
        rates.iter().map(femto).sum()
    };
    let (input, output) = (spent(&tier.input), spent(&tier.output));
    let gpu_time = i128::from(tier.per_gpu_microsecond) * i128::from(usage[GPU_MICROSECONDS]);
    Ok(Price {
        total: nano(input + output + i128::from(tier.per_request) + gpu_time),
        input: nano(input),
        output: nano(output),
    })
}

fn nano(femto: i128) -> i128 {
    (femto + FEMTO_PER_NANO / 2).div_euclid(FEMTO_PER_NANO)
}

/// Answers that were given, misses too. Safe for threads; emptied when it holds `capacity` answers.
pub struct Cache {
    capacity: usize,
    answers: Mutex<HashMap<Vec<u8>, Answer>>,
}

impl Cache {
    pub fn new(capacity: usize) -> Self {
        Cache { capacity, answers: Mutex::new(HashMap::new()) }
    }

    /// The answer to `question`, from `source` when it is new. `scratch` is room for the key.
    pub fn ask(&self, question: &Question<'_>, source: &impl Source, scratch: &mut Vec<u8>) -> Option<Answer> {
        write_key(question, scratch);
        if scratch.len() > MAX_KEY_BYTES {
            return source.ask(question); // names of that length are nobody's model, and are not worth keeping
        }
        if let Some(answer) = self.lock().get(scratch.as_slice()) {
            return Some(answer.clone());
        }
        let answer = source.ask(question)?; // without the lock: Python may take its time
        let mut answers = self.lock();
        if answers.len() >= self.capacity {
            answers.clear();
        }
        answers.insert(scratch.clone(), answer.clone());
        Some(answer)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Vec<u8>, Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A key that differs when anything differs: 0xff does not occur in text.
fn write_key(question: &Question<'_>, key: &mut Vec<u8>) {
    key.clear();
    for part in [question.provider, question.model, question.host, question.tier] {
        key.extend_from_slice(part.as_bytes());
        key.push(0xff);
    }
    key.extend_from_slice(&(question.start_ns / SLOT_NS).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    struct Counting(Cell<u32>);

    impl Source for Counting {
        fn ask(&self, _: &Question<'_>) -> Option<Answer> {
            self.0.set(self.0.get() + 1);
            Some(Answer::Unknown("unknown_model".into()))
        }
    }

    fn question(model: &str, start_ns: u64) -> Question<'_> {
        Question { provider: "openai", model, host: "", tier: "", start_ns }
    }

    #[test]
    fn each_model_and_half_hour_is_asked_once_and_the_cache_is_bounded() {
        let (cache, source, mut scratch) = (Cache::new(2), Counting(Cell::new(0)), Vec::new());
        for (model, slot, asked) in [("a", 0, 1), ("a", 0, 1), ("a", 1, 2), ("a", 0, 2), ("b", 0, 3), ("a", 0, 4)] {
            cache.ask(&question(model, slot * SLOT_NS + 5), &source, &mut scratch).unwrap();
            assert_eq!(source.0.get(), asked, "{model} {slot}");
            assert!(cache.lock().len() <= 2);
        }
        let long = "x".repeat(5000);
        cache.ask(&question(&long, 0), &source, &mut scratch).unwrap();
        assert!(!cache.lock().keys().any(|key| key.len() > MAX_KEY_BYTES));
    }

    #[test]
    fn the_tier_above_which_the_input_lies_prices_all_of_it() {
        let tier = |start, rate| Tier {
            start,
            input: vec![(INPUT, rate), (CACHE_READ, -rate / 2)],
            output: vec![(OUTPUT, 2 * rate)],
            per_request: 0,
            per_gpu_microsecond: 0,
        };
        let tiers = [tier(200_000, 2_000_000_000), tier(-1, 1_000_000_000)];
        let mut usage = Usage::default();
        (usage[INPUT], usage[CACHE_READ], usage[OUTPUT]) = (200_000, 100_000, 10);
        assert_eq!(price(&tiers, &usage).unwrap().total, 150_020_000);
        usage[INPUT] += 1;
        assert_eq!(price(&tiers, &usage).unwrap().output, 40_000);
        usage[CACHE_READ] = usage[INPUT] + 1;
        assert_eq!(price(&tiers, &usage), Err(InconsistentUsage));
    }
}
