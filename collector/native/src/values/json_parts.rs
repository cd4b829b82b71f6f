//! A JSON text apart: its strings, and what stands between them. Broken JSON has parts too, as `engine/redact.py` has them.

use std::fmt::Write;

use memchr::{memchr, memchr2};

use crate::values::json::plain_prefix;

/// A part of a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A string with its quotes; the last one may have lost its end.
    Text(&'a str),
    Between(&'a str),
}

impl Part<'_> {
    #[allow(clippy::len_without_is_empty)] // none is empty
    pub fn len(self) -> usize {
        let (Part::Text(text) | Part::Between(text)) = self;
        text.len()
    }
}

/// The parts of `text` with their places.
pub fn parts(text: &str) -> impl Iterator<Item = (usize, Part<'_>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (from, rest) = (at, &text[at..]);
        let part = match rest.bytes().next()? {
            b'"' => Part::Text(&rest[..end_of_string(rest.as_bytes())]),
            _ => Part::Between(&rest[..memchr(b'"', rest.as_bytes()).unwrap_or(rest.len())]),
        };
        at += part.len();
        Some((from, part))
    })
}

/// Where the string ends that `bytes` begin with: behind its quote, or with the text.
fn end_of_string(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
        at += found;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2; // whatever is escaped: where it is a long character, its rest is neither quote nor backslash
    }
    bytes.len()
}

/// What all parts say, one after the other, with NULs between them.
pub fn joined(text: &str) -> Vec<u8> {
    let mut joined = String::with_capacity(text.len() + text.len() / 4);
    for (_, part) in parts(text) {
        match part {
            Part::Text(quoted) => unquote(quoted, &mut joined),
            Part::Between(between) => joined.push_str(between),
        }
        joined.push('\0');
    }
    joined.pop();
    joined.into_bytes()
}

/// Appends what the string `quoted` says; where it is broken, all that stands behind its quote.
pub fn unquote(quoted: &str, target: &mut String) {
    let inner = &quoted[1..];
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let start = target.len();
    if unescape(inner, target).is_none() {
        target.truncate(start);
        target.push_str(inner);
    }
}

fn unescape(inner: &str, target: &mut String) -> Option<()> {
    let mut rest = inner;
    while let Some(at) = memchr2(b'\\', b'"', rest.as_bytes()) {
        target.push_str(&rest[..at]);
        let escaped = rest[at..].strip_prefix('\\')?; // a quote would end the string
        let letter = escaped.chars().next()?;
        rest = &escaped[letter.len_utf8()..];
        target.push(match letter {
            '"' | '\\' | '/' => letter,
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let (character, behind) = character(rest)?;
                rest = behind;
                character
            }
            _ => return None,
        });
    }
    target.push_str(rest);
    Some(())
}

/// The character whose UTF-16 is in hexadecimal at the beginning of `digits`, and what follows. Half of a surrogate
/// pair becomes U+FFFD.
fn character(digits: &str) -> Option<(char, &str)> {
    let (first, rest) = unit(digits)?;
    if (0xd800..0xdc00).contains(&first) {
        if let Some(escape) = rest.strip_prefix("\\u") {
            let (second, behind) = unit(escape)?;
            if let Some(Ok(character)) = char::decode_utf16([first, second]).next() {
                return Some((character, behind));
            }
        }
    }
    Some((char::from_u32(u32::from(first)).unwrap_or(char::REPLACEMENT_CHARACTER), rest))
}

fn unit(text: &str) -> Option<(u16, &str)> {
    let digits = text.get(..4).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    Some((u16::from_str_radix(digits, 16).ok()?, &text[4..]))
}

/// Appends `text` as a JSON string, as Python's `json.dumps` writes it without escaping what is not ASCII.
pub fn quote(text: &str, target: &mut String) {
    target.push('"');
    let mut rest = text;
    loop {
        let (plain, odd) = rest.split_at(plain_prefix(rest.as_bytes()));
        target.push_str(plain);
        let Some(byte) = odd.bytes().next() else { break };
        match byte {
            b'"' => target.push_str("\\\""),
            b'\\' => target.push_str("\\\\"),
            b'\n' => target.push_str("\\n"),
            b'\r' => target.push_str("\\r"),
            b'\t' => target.push_str("\\t"),
            0x08 => target.push_str("\\b"),
            0x0c => target.push_str("\\f"),
            _ => write!(target, "\\u{byte:04x}").expect("a String takes everything"),
        }
        rest = &odd[1..];
    }
    target.push('"');
}

/// Where numbers stand in what is between strings: from a digit, or a minus before one, to what belongs to no number.
pub fn numbers(between: &str) -> Vec<(usize, usize)> {
    let bytes = between.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let is_signed = bytes[at] == b'-' && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        if !is_signed && !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let from = at;
        at += usize::from(is_signed);
        let belongs = |byte: &&u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
        at += bytes[at..].iter().take_while(belongs).count();
        found.push((from, at));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_the_sum_of_its_parts() {
        for (text, strings) in [
            (r#"["a", {"b\"": 1}]"#, vec![r#""a""#, r#""b\"""#]),
            (r#"["abc"#, vec![r#""abc"#]),
            ("[\"abc\\", vec!["\"abc\\"]),
            ("[\"\\é\"\"", vec!["\"\\é\"", "\""]),
            ("[]", vec![]),
        ] {
            let all: String = parts(text).map(|(at, part)| &text[at..at + part.len()]).collect();
            assert_eq!(all, text);
            let found: Vec<&str> = parts(text)
                .filter_map(|(_, part)| if let Part::Text(text) = part { Some(text) } else { None })
                .collect();
            assert_eq!(found, strings, "{text}");
        }
    }

    #[test]
    fn strings_say_what_python_reads_in_them() {
        for (quoted, said) in [
            (r#""a\n\"\\\/\b\f\r\té""#, "a\n\"\\/\u{8}\u{c}\r\té"),
            (r#""\u00e9\ud83d\ude00""#, "é😀"),
            (r#""\ud83d x \udc00\ud83d\u0041""#, "\u{fffd} x \u{fffd}\u{fffd}A"),
            (r#""\x""#, r"\x"),
            (r#""\u12""#, r"\u12"),
            (r#""\ud83d\u12""#, r"\ud83d\u12"),
            (r#""cut off"#, "cut off"),
            ("\"cut off\\", "cut off\\"),
            ("\"", ""),
        ] {
            let mut target = "before ".to_owned();
            unquote(quoted, &mut target);
            assert_eq!(target, format!("before {said}"), "{quoted}");
        }
    }

    #[test]
    fn numbers_are_found_between_strings() {
        let found =
            |text: &str| numbers(text).into_iter().map(|(from, to)| text[from..to].to_owned()).collect::<Vec<_>>();
        assert_eq!(found(": -12.5e+3, [4,--5] -x"), ["-12.5e+3", "4", "-5"]);
    }
}
