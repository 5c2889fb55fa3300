//! Whether the servers may be deployed to: nobody else is at it, they are what the plan was made for, and something is to do.

use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};
use crate::plan::{self, Plan, moved};
use crate::server::Status;

use super::connect::Session;
use super::hosts::{all, each};
use super::operation::Operation;
use super::plan::plan_one;
use super::prepare::Prepared;

/// The hosts of a target that were looked at.
pub(super) struct Inspected<'a> {
    /// Those that get the release.
    pub(super) to_do: Vec<Session<'a>>,
    /// Those that have it already, and run it.
    pub(super) unchanged: Vec<Session<'a>>,
}

/// Looks at all hosts. One that cannot be deployed to is an error for all of them: nothing has been changed on any.
pub(super) async fn inspect<'a>(
    mut sessions: Vec<Session<'a>>,
    prepared: &Prepared<'_>,
    operation: &Operation<'_>,
) -> Result<Inspected<'a>> {
    let hosts: Vec<String> = sessions.iter().map(Session::host).collect();
    let looks = each(&mut sessions, |session| inspect_one(session, prepared, operation)).await;
    let unchanged = all(&hosts, "cannot be deployed to; nothing was changed on any", looks)?;
    let mut inspected = Inspected { to_do: Vec::new(), unchanged: Vec::new() };
    for (session, unchanged) in sessions.into_iter().zip(unchanged) {
        if unchanged { &mut inspected.unchanged } else { &mut inspected.to_do }.push(session);
    }
    Ok(inspected)
}

/// The first look at a host: may it be deployed to? Tells whether it has what is to be deployed already.
async fn inspect_one(session: &mut Session<'_>, prepared: &Prepared<'_>, operation: &Operation<'_>) -> Result<bool> {
    session.facts.check()?;
    wait_for_lock(session, operation).await?;
    same_project(session)?;
    if let Some(plan) = &operation.options.plan {
        as_planned(session, prepared, plan).await?;
    }
    Ok(!operation.options.force && is_unchanged(session, prepared))
}

/// Is a plan that is made now the one that was made then?
async fn as_planned(session: &Session<'_>, prepared: &Prepared<'_>, then: &Plan) -> Result<()> {
    let now = plan_one(session, prepared).await?;
    let moved = moved(then, &now);
    if moved.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Kind::Moved,
        format!(
            "{} no longer matches the plan {}; nothing was changed:\n  {}",
            session.resolved.target.name,
            then.digest,
            moved.join("\n  ")
        ),
    )
    .hint("make a new plan, check it, and deploy that"))
}

/// A root belongs to one Compose project: under another name the same files would make a second, empty stack.
fn same_project(session: &Session<'_>) -> Result<()> {
    let (root, project) = (&session.resolved.target.root.value, &session.resolved.compose_project.value);
    match session.facts.current_setting("COMPOSE_PROJECT") {
        Some(known) if known != *project => Err(Error::failed(format!(
            "{root} on the server belongs to the Compose project `{known}`, and this deploys `{project}`; nothing was changed"
        ))
        .hint(format!("to go on with its containers and volumes: [project] compose-project = \"{known}\"; for a stack of its own, another root"))),
        _ => Ok(()),
    }
}

/// Is the server's release what this one would be, and does it run?
fn is_unchanged(session: &Session<'_>, prepared: &Prepared<'_>) -> bool {
    let facts = &session.facts;
    let status = Status::of("", facts);
    facts.current().is_some()
        && facts.open_runs.is_empty()
        && status.drift.is_empty()
        && facts.current_setting("CONTEXT_DIGEST").as_deref() == Some(prepared.context_digest.as_str())
        && plan::changed_paths(&prepared.rendered, facts).is_empty()
}

/// Waits for another run's end, as long as the options say.
pub(super) async fn wait_for_lock(session: &mut Session<'_>, operation: &Operation<'_>) -> Result<()> {
    let started = Instant::now();
    let mut told = false;
    while let Some(holder) = session.facts.lock().map(str::to_owned) {
        let limit = Duration::from_secs(operation.options.wait_lock.unwrap_or(0));
        if started.elapsed() >= limit {
            return Err(session.locked(&holder));
        }
        if !told {
            operation.reporter.note(format!("waiting for another run to end: {holder}"));
            told = true;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        session.refresh().await?;
    }
    Ok(())
}
