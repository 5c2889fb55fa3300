//! Reading a private key, mending what forms, shells and editors do to one, and naming what is wrong with it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use camino::Utf8Path;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Error as KeyError, PrivateKey, decode_secret_key};

use crate::error::{Error, Result};
use crate::text::read_limited;

/// A new key, ed25519: its private half in OpenSSH's form, and its public line.
pub fn new_key() -> std::result::Result<(String, String), russh::keys::ssh_key::Error> {
    let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), russh::keys::Algorithm::Ed25519)?;
    Ok((key.to_openssh(LineEnding::LF)?.to_string(), key.public_key().to_openssh()?))
}

/// The public line of the private key in this file, which has no passphrase.
pub fn public_line(path: &Utf8Path) -> Result<String> {
    let key = parse_key(&read_limited(path)?, path.as_str(), None)?;
    key.public_key().to_openssh().map_err(|error| Error::failed(format!("{path}: {error}")))
}

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    NeedsPassphrase,
    WrongPassphrase,
    Public,
    Unfilled,
    Path,
    NoBegin,
    NoEnd,
    Damaged,
}

/// Reads a private key in OpenSSH's, PEM's or PuTTY's form.
///
/// What a shell or a form did to it is mended where that is safe: carriage returns, a missing last line end, line ends that became
/// spaces or `\n`, indentation, quotation marks around it, base64 around all of it. What remains wrong is an input error that names
/// the defect and shows nothing of the key.
pub fn parse_key(text: &str, from: &str, passphrase: Option<&str>) -> Result<PrivateKey> {
    read(text, passphrase).map_err(|defect| told(defect, from))
}

/// The same, where a passphrase that is missing is no error yet.
pub(super) fn parse_or_locked(text: &str, from: &str, passphrase: Option<&str>) -> Result<Option<PrivateKey>> {
    match read(text, passphrase) {
        Ok(key) => Ok(Some(key)),
        Err(Defect::NeedsPassphrase) => Ok(None),
        Err(defect) => Err(told(defect, from)),
    }
}

fn told(defect: Defect, from: &str) -> Error {
    let wrong = |what: &str| Error::input(format!("{from}: the SSH key cannot be read: {what}; nothing was dialled"));
    let whole = "copy the whole file, from -----BEGIN to END-----";
    match defect {
        Defect::NeedsPassphrase => wrong("it has a passphrase, and nobody is there to type it")
            .hint("ESTIBA_SSH_PASSPHRASE, as a secret, opens it; or use the agent (unset ESTIBA_SSH_KEY and `identity`)"),
        Defect::WrongPassphrase => wrong("ESTIBA_SSH_PASSPHRASE does not open it, or it is damaged")
            .hint("is it the passphrase of this very key, without a line end?"),
        Defect::Public => wrong("it is a public key").hint("give the private one, the file without .pub"),
        Defect::Unfilled => wrong("it is a ${{ }} expression that was not filled in")
            .hint("only the env and with blocks of a workflow are filled in: env ESTIBA_SSH_KEY: ${{ secrets.SSH_KEY }}"),
        Defect::Path => wrong("it is the path of a file, and not a key")
            .hint("the variable holds the key itself; the path of its file goes into `identity` of deploy.toml"),
        Defect::NoBegin => wrong("its BEGIN line is missing").hint(whole),
        Defect::NoEnd => wrong("its END line is missing").hint(whole),
        Defect::Damaged => wrong("it is damaged, or of a kind that is not known")
            .hint("ed25519, ECDSA and RSA keys in OpenSSH, PEM or PuTTY form work"),
    }
}

fn read(text: &str, passphrase: Option<&str>) -> Result<PrivateKey, Defect> {
    let mended = mend(text);
    if mended.starts_with("ssh-") || mended.starts_with("ecdsa-") || mended.starts_with("sk-") {
        return Err(Defect::Public);
    }
    if mended.contains("${{") {
        return Err(Defect::Unfilled);
    }
    let is_putty = mended.starts_with("PuTTY-");
    if !mended.contains("-----BEGIN ") && !is_putty {
        let line = mended.trim();
        let is_path =
            line.lines().count() == 1 && line.len() < 300 && (line.starts_with(['/', '~', '.']) || line.contains("/id_"));
        return Err(if is_path { Defect::Path } else { Defect::NoBegin });
    }
    if !is_putty && !mended.contains("-----END ") {
        return Err(Defect::NoEnd);
    }
    decode_secret_key(&mended, passphrase).map_err(|error| match error {
        KeyError::KeyIsEncrypted => Defect::NeedsPassphrase,
        _ if passphrase.is_none() && is_encrypted(&mended) => Defect::NeedsPassphrase,
        _ if passphrase.is_some() && is_encrypted(&mended) => Defect::WrongPassphrase,
        _ => Defect::Damaged,
    })
}

