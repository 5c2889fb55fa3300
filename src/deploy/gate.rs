//! The hosts of a fleet wait for each other: before a wave begins, and before the release is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::{OnceCell, watch};

use crate::config::{Fleet, FleetMode};

/// Where the hosts of a fleet wait for each other.
#[derive(Debug)]
pub(super) struct Gate {
    /// The wave of each host.
    waves: BTreeMap<String, usize>,
    mode: FleetMode,
    max_failures: usize,
    pause: Duration,
    state: watch::Sender<State>,
    word: OnceCell<Result<(), String>>,
    /// The rest before each wave, taken once.
    pauses: Vec<OnceCell<()>>,
}

#[derive(Debug, Default)]
struct State {
    arrived: BTreeSet<String>,
    ended: BTreeSet<String>,
    /// Hosts that failed, and the first reason.
    failed: BTreeSet<String>,
    why: Option<String>,
    done: BTreeMap<(usize, String), (usize, u64)>,
}

impl Gate {
    /// The gate of these hosts, in waves as the fleet says.
    pub(super) fn new(hosts: &[String], fleet: &Fleet) -> Self {
        let sizes = fleet.sizes(hosts.len());
        let waves = sizes.iter().enumerate().flat_map(|(wave, size)| std::iter::repeat_n(wave, *size));
        Self {
            waves: hosts.iter().cloned().zip(waves).collect(),
            mode: fleet.mode.value,
            max_failures: fleet.max_failures.value as usize,
            pause: Duration::from_secs(fleet.pause.value.0),
            state: watch::Sender::new(State::default()),
            word: OnceCell::new(),
            pauses: sizes.iter().map(|_| OnceCell::new()).collect(),
        }
    }

    fn wave_of(&self, host: &str) -> usize {
        self.waves.get(host).copied().unwrap_or(0)
    }

    /// Waits until the wave of this host may begin; how many there are, where it is the first of its wave to be told. `Err`: it never
    /// will, and why.
    pub(super) async fn begins(&self, host: &str) -> Result<Option<(usize, usize)>, String> {
        let wave = self.wave_of(host);
        let earlier: Vec<&String> = self.waves.iter().filter(|(_, other)| **other < wave).map(|(host, _)| host).collect();
        let through = |state: &State| {
            earlier.iter().all(|host| {
                let waits = self.mode == FleetMode::Together && state.arrived.contains(*host);
                waits || state.ended.contains(*host) || state.failed.contains(*host)
            })
        };
        self.until(through).await?;
        let mut first = false;
        self.pauses[wave]
            .get_or_init(|| async {
                first = true;
                if wave > 0 && !self.pause.is_zero() {
                    tokio::select! {
                        () = tokio::time::sleep(self.pause) => {}
                        // A host that fails meanwhile ends the wait.
                        _ = self.until(|_| false) => {}
                    }
                }
            })
            .await;
        self.until(|_| true).await?;
        Ok((first && self.pauses.len() > 1).then_some((wave + 1, self.pauses.len())))
    }

    /// Waits until that is so. `Err`: too many hosts have failed, and why the first did.
    async fn until(&self, is_so: impl Fn(&State) -> bool) -> Result<(), String> {
        let mut state = self.state.subscribe();
        let stopped = |state: &State| state.failed.len() > self.max_failures;
        let Ok(state) = state.wait_for(|state| stopped(state) || is_so(state)).await else {
            return Err(String::from("the other hosts are no longer followed"));
        };
        if stopped(&state) { Err(state.why.clone().unwrap_or_default()) } else { Ok(()) }
    }

    /// Have too many hosts failed?
    pub(super) fn is_stopped(&self) -> bool {
        self.state.borrow().failed.len() > self.max_failures
    }

    /// This host waits for the word. A second time is none.
    pub(super) fn arrive(&self, host: &str) {
        self.state.send_if_modified(|state| state.arrived.insert(host.to_owned()));
    }

    /// This host's run is over, and it keeps the release.
    pub(super) fn end(&self, host: &str) {
        self.state.send_if_modified(|state| state.ended.insert(host.to_owned()));
    }

    /// A host will never come. The first reason is the one that is told.
    pub(super) fn fail(&self, host: &str, why: &str) {
        self.state.send_if_modified(|state| {
            state.why.get_or_insert_with(|| why.to_owned());
            state.failed.insert(host.to_owned())
        });
    }

