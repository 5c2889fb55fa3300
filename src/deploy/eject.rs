//! The way back to plain Compose.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::config::{Project, Resolved};
use crate::error::{Error, Result};
use crate::plan::EJECT;
use crate::report::{Outcome, Reporter};

use super::artefacts::RunSettings;
use super::signals::Signals;
use super::transaction::{Ending, blank, carry_out, elapsed, wait_for_lock};
use super::{Options, Session, Who};

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
            format!("the edge of `{name}` goes, and the app publishes its port itself again: it is without an answer until it has started")
        } else {
            format!("`{name}` starts once more under its own name; the proxies in front look it up again, which closes idle connections once; then its edge goes")
        });
    }
    told.push(
        "the workers run under their own names; what estiba made (edges, slots, its backup service and its network) goes".into(),
    );
    told.push(format!("data stays where it is: volumes, and the folders in {root}/shared and {root}/stack"));
    told.push("estiba is back with the next `estiba deploy`, which takes the stack over".into());
    told
}

/// Does it.
pub async fn eject(project: &Project, resolved: &Resolved, options: &Options, who: &Who, reporter: &Reporter) -> Result<Ending> {
    let started = Instant::now();
    let mut signals = Signals::listen()?;
    let mut session = Session::open_only(project, resolved, who).await?;
    session.facts.check()?;
    wait_for_lock(&mut session, options, reporter).await?;
    let Some(current) = session.facts.current().map(str::to_owned) else {
        return Err(Error::failed(format!("{} serves no release of estiba: there is nothing to eject", resolved.target.name)));
    };
    let image = session.facts.get("current_image").map(str::to_owned);
    let outcome = Outcome { release: None, previous: Some(current.clone()), image: image.clone(), ..blank(resolved, &current) };
    let settings = RunSettings {
        run: who.run_id("eject"),
        kind: "eject",
        release: current,
        image: image.unwrap_or_default(),
        steps: EJECT.to_vec(),
        ..RunSettings::default()
    };
    let (outcome, kind) = carry_out(&session, &settings, BTreeMap::new(), options, who, reporter, outcome, &mut signals).await?;
    Ok((Outcome { duration_ms: elapsed(started), ..outcome }, kind))
}
