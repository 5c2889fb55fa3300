//! The image's way to the server: a whole archive, compressed on the way.

use std::io::Write;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::config::shell_words;
use crate::error::{Error, Result};
use crate::process::Producer;
use crate::server::Server;

use super::Built;

/// How the archive is compressed on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Where the server has the program `zstd`.
    Zstd,
    /// Which every `docker load` reads.
    Gzip,
}

/// Sends the image under this tag and returns its id on the server. `sent` is told the bytes on their way.
///
/// The image counts as arrived when its layers on the server are those of the local one; a server that says
/// otherwise, or that is full, is a failure (exit 1) and what it had is left alone.
pub async fn send(
    server: &Server<'_>,
    image: &Built,
    tag: &str,
    compression: Compression,
    sent: impl FnMut(u64) + Send,
) -> Result<String> {
    let unpack = match compression {
        Compression::Zstd => "zstd -dcq | docker load",
        Compression::Gzip => "docker load",
    };
    let quoted = shell_words([tag]);
    let script =
        format!("{unpack} 1>&2; docker image inspect -f 'estiba:image {{{{.Id}}}} {{{{json .RootFS.Layers}}}}' {quoted}");
    let command = format!("exec /bin/sh -c {}", shell_words([script.as_str()]));
    let (producer, raw) = Producer::start("docker", &["save", tag])?;
    let output = server.pipe(&command, compressed(raw, compression), sent).await;
    let produced = producer.finish().await;
    let output = output?;
    let text = output.text();
    let arrived = text.lines().find_map(|line| line.strip_prefix("estiba:image ")?.split_once(' '));
    match arrived {
        Some((id, layers)) if layers == image.layers => Ok(id.to_owned()),
        _ => {
            produced?;
            Err(Error::failed(format!("the server did not take the image {tag}: {}", output.complaint()))
                .hint("nothing that serves was touched; `docker system df` there shows what fills its disk"))
        }
    }
}

/// The same bytes compressed, on a thread of its own.
fn compressed(mut raw: mpsc::Receiver<Bytes>, compression: Compression) -> mpsc::Receiver<Bytes> {
    let (writer, receiver) = ChannelWriter::new();
    tokio::task::spawn_blocking(move || -> std::io::Result<()> {
        match compression {
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(writer, 3)?;
                while let Some(piece) = raw.blocking_recv() {
                    encoder.write_all(&piece)?;
                }
                encoder.finish()?.flush()
            }
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(writer, flate2::Compression::fast());
                while let Some(piece) = raw.blocking_recv() {
                    encoder.write_all(&piece)?;
                }
                encoder.finish()?.flush()
            }
        }
    });
    receiver
}

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
