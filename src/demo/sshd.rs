//! An SSH server inside this process, for the demo and for tests: one user, one throwaway key. It listens on the loopback
//! address only.

use russh::keys::{Algorithm, HashAlg, PrivateKey};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::ssh::serve;

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
        let allowed = client_key.public_key().clone();
        let text = client_key.to_openssh(Default::default()).map_err(|error| failed("writing the client's key", &error))?;
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve(stream, host_key.clone(), Some(allowed.clone())));
            }
        });
        Ok(Self { port, fingerprint, client_key: text.to_string(), accepting })
    }
}
