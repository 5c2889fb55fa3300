//! Who may speak to an endpoint on the loopback: every user of that machine reaches it, and sees the arguments of the others'
//! programs.

use base64::Engine as _;
use hyper::Request;
use hyper::header::AUTHORIZATION;

use crate::random;

/// Who may ask.
pub(crate) const USER: &str = "estiba";

/// A password for one transfer, after RFC 7617 (Basic), which is what a Docker Engine sends to a registry.
pub(super) struct Login {
    pub(super) password: String,
}

impl Login {
    /// A new one.
    pub(super) fn new() -> Self {
        Self { password: random::hex(16) }
    }

    /// What comes after `Basic`, and what Docker keeps as `auth` in a config.json.
    pub(super) fn encoded(&self) -> String {
        base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{}", self.password))
    }

    /// Does the request bring it?
    pub(super) fn lets_in<B>(&self, request: &Request<B>) -> bool {
        let given = request.headers().get(AUTHORIZATION).and_then(|given| given.to_str().ok()).unwrap_or_default();
        given.strip_prefix("Basic ") == Some(self.encoded().as_str())
    }
}
