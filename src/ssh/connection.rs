//! Connecting and authenticating.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use russh::client::{self, AuthResult, ChannelOpenHandle, Handle, Msg, Session};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, HashAlg, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, MethodKind, Preferred, cipher};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::error::{Error, Result};

use super::hostkey::family;
use super::listener::Listener;
use super::{Address, HostKeys, Identity, Traffic, failure};

/// How to get to one server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it is. Hops on the way there will stand beside it.
    pub address: Address,
    /// Its host keys.
    pub host_keys: HostKeys,
    /// Who we are.
    pub identity: Identity,
    /// What has gone there and back.
    pub traffic: Traffic,
}

const DIAL: Duration = Duration::from_secs(15);
/// A server that cannot be reached again for this long is gone.
const PATIENCE: Duration = Duration::from_secs(120);
const HANDSHAKE: Duration = Duration::from_secs(20);

/// An authenticated connection. All commands of a host go over one; bulk data over another of its own.
pub struct Connection {
    pub(super) handle: Handle<Client>,
    pub(super) address: Address,
    pub(super) listener: Listener,
    pub(super) traffic: Traffic,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({})", self.address)
    }
}

impl Connection {
    /// Dials, verifies the host key, authenticates.
    ///
    /// Errors say which stage failed: name, TCP, key exchange, host key, authentication.
    pub async fn open(settings: &Settings) -> Result<Self> {
        let mut algorithms = settings.host_keys.algorithms(&settings.address.host, settings.address.port);
        let listener = Listener::default();
        let mut handle = loop {
            match Self::handshake(settings, &algorithms, &listener).await {
                Ok(handle) => break handle,
                // A fingerprint does not tell its key's kind: ask for the server's keys of other kinds
                // before saying that none of them is pinned.
                Err(Refused::HostKey(seen, error)) if settings.host_keys.only_fingerprints() => {
                    let rest: Vec<Algorithm> = algorithms.iter().filter(|one| family(one) != seen).cloned().collect();
                    if rest.is_empty() || rest.len() == algorithms.len() {
                        return Err(error);
                    }
                    match Self::handshake(settings, &rest, &listener).await {
                        Ok(handle) => break handle,
                        Err(Refused::HostKey(..)) => algorithms = rest,
                        Err(Refused::Other(_)) => return Err(error),
                    }
                }
                Err(Refused::HostKey(_, error) | Refused::Other(error)) => return Err(error),
            }
        };
        authenticate(&mut handle, settings).await?;
        Ok(Self { handle, address: settings.address.clone(), listener, traffic: settings.traffic.clone() })
    }

    /// The same after a connection was lost: tries for two minutes.
    pub async fn again(settings: &Settings) -> Result<Self> {
        let started = Instant::now();
        loop {
            match Self::open(settings).await {
                Ok(connection) => return Ok(connection),
                Err(error) if started.elapsed() > PATIENCE => return Err(error.while_doing("the connection did not come back")),
                Err(_) => tokio::time::sleep(Duration::from_millis(300)).await,
            }
        }
    }

    /// Is it over?
    pub fn is_lost(&self) -> bool {
        self.handle.is_closed()
    }

