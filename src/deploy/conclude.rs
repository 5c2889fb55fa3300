//! The last stage: what it came to.

use crate::error::{Error, Kind};
use crate::report::{MIXED, Outcome, OutcomeKind, StepReport, StepStatus, Traffic};

/// What a run came to: its outcome, and the kind of failure where it is one.
pub type Ending = (Outcome, Option<Kind>);

/// Why a deploy ended before the server began.
#[derive(Debug)]
pub(super) enum Stop {
    /// Wrong input, or a server that would not take it: nothing was done.
    Refused(Error),
    /// It ended at one of the client's own steps, which has been told.
    Over(Box<Ending>),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// Somebody stopped the client before the server had begun.
pub(super) fn interrupted(blank: Outcome) -> Stop {
    let reason = Some("stopped before the server began; nothing that serves was touched".into());
    Stop::Over(Box::new((Outcome { outcome: OutcomeKind::Interrupted, reason, ..blank }, Some(Kind::Interrupted))))
}

/// The kind of failure that a run's exit code stands for.
pub(super) fn kind_of(code: u8) -> Option<Kind> {
    (code != 0).then(|| Kind::from_code(code))
}

/// What a run on several hosts came to: the worst of them, told by the first that failed by itself.
/// Different ends need a person, but where they are meant: where each host is its own, or some may fail.
pub(super) fn together(blank: Outcome, before: Vec<StepReport>, endings: &[(String, Ending)], is_meant: bool) -> Ending {
    let gravest = endings.iter().filter_map(|(_, (_, kind))| *kind).max();
    let mixed = gravest.is_some() && endings.iter().any(|(_, (_, kind))| kind.is_none());
    let kind = if mixed && !is_meant { Some(Kind::NeedsPerson) } else { gravest };
    // Who only waited for the others failed at `confirm`.
    let failed = |(_, (outcome, kind)): &&(String, Ending)| {
        kind.is_some() && !matches!(outcome.failed_step.as_deref(), Some("confirm")) && outcome.outcome != OutcomeKind::Refused
    };
    let first = endings.iter().find(failed).or_else(|| endings.iter().find(|(_, (_, kind))| kind.is_some()));
    let changed = |(_, (outcome, _)): &&(String, Ending)| outcome.outcome != OutcomeKind::Unchanged;
    let told = first.or_else(|| endings.iter().find(changed)).or(endings.first());
    let Some((host, (one, _))) = told else { return (blank, None) };
    let reason = match first {
        None => None,
        Some(_) if mixed => {
            let hosts = |good: bool| {
                let such = endings.iter().filter(|(_, (_, kind))| kind.is_none() == good);
                such.map(|(host, _)| host.as_str()).collect::<Vec<_>>().join(", ")
            };
            let why = one.reason.clone().unwrap_or_default();
            Some(format!("{MIXED}: the run succeeded on {} and failed on {} ({host}: {why})", hosts(true), hosts(false)))
        }
        Some(_) => one.reason.as_ref().map(|reason| format!("{host}: {reason}")),
    };
    let outcome = Outcome {
        outcome: if mixed && !is_meant { OutcomeKind::Failed } else { one.outcome },
        release: one.release.clone(),
        previous: one.previous.clone(),
        image: one.image.clone(),
        failed_step: first.and_then(|_| one.failed_step.clone()),
        reason,
        unfinished: endings.iter().flat_map(|(_, (outcome, _))| outcome.unfinished.clone()).collect(),
        differs: endings.iter().flat_map(|(_, (outcome, _))| outcome.differs.clone()).collect(),
        alerts: endings.iter().flat_map(|(_, (outcome, _))| outcome.alerts.clone()).collect(),
        steps: before.into_iter().chain(steps(endings)).collect(),
        traffic: endings
            .iter()
            .filter_map(|(_, (outcome, _))| outcome.traffic.as_deref().copied())
            .reduce(|all, one| Traffic {
                commands: all.commands + one.commands,
                bytes_sent: all.bytes_sent + one.bytes_sent,
                bytes_received: all.bytes_received + one.bytes_received,
            })
            .map(Box::new),
        ..blank
    };
    (outcome, kind)
}

/// Each step once: as the host that it went worst on tells it, with the longest time.
fn steps(endings: &[(String, Ending)]) -> Vec<StepReport> {
    let worse = |status: StepStatus| match status {
        StepStatus::Done => 0,
        StepStatus::Undone => 1,
        StepStatus::Failed => 2,
        StepStatus::UndoFailed => 3,
    };
    let mut steps: Vec<StepReport> = Vec::new();
    for step in endings.iter().flat_map(|(_, (outcome, _))| &outcome.steps) {
        match steps.iter_mut().find(|known| known.name == step.name) {
            None => steps.push(step.clone()),
            Some(known) => {
                known.at_ms = known.at_ms.min(step.at_ms);
                known.duration_ms = known.duration_ms.max(step.duration_ms);
                if worse(step.status) > worse(known.status) {
                    known.status = step.status;
                }
            }
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(outcome: OutcomeKind, kind: Option<Kind>, step: Option<&str>, reason: Option<&str>) -> Ending {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let steps = vec![StepReport { name: "check".into(), status: StepStatus::Done, at_ms: 0, duration_ms: 7 }];
        (Outcome { outcome, failed_step: text(step), reason: text(reason), steps, ..Outcome::failed("t") }, kind)
    }

    fn told(endings: Vec<Ending>) -> Ending {
        let endings: Vec<(String, Ending)> = endings.into_iter().enumerate().map(|(at, one)| (format!("h{at}"), one)).collect();
        together(Outcome::failed("t"), Vec::new(), &endings, false)
    }

    #[test]
    fn a_fleet_ends_as_its_worst_host_and_names_the_one_that_failed_by_itself() {
        let waited = || ending(OutcomeKind::RolledBack, Some(Kind::Undone), Some("confirm"), Some("another host"));
        let failed = ending(OutcomeKind::RolledBack, Some(Kind::Undone), Some("check"), Some("sick"));
        let (outcome, kind) = told(vec![waited(), failed, waited()]);
        assert_eq!((outcome.outcome, kind), (OutcomeKind::RolledBack, Some(Kind::Undone)));
        assert_eq!((outcome.failed_step.as_deref(), outcome.reason.as_deref()), (Some("check"), Some("h1: sick")));
        assert_eq!(outcome.steps.len(), 1);

        let done = || ending(OutcomeKind::Deployed, None, None, None);
        let (outcome, kind) = told(vec![ending(OutcomeKind::Unchanged, None, None, None), done()]);
        assert_eq!((outcome.outcome, kind), (OutcomeKind::Deployed, None));

        let (outcome, kind) = told(vec![done(), waited()]);
        assert_eq!((outcome.outcome, kind), (OutcomeKind::Failed, Some(Kind::NeedsPerson)));
        let endings = vec![
            ("a".to_owned(), done()),
            ("b".to_owned(), ending(OutcomeKind::RolledBack, Some(Kind::Undone), Some("check"), Some("sick"))),
        ];
        let (meant, kind_of_meant) = together(Outcome::failed("t"), Vec::new(), &endings, true);
        assert_eq!((meant.outcome, kind_of_meant), (OutcomeKind::RolledBack, Some(Kind::Undone)));
        assert!(
            outcome.reason.as_ref().is_some_and(|why| why.contains("succeeded on h0 and failed on h1")),
            "{:?}",
            outcome.reason
        );
    }
}
