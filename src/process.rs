//! Programs on this machine. The one room that spawns them, `ssh` excepted.

#![expect(clippy::disallowed_methods, reason = "the room that starts programs")]

use std::process::Stdio;

use camino::Utf8Path;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc;

use crate::error::{Error, Result};

/// What a program printed, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Did it exit with 0?
    pub success: bool,
    /// Its exit status in words.
    pub status: String,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Runs a program to its end, without input.
///
/// Fails only when the program cannot be started.
pub async fn run(program: &str, arguments: &[&str], folder: Option<&Utf8Path>) -> Result<Ended> {
    let mut command = quiet(program);
    command.args(arguments);
    if let Some(folder) = folder.filter(|folder| !folder.as_str().is_empty()) {
        command.current_dir(folder);
    }
    let output = command.output().await.map_err(|error| cannot_start(program, &error))?;
    Ok(Ended {
        success: output.status.success(),
        status: output.status.to_string(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs a program and hands on each line that it prints, on either stream, as it comes. `environment` is
/// added to what it inherits. Says whether it succeeded, and its status in words.
pub async fn stream(
    program: &str,
    arguments: &[&str],
    environment: &[(String, String)],
    mut see: impl FnMut(String),
) -> Result<(bool, String)> {
    let mut child = quiet(program)
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| cannot_start(program, &error))?;
    let (sender, mut lines) = mpsc::channel(64);
    if let Some(out) = child.stdout.take() {
        tokio::spawn(lines_of(out, sender.clone()));
    }
    if let Some(err) = child.stderr.take() {
        tokio::spawn(lines_of(err, sender));
    }
    while let Some(line) = lines.recv().await {
        see(line);
    }
    let status = child.wait().await.map_err(|error| Error::failed(format!("{program}: {error}")))?;
    Ok((status.success(), status.to_string()))
}

/// What a program may know of this process's environment, by the beginnings of the names. Everything else may be a
/// secret: the SSH key, or what the env file is filled with.
const INHERITED: [&str; 22] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "TMPDIR",
    "TZ",
    "LANG",
    "LC_",
    "XDG_",
    "DOCKER_",
    "BUILDKIT_",
    "BUILDX_",
    "GIT_",
    "SSL_CERT_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ACTIONS_CACHE",
    "ACTIONS_RESULTS",
    "ACTIONS_RUNTIME",
];

/// Does this process have that variable, and would a program that it starts?
pub fn has_variable(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// A program without input that goes when nobody waits for it any more.
fn quiet(program: &str) -> Command {
    let inherited = std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy().to_ascii_uppercase();
        INHERITED
            .iter()
            .any(|known| name == *known || (known.ends_with('_') || known.starts_with("ACTIONS")) && name.starts_with(known))
    });
    let mut command = Command::new(program);
    command.env_clear().envs(inherited).stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn lines_of(stream: impl tokio::io::AsyncRead + Unpin, sender: mpsc::Sender<String>) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).await.is_ok_and(|count| count > 0) {
        let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
        if sender.send(text).await.is_err() {
            return;
        }
        line.clear();
    }
}

fn cannot_start(program: &str, error: &std::io::Error) -> Error {
    let failed = Error::failed(format!("`{program}` cannot be started: {error}"));
    match error.kind() {
        std::io::ErrorKind::NotFound => failed.hint(format!("is {program} installed on this machine?")),
        _ => failed,
    }
}
