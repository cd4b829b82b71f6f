//! Attribute values as Python's `json.dumps` writes them, and as numbers by Python's rules.

use std::collections::HashSet;
use std::io::Write;

use crate::wire::{Cursor, Irregular, Result, BYTES, FIXED64, MAX_DEPTH, VARINT};

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// What an `AnyValue` holds.
#[derive(Clone, Copy, Debug)]
pub enum Plain<'a> {
    Empty,
    Text(&'a str),
    Bool(bool),
    Int(i64),
    Double(f64),
    Array(Cursor<'a>),
    Map(Cursor<'a>),
}

impl<'a> Plain<'a> {
    /// Reads an `AnyValue` that protobuf can read.
    ///
    /// # Errors
    /// `Irregular` when it holds bytes or a reference, several values, or a field that OTLP does not know.
    pub fn read(mut value: Cursor<'a>) -> Result<Self> {
        if value.is_done() {
            return Ok(Plain::Empty);
        }
        let found = match value.tag()? {
            (1, BYTES) => Plain::Text(value.text()?),
            (2, VARINT) => Plain::Bool(value.varint()? != 0),
            (3, VARINT) => Plain::Int(value.varint()?.cast_signed()),
            (4, FIXED64) => Plain::Double(f64::from_bits(value.fixed64()?)),
            (5, BYTES) => Plain::Array(value.message()?),
            (6, BYTES) => Plain::Map(value.message()?),
            _ => return Err(Irregular),
        };
        if value.is_done() {
            Ok(found)
        } else {
            Err(Irregular)
        }
    }

    pub fn is_nested(&self) -> bool {
        matches!(self, Plain::Array(_) | Plain::Map(_))
    }

    /// The value as a number: numbers and text that Python's `float` takes.
    ///
    /// # Errors
    /// `Irregular` for text about which Python knows more.
    pub fn number(&self) -> Result<Option<f64>> {
        match self {
            Plain::Int(number) => Ok(Some(*number as f64)),
            Plain::Double(number) => Ok(Some(*number)),
            Plain::Text(text) => number(text),
            _ => Ok(None),
        }
    }

    /// The value as a whole number, as Python's `int` has it.
    ///
    /// # Errors
    /// As [`Plain::number`].
    #[allow(clippy::float_cmp)] // whole numbers compare exactly
    pub fn whole(&self) -> Result<Option<i64>> {
        match self {
            Plain::Text(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(text.parse().ok())
            }
            _ => {
                let is_whole = |number: &f64| number.trunc() == *number && (-TWO_TO_63..TWO_TO_63).contains(number);
                Ok(self.number()?.filter(is_whole).map(|number| number as i64))
            }
        }
    }

    /// Appends the value as JSON, like `json.dumps(value, ensure_ascii=False)`.
    ///
    /// # Errors
    /// `Irregular` as [`Plain::read`], for names that stand twice in a map, and below [`MAX_DEPTH`].
    pub fn push_json(&self, target: &mut Vec<u8>, depth: u32) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(Irregular);
        }
        match self {
            Plain::Empty => target.extend_from_slice(b"null"),
            Plain::Text(text) => push_json_text(target, text),
            Plain::Bool(is_true) => target.extend_from_slice(if *is_true { b"true" } else { b"false" }),
            Plain::Int(number) => drop(write!(target, "{number}")),
            Plain::Double(number) => push_json_double(target, *number),
            Plain::Array(array) => push_json_array(target, *array, depth)?,
            Plain::Map(map) => push_json_map(target, *map, depth)?,
        }
        Ok(())
    }
}

fn push_json_array(target: &mut Vec<u8>, mut array: Cursor<'_>, depth: u32) -> Result<()> {
    let mut separator: &[u8] = b"[";
    while !array.is_done() {
        let (1, BYTES) = array.tag()? else { return Err(Irregular) };
        target.extend_from_slice(separator);
        separator = b", ";
        Plain::read(array.message()?)?.push_json(target, depth + 1)?;
    }
    target.extend_from_slice(if separator == b"[" { b"[]" } else { b"]" });
    Ok(())
}

fn push_json_map(target: &mut Vec<u8>, mut map: Cursor<'_>, depth: u32) -> Result<()> {
    let mut separator: &[u8] = b"{";
    let mut seen = HashSet::new();
    while !map.is_done() {
        let (1, BYTES) = map.tag()? else { return Err(Irregular) };
        let (mut pair, mut key, mut value) = (map.message()?, "", None);
        while !pair.is_done() {
            match pair.tag()? {
                (1, BYTES) => key = pair.text()?,
                (2, BYTES) if value.is_none() => value = Some(pair.message()?),
                _ => return Err(Irregular),
            }
        }
        if !seen.insert(key) {
            return Err(Irregular);
        }
        target.extend_from_slice(separator);
        separator = b", ";
        push_json_text(target, key);
        target.extend_from_slice(b": ");
        value.map_or(Ok(Plain::Empty), Plain::read)?.push_json(target, depth + 1)?;
    }
    target.extend_from_slice(if separator == b"{" { b"{}" } else { b"}" });
    Ok(())
}