/// Does the key say of itself that it has a passphrase?
fn is_encrypted(key: &str) -> bool {
    if key.contains("ENCRYPTED") || key.contains("Encryption: aes") {
        return true;
    }
    // OpenSSH's form names its cipher near the beginning: "none" where there is none.
    let body: String = key.lines().filter(|line| !line.starts_with("-----")).collect();
    BASE64_STANDARD.decode(body).is_ok_and(|bytes| {
        bytes.strip_prefix(b"openssh-key-v1\0\0\0\0").is_some_and(|rest| rest.get(1..5) != Some(b"none".as_slice()))
    })
}

fn mend(text: &str) -> String {
    let text = text.trim_start_matches('\u{feff}').trim();
    let text = text.trim_matches(['"', '\'']).trim();
    let mut text = text.replace("\r\n", "\n").replace('\r', "\n");
    if !text.contains('\n') {
        text = text.replace("\\r\\n", "\n").replace("\\n", "\n").trim().to_owned();
    }
    if let Some(inside) = unwrapped(&text) {
        text = inside;
    }
    let text = text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let text = text.trim();
    if text.contains('\n') || !text.starts_with("-----BEGIN ") {
        return text.to_owned() + "\n";
    }
    one_line(text).unwrap_or_else(|| text.to_owned()) + "\n"
}

/// A key that is base64 once more.
fn unwrapped(text: &str) -> Option<String> {
    if text.contains('-') {
        return None;
    }
    let body: String = text.split_whitespace().collect();
    let text = String::from_utf8(BASE64_STANDARD.decode(body).ok()?).ok()?;
    text.trim_start().starts_with("-----BEGIN ").then(|| text.replace("\r\n", "\n"))
}

/// A key whose line ends became spaces. The headers of an old PEM file, `Proc-Type` and `DEK-Info`, stand on lines of their own with
/// an empty one behind them.
fn one_line(text: &str) -> Option<String> {
    let head_end = text.get(11..)?.find("-----")? + 16;
    let tail = text.rfind("-----END ")?;
    let (head, body, tail) = (&text[..head_end], text.get(head_end..tail)?, &text[tail..]);
    let mut lines: Vec<String> = Vec::new();
    let mut words = body.split_whitespace().peekable();
    let mut has_headers = false;
    while let Some(word) = words.next() {
        if word.ends_with(':') {
            has_headers = true;
            lines.push(format!("{word} {}", words.next()?));
            continue;
        }
        if std::mem::take(&mut has_headers) {
            lines.push(String::new());
        }
        lines.push(word.to_owned());
    }
    Some(format!("{head}\n{}\n{tail}", lines.join("\n")))
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
            key.replace('\n', "\\r\\n"),
            format!("\n {}", key.trim()),
            format!("\"{}\"", key.trim()),
            format!("'{key}'"),
            key.lines().map(|line| format!("    {line}\n")).collect(),
            BASE64_STANDARD.encode(&key),
            format!("\u{feff}{key}"),
        ] {
            assert!(parse_key(&text, "k", None).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn the_headers_of_an_old_pem_file_come_back_onto_lines_of_their_own() {
        let whole = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A0B\n\nAAAA\nBBBB\n-----END RSA PRIVATE KEY-----\n";
        assert_eq!(mend(&whole.trim().replace("\n\n", "\n").replace('\n', " ")), whole);
        assert!(parse_key(whole, "k", None).unwrap_err().to_string().contains("has a passphrase"));
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
            ("${{ secrets.SSH_KEY }}".into(), "not filled in"),
            ("~/.ssh/id_ed25519".into(), "path of a file"),
            ("/home/me/.ssh/deploy".into(), "path of a file"),
        ] {
            let error = parse_key(&text, "k", None).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains(&body[10..40]), "{error}");
        }
        // A passphrase that is set for another key is not to blame.
        let damaged = parse_key(&key.replace(body, &body[5..]), "k", Some("x")).unwrap_err().to_string();
        assert!(damaged.contains("damaged"), "{damaged}");
    }
}
