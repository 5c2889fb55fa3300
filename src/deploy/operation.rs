//! What was asked for: the one thing that every stage is handed.

use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use crate::config::{Project, Resolved};
use crate::image::Learning;
use crate::plan::Plan;
use crate::report::{Outcome, Reporter};

use super::actor::Actor;
use super::conclude::Ending;

/// A run that somebody asked for: of which project, on which target, and who hears of it.
#[derive(Debug)]
pub struct Operation<'a> {
    /// The project.
    pub project: &'a Project,
    /// Its configuration for the target.
    pub resolved: &'a Resolved,
    /// How it is to be done.
    pub options: Options,
    /// Who asked for it, from where, and when.
    pub actor: Actor,
    /// Who hears of what happens.
    pub reporter: &'a Reporter,
    /// What the local Engine goes on packing while the servers are at work.
    pub learning: Learning,
    /// Set once the servers have been told to begin: from then on they tell people by themselves.
    begun: OnceLock<()>,
    /// Hosts of a fleet that could not be reached, where some may fail, and why.
    lost: Mutex<Vec<(String, String)>>,
    started: Instant,
}

/// What the user may ask of a run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Services of the stack whose containers may be replaced.
    pub allow_replace: Vec<String>,
    /// How long to wait for another deploy to end, in seconds; `None`: not at all.
    pub wait_lock: Option<u64>,
    /// Deploy even when nothing changed.
    pub force: bool,
    /// Do exactly this, or nothing.
    pub plan: Option<Plan>,
    /// Why it is deployed although what the target requires may not hold.
    pub override_reason: Option<String>,
    /// The target on which the release has proven itself, where it comes from one.
    pub promoted_from: Option<String>,
    /// Leave as soon as the release is committed: the server stops the one before by itself.
    pub leave_at_commit: bool,
    /// After a signal: how long the undo is followed before the client goes and leaves it to the server; `None`: to its
    /// end. A workflow that is cancelled is killed ten seconds later.
    pub patience: Option<Duration>,
}

impl<'a> Operation<'a> {
    /// An operation that begins now.
    pub fn new(project: &'a Project, resolved: &'a Resolved, options: Options, actor: Actor, reporter: &'a Reporter) -> Self {
        Self {
            project,
            resolved,
            options,
            actor,
            reporter,
            learning: Learning::default(),
            begun: OnceLock::new(),
            lost: Mutex::default(),
            started: Instant::now(),
        }
    }

    /// Milliseconds since it began.
    pub fn so_far(&self) -> u64 {
        milliseconds(self.started)
    }

    /// Have the servers been told to begin?
    pub fn has_begun(&self) -> bool {
        self.begun.get().is_some()
    }

    /// The run goes on without that host.
    pub(super) fn lose(&self, host: String, why: String) {
        if let Ok(mut lost) = self.lost.lock() {
            lost.push((host, why));
        }
    }

    /// The hosts that it goes on without.
    pub(super) fn lost(&self) -> Vec<(String, String)> {
        self.lost.lock().map(|lost| lost.clone()).unwrap_or_default()
    }

    pub(super) fn begin(&self) {
        self.begun.get_or_init(|| ());
    }

    /// The outcome before anything is known of it: failed, with nothing done. `release` is the one that it is about.
    pub(super) fn blank(&self, release: Option<&str>) -> Outcome {
        let target = &self.resolved.target;
        Outcome { release: release.map(str::to_owned), url: target.url.clone(), ..Outcome::failed(&target.name) }
    }

    /// The same ending with how long all of it took.
    pub(super) fn ended(&self, (outcome, kind): Ending) -> Ending {
        (Outcome { duration_ms: milliseconds(self.started), ..outcome }, kind)
    }
}

/// Milliseconds since then.
pub(super) fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
