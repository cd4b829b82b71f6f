//! What content is made of, redacted and bounded: the values of attributes and the bodies of log records.

use std::borrow::Cow;

use bumpalo::Bump;

use crate::content::bounds::{Bounded, Bounder};
use crate::content::Pass;
use crate::values::any_value;
use crate::wire::patch::Patch;
use crate::wire::{push_field, varint_size, Cursor, Irregular, Result, BYTES, FIXED64, VARINT};

const MAX_LEVELS: i32 = 64; // of nested values; deeper ones are cut there where they become text

impl Pass<'_, '_> {
    /// Redacts and bounds what stands under `key`; what is cut is told in `marks`.
    pub(crate) fn content(&mut self, key: &str, value: Cursor<'_>, marks: &mut Vec<String>) -> Result<()> {
        let rules = self.rules;
        let (Some(bounder), Some(field)) = (&rules.bounder, Field::set_in(value)?) else {
            return self.value(value);
        };
        let cut = match field.number {
            TEXT | INT => {
                let given = field.text()?;
                let redacted = self.redacted(&given)?;
                if field.number == INT && redacted.is_none() {
                    return Ok(());
                }
                let text = redacted.as_deref().unwrap_or(&given);
                let cut = bounder.bound(text)?;
                if let (None, Some(redacted)) = (&cut, &redacted) {
                    self.put(&field, TEXT, redacted);
                }
                cut
            }
            LIST | MAP => {
                let redacted = self.nested(value)?;
                let cut = bound_nested(bounder, redacted.as_deref().unwrap_or(value.rest()))?;
                if let (None, Some(redacted)) = (&cut, &redacted) {
                    self.patch.replace(value.at, value.end(), redacted);
                }
                cut
            }
            _ => return self.value(value),
        };
        if let Some(Bounded { text, size, sha256 }) = cut {
            self.put(&field, TEXT, &text);
            marks.push(format!("{key} {size} {sha256}"));
        }
        Ok(())
    }

    /// A list or mapping with what stands in it redacted; `None` where it stays.
    fn nested(&mut self, value: Cursor<'_>) -> Result<Option<Vec<u8>>> {
        let bytes = value.rest();
        let mut pass = Pass { rules: self.rules, patch: Patch::default(), found: &mut *self.found };
        pass.value(Cursor::new(bytes))?;
        let patch = pass.patch;
        Ok((!patch.is_empty()).then(|| patch.edited(bytes)))
    }

    /// Redacts an attribute's value or a body.
    pub(crate) fn value(&mut self, value: Cursor<'_>) -> Result<()> {
        let Some(field) = Field::set_in(value)? else { return Ok(()) };
        match field.number {
            TEXT | INT | RAW => {
                if let Some(redacted) = self.redacted(&field.text()?)? {
                    self.put(&field, if field.number == INT { TEXT } else { field.number }, &redacted);
                }
                Ok(())
            }
            LIST | MAP => self.inside(field.length_at, field.content, |pass, list| {
                let mut list = list;
                while !list.is_done() {
                    let (number, wire) = list.tag()?;
                    if (number, wire) != (1, BYTES) {
                        list.skip(wire)?;
                        continue;
                    }
                    let (length_at, item) = (list.at, list.message()?);
                    pass.inside(length_at, item, if field.number == MAP { Self::pair } else { Self::value })?;
                }
                Ok(())
            }),
            _ => Ok(()),
        }
    }

    /// One pair of a mapping.
    fn pair(&mut self, pair: Cursor<'_>) -> Result<()> {
        match key_value(pair)? {
            (_, Some((length_at, value))) => self.inside(length_at, value, Self::value),
            (_, None) => Ok(()),
        }
    }

    /// What becomes of `text`; `None` where it stays.
    pub(crate) fn redacted(&mut self, text: &str) -> Result<Option<String>> {
        self.rules.redactor.as_ref().map_or(Ok(None), |redactor| redactor.redact(text, self.found))
    }

    /// Puts `text` in the place of `field`, as a field of this number.
    fn put(&mut self, field: &Field<'_>, number: u8, text: &str) {
        let mut encoded = Vec::with_capacity(text.len() + 6);
        push_field(&mut encoded, number, text.as_bytes());
        self.patch.replace(field.from, field.to, &encoded);
    }
}

/// A list or mapping within the bound, as text; `None` where it is within.
fn bound_nested(bounder: &Bounder, value: &[u8]) -> Result<Option<Bounded>> {
    if bounder.max == 0 || value.len() <= bounder.max || size(Cursor::new(value))? <= bounder.max {
        return Ok(None);
    }
    let arena = Bump::new();
    bounder.bound(any_value::plain_to(Cursor::new(value), MAX_LEVELS, &arena)?.dump(&arena))
}

