//! The hosts of a target: looked at and sent to a few at a time, and confirmed as one.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::{OnceCell, watch};

use crate::error::{Error, Kind, Result};
use crate::report::{Outcome, OutcomeKind, StepReport, StepStatus};

use super::transaction::Ending;

/// As many hosts are dialled, looked at and sent to at the same time.
const AT_ONCE: usize = 64;

/// Does the work for each of them, a bounded number at the same time; the results in their order.
pub async fn each<T, F: Future>(items: impl IntoIterator<Item = T>, work: impl FnMut(T) -> F) -> Vec<F::Output> {
    stream::iter(items).map(work).buffered(AT_ONCE).collect().await
}

/// All results, or one error that names the hosts that failed and what they did not do. A single host's error is its own.
pub fn all<T>(hosts: &[String], what: &str, results: Vec<Result<T>>) -> Result<Vec<T>> {
    let mut fine = Vec::new();
    let mut failed = Vec::new();
    for (host, result) in hosts.iter().zip(results) {
        match result {
            Ok(value) => fine.push(value),
            Err(error) => failed.push((host, error)),
        }
    }
    match failed.len() {
        0 => Ok(fine),
        1 if hosts.len() == 1 => Err(failed.remove(0).1),
        count => {
            let kind = failed[0].1.kind;
            let lines: Vec<String> = failed.iter().map(|(host, error)| format!("\n  {host}: {}", error.message)).collect();
            let message = format!("{count} of {} hosts {what}:{}", hosts.len(), lines.concat());
            let hints: BTreeSet<&String> = failed.iter().flat_map(|(_, error)| &error.hints).collect();
            Err(hints.into_iter().take(5).fold(Error::new(kind, message), |error, hint| error.hint(hint.clone())))
        }
    }
}

/// Where the hosts of a fleet wait for each other: all of them are confirmed, or none.
#[derive(Debug)]
pub(super) struct Gate {
    hosts: usize,
    state: watch::Sender<State>,
    word: OnceCell<std::result::Result<(), String>>,
}

#[derive(Debug, Default)]
struct State {
    arrived: BTreeSet<String>,
    failed: Option<String>,
    done: BTreeMap<String, (usize, u64)>,
}

impl Gate {
    pub(super) fn new(hosts: usize) -> Self {
        Self { hosts, state: watch::Sender::new(State::default()), word: OnceCell::new() }
    }

    /// This host waits for the word. A second time is none.
    pub(super) fn arrive(&self, host: &str) {
        self.state.send_if_modified(|state| state.arrived.insert(host.to_owned()));
    }

    /// A host will never come. The first reason is the one that is told.
    pub(super) fn fail(&self, why: &str) {
        self.state.send_if_modified(|state| {
            let first = state.failed.is_none();
            state.failed.get_or_insert_with(|| why.to_owned());
            first
        });
    }

    /// The word for all hosts, good or bad: when all have arrived and the look from outside is good. It is found once, so
    /// that no host gets another one.
    pub(super) async fn word(
        &self,
        look: impl Future<Output = std::result::Result<(), String>>,
    ) -> std::result::Result<(), String> {
        let find = || async {
            self.opened().await.map_err(|why| format!("another host of the fleet failed: {why}"))?;
            look.await
        };
        self.word.get_or_init(find).await.clone()
    }

    /// Waits until every host has arrived. `Err`: one of them never will, and why.
    async fn opened(&self) -> std::result::Result<(), String> {
        let mut state = self.state.subscribe();
        let hosts = self.hosts;
        let Ok(state) = state.wait_for(|state| state.failed.is_some() || state.arrived.len() == hosts).await else {
            return Err(String::from("nobody tells of the other hosts any more"));
        };
        state.failed.clone().map_or(Ok(()), Err)
    }

