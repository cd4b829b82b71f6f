//! The scan of a trace request: `GenAI` spans and those of other dialects with their places, in the order of the bytes.

use bumpalo::Bump;

use crate::dialects::reading::Around;
use crate::dialects::table::DialectSet;
use crate::dialects::DialectNotes;
use crate::meaning::GenAi;
use crate::spans::{self, Field, RawSpan, Value};
use crate::tables::Tables;
use crate::wire::check;
use crate::wire::schema::{EXPORT_TRACE_SERVICE_REQUEST, INSTRUMENTATION_SCOPE, RESOURCE, RESOURCE_SPANS, SCOPE_SPANS};
use crate::wire::splice::Container;
use crate::wire::{Cursor, Irregular, Result, BYTES};

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
    pub change: Option<Change<'a>>,
}

/// What became of a span of another dialect.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    /// Which of [`Scan::removed`] go.
    pub removed: (usize, usize),
    /// The attributes that come.
    pub made: &'a [u8],
}

/// The scan of a request: everything in the order of its bytes.
pub struct Scan<'a> {
    tables: &'a Tables,
    /// Where spans that were normalised stand.
    arena: &'a Bump,
    /// What reading one of them needs; emptied before each.
    scratch: Bump,
    pub notes: DialectNotes,
    pub accepted: u64,
    pub negative_durations: u64,
    pub services: Vec<&'a str>,
    pub containers: Vec<Container>,
    pub found: Vec<Found<'a>>,
    pub replaceable: Vec<Field>,
    /// Places of fields of normalised spans.
    pub removed: Vec<(usize, usize)>,
    /// Spans that were normalised and are no `GenAI` spans.
    pub changed: Vec<(Place, Change<'a>)>,
}

/// Where a span stands.
#[derive(Clone, Copy)]
pub struct Place {
    pub scope: usize,
    pub length_at: usize,
    pub body_at: usize,
    pub body_end: usize,
}

/// What spans share: the places of their resource and their scope, and the dialects that these give away.
#[derive(Clone, Copy, Default)]
struct Home<'a> {
    resource: usize,
    scope: usize,
    known: DialectSet,
    around: Around<'a>,
    /// There were several resources or scopes, which protobuf merges.
    is_merged: bool,
}

impl<'a> Scan<'a> {
    pub fn new(tables: &'a Tables, arena: &'a Bump) -> Self {
        Scan {
            tables,
            arena,
            scratch: Bump::new(),
            notes: DialectNotes::default(),
            accepted: 0,
            negative_durations: 0,
            services: Vec::new(),
            containers: Vec::new(),
            found: Vec::new(),
            replaceable: Vec::new(),
            removed: Vec::new(),
            changed: Vec::new(),
        }
    }

    pub fn request(&mut self, mut request: Cursor<'a>) -> Result<()> {
        let mut raw = RawSpan::default();
        while !request.is_done() {
            match request.tag()? {
                (1, BYTES) => {
                    let container = container(&mut request, self.containers.len(), None)?;
                    self.resource(container, &mut raw)?;
                }
                (number, wire) => check::field(&mut request, &EXPORT_TRACE_SERVICE_REQUEST, number, wire, 0)?,
            }
        }
        Ok(())
    }