/// Bytes that protobuf would write the `AnyValue` in.
fn size(value: Cursor<'_>) -> Result<usize> {
    let Some(field) = Field::set_in(value)? else { return Ok(value.rest().len()) };
    let others = value.rest().len() - (field.to - field.from);
    let content = field.content.rest();
    Ok(others
        + match field.number {
            LIST => sized(items_size(field.content, size)?),
            MAP => sized(items_size(field.content, pair_size)?),
            TEXT | RAW => sized(content.len()),
            FLOAT => 9,
            BOOL => 2,
            _ => 1 + varint_size(field.int()?.cast_unsigned()),
        })
}

fn items_size(mut list: Cursor<'_>, item_size: fn(Cursor<'_>) -> Result<usize>) -> Result<usize> {
    let mut total = 0;
    while !list.is_done() {
        let from = list.at;
        match list.tag()? {
            (1, BYTES) => total += sized(item_size(list.message()?)?),
            (_, wire) => {
                list.skip(wire)?;
                total += list.at - from;
            }
        }
    }
    Ok(total)
}

fn pair_size(mut pair: Cursor<'_>) -> Result<usize> {
    let (key, value) = key_value(pair)?;
    let mut total = if key.is_empty() { 0 } else { sized(key.len()) };
    if let Some((_, value)) = value {
        total += sized(size(value)?);
    }
    while !pair.is_done() {
        let from = pair.at;
        let (number, wire) = pair.tag()?;
        pair.skip(wire)?;
        total += if matches!((number, wire), (1 | 2, BYTES)) { 0 } else { pair.at - from };
    }
    Ok(total)
}

/// Bytes of a field with so many bytes of content.
fn sized(length: usize) -> usize {
    1 + varint_size(length as u64) + length
}

const TEXT: u8 = 1;
const BOOL: u8 = 2;
const INT: u8 = 3;
const FLOAT: u8 = 4;
const LIST: u8 = 5;
const MAP: u8 = 6;
const RAW: u8 = 7;

/// The field of an `AnyValue` that says what it is, with its places.
struct Field<'a> {
    number: u8,
    from: usize,
    length_at: usize,
    content: Cursor<'a>,
    to: usize,
}

impl<'a> Field<'a> {
    /// # Errors
    /// `Irregular` where there are several, of which protobuf takes the last or merges them.
    fn set_in(mut value: Cursor<'a>) -> Result<Option<Self>> {
        let mut found = None;
        while !value.is_done() {
            let from = value.at;
            let (number, wire) = value.tag()?;
            let length_at = value.at;
            let content = if wire == BYTES { value.message()? } else { value };
            if wire != BYTES {
                value.skip(wire)?;
            }
            if matches!((number, wire), (1 | 5 | 6 | 7, BYTES) | (2 | 3 | 8, VARINT) | (4, FIXED64)) {
                let field = Field { number: number as u8, from, length_at, content, to: value.at };
                if found.replace(field).is_some() {
                    return Err(Irregular);
                }
            }
        }
        Ok(found)
    }

    /// What it says to a detector: text, a card number given as a number, text given as bytes.
    fn text(&self) -> Result<Cow<'a, str>> {
        let bytes = self.content.rest();
        Ok(match self.number {
            INT => Cow::Owned(self.int()?.to_string()),
            RAW => Cow::Owned(bytes.utf8_chunks().map(|chunk| chunk.valid()).collect()),
            _ => Cow::Borrowed(simdutf8::basic::from_utf8(bytes).map_err(|_| Irregular)?),
        })
    }

    fn int(&self) -> Result<i64> {
        let mut content = self.content;
        Ok(content.varint()?.cast_signed())
    }
}

/// A key, and where the length of its value stands, with the value.
///
/// # Errors
/// `Irregular` when protobuf would have to merge two values.
pub(crate) fn key_value(mut cursor: Cursor<'_>) -> Result<(&str, Option<(usize, Cursor<'_>)>)> {
    let (mut key, mut value) = ("", None);
    while !cursor.is_done() {
        match cursor.tag()? {
            (1, BYTES) => key = cursor.text()?,
            (2, BYTES) if value.is_some() => return Err(Irregular),
            (2, BYTES) => value = Some((cursor.at, cursor.message()?)),
            (_, wire) => cursor.skip(wire)?,
        }
    }
    Ok((key, value))
}
