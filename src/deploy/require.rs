//! What a target requires before anything is deployed to it.

use crate::error::{Error, Result};
use crate::report::Event;

use super::operation::Operation;

/// Refuses a deploy that does not meet what the target requires, all of it at once. With a reason to override it, that is said instead.
pub(super) fn check(operation: &Operation<'_>) -> Result<()> {
    let missing = unmet(operation);
    let target = &operation.resolved.target.name;
    if missing.is_empty() {
        return Ok(());
    }
    if let Some(reason) = &operation.options.override_reason {
        let told = format!("{target} is deployed to although {}, because: {reason}", missing.join("; and "));
        operation.reporter.tell(Event::Warning(told));
        return Ok(());
    }
    Err(Error::failed(format!("{target} is not deployed to: {}; nothing was changed", missing.join("; and "))).hint(
        "[target.NAME] require asks for it; `--override \"REASON\"` deploys nevertheless, and the history keeps the reason",
    ))
}

/// What is required and does not hold, in words.
pub(super) fn unmet(operation: &Operation<'_>) -> Vec<String> {
    let require = &operation.resolved.target.require;
    let actor = &operation.actor;
    let mut missing = Vec::new();
    if !require.branches.is_empty() && !require.branches.contains(&actor.branch) {
        let here = if actor.branch.is_empty() { "no branch" } else { actor.branch.as_str() };
        missing.push(format!("this is {here}, and it takes {} only", require.branches.join(" or ")));
    }
    if require.clean && actor.dirty {
        missing.push("the project has changes that are not committed".to_owned());
    }
    if let Some(from) = require.promoted_from.as_ref().filter(|from| operation.options.promoted_from.as_ref() != Some(*from)) {
        let target = &operation.resolved.target.name;
        missing.push(format!("a release gets there from {from} alone (estiba promote {from} {target})"));
    }
    if let Some(environment) = &require.approved_for {
        match &actor.approved_by {
            Ok(Some(_)) => {}
            Ok(None) => {
                missing.push(format!("nobody has approved this workflow run for the environment {environment} of GitHub"))
            }
            Err(why) => {
                missing.push(format!("whether this run was approved for the environment {environment} is not known: {why}"))
            }
        }
    }
    if let Some(window) = require.not_between.iter().find(|window| window.contains(actor.now)) {
        missing.push(format!("it is {} UTC, and nothing is deployed in {}", actor.now.strftime("%a %H:%M"), window.text));
    }
    missing
}
