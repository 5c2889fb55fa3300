//! Programs on this machine. The one room that spawns them.

#![expect(clippy::disallowed_methods, reason = "the room that starts programs")]

mod pipes;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc;

use crate::error::{Error, Result};

pub use pipes::{piped, shell};

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
    let mut command = quiet(program)?;
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

/// Runs a program without input to its end, while `read` takes what it prints on its standard output. `stdout` of what comes back is
/// empty.
///
/// Fails only when the program cannot be started.
pub async fn read_by<T: Send + 'static>(
    program: &str,
    arguments: &[&str],
    read: impl FnOnce(File) -> T + Send + 'static,
) -> Result<(Ended, T)> {
    let mut child = quiet(program)?
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| cannot_start(program, &error))?;
    let broken = |error: &dyn std::fmt::Display| Error::failed(format!("reading what {program} prints: {error}"));
    let printed = child.stdout.take().ok_or_else(|| broken(&"it has no output"))?;
    let printed = printed.into_owned_fd().map_err(|error| broken(&error))?;
    let reading = tokio::task::spawn_blocking(move || read(File::from(printed)));
    let output = child.wait_with_output().await.map_err(|error| broken(&error))?;
    let ended = Ended {
        success: output.status.success(),
        status: output.status.to_string(),
        stdout: String::new(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    Ok((ended, reading.await.map_err(|error| broken(&error))?))
}

/// Runs a program with this text on its standard input, to its end; one that fails is an error with its words.
pub async fn feed(program: &str, arguments: &[&str], text: &str) -> Result<()> {
    let mut command = quiet(program)?;
    // What `gh` logs in with.
    let is_its_own =
        |name: &std::ffi::OsString| name.to_str().is_some_and(|name| name.starts_with("GH_") || name == "GITHUB_TOKEN");
    command.envs(std::env::vars_os().filter(|(name, _)| is_its_own(name)));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| cannot_start(program, &error))?;
    if let Some(mut input) = child.stdin.take() {
        // A program that wants none of it says why itself.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut input, text.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(|error| cannot_start(program, &error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::failed(format!("{program} {} failed: {}", arguments.join(" "), said.trim())))
}

/// Runs a program with this environment and nothing else, without input, and waits for its end: at most so long.
///
/// For programs that answer at once. One that takes longer is ended, and that is a failure.
pub fn read(program: &Utf8Path, arguments: &[&str], environment: &[(&str, &str)], patience: Duration) -> Result<Ended> {
    let mut child = std::process::Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| cannot_start(program.as_str(), &error))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        let out = scope.spawn(move || out.map_or_else(Vec::new, bounded));
        let err = scope.spawn(move || err.map_or_else(Vec::new, bounded));
        let began = std::time::Instant::now();
        let mut pause = Duration::from_millis(1);
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if began.elapsed() > patience => {
                    let _ = child.kill();
                    let _ = child.wait();
                    let seconds = patience.as_secs();
                    return Err(Error::failed(format!("{program} did not end within {seconds} s and was stopped")));
                }
                Ok(None) => std::thread::sleep(pause),
                Err(error) => return Err(Error::failed(format!("waiting for {program}: {error}"))),
            }
            pause = (pause * 2).min(Duration::from_millis(10));
        };
        let text = |read: std::thread::Result<Vec<u8>>| String::from_utf8_lossy(&read.unwrap_or_default()).into_owned();
        Ok(Ended { success: status.success(), status: status.to_string(), stdout: text(out.join()), stderr: text(err.join()) })
    })
}

/// More than any program that is asked says.
const MOST_BYTES: u64 = 32 * 1024 * 1024;

fn bounded(stream: impl std::io::Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut stream = stream.take(MOST_BYTES);
    let _ = stream.read_to_end(&mut bytes);
    // The rest is let go, so that the program can end.
    let _ = std::io::copy(&mut stream.into_inner(), &mut std::io::sink());
    bytes
}

/// A repository's own settings start no program in what git is asked here, and it may be somebody else's.
const SAFE_GIT: [&str; 8] = [
    "-c",
    "safe.directory=*",
    "-c",
    "safe.bareRepository=explicit",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
];

/// Git's question for the filters of the repository's own settings, which are programs too.
const FILTERS: [&str; 6] = ["config", "--local", "--includes", "--null", "--get-regexp", "^filter[.]"];

