//! Starts a run on every host and follows each to its end, whatever becomes of the connections meanwhile.

mod follower;
mod journal;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::artefact::Artefact;
use crate::config::FleetMode;
use crate::error::{Kind, Result};
use crate::report::{Event, Outcome, OutcomeKind, Reporter, StepReport, Traffic};
use crate::server::Fact;

use follower::Follower;
use journal::Journal;

use super::conclude::{Ending, kind_of, together};
use super::confirm::Confirm;
use super::connect::Session;
use super::doctor::{Finding, causes};
use super::gate::Gate;
use super::launch::{Launch, Launched, RunSettings, send_run};
use super::look::Look;
use super::operation::{Operation, milliseconds};
use super::signals::Signals;
use super::team::steps_here;

/// The longest that is waited for what became of an alert: a second of it the server's own.
const ALERTS: Duration = Duration::from_millis(1500);

/// Starts the runs and follows them to their ends. Of several hosts each has an outcome of its own, and all a common one.
pub(super) async fn follow(
    launched: Launched<'_>,
    look: Option<&Look<'_>>,
    operation: &Operation<'_>,
    signals: &Signals,
) -> Result<Ending> {
    let Launched { launches, steps } = launched;
    let lost = operation.lost();
    if let [launch] = launches.as_slice()
        && lost.is_empty()
    {
        return follow_one(launch, steps, look, None, operation, operation.reporter, signals.clone()).await;
    }
    let fleet = &operation.resolved.target.fleet;
    let taking_part: Vec<String> =
        launches.iter().filter(|launch| launch.settings.is_some()).map(|launch| launch.session.host()).collect();
    let gate = Gate::new(&taking_part, fleet);
    let mut endings: Vec<(String, Ending)> = Vec::new();
    for (host, why) in lost {
        gate.fail(&host, &format!("{host}: {why}"));
        endings.push((host, (Outcome { reason: Some(why), ..operation.blank(None) }, Some(Kind::Failed))));
    }
    endings.extend(
        futures_util::future::join_all(launches.iter().map(async |launch| {
            let host = launch.session.host();
            let reporter = launch.session.reporter(operation.reporter);
            let followed = in_its_wave(launch, look, &gate, operation, &reporter, signals).await;
            let ending = followed.unwrap_or_else(|error| {
                let (reason, kind) = (Some(error.text()), error.kind);
                reporter.tell(Event::Error(error));
                (Outcome { reason, ..launch.blank.clone() }, Some(kind))
            });
            match ending.1 {
                Some(_) => gate.fail(&host, &failure(&host, &ending.0)),
                None => gate.end(&host),
            }
            reporter.tell(Event::Outcome(Box::new(ending.0.clone())));
            (host, ending)
        }))
        .await,
    );
    let not_begun: Vec<&str> = endings
        .iter()
        .filter(|(_, (outcome, _))| outcome.outcome == OutcomeKind::Refused)
        .map(|(host, _)| host.as_str())
        .collect();
    if let Some((_, (outcome, _))) = endings.iter().find(|(_, (outcome, _))| outcome.outcome == OutcomeKind::Refused)
        && gate.is_stopped()
    {
        let why = outcome.reason.as_deref().unwrap_or_default();
        operation.reporter.tell(Event::Warning(format!(
            "{} hosts keep what they have ({why}): {}",
            not_begun.len(),
            not_begun.join(", ")
        )));
    }
    let is_meant = fleet.mode.value == FleetMode::Each || fleet.max_failures.value > 0;
    Ok(together(operation.blank(Some("")), steps, &endings, is_meant))
}

/// Follows one host of a fleet, once its wave begins.
async fn in_its_wave(
    launch: &Launch<'_>,
    look: Option<&Look<'_>>,
    gate: &Gate,
    operation: &Operation<'_>,
    reporter: &Reporter,
    signals: &Signals,
) -> Result<Ending> {
    let host = launch.session.host();
    if launch.settings.is_some() {
        let mut stopping = signals.clone();
        let begins = tokio::select! {
            begins = gate.begins(&host) => begins,
            () = stopping.next() => Err("stopped".into()),
        };
        match begins {
            Ok(Some((wave, of))) => operation.reporter.note(format!("wave {wave} of {of} begins")),
            Ok(None) => {}
            Err(why) => {
                let reason = Some(format!("not begun, and nothing was changed there: {why}"));
                return Ok((Outcome { outcome: OutcomeKind::Refused, reason, ..launch.blank.clone() }, Some(Kind::Failed)));
            }
        }
    }
    follow_one(launch, Vec::new(), look, Some(gate), operation, reporter, signals.clone()).await
}

