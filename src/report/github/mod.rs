//! GitHub Actions: a log with groups and annotations that nothing the server prints can command, masks for every secret,
//! outputs and a summary of the run.

mod command;
mod files;
mod log;
mod summary;

pub(super) use files::Files;
pub(super) use log::Log;

use camino::Utf8PathBuf;

/// Where a workflow reads what a step tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workflow {
    /// `GITHUB_OUTPUT`.
    pub output: Option<Utf8PathBuf>,
    /// `GITHUB_STEP_SUMMARY`.
    pub summary: Option<Utf8PathBuf>,
}
