//! Executes the dialect tables: spans of other libraries come out with OpenTelemetry's attributes. The twin of
//! `engine/dialects.py`.

pub mod conversions;
pub mod listed;
pub mod parts;
pub mod reading;
pub mod shape_names;
pub mod shapes;
pub mod sources;
pub mod table;
pub mod trees;

use bumpalo::Bump;

use crate::dialects::reading::{Around, Attribute, Reading};
use crate::dialects::table::{begins, Dialect, DialectSet, DialectTable, KeyNumber};
use crate::values::any_value::push_attribute;
use crate::values::parse::Reader;
use crate::values::value::{Plain, Reason};
use crate::wire::{Cursor, Result};

/// What was odd, and which dialects spans were read from.
#[derive(Debug, Default)]
pub struct DialectNotes {
    reasons: [u64; Reason::ALL.len()],
    mixed: u64,
    spoken: Vec<u64>,
}

impl DialectNotes {
    /// Each note with its count.
    pub fn named<'t>(&self, table: &'t DialectTable) -> impl Iterator<Item = (String, u64)> + use<'t> {
        let reasons = Reason::ALL.map(|reason| (reason.name().to_owned(), self.reasons[reason as usize]));
        let mut all: Vec<(String, u64)> = reasons.into_iter().collect();
        all.push(("mixed".into(), self.mixed));
        all.extend(table.dialects.iter().zip(&self.spoken).map(|(one, count)| (format!("is_{}", one.name), *count)));
        all.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| (format!("dialect_{name}"), count))
    }
}

impl DialectTable {
    /// The attributes that say in OpenTelemetry's words what the span says, encoded, or `None` when it stays as it is. The
    /// places of those that leave are added to `removed`. `known` are the dialects of its surroundings; `bump` is
    /// emptied first.
    ///
    /// # Errors
    /// `Irregular` where only the reference can say what comes out.
    pub fn normalise(
        &self,
        span: Cursor<'_>,
        around: Around<'_>,
        known: DialectSet,
        bump: &mut Bump,
        removed: &mut Vec<(usize, usize)>,
        notes: &mut DialectNotes,
    ) -> Result<Option<Vec<u8>>> {
        bump.reset();
        let reader = Reader { bump, max_chars: self.settings.max_json_chars, takes_constants: false };
        let mut reading = Reading::new(self, reader, span, around)?;
        let given = reading.attributes.iter().filter_map(|one| one.number);
        let set = given.fold(known, |set, number| set | self.markers[number as usize]);
        if set == 0 {
            return Ok(None);
        }
        let spoken = || self.dialects.iter().enumerate().filter(move |(index, _)| set >> index & 1 == 1);
        let trees = self.trees_of(&reading.attributes);
        for (index, dialect) in spoken() {
            reading.encoded_as(dialect.is_json);
            for rule in &dialect.rules {
                if rule.needs.as_ref().is_none_or(|needs| reading.has_any(needs, &trees)) {
                    reading.apply(rule, index)?;
                }
            }
        }
        self.count(&reading, notes);
        self.say(&mut reading);
        if reading.made.is_empty() {
            return Ok(None);
        }
        let unwanted = if self.settings.keeps_originals {
            Vec::new()
        } else {
            self.unwanted(&reading, spoken().map(|(_, dialect)| dialect))
        };
        let leaving = reading.attributes.iter().enumerate().filter(|(index, one)| {
            let is_replaced = one.number.is_some_and(|number| reading.is_made(number));
            is_replaced || unwanted.get(*index).is_some_and(|leaves| *leaves)
        });
        removed.extend(leaving.map(|(_, one)| (one.from, one.to)));
        let mut made = Vec::with_capacity(1024);
        for (key, value) in &reading.made {
            push_attribute(&mut made, self.name(*key), *value);
        }
        Ok(Some(made))
    }

    /// Which trees have an attribute.
    fn trees_of(&self, attributes: &[Attribute<'_>]) -> Vec<bool> {
        let has = |prefix: &str| attributes.iter().any(|one| one.key.starts_with(prefix));
        self.trees.iter().map(|(prefix, _)| has(prefix)).collect()
    }

    fn count(&self, reading: &Reading<'_>, notes: &mut DialectNotes) {
        for (reason, _) in &reading.problems {
            notes.reasons[*reason as usize] += 1;
        }
        notes.mixed += u64::from(reading.spoke.len() > 1);
        notes.spoken.resize(self.dialects.len(), 0);
        for index in &reading.spoke {
            notes.spoken[*index] += 1;
        }
    }

    /// Adds which dialects were read, what was odd, and what was carried over whole.
    fn say<'s>(&'s self, reading: &mut Reading<'s>) {
        let bump = reading.reader.bump;
        let names: Vec<Plain<'s>> =
            reading.spoke.iter().map(|index| Plain::Text(&self.dialects[*index].name)).collect();
        let problem = |(reason, key): &(Reason, KeyNumber)| {
            Plain::Text(bump.alloc_str(&format!("{}: {}", reason.name(), self.name(*key))))
        };
        let problems: Vec<Plain<'s>> = reading.problems.iter().map(problem).collect();
        let mut carried: Vec<Plain<'s>> = Vec::new();
        if self.settings.keeps_originals {
            let mut numbers = self.carried(reading);
            let mut seen = Vec::new();
            numbers.retain(|number| {
                !seen.contains(number) && {
                    seen.push(*number);
                    true
                }
            });
            carried.extend(numbers.iter().map(|number| Plain::Text(self.name(*number))));
        }
        for (key, said) in [(self.names_key, names), (self.problems_key, problems), (self.carried_key, carried)] {
            if !said.is_empty() {
                reading.make(key, Plain::List(bump.alloc_slice_copy(&said)));
            }
        }
    }

    /// The keys that rules carried whole, as the dialects say that they may be.
    fn carried(&self, reading: &Reading<'_>) -> Vec<KeyNumber> {
        let all = reading.spoke.iter().flat_map(|index| &self.dialects[*index].carried);
        all.copied().filter(|number| reading.carried[*number as usize]).collect()
    }

    /// For each attribute whether it leaves because originals are not wanted.
    fn unwanted<'t>(&'t self, reading: &Reading<'_>, spoken: impl Iterator<Item = &'t Dialect>) -> Vec<bool> {
        let carried = self.carried(reading);
        let mut patterns: Vec<&str> = carried.iter().map(|number| self.name(*number)).collect();
        patterns.extend(spoken.flat_map(|dialect| dialect.unwanted.iter().map(|one| &**one)));
        let leaves = |key: &str| patterns.iter().any(|pattern| key == *pattern || begins(key, pattern));
        reading.attributes.iter().map(|one| leaves(one.key)).collect()
    }
}
