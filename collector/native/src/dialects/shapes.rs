//! Messages as OpenTelemetry shapes them, whatever library wrote them. The twin of `engine/shapes.py`; documents and
//! tools are in `listed.rs`, parts of messages in `parts.rs`.
//!
//! Which names are looked under is data. What cannot be understood stays as text, or as a part of its own type.

use crate::dialects::shape_names::{MessageNames, Name, Shapes};
use crate::values::parse::Reader;
use crate::values::value::{convertible, distinct, looks_like_json, lower, Pair, Plain};
use crate::wire::Result;

const MAX_CONTAINERS: u32 = 4;

/// Shapes values of one span.
#[derive(Clone, Copy)]
pub struct Shaper<'s> {
    pub shapes: &'s Shapes,
    pub reader: Reader<'s>,
}

/// What stands under the first of `names` that holds something.
pub fn first<'s>(value: Plain<'s>, names: &[Name]) -> Plain<'s> {
    names.iter().find_map(|name| name.find(value)).unwrap_or(Plain::Null)
}

/// The text under the first of `names` that holds a string; "" where none does.
pub fn text<'s>(value: Plain<'s>, names: &[Name]) -> &'s str {
    let texts = names.iter().filter_map(|name| name.find(value)?.text());
    texts.into_iter().find(|text| !text.is_empty()).unwrap_or("")
}

/// What stands at `path` in nested dicts and lists. JSON in a string on the way is read.
///
/// # Errors
/// When that JSON cannot be read.
pub fn look_up<'s>(mut value: Plain<'s>, path: &[Step], reader: Reader<'s>) -> crate::values::value::Tried<Plain<'s>> {
    for step in path {
        if let Plain::Text(text) = value {
            if looks_like_json(text) {
                value = reader.parse(text)?;
            }
        }
        value = match (value, step.index) {
            (Plain::Dict(_), _) => value.get(&step.name).unwrap_or(Plain::Null),
            (Plain::List(items), Some(index)) if index < items.len() => items[index],
            _ => return Ok(Plain::Null),
        };
    }
    Ok(value)
}

/// One step on the way into nested values: a key, and an index if it is one.
pub struct Step {
    pub name: Box<str>,
    pub index: Option<usize>,
}

impl Step {
    pub fn new(name: &str) -> Self {
        let is_index = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
        Step { name: name.into(), index: if is_index { Some(name.parse().unwrap_or(usize::MAX)) } else { None } }
    }
}

