//! Flattened attributes (`a.0.b`, `a.1.b`) as nested lists and dicts.

use std::collections::HashMap;

use bumpalo::Bump;

use crate::values::value::{distinct, Pair, Plain};
use crate::wire::{Irregular, Result};

const MAX_STEPS: usize = 15; // what is nested deeper keeps its dots
const MAX_INDEX_DIGITS: usize = 9;
const FEW: usize = 24; // children among which looking at each is faster than a map

/// What flattened attributes come to.
pub struct Grown<'s> {
    /// Null when there are none.
    pub value: Plain<'s>,
    pub has_conflicts: bool,
    pub has_holes: bool,
}

/// The tree of `leaves`: what comes behind the common beginning of their keys, and their values.
///
/// # Errors
/// `Irregular` when a leaf that is a dict itself would have to grow.
pub fn tree<'s>(leaves: &[(&'s str, Plain<'s>)], bump: &'s Bump) -> Result<Grown<'s>> {
    let mut root = Branch::default();
    let (mut has_conflicts, mut has_repeats) = (false, false);
    for (path, value) in leaves {
        match root.grow(path, 1, *value)? {
            Growth::New => {}
            Growth::Again => has_repeats = true,
            Growth::Conflict => has_conflicts = true,
        }
    }
    if has_conflicts && has_repeats {
        let mut leaves = leaves.to_vec(); // a first value was in the way where the last one counts
        distinct(&mut leaves, 0);
        return tree(&leaves, bump);
    }
    let mut has_holes = false;
    let value = if root.children.is_empty() { Plain::Null } else { root.plain(bump, &mut has_holes) };
    Ok(Grown { value, has_conflicts, has_holes })
}

/// What became of a leaf.
enum Growth {
    New,
    /// The same attribute was there; its last value counts.
    Again,
    /// Something else was there.
    Conflict,
}

#[derive(Default)]
struct Branch<'s> {
    children: Vec<(&'s str, Node<'s>)>,
    /// Which child has a name; there when they are many.
    places: Option<HashMap<&'s str, usize>>,
}

