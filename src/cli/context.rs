//! What every command starts from: the options, the process's environment, the clock. The one place that reads
//! the latter two.

#![expect(clippy::disallowed_methods, reason = "the one place that reads the environment and the clock")]

use std::io::{IsTerminal as _, Read as _};
use std::process::ExitCode;
use std::time::Duration;

use crate::config::{Project, Resolved, Selection, resolve};
use crate::deploy::{Actor, Ending, Operation, Options};
use crate::error::{Error, Result};
use crate::image::Learning;
use crate::notify::{Collector, Ended, Telemetry, approval};
use crate::report::{Asker, Event, Outcome, Reporter, timings};
use crate::text::{Environment, read_limited};

use super::alerts;
use super::args::Global;

/// How much of an inventory is read from standard input, in bytes: 10,000 hosts have a tenth of it.
const INVENTORY: u64 = 10_000_000;

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
        let environment: Environment = environment.collect();
        for name in ["ESTIBA_SSH_KEY", "ESTIBA_SSH_PASSPHRASE", "ESTIBA_TOKEN"] {
            if let Some(secret) = environment.get(name) {
                reporter.hide(std::slice::from_ref(secret));
            }
        }
        if Collector::of(&environment).is_some_and(|collector| collector.takes_logs()) {
            reporter.keep_events();
        }
        Self { global, reporter: reporter.clone(), environment }
    }

    /// Whom to ask for what only a person knows.
    fn asker(&self) -> Asker {
        let is_set = |name: &str| self.environment.get(name).is_some_and(|value| !matches!(value.as_str(), "" | "false"));
        let is_terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        if is_terminal && !is_set("CI") && !is_set("GITHUB_ACTIONS") { Asker::terminal() } else { Asker::nobody() }
    }

    /// Reads deploy.toml for a look at the target, or for a run on what it has: what only a deploy needs may be missing.
    pub(super) fn project_to_look(&self) -> Result<Project> {
        Ok(Project { to_look: true, ..self.project()? })
    }

    /// What the command line says of the hosts.
    fn selection(&self) -> Result<Selection> {
        let inventory = match self.global.inventory.as_deref() {
            None => None,
            Some(path) if path == "-" => {
                let text = std::io::read_to_string(std::io::stdin().take(INVENTORY));
                let text =
                    text.map_err(|error| Error::input(format!("the inventory cannot be read from standard input: {error}")))?;
                Some(("standard input".to_owned(), text))
            }
            Some(path) => Some((path.to_string(), read_limited(path)?)),
        };
        Ok(Selection { inventory, labels: self.global.label.clone() })
    }

    /// Reads deploy.toml.
    pub(super) fn project(&self) -> Result<Project> {
        let project = Project::open(&self.global.config, self.environment.clone())?;
        self.reporter.hide(&project.secrets());
        Ok(Project { asker: self.asker(), selection: self.selection()?, ..project })
    }

    /// Resolves deploy.toml for that target, or for its one host that `--host` names.
    pub(super) fn resolve(&self, project: &Project, target: Option<&str>) -> Result<Resolved> {
        let mut resolved = resolve(project, target)?;
        self.reporter.hide(&resolved.alerts.secrets);
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

    /// What was asked for, by whoever runs this, as from now.
    pub(super) async fn operation<'a>(&'a self, project: &'a Project, resolved: &'a Resolved, options: Options) -> Operation<'a> {
        let mut actor = Actor::look(&self.environment, &project.folder, Self::now()).await;
        if let Some(name) = &resolved.target.require.approved_for {
            actor.approved_by = approval(&self.environment, name).await.map_err(|error| error.text());
            if let Ok(Some(who)) = &actor.approved_by {
                self.reporter.note(format!("{who} approved this run for the environment {name}"));
            }
        }
        let mut operation = Operation::new(project, resolved, options, actor, &self.reporter);
        operation.learning = Learning::on_a_machine_that_lasts(!self.is_thrown_away());
        operation
    }

    /// Is this machine one that GitHub or GitLab makes for one job?
    fn is_thrown_away(&self) -> bool {
        let says = |name: &str, value: &str| self.environment.get(name).is_some_and(|found| found == value);
        says("RUNNER_ENVIRONMENT", "github-hosted") || says("CI_DISPOSABLE_ENVIRONMENT", "true")
    }

    /// Tells people elsewhere what became of it: alerts, as far as they are this machine's to send, and a trace of that name.
    pub(super) async fn told(&self, what: &str, operation: &Operation<'_>, ended: Result<Ending>) -> Result<Ending> {
        match ended {
            Ok(ending) => {
                let trace = self.trace(what, operation, &ending.0, ending.1.is_none(), None);
                let (told, ()) = tokio::join!(alerts::of_ending(operation, ending.clone()), trace);
                Ok(told)
            }
            Err(error) => {
                let outcome = Outcome::of_error(&operation.resolved.target.name, &error);
                let outcome = Outcome { duration_ms: operation.so_far(), ..outcome };
                let alerts = async {
                    if !operation.has_begun() {
                        alerts::of_error(operation, &outcome, error.kind).await;
                    }
                };
                tokio::join!(alerts, self.trace(what, operation, &outcome, false, Some(&error)));
                Err(error)
            }
        }
    }

    /// Sends a run as a trace, and what it told as logs, with an error that is told after it, where the environment names a collector.
    async fn trace(&self, what: &str, operation: &Operation<'_>, outcome: &Outcome, is_good: bool, untold: Option<&Error>) {
        let Some(collector) = Collector::of(&self.environment) else { return };
        let (now, project) = (Self::now(), &operation.resolved.project);
        let ended = Ended { what, outcome, is_good, project, began: now - Duration::from_millis(operation.so_far()) };
        let mut events = self.reporter.kept_events();
        events.extend(untold.map(|error| (Duration::ZERO, serde_json::json!({"event": "error", "message": error.text()}))));
        let telemetry = Telemetry::of(&collector, &ended, &events, now);
        if let Err(error) = telemetry.shown(|request| self.reporter.shown_document(request)).send(&collector).await {
            self.reporter.tell(Event::Warning(error.text()));
        }
    }

    /// Tells an error that came before the server began, and with `--json` the outcome that it comes to.
    pub(super) fn refused(&self, error: Error, target: Option<&str>) -> ExitCode {
        let kind = error.kind;
        let outcome = Outcome::of_error(target.unwrap_or_default(), &error);
        self.reporter.tell(Event::Error(error));
        if self.global.json {
            self.reporter.tell(Event::Document(serde_json::to_value(outcome).unwrap_or_default()));
        }
        kind.into()
    }

    /// Tells the outcome and turns it into an exit code; with where the time went, if that was asked for.
    pub(super) fn finish_with_timings(&self, ending: Ending, wanted: bool) -> ExitCode {
        let chart = (wanted && !self.global.json).then(|| timings(&ending.0));
        let code = self.finish(ending);
        if let Some(chart) = chart {
            self.reporter.tell(Event::Text(chart));
        }
        code
    }

    /// Tells the outcome and turns it into an exit code.
    pub(super) fn finish(&self, (outcome, kind): Ending) -> ExitCode {
        self.reporter.tell(Event::Outcome(Box::new(outcome)));
        kind.map_or(ExitCode::SUCCESS, ExitCode::from)
    }
}
