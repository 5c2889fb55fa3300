//! Is the server the one we mean? Pinned fingerprints, known_hosts lines, or a known_hosts file, with the
//! markers, patterns, negations and hashes of sshd(8), and certificates of hosts.

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use camino::{Utf8Path, Utf8PathBuf};
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, KnownHosts, Marker};
use russh::keys::{Algorithm, Certificate, EcdsaCurve, HashAlg, PublicKey};

use crate::config::KNOWN_HOSTS;
use crate::error::{Error, Result};
use crate::report::Asker;
use crate::text::read_limited;

use super::patterns::{glob, matches, name_with_port};

/// What is known of a server's host keys.
#[derive(Debug, Clone, Default)]
pub struct HostKeys {
    fingerprints: Vec<Fingerprint>,
    entries: Vec<Entry>,
    /// Keys of any host.
    keys: Vec<PublicKey>,
    from: Vec<String>,
    /// What a person said yes to, by the name that it was asked for.
    accepted: Arc<Mutex<Vec<(String, PublicKey)>>>,
    /// The known_hosts file that such a key is added to. Without one nobody is asked.
    kept_in: Option<Utf8PathBuf>,
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
    /// A line of `ssh-keygen -l`, and a public key without a host, are taken too. Anything else is an input error; so is a file
    /// that is missing, but for the usual one.
    pub fn read(given: &[String], folder: &Utf8Path, home: Option<&str>) -> Result<Self> {
        let mut keys = Self { from: given.to_vec(), ..Self::default() };
        for one in given {
            let one = one.trim();
            if one == KNOWN_HOSTS {
                keys.kept_in = home.map(|home| Utf8Path::new(home).join(&KNOWN_HOSTS[2..]));
                let is_there = keys.kept_in.as_ref().is_some_and(|path| path.exists());
                if !is_there {
                    continue;
                }
            }
            if let Some(fingerprint) = fingerprint(one)? {
                keys.fingerprints.push(fingerprint);
            } else if let Ok(key) = PublicKey::from_openssh(one) {
                keys.keys.push(key);
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
                        .hint("host-keys holds fingerprints (SHA256:…), public keys, known_hosts lines or known_hosts files")
                })?;
                // A line of a file that cannot be read is passed over, as ssh does.
                keys.entries.extend(KnownHosts::new(&text).flatten());
            }
        }
        Ok(keys)
    }

    /// The same, and what these known_hosts files hold, as far as they are there.
    #[must_use]
    pub fn with_files(mut self, files: &[String], home: Option<&str>) -> Self {
        let usual = KNOWN_HOSTS.strip_prefix('~').unwrap_or_default();
        for file in files {
            let path = match (file.strip_prefix("~/"), home) {
                (Some(rest), Some(home)) => Utf8Path::new(home).join(rest),
                _ => file.into(),
            };
            // That one was read before.
            if !path.as_str().ends_with(usual)
                && let Ok(text) = read_limited(&path)
            {
                self.entries.extend(KnownHosts::new(&text).flatten());
            }
        }
        self
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
        let name = name_with_port(host, port);
        let of_any = self.keys.iter().any(|pinned| pinned.key_data() == key.key_data());
        let is_accepted = |(of, accepted): &(String, PublicKey)| *of == name && accepted.key_data() == key.key_data();
        let accepted = self.accepted.lock().is_ok_and(|all| all.iter().any(is_accepted));
        if pinned.contains(&fingerprint.as_str()) || plain.iter().any(|entry| same(entry)) || of_any || accepted {
            return Ok(());
        }
        let line = format!("{name} {}", key.to_openssh().unwrap_or_default());
        let known: Vec<String> = pinned
            .into_iter()
            .map(str::to_owned)
            .chain(plain.iter().map(|entry| entry.public_key().fingerprint(HashAlg::Sha256).to_string()))
            .chain(self.keys.iter().map(|key| key.fingerprint(HashAlg::Sha256).to_string()))
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

    /// Says yes to a certificate of this host, valid now, that a pinned authority has signed; or to its key, where that is pinned.
    pub fn verify_certificate(&self, host: &str, port: u16, certificate: &Certificate) -> Result<()> {
        let name = name_with_port(host, port);
        let key = PublicKey::new(certificate.public_key().clone(), "");
        let of_host = |entry: &&Entry| matches(entry.host_patterns(), host, port);
        let revoked = self.entries.iter().filter(of_host).filter(|entry| entry.marker() == Some(&Marker::Revoked));
        let is_revoked =
            |entry: &Entry| [certificate.public_key(), certificate.signature_key()].contains(&entry.public_key().key_data());
        if revoked.clone().any(is_revoked) {
            return Err(Error::failed(format!(
                "{name}: the host's certificate, or the authority that signed it, is marked as revoked"
            )));
        }
        let authorities = self.authorities(host, port).map(|entry| entry.public_key().fingerprint(HashAlg::Sha256));
        let authorities: Vec<_> = authorities.collect();
        let signer = certificate.signature_key().fingerprint(HashAlg::Sha256);
        let principals = certificate.valid_principals();
        let wrong = if certificate.cert_type() != CertType::Host {
            "it is a user's certificate".to_owned()
        } else if !authorities.contains(&signer) {
            format!("the authority {signer} signed it, which is not the one that is pinned")
        } else if !principals.is_empty() && !principals.iter().any(|one| glob(&one.to_lowercase(), &host.to_lowercase())) {
            format!("it is for {}", principals.join(", "))
        } else if certificate.critical_options().iter().next().is_some() {
            "it has critical options, which no host's certificate has".to_owned()
        } else if let Err(error) = certificate.validate(&authorities) {
            let bound = |time: Option<std::time::SystemTime>| {
                time.and_then(|time| jiff::Timestamp::try_from(time).ok()).map_or_else(|| "?".to_owned(), |time| time.to_string())
            };
            let (from, to) = (bound(certificate.valid_after_time()), bound(certificate.valid_before_time()));
            format!("{error}: it is valid from {from} to {to}")
        } else {
            return Ok(());
        };
        self.verify(host, port, &key).map_err(|error| {
            error.while_doing(format!(
                "the host's certificate `{}` does not count ({wrong})",
                crate::text::printable(certificate.key_id())
            ))
        })
    }

    fn authorities(&self, host: &str, port: u16) -> impl Iterator<Item = &Entry> {
        let is_one = |entry: &&Entry| entry.marker() == Some(&Marker::CertAuthority);
        self.entries.iter().filter(is_one).filter(move |entry| matches(entry.host_patterns(), host, port))
    }

    /// Is there an authority that signs this host's certificates?
    pub(super) fn has_authority(&self, host: &str, port: u16) -> bool {
        self.authorities(host, port).next().is_some()
    }

    /// Is there a fingerprint for this host? It does not tell what kind of key it is of.
    pub(super) fn has_fingerprints(&self, host: &str, port: u16) -> bool {
        self.fingerprints_of(host, port).next().is_some()
    }

    /// Is there nothing to compare this host's key with?
    pub(super) fn is_unknown(&self, host: &str, port: u16) -> bool {
        let has_line = self.entries.iter().any(|entry| matches(entry.host_patterns(), host, port));
        !has_line && self.keys.is_empty() && !self.has_fingerprints(host, port)
    }

    /// Asks a person whether this key is that server's, and keeps it where the answer is yes.
    pub(super) async fn ask(&self, asker: &Asker, host: &str, port: u16, key: &PublicKey) -> bool {
        let Some(path) = self.kept_in.as_ref().filter(|_| asker.is_there()) else { return false };
        let name = name_with_port(host, port);
        let question = format!(
            "{name} is not known yet. It showed a key of the kind {} with the fingerprint\n  {}\nIs that what its console says \
             (`ssh-keygen -lf` on /etc/ssh/ssh_host_*.pub)? `yes` keeps it in {path}: ",
            key.algorithm(),
            key.fingerprint(HashAlg::Sha256)
        );
        if asker.ask(question, true).await.as_deref() != Some("yes") {
            return false;
        }
        let line = format!("{name} {}\n", key.to_openssh().unwrap_or_default().trim());
        let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let file = folder.and_then(|()| std::fs::OpenOptions::new().create(true).append(true).open(path));
        // Where it cannot be kept it holds for this process.
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
        self.accepted.lock().is_ok_and(|mut all| {
            all.push((name, key.clone()));
            true
        })
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
                .map(Entry::public_key)
                .chain(&self.keys)
                .any(|key| family(&key.algorithm()) == family(algorithm))
        };
        let mut all = all_algorithms();
        all.sort_by_key(|algorithm| !known(algorithm));
        all
    }
}

