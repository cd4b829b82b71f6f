//! What a destination's profile does to one span.

use crate::profile::names::Names;
use crate::profile::root::Lifted;
use crate::profile::rules::{Id, Number, Patterns, Place, Rules, Source};
use crate::profile::scan::{filled, value_of, Attribute, Range, Resource, Span, Visitor};
use crate::values::plain::{push_json_text, Plain};
use crate::wire::edits::{Edits, Frame};
use crate::wire::splice::Container;
use crate::wire::{push_field, push_varint, varint_size, Cursor, Irregular, Result, BYTES, FIXED64};

const ATTRIBUTES: u8 = 9; // of a span

/// An attribute as it leaves.
struct Item {
    id: Option<Id>,
    /// Which attribute it was; `None` when it is added.
    of: Option<usize>,
    /// Its field, encoded anew; `None` when it is as it was.
    made: Option<Range>,
    is_moved: bool,
}

/// What becomes of a value.
enum Value {
    Stays,
    Gone,
    Made(Vec<u8>),
}

/// The attributes of a span that other dialects' own backends read.
struct Originals<'r> {
    dialects: Vec<&'r Patterns>,
    carried: Patterns,
}

/// Edits one span after the other.
pub struct Editor<'a> {
    pub edits: Edits,
    request: &'a [u8],
    rules: &'a Rules,
    lifted: Lifted<'a>,
    spans: usize,
    /// The attributes of the span, and behind them what was put on it as a root.
    own: Vec<Attribute<'a>>,
    items: Vec<Item>,
    names: Names,
    /// Parts of what is added: attributes of every resource, and a resource that has no others.
    fields: Range,
    whole: Range,
}

impl<'a> Visitor<'a> for Editor<'a> {
    const CHECKS: bool = true;

    fn span(&mut self, span: &Span<'a>, attributes: &[Attribute<'a>], resource: &Resource<'a>) -> Result<()> {
        self.own.clear();
        self.own.extend_from_slice(attributes);
        let lifted = self.lifted.get(&self.spans).map_or(&[][..], Vec::as_slice);
        self.own.extend_from_slice(lifted);
        self.spans += 1;
        self.items.clear();
        self.names.clear();
        let rules = self.rules;
        let mut is_changed = !lifted.is_empty();
        let added = self.added(resource)?;
        let originals = if rules.drops_originals() { self.originals()? } else { None };
        is_changed |= !added.is_empty();
        for index in 0..self.own.len() {
            is_changed |= self.attribute(index, &added, originals.as_ref())?;
        }
        for &(id, made) in &added {
            self.items.push(Item { id: Some(id), of: None, made: Some(made), is_moved: false });
        }
        for id in &rules.last {
            is_changed |= self.move_last(*id);
        }
        if is_changed {
            self.write(span, attributes.len());
        }
        Ok(())
    }

    /// Sets what the profile wants on every resource.
    fn resource(&mut self, resource: &Resource<'a>, container: &Container) {
        if self.rules.resource.is_empty() {
            return;
        }
        let Some((length_at, body)) = resource.place else {
            self.edits.insert(container.body_at, self.whole, resource.container);
            return;
        };
        let mark = self.edits.mark();
        for one in &resource.attributes {
            if self.rules.resource.iter().any(|(key, _)| key == one.key) {
                self.edits.replace(one.field.0, one.field.1, (0, 0));
            }
        }
        self.edits.replace(body.1, body.1, self.fields);
        self.edits.close(Frame { length_at, body_at: body.0, end: body.1, container: resource.container }, mark);
    }
}

impl<'a> Editor<'a> {
    pub fn new(request: &'a [u8], rules: &'a Rules, lifted: Lifted<'a>) -> Self {
        let mut edits = Edits::default();
        let fields: Vec<u8> = rules.resource.iter().flat_map(|(_, field)| field).copied().collect();
        push_field(&mut edits.added, 1, &fields);
        let end = edits.added.len();
        Editor {
            edits,
            request,
            rules,
            lifted,
            spans: 0,
            own: Vec::new(),
            items: Vec::new(),
            names: Names::default(),
            fields: (end - fields.len(), end),
            whole: (0, end),
        }
    }

