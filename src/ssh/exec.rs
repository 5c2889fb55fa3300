//! Commands on an open connection.

use std::time::Duration;

use bytes::Bytes;
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::config::Become;
use crate::error::{Error, Result};

use super::{Connection, Traffic, failure};

/// What a command came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Its exit status; `None` when it was ended by a signal or the channel closed without one.
    pub status: Option<u32>,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Standard output as text. What a login shell printed before our first line, without a line end, stands on a line of its own.
    pub fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.stdout).into_owned();
        if let Some(at) = text.find("estiba:").filter(|at| *at > 0 && !text[..*at].ends_with('\n')) {
            text.insert(at, '\n');
        }
        text
    }

    /// The last words of standard error, to be told in a message.
    pub fn complaint(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

/// A command that runs. Its output must be read, or it stalls the connection.
pub struct Running {
    read: ChannelReadHalf,
    write: ChannelWriteHalf<Msg>,
    traffic: Traffic,
}

/// What comes from a running command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Standard output.
    Out(Bytes),
    /// Standard error.
    Err(Bytes),
    /// Its exit status.
    Exit(u32),
}

/// The most that a command may answer: what a server says is kept in memory, and a server may be anybody's.
const MOST: usize = 16 << 20;
const TOO_MUCH: &str = "more than 16 MB";
/// Of what a command says on standard error, its end is kept.
const COMPLAINT: usize = 64 << 10;

/// Nothing goes out and nothing comes in for this long: the peer is gone.
const STALLED: Duration = Duration::from_secs(60);

impl Connection {
    /// Starts a command.
    pub async fn start(&self, command: &str) -> Result<Running> {
        let lost = |error: &dyn std::fmt::Display| failure::lost(&self.address, "starting a command", error);
        let channel = self.handle.channel_open_session().await.map_err(|error| lost(&error))?;
        channel.exec(true, self.in_plain_shell(command)).await.map_err(|error| lost(&error))?;
        self.traffic.command();
        let (read, write) = channel.split();
        Ok(Running { read, write, traffic: self.traffic.clone() })
    }

    /// The same command in words that every login shell reads alike, and with the rights that it needs. Quotation, `\\`, `!` and line
    /// ends mean other things in fish and in csh.
    pub(super) fn in_plain_shell(&self, command: &str) -> String {
        // What a gate reads is plain, and stays in front.
        let is_request = command.starts_with(": estiba ");
        let (request, command) = command.split_once("; ").filter(|_| is_request).unwrap_or(("", command));
        let request = if request.is_empty() { String::new() } else { format!("{request}; ") };
        let sudo = match self.r#become {
            Some(Become::Sudo) => "sudo -n ",
            None => "",
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || " /._:=@%+,-".contains(c);
        if sudo.is_empty() && command.chars().all(is_plain) {
            return request + command;
        }
        let mut words = String::new();
        for byte in command.bytes() {
            match byte {
                b'\\' | b'\'' | b'!' | b'\n' | b'%' | 0x80.. | ..=0x1f => words.push_str(&format!("\\0{byte:03o}")),
                _ => words.push(byte.into()),
            }
        }
        format!("{request}exec {sudo}/bin/sh -c 'eval \"$(printf %b \"$1\")\"' sh '{words}'")
    }

    /// Runs a command with this input, to its end.
    pub async fn run(&self, command: &str, input: impl Into<Bytes>) -> Result<Output> {
        let (sender, receiver) = mpsc::channel(1);
        let input = input.into();
        if !input.is_empty() {
            let _ = sender.send(input).await;
        }
        drop(sender);
        self.upload(command, receiver, |_| {}).await
    }

