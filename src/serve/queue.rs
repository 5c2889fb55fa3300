//! What is to be deployed: at most one push that is worked on and one that waits, the newest. On the disk before anybody hears of it.

use std::collections::VecDeque;
use std::sync::Mutex;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::error::{Error, Result};

use super::push::Push;

/// So many deliveries are known again.
const REMEMBERED: usize = 10_000;

#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    running: Option<Push>,
    waiting: Option<Push>,
    seen: VecDeque<String>,
}

/// The queue of one service.
#[derive(Debug)]
pub(super) struct Queue {
    path: Utf8PathBuf,
    state: Mutex<State>,
    changed: Notify,
    closed: std::sync::atomic::AtomicBool,
}

/// What became of a push that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It waits, in place of that one, if there was one.
    Waits(Option<Push>),
    /// That delivery came before.
    Again,
}

impl Queue {
    /// Opens the queue in that folder. What was worked on when the service ended waits again, unless something newer does.
    pub(super) fn open(folder: &Utf8Path) -> Result<Self> {
        let wrong = |what: &str, error: &dyn std::fmt::Display| Error::failed(format!("{what} the queue in {folder}: {error}"));
        std::fs::create_dir_all(folder).map_err(|error| wrong("cannot make", &error))?;
        let path = folder.join("queue.json");
        let mut state: State = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                wrong("cannot read", &error)
                    .hint(format!("move {path} away: what waited in it is pushed again, or deployed by hand"))
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(wrong("cannot read", &error)),
        };
        let before = state.running.take();
        state.waiting = state.waiting.or(before);
        let queue = Self { path, state: Mutex::new(state), changed: Notify::new(), closed: false.into() };
        queue.changed.notify_one();
        Ok(queue)
    }

    /// Writes the state down, so that it is there after a power cut.
    fn keep(&self, state: &State) -> std::io::Result<()> {
        use std::io::Write as _;
        let new = self.path.with_extension("new");
        let mut file = std::fs::File::create(&new)?;
        file.write_all(&serde_json::to_vec(state)?)?;
        file.sync_all()?;
        std::fs::rename(&new, &self.path)?;
        self.path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        work(&mut state)
    }

    /// Takes a push. Not taken where it cannot be written down.
    pub(super) fn take(&self, push: Push) -> std::io::Result<Taken> {
        let taken = self.with(|state| {
            if state.seen.contains(&push.delivery) {
                return Ok(Taken::Again);
            }
            state.seen.push_back(push.delivery.clone());
            let before = state.waiting.replace(push);
            let forgotten = (state.seen.len() > REMEMBERED).then(|| state.seen.pop_front()).flatten();
            match self.keep(state) {
                Ok(()) => Ok(Taken::Waits(before)),
                Err(error) => {
                    state.waiting = before;
                    state.seen.pop_back();
                    forgotten.into_iter().for_each(|first| state.seen.push_front(first));
                    Err(error)
                }
            }
        });
        self.changed.notify_one();
        taken
    }

    /// The next push to work on; `None` when the service stops.
    pub(super) async fn next(&self) -> Option<Push> {
        loop {
            if self.is_closed() {
                return None;
            }
            let next = self.with(|state| {
                state.running = state.waiting.take();
                state.running.clone().inspect(|_| {
                    // What cannot be written down is worked on all the same: it waits on the disk.
                    let _ = self.keep(state);
                })
            });
            match next {
                Some(push) => return Some(push),
                None => self.changed.notified().await,
            }
        }
    }

    /// What was worked on has ended.
    pub(super) fn ended(&self) {
        self.with(|state| {
            state.running = None;
            let _ = self.keep(state);
        });
    }

    /// Nothing more is worked on.
    pub(super) fn close(&self) {
        self.closed.store(true, std::sync::atomic::Ordering::SeqCst);
        self.changed.notify_one();
    }

    /// Does the service stop?
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// Is something worked on, and does something wait?
    pub(super) fn lengths(&self) -> (bool, bool) {
        self.with(|state| (state.running.is_some(), state.waiting.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(delivery: &str) -> Push {
        Push {
            delivery: delivery.into(),
            repository: "a/b".into(),
            commit: delivery.repeat(40),
            by: "me".into(),
            is_gitlab: false,
        }
    }

    #[tokio::test]
    async fn the_newest_waits_and_outlives_the_process() {
        let (_kept, folder) = crate::private::folder().unwrap();
        let queue = Queue::open(&folder).unwrap();
        assert_eq!(queue.take(push("1")).unwrap(), Taken::Waits(None));
        assert_eq!(queue.next().await.unwrap().delivery, "1");
        assert_eq!(queue.take(push("2")).unwrap(), Taken::Waits(None));
        assert_eq!(queue.take(push("3")).unwrap(), Taken::Waits(Some(push("2"))));
        assert_eq!(queue.take(push("2")).unwrap(), Taken::Again);
        drop(queue);
        // What was worked on is older than what waits.
        let queue = Queue::open(&folder).unwrap();
        assert_eq!(queue.next().await.unwrap().delivery, "3");
        drop(queue);
        let queue = Queue::open(&folder).unwrap();
        assert_eq!(queue.take(push("1")).unwrap(), Taken::Again, "known after a start too");
        assert_eq!(queue.next().await.unwrap().delivery, "3", "it had not ended");
        queue.ended();
        assert_eq!(queue.lengths(), (false, false));
        queue.close();
        assert_eq!(queue.next().await, None);
        std::fs::write(folder.join("queue.json"), "{").unwrap();
        assert!(Queue::open(&folder).unwrap_err().to_string().contains("move"));
    }
}
