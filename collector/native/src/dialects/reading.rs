//! One span of another dialect being read: its values, what rules made of them, and what was odd.

use crate::values::any_value::{self, coerce, Scalar};
use bumpalo::collections::Vec as ArenaVec;

use crate::dialects::conversions::converted;
use crate::dialects::shapes::Shaper;
use crate::dialects::table::{Condition, Constant, DialectTable, KeyNumber, Need, Place, Rule, Source, Test};
use crate::values::parse::Reader;
use crate::values::value::{Plain, Reason, Stop, Tried};
use crate::wire::{Cursor, Irregular, Result, BYTES, FIXED64};

/// What stands around a span.
#[derive(Clone, Copy, Default)]
pub struct Around<'s> {
    pub scope: &'s str,
    pub resource: Option<Cursor<'s>>,
}

/// An attribute with its place in the request.
pub struct Attribute<'s> {
    pub key: &'s str,
    pub number: Option<KeyNumber>,
    pub value: Option<Cursor<'s>>,
    pub from: usize,
    pub to: usize,
}

/// A value that was read at most once in each of its forms.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'s> {
    pub value: Option<Cursor<'s>>,
    pub plain: Option<Plain<'s>>,
    pub json: Option<Tried<Plain<'s>>>,
}

/// See the module.
pub struct Reading<'s> {
    pub table: &'s DialectTable,
    pub reader: Reader<'s>,
    pub(crate) around: Around<'s>,
    pub(crate) name: &'s str,
    pub(crate) is_root: bool,
    pub start: u64,
    pub attributes: ArenaVec<'s, Attribute<'s>>,
    pub(crate) events: Vec<Cursor<'s>>,
    /// By the number of a key: which of `seen`, counted from 1, and which of `made`.
    pub(crate) seen_at: &'s mut [u32],
    made_at: &'s mut [u32],
    pub(crate) seen: ArenaVec<'s, Seen<'s>>,
    pub(crate) trees: Vec<Option<Plain<'s>>>,
    pub(crate) is_json: bool,
    pub made: Vec<(KeyNumber, Plain<'s>)>,
    /// The dialects that gave something.
    pub spoke: Vec<usize>,
    /// By the number of a key, whether a rule carried it whole.
    pub carried: &'s mut [bool],
    pub problems: Vec<(Reason, KeyNumber)>,
}

impl<'s> Reading<'s> {
    /// Reads the fields of a span that was checked.
    ///
    /// # Errors
    /// `Irregular` where protobuf would have to merge.
    pub fn new(table: &'s DialectTable, reader: Reader<'s>, mut span: Cursor<'s>, around: Around<'s>) -> Result<Self> {
        let numbers = || reader.bump.alloc_slice_fill_copy(table.key_names.len(), 0);
        let mut reading = Reading {
            table,
            reader,
            around,
            name: "",
            is_root: true,
            start: 0,
            attributes: ArenaVec::with_capacity_in(32, reader.bump),
            events: Vec::new(),
            seen_at: numbers(),
            made_at: numbers(),
            seen: ArenaVec::with_capacity_in(32, reader.bump),
            trees: vec![None; table.trees.len()],
            is_json: false,
            made: Vec::with_capacity(16),
            spoke: Vec::new(),
            carried: reader.bump.alloc_slice_fill_copy(table.key_names.len(), false),
            problems: Vec::new(),
        };
        while !span.is_done() {
            let from = span.at;
            match span.tag()? {
                (4, BYTES) => reading.is_root = span.bytes()?.is_empty(),
                (5, BYTES) => reading.name = span.text()?,
                (7, FIXED64) => reading.start = span.fixed64()?,
                (9, BYTES) => {
                    let (key, value) = any_value::key_value(span.message()?)?;
                    let number = table.keys.get(key).copied();
                    reading.attributes.push(Attribute { key, number, value, from, to: span.at });
                    reading.see(number, value);
                }
                (11, BYTES) => reading.events.push(span.message()?),
                (_, wire) => span.skip(wire)?,
            }
        }
        Ok(reading)
    }

    fn see(&mut self, number: Option<KeyNumber>, value: Option<Cursor<'s>>) {
        let Some(number) = number else { return };
        let seen = Seen { value, plain: None, json: None };
        match &mut self.seen_at[number as usize] {
            at @ 0 => {
                self.seen.push(seen);
                *at = self.seen.len() as u32;
            }
            at => self.seen[*at as usize - 1] = seen, // the last one counts
        }
    }

    /// Whether the span has an attribute of this key.
    pub fn has(&self, key: KeyNumber) -> bool {
        self.seen_at[key as usize] > 0
    }

    /// How the dialect that is tried next encodes its values.
    pub fn encoded_as(&mut self, is_json: bool) {
        if is_json != self.is_json {
            self.is_json = is_json;
            for seen in &mut self.seen {
                (seen.plain, seen.json) = (None, None);
            }
            self.trees.fill(None);
        }
    }

    /// Whether one of these is there; `trees` says which trees have an attribute.
    pub fn has_any(&self, needs: &[Need], trees: &[bool]) -> bool {
        needs.iter().any(|need| match need {
            Need::Attribute(key) => self.has(*key),
            Need::Tree(tree) => trees[*tree],
            Need::Events => !self.events.is_empty(),
        })
    }

