//! The parts of an archive, by their place in its file.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blob {
    pub(super) offset: u64,
    pub(super) size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layer {
    /// The digest of its tar, without compression.
    pub(super) id: String,
    pub(super) blob: Blob,
}

/// Reads a part of a file, whoever else reads others.
pub(in crate::image) struct Part<'a> {
    pub(in crate::image) file: &'a File,
    pub(in crate::image) at: u64,
    pub(in crate::image) left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// Fails where more comes than that.
pub(super) struct Bounded<R> {
    pub(super) from: R,
    pub(super) left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.read(buffer)?;
        let left = self.left.checked_sub(count as u64);
        self.left = left.ok_or_else(|| std::io::Error::other("a layer unpacks to more than 1000 times its size"))?;
        Ok(count)
    }
}

/// A digest as images write it.
pub(super) fn sha256(sum: Sha256) -> String {
    let mut text = String::from("sha256:");
    for byte in sum.finalize() {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}