    /// Runs a command with pieces of input as they come, 256 KiB each at best; `sent` is told how many bytes
    /// are on their way. A command that ends early ends the upload.
    pub async fn upload(
        &self,
        command: &str,
        mut input: mpsc::Receiver<Bytes>,
        mut sent: impl FnMut(u64) + Send,
    ) -> Result<Output> {
        let Running { mut read, write, traffic } = self.start(command).await?;
        let mut output = Output::default();
        let mut total = 0;
        let mut ended = false;
        let result = {
            let sending = async {
                while let Some(piece) = input.recv().await {
                    let length = piece.len() as u64;
                    match timeout(STALLED, write.data_bytes(piece)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => return Ok(()),
                        Err(_) => return Err("nothing could be sent for a minute"),
                    }
                    total += length;
                    traffic.sent(length);
                    sent(total);
                }
                let _ = write.eof().await;
                Ok(())
            };
            let receiving = receive(&mut read, &mut output, &mut ended);
            tokio::pin!(sending, receiving);
            let mut sending_done = false;
            loop {
                tokio::select! {
                    biased;
                    result = &mut receiving => break result,
                    result = &mut sending, if !sending_done => match result {
                        Ok(()) => sending_done = true,
                        Err(why) => break Err(why),
                    },
                }
            }
        };
        traffic.received((output.stdout.len() + output.stderr.len()) as u64);
        if result == Err(TOO_MUCH) {
            return Err(Error::failed(format!(
                "{}: a command answered with more than 16 MB, so estiba stopped reading",
                self.address
            ))
            .hint("no command of estiba answers that much: check that this is the right server"));
        }
        if let Err(why) = result {
            return Err(failure::lost(&self.address, "a command ran", why));
        }
        if let Some(why) = refused_by_a_gate(output.status, &output.stderr) {
            return Err(Error::failed(format!("{}: the key that logs in may not do that: {why}", self.address)));
        }
        if output.status.is_none() && !ended {
            return Err(failure::lost(&self.address, "a command ran", "the server is gone"));
        }
        Ok(output)
    }
}

/// What the gate of a restricted key said, where that ended the command.
fn refused_by_a_gate(status: Option<u32>, stderr: &[u8]) -> Option<String> {
    let said = String::from_utf8_lossy(stderr);
    let why = said.lines().find_map(|line| line.strip_prefix("estiba-gate: "))?;
    (status == Some(126)).then(|| crate::text::printable(why))
}

/// Takes what a command says until its channel is closed; `ended` is told when the server has said that it ended.
async fn receive(read: &mut ChannelReadHalf, output: &mut Output, ended: &mut bool) -> Result<(), &'static str> {
    let mut complained = 0;
    while let Some(message) = read.wait().await {
        match message {
            ChannelMsg::Data { data } if output.stdout.len() + data.len() > MOST => return Err(TOO_MUCH),
            ChannelMsg::Data { data } => output.stdout.extend_from_slice(&data),
            ChannelMsg::ExtendedData { data, .. } => {
                complained += data.len();
                if complained > MOST {
                    return Err(TOO_MUCH);
                }
                keep_the_end(&mut output.stderr, &data);
            }
            ChannelMsg::ExitStatus { exit_status } => output.status = Some(exit_status),
            ChannelMsg::Eof | ChannelMsg::ExitSignal { .. } => *ended = true,
            ChannelMsg::Close => {
                *ended = true;
                break;
            }
            ChannelMsg::Failure => return Err("the server refused to run a command"),
            _ => {}
        }
    }
    Ok(())
}

/// Adds these bytes, and lets go of what came long before them.
pub(crate) fn keep_the_end(kept: &mut Vec<u8>, more: &[u8]) {
    kept.extend_from_slice(more);
    if kept.len() > 2 * COMPLAINT {
        kept.drain(..kept.len() - COMPLAINT);
    }
}

impl Running {
    /// The next piece of output; `None` at the end of the channel, be it by a lost connection.
    pub async fn next(&mut self) -> Option<Piece> {
        loop {
            match self.read.wait().await? {
                ChannelMsg::Data { data } => {
                    self.traffic.received(data.len() as u64);
                    return Some(Piece::Out(data));
                }
                ChannelMsg::ExtendedData { data, .. } => {
                    self.traffic.received(data.len() as u64);
                    return Some(Piece::Err(data));
                }
                ChannelMsg::ExitStatus { exit_status } => return Some(Piece::Exit(exit_status)),
                ChannelMsg::Close => return None,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_of_a_login_shell_does_not_hide_our_first_line() {
        let text = |stdout: &str| Output { stdout: stdout.into(), ..Output::default() }.text();
        assert_eq!(text("hello estiba:facts\nestiba:end\n"), "hello \nestiba:facts\nestiba:end\n");
        assert_eq!(text("hello\nestiba:facts\nx estiba:end\n"), "hello\nestiba:facts\nx estiba:end\n");
    }

    #[test]
    fn of_a_long_complaint_the_end_is_kept() {
        let mut kept = Vec::new();
        for number in 0..100_000 {
            keep_the_end(&mut kept, format!("line {number}\n").as_bytes());
        }
        assert!(kept.len() <= 2 * COMPLAINT && kept.ends_with(b"line 99999\n"));
    }
}
