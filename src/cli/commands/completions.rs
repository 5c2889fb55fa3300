//! `completions`

use std::process::ExitCode;

use clap::CommandFactory;

use crate::report::Event;

use super::super::Cli;
use super::super::context::Context;

pub(in crate::cli) fn run(context: &Context, shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "estiba", &mut script);
    context.reporter.tell(Event::Text(String::from_utf8_lossy(&script).into_owned()));
    ExitCode::SUCCESS
}
