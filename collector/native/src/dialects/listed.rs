//! Documents and tools as OpenTelemetry shapes them. Twin of the end of `engine/shapes.py`.

use crate::dialects::shapes::{first, text, Shaper};
use crate::values::any_value::double;
use crate::values::value::{convertible, Plain, Stop};
use crate::wire::{Irregular, Result, MAX_DEPTH};

const LARGEST_SCORE: f64 = 1e300; // an integer beyond is no double

impl<'s> Shaper<'s> {
    /// `value` as a list of `{id, score, content, metadata}`, each where it is known.
    ///
    /// # Errors
    /// `Irregular` where only the reference can read it.
    pub fn documents(self, value: Plain<'s>) -> Result<Plain<'s>> {
        let names = &self.shapes.documents;
        let mut found = Vec::new();
        for item in self.inside(value, &names.container, &[], |item| !first(item, &names.content).is_null()) {
            found.extend(self.document(item)?);
        }
        Ok(self.list(&found))
    }

    fn document(self, value: Plain<'s>) -> Result<Option<Plain<'s>>> {
        let names = &self.shapes.documents;
        let value = match value {
            Plain::Text("") => return Ok(None),
            Plain::Text(_) => return Ok(Some(self.dict(&[("content", value)]))),
            Plain::Dict(_) => self.unwrap(value, &names.unwrap)?,
            _ => return Ok(None),
        };
        let identity = match first(value, &names.id) {
            Plain::Null | Plain::List(_) | Plain::Dict(_) => None,
            Plain::Bool(value) => Some(if value { "True" } else { "False" }),
            Plain::Text(text) => Some(text),
            number => number.word().map(|digits| &*self.reader.bump.alloc_str(&digits)),
        };
        let base = identity.map(|identity| ("id", Plain::Text(identity)));
        let more = [
            ("score", score(first(value, &names.score))?),
            ("content", Plain::Text(text(value, &names.content))),
            ("metadata", self.read(first(value, &names.metadata))?),
        ];
        let document = self.with(base.as_slice(), &more);
        Ok(matches!(document, Plain::Dict([_, ..])).then_some(document))
    }

    /// `value` as a list of `{type: function, name, description, parameters}`.
    ///
    /// # Errors
    /// `Irregular` where only the reference can read it.
    pub fn tools(self, value: Plain<'s>) -> Result<Plain<'s>> {
        let mut found = Vec::new();
        for item in value.items() {
            found.extend(self.tool(*item, 0)?);
        }
        Ok(self.list(&found))
    }

    fn tool(self, mut value: Plain<'s>, depth: u32) -> Result<Option<Plain<'s>>> {
        if depth > MAX_DEPTH {
            return Err(Irregular);
        }
        let names = &self.shapes.tools;
        if let Plain::Text(text) = value {
            let Some(parsed) = convertible(self.reader.parse(text))? else { return Ok(None) };
            value = parsed;
        }
        if !matches!(value, Plain::Dict(_)) {
            return Ok(None);
        }
        value = self.unwrap(value, &names.unwrap)?;
        for name in &names.json {
            if let Some(inner @ (Plain::Text(_) | Plain::Dict(_))) = value.get(&name.whole) {
                if let Some(tool) = self.tool(inner, depth + 1)? {
                    return Ok(Some(tool));
                }
            }
        }
        let name = text(value, &names.name);
        if name.is_empty() {
            return Ok(None);
        }
        let more = [
            ("description", Plain::Text(text(value, &names.description))),
            ("parameters", self.read(first(value, &names.parameters))?),
        ];
        Ok(Some(self.with(&[("type", Plain::Text("function")), ("name", Plain::Text(name))], &more)))
    }
}

/// A score as a double; null for anything else.
fn score(value: Plain<'_>) -> Result<Plain<'_>> {
    match double(value) {
        Ok(score) if score.abs() < LARGEST_SCORE => Ok(Plain::Float(score)),
        Ok(_) | Err(Stop::Not(_)) => Ok(Plain::Null),
        Err(Stop::Irregular) => Err(Irregular),
    }
}