    /// Decides about one attribute; whether that changes anything.
    fn attribute(&mut self, index: usize, added: &[(Id, Range)], originals: Option<&Originals<'_>>) -> Result<bool> {
        let (one, rules) = (self.own[index], self.rules);
        let is_added = |id: Option<Id>| added.iter().any(|(name, _)| Some(*name) == id);
        let place = rules.place(one.key, one.id);
        if place == Place::Gone || is_added(one.id) || originals.is_some_and(|originals| originals.fit(one.key)) {
            return Ok(true);
        }
        let (mut id, mut name) = (one.id, None);
        if let Place::Renamed(head, skipped) = place {
            let made = self.names.make(head, &one.key[skipped..]);
            if self.names.get(made) != one.key {
                id = rules.find(self.names.get(made));
                if is_added(id) || !self.names.keep(made, &self.own) {
                    return Ok(true);
                }
                name = Some(made);
            }
        }
        let number = rules.number(name.map_or(one.key, |name| self.names.get(name)), id);
        let made = match self.value(&one, number)? {
            Value::Gone => return Ok(true),
            Value::Stays if name.is_none() => None,
            Value::Stays => Some(self.encoded(&one, name, None)),
            Value::Made(value) => Some(self.encoded(&one, name, Some(&value))),
        };
        self.items.push(Item { id, of: Some(index), made, is_moved: false });
        Ok(made.is_some())
    }

    fn value(&self, one: &Attribute<'a>, number: Option<Number>) -> Result<Value> {
        let Some(range) = one.value else {
            return Ok(if number.is_some() { Value::Gone } else { Value::Stays });
        };
        if number.is_none() && !(self.rules.arrays_as_json && is_nested(self.cursor(range))?) {
            return Ok(Value::Stays);
        }
        let plain = Plain::read(self.cursor(range))?;
        Ok(match (number, plain) {
            (Some(Number::Int), Plain::Int(_)) | (Some(Number::Double), Plain::Double(_)) => Value::Stays,
            (Some(Number::Int), _) => plain.whole()?.map_or(Value::Gone, |whole| {
                let mut value = vec![3 << 3];
                push_varint(&mut value, whole.cast_unsigned());
                Value::Made(value)
            }),
            (Some(Number::Double), _) => plain.number()?.map_or(Value::Gone, |double| {
                let mut value = vec![(4 << 3 | FIXED64) as u8];
                value.extend_from_slice(&double.to_le_bytes());
                Value::Made(value)
            }),
            (None, _) => {
                let mut text = Vec::new();
                plain.push_json(&mut text, 0)?;
                Value::Made(string_value(&text))
            }
        })
    }

    fn cursor(&self, (from, to): Range) -> Cursor<'a> {
        let mut cursor = Cursor::new(&self.request[..to]);
        cursor.at = from;
        cursor
    }

    /// An attribute with a new name or a new value; its other fields stay.
    fn encoded(&mut self, one: &Attribute<'a>, name: Option<Range>, value: Option<&[u8]>) -> Range {
        let name = name.map_or(one.key, |name| self.names.get(name));
        let value = value.or_else(|| one.value.map(|(from, to)| &self.request[from..to]));
        let others = other_fields(self.cursor(one.field));
        push_attribute(&mut self.edits.added, name, value, &others)
    }

    /// What is added to the span, encoded.
    fn added(&mut self, resource: &Resource<'a>) -> Result<Vec<(Id, Range)>> {
        let rules = self.rules;
        let mut added = Vec::new();
        for (id, source) in &rules.adds {
            let of_resource;
            let value = match source {
                Source::Span(names) => match names.iter().find_map(|id| value_of(*id, &self.own)) {
                    Some(value) => filled(value).map(|(from, to)| &self.request[from..to])?,
                    None => continue,
                },
                Source::Resource(name) => match self.of_resource(resource, *name)? {
                    Some(value) => value,
                    None => continue,
                },
                Source::Json(parts) => match self.json(parts)? {
                    Some(text) => {
                        of_resource = string_value(&text);
                        &of_resource
                    }
                    None => continue,
                },
            };
            let name = &rules.named[*id as usize].name;
            added.push((*id, push_attribute(&mut self.edits.added, name, Some(value), &[])));
        }
        Ok(added)
    }

    /// The encoded value of an attribute of the span's resource.
    fn of_resource(&self, resource: &Resource<'a>, name: Id) -> Result<Option<&'a [u8]>> {
        let rules = self.rules;
        let key = &rules.named[name as usize].name;
        if let Some((_, value)) = rules.resource_values.iter().find(|(set, _)| set == key) {
            return Ok(Some(value));
        }
        let found = value_of(name, &resource.attributes);
        found.map(|value| filled(value).map(|(from, to)| &self.request[from..to])).transpose()
    }

    /// A JSON object of attributes of the span; none without any.
    fn json(&self, parts: &[(String, Id)]) -> Result<Option<Vec<u8>>> {
        let mut text = Vec::new();
        for (part, id) in parts {
            let Some(value) = value_of(*id, &self.own) else { continue };
            text.extend_from_slice(if text.is_empty() { b"{" } else { b", " });
            push_json_text(&mut text, part);
            text.extend_from_slice(b": ");
            let plain = value.map_or(Ok(Plain::Empty), |range| Plain::read(self.cursor(range)))?;
            plain.push_json(&mut text, 0)?;
        }
        if text.is_empty() {
            return Ok(None);
        }
        text.push(b'}');
        Ok(Some(text))
    }

    fn originals(&self) -> Result<Option<Originals<'a>>> {
        let rules = self.rules;
        let [names, carried] = [rules.dialect_names, rules.dialect_carried].map(|id| value_of(id, &self.own));
        if names.is_none() && carried.is_none() {
            return Ok(None);
        }
        let texts = |value: Option<Option<Range>>| value.flatten().map_or(Ok(Vec::new()), |at| texts(self.cursor(at)));
        Ok(Some(Originals {
            dialects: texts(names)?.into_iter().filter_map(|name| rules.originals_of(name)).collect(),
            carried: Patterns::new(&texts(carried)?),
        }))
    }

    /// Puts the first attribute of this name behind all others; whether it stood elsewhere.
    fn move_last(&mut self, id: Id) -> bool {
        match self.items.iter().position(|item| item.id == Some(id)) {
            Some(place) if place + 1 < self.items.len() => {
                let item = self.items.remove(place);
                self.items.push(Item { is_moved: true, ..item });
                true
            }
            _ => false,
        }
    }

    /// Lays down the edits: in the places of the first attributes, which stood in the span, and behind it.
    fn write(&mut self, span: &Span<'a>, stood: usize) {
        let mark = self.edits.mark();
        let items = std::mem::take(&mut self.items);
        let in_place = |item: &&Item| !item.is_moved && item.of.is_some_and(|index| index < stood);
        let mut staying = items.iter().filter(in_place).peekable();
        for (index, one) in self.own[..stood].iter().enumerate() {
            match staying.next_if(|item| item.of == Some(index)) {
                Some(Item { made: None, .. }) => {}
                Some(Item { made: Some(made), .. }) => self.edits.replace(one.field.0, one.field.1, *made),
                None => self.edits.replace(one.field.0, one.field.1, (0, 0)),
            }
        }
        let (body_at, end) = span.body;
        for item in items.iter().filter(|item| !in_place(item)) {
            let made = match (item.made, item.of) {
                (Some(made), _) => made,
                (None, Some(index)) => self.encoded(&self.own[index].clone(), None, None),
                (None, None) => continue,
            };
            self.edits.replace(end, end, made);
        }
        self.edits.close(Frame { length_at: span.length_at, body_at, end, container: span.scope }, mark);
        self.items = items;
    }
}

