//! Plain values, as `engine/values.py` has them: what an attribute or its JSON holds, equal and written by Python's rules.
//!
//! They live in an arena that is emptied after each span, and are small enough to be copied.

use std::borrow::Cow;
use std::collections::hash_map::{Entry, HashMap};
use std::fmt::Write;

use bumpalo::collections::String;
use bumpalo::Bump;

use crate::values::json::plain_prefix;
use crate::wire::Irregular;

const FEW: usize = 12; // pairs among which comparing each with each is faster than a map

/// A value; what stands in it lives as long as the arena.
#[derive(Clone, Copy, Debug)]
pub enum Plain<'s> {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer of more than 64 bits, by its digits.
    Big(&'s str),
    Float(f64),
    Text(&'s str),
    List(&'s [Plain<'s>]),
    /// Distinct keys, in the order in which they came.
    Dict(&'s [Pair<'s>]),
}

pub type Pair<'s> = (&'s str, Plain<'s>);

/// What was odd about a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    BrokenJson,
    JsonTooLarge,
    WrongType,
    IndexHole,
    ConflictingKeys,
}

impl Reason {
    pub const ALL: [Reason; 5] =
        [Reason::BrokenJson, Reason::JsonTooLarge, Reason::WrongType, Reason::IndexHole, Reason::ConflictingKeys];

    pub fn name(self) -> &'static str {
        match self {
            Reason::BrokenJson => "broken_json",
            Reason::JsonTooLarge => "json_too_large",
            Reason::WrongType => "wrong_type",
            Reason::IndexHole => "index_hole",
            Reason::ConflictingKeys => "conflicting_keys",
        }
    }
}

/// Why there is no value: it is not convertible, or only the reference can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Not(Reason),
    Irregular,
}

impl From<Irregular> for Stop {
    fn from(_: Irregular) -> Self {
        Stop::Irregular
    }
}

pub type Tried<T> = std::result::Result<T, Stop>;

/// What was tried, without a value that is not convertible.
///
/// # Errors
/// `Irregular` when only the reference can say.
pub fn convertible<T>(tried: Tried<T>) -> Result<Option<T>, Irregular> {
    match tried {
        Ok(value) => Ok(Some(value)),
        Err(Stop::Not(_)) => Ok(None),
        Err(Stop::Irregular) => Err(Irregular),
    }
}

impl<'s> Plain<'s> {
    pub fn is_null(self) -> bool {
        matches!(self, Plain::Null)
    }

    pub fn text(self) -> Option<&'s str> {
        if let Plain::Text(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// What stands under `key` of a dict.
    pub fn get(self, key: &str) -> Option<Plain<'s>> {
        let Plain::Dict(pairs) = self else { return None };
        pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    /// The items of a list; anything else is its own only item.
    pub fn items(&self) -> &[Plain<'s>] {
        if let Plain::List(items) = self {
            items
        } else {
            std::slice::from_ref(self)
        }
    }

    /// A scalar as Python's `str` has it, but `true` and `false`; `None` for lists and dicts.
    pub fn word(self) -> Option<Cow<'s, str>> {
        Some(match self {
            Plain::Null => "None".into(),
            Plain::Bool(value) => if value { "true" } else { "false" }.into(),
            Plain::Int(value) => value.to_string().into(),
            Plain::Float(value) => float_text(value).into(),
            Plain::Big(text) | Plain::Text(text) => text.into(),
            Plain::List(_) | Plain::Dict(_) => return None,
        })
    }

    /// Whether Python finds both equal: numbers by their values, `True` among them, dicts in any order.
    #[allow(clippy::float_cmp)] // that is what Python does
    pub fn equals(self, other: Plain<'s>) -> bool {
        match (self, other) {
            (Plain::Null, Plain::Null) => true,
            (Plain::Text(one), Plain::Text(other)) => one == other,
            (Plain::List(one), Plain::List(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.equals(*other))
            }
            (Plain::Dict(one), Plain::Dict(all)) => {
                let same = |(key, value): &Pair<'s>| other.get(key).is_some_and(|found| value.equals(found));
                one.len() == all.len() && one.iter().all(same)
            }
            (Plain::Float(one), Plain::Float(other)) => one == other,
            (Plain::Float(float), whole) | (whole, Plain::Float(float)) => {
                float.trunc() == float && whole.digits().is_some_and(|digits| digits == format!("{:.0}", float + 0.0))
                // -0.0 is 0
            }
            (one, other) => one.digits().is_some_and(|digits| Some(digits) == other.digits()),
        }
    }

    /// The digits of an integer.
    fn digits(self) -> Option<std::string::String> {
        match self {
            Plain::Bool(value) => Some(u8::from(value).to_string()),
            Plain::Int(value) => Some(value.to_string()),
            Plain::Big(digits) => Some(digits.into()),
            _ => None,
        }
    }

    /// Compact JSON, as Python's `json.dumps` writes it without escaping what is not ASCII.
    pub fn dump(self, bump: &'s Bump) -> &'s str {
        let mut json = String::with_capacity_in(256, bump);
        self.write(&mut json);
        json.into_bump_str()
    }

    fn write(self, json: &mut String<'_>) {
        match self {
            Plain::Null => json.push_str("null"),
            Plain::Float(value) if value.is_nan() => json.push_str("NaN"),
            Plain::Float(value) if value.is_infinite() => {
                json.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
            }
            Plain::Text(text) => write_text(json, text),
            Plain::List(items) => {
                json.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        json.push(',');
                    }
                    item.write(json);
                }
                json.push(']');
            }
            Plain::Dict(pairs) => {
                json.push('{');
                for (index, (key, value)) in pairs.iter().enumerate() {
                    if index > 0 {
                        json.push(',');
                    }
                    write_text(json, key);
                    json.push(':');
                    value.write(json);
                }
                json.push('}');
            }
            scalar => json.push_str(&scalar.word().unwrap_or_default()),
        }
    }
}

