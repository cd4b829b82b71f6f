//! Where rules find values: attributes, flattened ones, JSON in them, events, names, the resource.

use crate::dialects::reading::{Attribute, Reading, Seen};
use crate::dialects::shapes::look_up;
use crate::dialects::table::{KeyNumber, Place, Source};
use crate::dialects::trees::tree;
use crate::values::any_value;
use crate::values::value::{distinct, looks_like_json, Pair, Plain, Reason, Stop, Tried};
use crate::wire::{Cursor, Irregular, Result, BYTES, FIXED64};

const EVENT_NAME: &str = "event.name"; // what an event's own name is called among its attributes
const EVENT_TIME: &str = "event.time"; // and its time, in ns since the epoch

impl<'s> Reading<'s> {
    /// The value of a source; null where there is none.
    pub(crate) fn source(&mut self, source: &'s Source) -> Tried<Plain<'s>> {
        let key = source.key;
        let value = match &source.place {
            Place::Attribute if source.path.is_empty() => self.get(key)?,
            Place::Attribute => self.parsed(key)?,
            Place::Tree(index) => self.tree(*index)?,
            Place::Events { is_whole_name } => self.events(self.table.name(key), *is_whole_name)?,
            Place::SpanName => Plain::Text(self.name),
            Place::SpanIsRoot => Plain::Bool(self.is_root),
            Place::ScopeName => Plain::Text(self.around.scope),
            Place::Resource => self.of_resource(self.table.name(key))?,
            Place::Object(fields) => {
                let mut pairs: Vec<Pair<'s>> = Vec::new();
                for (name, part) in fields {
                    pairs.push((name, self.source(part)?));
                }
                pairs.retain(|(_, value)| !value.is_null());
                if pairs.is_empty() {
                    Plain::Null
                } else {
                    Plain::Dict(self.reader.bump.alloc_slice_copy(&pairs))
                }
            }
        };
        if source.path.is_empty() {
            Ok(value)
        } else {
            look_up(value, &source.path, self.reader)
        }
    }

    /// The attributes of the span's events with this name, or with one that begins so.
    fn events(&self, name: &str, is_whole_name: bool) -> Result<Plain<'s>> {
        let mut found = Vec::new();
        for event in &self.events {
            let (mut own_name, mut pairs) = ("", vec![(EVENT_NAME, Plain::Null), (EVENT_TIME, Plain::Int(0))]);
            let mut event = *event;
            while !event.is_done() {
                match event.tag()? {
                    (1, FIXED64) => pairs[1].1 = i64::try_from(event.fixed64()?).map_or(Plain::Null, Plain::Int),
                    (2, BYTES) => own_name = event.text()?,
                    (3, BYTES) => pairs.push(self.pair(event.message()?)?),
                    (_, wire) => event.skip(wire)?,
                }
            }
            if own_name == name || (!is_whole_name && own_name.starts_with(name)) {
                pairs[0].1 = Plain::Text(own_name);
                distinct(&mut pairs, 0);
                found.push(Plain::Dict(self.reader.bump.alloc_slice_copy(&pairs)));
            }
        }
        Ok(if found.is_empty() { Plain::Null } else { Plain::List(self.reader.bump.alloc_slice_copy(&found)) })
    }

    fn pair(&self, field: Cursor<'s>) -> Result<Pair<'s>> {
        let (key, value) = any_value::key_value(field)?;
        Ok((key, value.map_or(Ok(Plain::Null), |value| any_value::plain(value, self.reader.bump))?))
    }

    /// The first attribute of the resource with this key.
    fn of_resource(&self, key: &str) -> Result<Plain<'s>> {
        let Some(mut resource) = self.around.resource else { return Ok(Plain::Null) };
        while !resource.is_done() {
            match resource.tag()? {
                (1, BYTES) => {
                    let (name, value) = self.pair(resource.message()?)?;
                    if name == key {
                        return Ok(value);
                    }
                }
                (_, wire) => resource.skip(wire)?,
            }
        }
        Ok(Plain::Null)
    }

    /// The plain value of an attribute, read once.
    pub fn get(&mut self, key: KeyNumber) -> Result<Plain<'s>> {
        let at = self.seen_at[key as usize] as usize;
        if at == 0 {
            return Ok(Plain::Null);
        }
        let Seen { value, plain, .. } = self.seen[at - 1];
        if let Some(found) = plain {
            return Ok(found);
        }
        let found = self.plain(value, Some(key))?;
        self.seen[at - 1].plain = Some(found);
        Ok(found)
    }

    /// A plain value, as the dialect that is tried encodes it.
    fn plain(&mut self, value: Option<Cursor<'s>>, key: Option<KeyNumber>) -> Result<Plain<'s>> {
        let found = value.map_or(Ok(Plain::Null), |value| any_value::plain(value, self.reader.bump))?;
        let Plain::Text(text) = found else { return Ok(found) };
        if !self.is_json {
            return Ok(found);
        }
        match self.reader.parse(text) {
            Ok(parsed) => return Ok(parsed),
            Err(Stop::Not(reason)) if looks_like_json(text) => self.problem(reason, key.ok_or(Irregular)?),
            Err(Stop::Not(_)) => {}
            Err(Stop::Irregular) => return Err(Irregular),
        }
        Ok(found)
    }

    /// The value of an attribute; JSON in it is read, once.
    fn parsed(&mut self, key: KeyNumber) -> Tried<Plain<'s>> {
        let value = self.get(key)?;
        let at = self.seen_at[key as usize] as usize;
        match value {
            Plain::Text(text) if looks_like_json(text) => {
                let reader = self.reader;
                *self.seen[at - 1].json.get_or_insert_with(|| reader.parse(text))
            }
            _ => Ok(value),
        }
    }

    /// The attributes under `a.b.*` as nested lists and dicts.
    fn tree(&mut self, index: usize) -> Result<Plain<'s>> {
        if let Some(found) = self.trees[index] {
            return Ok(found);
        }
        let (prefix, pattern) = &self.table.trees[index];
        let mut leaves = Vec::new();
        for at in 0..self.attributes.len() {
            let Attribute { key, number, value, .. } = self.attributes[at];
            if let Some(rest) = key.strip_prefix(&**prefix) {
                leaves.push((rest, self.plain(value, number)?));
            }
        }
        let grown = tree(&leaves, self.reader.bump)?;
        if grown.has_conflicts {
            self.problem(Reason::ConflictingKeys, *pattern);
        }
        if grown.has_holes {
            self.problem(Reason::IndexHole, *pattern);
        }
        self.trees[index] = Some(grown.value);
        Ok(grown.value)
    }
}
