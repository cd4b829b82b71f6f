//! What a destination's profile asks for, compiled. The twin of the class `Profile` in `deliver/profile.py`.

use std::collections::HashMap;

use crate::wire::push_field;

/// A profile as Python writes it; patterns end in `*` or name one attribute.
#[derive(Default)]
pub struct PlainProfile {
    /// Pattern, and the new name or prefix; nothing where it goes.
    pub places: Vec<(String, String)>,
    /// For what no pattern names.
    pub others: String,
    pub types: Vec<(String, Number)>,
    pub add: Vec<(String, PlainSource)>,
    pub root: Vec<(String, Vec<String>, Pick)>,
    pub last: Vec<String>,
    /// Names of dialects with the patterns of their attributes; none where originals stay.
    pub originals: Option<Vec<(String, Vec<String>)>>,
    /// The attributes that say which dialects a span spoke, and what was carried over of them.
    pub dialect_names: String,
    pub dialect_carried: String,
    pub arrays_as_json: bool,
    /// What is set on each resource.
    pub resource: Vec<(String, String)>,
}

pub enum PlainSource {
    Span(Vec<String>),
    Resource(String),
    Json(Vec<(String, String)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    Int,
    Double,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    First,
    Last,
}

/// A name that the profile mentions.
pub type Id = u32;

/// Where an added attribute takes its value.
pub enum Source {
    Span(Vec<Id>),
    Resource(Id),
    /// Keys of the JSON object with the attributes.
    Json(Vec<(String, Id)>),
}

pub struct Lift {
    pub id: Id,
    pub sources: Vec<Id>,
    pub pick: Pick,
}

/// What becomes of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'r> {
    Gone,
    Stays,
    /// The new name begins so; so many bytes of the old one are left out.
    Renamed(&'r str, usize),
}

/// A name that is mentioned, and what for.
#[derive(Default)]
pub struct Named {
    pub name: String,
    place: Option<String>,
    number: Option<Number>,
    pub is_added: bool,
    pub is_last: bool,
    pub is_lifted: bool,
    /// Its value may go on the root.
    pub is_lift_source: bool,
    /// Its value on a resource may be added to spans.
    pub is_resource_source: bool,
}

#[derive(Default)]
pub struct Rules {
    pub named: Vec<Named>,
    by_length: Vec<Vec<Id>>,
    place_prefixes: Vec<(String, String)>,
    number_prefixes: Vec<(String, Number)>,
    others: String,
    has_numbers: bool,
    pub adds: Vec<(Id, Source)>,
    pub lifts: Vec<Lift>,
    pub last: Vec<Id>,
    originals: Option<HashMap<String, Patterns>>,
    pub dialect_names: Id,
    pub dialect_carried: Id,
    pub arrays_as_json: bool,
    pub reads_resource: bool,
    /// Names that are set on resources, with the encoded fields.
    pub resource: Vec<(String, Vec<u8>)>,
    /// The same names with the encoded values.
    pub resource_values: Vec<(String, Vec<u8>)>,
}

impl Rules {
    pub fn new(plain: &PlainProfile) -> Self {
        let mut rules = Rules {
            arrays_as_json: plain.arrays_as_json,
            others: plain.others.clone(),
            has_numbers: !plain.types.is_empty(),
            ..Rules::default()
        };
        rules.dialect_names = rules.name(&plain.dialect_names);
        rules.dialect_carried = rules.name(&plain.dialect_carried);
        rules.patterns(plain);
        rules.sources(plain);
        rules.last = plain.last.iter().map(|name| rules.name(name)).collect();
        for index in 0..rules.last.len() {
            rules.named[rules.last[index] as usize].is_last = true;
        }
        let compiled = |(name, patterns): &(String, Vec<String>)| (name.clone(), Patterns::new(patterns));
        rules.originals = plain.originals.as_ref().map(|dialects| dialects.iter().map(compiled).collect());
        for (key, value) in &plain.resource {
            let value = string_value(value);
            rules.resource.push((key.clone(), resource_field(key, &value)));
            rules.resource_values.push((key.clone(), value));
        }
        rules
    }

    fn patterns(&mut self, plain: &PlainProfile) {
        for (pattern, target) in &plain.places {
            if let Some(prefix) = pattern.strip_suffix('*') {
                self.place_prefixes.push((prefix.to_owned(), target.clone()));
            } else {
                let id = self.name(pattern);
                self.named[id as usize].place = Some(target.clone());
            }
        }
        for (pattern, number) in &plain.types {
            if let Some(prefix) = pattern.strip_suffix('*') {
                self.number_prefixes.push((prefix.to_owned(), *number));
            } else {
                let id = self.name(pattern);
                self.named[id as usize].number = Some(*number);
            }
        }
        self.place_prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        self.number_prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    }