    async fn handshake(
        settings: &Settings,
        algorithms: &[Algorithm],
        listener: &Listener,
    ) -> std::result::Result<Handle<Client>, Refused> {
        let address = &settings.address;
        let stream = dial(address).await.map_err(Refused::Other)?;
        let client = Client { settings: settings.clone(), listener: listener.clone() };
        let connecting = client::connect_stream(Arc::new(config(algorithms)), stream, client);
        match timeout(HANDSHAKE, connecting).await {
            Err(_) => Err(Refused::Other(failure::timeout(address, "the SSH key exchange", HANDSHAKE))),
            Ok(Ok(handle)) => Ok(handle),
            Ok(Err(ClientError::HostKey(seen, error))) => Err(Refused::HostKey(seen, error)),
            Ok(Err(ClientError::Ssh(error))) => Err(Refused::Other(failure::handshake(address, &error))),
        }
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

enum Refused {
    HostKey(String, Error),
    Other(Error),
}

async fn dial(address: &Address) -> Result<TcpStream> {
    let named =
        tokio::net::lookup_host((address.host.as_str(), address.port)).await.map_err(|error| failure::dns(address, &error))?;
    let mut last = None;
    for socket in named {
        match timeout(DIAL, TcpStream::connect(socket)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = Some(failure::tcp(address, &error)),
            Err(_) => last = Some(failure::timeout(address, "the TCP connection", DIAL)),
        }
    }
    Err(last.unwrap_or_else(|| failure::dns(address, &std::io::Error::other("it has no address"))))
}

/// The settings that measured best; see docs/architecture.md.
fn config(algorithms: &[Algorithm]) -> client::Config {
    let default = Preferred::DEFAULT;
    // Without strict key exchange, which a server may lack, who is in the middle can take messages out of the beginning of a
    // session that is encrypted with ChaCha20 (CVE-2023-48795): it is not offered.
    let left_out = [cipher::AES_128_GCM, cipher::CHACHA20_POLY1305];
    let mut ciphers = vec![cipher::AES_128_GCM];
    ciphers.extend(default.cipher.iter().filter(|name| !left_out.contains(name)).copied());
    client::Config {
        window_size: 16 * 1024 * 1024,
        maximum_packet_size: 65_535,
        inactivity_timeout: None,
        keepalive_interval: Some(Duration::from_secs(15)),
        keepalive_max: 3,
        nodelay: true,
        preferred: Preferred { key: Cow::Owned(algorithms.to_vec()), cipher: Cow::Owned(ciphers), ..default },
        ..client::Config::default()
    }
}

async fn authenticate(handle: &mut Handle<Client>, settings: &Settings) -> Result<()> {
    let address = &settings.address;
    let lost = |error: &dyn std::fmt::Display| failure::lost(address, "authenticating", error);
    let mut tried = Vec::new();
    let mut offered = Vec::new();
    match &settings.identity {
        Identity::Key(key) => {
            let hash = rsa_hash(handle, &key.algorithm()).await;
            tried.push(key.public_key().clone());
            let key = PrivateKeyWithHashAlg::new(key.clone(), hash);
            match handle.authenticate_publickey(&address.user, key).await.map_err(|error| lost(&error))? {
                AuthResult::Success => return Ok(()),
                AuthResult::Failure { remaining_methods, .. } => offered = remaining_methods.to_vec(),
            }
        }
        Identity::Agent(socket) => {
            let cannot = |error: &dyn std::fmt::Display| {
                Error::failed(format!("the SSH agent at {socket} does not answer: {error}"))
                    .hint("is it still running? `ssh-add -l`")
            };
            let mut agent = AgentClient::connect_uds(socket).await.map_err(|error| cannot(&error))?;
            for identity in agent.request_identities().await.map_err(|error| cannot(&error))? {
                let AgentIdentity::PublicKey { key, .. } = identity else { continue };
                let hash = rsa_hash(handle, &key.algorithm()).await;
                tried.push(key.clone());
                match handle.authenticate_publickey_with(&address.user, key, hash, &mut agent).await {
                    Ok(AuthResult::Success) => return Ok(()),
                    Ok(AuthResult::Failure { remaining_methods, .. }) => offered = remaining_methods.to_vec(),
                    Err(error) => return Err(cannot(&error)),
                }
            }
        }
    }
    Err(refused(settings, &tried, &offered))
}

async fn rsa_hash(handle: &Handle<Client>, algorithm: &Algorithm) -> Option<HashAlg> {
    // The question can cost a second, so it is asked for RSA keys only.
    if !matches!(algorithm, Algorithm::Rsa { .. }) {
        return None;
    }
    handle.best_supported_rsa_hash().await.ok().flatten().flatten().or(Some(HashAlg::Sha512))
}

fn refused(settings: &Settings, tried: &[russh::keys::PublicKey], offered: &[MethodKind]) -> Error {
    let address = &settings.address;
    let methods: Vec<String> = offered.iter().map(|method| format!("{method:?}").to_lowercase()).collect();
    let methods = if methods.is_empty() { String::from("nothing") } else { methods.join(", ") };
    if tried.is_empty() {
        return Error::failed(format!("{address}: no SSH key to offer; looked for {}", settings.identity.shown()))
            .hint("`ssh-add` a key, or set ESTIBA_SSH_KEY or `identity`");
    }
    let error = Error::failed(format!(
        "{address}: the server refused {} for user {}; it offers {methods}",
        settings.identity.shown(),
        address.user
    ));
    tried.iter().take(3).filter_map(|key| key.to_openssh().ok()).fold(error, |error, line| {
        error.hint(format!("to let it in, add this line to ~{}/.ssh/authorized_keys there: {line}", address.user))
    })
}

pub(super) struct Client {
    settings: Settings,
    listener: Listener,
}

#[derive(Debug)]
pub(super) enum ClientError {
    Ssh(russh::Error),
    HostKey(String, Error),
}

impl From<russh::Error> for ClientError {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

impl client::Handler for Client {
    type Error = ClientError;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, ClientError> {
        let address = &self.settings.address;
        match key {
            PublicKeyOrCertificate::PublicKey { key, .. } => self
                .settings
                .host_keys
                .verify(&address.host, address.port, key)
                .map(|()| true)
                .map_err(|error| ClientError::HostKey(family(&key.algorithm()), error)),
            // Certificates are not asked for yet, so none can come.
            PublicKeyOrCertificate::Certificate(_) => Ok(false),
        }
    }

    /// Called inside the session's own loop: the channel is handed on, and dealt with elsewhere.
    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        _address: &str,
        port: u32,
        _from: &str,
        _from_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), ClientError> {
        // What nobody asked for, and more than can be taken, is refused: a reply that is dropped says so.
        if let Some(place) = self.listener.of(port).and_then(|sender| sender.try_reserve_owned().ok()) {
            reply.accept().await;
            place.send(channel);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::hostkey::all_algorithms;
    use super::*;

    #[test]
    fn strict_key_exchange_stays_and_sha1_signatures_do_not() {
        let config = config(&all_algorithms());
        assert_eq!(config.preferred.kex, Preferred::DEFAULT.kex);
        assert!(!config.preferred.key.contains(&Algorithm::Rsa { hash: None }));
        assert_eq!(config.preferred.cipher[0], cipher::AES_128_GCM);
        // A server without strict key exchange is safe by what the sessions are encrypted with.
        let safe = [cipher::AES_128_GCM, cipher::AES_256_GCM, cipher::AES_256_CTR, cipher::AES_192_CTR, cipher::AES_128_CTR];
        assert!(config.preferred.cipher.iter().all(|name| safe.contains(name)), "{:?}", config.preferred.cipher);
    }
}
