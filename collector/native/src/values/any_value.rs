//! Attribute values: from the wire to plain values, to the registry's types, and back. The twin of `engine/values.py`.

use bumpalo::Bump;

use crate::values::value::{distinct, lower, Plain, Reason, Stop, Tried};
use crate::wire::{push_varint, varint_size, Cursor, Irregular, Result, BYTES, FIXED64, VARINT};

const MAX_LEVELS: i32 = 32; // of nested values; deeper ones are cut there
const LARGEST_DOUBLE: f64 = 1e300; // beyond it an integer is no double
const WRONG_TYPE: Stop = Stop::Not(Reason::WrongType);
const TWO_63: f64 = 9_223_372_036_854_775_808.0;

/// The plain value of an encoded `AnyValue` that was checked. Bytes are nobody's message and become null.
///
/// # Errors
/// `Irregular` where protobuf would have to merge.
pub fn plain<'s>(any_value: Cursor<'s>, bump: &'s Bump) -> Result<Plain<'s>> {
    plain_to(any_value, MAX_LEVELS, bump)
}

/// As [`plain`], with so many levels of nested values.
///
/// # Errors
/// As there.
pub fn plain_to<'s>(any_value: Cursor<'s>, levels: i32, bump: &'s Bump) -> Result<Plain<'s>> {
    any(any_value, levels, bump)
}

fn any<'s>(mut field: Cursor<'s>, levels: i32, bump: &'s Bump) -> Result<Plain<'s>> {
    let mut value = Plain::Null;
    let mut kind = 0; // of the field that came last, which is the one that counts
    while !field.is_done() {
        let (number, wire) = field.tag()?;
        value = match (number, wire) {
            (1, BYTES) => Plain::Text(field.text()?),
            (2, VARINT) => Plain::Bool(field.varint()? != 0),
            (3, VARINT) => Plain::Int(field.varint()?.cast_signed()),
            (4, FIXED64) => Plain::Float(f64::from_bits(field.fixed64()?)),
            (5 | 6, BYTES) if kind == number => return Err(Irregular),
            (5, BYTES) => list(field.message()?, levels - 1, bump)?,
            (6, BYTES) => dict(field.message()?, levels - 1, bump)?,
            (7, BYTES) => field.bytes().map(|_| Plain::Null)?,
            (8, VARINT) => Plain::Int(i64::from(field.varint()? as i32)),
            _ => {
                field.skip(wire)?;
                continue;
            }
        };
        kind = number;
    }
    Ok(if levels < 0 { Plain::Null } else { value })
}

fn list<'s>(mut field: Cursor<'s>, levels: i32, bump: &'s Bump) -> Result<Plain<'s>> {
    let mut items = Vec::new();
    while !field.is_done() {
        match field.tag()? {
            (1, BYTES) => items.push(any(field.message()?, levels, bump)?),
            (_, wire) => field.skip(wire)?,
        }
    }
    Ok(Plain::List(bump.alloc_slice_copy(&items)))
}

fn dict<'s>(mut field: Cursor<'s>, levels: i32, bump: &'s Bump) -> Result<Plain<'s>> {
    let mut pairs = Vec::new();
    while !field.is_done() {
        match field.tag()? {
            (1, BYTES) => {
                let (key, value) = key_value(field.message()?)?;
                let value = value.map_or(Ok(Plain::Null), |value| any(value, levels, bump))?;
                pairs.push((key, value));
            }
            (_, wire) => field.skip(wire)?,
        }
    }
    distinct(&mut pairs, 0);
    Ok(Plain::Dict(bump.alloc_slice_copy(&pairs)))
}

/// A `KeyValue`'s key, and its encoded value.
///
/// # Errors
/// `Irregular` where protobuf would have to merge two values.
pub fn key_value(mut field: Cursor<'_>) -> Result<(&str, Option<Cursor<'_>>)> {
    let (mut key, mut value) = ("", None);
    while !field.is_done() {
        match field.tag()? {
            (1, BYTES) => key = field.text()?,
            (2, BYTES) if value.is_some() => return Err(Irregular),
            (2, BYTES) => value = Some(field.message()?),
            (_, wire) => field.skip(wire)?,
        }
    }
    Ok((key, value))
}

/// A type of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type {
    pub scalar: Scalar,
    pub is_list: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    Text,
    Int,
    Double,
    Boolean,
    Any,
    /// One that no value becomes.
    Other,
}

impl Type {
    pub fn named(name: &str) -> Self {
        let (name, is_list) = name.strip_suffix("[]").map_or((name, false), |name| (name, true));
        let scalar = match name {
            "string" => Scalar::Text,
            "int" => Scalar::Int,
            "double" => Scalar::Double,
            "boolean" => Scalar::Boolean,
            "any" => Scalar::Any,
            _ => Scalar::Other,
        };
        Type { scalar, is_list }
    }
}

/// `value` as `kind`.
///
/// # Errors
/// When it cannot become that.
pub fn coerce<'s>(value: Plain<'s>, kind: Type, bump: &'s Bump) -> Tried<Plain<'s>> {
    if !kind.is_list {
        return scalar(value, kind.scalar, bump);
    }
    let present = value.items().iter().filter(|item| !item.is_null());
    let items = present.map(|item| scalar(*item, kind.scalar, bump)).collect::<Tried<Vec<_>>>()?;
    Ok(Plain::List(bump.alloc_slice_copy(&items)))
}

