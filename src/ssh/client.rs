//! What the session's loop asks while it runs: is this the server's key, and who takes what comes through a forwarded port.

use russh::Channel;
use russh::client::{self, ChannelOpenHandle, Msg, Session};
use russh::keys::{PublicKey, PublicKeyOrCertificate};

use crate::error::Error;

use super::hostkey::family;
use super::listener::Listener;
use super::settings::Hop;

/// One hop's connection, as the session's loop calls it.
pub(super) struct Client {
    hop: Hop,
    listener: Listener,
}

impl Client {
    pub(super) fn new(hop: &Hop, listener: &Listener) -> Self {
        Self { hop: hop.clone(), listener: listener.clone() }
    }
}

#[derive(Debug)]
pub(super) enum ClientError {
    Ssh(russh::Error),
    HostKey { kind: String, unknown: Option<Box<PublicKey>>, error: Error },
}

impl From<russh::Error> for ClientError {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

impl client::Handler for Client {
    type Error = ClientError;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, ClientError> {
        let host_keys = &self.hop.host_keys;
        let (name, port) = self.hop.name();
        let (checked, plain) = match key {
            PublicKeyOrCertificate::PublicKey { key, .. } => (host_keys.verify(name, port, key), key.clone()),
            PublicKeyOrCertificate::Certificate(certificate) => {
                (host_keys.verify_certificate(name, port, certificate), key.public_key())
            }
        };
        let kind = family(&plain.algorithm());
        let unknown = host_keys.is_unknown(name, port).then(|| Box::new(plain));
        checked.map(|()| true).map_err(|error| ClientError::HostKey { kind, unknown, error })
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
