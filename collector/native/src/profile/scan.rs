//! The spans of a request with all their attributes, for what a destination's profile does to them.

use crate::profile::rules::{Id, Rules};
use crate::scan::container;
use crate::wire::check;
use crate::wire::schema::{
    ANY_VALUE, EXPORT_TRACE_SERVICE_REQUEST, KEY_VALUE, RESOURCE, RESOURCE_SPANS, SCOPE_SPANS, SPAN,
};
use crate::wire::splice::Container;
use crate::wire::{Cursor, Irregular, Result, BYTES, FIXED64};

const RESOURCE_DEPTH: u32 = 2;
const SPAN_DEPTH: u32 = 3;

/// Where something stands in the request.
pub type Range = (usize, usize);

#[derive(Clone, Copy, Debug)]
pub struct Attribute<'a> {
    /// The whole field.
    pub field: Range,
    pub key: &'a str,
    /// The content of its `AnyValue`.
    pub value: Option<Range>,
    /// What the profile calls it.
    pub id: Option<Id>,
}

/// What a span says of itself, apart from its attributes.
pub struct Span<'a> {
    pub trace_id: &'a [u8],
    pub is_root: bool,
    pub start: u64,
    pub end: u64,
    pub scope: usize,
    pub length_at: usize,
    pub body: Range,
}

/// The resource of the spans that follow.
#[derive(Default)]
pub struct Resource<'a> {
    pub container: usize,
    /// Where its field has its length and its content; `None` where there is no such field.
    pub place: Option<(usize, Range)>,
    pub attributes: Vec<Attribute<'a>>,
}

/// Who is shown a request.
pub trait Visitor<'a> {
    /// Whether all of it is checked; `false` in a look that another follows.
    const CHECKS: bool;

    /// # Errors
    /// `Irregular` when the reference has to look at the request.
    fn span(&mut self, span: &Span<'a>, attributes: &[Attribute<'a>], resource: &Resource<'a>) -> Result<()>;

    /// A resource level is over.
    fn resource(&mut self, resource: &Resource<'a>, container: &Container);
}

/// Walks through a request.
pub struct Walk<'r, 'a, V> {
    rules: &'r Rules,
    pub visitor: V,
    pub containers: Vec<Container>,
    resource: Resource<'a>,
    attributes: Vec<Attribute<'a>>,
}

