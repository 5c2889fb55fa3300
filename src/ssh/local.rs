//! This very machine in the place of a server: an SSH server of this process, which only this process can reach, and which runs
//! commands as its user. So a target with `hosts = ["local"]` is deployed to like any other, and needs no sshd.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use russh::keys::{Algorithm, HashAlg, PrivateKey};
use russh::server::{self, Auth, ChannelOpenHandle, Handle, Msg, Session};
use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, Pty};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::process::ChildStdin;

use crate::error::Result;
use crate::process;
use crate::text::shell_words;

/// Bytes on their way between the two halves.
const BUFFER: usize = 1 << 20;
/// Bytes of a command's output that are taken at once.
const PIECE: usize = 32 << 10;

/// The key of this process's server; it lives as long as the process does.
static KEY: LazyLock<Option<PrivateKey>> =
    LazyLock::new(|| PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).ok());

/// The fingerprint of its host key.
pub fn fingerprint() -> String {
    KEY.as_ref().map(|key| key.public_key().fingerprint(HashAlg::Sha256).to_string()).unwrap_or_default()
}

/// A stream to a server of this process.
pub(super) fn connect() -> DuplexStream {
    let (here, there) = tokio::io::duplex(BUFFER);
    let config = server::Config {
        keys: KEY.iter().cloned().collect(),
        auth_rejection_time: Duration::ZERO,
        window_size: 16 << 20,
        maximum_packet_size: 65_535,
        ..server::Config::default()
    };
    tokio::spawn(async move {
        if let Ok(session) = server::run_stream(Arc::new(config), there, Here::default()).await {
            let _ = session.await;
        }
    });
    here
}

/// One connection, with the channels on which no command has been asked for yet.
#[derive(Default)]
struct Here {
    channels: HashMap<ChannelId, Channel<Msg>>,
    /// The terminals that were asked for: kind, columns and rows.
    terminals: HashMap<ChannelId, (String, u32, u32)>,
}

impl server::Handler for Here {
    type Error = russh::Error;

    // Nobody else can have this stream.
    async fn auth_none(&mut self, _user: &str) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        kind: &str,
        columns: u32,
        rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.terminals.insert(id, (kind.to_owned(), columns, rows));
        session.channel_success(id)
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], session: &mut Session) -> Result<(), russh::Error> {
        let Some(channel) = self.channels.remove(&id) else { return session.channel_failure(id) };
        session.channel_success(id)?;
        let (handle, mut command) = (session.handle(), String::from_utf8_lossy(command).into_owned());
        if let Some((kind, columns, rows)) = self.terminals.remove(&id) {
            command = in_terminal(&command, &kind, columns, rows);
        }
        tokio::spawn(async move { run(command, channel, handle, id).await });
        Ok(())
    }
}

/// The command in a terminal of its own, made by the program `script` of util-linux.
fn in_terminal(command: &str, kind: &str, columns: u32, rows: u32) -> String {
    let within = format!("stty columns {columns} rows {rows}; {command}");
    format!("TERM={} exec script -qec {} /dev/null", shell_words([kind]), shell_words([within.as_str()]))
}

/// Runs a command to its end, as sshd does.
async fn run(command: String, channel: Channel<Msg>, handle: Handle, id: ChannelId) {
    let (read, _write) = channel.split();
    let status = match process::shell(&command) {
        Err(error) => {
            let _ = handle.extended_data(id, 1, format!("{}\n", error.text()).into_bytes()).await;
            127
        }
        Ok(mut child) => {
            let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
            let feeding = tokio::spawn(feed(read, input));
            let out = async {
                if let Some(output) = output {
                    pass(output, None, &handle, id).await;
                }
            };
            let err = async {
                if let Some(errors) = errors {
                    pass(errors, Some(1), &handle, id).await;
                }
            };
            tokio::join!(out, err);
            let ended = child.wait().await;
            feeding.abort();
            // What a signal ended has no status of its own: 128 and the signal's number is a shell's.
            ended.map_or(127, |ended| {
                use std::os::unix::process::ExitStatusExt as _;
                ended.code().unwrap_or_else(|| 128 + ended.signal().unwrap_or(0))
            })
        }
    };
    let _ = handle.exit_status_request(id, u32::try_from(status).unwrap_or(127)).await;
    let _ = handle.eof(id).await;
    let _ = handle.close(id).await;
}

/// Hands on what comes as the command's input, until its end.
async fn feed(mut from: ChannelReadHalf, input: Option<ChildStdin>) {
    let Some(mut input) = input else { return };
    loop {
        let data = match from.wait().await {
            Some(ChannelMsg::Data { data }) => data,
            Some(ChannelMsg::Eof | ChannelMsg::Close) | None => return,
            Some(_) => continue,
        };
        if input.write_all(&data).await.is_err() {
            return;
        }
    }
}

/// Hands on all that comes, for as long as somebody takes it: as output, or as that kind of further output.
async fn pass(mut from: impl AsyncRead + Unpin, kind: Option<u32>, handle: &Handle, id: ChannelId) {
    let mut piece = vec![0; PIECE];
    while let Ok(count) = from.read(&mut piece).await {
        let bytes = piece[..count].to_vec();
        let is_taken = match kind {
            _ if count == 0 => false,
            None => handle.data(id, bytes).await.is_ok(),
            Some(kind) => handle.extended_data(id, kind, bytes).await.is_ok(),
        };
        if !is_taken {
            return;
        }
    }
}
