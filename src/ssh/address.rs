//! `user@host[:port]`.

use std::fmt;

use crate::error::{Error, Result};

/// Where to connect to, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The user on the server.
    pub user: String,
    /// A name or an address; IPv6 without its brackets.
    pub host: String,
    /// 22 where none is given.
    pub port: u16,
}

impl Address {
    /// Reads `user@host`, `user@host:port` and `user@[v6]:port`.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || Error::input(format!("`{text}` is not user@host or user@host:port"));
        let (user, rest) = text.split_once('@').ok_or_else(wrong)?;
        let (host, port) = match rest.strip_prefix('[') {
            Some(v6) => {
                let (host, after) = v6.split_once(']').ok_or_else(wrong)?;
                (host, after.strip_prefix(':'))
            }
            None => match rest.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (rest, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?,
            None => 22,
        };
        if user.is_empty() || host.is_empty() || text.contains(char::is_whitespace) {
            return Err(wrong());
        }
        Ok(Self { user: user.to_owned(), host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match self.port {
            22 => write!(f, "{}@{host}", self.user),
            port => write!(f, "{}@{host}:{port}", self.user),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_addresses() {
        for text in ["deploy@example.com", "root@127.0.0.1:2222", "a@[::1]:22022"] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Address::parse("a@::1").unwrap().host, "::1");
        for text in ["", "host", "@h", "a@", "a@h:0", "a@h:x", "a@h:99999", "a b@h", "a@[::1"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