    /// The word for a host, good or bad. Of hosts that are one it is the word for all, when all that have not failed have arrived and
    /// the look from outside is good: found once, so that no host gets another one. Else it is what is seen.
    pub(super) async fn word(&self, look: impl Future<Output = Result<(), String>>) -> Result<(), String> {
        if self.mode == FleetMode::Each {
            return look.await;
        }
        let find = || async {
            let all = |state: &State| self.waves.keys().all(|host| state.arrived.contains(host) || state.failed.contains(host));
            self.until(all).await.map_err(|why| format!("another host of the fleet failed: {why}"))?;
            look.await
        };
        self.word.get_or_init(find).await.clone()
    }

    /// A host has done a step; when it was the last of its wave, the longest time that one took.
    pub(super) fn done(&self, host: &str, step: &str, took: u64) -> Option<u64> {
        let wave = self.wave_of(host);
        let hosts = self.waves.values().filter(|other| **other == wave).count();
        let mut longest = None;
        self.state.send_if_modified(|state| {
            let (count, most) = state.done.entry((wave, step.to_owned())).or_default();
            *count += 1;
            *most = took.max(*most);
            longest = (*count == hosts).then_some(*most);
            false
        });
        longest
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::config::{Origin, Seconds, Setting, WaveSize};

    fn gate(hosts: &[&str], mode: FleetMode, waves: &[u32], max_failures: u32) -> Gate {
        let fleet = Fleet {
            mode: Setting { value: mode, origin: Origin::Default },
            waves: waves.iter().copied().map(WaveSize::Hosts).collect(),
            pause: Setting { value: Seconds(0), origin: Origin::Default },
            max_failures: Setting { value: max_failures, origin: Origin::Default },
        };
        Gate::new(&hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>(), &fleet)
    }

    async fn waits<T>(future: impl Future<Output = T>) -> bool {
        timeout(Duration::from_millis(20), future).await.is_err()
    }

    #[tokio::test]
    async fn the_gate_opens_for_all_or_for_none() {
        let one = gate(&["a", "b"], FleetMode::Together, &[], 0);
        one.arrive("a");
        one.arrive("a");
        assert!(waits(one.word(async { Ok(()) })).await);
        one.arrive("b");
        // One look is for all, and what fails after it changes nobody's word.
        assert_eq!(one.word(async { Ok(()) }).await, Ok(()));
        one.fail("a", "late");
        assert_eq!(one.word(async { Err("another look".into()) }).await, Ok(()));

        let one = gate(&["a", "b"], FleetMode::Together, &[], 0);
        one.fail("a", "first");
        one.fail("b", "second");
        let told = Err("another host of the fleet failed: first".to_owned());
        assert_eq!(one.word(async { Ok(()) }).await, told);
        assert_eq!((one.done("a", "check", 3), one.done("b", "check", 2)), (None, Some(3)));
    }

    #[tokio::test]
    async fn a_wave_begins_when_those_before_it_have_come_as_far_as_they_can() {
        let together = gate(&["a", "b", "c"], FleetMode::Together, &[1], 0);
        assert_eq!(together.begins("a").await, Ok(Some((1, 3))));
        assert!(waits(together.begins("b")).await);
        together.arrive("a");
        assert_eq!(together.begins("b").await, Ok(Some((2, 3))));
        // A rollback waits for nobody's word: its hosts end without having arrived.
        let back = gate(&["a", "b"], FleetMode::Together, &[1], 0);
        back.end("a");
        assert_eq!(back.begins("b").await, Ok(Some((2, 2))));
        assert!(waits(together.begins("c")).await && waits(together.word(async { Ok(()) })).await);
        together.fail("b", "sick");
        assert_eq!(together.begins("c").await, Err("sick".into()));
        assert!(together.word(async { Ok(()) }).await.is_err(), "those that wait go back");

        let each = gate(&["a", "b", "c"], FleetMode::Each, &[1, 2], 0);
        assert_eq!(each.word(async { Ok(()) }).await, Ok(()), "nobody waits for another one");
        each.arrive("a");
        assert!(waits(each.begins("b")).await);
        each.end("a");
        assert_eq!((each.begins("b").await, each.begins("c").await), (Ok(Some((2, 2))), Ok(None)));
        assert_eq!((each.done("a", "check", 3), each.done("b", "check", 2)), (Some(3), None));
    }

    #[tokio::test]
    async fn some_may_fail_where_that_is_allowed() {
        let one = gate(&["a", "b", "c"], FleetMode::Together, &[], 1);
        one.fail("a", "away");
        one.arrive("b");
        assert!(waits(one.word(async { Ok(()) })).await);
        one.arrive("c");
        assert_eq!(one.word(async { Ok(()) }).await, Ok(()));
        let one = gate(&["a", "b", "c"], FleetMode::Each, &[1], 1);
        one.fail("a", "away");
        assert_eq!(one.begins("b").await, Ok(Some((2, 3))));
        one.fail("b", "away too");
        assert_eq!(one.begins("c").await, Err("away".into()));
    }
}
