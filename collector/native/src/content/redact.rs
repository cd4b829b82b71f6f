//! Finding and replacing personal data and secrets in text. The twin of `engine/redact.py`, where the patterns stand.

use std::borrow::Cow;

use hmac::{Hmac, KeyInit, Mac};
use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use sha2::Sha256;

use crate::content::checks::{self, Check};
use crate::values::json_parts::{self, Part};
use crate::wire::{Irregular, Result};

const PROGRAM_BYTES: usize = 64 << 20; // far beyond what RE2 takes, which has judged the patterns
const CACHE_BYTES: usize = 16 << 20; // of each of the machines that are built while text is read
const HASH_BYTES: usize = 8;

/// What happens to what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Replace,
    Hash,
    Drop,
}

/// One detector: several may count under one name.
pub struct Row {
    pub name: usize,
    pub pattern: String,
    pub check: Check,
}

/// How much was found, by the number of the name.
pub type Finds = Vec<u64>;

/// Redacts texts by a table of detectors.
pub struct Redactor {
    pub names: Vec<String>,
    action: Action,
    key: Vec<u8>,
    /// What is found in a part of a JSON text is found in all of it too.
    is_free: bool,
    any: RegexSet,
    rows: Vec<(usize, Regex, Check)>,
    ibans: checks::Ibans,
}

impl Redactor {
    /// # Errors
    /// When a pattern is none.
    pub fn new(
        names: Vec<String>,
        rows: Vec<Row>,
        action: Action,
        key: Vec<u8>,
        is_free: bool,
        ibans: checks::Ibans,
    ) -> std::result::Result<Self, regex::Error> {
        let patterns = rows.iter().map(|row| &row.pattern);
        let any = RegexSetBuilder::new(patterns).size_limit(PROGRAM_BYTES).dfa_size_limit(CACHE_BYTES).build()?;
        let compiled = |row: Row| {
            let pattern = RegexBuilder::new(&row.pattern).size_limit(PROGRAM_BYTES).dfa_size_limit(CACHE_BYTES).build();
            pattern.map(|pattern| (row.name, pattern, row.check))
        };
        let rows = rows.into_iter().map(compiled).collect::<std::result::Result<_, _>>()?;
        Ok(Redactor { names, action, key, is_free, any, rows, ibans })
    }

    pub fn no_finds(&self) -> Finds {
        vec![0; self.names.len()]
    }

    /// `text` with what the detectors find replaced; `None` where it stays. Each find is counted.
    ///
    /// # Errors
    /// `Irregular` when the reference has to look at it.
    pub fn redact(&self, text: &str, found: &mut Finds) -> Result<Option<String>> {
        if !text.starts_with(['[', '{']) {
            return self.plain(text, found);
        }
        if self.is_free && !self.any.is_match(&json_parts::joined(text)) {
            return Ok(None);
        }
        let (mut redacted, mut scratch) = (String::new(), String::new());
        let mut copied = 0;
        for (at, part) in json_parts::parts(text) {
            let end = at + part.len();
            if let Some(other) = self.part(part, &mut scratch, found)? {
                redacted.push_str(&text[copied..at]);
                redacted.push_str(&other);
                copied = end;
            }
        }
        if copied == 0 {
            return Ok(None);
        }
        redacted.push_str(&text[copied..]);
        Ok(Some(redacted))
    }

    /// One string of a JSON text, or what stands between two; `None` where it stays.
    fn part(&self, part: Part<'_>, scratch: &mut String, found: &mut Finds) -> Result<Option<String>> {
        match part {
            Part::Text(quoted) => {
                scratch.clear();
                json_parts::unquote(quoted, scratch);
                let Some(redacted) = self.plain(scratch, found)?.filter(|redacted| redacted != scratch) else {
                    return Ok(None);
                };
                let mut quoted = String::with_capacity(redacted.len() + 2);
                json_parts::quote(&redacted, &mut quoted);
                Ok(Some(quoted))
            }
            Part::Between(between) => {
                let mut numbers: Cow<'_, str> = Cow::Borrowed(between);
                let mut moved = 0; // how much longer what stands before became
                for (from, to) in json_parts::numbers(between) {
                    if let Some(redacted) = self.plain(&between[from..to], found)? {
                        let quoted = format!("\"{redacted}\"");
                        let at = from.wrapping_add_signed(moved);
                        numbers.to_mut().replace_range(at..at + (to - from), &quoted);
                        moved += quoted.len().cast_signed() - (to - from).cast_signed();
                    }
                }
                let redacted = self.plain(&numbers, found)?;
                let numbers = if let Cow::Owned(numbers) = numbers { Some(numbers) } else { None };
                Ok(redacted.or(numbers))
            }
        }
    }

    fn plain(&self, text: &str, found: &mut Finds) -> Result<Option<String>> {
        let hits = self.any.matches(text.as_bytes());
        if !hits.matched_any() {
            return Ok(None);
        }
        let mut redacted: Option<String> = None;
        for (name, pattern, check) in hits.iter().map(|hit| &self.rows[hit]) {
            let (other, count) = self.replaced(redacted.as_deref().unwrap_or(text), *name, pattern, *check)?;
            if count > 0 {
                found[*name] += count;
                if self.action == Action::Drop {
                    return Ok(Some(format!("[dropped:{}]", self.names[*name])));
                }
                redacted = Some(other);
            }
        }
        Ok(redacted)
    }

    fn replaced(&self, text: &str, name: usize, pattern: &Regex, check: Check) -> Result<(String, u64)> {
        let (mut redacted, mut done, mut count) = (String::new(), 0, 0);
        for one in pattern.find_iter(text.as_bytes()) {
            let Some((from, to)) = check.part(one.as_bytes(), &self.ibans) else { continue };
            let (from, to) = (one.start() + from, one.start() + to);
            redacted.push_str(text.get(done..from).ok_or(Irregular)?);
            self.token(name, text.as_bytes().get(from..to).ok_or(Irregular)?, &mut redacted);
            done = to;
            count += 1;
        }
        if count > 0 {
            redacted.push_str(text.get(done..).ok_or(Irregular)?);
        }
        Ok((redacted, count))
    }

    /// What stands in the place of `value`.
    fn token(&self, name: usize, value: &[u8], target: &mut String) {
        target.push('[');
        target.push_str(&self.names[name]);
        if self.action == Action::Hash {
            target.push(':');
            let mut hash = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key may have any length");
            hash.update(value);
            push_hex(&hash.finalize().into_bytes()[..HASH_BYTES], target);
        }
        target.push(']');
    }
}

/// Appends `bytes` in hexadecimal.
pub fn push_hex(bytes: &[u8], target: &mut String) {
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            target.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
}
