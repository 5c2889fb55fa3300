//! A command that has this process's own standard streams, with a terminal or without.

use bytes::Bytes;
use russh::ChannelMsg;
use tokio::sync::{mpsc, watch};

use crate::error::Result;

use super::{Connection, Piece, failure};

/// A terminal to run a command in.
#[derive(Debug, Clone)]
pub struct Terminal {
    /// Its kind, as the variable TERM has it.
    pub kind: String,
    /// Its columns and rows, now and as they change.
    pub size: watch::Receiver<(u16, u16)>,
}

impl Connection {
    /// Runs a command that gets this input, and hands on what it says as it comes. Its exit status; `None` where a signal ended it.
    pub async fn attach(
        &self,
        command: &str,
        terminal: Option<Terminal>,
        mut input: mpsc::Receiver<Bytes>,
        mut said: impl FnMut(Piece) + Send,
    ) -> Result<Option<u32>> {
        let lost = |error: &dyn std::fmt::Display| failure::lost(&self.address, "a command ran", error);
        let channel = self.handle.channel_open_session().await.map_err(|error| lost(&error))?;
        let mut size = None;
        if let Some(terminal) = terminal {
            let (columns, rows) = *terminal.size.borrow();
            channel
                .request_pty(true, &terminal.kind, columns.into(), rows.into(), 0, 0, &[])
                .await
                .map_err(|error| lost(&error))?;
            size = Some(terminal.size);
        }
        channel.exec(true, self.in_plain_shell(command)).await.map_err(|error| lost(&error))?;
        let (mut read, write) = channel.split();
        let (mut status, mut ended, mut typing) = (None, false, true);
        // Beside the reading: the other side may take no more before what it says is taken.
        let sending = async {
            while let Some(piece) = input.recv().await {
                write.data_bytes(piece).await?;
            }
            write.eof().await
        };
        tokio::pin!(sending);
        loop {
            tokio::select! {
                message = read.wait() => match message {
                    Some(ChannelMsg::Data { data }) => said(Piece::Out(data)),
                    Some(ChannelMsg::ExtendedData { data, .. }) => said(Piece::Err(data)),
                    Some(ChannelMsg::ExitStatus { exit_status }) => {
                        status = Some(exit_status);
                        ended = true;
                    }
                    Some(ChannelMsg::ExitSignal { .. }) => ended = true,
                    Some(ChannelMsg::Failure) => return Err(lost(&"the server refused to run a command")),
                    Some(ChannelMsg::Close) | None if ended => return Ok(status),
                    Some(ChannelMsg::Close) | None => return Err(lost(&"the server is gone")),
                    Some(_) => {}
                },
                // A command that wants no more of its input has ended, or goes on without.
                _ = &mut sending, if typing => typing = false,
                (columns, rows) = changed(&mut size) => {
                    let _ = write.window_change(columns.into(), rows.into(), 0, 0).await;
                }
            }
        }
    }
}

/// The terminal's next size; never, where there is none.
async fn changed(size: &mut Option<watch::Receiver<(u16, u16)>>) -> (u16, u16) {
    if let Some(receiver) = size {
        if receiver.changed().await.is_ok() {
            return *receiver.borrow_and_update();
        }
        *size = None;
    }
    std::future::pending().await
}