fn write_text(json: &mut String<'_>, text: &str) {
    json.reserve(text.len() + 2);
    json.push('"');
    let mut rest = text;
    loop {
        let (plain, odd) = rest.split_at(plain_prefix(rest.as_bytes()));
        json.push_str(plain);
        let Some(byte) = odd.bytes().next() else { break };
        match byte {
            b'"' => json.push_str("\\\""),
            b'\\' => json.push_str("\\\\"),
            b'\n' => json.push_str("\\n"),
            b'\r' => json.push_str("\\r"),
            b'\t' => json.push_str("\\t"),
            0x08 => json.push_str("\\b"),
            0x0c => json.push_str("\\f"),
            _ => write!(json, "\\u{byte:04x}").expect("a String takes everything"),
        }
        rest = &odd[1..];
    }
    json.push('"');
}

/// A float as Python's `repr` has it: the shortest digits that say it, with an exponent from 1e16 on and below 1e-4.
pub fn float_text(value: f64) -> std::string::String {
    if !value.is_finite() {
        return if value.is_nan() { "nan" } else { ["inf", "-inf"][usize::from(value < 0.0)] }.into();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        exponent @ -4..16 => {
            let fixed = format!("{value}");
            if exponent >= 0 && !fixed.contains('.') {
                fixed + ".0"
            } else {
                fixed
            }
        }
        exponent => format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()),
    }
}

/// Makes the keys of `pairs[from..]` distinct: one that comes again stays in its first place, with its last value.
pub fn distinct(pairs: &mut Vec<Pair<'_>>, from: usize) {
    let new = &pairs[from..];
    if new.len() <= FEW && new.iter().enumerate().all(|(at, (key, _))| new[..at].iter().all(|(other, _)| other != key))
    {
        return;
    }
    let mut places = HashMap::with_capacity(new.len());
    let mut kept = from;
    for at in from..pairs.len() {
        let (key, value) = pairs[at];
        match places.entry(key) {
            Entry::Occupied(place) => {
                let place: usize = *place.get();
                pairs[place].1 = value;
            }
            Entry::Vacant(place) => {
                place.insert(kept);
                pairs[kept] = (key, value);
                kept += 1;
            }
        }
    }
    pairs.truncate(kept);
}

/// What Python's `str.strip` takes away.
pub fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\x1c'..='\x1f').contains(&character)
}

/// Whether `text` means to be a JSON object or list.
pub fn looks_like_json(text: &str) -> bool {
    text.trim_start_matches(is_space).starts_with(['[', '{'])
}

/// `text` in lower case.
pub fn lower<'s>(text: &'s str, bump: &'s Bump) -> &'s str {
    if text.is_ascii() {
        if !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return text;
        }
        let lower = bump.alloc_str(text);
        lower.make_ascii_lowercase();
        return lower;
    }
    bump.alloc_str(&text.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (100.0, "100.0"),
            (1e15, "1000000000000000.0"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
            (1e16, "1e+16"),
            (1.5e16, "1.5e+16"),
            (1e22, "1e+22"),
            (-1e300, "-1e+300"),
            (0.0001, "0.0001"),
            (0.00012, "0.00012"),
            (0.00001, "1e-05"),
            (-1.5e-7, "-1.5e-07"),
            (5e-324, "5e-324"),
            (0.1 + 0.2, "0.30000000000000004"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(float_text(value), text);
        }
    }

    #[test]
    fn numbers_are_equal_by_value_and_dicts_in_any_order() {
        let big = Plain::Big("18446744073709551616");
        for (one, other, same) in [
            (Plain::Int(1), Plain::Float(1.0), true),
            (Plain::Int(1), Plain::Bool(true), true),
            (Plain::Float(-0.0), Plain::Bool(false), true),
            (Plain::Int(1), Plain::Text("1"), false),
            (Plain::Int(i64::MAX), Plain::Float(9_223_372_036_854_775_807.0), false),
            (big, Plain::Float(18_446_744_073_709_551_616.0), true),
            (big, big, true),
            (Plain::Float(f64::NAN), Plain::Float(f64::NAN), false),
            (Plain::Null, Plain::Bool(false), false),
        ] {
            assert_eq!((one.equals(other), other.equals(one)), (same, same), "{one:?} {other:?}");
        }
        let (one, other) = ([("a", Plain::Int(1)), ("b", Plain::Null)], [("b", Plain::Null), ("a", Plain::Float(1.0))]);
        assert!(Plain::Dict(&one).equals(Plain::Dict(&other)));
        assert!(!Plain::Dict(&one).equals(Plain::Dict(&other[..1])));
    }

    #[test]
    fn keys_that_come_again_stay_in_their_place() {
        for extra in [0, 30] {
            let many: Vec<std::string::String> = (0..extra).map(|number| format!("k{number}")).collect();
            let mut pairs = vec![("x", Plain::Null), ("a", Plain::Int(1)), ("b", Plain::Int(2)), ("a", Plain::Int(3))];
            pairs.extend(many.iter().map(|key| (&**key, Plain::Null)));
            distinct(&mut pairs, 1);
            assert_eq!(pairs.len(), 3 + extra);
            assert!(matches!(pairs[1..3], [("a", Plain::Int(3)), ("b", Plain::Int(2))]));
        }
    }
}