/// Reads `SHA256:…`, `HOST SHA256:…` or a line of `ssh-keygen -l`; `None` is something else.
fn fingerprint(text: &str) -> Result<Option<Fingerprint>> {
    let words: Vec<&str> = text.split_whitespace().collect();
    // Its bits, the fingerprint, a comment, and the kind in brackets.
    let text = match words.as_slice() {
        [bits, digest, .., kind] if bits.parse::<u32>().is_ok() && kind.starts_with('(') => digest,
        _ => text,
    };
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

#[cfg(test)]
mod tests {
    use russh::keys::PrivateKey;
    use russh::keys::ssh_key::certificate::Builder;

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
        assert!(verdict(&[&format!("256 {fingerprint} root@h (ED25519)")], "h", 22).is_ok());
        assert!(verdict(&["KEY root@h"], "h", 22).is_ok());
        assert!(verdict(&["OTHER"], "h", 22).is_err());
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

    fn certificate(authority: &PrivateKey, kind: CertType, name: &str) -> Certificate {
        let key = PublicKey::from_openssh(KEY).unwrap();
        let mut rng = russh::keys::key::safe_rng();
        let mut builder = Builder::new_with_random_nonce(&mut rng, key.key_data().clone(), 0, u64::MAX >> 1).unwrap();
        builder.cert_type(kind).unwrap();
        builder.valid_principal(name).unwrap();
        builder.sign(authority).unwrap()
    }

    #[test]
    fn a_certificate_counts_for_the_host_that_a_pinned_authority_signed_it_for() {
        let mut rng = russh::keys::key::safe_rng();
        let authority = PrivateKey::random(&mut rng, Algorithm::Ed25519).unwrap();
        let stranger = PrivateKey::random(&mut rng, Algorithm::Ed25519).unwrap();
        let line = format!("@cert-authority *.example.com {}", authority.public_key().to_openssh().unwrap());
        let revoked = format!("@revoked * {}", authority.public_key().to_openssh().unwrap());
        let keys = |lines: &[&str]| {
            let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            HostKeys::read(&lines, Utf8Path::new(""), None).unwrap()
        };
        let known = keys(&[&line]);
        let of = |name: &str| certificate(&authority, CertType::Host, name);
        assert!(known.has_authority("a.example.com", 22) && !known.has_authority("a.example.org", 22));
        assert_eq!(known.verify_certificate("a.example.com", 22, &of("a.example.com")), Ok(()));
        for (host, certificate, said) in [
            ("b.example.com", of("a.example.com"), "it is for a.example.com"),
            ("a.example.org", of("a.example.org"), "not the one that is pinned"),
            ("a.example.com", certificate(&stranger, CertType::Host, "a.example.com"), "not the one that is pinned"),
            ("a.example.com", certificate(&authority, CertType::User, "a.example.com"), "user's certificate"),
        ] {
            let error = known.verify_certificate(host, 22, &certificate).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let error = keys(&[&line, &revoked]).verify_certificate("a.example.com", 22, &of("a.example.com")).unwrap_err();
        assert!(error.to_string().contains("revoked"), "{error}");
        // Where the key itself is pinned, the certificate need not count.
        let both = keys(&[&line, &format!("b.example.com {KEY}")]);
        assert_eq!(both.verify_certificate("b.example.com", 22, &of("a.example.com")), Ok(()));
    }

    #[tokio::test]
    async fn a_person_is_asked_once_for_a_host_that_is_not_known() {
        let (_kept, home) = crate::private::folder().unwrap();
        let given = [KNOWN_HOSTS.to_owned()];
        let read = || HostKeys::read(&given, Utf8Path::new(""), Some(home.as_str())).unwrap();
        let (keys, key) = (read(), PublicKey::from_openssh(KEY).unwrap());
        assert!(keys.is_unknown("h", 2222) && !keys.ask(&Asker::nobody(), "h", 2222, &key).await);
        assert!(!keys.ask(&Asker::new(|_, _| Some("y".into())), "h", 2222, &key).await);
        assert!(keys.verify("h", 2222, &key).is_err());
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let asked = move |question: &str, _| question.contains(&fingerprint).then(|| "yes".into());
        assert!(keys.ask(&Asker::new(asked), "h", 2222, &key).await);
        assert_eq!(keys.verify("h", 2222, &key), Ok(()));
        assert!(keys.verify("i", 2222, &key).is_err());
        let later = read();
        assert_eq!(later.verify("h", 2222, &key), Ok(()));
        assert!(!later.is_unknown("h", 2222));
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