    fn sources(&mut self, plain: &PlainProfile) {
        for (name, source) in &plain.add {
            let id = self.name(name);
            self.named[id as usize].is_added = true;
            let source = match source {
                PlainSource::Span(names) => Source::Span(names.iter().map(|name| self.name(name)).collect()),
                PlainSource::Resource(name) => {
                    let id = self.name(name);
                    self.named[id as usize].is_resource_source = true;
                    self.reads_resource = true;
                    Source::Resource(id)
                }
                PlainSource::Json(parts) => {
                    Source::Json(parts.iter().map(|(part, name)| (part.clone(), self.name(name))).collect())
                }
            };
            self.adds.push((id, source));
        }
        for (name, sources, pick) in &plain.root {
            let (id, sources) = (self.name(name), sources.iter().map(|name| self.name(name)).collect::<Vec<_>>());
            self.named[id as usize].is_lifted = true;
            for source in &sources {
                self.named[*source as usize].is_lift_source = true;
            }
            self.lifts.push(Lift { id, sources, pick: *pick });
        }
    }

    /// The id of `name`, which is mentioned from now on.
    fn name(&mut self, name: &str) -> Id {
        if let Some(id) = self.find(name) {
            return id;
        }
        let id = self.named.len() as Id;
        self.named.push(Named { name: name.to_owned(), ..Named::default() });
        if self.by_length.len() <= name.len() {
            self.by_length.resize_with(name.len() + 1, Vec::new);
        }
        self.by_length[name.len()].push(id);
        id
    }

    #[inline]
    pub fn find(&self, name: &str) -> Option<Id> {
        let candidates = self.by_length.get(name.len())?;
        candidates.iter().copied().find(|id| self.named[*id as usize].name == name)
    }

    pub fn of(&self, id: Option<Id>) -> Option<&Named> {
        id.map(|id| &self.named[id as usize])
    }

    /// Where `key` goes: the rule that names it, or the longest prefix, or what holds for all others.
    #[inline]
    pub fn place(&self, key: &str, id: Option<Id>) -> Place<'_> {
        let by_name = self.of(id).and_then(|named| named.place.as_deref());
        let by_prefix = || self.place_prefixes.iter().find(|(prefix, _)| key.starts_with(prefix.as_str()));
        let (target, skipped) = match by_name {
            Some(target) if target.ends_with('*') => (target, by_prefix().map_or("", |(prefix, _)| prefix)),
            Some(target) => (target, ""),
            None => by_prefix().map_or((self.others.as_str(), ""), |(prefix, target)| (target.as_str(), prefix)),
        };
        if target.is_empty() {
            return Place::Gone;
        }
        match target.strip_suffix('*') {
            // Asking for the length first: comparing nothing with nothing costs a hundred cycles on some processors.
            Some("") if skipped.is_empty() => Place::Stays,
            Some("") if skipped.len() == key.len() => Place::Gone,
            Some(head) if head == skipped => Place::Stays,
            Some(head) => Place::Renamed(head, skipped.len()),
            None if target == key => Place::Stays,
            None => Place::Renamed(target, key.len()),
        }
    }

    /// Which number an attribute of this name has to be.
    #[inline]
    pub fn number(&self, name: &str, id: Option<Id>) -> Option<Number> {
        if !self.has_numbers {
            return None;
        }
        let by_name = self.of(id).and_then(|named| named.number);
        by_name.or_else(|| {
            let found = self.number_prefixes.iter().find(|(prefix, _)| name.starts_with(prefix.as_str()));
            found.map(|(_, number)| *number)
        })
    }

    pub fn drops_originals(&self) -> bool {
        self.originals.is_some()
    }

    /// The attributes of a dialect.
    pub fn originals_of(&self, dialect: &str) -> Option<&Patterns> {
        self.originals.as_ref().and_then(|dialects| dialects.get(dialect))
    }
}

/// Names and prefixes.
#[derive(Default)]
pub struct Patterns {
    names: Vec<String>,
    prefixes: Vec<String>,
}

impl Patterns {
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Self {
        let mut made = Patterns::default();
        for pattern in patterns {
            match pattern.as_ref().strip_suffix('*') {
                Some(prefix) => made.prefixes.push(prefix.to_owned()),
                None => made.names.push(pattern.as_ref().to_owned()),
            }
        }
        made.names.sort_unstable();
        made
    }

    pub fn fit(&self, key: &str) -> bool {
        let is_named = self.names.binary_search_by(|name| name.as_str().cmp(key)).is_ok();
        is_named || self.prefixes.iter().any(|prefix| key.starts_with(prefix.as_str()))
    }
}

fn string_value(text: &str) -> Vec<u8> {
    let mut value = Vec::new();
    push_field(&mut value, 1, text.as_bytes());
    value
}

/// The field of a resource for an attribute with this value.
fn resource_field(key: &str, value: &[u8]) -> Vec<u8> {
    let (mut key_value, mut field) = (Vec::new(), Vec::new());
    push_field(&mut key_value, 1, key.as_bytes());
    push_field(&mut key_value, 2, value);
    push_field(&mut field, 1, &key_value);
    field
}
