//! One rendered file.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

/// A file of a release: where it goes, with what mode, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artefact {
    /// The file's permission bits.
    pub mode: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Does it hold secrets? Then it is never shown, and its mode is 0600.
    pub secret: bool,
}

impl Artefact {
    /// A file that anybody on the server may read.
    pub fn text(text: impl Into<String>) -> Self {
        Self { mode: 0o644, bytes: text.into().into_bytes(), secret: false }
    }

    /// A file for its owner alone.
    pub fn secret(text: impl Into<String>) -> Self {
        Self { mode: 0o600, bytes: text.into().into_bytes(), secret: true }
    }

    /// SHA-256 of its bytes, in hexadecimal.
    pub fn digest(&self) -> String {
        digest(&self.bytes)
    }
}

/// SHA-256 in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 in hexadecimal of all that can be read, however long it is.
pub fn digest_of(mut from: impl std::io::Read) -> std::io::Result<String> {
    let mut sum = Sha256::new();
    let mut piece = vec![0; 256 * 1024];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(hex(&sum.finalize())),
            count => sum.update(&piece[..count]),
        }
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything that one release is rendered to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The release's files, by their path in `releases/<id>/`.
    pub release: BTreeMap<String, Artefact>,
    /// Values that must never be shown.
    pub secrets: Vec<String>,
    /// Things worth knowing that are no errors.
    pub notes: Vec<String>,
}

/// The manifest of these files, in sha256sum's format.
pub fn manifest(files: &BTreeMap<String, Artefact>) -> String {
    files.iter().map(|(path, file)| format!("{}  {path}\n", file.digest())).collect()
}
