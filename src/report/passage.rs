//! The process's own streams, handed over to a command somewhere else, as they are: what that command says is its own.

use std::io::{IsTerminal as _, Read as _, Write as _};

use bytes::Bytes;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::{mpsc, watch};

/// This process's standard streams while a command elsewhere has them.
#[derive(Debug)]
pub struct Passage {
    /// What was typed, or comes by a pipe.
    pub input: mpsc::Receiver<Bytes>,
    /// The size of the terminal, where the command gets one.
    pub size: Option<watch::Receiver<(u16, u16)>>,
    _terminal: Option<Raw>,
}

/// A terminal that hands on each key, until this is dropped.
#[derive(Debug)]
struct Raw(Termios);

impl Passage {
    /// Takes the streams. With a terminal at both ends, the command gets one too.
    pub fn open() -> Self {
        let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let terminal = is_terminal.then(Raw::make).flatten();
        let (sender, input) = mpsc::channel(16);
        // It waits for a key when the process ends, which ends it.
        std::thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            while let Ok(count @ 1..) = std::io::stdin().read(&mut buffer) {
                if sender.blocking_send(Bytes::copy_from_slice(&buffer[..count])).is_err() {
                    break;
                }
            }
        });
        Self { input, size: terminal.is_some().then(sizes), _terminal: terminal }
    }

    /// Puts bytes on standard output, or on standard error.
    pub fn say(is_error: bool, bytes: &[u8]) {
        // Where nobody reads any more, the command will hear of it.
        if is_error {
            let _ = std::io::stderr().write_all(bytes);
        } else {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(bytes).and_then(|()| out.flush());
        }
    }
}

impl Raw {
    fn make() -> Option<Self> {
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0);
    }
}

/// The terminal's columns and rows, now and whenever they change.
fn sizes() -> watch::Receiver<(u16, u16)> {
    let now = || tcgetwinsize(std::io::stdout()).map_or((80, 24), |size| (size.ws_col, size.ws_row));
    let (sender, receiver) = watch::channel(now());
    tokio::spawn(async move {
        let Ok(mut changed) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::window_change()) else { return };
        while changed.recv().await.is_some() && sender.send(now()).is_ok() {}
    });
    receiver
}
