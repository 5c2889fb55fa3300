//! Alerts that are this machine's to send: of a deploy that a server did not begin, and those that the server left to it.

use std::time::Duration;

use futures_util::future::join_all;

use crate::config::{AlertOn, Channel};
use crate::deploy::{Ending, Operation};
use crate::error::Kind;
use crate::notify::Alert;
use crate::report::{AlertTold, Event, Outcome, OutcomeKind, Reporter};

/// How long one try may take: nobody waits for an alert.
const PATIENCE: Duration = Duration::from_millis(900);

/// The same ending, with its alerts sent as far as they are this machine's to send, and told of where they are not sent yet.
pub(super) async fn of_ending(operation: &Operation<'_>, (mut outcome, kind): Ending) -> Ending {
    let resolved = operation.resolved;
    // Where the hosts of a fleet came to different ends, the one that tells may know only of its own good one.
    if !operation.has_begun() || outcome.is_mixed() {
        outcome.alerts.extend(of_outcome(operation, &outcome, kind).await);
    } else {
        let alert = alert(operation, &outcome);
        let sending = outcome.alerts.into_iter().map(async |told| {
            let channel = resolved.alerts.channels.iter().find(|channel| told.state == "left" && channel.name() == told.channel);
            match channel {
                Some(channel) => sent(&alert, channel).await,
                None => told,
            }
        });
        outcome.alerts = join_all(sending).await;
    }
    tell(operation.reporter, &outcome.alerts);
    (outcome, kind)
}

/// What an error comes to that ended a deploy before a server began.
pub(super) async fn of_error(operation: &Operation<'_>, outcome: &Outcome, kind: Kind) {
    tell(operation.reporter, &of_outcome(operation, outcome, Some(kind)).await);
}

async fn of_outcome(operation: &Operation<'_>, outcome: &Outcome, kind: Option<Kind>) -> Vec<AlertTold> {
    let on = match (outcome.outcome, kind) {
        // Wrong input is told where it was typed, and a run of somebody else's is no failure.
        (_, None | Some(Kind::Input | Kind::Locked | Kind::Interrupted)) => return Vec::new(),
        (OutcomeKind::Refused, _) => AlertOn::Refused,
        _ => AlertOn::Failed,
    };
    if !operation.resolved.alerts.on.value.contains(&on) {
        return Vec::new();
    }
    let alert = alert(operation, outcome);
    join_all(operation.resolved.alerts.channels.iter().map(|channel| sent(&alert, channel))).await
}

fn alert(operation: &Operation<'_>, outcome: &Outcome) -> Alert {
    let resolved = operation.resolved;
    let what = match outcome.outcome {
        OutcomeKind::Refused => "the deploy was refused",
        OutcomeKind::RolledBack if outcome.failed_step.is_none() => "back on an earlier release",
        OutcomeKind::RolledBack => "the deploy failed and was undone",
        OutcomeKind::Deployed => "a new release is deployed",
        _ => "the deploy failed",
    };
    let at = outcome.failed_step.as_deref().map(|step| format!(" at {step}")).unwrap_or_default();
    let release = outcome.release.as_deref().filter(|release| !release.is_empty()).map(|release| format!("Release {release}"));
    let lines: Vec<String> = [outcome.reason.clone(), release, outcome.url.clone()].into_iter().flatten().collect();
    // What a program or a server said may hold a secret.
    let lines: Vec<String> = lines.iter().map(|line| operation.reporter.shown(line)).collect();
    Alert::new(format!("{} {}: {what}{at}", resolved.project, resolved.target.name), &lines)
}

/// Two tries within two seconds.
async fn sent(alert: &Alert, channel: &Channel) -> AlertTold {
    let mut why = None;
    for _ in 0..2 {
        match alert.send(channel, PATIENCE).await {
            Ok(()) => return AlertTold { channel: channel.name().into(), state: "sent".into(), why: None },
            Err(error) => why = Some(error.message),
        }
    }
    AlertTold { channel: channel.name().into(), state: "lost".into(), why }
}

fn tell(reporter: &Reporter, alerts: &[AlertTold]) {
    for told in alerts.iter().filter(|told| told.state != "sent") {
        let why = told.why.as_deref().unwrap_or("there was no answer within a second");
        let goes_on = if told.state == "lost" {
            "it is lost; check the address in [alerts]"
        } else {
            "the server goes on trying for three minutes"
        };
        reporter.tell(Event::Warning(format!("the alert by {} is not sent: {why}; {goes_on}", told.channel)));
    }
}
