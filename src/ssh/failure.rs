//! Which stage of a connection failed, and what to check.

use std::time::Duration;

use crate::error::Error;
use crate::text::printable;

use super::Address;

pub(super) fn dns(address: &Address, error: &std::io::Error) -> Error {
    Error::failed(format!("{address}: its name does not resolve: {error}")).hint("is the host in deploy.toml spelled right?")
}

pub(super) fn tcp(address: &Address, error: &std::io::Error) -> Error {
    let failed = Error::failed(format!("{address}: no TCP connection to port {}: {error}", address.port));
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => failed.hint(format!(
            "nothing listens on port {} there, or a firewall refuses this machine (ufw limit does, for half a minute after six \
             connections)",
            address.port
        )),
        _ => failed.hint("is the server up, and does its firewall let this machine in?"),
    }
}

pub(super) fn timeout(address: &Address, stage: &str, limit: Duration) -> Error {
    Error::failed(format!("{address}: {stage} took longer than {} s", limit.as_secs()))
        .hint("a firewall that drops packets looks like this; so does an overloaded server")
}

pub(super) fn silent(address: &Address, limit: Duration) -> Error {
    Error::failed(format!(
        "{address}: port {} takes connections and says nothing: no SSH server greeted within {} s",
        address.port,
        limit.as_secs()
    ))
    .hint("is it the port of sshd? A load balancer or another program looks like this, and so does a server without memory left")
}

/// What sshd says in place of its greeting when it turns somebody away.
pub(super) fn is_turned_away(said: &str) -> bool {
    ["Exceeded MaxStartups", "Not allowed at this time", "Too many"].iter().any(|words| said.contains(words))
}

pub(super) fn not_ssh(address: &Address, said: &str) -> Error {
    let first = printable(said.lines().next().unwrap_or_default());
    if is_turned_away(said) {
        return Error::failed(format!("{address}: the server turned this connection away: {first}")).hint(
            "sshd does that when too many connections come at once (MaxStartups), or after failed logins (PerSourcePenalties)",
        );
    }
    let who = if said.starts_with("HTTP/") { "a web server" } else { "no SSH server" };
    Error::failed(format!("{address}: {who} answers on port {}: it said `{first}`", address.port))
        .hint("the port of sshd stands in `hosts`, as user@host:port")
}

pub(super) fn no_greeting(address: &Address, error: &russh::Error) -> Error {
    Error::failed(format!("{address}: the connection was closed before the SSH server greeted: {error}"))
        .hint("sshd does that when too many connections wait (MaxStartups), or when this address is banned (fail2ban)")
}

pub(super) fn no_forward(address: &Address, is_prohibited: bool) -> Error {
    if is_prohibited {
        return Error::failed(format!("{address}: the hop before it does not let connections through")).hint(
            "its sshd_config needs `AllowTcpForwarding yes` (or `local`) for that user, and no PermitOpen without this address",
        );
    }
    Error::failed(format!("{address}: the hop before it cannot reach it"))
        .hint("the name is looked up there, and the connection made from there: try `ssh` to it from that machine")
}

pub(super) fn handshake(address: &Address, error: &russh::Error) -> Error {
    match error {
        russh::Error::NoCommonAlgo { .. } => {
            Error::failed(format!("{address}: client and server have no algorithm in common: {error}"))
                .hint("an SSH server this old cannot be trusted with a deploy; update it")
        }
        russh::Error::HUP | russh::Error::Disconnect | russh::Error::IO(_) => {
            Error::failed(format!("{address}: the server ended the connection during the key exchange: {error}"))
                .hint("sshd does that when too many connections wait (MaxStartups), or when this address is banned")
        }
        other => Error::failed(format!("{address}: the key exchange failed: {other}")),
    }
}

pub(super) fn lost(address: &Address, doing: &str, why: impl std::fmt::Display) -> Error {
    Error::failed(format!("{address}: the connection was lost while {doing}: {why}"))
}
