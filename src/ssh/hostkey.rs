//! Is the server the one we mean? Pinned fingerprints, known_hosts lines, or a known_hosts file, with the
//! markers, patterns, negations and hashes of sshd(8).

use camino::Utf8Path;
use hmac::{Hmac, KeyInit, Mac};
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, KnownHosts, Marker};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKey};
use sha1::Sha1;

use crate::error::{Error, Result};
use crate::text::read_limited;

/// What is known of a server's host keys.
#[derive(Debug, Clone, Default)]
pub struct HostKeys {
    fingerprints: Vec<Fingerprint>,
    entries: Vec<Entry>,
    from: Vec<String>,
}

/// A fingerprint, and the hosts whose key it is of, where that is said.
#[derive(Debug, Clone)]
struct Fingerprint {
    text: String,
    hosts: Option<HostPatterns>,
}

impl HostKeys {
    /// Reads `host-keys`: each a fingerprint, a host and its fingerprint, a known_hosts line, or the path of a known_hosts
    /// file, where `~` is `home`.
    ///
    /// Anything else is an input error; a file that is missing counts as one.
    pub fn read(given: &[String], folder: &Utf8Path, home: Option<&str>) -> Result<Self> {
        let mut keys = Self { from: given.to_vec(), ..Self::default() };
        for one in given {
            let one = one.trim();
            if let Some(fingerprint) = fingerprint(one)? {
                keys.fingerprints.push(fingerprint);
            } else if one.contains(' ') {
                let read: std::result::Result<Vec<Entry>, _> = KnownHosts::new(one).collect();
                match read {
                    Ok(read) if !read.is_empty() => keys.entries.extend(read),
                    _ => return Err(Error::input(format!("host-keys: `{one}` is not a known_hosts line"))),
                }
            } else if one.starts_with("MD5:") || one.matches(':').count() == 15 {
                return Err(Error::input(format!("host-keys: `{one}` is an MD5 fingerprint, which proves nothing"))
                    .hint("use the SHA-256 one"));
            } else {
                let path = match (one.strip_prefix("~/"), home) {
                    (Some(rest), Some(home)) => Utf8Path::new(home).join(rest),
                    _ => folder.join(one),
                };
                let text = read_limited(&path).map_err(|error| {
                    error
                        .while_doing("host-keys")
                        .hint("host-keys holds fingerprints (SHA256:…), known_hosts lines or known_hosts files")
                })?;
                // A line of a file that cannot be read is passed over, as ssh does.
                keys.entries.extend(KnownHosts::new(&text).flatten());
            }
        }
        Ok(keys)
    }

    /// Says yes to a key that is pinned for this server; else why not, with what to do.
    pub fn verify(&self, host: &str, port: u16, key: &PublicKey) -> Result<()> {
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let mine = |entry: &&Entry| matches(entry.host_patterns(), host, port);
        let same = |entry: &Entry| entry.public_key().key_data() == key.key_data();
        if self.entries.iter().filter(mine).any(|entry| entry.marker() == Some(&Marker::Revoked) && same(entry)) {
            return Err(Error::failed(format!("{host}: the host key {fingerprint} is marked as revoked")));
        }
        let plain: Vec<&Entry> = self.entries.iter().filter(mine).filter(|entry| entry.marker().is_none()).collect();
        let pinned: Vec<&str> = self.fingerprints_of(host, port).collect();
        if pinned.contains(&fingerprint.as_str()) || plain.iter().any(|entry| same(entry)) {
            return Ok(());
        }
        let name = name_with_port(host, port);
        let line = format!("{name} {}", key.to_openssh().unwrap_or_default());
        let known: Vec<String> = pinned
            .into_iter()
            .map(str::to_owned)
            .chain(plain.iter().map(|entry| entry.public_key().fingerprint(HashAlg::Sha256).to_string()))
            .collect();
        if known.is_empty() {
            return Err(Error::failed(format!(
                "{name}: its host key is not known ({}); nothing was sent to it",
                self.from.join(", ")
            ))
            .hint(format!("it showed {} {fingerprint}", key.algorithm()))
            .hint(format!("if the server's console says the same: host-keys = [\"{}\"]", line.trim())));
        }
        Err(Error::failed(format!("{name}: the host key is not the one that is pinned; nothing was sent to it"))
            .hint(format!("expected {}", known.join(" or ")))
            .hint(format!("got {fingerprint} ({})", key.algorithm()))
            .hint("either the server was set up anew, or somebody is in between; ask whoever runs it before changing host-keys"))
    }

