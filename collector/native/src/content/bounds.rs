//! Bounding content so that it still can be read. The twin of `engine/bounds.py`.

use std::borrow::Cow;
use std::fmt::Write;

use bumpalo::Bump;
use regex::{Captures, Regex};
use sha2::{Digest, Sha256};

use crate::content::redact::push_hex;
use crate::values::json_parts::quote;
use crate::values::parse::Reader;
use crate::values::value::{Plain, Stop};
use crate::wire::{Irregular, Result};

/// A blob inside a text: a data URL, as browsers and `OpenAI`'s image parts write them.
const DATA_URL: &str = "(?i-u)data:([a-z]+/[a-z0-9.+-]+)?(?:;[a-z0-9=-]+)*;base64,([A-Za-z0-9+/=_-]{64,})";
const MIN_BLOB_BYTES: usize = 64;
const MIN_TEXT_BYTES: isize = 64; // a text is not shortened below this
const MAX_ROUNDS: usize = 4; // escapes are not evenly spread, so the first cut may be a little too long

/// Bounds one field.
pub struct Bounder {
    /// Most bytes; 0 for no bound.
    pub max: usize,
    /// Whether base64 is replaced.
    pub blobs: bool,
    data_url: Regex,
}

/// A text that was cut, with the size and the hash of what it was.
pub struct Bounded {
    pub text: String,
    pub size: usize,
    pub sha256: String,
}

impl Bounder {
    /// # Panics
    /// Never: the pattern is one.
    pub fn new(max: usize, blobs: bool) -> Self {
        Bounder { max, blobs, data_url: Regex::new(DATA_URL).expect("the pattern is one") }
    }

    /// `text` within the bound; `None` where it is.
    ///
    /// # Errors
    /// `Irregular` when only the reference can read it.
    pub fn bound(&self, text: &str) -> Result<Option<Bounded>> {
        if self.fits(text) && !(self.blobs && text.contains("base64")) && !text.contains("\"blob\"") {
            return Ok(None);
        }
        let cut = self.cut(text)?;
        if cut == text {
            return Ok(None);
        }
        Ok(Some(Bounded { text: cut.into_owned(), size: text.len(), sha256: sha256(text.as_bytes()) }))
    }

    fn fits(&self, text: &str) -> bool {
        self.max == 0 || text.len() <= self.max
    }

    fn cut<'t>(&self, text: &'t str) -> Result<Cow<'t, str>> {
        let arena = Bump::new();
        let Some(value) = parsed(text, &arena)? else {
            let without = if self.blobs { self.data_url.replace_all(text, described_url) } else { Cow::Borrowed(text) };
            return Ok(if self.fits(&without) { without } else { Cow::Owned(middle_out(&without, self.max)) });
        };
        let mut changed = false;
        let value = if self.blobs { self.without_blobs(value, &arena, &mut changed)? } else { value };
        let written = if changed { Cow::Owned(value.dump(&arena).to_owned()) } else { Cow::Borrowed(text) };
        if self.fits(&written) {
            return Ok(written);
        }
        let fewer = if let Plain::List(items) = value { self.fewer(items, &arena) } else { value };
        Ok(Cow::Owned(self.shorter(fewer, &arena).unwrap_or_else(|| self.nothing_left(value, &arena))))
    }

    /// `value` with descriptions in the place of base64: of the content of blob parts, and of data URLs in any string.
    fn without_blobs<'s>(&self, value: Plain<'s>, arena: &'s Bump, changed: &mut bool) -> Result<Plain<'s>> {
        Ok(match value {
            Plain::Text(text) if text.contains("base64,") => match self.data_url.replace_all(text, described_url) {
                Cow::Borrowed(_) => value,
                Cow::Owned(other) => {
                    *changed = true;
                    Plain::Text(arena.alloc_str(&other))
                }
            },
            Plain::List(items) => {
                let mut others = Vec::with_capacity(items.len());
                for item in items {
                    others.push(self.without_blobs(*item, arena, changed)?);
                }
                Plain::List(arena.alloc_slice_copy(&others))
            }
            Plain::Dict(pairs) => {
                let is_blob = matches!(value.get("type"), Some(Plain::Text("blob")));
                let mut others = Vec::with_capacity(pairs.len());
                for (key, inner) in pairs {
                    let other = match inner {
                        Plain::Text(content) if is_blob && *key == "content" && is_base64(content) => {
                            *changed = true;
                            Plain::Text(arena.alloc_str(&described(content, kind(value)?)))
                        }
                        _ => self.without_blobs(*inner, arena, changed)?,
                    };
                    others.push((*key, other));
                }
                Plain::Dict(arena.alloc_slice_copy(&others))
            }
            _ => value,
        })
    }

    /// `items` without as many from the middle as it takes to fit, and a marker in their place; two stay at least.
    ///
    /// From the outside in, the end before the beginning: the newest messages, then the oldest, for as long as they fit.
    fn fewer<'s>(&self, items: &'s [Plain<'s>], arena: &'s Bump) -> Plain<'s> {
        let sizes: Vec<isize> = items.iter().map(|item| size(*item, arena) + 1).collect();
        let ([first, .., last], count) = (&*sizes, items.len()) else { return Plain::List(items) };
        let mut room = self.max.cast_signed() - 1 - size(marker(count, items, arena), arena) - 1 - first - last;
        let (mut head, mut tail, mut at_end) = (1, 1, true);
        while head + tail < count {
            let size = if at_end { sizes[count - 1 - tail] } else { sizes[head] };
            if size > room {
                break;
            }
            room -= size;
            *(if at_end { &mut tail } else { &mut head }) += 1;
            at_end = !at_end;
        }
        if head + tail >= count {
            return Plain::List(items);
        }
        let mut kept = items[..head].to_vec();
        kept.push(marker(count - head - tail, items, arena));
        kept.extend_from_slice(&items[count - tail..]);
        Plain::List(arena.alloc_slice_copy(&kept))
    }

    /// `value` as JSON with its longest strings shortened to one length at which it fits; `None` where none does.
    fn shorter<'s>(&self, value: Plain<'s>, arena: &'s Bump) -> Option<String> {
        let mut value = value;
        for _ in 0..MAX_ROUNDS {
            let written = value.dump(arena);
            if written.len() <= self.max {
                return Some(written.to_owned());
            }
            let mut sizes = Vec::new();
            measure(value, &mut sizes);
            let longest = level(sizes, self.max.cast_signed() - written.len().cast_signed());
            if longest < MIN_TEXT_BYTES {
                return None;
            }
            value = shortened(value, longest.unsigned_abs(), arena);
        }
        None
    }

    /// What stands for a value whose structure alone is too large.
    fn nothing_left(&self, value: Plain<'_>, arena: &Bump) -> String {
        let (marker, empty) = match value {
            Plain::List(items) => (Plain::List(&[marker(items.len(), items, arena)]).dump(arena).to_owned(), "[]"),
            Plain::Dict(pairs) => (format!("{{\"left_out\":{}}}", pairs.len()), "{}"),
            _ => (String::new(), ""), // nothing else is read
        };
        if marker.len() <= self.max {
            marker
        } else {
            empty.to_owned()
        }
    }
}