/// What switches them off; those of Git LFS stay, as it writes them itself. Nothing where git would read a name otherwise than it is
/// meant.
fn without_filters(settings: &str) -> Option<Vec<String>> {
    const LFS: [(&str, &str); 4] = [
        ("filter.lfs.clean", "git-lfs clean -- %f"),
        ("filter.lfs.smudge", "git-lfs smudge -- %f"),
        ("filter.lfs.process", "git-lfs filter-process"),
        ("filter.lfs.required", "true"),
    ];
    let settings = settings.split('\0').filter(|setting| !setting.is_empty());
    let settings = settings.map(|setting| setting.split_once('\n').unwrap_or((setting, "")));
    let mut off = Vec::new();
    for (name, _) in settings.filter(|setting| !LFS.contains(setting)) {
        if name.contains('=') {
            return None;
        }
        let value = if name.ends_with(".required") { "false" } else { "" };
        off.extend(["-c".to_owned(), format!("{name}={value}")]);
    }
    Some(off)
}

/// Runs git in that folder.
///
/// Fails only when it cannot be started.
pub async fn ask_git(folder: &Utf8Path, arguments: &[&str]) -> Result<Ended> {
    let filters = run("git", &[&SAFE_GIT[..], &FILTERS].concat(), Some(folder)).await?;
    let off = without_filters(&filters.stdout).ok_or_else(|| {
        Error::input(format!("the repository at {folder} has a filter whose name holds `=`"))
            .hint("take it out of .git/config: its programs could not be kept from running")
    })?;
    let off: Vec<&str> = off.iter().map(String::as_str).collect();
    run("git", &[&SAFE_GIT[..], &off, arguments].concat(), Some(folder)).await
}

/// Runs git in that folder; says whether it succeeded. Where there is no git, nothing succeeds.
pub fn git(folder: &Utf8Path, path: Option<&str>, arguments: &[&str]) -> bool {
    let Some(git) = find("git", path.unwrap_or("/usr/bin")) else { return false };
    let arguments: Vec<&str> = SAFE_GIT.into_iter().chain(["-C", folder.as_str()]).chain(arguments.iter().copied()).collect();
    read(&git, &arguments, &[("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_OPTIONAL_LOCKS", "0")], Duration::from_secs(10))
        .is_ok_and(|ended| ended.success)
}

/// Finds a program in the folders of this PATH that are named from the root on: one that is named from the folder where estiba
/// runs would be a folder of the project, and what lies there is not this machine's.
pub fn find(program: &str, path: &str) -> Option<Utf8PathBuf> {
    absolute(path).map(|folder| Utf8Path::new(folder).join(program)).find(|program| is_program(program))
}

fn absolute(path: &str) -> impl Iterator<Item = &str> {
    path.split(':').filter(|folder| folder.starts_with('/'))
}

/// Is there a file at this path that may be run?
pub fn is_program(path: &Utf8Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0)
}

/// The home folder of the user, where the environment does not tell it.
pub fn home() -> Option<Utf8PathBuf> {
    std::env::home_dir().and_then(|home| Utf8PathBuf::from_path_buf(home).ok())
}

/// A line that a program printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// On its standard output.
    Out(String),
    /// On its standard error.
    Err(String),
}

impl Said {
    /// The line, on whichever stream it came.
    pub fn into_text(self) -> String {
        match self {
            Self::Out(line) | Self::Err(line) => line,
        }
    }
}

/// Runs a program and hands on each line that it prints, on either stream, as it comes. `environment` is
/// added to what it inherits. Says whether it succeeded, and its status in words.
pub async fn stream(
    program: &str,
    arguments: &[&str],
    environment: &[(String, String)],
    mut see: impl FnMut(String),
) -> Result<(bool, String)> {
    stream_in(None, program, arguments, environment, |said| see(said.into_text())).await
}

/// The same in a folder, with the streams told apart.
pub async fn stream_in(
    folder: Option<&Utf8Path>,
    program: &str,
    arguments: &[&str],
    environment: &[(String, String)],
    mut see: impl FnMut(Said),
) -> Result<(bool, String)> {
    let mut command = quiet(program)?;
    if let Some(folder) = folder.filter(|folder| !folder.as_str().is_empty()) {
        command.current_dir(folder);
    }
    let mut child = command
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| cannot_start(program, &error))?;
    let mut lines = lines(&mut child);
    while let Some(line) = lines.recv().await {
        see(line);
    }
    let status = child.wait().await.map_err(|error| Error::failed(format!("{program}: {error}")))?;
    Ok((status.success(), status.to_string()))
}

