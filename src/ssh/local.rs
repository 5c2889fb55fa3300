//! This very machine in the place of a server: an SSH server of this process, which runs commands as its user. A target with
//! `hosts = ["local"]` is deployed to like any other over a stream that nobody else can have, and needs no sshd; the demo has one that
//! listens.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey};
use russh::server::{self, Auth, ChannelOpenHandle, Handle, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, Pty};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::process::ChildStdin;
use tokio::sync::{mpsc, watch};

use crate::error::Result;
use crate::process;
use crate::text::shell_words;

/// Bytes that may be on their way between the two halves. Either writes before it reads on, so there must be room for as much as the
/// windows of their channels let through; none of it is taken before it is needed.
const BUFFER: usize = 64 << 20;
/// Bytes of a command's input that may be on their way to it.
const WINDOW: u32 = 2 << 20;
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
    if let Some(key) = KEY.clone() {
        tokio::spawn(serve(there, key, None));
    }
    here
}

/// Is an SSH server to whoever is at the other end of the stream, until that ends: one with this host key, which lets in who has the key
/// `allowed`, or everybody where there is none. Commands are run as the user of this process.
pub async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, key: PrivateKey, allowed: Option<PublicKey>) {
    let config = server::Config {
        keys: vec![key],
        auth_rejection_time: Duration::from_secs(1),
        auth_rejection_time_initial: Some(Duration::ZERO),
        nodelay: true,
        window_size: WINDOW,
        maximum_packet_size: 65_535,
        ..server::Config::default()
    };
    let client = Here { allowed, channels: HashMap::new(), terminals: HashMap::new() };
    if let Ok(session) = server::run_stream(Arc::new(config), stream, client).await {
        let _ = session.await;
    }
}

/// One connection, with the channels on which no command has been asked for yet.
struct Here {
    allowed: Option<PublicKey>,
    channels: HashMap<ChannelId, Channel<Msg>>,
    /// The terminals that were asked for: kind, columns and rows.
    terminals: HashMap<ChannelId, (String, u32, u32)>,
}

impl server::Handler for Here {
    type Error = russh::Error;