/// The JSON list or object that `text` is, if any.
fn parsed<'s>(text: &'s str, arena: &'s Bump) -> Result<Option<Plain<'s>>> {
    if !text.starts_with(['[', '{']) {
        return Ok(None);
    }
    match Reader::unbounded(arena, true).parse(text) {
        Ok(value) => Ok(Some(value)),
        Err(Stop::Irregular) => Err(Irregular),
        Err(Stop::Not(_)) => Ok(None),
    }
}

fn is_base64(content: &str) -> bool {
    let digits = content.trim_end_matches('=');
    content.len() - digits.len() <= 2
        && digits.len() >= MIN_BLOB_BYTES
        && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'_' | b'-'))
}

/// What a blob part says that it is.
fn kind(part: Plain<'_>) -> Result<&str> {
    for key in ["mime_type", "modality"] {
        match part.get(key) {
            Some(
                Plain::Text("") | Plain::Null | Plain::Bool(false) | Plain::Int(0) | Plain::List([]) | Plain::Dict([]),
            )
            | None => {}
            Some(Plain::Text(kind)) => return Ok(kind),
            Some(_) => return Err(Irregular), // as Python writes it
        }
    }
    Ok("")
}

fn described_url(found: &Captures<'_>) -> String {
    described(&found[2], found.get(1).map_or("", |kind| kind.as_str()))
}

/// What stands for a blob: its type, the size it has decoded, the hash of its base64.
fn described(content: &str, kind: &str) -> String {
    let kind = if kind.is_empty() { "of unknown type" } else { kind };
    let size = content.trim_end_matches('=').len() * 3 / 4;
    format!("[blob {kind}, {size} bytes, sha256 {}]", sha256(content.as_bytes()))
}

fn sha256(bytes: &[u8]) -> String {
    let mut hash = String::with_capacity(64);
    push_hex(&Sha256::digest(bytes), &mut hash);
    hash
}

/// Bytes of `value` as JSON.
fn size(value: Plain<'_>, arena: &Bump) -> isize {
    value.dump(arena).len().cast_signed()
}

/// What stands for `count` of `items` that were left out, in their shape.
fn marker<'s>(count: usize, items: &[Plain<'_>], arena: &'s Bump) -> Plain<'s> {
    let text = Plain::Text(arena.alloc_str(&format!("[{count} left out]")));
    if items.iter().any(|item| item.get("parts").is_some()) {
        let part = arena.alloc([("type", Plain::Text("text")), ("content", text)]);
        let parts = arena.alloc([Plain::Dict(part)]);
        return Plain::Dict(arena.alloc([("role", Plain::Text("system")), ("parts", Plain::List(parts))]));
    }
    if items.iter().any(|item| matches!(item, Plain::Dict(_))) {
        return Plain::Dict(arena.alloc([("left_out", Plain::Int(i64::try_from(count).unwrap_or(i64::MAX)))]));
    }
    text
}

