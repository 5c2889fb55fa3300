//! The way back to plain Compose.

use std::collections::BTreeMap;

use crate::config::Resolved;
use crate::error::{Error, Result};
use crate::report::Outcome;
use crate::server::{Fact, steps_of};

use super::conclude::Ending;
use super::connect::Session;
use super::follow::carry_out;
use super::inspect::wait_for_lock;
use super::launch::RunSettings;
use super::operation::Operation;
use super::signals::Signals;

/// What ejecting would do, in sentences.
pub fn eject_steps(resolved: &Resolved) -> Vec<String> {
    let root = &resolved.target.root.value;
    let mut told = vec![format!(
        "the Compose files of the release that serves are put into {root}/plain, as compose.yml with its .env: `docker compose` works there without estiba"
    )];
    for app in &resolved.apps {
        let name = &app.service;
        let publishes = resolved.compose.service(name).is_some_and(|service| !service.published().is_empty());
        told.push(if publishes {
            format!("the edge of `{name}` is removed and the app publishes its port again; it does not answer until the app has started")
        } else {
            format!("`{name}` starts once more under its own name; the proxies in front look it up again, which closes idle connections once; then its edge goes")
        });
    }
    told.push("the workers run under their own names; edges, slots, and estiba's backup service and network are removed".into());
    told.push(format!("data stays where it is: volumes, and the folders in {root}/shared and {root}/stack"));
    told.push("estiba is back with the next `estiba deploy`, which takes the stack over".into());
    told
}

/// Does it.
pub async fn eject(operation: &Operation<'_>) -> Result<Ending> {
    let resolved = operation.resolved;
    let mut signals = Signals::listen()?;
    let mut session = Session::open_only(operation.project, resolved).await?;
    session.facts.check()?;
    wait_for_lock(&mut session, operation).await?;
    let Some(current) = session.facts.current().map(str::to_owned) else {
        return Err(Error::failed(format!("{} serves no release of estiba: there is nothing to eject", resolved.target.name)));
    };
    let image = session.facts.get(Fact::CurrentImage).map(str::to_owned);
    let outcome = Outcome { previous: Some(current.clone()), image: image.clone(), ..operation.blank(None) };
    let settings = RunSettings {
        run: operation.actor.run_id("eject"),
        kind: "eject",
        release: current,
        image: image.unwrap_or_default(),
        steps: steps_of("eject").into_iter().map(str::to_owned).collect(),
        ..RunSettings::default()
    };
    let ending = carry_out(&session, &settings, BTreeMap::new(), operation, outcome, &mut signals).await?;
    Ok(operation.ended(ending))
}