/// Appends `text` as a JSON string; only what JSON has to escape is escaped.
pub fn push_json_text(target: &mut Vec<u8>, text: &str) {
    target.push(b'"');
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        target.extend_from_slice(&text.as_bytes()[copied..at]);
        copied = at + 1;
        match byte {
            b'"' | b'\\' => target.extend_from_slice(&[b'\\', byte]),
            b'\n' => target.extend_from_slice(b"\\n"),
            b'\r' => target.extend_from_slice(b"\\r"),
            b'\t' => target.extend_from_slice(b"\\t"),
            0x08 => target.extend_from_slice(b"\\b"),
            0x0c => target.extend_from_slice(b"\\f"),
            _ => drop(write!(target, "\\u{byte:04x}")),
        }
    }
    target.extend_from_slice(&text.as_bytes()[copied..]);
    target.push(b'"');
}

/// Appends a double as Python's `repr` writes it: the fewest digits, an exponent below 1e-4 and from 1e16 on.
fn push_json_double(target: &mut Vec<u8>, number: f64) {
    if number.is_nan() {
        target.extend_from_slice(b"NaN");
    } else if number.is_infinite() {
        target.extend_from_slice(if number > 0.0 { b"Infinity" } else { b"-Infinity" });
    } else if number != 0.0 && !(1e-4..1e16).contains(&number.abs()) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
        drop(write!(target, "{digits}e{sign}{exponent:0>2}"));
    } else {
        drop(write!(target, "{number:?}"));
    }
}

/// What Python's `float` makes of `text`; `None` when it refuses.
fn number(text: &str) -> Result<Option<f64>> {
    if !text.is_ascii() {
        // Python knows the digits and spaces of other scripts; a letter is in no number.
        let is_word = text.chars().any(|one| one.is_alphabetic() && !one.is_ascii());
        return if is_word { Ok(None) } else { Err(Irregular) };
    }
    let is_space = |one: char| matches!(one, '\t'..='\r' | '\x1c'..='\x1f' | ' ');
    let trimmed = text.trim_matches(is_space);
    if !trimmed.contains('_') {
        return Ok(trimmed.parse().ok());
    }
    let mut parts = trimmed.split('_').peekable();
    while let (Some(part), Some(next)) = (parts.next(), parts.peek()) {
        let is_between_digits =
            part.ends_with(|one: char| one.is_ascii_digit()) && next.starts_with(|one: char| one.is_ascii_digit());
        if !is_between_digits {
            return Ok(None);
        }
    }
    Ok(trimmed.replace('_', "").parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_written_as_python_writes_them() {
        for (number, written) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (1_234_567_890_123_456.0, "1234567890123456.0"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (-1.5e-7, "-1.5e-07"),
            (1.5e300, "1.5e+300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            let mut target = Vec::new();
            push_json_double(&mut target, number);
            assert_eq!(String::from_utf8(target).as_deref(), Ok(written));
        }
    }

    #[test]
    fn text_is_escaped_where_json_asks_for_it() {
        let mut target = Vec::new();
        push_json_text(&mut target, "a\"b\\c\n\u{1}ü\u{7f}");
        assert_eq!(String::from_utf8(target).as_deref(), Ok("\"a\\\"b\\\\c\\n\\u0001ü\u{7f}\""));
    }

    #[test]
    fn text_is_a_number_where_python_says_so() {
        for (text, value) in [
            ("12", 12.0),
            (" -1.5e3\n", -1500.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1_000", 1000.0),
            ("\x0b1\x1f", 1.0),
            ("+Infinity", f64::INFINITY),
        ] {
            assert_eq!(number(text), Ok(Some(value)), "{text}");
        }
        for text in
            ["", "many", "{}", "1x", "e", "1e", "--1", "1.2.3", "it is 5", "1 2", "_1", "1__0", "1_.5", "größer"]
        {
            assert_eq!(number(text), Ok(None), "{text}");
        }
        for text in ["٣", "5\u{2003}"] {
            assert_eq!(number(text), Err(Irregular), "{text}");
        }
        assert!(number("nan").unwrap().unwrap().is_nan());
    }
}