    fn resource(&mut self, (container, mut cursor): (Container, Cursor<'a>), raw: &mut RawSpan<'a>) -> Result<()> {
        let index = self.containers.len();
        self.containers.push(container);
        let mut home = Home { resource: self.services.len(), ..Home::default() };
        let mut service = None;
        for message in messages(cursor, 1) {
            let message = message?;
            home.known |= resource_attributes(message, self.tables, &mut service)?;
            home.is_merged |= home.around.resource.replace(message).is_some();
        }
        self.services.push(service.unwrap_or(""));
        while !cursor.is_done() {
            match cursor.tag()? {
                (1, BYTES) => cursor.skip(BYTES)?,
                (2, BYTES) => {
                    let (container, inner) = self::container(&mut cursor, self.containers.len(), Some(index))?;
                    home.scope = self.containers.len();
                    self.containers.push(container);
                    self.spans(inner, home, raw)?;
                }
                (number, wire) => check::field(&mut cursor, &RESOURCE_SPANS, number, wire, 1)?,
            }
        }
        Ok(())
    }

    fn spans(&mut self, mut cursor: Cursor<'a>, mut home: Home<'a>, raw: &mut RawSpan<'a>) -> Result<()> {
        for (index, message) in messages(cursor, 1).enumerate() {
            home.around.scope = scope_name(message?)?;
            home.known |= self.tables.dialects.of_scope(home.around.scope);
            home.is_merged |= index > 0;
        }
        while !cursor.is_done() {
            match cursor.tag()? {
                (1, BYTES) => cursor.skip(BYTES)?,
                (2, BYTES) => {
                    let length_at = cursor.at;
                    self.span(cursor.message()?, length_at, home, raw)?;
                }
                (number, wire) => check::field(&mut cursor, &SCOPE_SPANS, number, wire, 2)?,
            }
        }
        Ok(())
    }

    fn span(&mut self, span: Cursor<'a>, length_at: usize, home: Home<'a>, raw: &mut RawSpan<'a>) -> Result<()> {
        raw.read(span, self.tables)?;
        self.accepted += 1;
        self.negative_durations += u64::from(raw.end < raw.start);
        let change = if home.known != 0 || raw.has_marker { self.normalised(span, home)? } else { None };
        if let Some(Change { removed, made }) = change {
            raw.amend(span, &self.removed[removed.0..removed.1], made, self.tables)?;
        }
        let (scope, body_at, body_end) = (home.scope, span.at, span.end());
        let Some(meaning) = raw.meaning(self.tables)? else {
            let place = Place { scope, length_at, body_at, body_end };
            self.changed.extend(change.map(|change| (place, change)));
            return Ok(());
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
            resource: home.resource,
            scope,
            length_at,
            body_at,
            body_end,
            replaceable: (first, self.replaceable.len()),
            is_repeat: false,
            change,
        });
        Ok(())
    }

    /// What becomes of a span that may speak another dialect; `None` when it stays.
    fn normalised(&mut self, span: Cursor<'a>, home: Home<'a>) -> Result<Option<Change<'a>>> {
        if home.is_merged {
            return Err(Irregular);
        }
        let dialects = &self.tables.dialects;
        let first = self.removed.len();
        let made =
            dialects.normalise(span, home.around, home.known, &mut self.scratch, &mut self.removed, &mut self.notes)?;
        let removed = (first, self.removed.len());
        Ok(made.map(|made| Change { removed, made: self.arena.alloc_slice_copy(&made) }))
    }
}

/// The messages that stand in the fields of this number.
fn messages(mut cursor: Cursor<'_>, number: u32) -> impl Iterator<Item = Result<Cursor<'_>>> {
    std::iter::from_fn(move || {
        while !cursor.is_done() {
            let next = match cursor.tag() {
                Ok(found) if found == (number, BYTES) => Some(cursor.message()),
                Ok((_, wire)) => cursor.skip(wire).err().map(Err),
                Err(irregular) => Some(Err(irregular)),
            };
            if next.is_some() {
                return next;
            }
        }
        None
    })
}

/// The next field's content, in which others stand.
pub fn container<'a>(outer: &mut Cursor<'a>, index: usize, parent: Option<usize>) -> Result<(Container, Cursor<'a>)> {
    let length_at = outer.at;
    let inner = outer.message()?;
    Ok((Container::new(length_at, inner.at, inner.end(), parent.unwrap_or(index)), inner))
}

/// Finds the service's name, the first one, and the dialects that are spoken here.
fn resource_attributes<'a>(
    mut resource: Cursor<'a>,
    tables: &Tables,
    service: &mut Option<&'a str>,
) -> Result<DialectSet> {
    let mut known = 0;
    while !resource.is_done() {
        match resource.tag()? {
            (1, BYTES) => {
                let (key, value) = spans::key_value(resource.message()?, 3)?;
                let text = if let Value::Text(text) = value { text } else { "" };
                if service.is_none() && key == tables.service_name {
                    *service = Some(text);
                }
                known |= tables.dialects.of_resource(key, text);
            }
            (number, wire) => check::field(&mut resource, &RESOURCE, number, wire, 2)?,
        }
    }
    Ok(known)
}

fn scope_name(mut scope: Cursor<'_>) -> Result<&str> {
    let mut name = "";
    while !scope.is_done() {
        match scope.tag()? {
            (1, BYTES) => name = scope.text()?,
            (number, wire) => check::field(&mut scope, &INSTRUMENTATION_SCOPE, number, wire, 3)?,
        }
    }
    Ok(name)
}
