//! The steps of a deploy: estiba's own, and the team's among them.

use crate::config::{Project, Resolved, StepPlace, Strategy};
use crate::error::{Error, Result};
use crate::server::{kinds, steps_of};
use crate::text::nearest;

/// What the client does before the servers begin.
const BEFORE: [&str; 6] = ["take", "build", "test", "scan", "send", "upload"];

/// The names of the steps of a deploy to this target, in their order.
///
/// A step of the team's that can stand nowhere is an input error with its place.
pub fn deploy_steps(project: &Project, resolved: &Resolved) -> Result<Vec<String>> {
    let source = project.loaded.source();
    let has_canary = resolved.apps.iter().any(|app| app.strategy.value == Strategy::Canary);
    let hinted = |error: Error| error.or_hint("docs/proving.md has an example, `estiba config schema` every key");
    let own = steps_of("deploy").into_iter().filter(|step| has_canary || *step != "canary");
    let mut steps: Vec<String> = own.map(str::to_owned).collect();
    for (number, step) in resolved.proof.team_steps.iter().enumerate() {
        let (name, beside) = (&step.name, &step.beside);
        let wrong = |message: String| -> Error { hinted(source.error_near(name, message)) };
        if kinds().flat_map(steps_of).chain(BEFORE).any(|known| known == name) {
            return Err(
                wrong(format!("`{name}` is the name of one of estiba's own steps")).hint("give the team's step another one")
            );
        }
        let Some(at) = steps.iter().position(|known| known == beside) else {
            let error = wrong(format!("the step `{name}` stands beside `{beside}`, which is no step of a deploy"));
            return Err(match nearest(beside, steps.iter().map(String::as_str)) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("the steps: {}", steps.join(", "))),
            });
        };
        // Several behind the same step keep the order of deploy.toml.
        let so_far = &resolved.proof.team_steps[..number];
        let follows =
            |known: &String| so_far.iter().any(|other| other.name == *known && !other.is_before && other.beside == *beside);
        let at = if step.is_before { at } else { at + 1 + steps[at + 1..].iter().take_while(|known| follows(known)).count() };
        if at == 0 {
            return Err(wrong(format!(
                "the step `{name}` stands before `preflight`, which alone tells whether anything may be touched"
            ))
            .hint("after = \"preflight\" is the first place"));
        }
        steps.insert(at, name.clone());
        let place = |wanted: &str| steps.iter().position(|known| known == wanted).unwrap_or(0);
        if step.on == StepPlace::App && at < place("image") {
            return Err(wrong(format!("the step `{name}` runs in the app's image before the server has that"))
                .hint("after = \"image\" is the first place, or on = \"server\""));
        }
        if !step.undo.is_empty() && at > place("commit") {
            return Err(wrong(format!("the step `{name}` has an undo and comes after `commit`, from where nothing is undone"))
                .hint("take the undo off, or place the step before `commit`"));
        }
    }
    Ok(steps)
}