/// Why a host failed, for the others.
fn failure(host: &str, outcome: &Outcome) -> String {
    let why: Vec<&str> = [&outcome.failed_step, &outcome.reason].into_iter().flatten().map(String::as_str).collect();
    format!("{host}: {}", why.join(": "))
}

/// Starts one host's run and follows it to its end.
async fn follow_one(
    launch: &Launch<'_>,
    steps: Vec<StepReport>,
    look: Option<&Look<'_>>,
    gate: Option<&Gate>,
    operation: &Operation<'_>,
    reporter: &Reporter,
    mut signals: Signals,
) -> Result<Ending> {
    let Launch { session, settings: Some(settings), blank } = launch else {
        return Ok((Outcome { steps, ..launch.blank.clone() }, None));
    };
    let begun = Instant::now();
    let journal = Journal::new(reporter, steps, gate.map(|gate| (gate, session.host())))
        .with_steps_here(steps_here(session))
        .after(operation.so_far());
    let mut follower = Follower::new(session, &settings.run, journal, reporter, &operation.options);
    let waits = gate.filter(|_| !settings.nonce.is_empty());
    let hold = Duration::from_secs((operation.resolved.rollout.confirm_timeout.value.0 / 3).max(1));
    let confirm = Confirm { look, release: &settings.release, nonce: &settings.nonce, gate: waits, hold };
    let end = follower.run(confirm, &mut signals).await;
    if follower.journal.has_begun() {
        operation.begin();
    }
    let end = end?;
    let mut outcome = follower.journal.outcome(blank.clone(), &end);
    if follower.has_left_early() {
        outcome.unfinished.push("drain".into());
    }
    if outcome.image.is_none() && end.code == 0 {
        // The server built it, and alone knows what it is.
        let facts = session.server().facts(session.resolved, &session.salt).await?;
        outcome.image = facts.get(Fact::CurrentImage).map(str::to_owned);
    }
    outcome.duration_ms = milliseconds(begun);
    if let Some(gate) = gate
        && end.code != 0
    {
        // The other hosts are not kept waiting for what else is asked.
        gate.fail(&session.host(), &failure(&session.host(), &outcome));
    }
    let has_failed = matches!(kind_of(end.code), Some(Kind::Failed | Kind::Undone | Kind::NeedsPerson));
    // Who has stopped it knows why, and may not have the time.
    let is_stopped = outcome.reason.as_deref().is_some_and(|why| why.contains("stopped on request"));
    if has_failed && !is_stopped {
        for Finding { kind, what, fix, .. } in causes(session, &follower.server()).await {
            reporter.tell(Event::Warning(format!("doctor finds {kind}, which may be the cause: {what}. What mends it: {fix}")));
        }
    }
    if session.resolved.alerts.is_wanted() && !settings.is_silent && kind_of(end.code) != Some(Kind::Interrupted) {
        // A server that does not answer goes on by itself.
        let told = timeout(ALERTS, follower.server().alerts(&settings.run)).await;
        outcome.alerts = told.ok().and_then(Result::ok).unwrap_or_default();
    }
    let (commands, bytes_sent, bytes_received) = session.settings.traffic.so_far();
    outcome.traffic = Some(Box::new(Traffic { commands, bytes_sent, bytes_received }));
    Ok((outcome, kind_of(end.code)))
}

/// A run on a release that the server has: sends the run's files, starts it, follows it to its end. Nobody confirms it.
pub(super) async fn carry_out(
    session: &Session<'_>,
    settings: &RunSettings,
    more: BTreeMap<String, Artefact>,
    operation: &Operation<'_>,
    blank: Outcome,
    signals: &mut Signals,
) -> Result<Ending> {
    send_run(session, settings, more, operation).await?;
    let journal = Journal::new(operation.reporter, Vec::new(), None).after(operation.so_far());
    let mut follower = Follower::new(session, &settings.run, journal, operation.reporter, &operation.options);
    let confirm = Confirm { look: None, release: &settings.release, nonce: "", gate: None, hold: Duration::MAX };
    let end = follower.run(confirm, signals).await?;
    Ok((follower.journal.outcome(blank, &end), kind_of(end.code)))
}