    /// Tries one rule.
    ///
    /// # Errors
    /// `Irregular` where only the reference can say what comes out.
    pub fn apply(&mut self, rule: &'s Rule, dialect: usize) -> Result<()> {
        if self.made(rule.to).is_some() || (self.has(rule.to) && !rule.replaces) {
            return Ok(());
        }
        for condition in &rule.when {
            if !self.holds(condition)? {
                return Ok(());
            }
        }
        let Some(found) = self.value(rule)? else { return Ok(()) };
        if rule.replaces && found.equals(self.get(rule.to)?) {
            return Ok(());
        }
        self.make(rule.to, found);
        if !self.spoke.contains(&dialect) {
            self.spoke.push(dialect);
        }
        Ok(())
    }

    /// What was made for a key.
    fn made(&self, key: KeyNumber) -> Option<Plain<'s>> {
        let at = self.made_at[key as usize] as usize;
        (at > 0).then(|| self.made[at - 1].1)
    }

    pub fn make(&mut self, key: KeyNumber, value: Plain<'s>) {
        match &mut self.made_at[key as usize] {
            at @ 0 => {
                self.made.push((key, value));
                *at = self.made.len() as u32;
            }
            at => self.made[*at as usize - 1].1 = value,
        }
    }

    /// Whether `key` is among what was made.
    pub fn is_made(&self, key: KeyNumber) -> bool {
        self.made_at[key as usize] > 0
    }

    fn holds(&mut self, condition: &'s Condition) -> Result<bool> {
        let source = &condition.source;
        let made = if source.path.is_empty() { self.made(source.key) } else { None };
        let found = if let Some(made) = made {
            made
        } else {
            let tried = self.source(source);
            self.or_problem(tried, source.key)?.unwrap_or(Plain::Null)
        };
        Ok(match &condition.test {
            Test::Present => !found.is_null(),
            Test::Absent => found.is_null(),
            Test::OneOf(_) if found.is_null() => false,
            Test::OneOf(wanted) => match found.word() {
                Some(word) => wanted.iter().any(|one| **one == *word),
                None if wanted.iter().any(|one| one.starts_with(['[', '{'])) => return Err(Irregular),
                None => false,
            },
        })
    }

    /// What was tried; what is odd about it is remembered as that of `key`.
    fn or_problem<T>(&mut self, tried: Tried<T>, key: KeyNumber) -> Result<Option<T>> {
        match tried {
            Ok(value) => Ok(Some(value)),
            Err(Stop::Irregular) => Err(Irregular),
            Err(Stop::Not(reason)) => {
                self.problem(reason, key);
                Ok(None)
            }
        }
    }

    /// What the rule makes of its first source that it can convert.
    fn value(&mut self, rule: &'s Rule) -> Result<Option<Plain<'s>>> {
        match &rule.value {
            None => {}
            Some(Constant::Bool(value)) => return Ok(Some(Plain::Bool(*value))),
            Some(Constant::Int(value)) => return Ok(Some(Plain::Int(*value))),
            Some(Constant::Float(value)) => return Ok(Some(Plain::Float(*value))),
            Some(Constant::Text(text)) => return Ok(Some(Plain::Text(text))),
            Some(Constant::Other) => return Err(Irregular),
        }
        if rule.is_sum {
            return self.sum(rule);
        }
        for source in &rule.from {
            let tried = self.source(source).and_then(|value| converted(self, value, rule));
            let Some(Some(result)) = self.or_problem(tried, self.named(source, rule))? else { continue };
            if matches!(result, Plain::Null | Plain::Text("") | Plain::List([])) {
                continue;
            }
            match &source.place {
                Place::Object(fields) => {
                    for (_, part) in fields.iter().filter(|(_, part)| part.path.is_empty()) {
                        self.carried[part.key as usize] = true;
                    }
                }
                _ if source.path.is_empty() => self.carried[source.key as usize] = true,
                _ => {}
            }
            return Ok(Some(result));
        }
        Ok(None)
    }

    /// The key that oddities of `source` are said of.
    pub fn named(&self, source: &Source, rule: &Rule) -> KeyNumber {
        if self.table.name(source.key).is_empty() {
            rule.to
        } else {
            source.key
        }
    }

    /// The sum of the sources that are there; nothing when the first is missing.
    fn sum(&mut self, rule: &'s Rule) -> Result<Option<Plain<'s>>> {
        let mut total = None;
        for (index, source) in rule.from.iter().enumerate() {
            let tried = match self.source(source) {
                Ok(Plain::Null) => Ok(None),
                found => found.and_then(|value| coerce(value, rule.kind, self.reader.bump)).map(Some),
            };
            let count = self.or_problem(tried, source.key)?.flatten();
            total = match (total, count) {
                (None, None) => return Ok(None),
                (None, first) => {
                    debug_assert_eq!(index, 0);
                    first
                }
                (total, None) => total,
                (Some(Plain::Int(total)), Some(Plain::Int(count))) => {
                    Some(Plain::Int(total.checked_add(count).ok_or(Irregular)?))
                }
                (Some(Plain::Float(total)), Some(Plain::Float(count))) => Some(Plain::Float(total + count)),
                _ => return Err(Irregular),
            };
        }
        match rule.kind.scalar {
            Scalar::Int | Scalar::Double if !rule.kind.is_list => Ok(total),
            _ => Err(Irregular),
        }
    }

    pub fn shaper(&self) -> Shaper<'s> {
        Shaper { shapes: &self.table.shapes, reader: self.reader }
    }

    /// Remembers an oddity.
    pub fn problem(&mut self, reason: Reason, key: KeyNumber) {
        if self.problems.len() < self.table.settings.max_problems && !self.problems.contains(&(reason, key)) {
            self.problems.push((reason, key));
        }
    }
}
