//! The previous release serves again, or one that is named: the same stages, with what the server has.

use std::collections::BTreeMap;

use crate::error::{Error, Kind, Result};
use crate::report::{Outcome, OutcomeKind};
use crate::server::steps_of;

use super::conclude::Ending;
use super::connect::Session;
use super::follow::follow;
use super::hosts::{all, each};
use super::inspect::wait_for_lock;
use super::launch::{Launch, Launched, RunSettings, send_run};
use super::operation::Operation;
use super::signals::Signals;

/// Makes the target serve the previous release again, or a named one, with its own files, environment and
/// image.
///
/// One that was kept warm is switched to; where it turns out not to be warm any more, it is started, as any other.
pub async fn rollback(operation: &Operation<'_>, to: Option<&str>) -> Result<Ending> {
    let signals = Signals::listen()?;
    let ((outcome, kind), chosen) = attempt(operation, to, true, &signals).await?;
    if outcome.failed_step.as_deref() == Some(WARM) && kind != Some(Kind::Moved) {
        operation.reporter.note("it is started instead");
        // By its name: a host of a fleet that has switched to it has another previous release by now.
        return Ok(attempt(operation, Some(&chosen), false, &signals).await?.0);
    }
    Ok((outcome, kind))
}

/// The first step of a rollback that is a switch.
const WARM: &str = "warm";

/// One rollback, and the release that was chosen; with `warm`, as a switch where every host has the release warm.
async fn attempt(operation: &Operation<'_>, to: Option<&str>, warm: bool, signals: &Signals) -> Result<(Ending, String)> {
    let mut sessions = Session::open_all(operation.project, operation.resolved).await?;
    let hosts: Vec<String> = sessions.iter().map(Session::host).collect();
    let chosen = each(&mut sessions, async |session| {
        session.facts.check()?;
        wait_for_lock(session, operation).await?;
        choose_release(session, to)
    })
    .await;
    let chosen = all(&hosts, "cannot go back; nothing was changed on any", chosen)?;
    let is_warm = |(session, release): (&Session<'_>, &String)| session.facts.warm() == Some(release.as_str());
    let plan = if warm && sessions.iter().zip(&chosen).all(is_warm) { "rollback-warm" } else { "rollback" };
    let first = chosen.first().cloned().unwrap_or_default();
    let sent = each(sessions.into_iter().zip(chosen), |(session, release)| launch(session, release, plan, operation)).await;
    let launches = all(&hosts, "did not accept the run; no host was changed", sent)?;
    let ending = follow(Launched { launches, steps: Vec::new() }, None, operation, signals).await?;
    Ok((operation.ended(ending), first))
}

/// Makes the run ready on one host, unless it serves that release already.
async fn launch<'a>(session: Session<'a>, release: String, plan: &str, operation: &Operation<'_>) -> Result<Launch<'a>> {
    let facts = &session.facts;
    let kept = facts.releases.iter().find(|kept| kept.id == release);
    let image = kept.map(|kept| kept.image.clone()).unwrap_or_default();
    let previous = facts.current().map(str::to_owned);
    let blank = Outcome { previous, image: Some(image.clone()), ..operation.blank(Some(&release)) };
    if facts.current() == Some(release.as_str()) {
        return Ok(Launch { session, settings: None, blank: Outcome { outcome: OutcomeKind::Unchanged, ..blank } });
    }
    let settings = RunSettings {
        run: operation.actor.run_id("rollback"),
        kind: "rollback",
        release,
        image,
        steps: steps_of(plan).into_iter().map(str::to_owned).collect(),
        ..RunSettings::default()
    };
    send_run(&session, &settings, BTreeMap::new(), operation).await?;
    Ok(Launch { session, settings: Some(settings), blank })
}

/// The release to go back to, or a refusal that lists those that can be had.
fn choose_release(session: &Session<'_>, to: Option<&str>) -> Result<String> {
    let facts = &session.facts;
    let target = &session.resolved.target.name;
    let had: Vec<&str> = facts.releases.iter().filter(|kept| kept.present).map(|kept| kept.id.as_str()).collect();
    let list = |error: Error| {
        let others: Vec<&str> = had.iter().filter(|id| Some(**id) != facts.current()).copied().collect();
        if others.is_empty() { error } else { error.hint(format!("releases to go back to: {}", others.join(", "))) }
    };
    let wanted = match to.or(facts.previous()) {
        Some(wanted) => wanted,
        None => return Err(list(Error::failed(format!("{target} has no previous release; nothing was changed")))),
    };
    if had.contains(&wanted) {
        return Ok(wanted.to_owned());
    }
    // A part of an id that only one has, the commit say.
    if let [one] = had.iter().filter(|id| wanted.len() >= 4 && id.contains(wanted)).collect::<Vec<_>>().as_slice() {
        return Ok((**one).to_owned());
    }
    let gone = facts.releases.iter().any(|kept| kept.id == wanted);
    let why = if gone { "its image is no longer on the server" } else { "it is not on the server, or was pruned" };
    let error = Error::failed(format!("{target} cannot go back to {wanted}: {why}; nothing was changed"));
    Err(list(error))
}
