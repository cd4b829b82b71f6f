//! The scan of a trace request: `GenAI` spans and those of other dialects with their places, in the order of the bytes.

use std::collections::HashMap;

use crate::check;
use crate::schema::{EXPORT_TRACE_SERVICE_REQUEST, INSTRUMENTATION_SCOPE, RESOURCE, RESOURCE_SPANS, SCOPE_SPANS};
use crate::spans::{self, Field, GenAi, RawSpan, Value};
use crate::splice::Container;
use crate::tables::Tables;
use crate::wire::{Cursor, Irregular, Result, BYTES};

/// A span that speaks another dialect, with its surroundings: places of what stands in their fields.
#[derive(Clone, Copy, Debug)]
pub struct Foreign {
    pub resource: (usize, usize),
    pub scope: (usize, usize),
    pub span: (usize, usize),
}

/// Spans that were normalised outside, by the place where their content begins.
pub type Replacements = HashMap<usize, Vec<u8>>;

/// A `GenAI` span with its place in the request.
pub struct Found<'a> {
    pub meaning: GenAi<'a>,
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub parent_id: &'a [u8],
    pub start: u64,
    pub end: u64,
    pub resource: usize,
    pub scope: usize,
    pub length_at: usize,
    pub body_at: usize,
    pub body_end: usize,
    pub replaceable: (usize, usize),
    /// The very span was counted before.
    pub is_repeat: bool,
    /// What stands in the place of its bytes; `replaceable` counts in it.
    pub replaced: Option<&'a [u8]>,
}

/// The scan of a request: everything in the order of its bytes.
#[derive(Default)]
pub struct Scan<'a> {
    pub accepted: u64,
    pub negative_durations: u64,
    pub services: Vec<&'a str>,
    pub containers: Vec<Container>,
    pub found: Vec<Found<'a>>,
    pub replaceable: Vec<Field>,
    pub foreign: Vec<Foreign>,
    /// `None` in the pass that looks for dialects.
    pub replacements: Option<&'a Replacements>,
    /// Spans that were normalised and are no `GenAI` spans: their places, the scope and the new content.
    pub replaced: Vec<(Place, &'a [u8])>,
}

/// Where a span stands.
#[derive(Clone, Copy)]
pub struct Place {
    pub scope: usize,
    pub length_at: usize,
    pub body_at: usize,
    pub body_end: usize,
}

impl<'a> Scan<'a> {
    pub fn request(&mut self, mut request: Cursor<'a>, tables: &'a Tables) -> Result<()> {
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
