//! What a span says: its own fields, and the attributes that the engine knows.

use crate::tables::{Known, Slot, Tables};
use crate::wire::check;
use crate::wire::schema::{ANY_VALUE, ARRAY_VALUE, KEY_VALUE, KEY_VALUE_LIST, SPAN, SPAN_EVENT, STATUS};
use crate::wire::{Cursor, Irregular, Result, BYTES, FIXED64, VARINT};

const STATUS_CODE_ERROR: u64 = 2;
/// How deep a span lies in a request.
pub const SPAN_DEPTH: u32 = 3;

/// An attribute value, as far as the engine distinguishes them.
#[derive(Clone, Copy, Debug, Default)]
pub enum Value<'a> {
    #[default]
    Absent,
    Text(&'a str),
    Int(i64),
    Double(f64),
    True,
    Array(Cursor<'a>),
    List(Cursor<'a>),
    Other,
}

/// A field of a span that may have to go, with its place in the request.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub slot: Slot,
    pub from: usize,
    pub to: usize,
    /// It stands among the attributes that were made of another dialect's, and its place counts there.
    pub is_made: bool,
}

/// The value of each slot.
struct Values<'a>([Value<'a>; Slot::ALL.len()]);

impl Default for Values<'_> {
    fn default() -> Self {
        Values([Value::Absent; Slot::ALL.len()])
    }
}

/// One span's own fields and the attributes that have a slot. Made once and filled again for each span.
#[derive(Default)]
pub struct RawSpan<'a> {
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub parent_id: &'a [u8],
    pub start: u64,
    pub end: u64,
    pub is_error: bool,
    values: Values<'a>,
    /// Whether any attribute with a slot was there.
    pub is_touched: bool,
    /// One of its attributes gives away a dialect.
    pub has_marker: bool,
    /// Attributes that the engine may replace.
    pub replaceable: Vec<Field>,
}

impl<'a> RawSpan<'a> {
    /// Reads a whole span.
    ///
    /// # Errors
    /// `Irregular` when protobuf might not read it, or when no backend could store it.
    pub fn read(&mut self, mut span: Cursor<'a>, tables: &Tables) -> Result<()> {
        self.clear();
        while !span.is_done() {
            let from = span.at;
            let (number, wire) = span.tag()?;
            match (number, wire) {
                (1, BYTES) => self.trace_id = span.bytes()?,
                (2, BYTES) => self.span_id = span.bytes()?,
                (4, BYTES) => self.parent_id = span.bytes()?,
                (7, FIXED64) => self.start = span.fixed64()?,
                (8, FIXED64) => self.end = span.fixed64()?,
                (9, BYTES) => {
                    let (key, value) = key_value(span.message()?, SPAN_DEPTH + 1)?;
                    if let Some(known) = tables.keys.find(key) {
                        self.has_marker |= known.is_marker;
                        self.keep(value, Field { slot: known.slot, from, to: span.at, is_made: false });
                    }
                }
                (11, BYTES) => self::event(span.message()?, tables)?,
                (15, BYTES) => self.read_status(span.message()?)?,
                _ => check::field(&mut span, &SPAN, number, wire, SPAN_DEPTH)?,
            }
        }
        if is_id(self.trace_id, 16) && is_id(self.span_id, 8) && matches!(self.parent_id.len(), 0 | 8) {
            Ok(())
        } else {
            Err(Irregular)
        }
    }

    fn clear(&mut self) {
        (self.trace_id, self.span_id, self.parent_id) = (&[], &[], &[]);
        (self.start, self.end, self.is_error, self.has_marker) = (0, 0, false, false);
        if self.is_touched {
            self.values.0.fill(Value::Absent);
            self.replaceable.clear();
            self.is_touched = false;
        }
    }

    #[inline]
    fn keep(&mut self, value: Value<'a>, field: Field) {
        self.is_touched = true;
        self.values.0[field.slot as usize] = value;
        if matches!(field.slot, Slot::Written | Slot::Input | Slot::Output) {
            self.replaceable.push(field);
        }
    }

    /// Takes over what changed on `span`, which was read: the fields that are `removed`, and the attributes that were `made`.
    ///
    /// # Errors
    /// As `read`.
    pub fn amend(
        &mut self,
        span: Cursor<'a>,
        removed: &[(usize, usize)],
        made: &'a [u8],
        tables: &Tables,
    ) -> Result<()> {
        self.replaceable.retain(|field| !removed.contains(&(field.from, field.to)));
        for (from, _) in removed {
            if let (Some(known), ..) = attribute(&mut span.moved_to(*from), tables)? {
                self.values.0[known.slot as usize] = Value::Absent;
            }
        }
        let mut made = Cursor::new(made);
        while !made.is_done() {
            let from = made.at;
            if let (Some(known), value) = attribute(&mut made, tables)? {
                self.keep(value, Field { slot: known.slot, from, to: made.at, is_made: true });
            }
        }
        Ok(())
    }

