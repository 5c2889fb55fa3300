//! The hosts that a line of known_hosts is for: patterns, negations and hashes, as sshd(8) has them.

use hmac::{Hmac, KeyInit, Mac};
use russh::keys::ssh_key::known_hosts::HostPatterns;
use sha1::Sha1;

/// `host`, or `[host]:port` where the port is not 22.
pub(super) fn name_with_port(host: &str, port: u16) -> String {
    if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") }
}

/// Is that host one of those that a line is for?
pub(super) fn matches(patterns: &HostPatterns, host: &str, port: u16) -> bool {
    let name = name_with_port(host, port).to_lowercase();
    match patterns {
        HostPatterns::HashedName { salt, hash } => {
            let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(salt) else { return false };
            mac.update(name.as_bytes());
            mac.verify_slice(hash).is_ok()
        }
        HostPatterns::Patterns(patterns) => {
            let mut found = false;
            for pattern in patterns {
                match pattern.strip_prefix('!') {
                    Some(not) if glob(&not.to_lowercase(), &name) => return false,
                    Some(_) => {}
                    None => found |= glob(&pattern.to_lowercase(), &name),
                }
            }
            found
        }
    }
}

/// `*` is any text, `?` any one character.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    p = at + 1;
                    t = from + 1;
                    star = Some((at, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashed_names_match() {
        // ssh-keygen -H of a line for `h`, made with the salt of twenty zero bytes.
        let mut mac = Hmac::<Sha1>::new_from_slice(&[0; 20]).unwrap();
        mac.update(b"h");
        let hash: [u8; 20] = mac.finalize().into_bytes().into();
        let patterns = HostPatterns::HashedName { salt: vec![0; 20], hash };
        assert!(matches(&patterns, "h", 22) && !matches(&patterns, "i", 22));
    }
}