enum Node<'s> {
    Leaf(Plain<'s>),
    Branch(Branch<'s>),
}

impl<'s> Branch<'s> {
    /// Puts `value` at `path`, which is so many steps from the root.
    fn grow(&mut self, path: &'s str, depth: usize, value: Plain<'s>) -> Result<Growth> {
        let (step, rest) = match path.split_once('.') {
            Some((step, rest)) if depth < MAX_STEPS => (step, Some(rest)),
            _ => (path, None),
        };
        let Some(at) = self.find(step) else {
            let node = match rest {
                None => Node::Leaf(value),
                Some(rest) => {
                    let mut branch = Branch::default();
                    branch.grow(rest, depth + 1, value)?;
                    Node::Branch(branch)
                }
            };
            self.children.push((step, node));
            return Ok(Growth::New);
        };
        match (&mut self.children[at].1, rest) {
            (Node::Branch(inner), Some(rest)) => inner.grow(rest, depth + 1, value),
            (Node::Leaf(Plain::Dict(_)), Some(_)) => Err(Irregular),
            (Node::Leaf(leaf), None) => {
                *leaf = value;
                Ok(Growth::Again)
            }
            _ => Ok(Growth::Conflict),
        }
    }

    /// Which child has this name.
    fn find(&mut self, name: &str) -> Option<usize> {
        if self.children.len() <= FEW {
            return self.children.iter().rposition(|(known, _)| *known == name);
        }
        let places = self.places.get_or_insert_default();
        for (at, (known, _)) in self.children.iter().enumerate().skip(places.len()) {
            places.insert(known, at);
        }
        places.get(name).copied()
    }

    fn plain(self, bump: &'s Bump, has_holes: &mut bool) -> Plain<'s> {
        let pairs: Vec<Pair<'s>> =
            self.children.into_iter().map(|(name, node)| (name, node.plain(bump, has_holes))).collect();
        listed(pairs, bump, has_holes)
    }
}

impl<'s> Node<'s> {
    fn plain(self, bump: &'s Bump, has_holes: &mut bool) -> Plain<'s> {
        match self {
            Node::Branch(branch) => branch.plain(bump, has_holes),
            Node::Leaf(value) => of_leaf(value, bump, has_holes),
        }
    }
}

/// A leaf may be a dict whose keys are numbers, too.
fn of_leaf<'s>(value: Plain<'s>, bump: &'s Bump, has_holes: &mut bool) -> Plain<'s> {
    let Plain::Dict(pairs) = value else { return value };
    listed(pairs.iter().map(|(key, inner)| (*key, of_leaf(*inner, bump, has_holes))).collect(), bump, has_holes)
}

/// A list when all keys are numbers, else a dict.
fn listed<'s>(mut pairs: Vec<Pair<'s>>, bump: &'s Bump, has_holes: &mut bool) -> Plain<'s> {
    let is_index =
        |key: &str| (1..=MAX_INDEX_DIGITS).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_digit());
    if pairs.is_empty() || !pairs.iter().all(|(key, _)| is_index(key)) {
        return Plain::Dict(bump.alloc_slice_copy(&pairs));
    }
    let index = |key: &str| key.parse::<usize>().unwrap_or(0);
    pairs.sort_by_key(|(key, _)| index(key));
    *has_holes |= pairs.last().is_some_and(|(key, _)| index(key) != pairs.len() - 1);
    Plain::List(bump.alloc_slice_fill_iter(pairs.iter().map(|(_, value)| *value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grown(keys: &[&'static str]) -> (String, bool, bool) {
        let bump = Bump::new();
        let leaves: Vec<_> = keys.iter().copied().zip((0..).map(Plain::Int)).collect();
        let made = tree(&leaves, &bump).expect("no leaf is a dict");
        (made.value.dump(&bump).to_owned(), made.has_conflicts, made.has_holes)
    }

    #[test]
    fn numbers_make_lists_in_their_order() {
        assert_eq!(grown(&["1.a", "0.a", "0.b"]), (r#"[{"a":1,"b":2},{"a":0}]"#.into(), false, false));
        assert_eq!(grown(&["7", "2"]), ("[1,0]".into(), false, true));
        assert_eq!(grown(&["x.10", "x.9", "y"]), (r#"{"x":[1,0],"y":2}"#.into(), false, true));
        assert_eq!(grown(&["0", "a"]), (r#"{"0":0,"a":1}"#.into(), false, false));
        assert_eq!(grown(&[""]), (r#"{"":0}"#.into(), false, false));
        assert_eq!(grown(&[]), ("null".into(), false, false));
    }

    #[test]
    fn of_a_value_and_a_branch_the_first_stays() {
        assert_eq!(grown(&["a", "a.b"]), (r#"{"a":0}"#.into(), true, false));
        assert_eq!(grown(&["a.b", "a"]), (r#"{"a":{"b":0}}"#.into(), true, false));
        assert_eq!(grown(&["a", "a"]), (r#"{"a":1}"#.into(), false, false));
        assert_eq!(grown(&["a", "a.b", "a"]), (r#"{"a":2}"#.into(), true, false));
    }

    #[test]
    fn the_deepest_step_keeps_its_dots() {
        let deep = "a.a.a.a.a.a.a.a.a.a.a.a.a.a.b.c.d";
        assert!(grown(&[deep]).0.contains(r#"{"b.c.d":0}"#));
    }

    #[test]
    fn many_children_are_found_as_few_are() {
        let keys: Vec<String> = (0..300).flat_map(|n| [format!("{n}.a"), format!("{n}.b")]).collect();
        let bump = Bump::new();
        let leaves: Vec<_> = keys.iter().map(|key| (&**key, Plain::Null)).collect();
        let made = tree(&leaves, &bump).expect("no leaf is a dict");
        assert_eq!((made.value.items().len(), made.has_holes), (300, false));
    }
}