impl<'r, 'a, V: Visitor<'a>> Walk<'r, 'a, V> {
    pub fn new(rules: &'r Rules, visitor: V) -> Self {
        let (containers, attributes) = (Vec::new(), Vec::new());
        Walk { rules, visitor, containers, resource: Resource::default(), attributes }
    }

    /// Shows a whole request.
    ///
    /// # Errors
    /// `Irregular` when protobuf might not read it or would have to merge something, and when the attributes of a
    /// resource come too late.
    pub fn request(&mut self, request: &'a [u8]) -> Result<()> {
        let mut request = Cursor::new(request);
        while !request.is_done() {
            match request.tag()? {
                (1, BYTES) => {
                    let (made, inner) = container(&mut request, self.containers.len(), None)?;
                    self.containers.push(made);
                    self.resource_spans(inner)?;
                }
                (number, wire) => check::field(&mut request, &EXPORT_TRACE_SERVICE_REQUEST, number, wire, 0)?,
            }
        }
        Ok(())
    }

    fn resource_spans(&mut self, mut cursor: Cursor<'a>) -> Result<()> {
        let index = self.containers.len() - 1;
        self.resource.container = index;
        self.resource.place = None;
        self.resource.attributes.clear();
        let is_asked = self.rules.reads_resource || !self.rules.resource.is_empty();
        let mut has_spans = false;
        while !cursor.is_done() {
            match cursor.tag()? {
                (1, BYTES) => {
                    let length_at = cursor.at;
                    let message = cursor.message()?;
                    if self.resource.place.is_some() || (is_asked && has_spans) {
                        return Err(Irregular);
                    }
                    self.resource.place = Some((length_at, (message.at, message.end())));
                    resource_attributes(message, self.rules, &mut self.resource.attributes)?;
                }
                (2, BYTES) => {
                    has_spans = true;
                    let (made, inner) = container(&mut cursor, self.containers.len(), Some(index))?;
                    self.containers.push(made);
                    self.scope_spans(inner)?;
                }
                (number, wire) => check::field(&mut cursor, &RESOURCE_SPANS, number, wire, 1)?,
            }
        }
        self.visitor.resource(&self.resource, &self.containers[index]);
        Ok(())
    }

    fn scope_spans(&mut self, mut cursor: Cursor<'a>) -> Result<()> {
        let scope = self.containers.len() - 1;
        while !cursor.is_done() {
            match cursor.tag()? {
                (2, BYTES) => {
                    let length_at = cursor.at;
                    let message = cursor.message()?;
                    let span = self.span(message, length_at, scope)?;
                    self.visitor.span(&span, &self.attributes, &self.resource)?;
                }
                (number, wire) => check::field(&mut cursor, &SCOPE_SPANS, number, wire, 2)?,
            }
        }
        Ok(())
    }

    fn span(&mut self, mut cursor: Cursor<'a>, length_at: usize, scope: usize) -> Result<Span<'a>> {
        let body = (cursor.at, cursor.end());
        let mut span = Span { trace_id: &[], is_root: true, start: 0, end: 0, scope, length_at, body };
        self.attributes.clear();
        while !cursor.is_done() {
            let from = cursor.at;
            match cursor.tag()? {
                (1, BYTES) => span.trace_id = cursor.bytes()?,
                (4, BYTES) => span.is_root = cursor.bytes()?.is_empty(),
                (7, FIXED64) => span.start = cursor.fixed64()?,
                (8, FIXED64) => span.end = cursor.fixed64()?,
                (9, BYTES) => {
                    let inner = cursor.message()?;
                    self.attributes.push(attribute(inner, from, self.rules, V::CHECKS, SPAN_DEPTH + 1)?);
                }
                (number, wire) if V::CHECKS => check::field(&mut cursor, &SPAN, number, wire, SPAN_DEPTH)?,
                (_, wire) => cursor.skip(wire)?,
            }
        }
        Ok(span)
    }
}

/// The value of the last attribute of this name.
#[inline]
pub fn value_of(id: Id, attributes: &[Attribute<'_>]) -> Option<Option<Range>> {
    attributes.iter().rev().find(|one| one.id == Some(id)).map(|one| one.value)
}

/// A value that is copied.
///
/// # Errors
/// `Irregular` for one that is not there: whether protobuf writes it depends on more than what it says.
pub fn filled(value: Option<Range>) -> Result<Range> {
    value.filter(|(from, to)| to > from).ok_or(Irregular)
}

fn resource_attributes<'a>(mut cursor: Cursor<'a>, rules: &Rules, found: &mut Vec<Attribute<'a>>) -> Result<()> {
    while !cursor.is_done() {
        let from = cursor.at;
        match cursor.tag()? {
            (1, BYTES) => found.push(attribute(cursor.message()?, from, rules, true, RESOURCE_DEPTH + 1)?),
            (number, wire) => check::field(&mut cursor, &RESOURCE, number, wire, RESOURCE_DEPTH)?,
        }
    }
    Ok(())
}

/// An attribute whose field begins at `from`.
#[inline]
fn attribute<'a>(
    mut cursor: Cursor<'a>,
    from: usize,
    rules: &Rules,
    checks: bool,
    depth: u32,
) -> Result<Attribute<'a>> {
    let field = (from, cursor.end());
    let (mut key, mut value) = (None, None);
    while !cursor.is_done() {
        match cursor.tag()? {
            (1, BYTES) if key.is_none() => key = Some(cursor.text()?),
            (2, BYTES) if value.is_none() => {
                let message = cursor.message()?;
                if checks {
                    check::message(message, &ANY_VALUE, depth + 1)?;
                }
                value = Some((message.at, message.end()));
            }
            (1 | 2, BYTES) => return Err(Irregular),
            (number, wire) => check::field(&mut cursor, &KEY_VALUE, number, wire, depth)?,
        }
    }
    let key = key.unwrap_or("");
    Ok(Attribute { field, key, value, id: rules.find(key) })
}