    /// A host has done a step; when it was the last of them, the longest time that one took.
    pub(super) fn done(&self, step: &str, took: u64) -> Option<u64> {
        let mut longest = None;
        self.state.send_if_modified(|state| {
            let (count, most) = state.done.entry(step.to_owned()).or_default();
            *count += 1;
            *most = took.max(*most);
            longest = (*count == self.hosts).then_some(*most);
            false
        });
        longest
    }
}

/// What a run on several hosts came to: the worst of them, told by the first that failed by itself.
pub(super) fn together(blank: Outcome, before: Vec<StepReport>, endings: &[(String, Ending)]) -> Ending {
    let codes: BTreeSet<u8> = endings.iter().map(|(_, (_, kind))| kind.map_or(0, Kind::code)).collect();
    let fine = codes.iter().all(|code| *code == 0);
    let mixed = codes.contains(&0) && !fine;
    let kind = match () {
        () if fine => None,
        () if mixed || codes.contains(&4) => Some(Kind::NeedsPerson),
        () if codes.contains(&130) => Some(Kind::Interrupted),
        () if codes.contains(&3) => Some(Kind::Undone),
        () => codes.first().map(|code| Kind::from_code(*code)),
    };
    // Who only waited for the others failed at `confirm`.
    let failed = |(_, (outcome, kind)): &&(String, Ending)| kind.is_some() && outcome.failed_step.as_deref() != Some("confirm");
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
            Some(format!("the hosts are not of one mind: done on {}; not on {} ({host}: {why})", hosts(true), hosts(false)))
        }
        Some(_) => one.reason.as_ref().map(|reason| format!("{host}: {reason}")),
    };
    let outcome = Outcome {
        outcome: if mixed { OutcomeKind::Failed } else { one.outcome },
        release: one.release.clone(),
        previous: one.previous.clone(),
        image: one.image.clone(),
        failed_step: first.and_then(|_| one.failed_step.clone()),
        reason,
        unfinished: endings.iter().flat_map(|(_, (outcome, _))| outcome.unfinished.clone()).collect(),
        differs: endings.iter().flat_map(|(_, (outcome, _))| outcome.differs.clone()).collect(),
        steps: before.into_iter().chain(steps(endings)).collect(),
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
        let steps = vec![StepReport { name: "check".into(), status: StepStatus::Done, duration_ms: 7 }];
        (Outcome { outcome, failed_step: text(step), reason: text(reason), steps, ..blank() }, kind)
    }

    fn blank() -> Outcome {
        Outcome {
            event: "outcome",
            outcome: OutcomeKind::Failed,
            target: "t".into(),
            release: None,
            previous: None,
            image: None,
            url: None,
            failed_step: None,
            reason: None,
            duration_ms: 0,
            unfinished: Vec::new(),
            differs: Vec::new(),
            steps: Vec::new(),
        }
    }

    fn told(endings: Vec<Ending>) -> Ending {
        let endings: Vec<(String, Ending)> = endings.into_iter().enumerate().map(|(at, one)| (format!("h{at}"), one)).collect();
        together(blank(), Vec::new(), &endings)
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
        assert!(outcome.reason.as_ref().is_some_and(|why| why.contains("done on h0; not on h1")), "{:?}", outcome.reason);
    }

    #[tokio::test]
    async fn the_gate_opens_for_all_or_for_none() {
        let gate = Gate::new(2);
        gate.arrive("a");
        gate.arrive("a");
        assert!(tokio::time::timeout(std::time::Duration::from_millis(20), gate.opened()).await.is_err());
        gate.arrive("b");
        // One look is for all, and what fails after it changes nobody's word.
        assert_eq!(gate.word(async { Ok(()) }).await, Ok(()));
        gate.fail("late");
        assert_eq!(gate.word(async { Err("another look".into()) }).await, Ok(()));

        let gate = Gate::new(2);
        gate.fail("first");
        gate.fail("second");
        let told = Err("another host of the fleet failed: first".to_owned());
        assert_eq!(gate.word(async { Ok(()) }).await, told);
        assert_eq!((gate.done("check", 3), gate.done("check", 2)), (None, Some(3)));
    }
}
