//! What a destination's profile does to a trace request. The twin of `CompiledProfile` in `deliver/profile.py`.

pub mod edit;
pub mod names;
pub mod root;
pub mod rules;
pub mod scan;

use crate::profile::edit::Editor;
use crate::profile::root::lifted;
use crate::profile::rules::Rules;
use crate::profile::scan::Walk;
use crate::wire::edits::Edits;
use crate::wire::splice::Plan;
use crate::wire::Result;

/// The edits that `rules` make on a request; `None` when nothing changes.
///
/// # Errors
/// `Irregular` when the reference has to look at it.
pub fn apply(request: &[u8], rules: &Rules) -> Result<Option<Plan>> {
    let lifted = lifted(request, rules)?;
    let mut walk = Walk::new(rules, Editor::new(request, rules, lifted));
    walk.request(request)?;
    let (edits, mut containers): (Edits, _) = (walk.visitor.edits, walk.containers);
    Ok((!edits.is_empty()).then(|| edits.plan(&mut containers)))
}
