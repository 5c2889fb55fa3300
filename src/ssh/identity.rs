//! Who we are to a server: the keys and certificates that are offered to it, in their order.

use std::sync::{Arc, OnceLock};

use camino::{Utf8Path, Utf8PathBuf};
use russh::keys::ssh_key::Certificate;
use russh::keys::{HashAlg, PrivateKey, PublicKey};

use crate::error::{Error, Result};
use crate::text::read_limited;

use super::key::{parse_key, parse_or_locked};

/// Who we are to the server: what is offered to it, in this order.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    pub(super) offers: Vec<Offer>,
}

/// One thing to offer.
#[derive(Debug, Clone)]
pub(super) enum Offer {
    /// A key, and the certificates that were made for it.
    Key { key: Arc<PrivateKey>, certificates: Vec<Certificate> },
    /// A key that has a passphrase, which a person may type.
    Locked { text: Arc<str>, path: Utf8PathBuf, certificates: Vec<Certificate>, opened: Arc<OnceLock<Arc<PrivateKey>>> },
    /// The agent behind this socket: of its keys the chosen ones, or all.
    Agent { socket: Utf8PathBuf, chosen: Vec<Chosen> },
}

/// Which of an agent's keys is meant.
#[derive(Debug, Clone)]
pub(super) enum Chosen {
    Key(Box<PublicKey>),
    Fingerprint(String),
}

impl Chosen {
    pub(super) fn is(&self, key: &PublicKey) -> bool {
        match self {
            Self::Key(chosen) => chosen.key_data() == key.key_data(),
            Self::Fingerprint(chosen) => key.fingerprint(HashAlg::Sha256).to_string() == *chosen,
        }
    }
}

/// Where keys may come from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sources<'a> {
    /// A private key's text (`ESTIBA_SSH_KEY`), and a certificate for it (`ESTIBA_SSH_CERTIFICATE`).
    pub key: Option<(&'a str, Option<&'a str>)>,
    /// `identity`: the path of a private or public key, a public key, or a key's fingerprint.
    pub identity: Option<&'a str>,
    /// The file of a key that is offered before all others, where `identity` names none.
    pub first: Option<&'a Utf8Path>,
    /// The files that the SSH client's own settings name, in place of the usual ones.
    pub files: Option<&'a [String]>,
    /// Certificates that these settings name.
    pub certificates: &'a [String],
    /// Are only the keys of these files offered, though an agent may hold them?
    pub only_files: bool,
    /// The agent's socket.
    pub agent: Option<&'a str>,
    /// The home folder.
    pub home: Option<&'a str>,
    /// Opens keys that have a passphrase.
    pub passphrase: Option<&'a str>,
    /// Is somebody there to type one?
    pub is_attended: bool,
}

const USUAL: [&str; 3] = ["~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"];

impl Identity {
    /// Chooses: the key in `key`, else what `identity` names, else the agent's keys and then those of the usual files.
    ///
    /// A key that cannot be read is an input error that names the defect. Without any key there is nothing to offer, which some
    /// servers take.
    pub fn choose(sources: &Sources<'_>) -> Result<Self> {
        let sources = &Sources { passphrase: sources.passphrase.filter(|text| !text.is_empty()), ..*sources };
        if let Some((text, certificate)) = sources.key {
            return from_variables(text, certificate, sources.passphrase);
        }
        let agent = sources.agent.filter(|socket| !socket.is_empty()).map(Utf8PathBuf::from);
        if let Some(identity) = sources.identity {
            return named(identity, agent, sources);
        }
        let mut offers = Vec::new();
        if let Some(Ok(Found::Key(offer))) = sources.first.map(|path| sources.file(path)) {
            offers.push(offer);
        }
        let mut of_files = Vec::new();
        let mut chosen = Vec::new();
        let usual = USUAL.map(str::to_owned);
        for path in sources.files.unwrap_or(&usual) {
            let path = sources.expand(path);
            let public = read_public(&Utf8PathBuf::from(format!("{path}.pub")));
            if !path.is_file() {
                // The private half may be the agent's, or on a security key.
                chosen.extend(read_public(&path).or(public).map(|key| Chosen::Key(Box::new(key))));
                continue;
            }
            match sources.file(&path) {
                Ok(Found::Key(offer)) => {
                    chosen.extend(public.or_else(|| offer.public()).map(|key| Chosen::Key(Box::new(key))));
                    of_files.push(offer);
                }
                Ok(Found::Public(key)) => chosen.push(Chosen::Key(Box::new(key))),
                // As ssh does: a file of a usual name that cannot be read is passed over.
                Err(_) => {}
            }
        }
        match agent {
            Some(socket) if !sources.only_files => offers.push(Offer::Agent { socket, chosen: Vec::new() }),
            Some(socket) if !chosen.is_empty() => offers.push(Offer::Agent { socket, chosen }),
            _ => {}
        }
        offers.extend(of_files);
        Ok(Self { offers })
    }
}