impl<'s> Shaper<'s> {
    pub fn dict(self, pairs: &[Pair<'s>]) -> Plain<'s> {
        Plain::Dict(self.reader.bump.alloc_slice_copy(pairs))
    }

    pub fn list(self, items: &[Plain<'s>]) -> Plain<'s> {
        Plain::List(self.reader.bump.alloc_slice_copy(items))
    }

    /// The JSON in a text that means to be it; anything else, and JSON that cannot be read, as it is.
    ///
    /// # Errors
    /// `Irregular` where only the reference can read it.
    pub fn read(self, value: Plain<'s>) -> Result<Plain<'s>> {
        match value {
            Plain::Text(text) if looks_like_json(text) => {
                Ok(convertible(self.reader.parse(text))?.unwrap_or(value)) // a stream that broke off: the text is kept
            }
            _ => Ok(value),
        }
    }

    /// `value` as a list of `{role, parts}`; `role` is that of a message that does not say it.
    ///
    /// # Errors
    /// `Irregular` where only the reference can read it.
    pub fn messages(self, value: Plain<'s>, role: &'s str) -> Result<Plain<'s>> {
        let names = &self.shapes.messages;
        let mut found = Vec::new();
        let items = self.inside(value, &names.container, &names.system, |item| is_message(item, names));
        for item in items {
            found.extend(self.message(item, role)?);
        }
        Ok(self.list(&found))
    }

    /// The items of `value`: itself when it is one, else the list in the first container it has.
    pub fn inside(
        self,
        mut value: Plain<'s>,
        container: &[Name],
        system: &[Name],
        is_one: impl Fn(Plain<'s>) -> bool,
    ) -> Vec<Plain<'s>> {
        let mut items = Vec::new();
        for _ in 0..MAX_CONTAINERS {
            if let Plain::List(inner) = value {
                if !inner.is_empty() && inner.iter().all(|one| matches!(one, Plain::List(_))) {
                    value = self.list(&inner.iter().flat_map(Plain::items).copied().collect::<Vec<_>>());
                }
            }
            if !matches!(value, Plain::Dict(_)) || is_one(value) {
                break;
            }
            let prompt = text(value, system);
            if !prompt.is_empty() {
                items = vec![self.dict(&[("role", Plain::Text("system")), ("content", Plain::Text(prompt))])];
            }
            let inner = first(value, container);
            if inner.is_null() {
                break;
            }
            value = inner;
        }
        items.extend(value.items().iter().flat_map(Plain::items));
        items
    }

    /// `value` with the objects under `names` opened into it.
    ///
    /// # Errors
    /// `Irregular` where only the reference can read one of them.
    pub fn unwrap(self, mut value: Plain<'s>, names: &[Name]) -> Result<Plain<'s>> {
        for name in names {
            let Some(mut inner) = value.get(&name.whole) else { continue };
            if !name.steps.is_empty() {
                inner = self.read(inner)?; // an attribute of an event
            }
            if let (Plain::Dict(outer), Plain::Dict(inner)) = (value, inner) {
                let mut pairs: Vec<Pair<'s>> = outer.iter().filter(|(key, _)| **key != *name.whole).copied().collect();
                pairs.extend_from_slice(inner);
                distinct(&mut pairs, 0);
                value = self.dict(&pairs);
            }
        }
        Ok(value)
    }

    /// `base`, and those of `more` that hold something.
    pub fn with(self, base: &[Pair<'s>], more: &[Pair<'s>]) -> Plain<'s> {
        let holds = |(_, value): &&Pair<'s>| !matches!(value, Plain::Null | Plain::Text(""));
        self.dict(&base.iter().chain(more.iter().filter(holds)).copied().collect::<Vec<_>>())
    }

    /// A message, unless nothing is in it.
    fn message(self, value: Plain<'s>, default_role: &'s str) -> Result<Option<Plain<'s>>> {
        if !matches!(value, Plain::Dict(_)) {
            let parts = self.parts(value)?;
            return Ok(self.named(default_role, &parts, Plain::Null));
        }
        let names = &self.shapes.messages;
        let value = self.unwrap(value, &names.unwrap)?;
        let mut role = self.role(value).unwrap_or(default_role);
        let mut parts = Vec::new();
        let reasoning = text(value, &names.reasoning);
        if !reasoning.is_empty() {
            parts.push(self.dict(&[("type", Plain::Text("reasoning")), ("content", Plain::Text(reasoning))]));
        }
        let content = first(value, &names.content);
        if role == "tool" {
            parts.extend(self.tool_result(content, text(value, &names.tool_call_id))?);
        } else if !content.is_null() {
            parts.extend(self.parts(content)?);
        }
        self.tool_calls(value, &mut parts)?;
        if role == "user" && !parts.is_empty() && parts.iter().all(|part| is_kind(*part, "tool_call_response")) {
            role = "tool"; // Anthropic's API has the user send what tools returned
        }
        let known = || names.content.iter().chain(&names.role).chain(&names.tool_calls);
        if parts.is_empty() && !known().any(|name| value.get(&name.whole).is_some()) {
            // No message anybody knows: kept as it is.
            let written = Plain::Text(value.dump(self.reader.bump));
            parts.push(self.dict(&[("type", Plain::Text("text")), ("content", written)]));
        }
        Ok(self.named(role, &parts, value))
    }

    /// A message of these parts, with the name and the reason to finish that `value` says.
    fn named(self, role: &'s str, parts: &[Plain<'s>], value: Plain<'s>) -> Option<Plain<'s>> {
        if parts.is_empty() {
            return None;
        }
        let names = &self.shapes.messages;
        let more = [
            ("name", Plain::Text(text(value, &names.name))),
            ("finish_reason", Plain::Text(text(value, &names.finish_reason))),
        ];
        Some(self.with(&[("role", Plain::Text(role)), ("parts", self.list(parts))], &more))
    }

    fn role(self, value: Plain<'s>) -> Option<&'s str> {
        let names = &self.shapes.messages;
        let said = names.role.iter().filter_map(|name| value.get(&name.whole)?.text());
        let roles = said.map(|raw| names.roles.get(lower(raw, self.reader.bump)).map_or(raw, |role| &**role));
        roles.into_iter().find(|role| !role.is_empty())
    }
}

fn is_message(value: Plain<'_>, names: &MessageNames) -> bool {
    value.get("role").is_some_and(|role| role.text().is_some())
        || names.content.iter().any(|name| value.get(&name.whole).is_some())
        || names.unwrap.iter().any(|name| matches!(value.get(&name.whole), Some(Plain::Dict(_))))
}

/// Whether a part says that it is of this kind.
pub fn is_kind(part: Plain<'_>, kind: &str) -> bool {
    part.get("type").is_some_and(|found| found.text() == Some(kind))
}
