//! Redacting and bounding what people or models wrote, wherever a span or a log record carries it. The twin of `engine/content.py`.
//!
//! It reads what the pass before it wrote, so that content carried over from another dialect is looked at as well.

pub mod bounds;
pub mod checks;
pub mod dropping;
pub mod redact;
mod value;

use std::collections::HashSet;

use crate::content::bounds::Bounder;
use crate::content::redact::{Finds, Redactor};
use crate::content::value::key_value;
use crate::wire::patch::Patch;
use crate::wire::{push_field, Cursor, Irregular, Result, BYTES};

const BODY: &str = "body";

/// Which attributes are looked at.
#[derive(Default)]
pub struct ContentKeys {
    pub exact: HashSet<String>,
    pub prefixes: Vec<String>,
    /// Names that are no content although they begin like it.
    pub known: HashSet<String>,
    /// Text for people that quotes content.
    pub quotes: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Content,
    Quote,
}

impl ContentKeys {
    fn kind(&self, key: &str) -> Option<Kind> {
        if self.exact.contains(key)
            || (self.prefixes.iter().any(|prefix| key.starts_with(prefix)) && !self.known.contains(key))
        {
            return Some(Kind::Content);
        }
        self.quotes.iter().any(|quote| quote == key).then_some(Kind::Quote)
    }
}

/// What the configuration asks for.
pub struct Content {
    pub keys: ContentKeys,
    pub redactor: Option<Redactor>,
    pub bounder: Option<Bounder>,
    /// The attribute that says what was cut.
    pub mark: String,
}

/// Where attributes, and messages that have attributes, stand in a message.
struct Places {
    attributes: u8,
    inner: &'static [(u32, Places)],
    status: u32,
    body: u32,
}

const NOWHERE: u32 = 0;
const EVENT: Places = Places { attributes: 3, inner: &[], status: NOWHERE, body: NOWHERE };
const LINK: Places = Places { attributes: 4, ..EVENT };
const SPAN: Places = Places { attributes: 9, inner: &[(11, EVENT), (13, LINK)], status: 15, body: NOWHERE };
const LOG_RECORD: Places = Places { attributes: 6, inner: &[], status: NOWHERE, body: 5 };

impl Content {
    pub fn no_finds(&self) -> Finds {
        self.redactor.as_ref().map(Redactor::no_finds).unwrap_or_default()
    }

    /// What changes in a trace request that was read before; finds are counted.
    ///
    /// # Errors
    /// `Irregular` when the reference has to look at it.
    pub fn traces(&self, request: &[u8], found: &mut Finds) -> Result<Patch> {
        self.items(request, &SPAN, found)
    }

    /// What changes in a logs request that was read before; finds are counted.
    ///
    /// # Errors
    /// `Irregular` when the reference has to look at it.
    pub fn logs(&self, request: &[u8], found: &mut Finds) -> Result<Patch> {
        self.items(request, &LOG_RECORD, found)
    }

    fn items(&self, request: &[u8], places: &Places, found: &mut Finds) -> Result<Patch> {
        let mut pass = Pass { rules: self, patch: Patch::default(), found };
        pass.level(Cursor::new(request), &[1, 2, 2], places)?;
        Ok(pass.patch)
    }
}

/// A walk over one request.
pub(crate) struct Pass<'c, 'f> {
    pub rules: &'c Content,
    pub patch: Patch,
    pub found: &'f mut Finds,
}

/// What was cut in one message, for the attribute that says so.
#[derive(Default)]
struct Marks {
    cut: Vec<String>,
    cut_body: Vec<String>,
    /// The sender has such an attribute.
    is_there: bool,
}

impl Pass<'_, '_> {
    /// Walks down the fields of these numbers to the items.
    fn level(&mut self, mut cursor: Cursor<'_>, numbers: &[u32], places: &Places) -> Result<()> {
        let Some((number, deeper)) = numbers.split_first() else {
            return self.item(cursor, places);
        };
        while !cursor.is_done() {
            let (found, wire) = cursor.tag()?;
            if (found, wire) == (*number, BYTES) {
                let (length_at, inner) = (cursor.at, cursor.message()?);
                self.inside(length_at, inner, |pass, inner| pass.level(inner, deeper, places))?;
            } else {
                cursor.skip(wire)?;
            }
        }
        Ok(())
    }

