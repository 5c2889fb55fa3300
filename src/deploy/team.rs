//! The team's steps that run on this machine: the run on the server waits for each.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::config::{StepPlace, TeamStep};
use crate::process::{self, Said};
use crate::report::{Event, Reporter};
use crate::server::Server;
use crate::ssh::Connection;
use crate::text::command_words;

use super::connect::Session;

/// A step of this machine's that the run has come to, or whose undo it has come to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Call {
    pub(super) step: String,
    pub(super) is_undo: bool,
}

/// The names of a target's steps that run here.
pub(super) fn steps_here(session: &Session<'_>) -> Vec<String> {
    let here = session.resolved.proof.team_steps.iter().filter(|step| step.on == StepPlace::Client);
    here.map(|step| step.name.clone()).collect()
}

/// Runs each step when the run comes to it, once, and gives the server the word on it. Never ends.
pub(super) async fn attend(
    session: &Session<'_>,
    run: &str,
    release: &str,
    nonce: &str,
    mut calls: watch::Receiver<Vec<Call>>,
    reporter: Reporter,
) {
    let mut done = 0;
    loop {
        let next = calls.borrow_and_update().get(done).cloned();
        let Some(call) = next else {
            if calls.changed().await.is_err() {
                return std::future::pending().await;
            }
            continue;
        };
        done += 1;
        let Some(step) = session.resolved.proof.team_steps.iter().find(|step| step.name == call.step) else { continue };
        let answer = match perform(session, release, step, call.is_undo, &reporter).await {
            Ok(()) => "yes",
            Err(why) => {
                reporter.tell(Event::Output { step: step.name.clone(), line: why });
                "no"
            }
        };
        let word = format!("{answer}\n{nonce}\n");
        while !tell(session, run, &call, &word).await {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Runs the step's command, or that of its undo, in the project's folder.
async fn perform(session: &Session<'_>, release: &str, step: &TeamStep, undo: bool, reporter: &Reporter) -> Result<(), String> {
    let command = if undo { &step.undo } else { &step.run };
    let words = command_words(command).unwrap_or_default();
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let folder = &session.project.folder;
    // A program of the project's own is named from deploy.toml's folder.
    let program = if program.contains('/') && !program.starts_with('/') {
        folder.canonicalize_utf8().map_err(|error| error.to_string())?.join(program).into_string()
    } else {
        program.clone()
    };
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let environment = [
        ("ESTIBA_TARGET", session.resolved.target.name.clone()),
        ("ESTIBA_HOST", session.host()),
        ("ESTIBA_RELEASE", release.to_owned()),
    ];
    let environment: Vec<(String, String)> = environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let see = |said: Said| reporter.tell(Event::Output { step: step.name.clone(), line: said.into_text() });
    let running = process::stream_in(Some(folder), &program, &arguments, &environment, see);
    match timeout(Duration::from_secs(step.timeout.0), running).await {
        Err(_) => Err(format!("`{command}` did not end within {} and was stopped", step.timeout)),
        Ok(Err(error)) => Err(error.text()),
        Ok(Ok((true, _))) => Ok(()),
        Ok(Ok((false, status))) => Err(format!("`{command}` ended with {status}")),
    }
}

/// Gives the word, over the connection that is there or a new one.
async fn tell(session: &Session<'_>, run: &str, call: &Call, word: &str) -> bool {
    let verb = if call.is_undo { "undo" } else { "do" };
    if let Ok(Ok(())) = timeout(Duration::from_secs(5), session.server().word(run, &call.step, verb, word)).await {
        return true;
    }
    let Ok(connection) = Connection::open(&session.settings).await else { return false };
    let root = &session.resolved.target.root.value;
    Server::new(&connection, root).word(run, &call.step, verb, word).await.is_ok()
}