impl Offer {
    fn public(&self) -> Option<PublicKey> {
        match self {
            Self::Key { key, .. } => Some(key.public_key().clone()),
            _ => None,
        }
    }
}

impl Sources<'_> {
    fn expand(&self, path: &str) -> Utf8PathBuf {
        match (path.strip_prefix("~/"), self.home) {
            (Some(rest), Some(home)) => Utf8PathBuf::from(home).join(rest),
            _ => Utf8PathBuf::from(path),
        }
    }

    /// What lies in a key's file.
    fn file(&self, path: &Utf8Path) -> Result<Found> {
        let text = read_limited(path).map_err(|error| error.while_doing("identity"))?;
        if let Ok(key) = PublicKey::from_openssh(text.trim()) {
            return Ok(Found::Public(key));
        }
        let named = self.certificates.iter().map(|certificate| self.expand(certificate));
        let beside = std::iter::once(Utf8PathBuf::from(format!("{path}-cert.pub")));
        let certificates = beside.chain(named).filter_map(|path| Certificate::read_file(path.as_std_path()).ok()).collect();
        Ok(Found::Key(match parse_or_locked(&text, path.as_str(), self.passphrase)? {
            Some(key) => Offer::Key { key: Arc::new(key), certificates },
            None => Offer::Locked { text: text.into(), path: path.to_owned(), certificates, opened: Arc::default() },
        }))
    }
}

enum Found {
    Key(Offer),
    Public(PublicKey),
}

fn from_variables(text: &str, certificate: Option<&str>, passphrase: Option<&str>) -> Result<Identity> {
    if text.trim().is_empty() {
        let error = Error::input("ESTIBA_SSH_KEY is set and empty");
        return Err(error.hint("is the secret defined, and may this workflow read it?"));
    }
    let key = Arc::new(parse_key(text, "ESTIBA_SSH_KEY", passphrase)?);
    let certificate = certificate.map(str::trim).filter(|text| !text.is_empty()).map(|text| {
        Certificate::from_openssh(text).map_err(|error| {
            Error::input(format!("ESTIBA_SSH_CERTIFICATE is not an OpenSSH certificate: {error}"))
                .hint("it holds the one line of the file that ends in -cert.pub")
        })
    });
    let certificates = certificate.transpose()?.into_iter().collect();
    Ok(Identity { offers: vec![Offer::Key { key, certificates }] })
}

/// What `identity` of deploy.toml names.
fn named(identity: &str, agent: Option<Utf8PathBuf>, sources: &Sources<'_>) -> Result<Identity> {
    let of_agent = |chosen: Chosen| match agent.clone() {
        Some(socket) => Ok(Identity { offers: vec![Offer::Agent { socket, chosen: vec![chosen] }] }),
        None => Err(Error::input("identity: it names a key of the SSH agent, but no agent runs (SSH_AUTH_SOCK is not set)")
            .hint("start one (`eval $(ssh-agent)`, `ssh-add`), or give the path of the private key")),
    };
    let text = identity.trim();
    if text.starts_with("SHA256:") {
        return of_agent(Chosen::Fingerprint(text.trim_end_matches('=').to_owned()));
    }
    if let Ok(key) = PublicKey::from_openssh(text) {
        return of_agent(Chosen::Key(Box::new(key)));
    }
    let path = sources.expand(text);
    match sources.file(&path)? {
        Found::Public(key) => {
            let private = path.as_str().strip_suffix(".pub").map(Utf8PathBuf::from).filter(|path| path.is_file());
            match (private, &agent) {
                (Some(private), None) => private_file(sources, &private, None),
                _ => of_agent(Chosen::Key(Box::new(key))),
            }
        }
        Found::Key(_) => private_file(sources, &path, agent),
    }
}