    /// Walks over a span, a log record, or what hangs on a span.
    fn item(&mut self, mut cursor: Cursor<'_>, places: &Places) -> Result<()> {
        let (mut seen_status, mut seen_body, mut marks) = (false, false, Marks::default());
        while !cursor.is_done() {
            let (number, wire) = cursor.tag()?;
            if wire != BYTES {
                cursor.skip(wire)?;
                continue;
            }
            let (length_at, inner) = (cursor.at, cursor.message()?);
            if number == u32::from(places.attributes) {
                self.inside(length_at, inner, |pass, inner| pass.attribute(inner, &mut marks))?;
            } else if number == places.status {
                once(&mut seen_status)?;
                self.inside(length_at, inner, Self::status)?;
            } else if number == places.body {
                once(&mut seen_body)?;
                self.inside(length_at, inner, |pass, inner| pass.content(BODY, inner, &mut marks.cut_body))?;
            } else if let Some((_, places)) = places.inner.iter().find(|(known, _)| *known == number) {
                self.inside(length_at, inner, |pass, inner| pass.item(inner, places))?;
            }
        }
        self.mark(cursor.end(), places, marks)
    }

    /// Adds the attribute that says what was cut at the end of a message.
    fn mark(&mut self, end: usize, places: &Places, mut marks: Marks) -> Result<()> {
        marks.cut.append(&mut marks.cut_body);
        if marks.cut.is_empty() {
            return Ok(());
        }
        if marks.is_there {
            return Err(Irregular); // the reference adds to it
        }
        let mut values = Vec::new();
        for one in marks.cut {
            let mut value = Vec::new();
            push_field(&mut value, 1, one.as_bytes());
            push_field(&mut values, 1, &value);
        }
        let (mut any_value, mut key_value, mut field) = (Vec::new(), Vec::new(), Vec::new());
        push_field(&mut any_value, 5, &values);
        push_field(&mut key_value, 1, self.rules.mark.as_bytes());
        push_field(&mut key_value, 2, &any_value);
        push_field(&mut field, places.attributes, &key_value);
        self.patch.replace(end, end, &field);
        Ok(())
    }

    fn attribute(&mut self, attribute: Cursor<'_>, marks: &mut Marks) -> Result<()> {
        let (key, value) = key_value(attribute)?;
        marks.is_there |= key == self.rules.mark;
        let (Some(kind), Some((length_at, value))) = (self.rules.keys.kind(key), value) else {
            return Ok(());
        };
        self.inside(length_at, value, |pass, value| match kind {
            Kind::Content => pass.content(key, value, &mut marks.cut),
            Kind::Quote => pass.value(value),
        })
    }

    /// Goes into a field, and out again.
    pub(crate) fn inside<'a>(
        &mut self,
        length_at: usize,
        content: Cursor<'a>,
        work: impl FnOnce(&mut Self, Cursor<'a>) -> Result<()>,
    ) -> Result<()> {
        let open = self.patch.open(length_at, content);
        work(self, content)?;
        self.patch.close(&open, content.end());
        Ok(())
    }

    /// The message of a span's status.
    fn status(&mut self, mut cursor: Cursor<'_>) -> Result<()> {
        let mut seen = false;
        while !cursor.is_done() {
            let from = cursor.at;
            match cursor.tag()? {
                (2, BYTES) => {
                    once(&mut seen)?;
                    if let Some(redacted) = self.redacted(cursor.text()?)? {
                        let mut field = Vec::new();
                        push_field(&mut field, 2, redacted.as_bytes());
                        self.patch.replace(from, cursor.at, &field);
                    }
                }
                (_, wire) => cursor.skip(wire)?,
            }
        }
        Ok(())
    }
}

/// # Errors
/// `Irregular` for the second of what protobuf merges, or of which it takes the last.
fn once(seen: &mut bool) -> Result<()> {
    if std::mem::replace(seen, true) {
        return Err(Irregular);
    }
    Ok(())
}