    fn fingerprints_of(&self, host: &str, port: u16) -> impl Iterator<Item = &str> {
        let mine = move |one: &&Fingerprint| one.hosts.as_ref().is_none_or(|hosts| matches(hosts, host, port));
        self.fingerprints.iter().filter(mine).map(|one| one.text.as_str())
    }

    /// Host-key algorithms in the order to ask for them: those of known keys first, as ssh does.
    pub fn algorithms(&self, host: &str, port: u16) -> Vec<Algorithm> {
        let known = |algorithm: &Algorithm| {
            self.entries
                .iter()
                .filter(|entry| matches(entry.host_patterns(), host, port) && entry.marker().is_none())
                .any(|entry| family(&entry.public_key().algorithm()) == family(algorithm))
        };
        let mut all = all_algorithms();
        all.sort_by_key(|algorithm| !known(algorithm));
        all
    }

    /// Are there only fingerprints, which do not tell what kind of key they are of?
    pub fn only_fingerprints(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Reads `SHA256:…` or `HOST SHA256:…`; `None` is something else.
fn fingerprint(text: &str) -> Result<Option<Fingerprint>> {
    let (hosts, digest) = text.rsplit_once(' ').map_or((None, text), |(hosts, digest)| (Some(hosts.trim()), digest));
    let Some(body) = digest.strip_prefix("SHA256:") else { return Ok(None) };
    let body = body.trim_end_matches('=');
    if body.len() != 43 || !body.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/') {
        return Err(Error::input(format!("host-keys: `{text}` is not a whole SHA-256 fingerprint"))
            .hint("`ssh-keyscan HOST | ssh-keygen -lf -` prints a server's; compare it with what the server's console says"));
    }
    let hosts = hosts.map(str::parse).transpose().map_err(|error| {
        Error::input(format!("host-keys: `{text}` does not begin with a host: {error}"))
            .hint("one fingerprint for one host: \"203.0.113.10 SHA256:…\", or \"[203.0.113.10]:2222 SHA256:…\"")
    })?;
    Ok(Some(Fingerprint { text: format!("SHA256:{body}"), hosts }))
}

/// The kinds of key, RSA's signature hashes taken as one.
pub(super) fn family(algorithm: &Algorithm) -> String {
    match algorithm {
        Algorithm::Rsa { .. } => "ssh-rsa".into(),
        other => other.to_string(),
    }
}

/// Every host-key algorithm that is asked for; never RSA with SHA-1.
pub(super) fn all_algorithms() -> Vec<Algorithm> {
    vec![
        Algorithm::Ed25519,
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
        Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
        Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
    ]
}

fn name_with_port(host: &str, port: u16) -> String {
    if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") }
}

fn matches(patterns: &HostPatterns, host: &str, port: u16) -> bool {
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
fn glob(pattern: &str, text: &str) -> bool {
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

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA6rWI3G1sz07DnfFlrouTcysQlj2P+jpNSOEWD9OJ3X";

    fn verdict(lines: &[&str], host: &str, port: u16) -> Result<()> {
        let lines: Vec<String> = lines.iter().map(|line| line.replace("KEY", KEY).replace("OTHER", OTHER)).collect();
        let keys = HostKeys::read(&lines, Utf8Path::new(""), None)?;
        keys.verify(host, port, &PublicKey::from_openssh(KEY).unwrap())
    }

    #[test]
    fn a_pinned_key_is_taken_by_line_pattern_and_fingerprint() {
        let fingerprint = PublicKey::from_openssh(KEY).unwrap().fingerprint(HashAlg::Sha256).to_string();
        assert!(verdict(&["h KEY"], "h", 22).is_ok());
        assert!(verdict(&["[h]:2222 KEY"], "h", 2222).is_ok());
        assert!(verdict(&["*.example.com KEY"], "a.example.com", 22).is_ok());
        assert!(verdict(&[&fingerprint], "anything", 22).is_ok());
        assert!(verdict(&["h OTHER", "h KEY"], "h", 22).is_ok());
    }

    #[test]
    fn a_fingerprint_may_be_that_of_one_host_of_a_fleet() {
        let fingerprint = PublicKey::from_openssh(KEY).unwrap().fingerprint(HashAlg::Sha256).to_string();
        let other = format!("SHA256:{}", "A".repeat(43));
        let lines = [format!("a {fingerprint}"), format!("[b]:2222,c {fingerprint}"), format!("d {other}")];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        for (host, port, good) in [("a", 22, true), ("b", 2222, true), ("c", 22, true), ("b", 22, false), ("d", 22, false)] {
            assert_eq!(verdict(&lines, host, port).is_ok(), good, "{host}:{port}");
        }
        let error = verdict(&lines, "d", 22).unwrap_err();
        assert!(error.hints.iter().any(|hint| hint.contains(&other)) && !error.hints[0].contains(&fingerprint), "{error}");
        assert!(verdict(&["a SHA256:short"], "a", 22).unwrap_err().to_string().contains("not a whole"));
    }

    #[test]
    fn anything_else_is_refused() {
        for lines in [
            vec!["h OTHER"],
            vec!["other KEY"],
            vec!["*,!h KEY"],
            vec!["[h]:2222 KEY"],
            vec!["h KEY", "@revoked h KEY"],
            vec!["@cert-authority h KEY"],
        ] {
            assert!(verdict(&lines, "h", 22).is_err(), "{lines:?}");
        }
        let error = verdict(&["h OTHER"], "h", 22).unwrap_err();
        assert!(error.hints.iter().any(|hint| hint.starts_with("expected SHA256:")), "{error}");
        assert!(verdict(&["SHA256:short"], "h", 22).is_err());
        assert!(verdict(&["no-such-file"], "h", 22).is_err());
    }

    #[test]
    fn hashed_names_match() {
        // ssh-keygen -H of a line for `h`, made with the salt of twenty zero bytes.
        let mut mac = Hmac::<Sha1>::new_from_slice(&[0; 20]).unwrap();
        mac.update(b"h");
        let hash: [u8; 20] = mac.finalize().into_bytes().into();
        let patterns = HostPatterns::HashedName { salt: vec![0; 20], hash };
        assert!(matches(&patterns, "h", 22) && !matches(&patterns, "i", 22));
    }

    #[test]
    fn any_line_is_a_host_key_or_is_refused_and_lets_nobody_else_in() {
        let fingerprint = PublicKey::from_openssh(KEY).unwrap().fingerprint(HashAlg::Sha256).to_string();
        let good = [
            format!("h {OTHER}"),
            format!("*.example.com,!x,[h]:2222 {OTHER} comment"),
            format!("@revoked h {OTHER}"),
            format!("@cert-authority * {OTHER}"),
            format!("|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA= {OTHER}"),
            format!("h SHA256:{}", "A".repeat(43)),
        ];
        let good: Vec<Vec<u8>> = good.into_iter().map(String::into_bytes).collect();
        let key = PublicKey::from_openssh(KEY).unwrap();
        crate::fuzz::read("known-hosts", &good, |text| {
            let Ok(line) = std::str::from_utf8(text) else { return };
            // Without a space it would be the path of a file.
            let line = format!("{line} ");
            if let Ok(keys) = HostKeys::read(std::slice::from_ref(&line), Utf8Path::new("/nonexistent"), None) {
                let let_in = keys.verify("h", 22, &key).is_ok() || keys.verify("h", 2222, &key).is_ok();
                assert!(!let_in || line.contains(&KEY[40..]) || line.contains(&fingerprint[7..]), "{line}");
                assert!(!keys.algorithms("h", 22).is_empty());
            }
        });
    }
}
