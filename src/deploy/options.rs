//! What the user may ask of a deploy.

/// Options of `deploy` and `rollback`.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Services of the stack whose containers may be replaced.
    pub allow_replace: Vec<String>,
    /// How long to wait for another deploy to end, in seconds; `None`: not at all.
    pub wait_lock: Option<u64>,
    /// Deploy even when nothing changed.
    pub force: bool,
}
