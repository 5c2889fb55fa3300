//! The key to authenticate with: `ESTIBA_SSH_KEY`, a file, or the agent.

use std::sync::Arc;

use camino::Utf8PathBuf;
use russh::keys::{Error as KeyError, HashAlg, PrivateKey, decode_secret_key};

use crate::error::{Error, Result};
use crate::text::read_limited;

/// Who we are to the server.
#[derive(Debug, Clone)]
pub enum Identity {
    /// This key.
    Key(Arc<PrivateKey>),
    /// The agent behind this socket.
    Agent(Utf8PathBuf),
}

impl Identity {
    /// Chooses: the key in `key`, else the file `path` (`~` is `home`), else the agent at `agent`, else the
    /// usual files in `~/.ssh`. `passphrase` opens a key that has one.
    ///
    /// A key that cannot be read is an input error that names the defect.
    pub fn choose(
        key: Option<&str>,
        path: Option<&str>,
        agent: Option<&str>,
        home: Option<&str>,
        passphrase: Option<&str>,
    ) -> Result<Self> {
        let passphrase = passphrase.filter(|passphrase| !passphrase.is_empty());
        let parse_key = |text: &str, from: &str| parse_key(text, from, passphrase);
        if key.is_some_and(|text| text.trim().is_empty()) {
            return Err(
                Error::input("ESTIBA_SSH_KEY is set and empty").hint("is the secret defined, and may this workflow read it?")
            );
        }
        if let Some(text) = key {
            return parse_key(text, "ESTIBA_SSH_KEY").map(|key| Self::Key(Arc::new(key)));
        }
        let expand = |path: &str| match (path.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => Utf8PathBuf::from(home).join(rest),
            _ => Utf8PathBuf::from(path),
        };
        if let Some(path) = path {
            let path = expand(path);
            let text = read_limited(&path).map_err(|error| error.while_doing("identity"))?;
            return parse_key(&text, path.as_str()).map(|key| Self::Key(Arc::new(key)));
        }
        if let Some(agent) = agent.filter(|agent| !agent.is_empty()) {
            return Ok(Self::Agent(agent.into()));
        }
        for name in ["id_ed25519", "id_ecdsa", "id_rsa"] {
            let path = expand(&format!("~/.ssh/{name}"));
            if path.is_file() {
                let text = read_limited(&path).map_err(|error| error.while_doing("identity"))?;
                return parse_key(&text, path.as_str()).map(|key| Self::Key(Arc::new(key)));
            }
        }
        Err(Error::input("there is no SSH key: ESTIBA_SSH_KEY is not set, the target names no `identity`, no agent runs, and ~/.ssh holds none")
            .hint("in a workflow: env ESTIBA_SSH_KEY: ${{ secrets.SSH_KEY }}; on a laptop: identity = \"~/.ssh/id_ed25519\""))
    }

    /// How messages name it: the key's fingerprint, or the agent.
    pub fn shown(&self) -> String {
        match self {
            Self::Key(key) => format!("key {}", key.public_key().fingerprint(HashAlg::Sha256)),
            Self::Agent(socket) => format!("the keys of the agent at {socket}"),
        }
    }
}

/// Reads a private key. What a shell or a form did to it is mended where that is safe: CRLF, a missing
/// last newline, line breaks that became spaces or `\n`.
pub fn parse_key(text: &str, from: &str, passphrase: Option<&str>) -> Result<PrivateKey> {
    let wrong = |what: &str| Error::input(format!("{from}: the SSH key cannot be read: {what}; nothing was dialled"));
    let mended = mend(text);
    if mended.starts_with("ssh-") || mended.starts_with("ecdsa-") {
        return Err(wrong("it is a public key").hint("give the private one, the file without .pub"));
    }
    if !mended.contains("-----BEGIN ") && !mended.starts_with("PuTTY-") {
        return Err(wrong("its BEGIN line is missing").hint("copy the whole file, from -----BEGIN to END-----"));
    }
    if mended.contains("-----BEGIN ") && !mended.contains("-----END ") {
        return Err(wrong("its END line is missing").hint("copy the whole file, from -----BEGIN to END-----"));
    }
    let asks = "ESTIBA_SSH_PASSPHRASE, as a secret, opens it; or use the agent (unset ESTIBA_SSH_KEY and `identity`)";
    decode_secret_key(&mended, passphrase).map_err(|error| match error {
        KeyError::KeyIsEncrypted => wrong("it has a passphrase, and nobody is there to type it").hint(asks),
        _ if passphrase.is_some() => wrong("ESTIBA_SSH_PASSPHRASE does not open it, or it is damaged")
            .hint("is it the passphrase of this very key, without a line end?"),
        _ if mended.contains("ENCRYPTED") => wrong("it has a passphrase, and nobody is there to type it").hint(asks),
        _ => {
            wrong("it is damaged, or of a kind that is not known").hint("ed25519, ECDSA and RSA keys in OpenSSH or PEM form work")
        }
    })
}

fn mend(text: &str) -> String {
    let text = text.trim_start_matches('\u{feff}').trim().replace("\r\n", "\n").replace('\r', "\n");
    let text = if text.contains('\n') { text } else { text.replace("\\n", "\n") };
    if text.contains('\n') || !text.starts_with("-----BEGIN ") {
        return text + "\n";
    }
    // All on one line: the line breaks became spaces.
    let Some(head_end) = text[11..].find("-----").map(|at| at + 16) else { return text + "\n" };
    let Some(tail) = text.rfind("-----END ") else { return text + "\n" };
    let (head, body, tail) = (&text[..head_end], text.get(head_end..tail).unwrap_or(""), &text[tail..]);
    format!("{head}\n{}\n{tail}\n", body.split_whitespace().collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> String {
        let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), russh::keys::Algorithm::Ed25519).unwrap();
        key.to_openssh(Default::default()).unwrap().to_string()
    }

    #[test]
    fn what_forms_and_shells_do_to_a_key_is_mended() {
        let key = key();
        for text in [
            key.clone(),
            key.replace('\n', "\r\n"),
            key.trim().replace('\n', " "),
            key.trim().replace('\n', "\\n"),
            format!("\n {}", key.trim()),
        ] {
            assert!(parse_key(&text, "k", None).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn a_defect_is_named_and_the_key_is_not_shown() {
        let key = key();
        let body = key.lines().nth(1).unwrap();
        for (text, said) in [
            (key.replace("-----BEGIN OPENSSH PRIVATE KEY-----\n", ""), "BEGIN line"),
            (key.replace("-----END OPENSSH PRIVATE KEY-----", ""), "END line"),
            ("ssh-ed25519 AAAA x".into(), "public key"),
            (key.replace(body, &body[5..]), "damaged"),
        ] {
            let error = parse_key(&text, "k", None).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains(&body[10..40]), "{error}");
        }
    }
}
