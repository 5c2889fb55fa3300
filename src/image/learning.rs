//! What the local Engine still packs for the deploys that come, while this one goes on.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use super::push::Pushing;

/// Pushes whose layers this deploy did not wait for. The Engine remembers what it has pushed once: the next deploy gets only what
/// changed, at once.
#[derive(Debug)]
pub struct Learning {
    /// Is there a next deploy from this machine? Nothing is learned on one that is thrown away.
    lasts: bool,
    open: Mutex<Vec<Pushing>>,
}

impl Default for Learning {
    fn default() -> Self {
        Self::on_a_machine_that_lasts(true)
    }
}

impl Learning {
    /// Nothing yet. On a machine that does not last it stays so.
    pub fn on_a_machine_that_lasts(lasts: bool) -> Self {
        Self { lasts, open: Mutex::default() }
    }

    /// Is there anybody to learn for?
    pub(super) const fn lasts(&self) -> bool {
        self.lasts
    }

    /// Lets a push go on that nobody waits for any more.
    pub(super) fn keep(&self, pushing: Pushing) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(pushing);
    }

    /// Waits until all of it has ended, so long at most or until `enough`, and ends the rest.
    pub async fn end(&self, patience: Duration, enough: impl Future<Output = ()>) {
        let mut open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async {
            for pushing in &mut open {
                pushing.ended().await;
            }
        };
        tokio::select! {
            _ = timeout(patience, all) => {}
            () = enough => {}
        }
        for pushing in open {
            pushing.stop().await;
        }
    }
}
