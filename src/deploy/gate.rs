//! The hosts of a fleet are confirmed as one.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::{OnceCell, watch};

/// Where the hosts of a fleet wait for each other: all of them are confirmed, or none.
#[derive(Debug)]
pub(super) struct Gate {
    hosts: usize,
    state: watch::Sender<State>,
    word: OnceCell<Result<(), String>>,
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
    pub(super) async fn word(&self, look: impl Future<Output = Result<(), String>>) -> Result<(), String> {
        let find = || async {
            self.opened().await.map_err(|why| format!("another host of the fleet failed: {why}"))?;
            look.await
        };
        self.word.get_or_init(find).await.clone()
    }

    /// Waits until every host has arrived. `Err`: one of them never will, and why.
    async fn opened(&self) -> Result<(), String> {
        let mut state = self.state.subscribe();
        let hosts = self.hosts;
        let Ok(state) = state.wait_for(|state| state.failed.is_some() || state.arrived.len() == hosts).await else {
            return Err(String::from("the other hosts are no longer followed"));
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

#[cfg(test)]
mod tests {
    use super::*;

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
