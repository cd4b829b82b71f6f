//! Whether a call was refused, and why. The twin of `engine/refusals.py`.

use std::borrow::Cow;

use memchr::memmem;

use crate::spans::{pairs, values, Value};
use crate::tables::Refusals;
use crate::wire::{Cursor, Result};

const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];
const QUOTED_REFUSAL: &str = "\"refusal\"";
const QUOTED_FINISH_REASON: &str = "\"finish_reason\"";

/// Why a call was refused; "" when it was not.
pub fn refusal<'t>(
    error: &str,
    reasons: Value<'_>,
    messages: Value<'_>,
    declined: Value<'_>,
    known: &'t Refusals,
) -> Result<&'t str> {
    let mut found = among(error, known);
    match reasons {
        Value::Text(text) if found.is_none() => found = among(text, known),
        Value::Array(array) if found.is_none() => {
            for value in values(array)? {
                found = found.or_else(|| among(text(value), known));
            }
        }
        _ => {}
    }
    match messages {
        Value::Array(array) if found.is_none() => {
            let mut said = Said::default();
            said.read(array)?;
            found = said.found(matches!(reasons, Value::Absent), known);
        }
        Value::Text(text) if found.is_none() => {
            found = in_messages(text, matches!(reasons, Value::Absent), known);
        }
        _ => {}
    }
    let declined = matches!(declined, Value::True).then_some(&*known.refusal);
    Ok(found.or(declined).unwrap_or(""))
}

fn text(value: Value<'_>) -> &str {
    match value {
        Value::Text(text) => text,
        _ => "",
    }
}

/// What messages, and their parts, that are no JSON text say.
#[derive(Default)]
struct Said<'a> {
    has_refusal: bool,
    finish_reasons: Vec<&'a str>,
}

impl<'a> Said<'a> {
    fn read(&mut self, array: Cursor<'a>) -> Result<()> {
        for message in values(array)? {
            let Value::List(list) = message else { continue };
            for (key, value) in pairs(list)? {
                match (key, value) {
                    ("type", Value::Text("refusal")) => self.has_refusal = true,
                    ("finish_reason", Value::Text(reason)) => self.finish_reasons.push(reason),
                    ("parts", Value::Array(inner)) => self.read(inner)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn found<'t>(&self, with_reasons: bool, known: &'t Refusals) -> Option<&'t str> {
        match self.has_refusal {
            true => Some(&known.refusal),
            false if with_reasons => self.finish_reasons.iter().find_map(|reason| among(reason, known)),
            false => None,
        }
    }
}

/// What the first word that is a refusal comes to.
fn among<'t>(text: &str, known: &'t Refusals) -> Option<&'t str> {
    let is_inner = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    text.split(|letter| !is_inner(letter)).find_map(|word| known.by_word.get(&*plain(word))).map(String::as_str)
}

fn plain(word: &str) -> Cow<'_, str> {
    if word.bytes().any(|byte| byte == b'-' || byte.is_ascii_uppercase()) {
        word.to_ascii_lowercase().replace('-', "_").into()
    } else {
        word.into()
    }
}

fn in_messages<'t>(text: &str, with_reasons: bool, known: &'t Refusals) -> Option<&'t str> {
    if memmem::find_iter(text.as_bytes(), QUOTED_REFUSAL).any(|at| is_type(&text[..at])) {
        return Some(&known.refusal);
    }
    if !with_reasons {
        return None;
    }
    memmem::find_iter(text.as_bytes(), QUOTED_FINISH_REASON)
        .filter_map(|at| quoted(&text[at + QUOTED_FINISH_REASON.len()..]))
        .find_map(|reason| among(reason, known))
}

/// Whether what stands here before a value is `"type":`.
fn is_type(before: &str) -> bool {
    let key = before.trim_end_matches(BLANK).strip_suffix(':');
    key.is_some_and(|key| key.trim_end_matches(BLANK).ends_with("\"type\""))
}

/// The text in quotation marks after a colon, if there is nothing escaped in it.
fn quoted(after: &str) -> Option<&str> {
    let value = after.trim_start_matches(BLANK).strip_prefix(':')?.trim_start_matches(BLANK).strip_prefix('"')?;
    let end = value.find(['"', '\\'])?;
    value[end..].starts_with('"').then_some(&value[..end])
}
