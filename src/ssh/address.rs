//! `user@host[:port]`.

use std::fmt;

use crate::config::LOCAL;
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
    /// Reads `user@host`, `user@host:port`, `user@[v6]:port`, each with `ssh://` before it or not.
    pub fn parse(text: &str) -> Result<Self> {
        match Self::parse_optional(text)? {
            (Some(user), host, port) => Ok(Self { user, host, port: port.unwrap_or(22) }),
            (None, ..) => Err(wrong(text).hint("the user must be one who may run docker on the server")),
        }
    }

    /// The same where the user may be missing: user, host and port, as far as they are given.
    pub(super) fn parse_optional(text: &str) -> Result<(Option<String>, String, Option<u16>)> {
        let bare = text.strip_prefix("ssh://").map_or(text, |rest| rest.strip_suffix('/').unwrap_or(rest));
        let (user, rest) = bare.rsplit_once('@').map_or((None, bare), |(user, rest)| (Some(user), rest));
        let (host, port) = match rest.strip_prefix('[') {
            Some(v6) => {
                let (host, after) = v6.split_once(']').ok_or_else(|| wrong(text))?;
                let port = after.strip_prefix(':');
                if !after.is_empty() && port.is_none() {
                    return Err(wrong(text));
                }
                (host, port)
            }
            None if rest.matches(':').count() > 1 => {
                // Its last group may be a port that somebody forgot the brackets for.
                let is_unclear = rest
                    .rsplit_once(':')
                    .is_some_and(|(before, last)| last.parse::<u16>().is_ok() && before.parse::<std::net::Ipv6Addr>().is_ok());
                if is_unclear || rest.split('%').next().and_then(|address| address.parse::<std::net::Ipv6Addr>().ok()).is_none() {
                    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
                    let (before, last) = rest.rsplit_once(':').unwrap_or((rest, ""));
                    return Err(Error::input(format!("`{text}`: an IPv6 address with a port stands in brackets"))
                        .hint(format!("write {user}[{before}]:{last}, or {user}[{rest}] where all of it is the address")));
                }
                (rest, None)
            }
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map(|port| port.parse().ok().filter(|port| *port != 0).ok_or_else(|| wrong(text))).transpose()?;
        let is_odd = |text: &str| text.starts_with('-') || text.contains(|c: char| c.is_whitespace() || c.is_control());
        if user.is_some_and(|user| user.is_empty() || is_odd(user) || user.contains(['/', ':']))
            || host.is_empty()
            || is_odd(host)
        {
            return Err(wrong(text));
        }
        Ok((user.map(str::to_owned), host.to_owned(), port))
    }
}

fn wrong(text: &str) -> Error {
    Error::input(format!("`{text}` is not user@host or user@host:port"))
}

impl Address {
    /// This very machine, and the user who runs this.
    pub fn local() -> Self {
        Self { user: String::new(), host: LOCAL.into(), port: 22 }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.user.is_empty() && self.host == LOCAL {
            return f.write_str(LOCAL);
        }
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
        for (text, is) in [
            ("a@::1", "a@[::1]"),
            ("ssh://root@h:23", "root@h:23"),
            ("ssh://root@h/", "root@h"),
            ("a@2001:db8::10", "a@[2001:db8::10]"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), is);
        }
        let unclear = Address::parse("root@fe80::1:2305").unwrap_err().to_string();
        assert!(unclear.contains("root@[fe80::1]:2305"), "{unclear}");
        for text in [
            "",
            "host",
            "@h",
            "a@",
            "a@h:0",
            "a@h:x",
            "a@h:99999",
            "a b@h",
            "a@[::1",
            "a@-oProxyCommand=x",
            "ssh://a:b@h",
            "a@::1:99999",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
