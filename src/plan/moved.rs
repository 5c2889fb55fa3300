//! What is not as it was when a plan was made.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, Plan};

/// What moved between two plans of the same target, a line each; nothing where they are the same plan.
pub fn moved(then: &Plan, now: &Plan) -> Vec<String> {
    let mut moved = Vec::new();
    if then.target != now.target {
        moved.push(format!("the plan is for {}, not for {}", then.target, now.target));
        return moved;
    }
    if then.current != now.current {
        let serves = |current: &Option<String>| current.clone().unwrap_or_else(|| "nothing".into());
        moved.push(format!("the server serves {}, not {}", serves(&now.current), serves(&then.current)));
    }
    let list = |what: &str, then: &[String], now: &[String], moved: &mut Vec<String>| {
        let (before, after): (BTreeSet<_>, BTreeSet<_>) = (then.iter().collect(), now.iter().collect());
        moved.extend(after.difference(&before).map(|one| format!("additional {what}: {one}")));
        moved.extend(before.difference(&after).map(|one| format!("missing {what}: {one}")));
    };
    list("drift", &then.drift, &now.drift, &mut moved);
    let files = |plan: &Plan| -> BTreeMap<String, Option<String>> {
        plan.files.iter().map(|file| (file.path.clone(), file.diff.clone())).collect()
    };
    let (before, after) = (files(then), files(now));
    for path in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        if before.get(path) != after.get(path) {
            moved.push(format!("the change to the file {path} is another one now"));
        }
    }
    let keys = |plan: &Plan| -> BTreeMap<String, Change> { plan.environment.clone() };
    let (before, after) = (keys(then), keys(now));
    for key in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        if before.get(key) != after.get(key) {
            moved.push(format!("the variable {key} differs, here or on the server"));
        }
    }
    list("container to replace", &then.replaced, &now.replaced, &mut moved);
    list("pending migration", then.pending.as_deref().unwrap_or(&[]), now.pending.as_deref().unwrap_or(&[]), &mut moved);
    if then.image_changes != now.image_changes {
        moved.push(String::from(if now.image_changes { "a new image is needed" } else { "no new image is needed any more" }));
    }
    if moved.is_empty() && then.digest != now.digest {
        moved.push(String::from("the project's own files are not those that the plan was made from"));
    }
    moved
}
