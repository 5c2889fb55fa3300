//! How to get to a server: its address, its keys and ours, and the hops on the way.

use crate::config::Become;
use crate::report::Asker;

use super::door::Door;
use super::{Address, HostKeys, Identity, Traffic};

/// One SSH server: the one that is meant, or one on the way to it.
#[derive(Debug, Clone)]
pub struct Hop {
    /// Where it is, as it is shown.
    pub address: Address,
    /// The host behind that, where the SSH client's settings give the shown one as a short name of it.
    pub real_host: Option<String>,
    /// The name that its host keys are known by, where that is another.
    pub known_as: Option<String>,
    /// Its host keys.
    pub host_keys: HostKeys,
    /// Who we are to it.
    pub identity: Identity,
    /// May a password be typed?
    pub password: bool,
}

impl Hop {
    /// The host to connect to.
    pub(super) fn host(&self) -> &str {
        self.real_host.as_deref().unwrap_or(&self.address.host)
    }

    /// The name and port that its host keys are known by.
    pub(super) fn name(&self) -> (&str, u16) {
        // An alias stands for host and port.
        self.known_as.as_deref().map_or_else(|| (self.host(), self.address.port), |alias| (alias, 22))
    }
}

/// How to get to one server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server.
    pub server: Hop,
    /// The hops on the way there, in the order in which they are passed.
    pub jump: Vec<Hop>,
    /// Is it this very machine? Then nothing is dialled.
    pub is_local: bool,
    /// A command whose input and output lead to the first hop, in place of a TCP connection.
    pub proxy_command: Option<String>,
    /// The words before each command there: those of `sudo`, where the user needs it.
    pub r#become: Option<Become>,
    /// Whom to ask.
    pub asker: Asker,
    /// What has gone there and back.
    pub traffic: Traffic,
    /// Whether it lets this machine in just now.
    pub door: Door,
}

impl Settings {
    /// Where the server is.
    pub const fn address(&self) -> &Address {
        &self.server.address
    }
}
