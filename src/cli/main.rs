//! From the command line to an exit code.

#![expect(clippy::disallowed_methods, reason = "cli reads the environment")]

use std::io::IsTerminal;
use std::process::ExitCode;

use camino::Utf8PathBuf;
use clap::Parser;

use crate::error::{Kind, Result};
use crate::private;
use crate::report::{Choice, Event, Reporter, Workflow};

use super::Cli;
use super::args::{Color, Command};
use super::commands::{
    abort, backup, canary, completions, config, demo, deploy, doctor, eject, exec, history, init, logs, look, metrics, order,
    plan, promote, recover, reference, rollback, serve, setup, status, top,
};
use super::context::Context;

/// Runs the process's command line. The exit codes are those of docs/reference.md.
pub fn main() -> ExitCode {
    private::keep_memory();
    let cli = Cli::parse();
    // The log of a workflow shows colours, and is no terminal.
    let in_workflow = std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true");
    match cli.global.color {
        Color::Auto if in_workflow => anstream::ColorChoice::AlwaysAnsi.write_global(),
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
    let reporter = Reporter::choose(Choice {
        json: cli.global.json,
        terminal: std::io::stderr().is_terminal() && !in_workflow,
        verbose: cli.global.verbose,
        quiet: cli.global.quiet,
        workflow: in_workflow.then(|| Workflow { output: file("GITHUB_OUTPUT"), summary: file("GITHUB_STEP_SUMMARY") }),
    });
    tell_faults(&reporter);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            reporter.tell(Event::Error(crate::error::Error::failed(format!("no runtime: {error}"))));
            return Kind::Failed.into();
        }
    };
    let result = runtime.block_on(run(cli, &reporter));
    // A thread that waits for a lookup or a pipe must not keep the process.
    runtime.shutdown_background();
    let code = match result {
        Ok(code) => code,
        Err(error) => {
            let kind = error.kind;
            reporter.tell(Event::Error(error));
            kind.into()
        }
    };
    reporter.finish();
    code
}

/// A fault of estiba's own is told as everything is: what it says may hold a secret.
fn tell_faults(reporter: &Reporter) {
    let reporter = reporter.clone();
    std::panic::set_hook(Box::new(move |fault| {
        let place = fault.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
        let payload = fault.payload();
        let said = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        reporter.fault(&place, said.unwrap_or("no more is known"));
    }));
}

/// The path that a variable of the workflow names.
fn file(variable: &str) -> Option<Utf8PathBuf> {
    let path = std::env::var_os(variable)?.into_string().ok()?;
    (!path.is_empty()).then(|| Utf8PathBuf::from(path))
}

async fn run(cli: Cli, reporter: &Reporter) -> Result<ExitCode> {
    let context = Context::new(cli.global, reporter);
    match cli.command {
        Command::Init(args) => init::run(&context, args),
        Command::Setup(args) => setup::run(&context, args).await,
        Command::Doctor(args) => doctor::run(&context, args).await,
        Command::Deploy(args) => Ok(deploy::run(&context, args).await),
        Command::Promote(args) => Ok(promote::run(&context, args).await),
        Command::Pause(args) => canary::run(&context, args, canary::Order::Pause).await,
        Command::Resume(args) => canary::run(&context, args, canary::Order::Resume).await,
        Command::PromoteStep(args) => canary::run(&context, args, canary::Order::Next).await,
        Command::Rollback(args) => Ok(rollback::run(&context, args).await),
        Command::Status(args) => status::run(&context, args).await,
        Command::History(args) => history::run(&context, args).await,
        Command::Logs(args) => logs::run(&context, args).await,
        Command::Metrics(args) => metrics::run(&context, args).await,
        Command::Top(args) => top::run(&context, args).await,
        Command::Exec(args) => exec::exec(&context, args).await,
        Command::Run(args) => exec::run(&context, args).await,
        Command::Shell(args) => exec::shell(&context, args).await,
        Command::Ps(args) => look::ps(&context, args).await,
        Command::Open(args) => look::open(&context, args).await,
        Command::Env(command) => look::env(&context, command).await,
        Command::Restart(args) => Ok(order::restart(&context, args).await),
        Command::Scale(args) => Ok(order::scale(&context, args).await),
        Command::Maintenance(args) => Ok(order::maintenance(&context, args).await),
        Command::Down(args) => Ok(order::down(&context, args).await),
        Command::Abort(args) => abort::run(&context, args).await,
        Command::Eject(args) => Ok(eject::run(&context, args).await),
        Command::Recover(args) => recover::run(&context, args).await,
        Command::Backup(command) => Ok(backup::run(&context, command).await),
        Command::Plan(args) => plan::run(&context, args).await,
        Command::Config(command) => config::run(&context, command),
        Command::Demo(args) => demo::run(&context, args).await,
        Command::Serve(args) => serve::run(&context, args).await,
        Command::Reference => Ok(reference::run(&context)),
        Command::Completions { shell } => Ok(completions::run(&context, shell)),
    }
}
