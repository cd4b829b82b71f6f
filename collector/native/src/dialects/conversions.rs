//! The conversions that rules name, one after the other, and the type of their target at the end.

use std::borrow::Cow;

use crate::dialects::reading::Reading;
use crate::dialects::shape_names::Words;
use crate::dialects::shapes::look_up;
use crate::dialects::table::{Conversion, Rule};
use crate::values::any_value::{coerce, Scalar, Type};
use crate::values::value::{is_space, looks_like_json, lower, Plain, Reason, Stop, Tried};
use crate::wire::Irregular;

const DOUBLE: Type = Type { scalar: Scalar::Double, is_list: false };
const SHORTEST_DATE: usize = 7; // that Python reads: 2026W38
const WRONG_TYPE: Stop = Stop::Not(Reason::WrongType);

/// What `rule` makes of a value of one of its sources; `None` when that is nothing.
///
/// # Errors
/// When the value cannot become that.
pub fn converted<'s>(reading: &mut Reading<'s>, value: Plain<'s>, rule: &'s Rule) -> Tried<Option<Plain<'s>>> {
    let mut value = value;
    for step in &rule.steps {
        if value.is_null() {
            return Ok(None);
        }
        value = self::step(reading, step, value, rule)?;
    }
    if value.is_null() {
        return Ok(None);
    }
    coerce(value, rule.kind, reading.reader.bump).map(Some)
}

fn step<'s>(reading: &mut Reading<'s>, step: &'s Conversion, value: Plain<'s>, rule: &'s Rule) -> Tried<Plain<'s>> {
    let reader = reading.reader;
    let list = |items: &[Plain<'s>]| Plain::List(reader.bump.alloc_slice_copy(items));
    Ok(match (step, value) {
        (Conversion::Decode, Plain::Text(text)) if text.starts_with('"') => reader.parse(text)?,
        (Conversion::Where { field, wanted }, _) => {
            let value = if let Plain::Text(text) = value { reader.parse(text)? } else { value };
            let is_wanted = |one: &&Plain<'s>| {
                one.get(field).and_then(Plain::text).is_some_and(|found| wanted.iter().any(|one| **one == *found))
            };
            list(&value.items().iter().filter(is_wanted).copied().collect::<Vec<_>>())
        }
        (Conversion::Split(separator), Plain::Text(text)) => {
            list(&text.split(&**separator).map(|one| Plain::Text(one.trim_matches(is_space))).collect::<Vec<_>>())
        }
        (Conversion::Decode | Conversion::Split(_), _) => value,
        (Conversion::Messages { role }, _) => {
            let value = read(reading, value, rule)?;
            some(reading.shaper().messages(value, role)?)
        }
        (Conversion::Documents, _) => {
            let value = read(reading, value, rule)?;
            some(reading.shaper().documents(value)?)
        }
        (Conversion::Tools, _) => {
            let value = read(reading, value, rule)?;
            some(reading.shaper().tools(value)?)
        }
        (Conversion::Column(path), _) => {
            let found = value.items().iter().map(|item| look_up(*item, path, reader)).collect::<Tried<Vec<_>>>()?;
            list(&found.into_iter().filter(|one| !one.is_null()).collect::<Vec<_>>())
        }
        (Conversion::Count, _) => Plain::Int(value.items().len().cast_signed() as i64),
        (Conversion::Map { words, is_dotted }, _) => mapped(reading, value, words, *is_dotted)?,
        (Conversion::Scale(factor), _) => match coerce(value, DOUBLE, reader.bump)? {
            Plain::Float(number) => Plain::Float(number * factor),
            _ => return Err(WRONG_TYPE),
        },
        (Conversion::SinceStart, _) => since_start(value, reading.start)?,
    })
}

/// What is to be shaped; JSON that cannot be read stays text.
fn read<'s>(reading: &mut Reading<'s>, value: Plain<'s>, rule: &'s Rule) -> Result<Plain<'s>, Irregular> {
    let Plain::Text(text) = value else { return Ok(value) };
    if !looks_like_json(text) {
        return Ok(value);
    }
    match reading.reader.parse(text) {
        Ok(parsed) => Ok(parsed),
        Err(Stop::Irregular) => Err(Irregular),
        Err(Stop::Not(reason)) => {
            let key = rule.from.first().map_or(rule.to, |source| reading.named(source, rule));
            reading.problem(reason, key);
            Ok(value)
        }
    }
}