    fn read_status(&mut self, mut status: Cursor<'a>) -> Result<()> {
        while !status.is_done() {
            match status.tag()? {
                (3, VARINT) => self.is_error = status.varint()? & 0xffff_ffff == STATUS_CODE_ERROR,
                (number, wire) => check::field(&mut status, &STATUS, number, wire, SPAN_DEPTH + 1)?,
            }
        }
        Ok(())
    }

    /// The value of a slot.
    pub fn value(&self, slot: Slot) -> Value<'a> {
        self.values.0[slot as usize]
    }

    /// A string attribute; "" when absent or of another type.
    pub fn text(&self, slot: Slot) -> &'a str {
        match self.value(slot) {
            Value::Text(text) => text,
            _ => "",
        }
    }
}

/// Checks a span's event. The result of an evaluation is the reference's, which measures it.
fn event(mut event: Cursor<'_>, tables: &Tables) -> Result<()> {
    while !event.is_done() {
        match event.tag()? {
            (2, BYTES) if event.text()? == tables.evaluation_event => return Err(Irregular),
            (2, BYTES) => {}
            (number, wire) => check::field(&mut event, &SPAN_EVENT, number, wire, SPAN_DEPTH + 1)?,
        }
    }
    Ok(())
}

/// Reads a span's attribute field: what its key is to the engine, and its value.
fn attribute<'a>(span: &mut Cursor<'a>, tables: &Tables) -> Result<(Option<Known>, Value<'a>)> {
    span.tag()?;
    let (key, value) = key_value(span.message()?, SPAN_DEPTH + 1)?;
    Ok((tables.keys.find(key), value))
}

fn is_id(id: &[u8], length: usize) -> bool {
    id.len() == length && id.iter().any(|byte| *byte != 0)
}

/// An attribute's key and value, all of it checked.
///
/// # Errors
/// `Irregular` when protobuf would refuse it or would have to merge two values.
pub fn key_value(mut field: Cursor<'_>, depth: u32) -> Result<(&str, Value<'_>)> {
    let mut key = "";
    let mut value = Value::Absent;
    let mut seen = false;
    while !field.is_done() {
        match field.tag()? {
            (1, BYTES) => key = field.text()?,
            (2, BYTES) if seen => return Err(Irregular),
            (2, BYTES) => {
                seen = true;
                value = any_value(field.message()?, depth + 1)?;
            }
            (number, wire) => check::field(&mut field, &KEY_VALUE, number, wire, depth)?,
        }
    }
    Ok((key, value))
}

pub fn any_value(mut field: Cursor<'_>, depth: u32) -> Result<Value<'_>> {
    let mut value = Value::Absent;
    while !field.is_done() {
        match field.tag()? {
            (1, BYTES) => value = Value::Text(field.text()?),
            (2, VARINT) => value = if field.varint()? == 0 { Value::Other } else { Value::True },
            (3, VARINT) => value = Value::Int(field.varint()?.cast_signed()),
            (4, FIXED64) => value = Value::Double(f64::from_bits(field.fixed64()?)),
            (5, BYTES) if matches!(value, Value::Array(_)) => return Err(Irregular),
            (5, BYTES) => {
                let array = field.message()?;
                check::message(array, &ARRAY_VALUE, depth + 1)?;
                value = Value::Array(array);
            }
            (6, BYTES) if matches!(value, Value::List(_)) => return Err(Irregular),
            (6, BYTES) => {
                let list = field.message()?;
                check::message(list, &KEY_VALUE_LIST, depth + 1)?;
                value = Value::List(list);
            }
            (number, wire) => {
                check::field(&mut field, &ANY_VALUE, number, wire, depth)?;
                if matches!((number, wire), (8, VARINT) | (7, BYTES)) {
                    value = Value::Other;
                }
            }
        }
    }
    Ok(value)
}

/// The values in an array that was checked.
pub fn values(array: Cursor<'_>) -> Result<Vec<Value<'_>>> {
    parts(array).into_iter().map(|part| any_value(part?, SPAN_DEPTH)).collect()
}

/// The keys and values of a list that was checked.
pub fn pairs(list: Cursor<'_>) -> Result<Vec<(&str, Value<'_>)>> {
    parts(list).into_iter().map(|part| key_value(part?, SPAN_DEPTH)).collect()
}

/// The messages in the first field of another.
fn parts(mut of: Cursor<'_>) -> Vec<Result<Cursor<'_>>> {
    let mut found = Vec::new();
    while !of.is_done() {
        match of.tag() {
            Ok((1, BYTES)) => found.push(of.message()),
            Ok((_, wire)) if of.skip(wire).is_ok() => {}
            _ => return vec![Err(Irregular)],
        }
    }
    found
}

pub fn elements(mut array: Cursor<'_>) -> Result<u64> {
    let mut count = 0;
    while !array.is_done() {
        let (number, wire) = array.tag()?;
        count += u64::from((number, wire) == (1, BYTES));
        array.skip(wire)?;
    }
    Ok(count)
}
