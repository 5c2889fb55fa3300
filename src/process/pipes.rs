//! Programs whose input and output are streams.

use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};

use tokio::process::{Child, Command};

use crate::error::{Error, Result};

use super::cannot_start;

/// Starts a command line of the person's own settings (`ProxyCommand`) in a shell; what it reads and writes is the stream. It is ended
/// with the stream.
pub fn piped(command: &str) -> Result<impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + use<>> {
    // It is the person's own, and may need the agent's socket or a cloud's settings; of estiba's secrets it needs none. It is a group of
    // its own, which ends as a whole: what it started would hold on to our standard error.
    let mut child = Command::new("/bin/sh");
    for secret in ["ESTIBA_SSH_KEY", "ESTIBA_SSH_PASSPHRASE", "ESTIBA_TOKEN"] {
        child.env_remove(secret);
    }
    child.args(["-c", &format!("exec {command}")]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    child.process_group(0).kill_on_drop(true);
    let mut child = child.spawn().map_err(|error| cannot_start(command, &error))?;
    match (child.stdout.take(), child.stdin.take()) {
        (Some(output), Some(input)) => {
            let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
            Ok(Piped { stream: tokio::io::join(output, input), _child: child, group })
        }
        _ => Err(Error::failed(format!("{command}: its input and output cannot be had"))),
    }
}

/// Starts a command line in a shell, its input and outputs piped, with an environment like that of a login by SSH. It is a group of its
/// own, and goes on when nobody waits for it any more.
pub fn shell(command: &str) -> Result<Child> {
    let mut child = Command::new("/bin/sh");
    let kept = ["HOME", "USER", "LOGNAME", "PATH", "LANG", "DOCKER_HOST", "XDG_RUNTIME_DIR"];
    child.env_clear().envs(kept.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    if let Some(home) = std::env::var_os("HOME").filter(|home| std::path::Path::new(home).is_dir()) {
        child.current_dir(home);
    }
    child.args(["-c", command]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    child.spawn().map_err(|error| cannot_start("/bin/sh", &error))
}

/// A program's output and input, which ends with them.
struct Piped<S> {
    stream: S,
    _child: Child,
    group: Option<rustix::process::Pid>,
}

impl<S> Drop for Piped<S> {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // One that has ended is gone already.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
        }
    }
}

impl<S: tokio::io::AsyncRead + Unpin> tokio::io::AsyncRead for Piped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: tokio::io::AsyncWrite + Unpin> tokio::io::AsyncWrite for Piped<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
