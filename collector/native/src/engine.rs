//! The pass over one request. The twin of `engine/pure.py`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::check;
use crate::derive::{derived, Derived};
use crate::measure::{Cost, Sums, Times};
use crate::memory::{span_key, Call, Memory, Verdict};
use crate::prices::{self, Answer, Cache, Price, Question, Rates, Source, Usage, GPU_MICROSECONDS};
use crate::schema::{
    EXPORT_LOGS_SERVICE_REQUEST, EXPORT_METRICS_SERVICE_REQUEST, EXPORT_TRACE_SERVICE_REQUEST, INSTRUMENTATION_SCOPE,
    LOG_RECORD, METRIC, RESOURCE, RESOURCE_LOGS, RESOURCE_METRICS, RESOURCE_SPANS, SCOPE_LOGS, SCOPE_METRICS,
    SCOPE_SPANS,
};
use crate::spans::{self, Field, GenAi, RawSpan, Value};
use crate::splice::{Container, Plan, SpanEdit};
use crate::tables::{attribute, text_attribute, Slot, Tables};
use crate::wire::{push_field, push_varint, Cursor, Irregular, Result, BYTES};

const NANO: f64 = 1e9;

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
    pub layered_duplicates: u64,
    pub negative_durations: u64,
    /// How many calls got each verdict of the memory, by its number.
    pub verdicts: [u64; 6],
    /// What is to be remembered when the request is kept.
    pub calls: Vec<Call>,
}

/// A span that speaks another dialect, with its surroundings: places of what stands in their fields.
#[derive(Clone, Copy, Debug)]
pub struct Foreign {
    pub resource: (usize, usize),
    pub scope: (usize, usize),
    pub span: (usize, usize),
}

/// Spans that were normalised outside, by the place where their content begins.
pub type Replacements = HashMap<usize, Vec<u8>>;

/// What a pass comes to.
pub enum Passed<'a> {
    Done(Traces<'a>),
    /// These have to be normalised first.
    Foreign(Vec<Foreign>),
}

/// A `GenAI` span with its place in the request.
struct Found<'a> {
    meaning: GenAi<'a>,
    trace_id: &'a [u8],
    span_id: &'a [u8],
    parent_id: &'a [u8],
    start: u64,
    end: u64,
    resource: usize,
    scope: usize,
    length_at: usize,
    body_at: usize,
    body_end: usize,
    replaceable: (usize, usize),
    /// The very span was counted before.
    is_repeat: bool,
    /// What stands in the place of its bytes; `replaceable` counts in it.
    replaced: Option<&'a [u8]>,
}

/// The scan of a request: everything in the order of its bytes.
#[derive(Default)]
struct Scan<'a> {
    accepted: u64,
    negative_durations: u64,
    services: Vec<&'a str>,
    containers: Vec<Container>,
    found: Vec<Found<'a>>,
    replaceable: Vec<Field>,
    foreign: Vec<Foreign>,
    /// `None` in the pass that looks for dialects.
    replacements: Option<&'a Replacements>,
    /// Spans that were normalised and are no `GenAI` spans: their places, the scope and the new content.
    replaced: Vec<(Place, &'a [u8])>,
}

/// Where a span stands.
#[derive(Clone, Copy)]
struct Place {
    scope: usize,
    length_at: usize,
    body_at: usize,
    body_end: usize,
}

impl Engine {
    /// One pass over a trace request. Without `replacements` it ends early where spans speak another dialect.
    ///
    /// # Errors
    /// `Irregular` when the reference has to look at it.
    pub fn traces<'a, 't: 'a>(
        &'t self,
        request: &'a [u8],
        source: &impl Source,
        replacements: Option<&'a Replacements>,
    ) -> Result<Passed<'a>> {
        let mut scan = Scan { replacements, ..Scan::default() };
        scan.request(Cursor::new(request), &self.tables)?;
        if !scan.foreign.is_empty() {
            return Ok(Passed::Foreign(scan.foreign));
        }
        let layered_duplicates = mark_wrappers(&mut scan.found);
        let (calls, verdicts) = self.judge(&mut scan);
        let mut sums = Sums::default();
        let mut writer = Writer::default();
        let mut scratch = Vec::new();
        for one in &scan.found {
            let price = self.price(one, source, &mut scratch)?;
            let more = self::more(one, &price);
            let cost = writer.span(one, &scan.replaceable, &price, &more, &self.tables);
            if !one.meaning.is_wrapper && !one.is_repeat {
                let duration = one.end.checked_sub(one.start).map(|nanoseconds| nanoseconds as f64 / NANO);
                let times = Times { duration, per_token: more.time_per_token };
                let service = scan.services[one.resource];
                sums.add(service, &one.meaning, times, &cost, &self.tables.boundaries);
            }
        }
        writer.replace(&scan.replaced);
        let plan = (!writer.edits.is_empty())
            .then(|| Plan::new(&writer.edits, &writer.removed, writer.added, &mut scan.containers));
        Ok(Passed::Done(Traces {
            accepted: scan.accepted,
            plan,
            sums,
            layered_duplicates,
            negative_durations: scan.negative_durations,
            verdicts,
            calls,
        }))
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