impl Originals<'_> {
    fn fit(&self, key: &str) -> bool {
        self.carried.fit(key) || self.dialects.iter().any(|patterns| patterns.fit(key))
    }
}

/// Whether a value is a list or a map.
fn is_nested(mut value: Cursor<'_>) -> Result<bool> {
    if value.is_done() {
        return Ok(false);
    }
    let (number, wire) = value.tag()?;
    value.skip(wire)?;
    if value.is_done() {
        Ok(matches!((number, wire), (5 | 6, BYTES)))
    } else {
        Err(Irregular)
    }
}

/// The texts of a list; "" for what is no text in it.
fn texts(value: Cursor<'_>) -> Result<Vec<&str>> {
    let Plain::Array(mut array) = Plain::read(value)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    while !array.is_done() {
        let (1, BYTES) = array.tag()? else { return Err(Irregular) };
        found.push(if let Plain::Text(text) = Plain::read(array.message()?)? { text } else { "" });
    }
    Ok(found)
}

fn string_value(text: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(text.len() + 4);
    push_field(&mut value, 1, text);
    value
}

/// Appends an attribute's field; where it stands.
fn push_attribute(target: &mut Vec<u8>, name: &str, value: Option<&[u8]>, other_fields: &[u8]) -> Range {
    let size = |length: usize| 1 + varint_size(length as u64) + length;
    let length = size(name.len()) + value.map_or(0, |value| size(value.len())) + other_fields.len();
    let from = target.len();
    target.push(ATTRIBUTES << 3 | BYTES as u8);
    push_varint(target, length as u64);
    push_field(target, 1, name.as_bytes());
    if let Some(value) = value {
        push_field(target, 2, value);
    }
    target.extend_from_slice(other_fields);
    (from, target.len())
}

/// The fields of an attribute that are neither key nor value. It was read before: nothing in it is odd.
fn other_fields(mut field: Cursor<'_>) -> Vec<u8> {
    let mut found = Vec::new();
    if field.is_done() || field.tag().is_err() {
        return found;
    }
    let Ok(mut inner) = field.message() else { return found };
    while !inner.is_done() {
        let rest = inner.rest();
        let Ok((number, wire)) = inner.tag() else { break };
        if inner.skip(wire).is_err() {
            break;
        }
        if !matches!((number, wire), (1 | 2, BYTES)) {
            found.extend_from_slice(&rest[..rest.len() - inner.rest().len()]);
        }
    }
    found
}
