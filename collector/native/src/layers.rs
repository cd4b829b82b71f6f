//! Layers around the same provider call within one request. Across requests `memory` knows.

use std::collections::HashMap;

use crate::scan::Found;

/// Marks layers around the same provider call, so that each call counts once; returns how many were marked.
pub fn mark_wrappers(found: &mut [Found<'_>]) -> u64 {
    // Of spans that share an id the last one stands for all, in the place of the first.
    let mut calls: Vec<usize> = Vec::new();
    let mut by_id: HashMap<&[u8], usize> = HashMap::new();
    for (index, one) in found.iter().enumerate().filter(|(_, one)| one.meaning.is_call) {
        let place = *by_id.entry(one.span_id).or_insert(calls.len());
        if place == calls.len() {
            calls.push(index);
        } else {
            calls[place] = index;
        }
    }
    if calls.len() < 2 {
        return 0;
    }
    for &index in &calls {
        let outer = match by_id.get(found[index].parent_id) {
            Some(&place) if calls[place] != index => calls[place],
            _ => continue,
        };
        if let Some(marked) = outer_layer(&found[index], &found[outer]) {
            found[if marked { outer } else { index }].meaning.is_wrapper = true;
        }
    }
    let mut by_response: HashMap<(&[u8], &str), usize> = HashMap::new();
    for &index in &calls {
        let call = &found[index];
        if call.meaning.is_wrapper || call.meaning.response_id.is_empty() {
            continue;
        }
        let stands = by_response.entry((call.trace_id, call.meaning.response_id)).or_insert(index);
        let other = *stands;
        if other != index {
            let other_is_weaker = found[other].meaning.usage.is_none() && call.meaning.usage.is_some();
            if other_is_weaker {
                *stands = index;
            }
            found[if other_is_weaker { other } else { index }].meaning.is_wrapper = true;
        }
    }
    calls.iter().filter(|index| found[**index].meaning.is_wrapper).count() as u64
}

/// Whether the call directly around `call` is another layer of it (`true`), or `call` is (`false`), because only the
/// outer one knows the tokens; `None` when they are two calls.
fn outer_layer(call: &Found<'_>, outer: &Found<'_>) -> Option<bool> {
    if outer.meaning.operation != call.meaning.operation || outer.trace_id != call.trace_id {
        return None;
    }
    Some(call.meaning.usage.is_some() || outer.meaning.usage.is_none())
}