fn scalar<'s>(value: Plain<'s>, kind: Scalar, bump: &'s Bump) -> Tried<Plain<'s>> {
    match (kind, value) {
        (Scalar::Other, _) | (Scalar::Any, Plain::Big(_)) => Err(Stop::Irregular), // Python raises
        (Scalar::Any, Plain::List(_) | Plain::Dict(_)) => Ok(Plain::Text(value.dump(bump))),
        (Scalar::Any, Plain::Null) | (_, Plain::Null | Plain::List(_) | Plain::Dict(_)) => Err(WRONG_TYPE),
        (Scalar::Any, _)
        | (Scalar::Text, Plain::Text(_))
        | (Scalar::Int, Plain::Int(_))
        | (Scalar::Boolean, Plain::Bool(_)) => Ok(value),
        (Scalar::Text, _) => Ok(Plain::Text(bump.alloc_str(&value.word().unwrap_or_default()))),
        (Scalar::Int, Plain::Float(float)) => whole(float).map(Plain::Int).ok_or(WRONG_TYPE),
        (Scalar::Int, Plain::Text(text)) => integer(text).map(Plain::Int).ok_or(WRONG_TYPE),
        (Scalar::Double, Plain::Text(text)) => number(text).map(Plain::Float).ok_or(WRONG_TYPE),
        (Scalar::Double, Plain::Int(_) | Plain::Float(_) | Plain::Big(_)) => double(value).map(Plain::Float),
        (Scalar::Boolean, Plain::Text(text)) => match lower(text, bump) {
            "true" => Ok(Plain::Bool(true)),
            "false" => Ok(Plain::Bool(false)),
            _ => Err(WRONG_TYPE),
        },
        (Scalar::Int, Plain::Bool(_) | Plain::Big(_)) | (Scalar::Double, Plain::Bool(_)) | (Scalar::Boolean, _) => {
            Err(WRONG_TYPE)
        }
    }
}

/// A float that holds an integer of 64 bits.
#[allow(clippy::float_cmp)] // whole numbers compare exactly
fn whole(float: f64) -> Option<i64> {
    (float.trunc() == float && float.abs() < TWO_63).then_some(float as i64)
}

/// Up to 18 digits, with or without a minus.
fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    is_digits(digits, 18).then(|| text.parse().ok())?
}

/// A number as people write it: `-1.5e-3`.
fn number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let exponent = exponent.map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    let is_number = is_digits(whole, 18)
        && fraction.is_none_or(|digits| is_digits(digits, 18))
        && exponent.is_none_or(|digits| is_digits(digits, 2));
    is_number.then(|| text.parse().ok())?
}

fn is_digits(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A number as a double.
///
/// # Errors
/// When it is too large or not finite.
#[allow(clippy::float_cmp)] // that very number
pub fn double(value: Plain<'_>) -> Tried<f64> {
    let double = match value {
        Plain::Int(value) => value as f64,
        Plain::Float(value) => value,
        Plain::Big(digits) => match digits.parse::<f64>() {
            Ok(rounded) if rounded.abs() == LARGEST_DOUBLE => return Err(Stop::Irregular), // rounded up, or down
            Ok(rounded) => rounded,
            Err(_) => return Err(WRONG_TYPE),
        },
        _ => return Err(WRONG_TYPE),
    };
    if double.is_finite() && double.abs() <= LARGEST_DOUBLE {
        Ok(double)
    } else {
        Err(WRONG_TYPE)
    }
}

/// Appends a span's attribute.
pub fn push_attribute(target: &mut Vec<u8>, key: &str, value: Plain<'_>) {
    let inner = size(value);
    let outer = 1 + varint_size(key.len() as u64) + key.len() + 1 + varint_size(inner as u64) + inner;
    target.push(9 << 3 | BYTES as u8);
    push_varint(target, outer as u64);
    push_text(target, 1, key);
    target.push(2 << 3 | BYTES as u8);
    push_varint(target, inner as u64);
    push_any(target, value);
}

/// Bytes of an `AnyValue`. Dicts are none of what is written.
fn size(value: Plain<'_>) -> usize {
    match value {
        Plain::Null | Plain::Dict(_) | Plain::Big(_) => 0,
        Plain::Bool(_) => 2,
        Plain::Int(value) => 1 + varint_size(value.cast_unsigned()),
        Plain::Float(_) => 9,
        Plain::Text(text) => 1 + varint_size(text.len() as u64) + text.len(),
        Plain::List(items) => {
            let inner = list_size(items);
            1 + varint_size(inner as u64) + inner
        }
    }
}

fn list_size(items: &[Plain<'_>]) -> usize {
    let sizes = items.iter().map(|item| size(*item));
    sizes.map(|size| 1 + varint_size(size as u64) + size).sum()
}

fn push_any(target: &mut Vec<u8>, value: Plain<'_>) {
    match value {
        Plain::Null | Plain::Dict(_) | Plain::Big(_) => {}
        Plain::Bool(value) => target.extend_from_slice(&[2 << 3, u8::from(value)]),
        Plain::Int(value) => {
            target.push(3 << 3);
            push_varint(target, value.cast_unsigned());
        }
        Plain::Float(value) => {
            target.push((4 << 3 | FIXED64) as u8);
            target.extend_from_slice(&value.to_le_bytes());
        }
        Plain::Text(text) => push_text(target, 1, text),
        Plain::List(items) => {
            target.push(5 << 3 | BYTES as u8);
            push_varint(target, list_size(items) as u64);
            for item in items {
                target.push(1 << 3 | BYTES as u8);
                push_varint(target, size(*item) as u64);
                push_any(target, *item);
            }
        }
    }
}

fn push_text(target: &mut Vec<u8>, number: u8, text: &str) {
    target.push(number << 3 | BYTES as u8);
    push_varint(target, text.len() as u64);
    target.extend_from_slice(text.as_bytes());
}
