//! What happened in each trace of a request. The twin of `deliver/summary.py`.

use std::collections::HashMap;

use crate::values::any_value::key_value;
use crate::values::plain::Plain;
use crate::wire::{Cursor, Irregular, Result, BYTES, FIXED64, VARINT};

const STATUS_ERROR: u64 = 2;

/// The attributes and the event that are looked for.
#[derive(Default)]
pub struct Words {
    pub service_name: String,
    pub cost_total: String,
    pub failed_checks: String,
    pub evaluation_event: String,
    pub score_label: String,
    pub score_value: String,
    pub feedback_kind: String,
    pub failed_labels: Vec<String>,
}

/// One trace, as far as it is in the request.
#[derive(Debug, Default, PartialEq)]
pub struct Summary<'a> {
    pub trace_id: &'a [u8],
    pub spans: u64,
    pub has_root: bool,
    pub service: &'a str,
    pub is_error: bool,
    pub start: u64,
    pub end: u64,
    pub cost: f64,
    /// The lowest.
    pub feedback: Option<f64>,
    pub evaluation_failed: bool,
}

/// One span.
#[derive(Default)]
struct Span<'a> {
    trace_id: &'a [u8],
    parent_id: &'a [u8],
    start: u64,
    end: u64,
    status: u64,
    cost: Option<f64>,
    checks_failed: bool,
    evaluation_failed: bool,
    feedback: Option<f64>,
}

/// The traces of a request, in the order in which they come.
///
/// # Errors
/// `Irregular` where protobuf would have to merge, or a value is an odd one.
pub fn summaries<'a>(request: &'a [u8], words: &Words) -> Result<Vec<Summary<'a>>> {
    let mut found = Found { words, traces: Vec::new(), by_id: HashMap::new() };
    let mut request = Cursor::new(request);
    while !request.is_done() {
        match request.tag()? {
            (1, BYTES) => found.resource(request.message()?)?,
            (_, wire) => request.skip(wire)?,
        }
    }
    Ok(found.traces)
}

struct Found<'w, 'a> {
    words: &'w Words,
    traces: Vec<Summary<'a>>,
    by_id: HashMap<&'a [u8], usize>,
}

impl<'a> Found<'_, 'a> {
    fn resource(&mut self, mut cursor: Cursor<'a>) -> Result<()> {
        let (mut service, mut has_spans) = ("", false);
        while !cursor.is_done() {
            match cursor.tag()? {
                (1, BYTES) if has_spans => return Err(Irregular),
                (1, BYTES) => self.service(cursor.message()?, &mut service)?,
                (2, BYTES) => {
                    has_spans = true;
                    let mut scope = cursor.message()?;
                    while !scope.is_done() {
                        match scope.tag()? {
                            (2, BYTES) => {
                                let span = self.span(scope.message()?)?;
                                self.add(&span, service);
                            }
                            (_, wire) => scope.skip(wire)?,
                        }
                    }
                }
                (_, wire) => cursor.skip(wire)?,
            }
        }
        Ok(())
    }

    fn service(&self, mut resource: Cursor<'a>, service: &mut &'a str) -> Result<()> {
        while !resource.is_done() {
            match resource.tag()? {
                (1, BYTES) => {
                    let (key, value) = key_value(resource.message()?)?;
                    if key == self.words.service_name {
                        *service = if let Plain::Text(text) = plain(value)? { text } else { "" };
                    }
                }
                (_, wire) => resource.skip(wire)?,
            }
        }
        Ok(())
    }

    fn span(&self, mut cursor: Cursor<'a>) -> Result<Span<'a>> {
        let (mut span, words) = (Span::default(), self.words);
        while !cursor.is_done() {
            match cursor.tag()? {
                (1, BYTES) => span.trace_id = cursor.bytes()?,
                (4, BYTES) => span.parent_id = cursor.bytes()?,
                (7, FIXED64) => span.start = cursor.fixed64()?,
                (8, FIXED64) => span.end = cursor.fixed64()?,
                (9, BYTES) => {
                    let (key, value) = key_value(cursor.message()?)?;
                    if key == words.cost_total {
                        span.cost = Some(if let Plain::Double(cost) = plain(value)? { cost } else { 0.0 });
                    } else if key == words.failed_checks {
                        span.checks_failed = matches!(plain(value)?, Plain::Array(array) if !array.is_done());
                    }
                }
                (11, BYTES) => self.event(cursor.message()?, &mut span)?,
                (15, BYTES) => {
                    let mut status = cursor.message()?;
                    while !status.is_done() {
                        match status.tag()? {
                            (3, VARINT) => span.status = status.varint()? & 0xffff_ffff,
                            (_, wire) => status.skip(wire)?,
                        }
                    }
                }
                (_, wire) => cursor.skip(wire)?,
            }
        }
        Ok(span)
    }

    /// What an evaluation or somebody's feedback says.
    fn event(&self, event: Cursor<'a>, span: &mut Span<'a>) -> Result<()> {
        let (mut cursor, mut name) = (event, "");
        while !cursor.is_done() {
            match cursor.tag()? {
                (2, BYTES) => name = cursor.text()?,
                (_, wire) => cursor.skip(wire)?,
            }
        }
        if name != self.words.evaluation_event {
            return Ok(());
        }
        let (mut cursor, words) = (event, self.words);
        let (mut label, mut score, mut is_feedback) = (Plain::Empty, None, false);
        while !cursor.is_done() {
            match cursor.tag()? {
                (3, BYTES) => {
                    let (key, value) = key_value(cursor.message()?)?;
                    is_feedback |= key == words.feedback_kind;
                    if key == words.score_label {
                        label = plain(value)?;
                    } else if key == words.score_value {
                        score = Some(plain(value)?);
                    }
                }
                (_, wire) => cursor.skip(wire)?,
            }
        }
        if let Plain::Text(label) = label {
            span.evaluation_failed |= words.failed_labels.iter().any(|failed| label.eq_ignore_ascii_case(failed));
        }
        let score = score.map(|score| match score {
            Plain::Double(score) => score,
            Plain::Int(score) => score as f64,
            _ => 0.0,
        });
        if let Some(score) = score.filter(|score| is_feedback && score.is_finite()) {
            span.feedback = Some(span.feedback.map_or(score, |lowest| if score < lowest { score } else { lowest }));
        }
        Ok(())
    }

    fn add(&mut self, span: &Span<'a>, service: &'a str) {
        let index = match self.traces.last() {
            Some(last) if last.trace_id == span.trace_id => self.traces.len() - 1,
            _ => *self.by_id.entry(span.trace_id).or_insert(self.traces.len()),
        };
        if index == self.traces.len() {
            self.traces.push(Summary { trace_id: span.trace_id, ..Summary::default() });
        }
        let trace = &mut self.traces[index];
        let is_root = span.parent_id.is_empty();
        trace.spans += 1;
        if trace.service.is_empty() || is_root {
            trace.service = service;
        }
        trace.has_root |= is_root;
        trace.is_error |= span.status == STATUS_ERROR;
        trace.start = if trace.start == 0 { span.start } else { trace.start.min(span.start) };
        trace.end = trace.end.max(span.end);
        if let Some(cost) = span.cost {
            trace.cost += cost;
        }
        trace.evaluation_failed |= span.checks_failed || span.evaluation_failed;
        if let Some(score) = span.feedback {
            trace.feedback = Some(trace.feedback.map_or(score, |lowest| if score < lowest { score } else { lowest }));
        }
    }
}

fn plain(value: Option<Cursor<'_>>) -> Result<Plain<'_>> {
    value.map_or(Ok(Plain::Empty), Plain::read)
}
