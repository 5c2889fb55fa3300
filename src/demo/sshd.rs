//! An SSH server inside this process, for the demo and for tests: one user, one throwaway key, commands run
//! by this machine's own shell. It listens on the loopback address only.

#![expect(clippy::disallowed_methods, reason = "an SSH server runs what its client asks for")]

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Session, VerifiedPublicKey, run_stream};
use russh::{Channel, ChannelId, ChannelMsg};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::error::{Error, Result};

/// The server; it ends when this is dropped.
#[derive(Debug)]
pub struct Sshd {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// The fingerprint of its host key.
    pub fingerprint: String,
    /// The private key that it lets in, in OpenSSH form.
    pub client_key: String,
    accepting: JoinHandle<()>,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Sshd {
    /// Starts a server with keys made for it.
    pub async fn start() -> Result<Self> {
        let failed = |what: &str, error: &dyn std::fmt::Display| Error::failed(format!("the demo's SSH server: {what}: {error}"));
        let key = || PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519);
        let host_key = key().map_err(|error| failed("making its host key", &error))?;
        let client_key = key().map_err(|error| failed("making a key for the client", &error))?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|error| failed("listening on 127.0.0.1", &error))?;
        let port = listener.local_addr().map_err(|error| failed("its address", &error))?.port();
        let fingerprint = host_key.public_key().fingerprint(HashAlg::Sha256).to_string();
        let config = Arc::new(Config {
            keys: vec![host_key],
            auth_rejection_time: Duration::from_secs(1),
            auth_rejection_time_initial: Some(Duration::ZERO),
            nodelay: true,
            window_size: 16 * 1024 * 1024,
            ..Config::default()
        });
        let allowed = client_key.public_key().clone();
        let text = client_key.to_openssh(Default::default()).map_err(|error| failed("writing the client's key", &error))?;
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let session = Client { allowed: allowed.clone(), channels: BTreeMap::new() };
                let config = config.clone();
                tokio::spawn(async move {
                    if let Ok(running) = run_stream(config, stream, session).await {
                        let _ = running.await;
                    }
                });
            }
        });
        Ok(Self { port, fingerprint, client_key: text.to_string(), accepting })
    }
}

struct Client {
    allowed: PublicKey,
    channels: BTreeMap<ChannelId, Channel<Msg>>,
}

impl Handler for Client {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let same = key.public_key.key_data() == self.allowed.key_data();
        Ok(if same { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(&mut self, id: ChannelId, data: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        let command = String::from_utf8_lossy(data).into_owned();
        match self.channels.remove(&id) {
            Some(channel) => {
                session.channel_success(id)?;
                tokio::spawn(exec(channel, command));
            }
            None => session.channel_failure(id)?,
        }
        Ok(())
    }
}

/// Runs one command with the channel as its streams.
async fn exec(channel: Channel<Msg>, command: String) -> Result<(), russh::Error> {
    let (mut read, write) = channel.split();
    let spawned = Command::new("/bin/sh")
        .args(["-c", &command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else {
        write.exit_status(127).await?;
        return write.close().await;
    };
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let input = tokio::spawn(async move {
        let mut stdin = stdin;
        while let Some(message) = read.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    if let Some(pipe) = &mut stdin
                        && pipe.write_all(&data).await.is_err()
                    {
                        stdin = None;
                    }
                }
                ChannelMsg::Eof => stdin = None,
                ChannelMsg::Close => break,
                _ => {}
            }
        }
    });
    let out = async {
        let Some(mut stdout) = stdout else { return };
        let mut buffer = vec![0; 32 * 1024];
        while let Ok(count) = stdout.read(&mut buffer).await {
            if count == 0 || write.data_bytes(buffer[..count].to_vec()).await.is_err() {
                break;
            }
        }
    };
    let err = async {
        let Some(mut stderr) = stderr else { return };
        let mut buffer = vec![0; 8 * 1024];
        while let Ok(count) = stderr.read(&mut buffer).await {
            if count == 0 || write.extended_data_bytes(1, buffer[..count].to_vec()).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(out, err);
    let status = child.wait().await.ok().and_then(|status| status.code()).unwrap_or(255);
    write.exit_status(u32::try_from(status).unwrap_or(255)).await?;
    write.eof().await?;
    write.close().await?;
    input.abort();
    Ok(())
}
