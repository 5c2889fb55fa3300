//! What the user may ask of a deploy.

use std::time::Duration;

use crate::plan::Plan;

/// Options of `deploy` and `rollback`.
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
    /// After a signal: how long the undo is followed before the client goes and leaves it to the server; `None`: to its
    /// end. A workflow that is cancelled is killed ten seconds later.
    pub patience: Option<Duration>,
}
