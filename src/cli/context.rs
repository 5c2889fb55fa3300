//! What every command starts from: the options, the process's environment, the clock. The one place that reads
//! the latter two.

#![expect(clippy::disallowed_methods, reason = "the one place that reads the environment and the clock")]

use std::process::ExitCode;
use std::time::Duration;

use crate::config::{Environment, Project, Resolved, resolve};
use crate::deploy::{Options, Who};
use crate::error::{Error, Kind, Result};
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

    /// Reads deploy.toml for a look at the target, or for a run on what it has: what only a deploy needs may be missing.
    pub(super) fn project_to_look(&self) -> Result<Project> {
        Ok(Project { to_look: true, ..self.project()? })
    }

    /// Reads deploy.toml.
    pub(super) fn project(&self) -> Result<Project> {
        for name in ["ESTIBA_SSH_KEY", "ESTIBA_SSH_PASSPHRASE", "ESTIBA_TOKEN"] {
            if let Some(secret) = self.environment.get(name) {
                self.reporter.hide(std::slice::from_ref(secret));
            }
        }
        let project = Project::open(&self.global.config, self.environment.clone())?;
        self.reporter.hide(&project.loaded.config.secrets);
        Ok(project)
    }

    /// Resolves deploy.toml for that target, or for its one host that `--host` names.
    pub(super) fn resolve(&self, project: &Project, target: Option<&str>) -> Result<Resolved> {
        let mut resolved = resolve(project, target)?;
        let Some(wanted) = &self.global.host else { return Ok(resolved) };
        let named = |host: &String| host == wanted || host.split_once('@').is_some_and(|(_, address)| address == wanted);
        match resolved.target.hosts.iter().find(|host| named(host)).cloned() {
            Some(host) => resolved.target.hosts = vec![host],
            None => {
                let target = &resolved.target;
                return Err(Error::input(format!("target `{}` has no host `{wanted}`", target.name))
                    .hint(format!("its hosts: {}", target.hosts.join(", "))));
            }
        }
        Ok(resolved)
    }

    /// What was asked of a deploy, a rollback or a backup: a workflow that is cancelled has seven seconds and a half.
    pub(super) fn options(&self) -> Options {
        let in_workflow = self.environment.get("GITHUB_ACTIONS").is_some_and(|value| value == "true");
        Options { patience: in_workflow.then_some(Duration::from_millis(5500)), ..Options::default() }
    }

    /// The clock.
    pub(super) fn now() -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    /// Who runs this, from where, and when.
    pub(super) async fn who(&self, project: &Project) -> Who {
        Who::look(&self.environment, &project.folder, Self::now()).await
    }

    /// Tells an error that came before the server began, and with `--json` the outcome that it comes to.
    pub(super) fn refused(&self, error: Error, target: Option<&str>) -> ExitCode {
        let kind = error.kind;
        let outcome = Outcome {
            event: "outcome",
            outcome: kind.into(),
            target: target.unwrap_or_default().to_owned(),
            release: None,
            previous: None,
            image: None,
            url: None,
            failed_step: None,
            reason: Some(error.message.clone()),
            duration_ms: 0,
            unfinished: Vec::new(),
            differs: Vec::new(),
            steps: Vec::new(),
        };
        self.reporter.tell(Event::Error(error));
        if self.global.json {
            self.reporter.tell(Event::Document(serde_json::to_value(outcome).unwrap_or_default()));
        }
        kind.into()
    }

    /// Tells the outcome and turns it into an exit code.
    pub(super) fn finish(&self, (outcome, kind): (Outcome, Option<Kind>)) -> ExitCode {
        self.reporter.tell(Event::Outcome(outcome));
        kind.map_or(ExitCode::SUCCESS, ExitCode::from)
    }
}