enum Priced {
    None,
    Price(Price, Arc<Rates>),
    Unknown(Arc<str>),
}

/// What follows from the numbers of a provider call; nothing for other spans.
fn more(span: &Found<'_>, price: &Priced) -> Derived {
    if !span.meaning.is_call || span.meaning.is_wrapper {
        return Derived::default();
    }
    let context_window = if let Priced::Price(_, rates) = price { rates.context_window } else { 0 };
    derived(&span.meaning, span.start, span.end, context_window)
}

impl<'a> Scan<'a> {
    fn request(&mut self, mut request: Cursor<'a>, tables: &'a Tables) -> Result<()> {
        let mut raw = RawSpan::default();
        while !request.is_done() {
            match request.tag()? {
                (1, BYTES) => {
                    let container = container(&mut request, self.containers.len(), None)?;
                    self.resource(container, &mut raw, tables)?;
                }
                (number, wire) => check::field(&mut request, &EXPORT_TRACE_SERVICE_REQUEST, number, wire, 0)?,
            }
        }
        Ok(())
    }

    fn resource(
        &mut self,
        (container, mut cursor): (Container, Cursor<'a>),
        raw: &mut RawSpan<'a>,
        tables: &'a Tables,
    ) -> Result<()> {
        let index = self.containers.len();
        self.containers.push(container);
        let resource = self.services.len();
        self.services.push("");
        let mut service = None;
        let (mut place, first_foreign) = (Once::default(), self.foreign.len());
        while !cursor.is_done() {
            match cursor.tag()? {
                (1, BYTES) => {
                    let message = cursor.message()?;
                    place.set(message);
                    resource_attributes(message, tables, &mut service)?;
                }
                (2, BYTES) => {
                    let (container, inner) = self::container(&mut cursor, self.containers.len(), Some(index))?;
                    let scope = self.containers.len();
                    self.containers.push(container);
                    self.spans(inner, scope, resource, raw, tables)?;
                }
                (number, wire) => check::field(&mut cursor, &RESOURCE_SPANS, number, wire, 1)?,
            }
        }
        self.services[resource] = service.unwrap_or("");
        for foreign in &mut self.foreign[first_foreign..] {
            foreign.resource = place.get()?;
        }
        Ok(())
    }

    fn spans(
        &mut self,
        mut cursor: Cursor<'a>,
        scope: usize,
        resource: usize,
        raw: &mut RawSpan<'a>,
        tables: &'a Tables,
    ) -> Result<()> {
        let (mut place, first_foreign, mut is_owned) = (Once::default(), self.foreign.len(), false);
        let first_span = self.accepted;
        while !cursor.is_done() {
            match cursor.tag()? {
                (2, BYTES) => {}
                (1, BYTES) => {
                    let message = cursor.message()?;
                    place.set(message);
                    is_owned |= scope_name(message, tables)?;
                    if is_owned && self.accepted > first_span {
                        return Err(Irregular); // the scope's name comes behind its spans
                    }
                    continue;
                }
                (number, wire) => {
                    check::field(&mut cursor, &SCOPE_SPANS, number, wire, 2)?;
                    continue;
                }
            }
            let length_at = cursor.at;
            let span = cursor.message()?;
            let replaced = self.replacements.and_then(|made| made.get(&span.at)).map(Vec::as_slice);
            raw.read(replaced.map_or(span, Cursor::new), tables)?;
            self.accepted += 1;
            self.negative_durations += u64::from(raw.end < raw.start);
            if self.replacements.is_none() && (is_owned || raw.has_marker) {
                self.foreign.push(Foreign { resource: (0, 0), scope: (0, 0), span: (span.at, span.end()) });
                continue;
            }
            let Some(meaning) = raw.meaning(tables)? else {
                let place = Place { scope, length_at, body_at: span.at, body_end: span.end() };
                self.replaced.extend(replaced.map(|content| (place, content)));
                continue;
            };
            let first = self.replaceable.len();
            self.replaceable.extend_from_slice(&raw.replaceable);
            self.found.push(Found {
                meaning,
                trace_id: raw.trace_id,
                span_id: raw.span_id,
                parent_id: raw.parent_id,
                start: raw.start,
                end: raw.end,
                resource,
                scope,
                length_at,
                body_at: span.at,
                body_end: span.end(),
                replaceable: (first, self.replaceable.len()),
                is_repeat: false,
                replaced,
            });
        }
        for foreign in &mut self.foreign[first_foreign..] {
            foreign.scope = place.get()?;
        }
        Ok(())
    }
}

/// The place of a message that may stand there once, or not at all.
#[derive(Default)]
struct Once {
    place: (usize, usize),
    count: u32,
}

impl Once {
    fn set(&mut self, message: Cursor<'_>) {
        self.place = (message.at, message.end());
        self.count += 1;
    }

