//! What goes between this machine and one server, over all connections to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts that all connections to a server share.
#[derive(Debug, Clone, Default)]
pub struct Traffic(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    commands: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Traffic {
    pub(super) fn command(&self) {
        self.0.commands.fetch_add(1, Ordering::Relaxed);
    }

    /// So many bytes went out.
    pub(crate) fn sent(&self, bytes: u64) {
        self.0.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn received(&self, bytes: u64) {
        self.0.received.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Commands that were run, bytes that went to them, and bytes that they answered.
    pub fn so_far(&self) -> (u64, u64, u64) {
        let Counts { commands, sent, received } = &*self.0;
        (commands.load(Ordering::Relaxed), sent.load(Ordering::Relaxed), received.load(Ordering::Relaxed))
    }
}
