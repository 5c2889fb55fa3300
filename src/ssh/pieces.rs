//! Bytes that are made here, on their way into a channel.

use std::io::Write;

use bytes::Bytes;
use tokio::sync::mpsc;

const PIECE: usize = 256 * 1024;

/// Writes into a channel in pieces of the size that SSH sends fastest.
pub(crate) struct ChannelWriter {
    sender: mpsc::Sender<Bytes>,
    buffer: Vec<u8>,
}

impl ChannelWriter {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Bytes>) {
        let (sender, receiver) = mpsc::channel(8);
        (Self::of(sender), receiver)
    }

    pub(crate) fn of(sender: mpsc::Sender<Bytes>) -> Self {
        Self { sender, buffer: Vec::with_capacity(PIECE) }
    }
}

impl Write for ChannelWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        self.sender.blocking_send(piece.into()).map_err(|_| std::io::Error::from(std::io::ErrorKind::BrokenPipe))
    }
}

impl Drop for ChannelWriter {
    /// The last piece goes out whichever encoder forgot to flush; a reader that is gone needs nothing more.
    fn drop(&mut self) {
        let _ = self.flush();
    }
}
