//! The parts of messages: text, tool calls and their results, media. Twin of the second half of `engine/shapes.py`.

use crate::dialects::shapes::{first, is_kind, text, Shaper};
use crate::values::value::{convertible, lower, Pair, Plain};
use crate::wire::Result;

const MEDIA: [&str; 4] = ["image", "audio", "video", "document"];

impl<'s> Shaper<'s> {
    pub(crate) fn parts(self, content: Plain<'s>) -> Result<Vec<Plain<'s>>> {
        let content = match content {
            Plain::Null | Plain::Text("") => return Ok(Vec::new()),
            Plain::Text(text) => self.parts_in_text(text)?,
            _ => content,
        };
        let mut parts = Vec::new();
        for item in content.items() {
            parts.extend(self.part(*item)?);
        }
        Ok(parts)
    }

    /// The parts that a library wrote into one string as JSON, or the string.
    fn parts_in_text(self, content: &'s str) -> Result<Plain<'s>> {
        let names = &self.shapes.parts;
        if content.starts_with("[{\"") {
            if let Some(parts) = convertible(self.reader.parse(content))? {
                let is_known = |part: &Plain<'s>| {
                    matches!(part, Plain::Dict(_))
                        && names.kinds.contains_key(lower(text(*part, &names.kind), self.reader.bump))
                };
                if parts.items().iter().all(is_known) {
                    return Ok(parts);
                }
            }
        }
        Ok(Plain::Text(content))
    }

    fn part(self, value: Plain<'s>) -> Result<Option<Plain<'s>>> {
        let of_text = |text| self.dict(&[("type", Plain::Text("text")), ("content", Plain::Text(text))]);
        match value {
            Plain::Null | Plain::Text("") => return Ok(None),
            Plain::Text(text) => return Ok(Some(of_text(text))),
            Plain::Dict(_) => {}
            _ => return Ok(Some(of_text(value.dump(self.reader.bump)))),
        }
        let names = &self.shapes.parts;
        let value = self.unwrap(value, &names.unwrap)?;
        let kind = self.kind(value);
        let typed = ("type", Plain::Text(kind));
        let part = match kind {
            "text" | "reasoning" => {
                let content = text(value, &names.text);
                if content.is_empty() {
                    return Ok(None);
                }
                Some(self.dict(&[typed, ("content", Plain::Text(content))]))
            }
            "tool_call" => self.tool_call(value)?,
            "tool_call_response" => {
                let response = ("response", first(value, &names.response));
                Some(self.with(&[typed, response], &[("id", Plain::Text(text(value, &names.id)))]))
            }
            "blob" | "uri" => self.media(kind, value),
            _ if MEDIA.contains(&kind) => self.media(kind, value),
            _ => None,
        };
        Ok(Some(part.unwrap_or_else(|| self.retyped(value, typed))))
    }

    fn kind(self, value: Plain<'s>) -> &'s str {
        let names = &self.shapes.parts;
        match text(value, &names.kind) {
            "" if text(value, &names.text).is_empty() => "unknown",
            "" => "text",
            raw => names.kinds.get(lower(raw, self.reader.bump)).map_or(raw, |kind| kind),
        }
    }

    /// `value` with this type.
    fn retyped(self, value: Plain<'s>, typed: Pair<'s>) -> Plain<'s> {
        let Plain::Dict(pairs) = value else { return value };
        let mut pairs = pairs.to_vec();
        match pairs.iter_mut().find(|(key, _)| *key == typed.0) {
            Some(pair) => *pair = typed,
            None => pairs.push(typed),
        }
        self.dict(&pairs)
    }

    /// What a tool returned: parts that say so, or one that holds the content.
    pub(crate) fn tool_result(self, content: Plain<'s>, call_id: &'s str) -> Result<Vec<Plain<'s>>> {
        let mut response = content;
        if matches!(content, Plain::List(_)) {
            let parts = self.parts(content)?;
            if parts.iter().any(|part| is_kind(*part, "tool_call_response")) {
                return Ok(parts);
            }
            if !parts.is_empty() && parts.iter().all(|part| is_kind(*part, "text")) {
                let texts = parts.iter().filter_map(|part| part.get("content")?.text());
                response = Plain::Text(self.reader.bump.alloc_str(&texts.collect::<String>()));
            }
        }
        if response.is_null() {
            response = Plain::Text("");
        }
        let base = [("type", Plain::Text("tool_call_response")), ("response", response)];
        Ok(vec![self.with(&base, &[("id", Plain::Text(call_id))])])
    }

    /// Adds the calls that stand beside the content to its `parts`, without those that stood in it too.
    pub(crate) fn tool_calls(self, value: Plain<'s>, parts: &mut Vec<Plain<'s>>) -> Result<()> {
        let mut calls = first(value, &self.shapes.messages.tool_calls);
        if let Plain::Text(text) = calls {
            calls = convertible(self.reader.parse(text))?.unwrap_or(calls);
        }
        let known: Vec<Plain<'s>> =
            parts.iter().filter(|part| is_kind(**part, "tool_call")).filter_map(|part| part.get("id")).collect();
        for one in calls.items().iter().filter(|one| matches!(one, Plain::Dict(_))) {
            let call = self.unwrap(*one, &self.shapes.parts.unwrap)?;
            if let Some(call) = self.tool_call(call)? {
                let id = call.get("id").unwrap_or(Plain::Null);
                if !known.iter().any(|other| other.equals(id)) {
                    parts.push(call);
                }
            }
        }
        Ok(())
    }

    fn tool_call(self, value: Plain<'s>) -> Result<Option<Plain<'s>>> {
        let names = &self.shapes.parts;
        let name = text(value, &names.tool_name);
        if name.is_empty() {
            return Ok(None);
        }
        let more = [
            ("id", Plain::Text(text(value, &names.id))),
            ("name", Plain::Text(name)),
            ("arguments", self.read(first(value, &names.arguments))?),
        ];
        Ok(Some(self.with(&[("type", Plain::Text("tool_call"))], &more)))
    }

    /// A file by id, a link, or bytes in base64.
    fn media(self, kind: &'s str, value: Plain<'s>) -> Option<Plain<'s>> {
        let names = &self.shapes.parts;
        let mime_type = text(value, &names.mime_type);
        let modality = match text(value, &names.modality) {
            "" => modality_of(kind, mime_type),
            said => said,
        };
        let made = |kind: &'s str, mime_type: &'s str, key: &'s str, content: &'s str| {
            let base = [("type", Plain::Text(kind)), ("modality", Plain::Text(modality))];
            Some(self.with(&base, &[("mime_type", Plain::Text(mime_type)), (key, Plain::Text(content))]))
        };
        let (file_id, url) = (text(value, &names.file_id), text(value, &names.url));
        if !file_id.is_empty() {
            return made("file", mime_type, "file_id", file_id);
        }
        if let Some(rest) = url.strip_prefix("data:") {
            let (head, data) = rest.split_once(',').unwrap_or((rest, ""));
            let said = head.split(';').next().unwrap_or("");
            return made("blob", if said.is_empty() { mime_type } else { said }, "content", data);
        }
        if beginning(url, 32).contains("://") {
            return made("uri", mime_type, "uri", url);
        }
        let data = match text(value, &names.base64) {
            "" => url,
            data => data,
        };
        if data.is_empty() {
            None
        } else if is_base64(beginning(data, 64)) {
            made("blob", mime_type, "content", data)
        } else {
            made("file", mime_type, "file_id", data) // a reference into somebody's media store
        }
    }
}

/// What the type of the bytes says, else what the part says of itself.
fn modality_of<'s>(kind: &'s str, mime_type: &'s str) -> &'s str {
    let main = mime_type.split('/').next().unwrap_or("");
    [main, kind].into_iter().find(|one| MEDIA.contains(one)).unwrap_or("document")
}

/// The first characters of `text`.
fn beginning(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(end, _)| &text[..end])
}

/// Whether a text's beginning may be base64; it may end in a line break.
fn is_base64(text: &str) -> bool {
    let line = text.strip_suffix('\n').unwrap_or(text);
    !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/_=-".contains(&byte))
}
