//! JSON in attributes, read as Python's `json.loads(strict=False)` reads it, with `NaN` and `Infinity` where that is asked for. The twin of
//! `engine/json_text.py`.

use bumpalo::Bump;

use crate::values::json::plain_prefix;
use crate::values::value::{distinct, Pair, Plain, Reason, Stop, Tried};

const MAX_DEPTH: u32 = 64; // beyond it Python's answer depends on limits of its own
const MAX_NUMBER_BYTES: usize = 4000; // Python refuses integers of more than 4300 digits
const BROKEN: Stop = Stop::Not(Reason::BrokenJson);

/// Reads JSON into an arena.
#[derive(Clone, Copy)]
pub struct Reader<'s> {
    pub bump: &'s Bump,
    pub max_chars: usize,
    /// Whether `NaN` and `Infinity` are values.
    pub takes_constants: bool,
}

impl<'s> Reader<'s> {
    /// One that reads text of any size.
    pub fn unbounded(bump: &'s Bump, takes_constants: bool) -> Self {
        Reader { bump, max_chars: usize::MAX, takes_constants }
    }

    /// The value that `text` is; half characters in it become U+FFFD.
    ///
    /// # Errors
    /// Broken JSON, JSON that is too large, or what only the reference can read.
    pub fn parse(self, text: &'s str) -> Tried<Plain<'s>> {
        if text.len() > self.max_chars && text.chars().count() > self.max_chars {
            return Err(Stop::Not(Reason::JsonTooLarge));
        }
        let takes_constants = self.takes_constants;
        let mut parse = Parse {
            text,
            at: 0,
            bump: self.bump,
            takes_constants,
            items: Vec::with_capacity(16),
            pairs: Vec::with_capacity(24),
            is_cut: false,
        };
        parse.space();
        let value = parse.value(0)?;
        parse.space();
        if parse.at < text.len() {
            return Err(BROKEN);
        }
        Ok(value)
    }
}

struct Parse<'s> {
    text: &'s str,
    at: usize,
    bump: &'s Bump,
    takes_constants: bool,
    /// Items and pairs of the lists and dicts that are open.
    items: Vec<Plain<'s>>,
    pairs: Vec<Pair<'s>>,
    /// The last string held half a character.
    is_cut: bool,
}

