//! What every command starts from: the options, the process's environment, the clock. The one place that reads
//! the latter two.

#![expect(clippy::disallowed_methods, reason = "the one place that reads the environment and the clock")]

use std::process::ExitCode;

use crate::config::{Environment, Project};
use crate::deploy::Who;
use crate::error::{Kind, Result};
use crate::report::{Event, Outcome, Reporter};

use super::args::Global;

/// A command's surroundings.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) global: Global,
    pub(super) reporter: Reporter,
    pub(super) environment: Environment,
}

impl Context {
    pub(super) fn new(global: Global, reporter: &Reporter) -> Self {
        // A variable that is not UTF-8 cannot be named in deploy.toml.
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { global, reporter: reporter.clone(), environment: environment.collect() }
    }

    /// Reads deploy.toml.
    pub(super) fn project(&self) -> Result<Project> {
        if let Some(key) = self.environment.get("ESTIBA_SSH_KEY") {
            self.reporter.hide(std::slice::from_ref(key));
        }
        Project::open(&self.global.config, self.environment.clone())
    }

    /// The clock.
    pub(super) fn now() -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    /// Who runs this, from where, and when.
    pub(super) async fn who(&self, project: &Project) -> Who {
        Who::look(&self.environment, &project.folder, Self::now()).await
    }

    /// Tells the outcome and turns it into an exit code.
    pub(super) fn finish(&self, (outcome, kind): (Outcome, Option<Kind>)) -> ExitCode {
        self.reporter.tell(Event::Outcome(outcome));
        kind.map_or(ExitCode::SUCCESS, ExitCode::from)
    }
}
