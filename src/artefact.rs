//! A file that goes to a server.

use std::collections::BTreeMap;

use crate::digest::sha256;

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
        sha256(&self.bytes)
    }
}

/// The manifest of these files, in sha256sum's format.
pub fn manifest(files: &BTreeMap<String, Artefact>) -> String {
    files.iter().map(|(path, file)| format!("{}  {path}\n", file.digest())).collect()
}
