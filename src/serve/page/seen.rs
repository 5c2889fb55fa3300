//! What was seen, and when.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::Value;

/// One look at the figures of all hosts together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    pub(super) at: Timestamp,
    /// Requests a second.
    pub(super) requests: f64,
    /// The share of errors, in percent.
    pub(super) errors: f64,
    /// The longest p95 of a slot that serves, in milliseconds.
    pub(super) p95: f64,
    /// The busiest host's processors, in percent.
    pub(super) cpu: f64,
    /// The fullest host's memory, in percent.
    pub(super) memory: f64,
}

/// What was seen last.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// What runs, an object a host.
    pub(super) status: Vec<Value>,
    /// The runs, the newest first.
    pub(super) history: Vec<Value>,
    pub(super) samples: VecDeque<Sample>,
    /// Why the last look failed.
    pub(super) wrong: Option<String>,
    pub(super) at: Option<Timestamp>,
}

/// The page of one service.
#[derive(Debug)]
pub(in crate::serve) struct Page {
    pub(super) token: String,
    pub(super) now: fn() -> Timestamp,
    pub(super) seen: Mutex<Seen>,
    /// Is what it looks from older than the last deploy?
    stale: AtomicBool,
}

impl Page {
    /// A page behind that token, before anything is seen.
    pub(in crate::serve) fn new(token: String, now: fn() -> Timestamp) -> Self {
        Self { token, now, seen: Mutex::default(), stale: AtomicBool::new(true) }
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    /// What it looks from is older than the last deploy, or is not.
    pub(in crate::serve) fn set_stale(&self, is_stale: bool) {
        self.stale.store(is_stale, Ordering::Relaxed);
    }
}
