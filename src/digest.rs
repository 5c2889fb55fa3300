//! SHA-256, by which files, layers and releases are told apart.

use sha2::{Digest, Sha256};

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 in hexadecimal of all that can be read, however long it is.
pub fn sha256_of(mut from: impl std::io::Read) -> std::io::Result<String> {
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