    /// # Errors
    /// `Irregular` when there were several, which protobuf merges.
    fn get(&self) -> Result<(usize, usize)> {
        if self.count > 1 {
            Err(Irregular)
        } else {
            Ok(self.place)
        }
    }
}

fn container<'a>(outer: &mut Cursor<'a>, index: usize, parent: Option<usize>) -> Result<(Container, Cursor<'a>)> {
    let length_at = outer.at;
    let inner = outer.message()?;
    Ok((Container::new(length_at, inner.at, inner.end(), parent.unwrap_or(index)), inner))
}

/// Finds the service's name, the first one, and whether a dialect is spoken here.
fn resource_attributes<'a>(mut resource: Cursor<'a>, tables: &Tables, service: &mut Option<&'a str>) -> Result<()> {
    while !resource.is_done() {
        match resource.tag()? {
            (1, BYTES) => {
                let (key, value) = spans::key_value(resource.message()?, 3)?;
                let text = if let Value::Text(text) = value { text } else { "" };
                if service.is_none() && key == tables.service_name {
                    *service = Some(text);
                }
                if tables.dialects.owns_resource(key, text) {
                    return Err(Irregular);
                }
            }
            (number, wire) => check::field(&mut resource, &RESOURCE, number, wire, 2)?,
        }
    }
    Ok(())
}

/// Whether a dialect is spoken in this scope.
fn scope_name(mut scope: Cursor<'_>, tables: &Tables) -> Result<bool> {
    let mut is_owned = false;
    while !scope.is_done() {
        match scope.tag()? {
            (1, BYTES) => is_owned = tables.dialects.owns_scope(scope.text()?),
            (number, wire) => check::field(&mut scope, &INSTRUMENTATION_SCOPE, number, wire, 3)?,
        }
    }
    Ok(is_owned)
}

/// Collects what changes on spans.
#[derive(Default)]
struct Writer {
    edits: Vec<SpanEdit>,
    removed: Vec<(usize, usize)>,
    added: Vec<u8>,
}

