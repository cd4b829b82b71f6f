//! Taking out what people and models wrote. The twin of `deliver/content.py`.

use crate::scan::container;
use crate::values::any_value::key_value;
use crate::values::plain::Plain;
use crate::wire::edits::{Edits, Frame};
use crate::wire::splice::{Container, Plan};
use crate::wire::{push_field, Cursor, Result, BYTES};

/// What there is in a span: attributes, events, links; and in an event and a link: attributes.
const SPAN: (u32, &[(u32, u32)]) = (9, &[(11, 3), (13, 4)]);
/// In a log record: attributes.
const RECORD: (u32, &[(u32, u32)]) = (6, &[]);
const BODY: u32 = 5;
const EVENT_NAME: u32 = 12;
/// An event of a span: the number of its field, and of its name. Those with these endings are one message each.
const EVENT: (u32, u32) = (11, 2);
const MESSAGE_EVENTS: [&str; 2] = [".message", ".choice"];

/// Which attributes are content.
#[derive(Default)]
pub struct Rules {
    by_length: Vec<Vec<String>>,
    prefixes: Vec<String>,
    /// Names that begin so and are no content.
    except: Vec<String>,
    /// Events whose name begins so have content in their body.
    event_prefix: String,
    /// The attribute with the name of an event.
    event_name: String,
    /// What events that are messages have beside content.
    message_fields: Vec<String>,
}

impl Rules {
    pub fn new(
        names: &[String],
        prefixes: &[String],
        except: &[String],
        event_prefix: &str,
        event_name: &str,
        message_fields: &[String],
    ) -> Self {
        let longest = names.iter().map(String::len).max().unwrap_or(0);
        let mut by_length = vec![Vec::new(); longest + 1];
        for name in names {
            by_length[name.len()].push(name.clone());
        }
        Rules {
            by_length,
            prefixes: prefixes.to_vec(),
            except: except.to_vec(),
            event_prefix: event_prefix.to_owned(),
            event_name: event_name.to_owned(),
            message_fields: message_fields.to_vec(),
        }
    }

    fn is_message(&self, event: &str) -> bool {
        event.starts_with(&self.event_prefix) && MESSAGE_EVENTS.iter().any(|ending| event.ends_with(ending))
    }

    fn is_content(&self, key: &str) -> bool {
        self.by_length.get(key.len()).is_some_and(|names| names.iter().any(|name| name == key))
            || (self.prefixes.iter().any(|prefix| key.starts_with(prefix)) && !self.except.iter().any(|one| one == key))
    }
}

/// The edits that take content out of a request of spans, or of log records; `None` when it has none.
///
/// # Errors
/// `Irregular` when the reference has to look at it.
pub fn drop_content(request: &[u8], rules: &Rules, is_logs: bool) -> Result<Option<Plan>> {
    let mut found = Found { request, rules, is_logs, edits: Edits::default(), containers: Vec::new() };
    found.level(Cursor::new(request), None)?;
    let Found { edits, mut containers, .. } = found;
    Ok((!edits.is_empty()).then(|| edits.plan(&mut containers)))
}

struct Found<'r, 'a> {
    request: &'a [u8],
    rules: &'r Rules,
    is_logs: bool,
    edits: Edits,
    containers: Vec<Container>,
}

impl<'a> Found<'_, 'a> {
    /// The request, a resource level in it, or a scope level in that, whose index is `of`.
    fn level(&mut self, mut cursor: Cursor<'a>, of: Option<usize>) -> Result<()> {
        let is_scope = of.is_some_and(|index| self.containers[index].parent != index);
        let inner_number = if of.is_some() { 2 } else { 1 };
        while !cursor.is_done() {
            let (number, wire) = cursor.tag()?;
            match of {
                _ if (number, wire) != (inner_number, BYTES) => cursor.skip(wire)?,
                Some(container) if is_scope => {
                    let length_at = cursor.at;
                    let item = cursor.message()?;
                    self.item(item, Frame { length_at, body_at: item.at, end: item.end(), container })?;
                }
                _ => {
                    let index = self.containers.len();
                    let (made, inner) = container(&mut cursor, index, of)?;
                    self.containers.push(made);
                    self.level(inner, Some(index))?;
                }
            }
        }
        Ok(())
    }

    fn item(&mut self, mut cursor: Cursor<'a>, frame: Frame) -> Result<()> {
        let mark = self.edits.mark();
        let (attributes, nested) = if self.is_logs { RECORD } else { SPAN };
        let (mut bodies, mut is_event) = (Vec::new(), false);
        while !cursor.is_done() {
            let from = cursor.at;
            let (number, wire) = cursor.tag()?;
            let within = nested.iter().find(|(of, _)| *of == number);
            match (number, wire) {
                _ if (number, wire) == (attributes, BYTES) => {
                    let (key, value) = key_value(cursor.message()?)?;
                    if self.rules.is_content(key) {
                        self.edits.replace(from, cursor.at, (0, 0));
                    } else if self.is_logs && key == self.rules.event_name {
                        let said = value.map_or(Ok(Plain::Empty), Plain::read)?;
                        is_event |= matches!(said, Plain::Text(name) if name.starts_with(&self.rules.event_prefix));
                    }
                }
                (_, BYTES) if within.is_some() => {
                    let inner = cursor.message()?;
                    self.within(inner, number, within.map_or(0, |(_, inner)| *inner), (from, cursor.at))?;
                }
                (BODY, BYTES) if self.is_logs => {
                    cursor.skip(wire)?;
                    bodies.push((from, cursor.at));
                }
                (EVENT_NAME, BYTES) if self.is_logs => {
                    is_event |= cursor.text()?.starts_with(&self.rules.event_prefix);
                }
                _ => cursor.skip(wire)?,
            }
        }
        for (from, to) in bodies.into_iter().filter(|_| is_event) {
            self.edits.replace(from, to, (0, 0));
        }
        self.edits.close(frame, mark);
        Ok(())
    }

    /// An event or a link, whose field has the number `number` and stands at `place`.
    fn within(&mut self, mut cursor: Cursor<'a>, number: u32, attributes: u32, place: (usize, usize)) -> Result<()> {
        let (mut copied, mut kept) = (cursor.at, Vec::new());
        let (start, end) = (cursor.at, cursor.end());
        let is_message = number == EVENT.0 && self.rules.is_message(name_of(cursor)?);
        while !cursor.is_done() {
            let from = cursor.at;
            let (field, wire) = cursor.tag()?;
            if (field, wire) != (attributes, BYTES) {
                cursor.skip(wire)?;
                continue;
            }
            let key = key_value(cursor.message()?)?.0;
            if self.rules.is_content(key) || (is_message && !self.rules.message_fields.iter().any(|one| one == key)) {
                kept.extend_from_slice(&self.request[copied..from]);
                copied = cursor.at;
            }
        }
        if copied > start {
            kept.extend_from_slice(&self.request[copied..end]);
            let from = self.edits.added.len();
            push_field(&mut self.edits.added, number as u8, &kept);
            self.edits.replace(place.0, place.1, (from, self.edits.added.len()));
        }
        Ok(())
    }
}

fn name_of(mut event: Cursor<'_>) -> Result<&str> {
    let mut name = "";
    while !event.is_done() {
        match event.tag()? {
            (number, BYTES) if number == EVENT.1 => name = event.text()?,
            (_, wire) => event.skip(wire)?,
        }
    }
    Ok(name)
}
