//! The client's side of a run on the servers, stage by stage.

mod actor;
mod against;
mod backup;
mod conclude;
mod confirm;
mod connect;
mod doctor;
mod eject;
mod follow;
mod gate;
mod hosts;
mod inspect;
mod launch;
mod logs;
mod look;
mod offline;
mod operation;
mod order;
mod plan;
mod prepare;
mod promote;
mod require;
mod rollback;
mod route;
mod scan;
mod setup;
mod ship;
mod signals;
mod step;
mod steps;
mod team;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::error::Result;
use crate::report::Event;

pub use actor::Actor;
pub use against::plan_against;
pub use backup::{BackupRun, backup};
pub use conclude::Ending;
pub use connect::Session;
pub use doctor::{Finding, examine};
pub use eject::{eject, eject_steps};
pub use hosts::{all, each};
pub use logs::logs;
pub use look::Certificate;
pub use offline::{open_with_stand_ins, plan_offline};
pub use operation::{Operation, Options};
pub use order::{Order, container_service, order, services_of};
pub use plan::plan;
pub use prepare::Prepared;
pub use promote::promote;
pub use rollback::rollback;
pub use route::check_host_keys;
pub use setup::{Admin, Keys, Setup};
pub use steps::deploy_steps;

use conclude::{Stop, interrupted};
use follow::follow;
use inspect::inspect;
use launch::launch;
use prepare::{Candidate, prepare};
use ship::ship;
use signals::Signals;

/// How long the process stays after the outcome, at most, for the Engine to pack what the deploys that come will not wait for.
const LEARNS: Duration = Duration::from_secs(60);

/// Makes the target serve the project as it stands here.
///
/// `Ok` holds the outcome; wrong input and a server that cannot be reached are errors. The server is never left in
/// between: once started, the run ends by itself, whatever becomes of this client.
pub async fn deploy(operation: &Operation<'_>) -> Result<Ending> {
    let candidate = prepare(operation).await?;
    deploy_candidate(&candidate, operation).await
}

/// Makes the target serve this release.
async fn deploy_candidate(candidate: &Candidate<'_>, operation: &Operation<'_>) -> Result<Ending> {
    let mut signals = Signals::listen()?;
    let ready = async {
        let sessions = reached(operation).await?;
        let inspected = inspect(sessions, &candidate.prepared, operation).await?;
        let shipped = ship(inspected, candidate, operation).await?;
        launch(shipped, candidate, operation).await
    };
    let launched = tokio::select! {
        launched = ready => launched,
        () = signals.next() => Err(interrupted(operation.blank(Some(&candidate.id)))),
    };
    let ending = match launched {
        // While it is followed, the client gives its word at `confirm`.
        Ok(launched) => {
            let closed = launched.is_closed(operation.reporter);
            let look = candidate.look.as_ref().filter(|_| !closed);
            follow(launched, look, operation, &signals).await?
        }
        Err(Stop::Over(ending)) => *ending,
        Err(Stop::Refused(error)) => return Err(error),
    };
    Ok(operation.ended(ending))
}

/// The hosts that answer. Where some may fail, the others go on without them.
async fn reached<'a>(operation: &Operation<'a>) -> Result<Vec<Session<'a>>> {
    let target = &operation.resolved.target;
    let most = target.fleet.max_failures.value as usize;
    if most == 0 || target.hosts.len() == 1 {
        return Session::open_all(operation.project, operation.resolved).await;
    }
    let opened = Session::open_each(operation.project, operation.resolved).await;
    let away = opened.iter().filter(|opened| opened.is_err()).count();
    if away > most || away == opened.len() {
        return all(&target.hosts, "could not be reached or read; nothing was changed on any of them", opened);
    }
    let mut sessions = Vec::new();
    for (host, opened) in target.hosts.iter().zip(opened) {
        match opened {
            Ok(session) => sessions.push(session),
            Err(error) => {
                operation
                    .reporter
                    .tell(Event::Warning(format!("{host} is left out, and the next deploy catches it up: {}", error.text())));
                operation.lose(host.clone(), error.text());
            }
        }
    }
    Ok(sessions)
}

/// After the outcome has been told: what the local Engine still packs goes on for a while, until the user has had enough.
pub async fn learn(operation: &Operation<'_>) -> Result<()> {
    let mut signals = Signals::listen()?;
    operation.learning.end(LEARNS, signals.next()).await;
    Ok(())
}