impl Writer {
    /// Puts the price, or why there is none, what follows from the numbers, and what was repaired on the span.
    fn span(
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
    fn replace(&mut self, replaced: &[(Place, &[u8])]) {
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

/// Marks layers around the same provider call, so that each call counts once; returns how many were marked.
fn mark_wrappers(found: &mut [Found<'_>]) -> u64 {
    // Of spans that share an id the last one stands for all, in the place of the first.
    let mut calls: Vec<usize> = Vec::new();
    let mut by_id: HashMap<&[u8], usize> = HashMap::new();
    for (index, one) in found.iter().enumerate().filter(|(_, one)| one.meaning.is_call) {
        let place = *by_id.entry(one.span_id).or_insert(calls.len());
        if place == calls.len() {
            calls.push(index);
        } else {
            calls[place] = index;
        }
    }
    if calls.len() < 2 {
        return 0;
    }
    for &index in &calls {
        let outer = match by_id.get(found[index].parent_id) {
            Some(&place) if calls[place] != index => calls[place],
            _ => continue,
        };
        if let Some(marked) = outer_layer(&found[index], &found[outer]) {
            found[if marked { outer } else { index }].meaning.is_wrapper = true;
        }
    }
    let mut by_response: HashMap<(&[u8], &str), usize> = HashMap::new();
    for &index in &calls {
        let call = &found[index];
        if call.meaning.is_wrapper || call.meaning.response_id.is_empty() {
            continue;
        }
        let stands = by_response.entry((call.trace_id, call.meaning.response_id)).or_insert(index);
        let other = *stands;
        if other != index {
            let other_is_weaker = found[other].meaning.usage.is_none() && call.meaning.usage.is_some();
            if other_is_weaker {
                *stands = index;
            }
            found[if other_is_weaker { other } else { index }].meaning.is_wrapper = true;
        }
    }
    calls.iter().filter(|index| found[**index].meaning.is_wrapper).count() as u64
}

/// Whether the call directly around `call` is another layer of it (`true`), or `call` is (`false`), because only the
/// outer one knows the tokens; `None` when they are two calls.
fn outer_layer(call: &Found<'_>, outer: &Found<'_>) -> Option<bool> {
    if outer.meaning.operation != call.meaning.operation || outer.trace_id != call.trace_id {
        return None;
    }
    Some(call.meaning.usage.is_some() || outer.meaning.usage.is_none())
}

/// Counts the points of a metrics request.
///
/// # Errors
/// `Irregular` when the reference has to look at it.
pub fn metric_points(request: &[u8]) -> Result<u64> {
    let mut points = 0;
    let mut request = Cursor::new(request);
    while !request.is_done() {
        let (number, wire) = request.tag()?;
        if (number, wire) != (1, BYTES) {
            check::field(&mut request, &EXPORT_METRICS_SERVICE_REQUEST, number, wire, 0)?;
            continue;
        }
        let mut resource = request.message()?;
        while !resource.is_done() {
            let (number, wire) = resource.tag()?;
            if (number, wire) != (2, BYTES) {
                check::field(&mut resource, &RESOURCE_METRICS, number, wire, 1)?;
                continue;
            }
            let mut scope = resource.message()?;
            while !scope.is_done() {
                let (number, wire) = scope.tag()?;
                if (number, wire) == (2, BYTES) {
                    points += points_of(scope.message()?)?;
                } else {
                    check::field(&mut scope, &SCOPE_METRICS, number, wire, 2)?;
                }
            }
        }
    }
    Ok(points)
}

/// The points of one metric: those of the kind of data that came last, which is the one protobuf keeps.
fn points_of(mut metric: Cursor<'_>) -> Result<u64> {
    let (mut kind, mut points) = (0, 0);
    while !metric.is_done() {
        let (number, wire) = metric.tag()?;
        let from = metric;
        check::field(&mut metric, &METRIC, number, wire, 3)?;
        if matches!((number, wire), (5 | 7 | 9 | 10 | 11, BYTES)) {
            let mut data = { from }.message()?;
            if number != kind {
                (kind, points) = (number, 0);
            }
            while !data.is_done() {
                let (number, wire) = data.tag()?;
                points += u64::from((number, wire) == (1, BYTES));
                data.skip(wire)?;
            }
        }
    }
    Ok(points)
}

/// Counts the records of a logs request.
///
/// # Errors
/// `Irregular` when the reference has to look at it.
pub fn log_records(request: &[u8]) -> Result<u64> {
    let mut records = 0;
    let mut request = Cursor::new(request);
    while !request.is_done() {
        let (number, wire) = request.tag()?;
        if (number, wire) != (1, BYTES) {
            check::field(&mut request, &EXPORT_LOGS_SERVICE_REQUEST, number, wire, 0)?;
            continue;
        }
        let mut resource = request.message()?;
        while !resource.is_done() {
            let (number, wire) = resource.tag()?;
            if (number, wire) != (2, BYTES) {
                check::field(&mut resource, &RESOURCE_LOGS, number, wire, 1)?;
                continue;
            }
            let mut scope = resource.message()?;
            while !scope.is_done() {
                let (number, wire) = scope.tag()?;
                if (number, wire) == (2, BYTES) {
                    log_record(scope.message()?)?;
                    records += 1;
                } else {
                    check::field(&mut scope, &SCOPE_LOGS, number, wire, 2)?;
                }
            }
        }
    }
    Ok(records)
}

fn log_record(mut record: Cursor<'_>) -> Result<()> {
    let (mut trace_id, mut span_id): (&[u8], &[u8]) = (&[], &[]);
    while !record.is_done() {
        match record.tag()? {
            (9, BYTES) => trace_id = record.bytes()?,
            (10, BYTES) => span_id = record.bytes()?,
            (number, wire) => check::field(&mut record, &LOG_RECORD, number, wire, 3)?,
        }
    }
    match (trace_id.len(), span_id.len()) {
        (0 | 16, 0 | 8) => Ok(()),
        _ => Err(Irregular),
    }
}