/// Runs a script of estiba's own that holds on to its standard input: where that ends it stops what it does, and leaves nothing behind.
/// That happens when the script has run for longer than `patience`, when nobody waits for this any more, and when this process dies,
/// however it does. `None` says that it took too long.
pub async fn attended(
    script: &str,
    arguments: &[&str],
    patience: Duration,
    mut see: impl FnMut(String),
) -> Result<Option<(bool, String)>> {
    let all: Vec<&str> = ["sh", "-c", script, "estiba"].into_iter().chain(arguments.iter().copied()).collect();
    // A session of its own: what ends this process's group does not end the script.
    let mut child = quiet("setsid")?
        .arg("--wait")
        .args(all)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(false)
        .spawn()
        .map_err(|error| cannot_start("setsid", &error))?;
    let mut held = child.stdin.take();
    let mut lines = lines(&mut child);
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Some(line) => see(line.into_text()),
                None => break,
            },
            () = tokio::time::sleep_until(deadline), if held.is_some() => held = None,
        }
    }
    let status = child.wait().await.map_err(|error| Error::failed(format!("waiting for a script: {error}")))?;
    Ok(held.is_some().then(|| (status.success(), status.to_string())))
}

/// Ends the program when standard input ends, which it does when whoever holds that dies.
const WHILE_HELD: &str = "exec 3<&0
\"$@\" </dev/null 3<&- &
child=$!
(cat <&3 >/dev/null; kill -KILL \"$child\" 2>/dev/null) >/dev/null 2>&1 &
watch=$!
wait \"$child\"
kill \"$watch\" 2>/dev/null";

/// Runs this very program again in that folder, with this environment and no other, and hands on each line that it prints. It does not
/// outlive this process, however that dies, and is in a process group of its own.
pub async fn again(
    arguments: &[&str],
    folder: &Utf8Path,
    environment: &BTreeMap<String, String>,
    mut see: impl FnMut(Said),
) -> Result<()> {
    let program = std::env::current_exe().map_err(|error| cannot_start("estiba", &error))?;
    let mut child = Command::new("/bin/sh")
        .args(["-c", WHILE_HELD, "estiba"])
        .arg(program)
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(environment)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| cannot_start("estiba", &error))?;
    let _held = child.stdin.take();
    let mut lines = lines(&mut child);
    while let Some(line) = lines.recv().await {
        see(line);
    }
    child.wait().await.map_err(|error| Error::failed(format!("waiting for a deploy: {error}")))?;
    Ok(())
}

/// The lines of both streams of a program, as they come.
fn lines(child: &mut tokio::process::Child) -> mpsc::Receiver<Said> {
    let (sender, lines) = mpsc::channel(64);
    if let Some(out) = child.stdout.take() {
        tokio::spawn(lines_of(out, Said::Out, sender.clone()));
    }
    if let Some(err) = child.stderr.take() {
        tokio::spawn(lines_of(err, Said::Err, sender));
    }
    lines
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

/// A program without input that goes when nobody waits for it any more. It is one of this machine, and finds no others than
/// those either.
fn quiet(program: &str) -> Result<Command> {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = find(program, &path).ok_or_else(|| cannot_start(program, &std::io::ErrorKind::NotFound.into()))?;
    let path = absolute(&path).collect::<Vec<_>>().join(":");
    let inherited = std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy().to_ascii_uppercase();
        INHERITED
            .iter()
            .any(|known| name == *known || (known.ends_with('_') || known.starts_with("ACTIONS")) && name.starts_with(known))
    });
    let mut command = Command::new(found);
    command.env_clear().envs(inherited).env("PATH", path).stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

async fn lines_of(stream: impl tokio::io::AsyncRead + Unpin, said: fn(String) -> Said, sender: mpsc::Sender<Said>) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).await.is_ok_and(|count| count > 0) {
        let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
        if sender.send(said(text)).await.is_err() {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository may hold another one, without a work tree, whose settings name programs.
    #[tokio::test]
    async fn a_repository_within_a_repository_starts_no_program() {
        let (_folder, path) = crate::private::folder().unwrap();
        let inner = path.join("app");
        std::fs::create_dir(&inner).unwrap();
        let made = run("git", &["init", "-q", "--bare", inner.as_str()], None).await.unwrap();
        assert!(made.success, "{}", made.stderr);
        let ran = path.join("ran");
        let config = format!(
            "\n[core]\n\tbare = false\n\tworktree = {inner}\n[filter \"x\"]\n\tclean = touch {ran}\n\tsmudge = touch {ran}\n"
        );
        std::fs::write(inner.join("config"), config).unwrap();
        for arguments in [&["status"][..], &["rev-parse", "HEAD"]] {
            assert!(
                !ask_git(&inner, arguments).await.unwrap().success,
                "{arguments:?} takes it for the project's own repository"
            );
        }
        assert!(!ran.exists());
    }
}
