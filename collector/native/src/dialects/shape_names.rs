//! Where messages, documents and tools stand in the objects of libraries: the `shapes` of the dialect tables.

use rustc_hash::FxHashMap;

use crate::dialects::table::{items, member, pairs, word, Read};
use crate::values::value::Plain;

/// Names under which something stands; the first that holds something counts. A dotted one is looked up step by step.
pub type Names = Vec<Name>;

pub struct Name {
    pub whole: Box<str>,
    /// Empty where the name has no dots.
    pub steps: Vec<Box<str>>,
}

impl Name {
    pub fn new(whole: &str) -> Self {
        let steps = if whole.contains('.') { whole.split('.').map(Into::into).collect() } else { Vec::new() };
        Name { whole: whole.into(), steps }
    }

    pub fn find<'s>(&self, value: Plain<'s>) -> Option<Plain<'s>> {
        let found = value.get(&self.whole).filter(|found| !found.is_null());
        if found.is_some() || self.steps.is_empty() {
            return found;
        }
        let reached = self.steps.iter().try_fold(value, |inner, step| inner.get(step));
        reached.filter(|found| !found.is_null())
    }
}

/// Words in lower case and what they become.
pub type Words = FxHashMap<Box<str>, Box<str>>;

/// Where things stand in the objects of libraries.
pub struct Shapes {
    pub messages: MessageNames,
    pub parts: PartNames,
    pub documents: DocumentNames,
    pub tools: ToolNames,
}

pub struct MessageNames {
    pub container: Names,
    pub system: Names,
    pub unwrap: Names,
    pub role: Names,
    pub roles: Words,
    pub name: Names,
    pub finish_reason: Names,
    pub content: Names,
    pub reasoning: Names,
    pub tool_calls: Names,
    pub tool_call_id: Names,
}

pub struct PartNames {
    pub unwrap: Names,
    pub kind: Names,
    pub kinds: Words,
    pub text: Names,
    pub id: Names,
    pub tool_name: Names,
    pub arguments: Names,
    pub response: Names,
    pub url: Names,
    pub base64: Names,
    pub mime_type: Names,
    pub file_id: Names,
    pub modality: Names,
}

pub struct DocumentNames {
    pub container: Names,
    pub unwrap: Names,
    pub id: Names,
    pub score: Names,
    pub content: Names,
    pub metadata: Names,
}

pub struct ToolNames {
    pub unwrap: Names,
    pub json: Names,
    pub name: Names,
    pub description: Names,
    pub parameters: Names,
}

impl Shapes {
    /// # Errors
    /// A sentence when they have another form than this build reads.
    pub fn read(shapes: Plain<'_>) -> Read<Self> {
        let [messages, parts, documents, tools] =
            ["messages", "parts", "documents", "tools"].map(|name| member(shapes, name));
        let (messages, parts, documents, tools) = (messages?, parts?, documents?, tools?);
        Ok(Shapes {
            messages: MessageNames {
                container: names(messages, "container")?,
                system: names(messages, "system")?,
                unwrap: names(messages, "unwrap")?,
                role: names(messages, "role")?,
                roles: dictionary(member(messages, "roles")?)?,
                name: names(messages, "name")?,
                finish_reason: names(messages, "finish_reason")?,
                content: names(messages, "content")?,
                reasoning: names(messages, "reasoning")?,
                tool_calls: names(messages, "tool_calls")?,
                tool_call_id: names(messages, "tool_call_id")?,
            },
            parts: PartNames {
                unwrap: names(parts, "unwrap")?,
                kind: names(parts, "type")?,
                kinds: dictionary(member(parts, "types")?)?,
                text: names(parts, "text")?,
                id: names(parts, "id")?,
                tool_name: names(parts, "tool_name")?,
                arguments: names(parts, "arguments")?,
                response: names(parts, "response")?,
                url: names(parts, "url")?,
                base64: names(parts, "base64")?,
                mime_type: names(parts, "mime_type")?,
                file_id: names(parts, "file_id")?,
                modality: names(parts, "modality")?,
            },
            documents: DocumentNames {
                container: names(documents, "container")?,
                unwrap: names(documents, "unwrap")?,
                id: names(documents, "id")?,
                score: names(documents, "score")?,
                content: names(documents, "content")?,
                metadata: names(documents, "metadata")?,
            },
            tools: ToolNames {
                unwrap: names(tools, "unwrap")?,
                json: names(tools, "json")?,
                name: names(tools, "name")?,
                description: names(tools, "description")?,
                parameters: names(tools, "parameters")?,
            },
        })
    }
}

fn names(spec: Plain<'_>, key: &str) -> Read<Names> {
    items(spec, key)?.iter().map(|name| Ok(Name::new(word(*name)?))).collect()
}

pub(crate) fn dictionary(value: Plain<'_>) -> Read<Words> {
    pairs(value)?.iter().map(|(key, value)| Ok(((*key).into(), word(*value)?.into()))).collect()
}