    async fn auth_none(&mut self, _user: &str) -> Result<Auth, russh::Error> {
        Ok(if self.allowed.is_none() { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, _user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        let is_allowed = self.allowed.as_ref().is_none_or(|allowed| allowed.key_data() == key.public_key.key_data());
        Ok(if is_allowed { Auth::Accept } else { Auth::reject() })
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

/// Bytes of output that may wait to be taken.
const WAITING: usize = 1 << 20;

/// What is known of a command's streams while it runs. The session hands on input and takes output one after the other, so that a command
/// that takes no more input until its output is read would wait for ever, were that not read meanwhile.
#[derive(Debug)]
struct Flow {
    /// Is the command given input that it does not take?
    is_stuck: AtomicBool,
    /// Bytes of output that nobody has taken yet.
    waiting: AtomicUsize,
    /// Something of this is another.
    changed: watch::Sender<()>,
}

impl Flow {
    fn set_stuck(&self, is_stuck: bool) {
        self.is_stuck.store(is_stuck, Ordering::SeqCst);
        self.changed.send_replace(());
    }

    fn taken(&self, count: usize) {
        self.waiting.fetch_sub(count, Ordering::SeqCst);
        self.changed.send_replace(());
    }

    /// Waits until more output may be read.
    async fn may_read(&self) {
        let mut changed = self.changed.subscribe();
        while self.waiting.load(Ordering::SeqCst) >= WAITING && !self.is_stuck.load(Ordering::SeqCst) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }
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
            let (changed, _) = watch::channel(());
            let flow = Arc::new(Flow { is_stuck: AtomicBool::new(false), waiting: AtomicUsize::new(0), changed });
            let feeding = tokio::spawn(feed(read, input, flow.clone()));
            let (sender, said) = mpsc::unbounded_channel();
            let out = pass(output, None, sender.clone(), &flow);
            let err = pass(errors, Some(1), sender, &flow);
            tokio::join!(out, err, tell(said, &handle, id, &flow));
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
async fn feed(mut from: ChannelReadHalf, input: Option<ChildStdin>, flow: Arc<Flow>) {
    let Some(mut input) = input else { return };
    loop {
        let data = match from.wait().await {
            Some(ChannelMsg::Data { data }) => data,
            Some(ChannelMsg::Eof | ChannelMsg::Close) | None => return,
            Some(_) => continue,
        };
        flow.set_stuck(true);
        let is_taken = input.write_all(&data).await.is_ok();
        flow.set_stuck(false);
        if !is_taken {
            return;
        }
    }
}

/// A piece of a command's output, or of that kind of further output.
type Said = (Option<u32>, Vec<u8>);

/// Reads all that comes, no further ahead than it must.
async fn pass(from: Option<impl AsyncRead + Unpin>, kind: Option<u32>, to: mpsc::UnboundedSender<Said>, flow: &Flow) {
    let Some(mut from) = from else { return };
    let mut piece = vec![0; PIECE];
    loop {
        flow.may_read().await;
        let Ok(count @ 1..) = from.read(&mut piece).await else { return };
        flow.waiting.fetch_add(count, Ordering::SeqCst);
        if to.send((kind, piece[..count].to_vec())).is_err() {
            return;
        }
    }
}

/// Hands on what was read, for as long as somebody takes it.
async fn tell(mut said: mpsc::UnboundedReceiver<Said>, handle: &Handle, id: ChannelId, flow: &Flow) {
    while let Some((kind, bytes)) = said.recv().await {
        let count = bytes.len();
        let is_taken = match kind {
            None => handle.data(id, bytes).await.is_ok(),
            Some(kind) => handle.extended_data(id, kind, bytes).await.is_ok(),
        };
        flow.taken(count);
        if !is_taken {
            // What reads finds out that nobody takes it.
            return flow.taken(flow.waiting.load(Ordering::SeqCst));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::config::LOCAL;
    use crate::report::Asker;
    use crate::ssh::{Address, Connection, Door, Hop, HostKeys, Identity, Piece, Settings, Traffic};

    fn here() -> Settings {
        let host_keys = HostKeys::read(&[fingerprint()], "/".into(), None).unwrap();
        let address = Address::local();
        assert_eq!(address.to_string(), LOCAL);
        Settings {
            server: Hop { address, real_host: None, known_as: None, host_keys, identity: Identity::default(), password: false },
            jump: Vec::new(),
            proxy_command: None,
            is_local: true,
            r#become: None,
            asker: Asker::nobody(),
            traffic: Traffic::default(),
            door: Door::default(),
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_command_gets_its_input_and_says_what_it_says() {
        let connection = Connection::open(&here()).await.unwrap();
        let output = connection.run("cat; echo err >&2; exit 7", "in").await.unwrap();
        assert_eq!((output.text().as_str(), output.status), ("in", Some(7)));
        assert!(output.complaint().contains("err"), "{}", output.complaint());
        assert_eq!(connection.run("kill -KILL $$", "").await.unwrap().status, Some(137));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_goes_in_and_comes_out_at_once_does_not_stand_still() {
        let connection = Connection::open(&here()).await.unwrap();
        let (sender, input) = mpsc::channel(1);
        tokio::spawn(async move {
            for _ in 0..200 {
                sender.send(Bytes::from(vec![b'x'; 256 << 10])).await.unwrap();
            }
        });
        let mut length = 0;
        let said = |piece| {
            if let Piece::Out(bytes) = piece {
                length += bytes.len();
            }
        };
        let echoed = connection.attach("exec cat", None, input, said);
        let status = tokio::time::timeout(Duration::from_secs(120), echoed).await.expect("it stands still").unwrap();
        assert_eq!((status, length), (Some(0), 200 * (256 << 10)));
    }
}
