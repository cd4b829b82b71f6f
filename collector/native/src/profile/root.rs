//! What a destination's profile puts on the root of a trace, from the spans of it that are in the request.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use crate::profile::rules::{Id, Lift, Pick, Rules};
use crate::profile::scan::{filled, value_of, Attribute, Range, Resource, Span, Visitor, Walk};
use crate::wire::splice::Container;
use crate::wire::Result;

/// What is put on roots, by the number of the root among all spans.
pub type Lifted<'a> = HashMap<usize, Vec<Attribute<'a>>>;

/// # Errors
/// `Irregular` when the reference has to look at the request.
pub fn lifted<'a>(request: &'a [u8], rules: &'a Rules) -> Result<Lifted<'a>> {
    if rules.lifts.is_empty() {
        return Ok(Lifted::new());
    }
    let found = Found { rules, spans: 0, sources: Vec::new(), attributes: Vec::new(), has_sources: false };
    let mut walk = Walk::new(rules, found);
    walk.request(request)?;
    walk.visitor.lifted()
}

/// A root, or a span of which something may go on one.
struct Known<'a> {
    number: usize,
    trace_id: &'a [u8],
    is_root: bool,
    start: u64,
    end: u64,
    body_end: usize,
    /// Which of the attributes that matter are its own.
    attributes: Range,
}

struct Found<'a> {
    rules: &'a Rules,
    spans: usize,
    sources: Vec<Known<'a>>,
    attributes: Vec<Attribute<'a>>,
    has_sources: bool,
}

impl<'a> Visitor<'a> for Found<'a> {
    const CHECKS: bool = false;

    fn span(&mut self, span: &Span<'a>, attributes: &[Attribute<'a>], _: &Resource<'a>) -> Result<()> {
        let from = self.attributes.len();
        for one in attributes {
            if let Some(named) = self.rules.of(one.id).filter(|named| named.is_lift_source || named.is_lifted) {
                self.has_sources |= named.is_lift_source;
                self.attributes.push(*one);
            }
        }
        let own = (from, self.attributes.len());
        if span.is_root || own.1 > from {
            self.sources.push(Known {
                number: self.spans,
                trace_id: span.trace_id,
                is_root: span.is_root,
                start: span.start,
                end: span.end,
                body_end: span.body.1,
                attributes: own,
            });
        }
        self.spans += 1;
        Ok(())
    }

    fn resource(&mut self, _: &Resource<'a>, _: &Container) {}
}

impl<'a> Found<'a> {
    fn lifted(mut self) -> Result<Lifted<'a>> {
        let mut lifted = Lifted::new();
        if !self.has_sources {
            return Ok(lifted);
        }
        // Of several roots of a trace the last one stands for all.
        let roots = self.sources.iter().filter(|one| one.is_root);
        let roots: HashMap<&[u8], (usize, usize)> =
            roots.map(|one| (one.trace_id, (one.number, one.body_end))).collect();
        let mut present = self.present();
        for pick in [Pick::First, Pick::Last] {
            match pick {
                Pick::First => self.sources.sort_by_key(|one| (one.start, one.number)),
                Pick::Last => self.sources.sort_by_key(|one| (Reverse(one.end), one.number)),
            }
            let wanted: Vec<&Lift> = self.rules.lifts.iter().filter(|lift| lift.pick == pick).collect();
            for source in &self.sources {
                let Some(&(root, at)) = roots.get(source.trace_id) else { continue };
                for lift in &wanted {
                    if present.contains(&(root, lift.id)) {
                        continue;
                    }
                    let own = &self.attributes[source.attributes.0..source.attributes.1];
                    let more = lifted.get(&source.number).map_or(&[][..], Vec::as_slice);
                    let find = |id: &Id| value_of(*id, more).or_else(|| value_of(*id, own));
                    let Some(value) = lift.sources.iter().find_map(find) else { continue };
                    let key = self.rules.named[lift.id as usize].name.as_str();
                    let one = Attribute { field: (at, at), key, value: Some(filled(value)?), id: Some(lift.id) };
                    lifted.entry(root).or_default().push(one);
                    present.insert((root, lift.id));
                }
            }
        }
        Ok(lifted)
    }

    /// Which of the attributes that may be put on them the roots have already.
    fn present(&self) -> HashSet<(usize, Id)> {
        let roots = self.sources.iter().filter(|one| one.is_root);
        let own = |one: &Known<'a>| (one.number, &self.attributes[one.attributes.0..one.attributes.1]);
        roots.map(own).flat_map(|(root, own)| own.iter().filter_map(move |one| Some((root, one.id?)))).collect()
    }
}