impl<'s> Parse<'s> {
    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: u32) -> Tried<Plain<'s>> {
        match self.peek() {
            b'"' => self.string().map(Plain::Text),
            b'{' | b'[' if depth >= MAX_DEPTH => Err(Stop::Irregular),
            b'{' => self.dict(depth + 1),
            b'[' => self.list(depth + 1),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true", Plain::Bool(true)),
            b'f' => self.word("false", Plain::Bool(false)),
            b'n' => self.word("null", Plain::Null),
            b'N' if self.takes_constants => self.word("NaN", Plain::Float(f64::NAN)),
            b'I' if self.takes_constants => self.word("Infinity", Plain::Float(f64::INFINITY)),
            _ => Err(BROKEN),
        }
    }

    fn word(&mut self, word: &str, value: Plain<'s>) -> Tried<Plain<'s>> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(BROKEN);
        }
        self.at += word.len();
        Ok(value)
    }

    fn list(&mut self, depth: u32) -> Tried<Plain<'s>> {
        let from = self.items.len();
        let mut is_more = self.opens(b']');
        while is_more {
            let value = self.value(depth)?;
            self.items.push(value);
            is_more = self.goes_on(b']')?;
        }
        let items = self.bump.alloc_slice_copy(&self.items[from..]);
        self.items.truncate(from);
        Ok(Plain::List(items))
    }

    fn dict(&mut self, depth: u32) -> Tried<Plain<'s>> {
        let from = self.pairs.len();
        let mut is_more = self.opens(b'}');
        while is_more {
            let key = self.key()?;
            let value = self.value(depth)?;
            self.pairs.push((key, value));
            is_more = self.goes_on(b'}')?;
        }
        distinct(&mut self.pairs, from);
        let pairs = self.bump.alloc_slice_copy(&self.pairs[from..]);
        self.pairs.truncate(from);
        Ok(Plain::Dict(pairs))
    }

    /// Passes over an opening bracket, and over the `closing` one if it follows; whether an item does.
    fn opens(&mut self, closing: u8) -> bool {
        self.at += 1;
        self.space();
        let is_empty = self.peek() == closing;
        self.at += usize::from(is_empty);
        !is_empty
    }

    /// Passes over the comma behind an item, or over the `closing` bracket; whether another item follows.
    fn goes_on(&mut self, closing: u8) -> Tried<bool> {
        self.space();
        let next = self.peek();
        if next != b',' && next != closing {
            return Err(BROKEN);
        }
        self.at += 1;
        if next == b',' {
            self.space();
        }
        Ok(next == b',')
    }

    /// Reads a key and its colon.
    fn key(&mut self) -> Tried<&'s str> {
        if self.peek() != b'"' {
            return Err(BROKEN);
        }
        self.is_cut = false;
        let key = self.string()?;
        if self.is_cut {
            return Err(Stop::Irregular); // mended, two such keys may become one
        }
        self.space();
        if self.peek() != b':' {
            return Err(BROKEN);
        }
        self.at += 1;
        self.space();
        Ok(key)
    }

    fn number(&mut self) -> Tried<Plain<'s>> {
        let start = self.at;
        self.at += usize::from(self.peek() == b'-');
        match self.peek() {
            b'I' if self.takes_constants => return self.word("Infinity", Plain::Float(f64::NEG_INFINITY)),
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        let whole_end = self.at;
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), b'+' | b'-'));
            self.digits()?;
        }
        let digits = &self.text[start..self.at];
        if self.at > whole_end {
            return digits.parse().map(Plain::Float).map_err(|_| BROKEN);
        }
        if digits.len() > MAX_NUMBER_BYTES {
            return Err(Stop::Irregular);
        }
        Ok(digits.parse().map_or(Plain::Big(digits), Plain::Int))
    }

    fn digits(&mut self) -> Tried<()> {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        if self.at == start {
            return Err(BROKEN);
        }
        Ok(())
    }

    /// Reads a string. One without escapes stays where it is.
    fn string(&mut self) -> Tried<&'s str> {
        self.at += 1;
        let start = self.at;
        let mut written: Option<String> = None;
        let mut from = start;
        loop {
            self.at += plain_prefix(&self.text.as_bytes()[self.at..]);
            match self.text.as_bytes().get(self.at) {
                None => return Err(BROKEN),
                Some(b'"') => {
                    let rest = &self.text[from..self.at];
                    self.at += 1;
                    return Ok(match written {
                        None => rest,
                        Some(written) => self.bump.alloc_str(&(written + rest)),
                    });
                }
                Some(b'\\') => {
                    let written = written.get_or_insert_default();
                    written.push_str(&self.text[from..self.at]);
                    self.at += 1;
                    let character = self.escape()?;
                    written.push(character);
                    from = self.at;
                }
                Some(_) => self.at += 1, // a control character
            }
        }
    }

    /// The character that an escape stands for, from behind its backslash on.
    fn escape(&mut self) -> Tried<char> {
        let letter = self.peek();
        self.at += 1;
        Ok(match letter {
            b'"' | b'\\' | b'/' => letter.into(),
            b'b' => '\x08',
            b'f' => '\x0c',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.hex()?;
                if let Some(character) = char::from_u32(unit) {
                    return Ok(character);
                }
                let behind = self.at;
                if unit < 0xdc00 && self.text.as_bytes()[behind..].starts_with(b"\\u") {
                    self.at += 2;
                    let low = self.hex()?;
                    if (0xdc00..0xe000).contains(&low) {
                        let joined = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                        return Ok(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    self.at = behind;
                }
                self.is_cut = true;
                char::REPLACEMENT_CHARACTER
            }
            _ => return Err(BROKEN),
        })
    }

    fn hex(&mut self) -> Tried<u32> {
        let digits = self.text.as_bytes()[self.at..].first_chunk::<4>().ok_or(BROKEN)?;
        self.at += 4;
        let mut unit = 0;
        for digit in digits {
            unit = unit << 4 | char::from(*digit).to_digit(16).ok_or(BROKEN)?;
        }
        Ok(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dumped(text: &str) -> Result<String, Stop> {
        let bump = Bump::new();
        Reader { bump: &bump, max_chars: 2000, takes_constants: false }
            .parse(text)
            .map(|value| value.dump(&bump).to_owned())
    }

    #[test]
    fn json_is_read_and_written_as_python_does() {
        for (text, written) in [
            (" [ ] ", "[]"),
            ("{ }", "{}"),
            ("\"\"", "\"\""),
            (
                r#"{"a": 1, "b": [1.50, -0, -0.0, 1e5], "a": {"c": null}}"#,
                r#"{"a":{"c":null},"b":[1.5,0,-0.0,100000.0]}"#,
            ),
            (r#"["\u00e9\ud83d\ude00\/\"\\\b\f\n\r\t\u001f"]"#, "[\"é😀/\\\"\\\\\\b\\f\\n\\r\\t\\u001f\"]"),
            ("[\"tab\tand\nline\"]", r#"["tab\tand\nline"]"#),
            (
                r#"["\ud800", "\udc00x", "\ud83d\u0041", "\ud83d\ud83d\ude00"]"#,
                "[\"\u{fffd}\",\"\u{fffd}x\",\"\u{fffd}A\",\"\u{fffd}😀\"]",
            ),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("[9223372036854775807, -9223372036854775808]", "[9223372036854775807,-9223372036854775808]"),
            ("1e999", "Infinity"),
            ("[1E-7, 12345678901234567890.0]", "[1e-07,1.2345678901234567e+19]"),
        ] {
            assert_eq!(dumped(text).as_deref(), Ok(written), "{text}");
        }
    }

    #[test]
    fn constants_are_values_where_that_is_asked_for() {
        let bump = Bump::new();
        let value = Reader::unbounded(&bump, true).parse("[NaN, Infinity, -Infinity]").unwrap();
        assert_eq!(value.dump(&bump), "[NaN,Infinity,-Infinity]");
        assert!(Reader::unbounded(&bump, true).parse("[-NaN]").is_err());
    }

    #[test]
    fn what_python_refuses_is_broken() {
        for text in [
            "",
            " ",
            "NaN",
            "[Infinity]",
            "[-Infinity]",
            "[1,]",
            "[,]",
            "{,}",
            "[1 2]",
            "{\"a\" 1}",
            "{\"a\":1,}",
            "{1:2}",
            "[1}",
            "[\"a]",
            "\"\\",
            "\"\\u12",
            "\"\\u12g4\"",
            "\"\\x\"",
            "\"\\ud83d\\u12\"",
            "[01]",
            "[1.]",
            "[.5]",
            "[1e]",
            "[-]",
            "tru",
            "[1] x",
            "\u{feff}[]",
            "'a'",
            "[",
            "{",
            "[[1]",
        ] {
            assert_eq!(dumped(text), Err(BROKEN), "{text}");
        }
        assert_eq!(dumped(&format!("[{}]", " ".repeat(2000))), Err(Stop::Not(Reason::JsonTooLarge)));
        assert_eq!(dumped(&format!("\"{}\"", "é".repeat(1500))).map(|text| text.len()), Ok(3002));
    }

    #[test]
    fn where_python_has_limits_of_its_own_it_is_asked() {
        assert_eq!(dumped(&format!("{}{}", "[".repeat(65), "]".repeat(65))), Err(Stop::Irregular));
        assert!(dumped(&format!("{}{}", "[".repeat(64), "]".repeat(64))).is_ok());
        assert_eq!(dumped(r#"{"\ud800": 1}"#), Err(Stop::Irregular));
        let bump = Bump::new();
        let digits = "9".repeat(5000);
        assert_eq!(Reader::unbounded(&bump, false).parse(&digits).err(), Some(Stop::Irregular));
    }
}