fn private_file(sources: &Sources<'_>, path: &Utf8Path, agent: Option<Utf8PathBuf>) -> Result<Identity> {
    let Found::Key(offer) = sources.file(path)? else {
        return Err(Error::input(format!("identity: {path} holds a public key")).hint("give the private one"));
    };
    if let Offer::Locked { text, .. } = &offer {
        // The agent may have opened it already.
        let public = read_public(&Utf8PathBuf::from(format!("{path}.pub")));
        if let (Some(socket), Some(key)) = (agent, public) {
            let of_agent = Offer::Agent { socket, chosen: vec![Chosen::Key(Box::new(key))] };
            let typed = sources.is_attended.then_some(offer);
            return Ok(Identity { offers: std::iter::once(of_agent).chain(typed).collect() });
        }
        if !sources.is_attended {
            parse_key(text, path.as_str(), sources.passphrase)?;
        }
    }
    Ok(Identity { offers: vec![offer] })
}

fn read_public(path: &Utf8Path) -> Option<PublicKey> {
    PublicKey::from_openssh(read_limited(path).ok()?.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private;

    fn write(folder: &Utf8Path, name: &str, passphrase: Option<&str>) -> PrivateKey {
        let mut rng = russh::keys::key::safe_rng();
        let key = PrivateKey::random(&mut rng, russh::keys::Algorithm::Ed25519).unwrap();
        let written = passphrase.map_or_else(|| key.clone(), |word| key.encrypt(&mut rng, word).unwrap());
        std::fs::write(folder.join(name), written.to_openssh(Default::default()).unwrap().as_str()).unwrap();
        std::fs::write(folder.join(format!("{name}.pub")), key.public_key().to_openssh().unwrap()).unwrap();
        key
    }

    fn kinds(identity: &Identity) -> Vec<&'static str> {
        let kind = |offer: &Offer| match offer {
            Offer::Key { .. } => "key",
            Offer::Locked { .. } => "locked",
            Offer::Agent { chosen, .. } if chosen.is_empty() => "agent",
            Offer::Agent { .. } => "agent's chosen",
        };
        identity.offers.iter().map(kind).collect()
    }

    #[test]
    fn what_is_offered_follows_from_what_is_there() {
        let (_kept, folder) = private::folder().unwrap();
        std::fs::create_dir(folder.join(".ssh")).unwrap();
        let home = Some(folder.as_str());
        let usual = write(&folder.join(".ssh"), "id_ed25519", None);
        write(&folder.join(".ssh"), "id_rsa", Some("open"));
        let open = write(&folder, "open", None);
        write(&folder, "locked", Some("open"));
        let path = |name: &str| folder.join(name).to_string();
        let (key, locked, public) = (path("open"), path("locked"), path("open.pub"));
        let line = open.public_key().to_openssh().unwrap();
        let mark = open.public_key().fingerprint(HashAlg::Sha256).to_string();
        let agent = Some("/agent");
        let base = Sources { home, ..Sources::default() };
        let files = [key.clone()];
        for (sources, wanted) in [
            (base, &["key", "locked"] as &[_]),
            (Sources { agent, ..base }, &["agent", "key", "locked"]),
            (Sources { passphrase: Some("open"), ..base }, &["key", "key"]),
            (Sources { identity: Some(&key), agent, ..base }, &["key"]),
            (Sources { identity: Some(&public), agent, ..base }, &["agent's chosen"]),
            (Sources { identity: Some(&public), ..base }, &["key"]),
            (Sources { identity: Some(&line), agent, ..base }, &["agent's chosen"]),
            (Sources { identity: Some(&mark), agent, ..base }, &["agent's chosen"]),
            (Sources { identity: Some(&locked), agent, ..base }, &["agent's chosen"]),
            (Sources { identity: Some(&locked), agent, is_attended: true, ..base }, &["agent's chosen", "locked"]),
            (Sources { identity: Some(&locked), is_attended: true, ..base }, &["locked"]),
            (Sources { identity: Some(&locked), passphrase: Some("open"), ..base }, &["key"]),
            (Sources { files: Some(&files), only_files: true, agent, ..base }, &["agent's chosen", "key"]),
            (Sources { home: None, ..base }, &[]),
        ] {
            assert_eq!(kinds(&Identity::choose(&sources).unwrap()), wanted, "{sources:?}");
        }
        for sources in [
            Sources { identity: Some(&locked), ..base },
            Sources { identity: Some(&mark), ..base },
            Sources { identity: Some("nowhere"), ..base },
            Sources { key: Some((" ", None)), ..base },
        ] {
            assert_eq!(Identity::choose(&sources).unwrap_err().kind, crate::error::Kind::Input, "{sources:?}");
        }
        assert!(
            Chosen::Fingerprint(mark).is(open.public_key())
                && !Chosen::Key(Box::new(open.public_key().clone())).is(usual.public_key())
        );
    }
}
