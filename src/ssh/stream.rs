//! The stream that a session goes over, whatever carries it, and the first that came through it: when a session cannot begin, that
//! tells who is there instead of an SSH server.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A way to a server.
pub(super) trait Way: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Way for S {}

/// Of what the other side says first, so many bytes are kept.
const KEPT: usize = 400;

/// What the other side said first.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    /// All that was kept.
    pub(super) fn text(&self) -> String {
        let bytes = self.0.lock().map(|bytes| bytes.clone()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Has an SSH server spoken?
    pub(super) fn is_ssh(&self) -> bool {
        self.text().lines().any(|line| line.starts_with("SSH-"))
    }

    /// Has anybody spoken?
    pub(super) fn is_silent(&self) -> bool {
        self.0.lock().is_ok_and(|bytes| bytes.is_empty())
    }
}

/// A stream whose beginning is heard.
pub(super) struct Tapped {
    stream: Box<dyn Way>,
    heard: Heard,
    full: bool,
}

impl Tapped {
    pub(super) fn new(stream: impl Way + 'static) -> (Self, Heard) {
        let heard = Heard::default();
        (Self { stream: Box::new(stream), heard: heard.clone(), full: false }, heard)
    }
}

impl AsyncRead for Tapped {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if !self.full {
            if let Ok(mut kept) = self.heard.0.lock() {
                let room = KEPT - kept.len();
                kept.extend(buffer.filled()[before..].iter().take(room));
            }
            self.full = self.heard.0.lock().is_ok_and(|kept| kept.len() >= KEPT);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
