//! Connecting: the way to a server over its hops, the key exchange at each, and logging in.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use russh::client::{self, Handle};
use russh::keys::{Algorithm, PublicKey};
use russh::{ChannelOpenFailure, Preferred, cipher, kex};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::Become;
use crate::error::{Error, Result};
use crate::process;

use super::authenticate::authenticate;
use super::client::{Client, ClientError};
use super::door::Door;
use super::hostkey::{all_algorithms, family};
use super::listener::Listener;
use super::settings::{Hop, Settings};
use super::stream::{Heard, Tapped};
use super::{Address, Traffic, failure, local};

const DIAL: Duration = Duration::from_secs(15);
/// A server that cannot be reached again for this long is gone.
const PATIENCE: Duration = Duration::from_secs(120);
const HANDSHAKE: Duration = Duration::from_secs(20);
/// An SSH server speaks first, and at once. One that looks up the client's name may take some seconds for that.
const GREETING: Duration = Duration::from_secs(10);
/// So often a server may turn the very first connection away before that is a failure.
const FIRST_TRIES: u32 = 4;

/// An authenticated connection. All commands of a host go over one; bulk data over another of its own.
pub struct Connection {
    pub(super) handle: Handle<Client>,
    pub(super) address: Address,
    pub(super) listener: Listener,
    pub(super) traffic: Traffic,
    pub(super) r#become: Option<Become>,
    /// The connections to the hops that this one goes through.
    _hops: Vec<Handle<Client>>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({})", self.address)
    }
}