/// Null for an empty list.
fn some(value: Plain<'_>) -> Plain<'_> {
    if matches!(value, Plain::List([])) {
        Plain::Null
    } else {
        value
    }
}

/// The mapped value; dotted, what is left without the last `.part`s counts too. Values that are not mapped stay.
fn mapped<'s>(reading: &Reading<'s>, value: Plain<'s>, words: &'s Words, is_dotted: bool) -> Tried<Plain<'s>> {
    let bump = reading.reader.bump;
    if let Plain::List(items) = value {
        let mapped = items.iter().map(|item| mapped(reading, *item, words, is_dotted)).collect::<Tried<Vec<_>>>()?;
        return Ok(Plain::List(bump.alloc_slice_copy(&mapped)));
    }
    let Some(word) = value.word() else {
        // Python looks for what it writes of a dict.
        let may_match = words.keys().any(|word| word.starts_with('{'));
        return if may_match { Err(Stop::Irregular) } else { Ok(value) };
    };
    let mut word = lower(bump.alloc_str(&word), bump);
    while !word.is_empty() {
        if let Some(found) = words.get(word) {
            return Ok(if found.is_empty() { Plain::Null } else { Plain::Text(found) });
        }
        match word.rsplit_once('.') {
            Some((rest, _)) if is_dotted => word = rest,
            _ => break,
        }
    }
    Ok(value)
}

/// Seconds from `start`, in Unix nanoseconds, to a time in ISO 8601; a time before it is none.
fn since_start(value: Plain<'_>, start: u64) -> Tried<Plain<'_>> {
    if let Plain::Int(time) = value {
        let passed = i128::from(time) - i128::from(start);
        return Ok(if passed >= 0 { Plain::Float(passed as f64 / 1e9) } else { Plain::Null });
    }
    let Some(word) = value.word() else { return Err(WRONG_TYPE) };
    let text = word.trim_matches('"');
    let year = text.get(..4).unwrap_or("");
    if text.len() < SHORTEST_DATE || year.is_empty() || !year.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(WRONG_TYPE);
    }
    let microseconds = unix_microseconds(text).ok_or(Stop::Irregular)?; // Python knows more forms
    let seconds = microseconds as f64 / 1e6 - start as f64 / 1e9;
    Ok(if seconds >= 0.0 { Plain::Float(seconds) } else { Plain::Null })
}

/// `2026-01-31T12:34:56.789012+00:00`, with three digits of a second's fraction, or none, and with `Z`.
fn unix_microseconds(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').map_or(Cow::Borrowed(text), |clock| Cow::Owned(format!("{clock}+00:00")));
    let (clock, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let (sign, offset) = match offset.split_at_checked(1)? {
        ("+", offset) => (1, offset),
        ("-", offset) => (-1, offset),
        _ => return None,
    };
    let [hours, minutes] = numbers(offset, [2, 2], [":"])?;
    let offset = sign * in_range(hours * 60 + minutes, hours < 24 && minutes < 60)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "000"));
    let factor = match fraction.len() {
        3 => 1000,
        6 => 1,
        _ => return None,
    };
    let [fraction] = numbers(fraction, [fraction.len()], [])?;
    let [year, month, day, hour, minute, second] = numbers(clock, [4, 2, 2, 2, 2, 2], ["-", "-", "T", ":", ":"])?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    in_range(day, year > 0 && (1..=month_days).contains(&day) && hour < 24 && minute < 60 && second < 60)?;
    // Days since 1970, with years that begin in March.
    let (from_march, years) = if month > 2 { (month - 3, year) } else { (month + 9, year - 1) };
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (from_march * 153 + 2) / 5 + day - 719_469;
    let seconds = ((days * 24 + hour) * 60 + minute - offset) * 60 + second;
    Some(seconds * 1_000_000 + fraction * factor)
}

fn in_range(value: i64, is_in_range: bool) -> Option<i64> {
    is_in_range.then_some(value)
}

/// Numbers of so many digits, with these separators between them.
fn numbers<const N: usize, const S: usize>(text: &str, digits: [usize; N], between: [&str; S]) -> Option<[i64; N]> {
    let (mut found, mut rest) = ([0; N], text);
    for (index, count) in digits.into_iter().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix(between[index - 1])?;
        }
        let (number, behind) = rest.split_at_checked(count)?;
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        (found[index], rest) = (number.parse().ok()?, behind);
    }
    rest.is_empty().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_their_usual_form() {
        for (text, microseconds) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:30:15.250Z", Some(951_827_415_250_000)),
            ("2026-09-21T13:33:20.123456+00:00", Some(1_789_997_600_123_456)),
            ("2026-09-21T13:33:20.123456-02:30", Some(1_790_006_600_123_456)),
            ("1969-12-31T23:59:59.999Z", Some(-1000)),
            ("0001-01-01T00:00:00Z", Some(-62_135_596_800_000_000)),
            ("2026-02-29T00:00:00Z", None),
            ("2026-09-21T24:00:00Z", None),
            ("2026-09-21T13:33:20", None),
            ("2026-09-21 13:33:20Z", None),
            ("2026-09-21T13:33:20.1Z", None),
            ("2026-09-21T13:33:20+0000", None),
            ("2026", None),
            ("2026-09-21T13:33:2ä+00:00", None),
        ] {
            assert_eq!(unix_microseconds(text), microseconds, "{text}");
        }
    }
}
