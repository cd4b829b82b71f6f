//! The pass over one request. The twin of `engine/pure.py`.

use std::sync::{Arc, Mutex, PoisonError};

use bumpalo::Bump;

use crate::derive::{derived, Derived};
use crate::dialects::DialectNotes;
use crate::families;
use crate::layers::mark_wrappers;
use crate::measure::{Sums, Times};
use crate::memory::{span_key, Call, Memory, Verdict};
use crate::noticed::{noticed, Condition, Noticed};
use crate::prices::{self, Answer, Cache, Priced, Question, Source, Usage, GPU_MICROSECONDS, NANO};
use crate::scan::{Found, Scan};
use crate::tables::Tables;
use crate::wire::splice::Plan;
use crate::wire::{Cursor, Irregular, Result};
use crate::writer::Writer;

/// The engine with what it keeps from one request to the next.
pub struct Engine {
    pub tables: Tables,
    pub rates: Cache,
    pub memory: Arc<Mutex<Memory>>,
}

/// What a pass over a trace request found.
pub struct Traces<'a> {
    pub accepted: u64,
    /// `None` when nothing changes.
    pub plan: Option<Plan>,
    pub sums: Sums<'a>,
    pub families: families::Sums<'a>,
    pub layered_duplicates: u64,
    pub negative_durations: u64,
    /// How many calls got each verdict of the memory, by its number.
    pub verdicts: [u64; 6],
    /// What is to be remembered when the request is kept.
    pub calls: Vec<Call>,
    pub dialects: DialectNotes,
    /// Spans that meet a condition.
    pub noticed: Vec<Noticed<'a>>,
}

impl Engine {
    /// One pass over a trace request. `arena` keeps what spans of other dialects became.
    ///
    /// # Errors
    /// `Irregular` when the reference has to look at it.
    pub fn traces<'a, 't: 'a>(
        &'t self,
        request: &'a [u8],
        source: &impl Source,
        conditions: &[Condition],
        arena: &'a mut Bump,
    ) -> Result<Traces<'a>> {
        let mut scan = Scan::new(&self.tables, arena);
        scan.request(Cursor::new(request))?;
        let layered_duplicates = mark_wrappers(&mut scan.found);
        let (calls, verdicts) = self.judge(&mut scan);
        let (mut sums, mut families) = (Sums::default(), families::Sums::default());
        let mut writer = Writer::default();
        let mut scratch = Vec::new();
        let mut met = Vec::new();
        for one in &scan.found {
            let price = self.price(one, source, &mut scratch)?;
            let more = self::more(one, &price);
            let cost = writer.span(one, &scan, &price, &more, &self.tables);
            met.extend(noticed(conditions, one, scan.services[one.resource], &cost));
            if !one.meaning.is_wrapper && !one.is_repeat {
                let duration = one.end.checked_sub(one.start).map(|nanoseconds| nanoseconds as f64 / NANO);
                let times = Times { duration, per_token: more.time_per_token };
                let service = scan.services[one.resource];
                sums.add(service, &one.meaning, times, &cost, &self.tables.boundaries);
                if let Some(asked) = &self.tables.families {
                    asked.measure(service, one, more.time_per_chunk.or(one.meaning.time_per_chunk), &mut families);
                }
            }
        }
        writer.changes(&scan);
        let plan = (!writer.edits.is_empty())
            .then(|| Plan::new(&writer.edits, &writer.removed, writer.added, &mut scan.containers));
        Ok(Traces {
            accepted: scan.accepted,
            plan,
            sums,
            families,
            layered_duplicates,
            negative_durations: scan.negative_durations,
            verdicts,
            calls,
            dialects: scan.notes,
            noticed: met,
        })
    }

    /// Asks the memory about every call, and marks what was counted before.
    fn judge(&self, scan: &mut Scan<'_>) -> (Vec<Call>, [u64; 6]) {
        let (mut calls, mut verdicts) = (Vec::new(), [0; 6]);
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        for one in scan.found.iter_mut().filter(|one| one.meaning.is_call) {
            let service = scan.services[one.resource];
            let call = Call {
                key: span_key(one.trace_id, one.span_id),
                parent: span_key(one.trace_id, one.parent_id),
                operation: memory.name(one.meaning.operation),
                response: memory.response(service, one.meaning.response_id),
                has_usage: one.meaning.usage.is_some(),
                is_wrapper: one.meaning.is_wrapper,
                start: one.start,
                end: one.end,
            };
            let verdict = memory.judge(&call);
            verdicts[verdict as usize] += 1;
            one.meaning.is_wrapper |= matches!(verdict, Verdict::Layer | Verdict::Answered);
            one.is_repeat = verdict == Verdict::Repeated;
            calls.push(call);
        }
        (calls, verdicts)
    }

    /// The price of a provider call; none where no price belongs: other operations, failed calls without usage.
    fn price(&self, span: &Found<'_>, source: &impl Source, scratch: &mut Vec<u8>) -> Result<Priced> {
        let meaning = &span.meaning;
        let reasons = &self.tables.reasons;
        if !meaning.is_call || meaning.is_wrapper {
            return Ok(Priced::None);
        }
        let usage = meaning.usage.unwrap_or_else(|| {
            let mut usage = Usage::default();
            usage[GPU_MICROSECONDS] = meaning.gpu_microseconds;
            usage
        });
        if meaning.usage.is_none() && meaning.gpu_microseconds == 0 {
            let nothing_came = meaning.tokens.iter().all(Option::is_none);
            return Ok(if nothing_came && !meaning.error.is_empty() {
                Priced::None
            } else {
                Priced::Unknown(reasons.no_usage.clone())
            });
        }
        let mut reason = reasons.no_model.clone();
        let (first, second) = (meaning.response_model, meaning.request_model);
        for model in [first, if second == first { "" } else { second }] {
            if model.is_empty() {
                continue;
            }
            let question = Question {
                provider: meaning.provider,
                model,
                host: meaning.host,
                tier: meaning.tier,
                start_ns: span.start,
            };
            match self.rates.ask(&question, source, scratch).ok_or(Irregular)? {
                Answer::Rates(rates) if meaning.usage.is_none() && rates.by_tokens() => {
                    return Ok(Priced::Unknown(reasons.no_usage.clone()));
                }
                Answer::Rates(rates) => {
                    return Ok(match prices::price(&rates.tiers, &usage) {
                        Ok(price) => Priced::Price(price, rates),
                        Err(prices::InconsistentUsage) => Priced::Unknown(reasons.inconsistent_usage.clone()),
                    });
                }
                Answer::Unknown(why) => reason = why,
            }
        }
        Ok(Priced::Unknown(reason))
    }
}

/// What follows from the numbers of a provider call; nothing for other spans.
fn more(span: &Found<'_>, price: &Priced) -> Derived {
    if !span.meaning.is_call || span.meaning.is_wrapper {
        return Derived::default();
    }
    let context_window = if let Priced::Price(_, rates) = price { rates.context_window } else { 0 };
    derived(&span.meaning, span.start, span.end, context_window)
}