impl Connection {
    /// Dials, verifies the host key, authenticates; at each hop.
    ///
    /// A server that let this process in before and turns it away now counts connections: it is tried again, with patience. Errors
    /// say which stage failed: name, TCP, greeting, key exchange, host key, login.
    pub async fn open(settings: &Settings) -> Result<Self> {
        let started = Instant::now();
        let mut tries = 0;
        loop {
            let refused = match Self::attempt(settings).await {
                Ok(connection) => return Ok(connection),
                Err(refused) => refused,
            };
            tries += 1;
            let pause = settings.door.pause();
            let is_worth_it = match &refused.stage {
                Stage::Door | Stage::Greeting if settings.door.has_opened() => started.elapsed() + pause < PATIENCE,
                // A server that is asked by many at once turns some of them away (MaxStartups).
                Stage::Greeting => tries < FIRST_TRIES,
                _ => false,
            };
            if !is_worth_it {
                return Err(refused.into_error(&settings.door));
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// The same, tried once: for whoever has little time, or tries again by himself.
    pub async fn once(settings: &Settings) -> Result<Self> {
        Self::attempt(settings).await.map_err(|refused| refused.into_error(&settings.door))
    }

    /// The same after a connection was lost: tries for two minutes.
    pub async fn again(settings: &Settings) -> Result<Self> {
        let started = Instant::now();
        loop {
            match Self::attempt(settings).await {
                Ok(connection) => return Ok(connection),
                // Another host key is no matter of patience.
                Err(Refused { stage: Stage::HostKey { .. }, error }) => return Err(error),
                Err(refused) if started.elapsed() > PATIENCE => {
                    return Err(refused.into_error(&settings.door).while_doing("the connection did not come back"));
                }
                Err(_) => tokio::time::sleep(settings.door.pause()).await,
            }
        }
    }

    async fn attempt(settings: &Settings) -> Result<Self, Refused> {
        let listener = Listener::default();
        let mut hops: Vec<Handle<Client>> = Vec::new();
        let all = settings.jump.len() + 1;
        for (at, hop) in settings.jump.iter().chain([&settings.server]).enumerate() {
            let mut handle = enter(settings, hop, hops.last(), &listener).await;
            if handle.as_ref().is_err_and(Refused::is_turned_away) {
                settings.door.refused();
            }
            if let (Some(command), 0) = (&settings.proxy_command, at) {
                let by = format!("the way there is the ProxyCommand of ~/.ssh/config; try it by hand: {command}");
                handle = handle.map_err(|refused| refused.told(|error| error.hint(by)));
            }
            if all > 1 {
                handle = handle.map_err(|refused| refused.told(|error| error.while_doing(format!("hop {} of {all}", at + 1))));
            }
            hops.push(handle?);
        }
        settings.door.opened();
        let Some(handle) = hops.pop() else { return Err(Error::failed("there is no server to connect to").into()) };
        Ok(Self {
            handle,
            address: settings.server.address.clone(),
            listener,
            traffic: settings.traffic.clone(),
            r#become: settings.r#become,
            _hops: hops,
        })
    }

    /// Is it over?
    pub fn is_lost(&self) -> bool {
        self.handle.is_closed()
    }

    /// The server's address.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Says goodbye. Dropping the connection does as well, without a word.
    pub async fn close(&self) {
        let _ = self.handle.disconnect(russh::Disconnect::ByApplication, "", "").await;
    }
}

/// Why there is no connection.
struct Refused {
    stage: Stage,
    error: Error,
}

/// How far it came.
enum Stage {
    /// The TCP connection was refused.
    Door,
    /// The server closed the connection before it greeted.
    Greeting,
    /// The host key, of that kind, is not the one. `unknown`: there is none to compare it with.
    HostKey { kind: String, unknown: Option<Box<PublicKey>> },
    /// Any other.
    Other,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { stage: Stage::Other, error }
    }
}

impl Refused {
    /// Did the server turn the connection away before it said anything?
    const fn is_turned_away(&self) -> bool {
        matches!(self.stage, Stage::Door | Stage::Greeting)
    }

    /// The error, and what it probably means where the server let this process in before.
    fn into_error(self, door: &Door) -> Error {
        if !self.is_turned_away() || !door.has_opened() {
            return self.error;
        }
        self.error.hint(
            "it let this machine in a moment ago: a firewall that counts connections (ufw limit), fail2ban or sshd's own limits \
             (MaxStartups, PerSourcePenalties) turn more away",
        )
    }

    /// The same, with the error told so.
    fn told(self, told: impl FnOnce(Error) -> Error) -> Self {
        Self { error: told(self.error), ..self }
    }
}

/// Enters one hop by way of the one before it.
async fn enter(
    settings: &Settings,
    hop: &Hop,
    before: Option<&Handle<Client>>,
    listener: &Listener,
) -> Result<Handle<Client>, Refused> {
    let (name, port) = hop.name();
    let mut algorithms = hop.host_keys.algorithms(name, port);
    let mut first: Option<Refused> = None;
    let mut asked = false;
    let mut handle = loop {
        let stream = way(settings, hop, before).await?;
        let refused = match handshake(hop, &algorithms, listener, stream).await {
            Ok(handle) => break handle,
            Err(refused) => refused,
        };
        let Stage::HostKey { kind, unknown } = &refused.stage else { return Err(first.unwrap_or(refused)) };
        if let (Some(key), false) = (unknown, asked) {
            asked = true;
            if hop.host_keys.ask(&settings.asker, name, port, key).await {
                continue;
            }
        }
        // A fingerprint does not tell its key's kind: ask for the server's keys of other kinds before saying that none of them is
        // pinned.
        let rest: Vec<Algorithm> = algorithms.iter().filter(|one| family(one) != *kind).cloned().collect();
        let is_over = rest.is_empty() || rest.len() == algorithms.len() || !hop.host_keys.has_fingerprints(name, port);
        let refused = first.take().unwrap_or(refused);
        if is_over {
            return Err(refused);
        }
        first = Some(refused);
        algorithms = rest;
    };
    authenticate(&mut handle, hop, &settings.asker).await?;
    Ok(handle)
}

/// The stream to a hop: through the hop before it, to this machine, through a command, or by TCP.
async fn way(settings: &Settings, hop: &Hop, before: Option<&Handle<Client>>) -> Result<(Tapped, Heard), Refused> {
    let address = &hop.address;
    if let Some(before) = before {
        let opened = before.channel_open_direct_tcpip(hop.host(), u32::from(address.port), "127.0.0.1", 0);
        let opened = timeout(DIAL, opened).await;
        let opened = opened.map_err(|_| failure::timeout(address, "the way there from the hop before it", DIAL))?;
        return match opened {
            Ok(channel) => Ok(Tapped::new(channel.into_stream())),
            Err(russh::Error::ChannelOpenFailure(why)) => {
                Err(failure::no_forward(address, matches!(why, ChannelOpenFailure::AdministrativelyProhibited)).into())
            }
            Err(error) => Err(failure::lost(address, "going on from the hop before it", &error).into()),
        };
    }
    if settings.is_local {
        return Ok(Tapped::new(local::connect()));
    }
    if let Some(command) = &settings.proxy_command {
        return Ok(Tapped::new(process::piped(command)?));
    }
    Ok(Tapped::new(dial(address, hop.host()).await?))
}

async fn dial(address: &Address, host: &str) -> Result<TcpStream, Refused> {
    let named = tokio::net::lookup_host((host, address.port)).await;
    let mut last = None;
    for socket in named.map_err(|error| failure::dns(address, &error))? {
        match timeout(DIAL, TcpStream::connect(socket)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                last = Some(Refused { stage: Stage::Door, error: failure::tcp(address, &error) });
            }
            Ok(Err(error)) => last = Some(failure::tcp(address, &error).into()),
            Err(_) => last = Some(failure::timeout(address, "the TCP connection", DIAL).into()),
        }
    }
    Err(last.unwrap_or_else(|| failure::dns(address, &std::io::Error::other("it has no address")).into()))
}

async fn handshake(
    hop: &Hop,
    algorithms: &[Algorithm],
    listener: &Listener,
    (stream, heard): (Tapped, Heard),
) -> Result<Handle<Client>, Refused> {
    let address = &hop.address;
    let client = Client::new(hop, listener);
    let (name, port) = hop.name();
    let config = config(algorithms, hop.host_keys.has_authority(name, port));
    let connecting = client::connect_stream(Arc::new(config), stream, client);
    let silent = async {
        tokio::time::sleep(GREETING).await;
        if !heard.is_silent() {
            std::future::pending::<()>().await;
        }
    };
    let connected = tokio::select! {
        connected = timeout(HANDSHAKE, connecting) => connected,
        () = silent => return Err(failure::silent(address, GREETING).into()),
    };
    match connected {
        Err(_) => Err(failure::timeout(address, "the SSH key exchange", HANDSHAKE).into()),
        Ok(Ok(handle)) => Ok(handle),
        Ok(Err(ClientError::HostKey { kind, unknown, error })) => Err(Refused { stage: Stage::HostKey { kind, unknown }, error }),
        Ok(Err(ClientError::Ssh(_))) if !heard.is_silent() && !heard.is_ssh() => {
            let said = heard.text();
            // What sshd says in place of its greeting when it turns somebody away.
            let error = failure::not_ssh(address, &said);
            let stage = if failure::is_turned_away(&said) { Stage::Greeting } else { Stage::Other };
            Err(Refused { stage, error })
        }
        Ok(Err(ClientError::Ssh(error))) if heard.is_silent() => {
            Err(Refused { stage: Stage::Greeting, error: failure::no_greeting(address, &error) })
        }
        Ok(Err(ClientError::Ssh(error))) => Err(failure::handshake(address, &error).into()),
    }
}

/// The settings that measured best; see docs/architecture.md.
fn config(algorithms: &[Algorithm], certificates: bool) -> client::Config {
    let default = Preferred::DEFAULT;
    // Without strict key exchange, which a server may lack, who is in the middle can take messages out of the beginning of a
    // session that is encrypted with ChaCha20 (CVE-2023-48795): it is not offered.
    let left_out = [cipher::AES_128_GCM, cipher::CHACHA20_POLY1305];
    let mut ciphers = vec![cipher::AES_128_GCM];
    ciphers.extend(default.cipher.iter().filter(|name| !left_out.contains(name)).copied());
    // Some servers of companies, hardened by a rule of their own, have the curves of NIST alone. The names at the end of the
    // list are no exchanges, but what is said about them.
    let mut exchanges: Vec<kex::Name> = default.kex.to_vec();
    let end = exchanges.iter().position(|name| *name == kex::DH_GEX_SHA256).unwrap_or(exchanges.len());
    exchanges.splice(end..end, [kex::ECDH_SHA2_NISTP256, kex::ECDH_SHA2_NISTP384, kex::ECDH_SHA2_NISTP521]);
    client::Config {
        window_size: 16 * 1024 * 1024,
        maximum_packet_size: 65_535,
        inactivity_timeout: None,
        keepalive_interval: Some(Duration::from_secs(15)),
        keepalive_max: 3,
        nodelay: true,
        preferred: Preferred {
            kex: Cow::Owned(exchanges),
            key: Cow::Owned(algorithms.to_vec()),
            host_key_certificates: Cow::Owned(if certificates { all_algorithms() } else { Vec::new() }),
            cipher: Cow::Owned(ciphers),
            ..default
        },
        ..client::Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_key_exchange_stays_and_sha1_signatures_do_not() {
        let config = config(&all_algorithms(), false);
        for name in Preferred::DEFAULT.kex.iter() {
            assert!(config.preferred.kex.contains(name), "{name:?}");
        }
        assert_eq!(config.preferred.kex[0], Preferred::DEFAULT.kex[0]);
        assert!(config.preferred.kex.contains(&kex::ECDH_SHA2_NISTP256));
        assert!(!config.preferred.key.contains(&Algorithm::Rsa { hash: None }));
        assert_eq!(config.preferred.cipher[0], cipher::AES_128_GCM);
        // A server without strict key exchange is safe by what the sessions are encrypted with.
        let safe = [cipher::AES_128_GCM, cipher::AES_256_GCM, cipher::AES_256_CTR, cipher::AES_192_CTR, cipher::AES_128_CTR];
        assert!(config.preferred.cipher.iter().all(|name| safe.contains(name)), "{:?}", config.preferred.cipher);
    }
}