/// Collects the sizes of the strings in `value` as JSON.
fn measure(value: Plain<'_>, sizes: &mut Vec<isize>) {
    match value {
        Plain::Text(text) => sizes.push(quoted_size(text).cast_signed()),
        Plain::List(items) => items.iter().for_each(|item| measure(*item, sizes)),
        Plain::Dict(pairs) => pairs.iter().for_each(|(_, inner)| measure(*inner, sizes)),
        _ => {}
    }
}

fn quoted_size(text: &str) -> usize {
    let mut quoted = String::with_capacity(text.len() + 2);
    quote(text, &mut quoted);
    quoted.len()
}

/// The largest size to which the larger of `sizes` are cut so that the sum changes by `change`.
fn level(mut sizes: Vec<isize>, change: isize) -> isize {
    sizes.sort_unstable_by(|one, other| other.cmp(one));
    let mut total = 0;
    for (at, size) in sizes.iter().enumerate() {
        let count = at.cast_signed() + 1;
        total += size;
        let below = sizes.get(at + 1).copied().unwrap_or(0);
        if total - count * below >= -change {
            return (total + change).div_euclid(count);
        }
    }
    0
}

/// `value` with every string whose JSON is longer than `longest` cut to about that.
fn shortened<'s>(value: Plain<'s>, longest: usize, arena: &'s Bump) -> Plain<'s> {
    match value {
        Plain::Text(text) => match quoted_size(text) {
            size if size > longest => {
                Plain::Text(arena.alloc_str(&middle_out(text, (text.len() * longest / size).saturating_sub(2))))
            }
            _ => value,
        },
        Plain::List(items) => {
            Plain::List(arena.alloc_slice_fill_iter(items.iter().map(|item| shortened(*item, longest, arena))))
        }
        Plain::Dict(pairs) => {
            let others = pairs.iter().map(|(key, inner)| (*key, shortened(*inner, longest, arena)));
            Plain::Dict(arena.alloc_slice_fill_iter(others))
        }
        _ => value,
    }
}

/// `text` without its middle, which a marker stands for; cut between characters.
fn middle_out(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let mut marker = String::new();
    write!(marker, "…[{} bytes in all]…", text.len()).expect("a String takes everything");
    let Some(room) = max.checked_sub(marker.len()).filter(|room| *room > 0) else {
        return text[..boundary_before(text, max)].to_owned();
    };
    let head = boundary_before(text, room - room / 3);
    let tail = (text.len() - room / 3..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    [&text[..head], &marker, &text[tail..]].concat()
}

fn boundary_before(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounded(text: &str, max: usize, blobs: bool) -> Option<String> {
        Bounder::new(max, blobs).bound(text).expect("it is regular").map(|bounded| bounded.text)
    }

    #[test]
    fn text_loses_its_middle_between_characters() {
        assert_eq!(
            bounded(&"é".repeat(40), 50, false).unwrap(),
            format!("{}…[80 bytes in all]…{}", "é".repeat(9), "é".repeat(4))
        );
        assert_eq!(bounded("éééé", 3, false).unwrap(), "é");
        assert_eq!(bounded("short", 5, false), None);
    }

    #[test]
    fn a_list_loses_messages_from_its_middle() {
        let text = format!("[{}]", vec![r#"{"role":"user"}"#; 20].join(","));
        assert_eq!(
            bounded(&text, 80, false).unwrap(),
            r#"[{"role":"user"},{"left_out":17},{"role":"user"},{"role":"user"}]"#
        );
        assert_eq!(bounded("[1,2,3,4,5,6,7,8,9]", 6, false).unwrap(), "[]");
    }

    #[test]
    fn blobs_are_described() {
        let data = "A".repeat(80);
        let text = format!(r#"[{{"type":"blob","mime_type":"image/png","content":"{data}=="}}]"#);
        let hash = sha256(format!("{data}==").as_bytes());
        assert_eq!(
            bounded(&text, 0, true).unwrap(),
            format!(
                r#"[{{"type":"blob","mime_type":"image/png","content":"[blob image/png, 60 bytes, sha256 {hash}]"}}]"#
            )
        );
        assert_eq!(
            bounded(&format!("see DATA:image/gif;BASE64,{data}"), 0, true),
            None, // what is asked first is whether it says base64
        );
        assert_eq!(
            bounded(&format!("see data:;base64,{data}"), 0, true).unwrap(),
            format!("see data:;base64,{data}").replace(&format!("data:;base64,{data}"), &described(&data, ""))
        );
    }

    #[test]
    fn what_only_python_reads_is_left_to_it() {
        assert!(Bounder::new(10, false).bound(&"[".repeat(100)).is_err());
    }
}
