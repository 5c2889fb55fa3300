//! Which stage of a connection failed, and what to check.

use std::time::Duration;

use crate::error::Error;

use super::Address;

pub(super) fn dns(address: &Address, error: &std::io::Error) -> Error {
    Error::failed(format!("{address}: its name does not resolve: {error}")).hint("is the host in deploy.toml spelled right?")
}

pub(super) fn tcp(address: &Address, error: &std::io::Error) -> Error {
    let failed = Error::failed(format!("{address}: no TCP connection to port {}: {error}", address.port));
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => failed.hint("the server answers, but no SSH server listens on that port"),
        _ => failed.hint("is the server up, and does its firewall let this machine in?"),
    }
}

pub(super) fn timeout(address: &Address, stage: &str, limit: Duration) -> Error {
    Error::failed(format!("{address}: {stage} took longer than {} s", limit.as_secs()))
        .hint("a firewall that drops packets looks like this; so does an overloaded server")
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
