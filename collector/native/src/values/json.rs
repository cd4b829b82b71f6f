//! How many elements a JSON list has, without building it.
//!
//! Accepts what Python's `json.loads` accepts, `NaN` and `Infinity` among it, because the reference asks that.

use crate::wire::{Irregular, Result};

const MAX_DEPTH: usize = 64;
const MAX_NUMBER_BYTES: usize = 4000; // Python refuses integers of more than 4300 digits

/// The number of elements when `text` is a JSON list, `None` when it is other JSON or none.
///
/// # Errors
/// `Irregular` where Python's answer depends on limits of its own.
pub fn list_length(text: &str) -> Result<Option<u64>> {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0 };
    match scan.document() {
        Ok(count) => Ok(count),
        Err(Stop::Broken) => Ok(None),
        Err(Stop::Unsure) => Err(Irregular),
    }
}

enum Stop {
    Broken,
    Unsure,
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    fn document(&mut self) -> std::result::Result<Option<u64>, Stop> {
        self.space();
        let is_list = self.peek() == b'[';
        let count = self.value()?;
        self.space();
        if self.at < self.bytes.len() {
            return Err(Stop::Broken);
        }
        Ok(is_list.then_some(count))
    }

    /// Passes over one value; the number of elements of the outermost list or object.
    fn value(&mut self) -> std::result::Result<u64, Stop> {
        let mut open: Vec<u8> = Vec::new();
        let mut count = 0;
        loop {
            match self.peek() {
                bracket @ (b'[' | b'{') => {
                    self.at += 1;
                    self.space();
                    let closing = bracket + 2; // in ASCII: [ ] and { }
                    if self.peek() == closing {
                        self.at += 1;
                    } else {
                        if open.len() >= MAX_DEPTH {
                            return Err(Stop::Unsure);
                        }
                        open.push(closing);
                        self.key(closing)?;
                        continue;
                    }
                }
                b'"' => self.string()?,
                b'-' | b'0'..=b'9' => self.number()?,
                b't' => self.word(b"true")?,
                b'f' => self.word(b"false")?,
                b'n' => self.word(b"null")?,
                b'N' => self.word(b"NaN")?,
                b'I' => self.word(b"Infinity")?,
                _ => return Err(Stop::Broken),
            }
            loop {
                let Some(&closing) = open.last() else {
                    return Ok(count);
                };
                self.space();
                let outermost = u64::from(open.len() == 1);
                if self.peek() == b',' {
                    self.at += 1;
                    self.space();
                    self.key(closing)?;
                    count += outermost;
                    break;
                }
                if self.peek() != closing {
                    return Err(Stop::Broken);
                }
                self.at += 1;
                count += outermost;
                open.pop();
            }
        }
    }

    /// In an object, passes over the key and its colon.
    fn key(&mut self, closing: u8) -> std::result::Result<(), Stop> {
        if closing == b'}' {
            if self.peek() != b'"' {
                return Err(Stop::Broken);
            }
            self.string()?;
            self.space();
            if self.peek() != b':' {
                return Err(Stop::Broken);
            }
            self.at += 1;
            self.space();
        }
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> std::result::Result<(), Stop> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(Stop::Broken);
        }
        self.at += word.len();
        Ok(())
    }

    fn string(&mut self) -> std::result::Result<(), Stop> {
        self.at += 1;
        loop {
            self.at += plain_prefix(&self.bytes[self.at..]);
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    let escaped = self.bytes.get(self.at + 1).ok_or(Stop::Broken)?;
                    self.at += 2;
                    match escaped {
                        b'u' => {
                            let rest = &self.bytes[self.at..];
                            let hex = rest.first_chunk::<4>().ok_or(Stop::Broken)?;
                            if !hex.iter().fold(true, |all, byte| all & byte.is_ascii_hexdigit()) {
                                return Err(Stop::Broken);
                            }
                            self.at += 4;
                        }
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        _ => return Err(Stop::Broken),
                    }
                }
                _ => return Err(Stop::Broken), // a control character, or the end
            }
        }
    }

    fn number(&mut self) -> std::result::Result<(), Stop> {
        let start = self.at;
        if self.peek() == b'-' {
            self.at += 1;
            if self.peek() == b'I' {
                return self.word(b"Infinity");
            }
        }
        match self.peek() {
            b'0' => self.at += 1,
            b'1'..=b'9' => self.digits()?,
            _ => return Err(Stop::Broken),
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        if self.at - start > MAX_NUMBER_BYTES {
            return Err(Stop::Unsure);
        }
        Ok(())
    }

    fn digits(&mut self) -> std::result::Result<(), Stop> {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        if self.at == start {
            return Err(Stop::Broken);
        }
        Ok(())
    }
}

/// Length of the part of `bytes` that a JSON string holds as it is: up to a quote, a backslash or a control character.
pub fn plain_prefix(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(eight) = bytes[at..].first_chunk::<8>() {
        let ends = ends_in(u64::from_le_bytes(*eight));
        if ends != 0 {
            return at + ends.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let ends = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    at + bytes[at..].iter().position(ends).unwrap_or(bytes.len() - at)
}

/// The high bit of each byte of `eight` that ends a plain part. Above the lowest one there may be others by mistake.
fn ends_in(eight: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let is_zero = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes;
    let is_control = eight.wrapping_sub(ONES * 0x20) & !eight;
    let is_quote = is_zero(eight ^ (ONES * u64::from(b'"')));
    let is_backslash = is_zero(eight ^ (ONES * u64::from(b'\\')));
    (is_control | is_quote | is_backslash) & (ONES * 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_counted() {
        for (text, count) in [
            ("[]", 0),
            (" [ ] ", 0),
            ("[1]", 1),
            (r#"[{"id": "1"}, {"id": "2", "x": [1, 2, {}]}]"#, 2),
            (r#"["a\"]", "\u00e9, []", -1.5e+3, NaN, -Infinity, true, false, null]"#, 8),
            ("[[[]],[[1,2],[3]]]", 2),
        ] {
            assert_eq!(list_length(text), Ok(Some(count)), "{text}");
        }
    }

    #[test]
    fn other_json_and_what_is_none_are_no_list() {
        for text in [
            "",
            "{}",
            "1",
            r#""[1]""#,
            "[1",
            "[1,]",
            "[,1]",
            "[1] x",
            "[01]",
            "[1.]",
            "[1e]",
            "[-]",
            "[+1]",
            "['a']",
            "[\"a\n\"]",
            r#"["\x"]"#,
            r#"["\u12g4"]"#,
            "[tru]",
            "[1 2]",
            r#"{"a": [1]}"#,
            "[{1: 2}]",
            r#"[{"a" 1}]"#,
            "]",
            "[1}",
            "\u{feff}[]",
            "[\"abc",
            "[{\"a\":1,}]",
        ] {
            assert_eq!(list_length(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn plain_parts_end_at_the_first_quote_backslash_or_control_character() {
        for end in *b"\"\\\x00\x1f\n" {
            for at in 0..40 {
                let mut text = vec![b' '; 48];
                text[at] = end;
                text[at + 1] = b'"';
                assert_eq!(plain_prefix(&text), at);
                text[..at].fill(0xc3);
                assert_eq!(plain_prefix(&text), at);
            }
        }
        assert_eq!(plain_prefix(&[0x21; 29]), 29);
    }

    #[test]
    fn where_python_has_limits_of_its_own_it_is_asked() {
        assert_eq!(list_length(&"[".repeat(5000)), Err(Irregular));
        assert_eq!(list_length(&format!("[{}]", "9".repeat(5000))), Err(Irregular));
    }
}
