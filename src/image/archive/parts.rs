//! An archive's image as a registry has it: each layer compressed, under the digest of its compressed bytes.

use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use camino::Utf8Path;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

use super::blob::{Layer, sha256};
use super::{Archive, Form};

/// An image's parts as a registry has them.
pub(in crate::image) struct Parts {
    pub(in crate::image) config: StoredBlob,
    pub(in crate::image) layers: Vec<StoredBlob>,
}

/// One of them.
pub(in crate::image) struct StoredBlob {
    /// Its media type.
    pub(in crate::image) kind: &'static str,
    /// The digest of the file.
    pub(in crate::image) digest: String,
    pub(in crate::image) file: File,
}

impl StoredBlob {
    const fn new(kind: &'static str, digest: String, file: File) -> Self {
        Self { kind, digest, file }
    }
}

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// Another level makes other bytes of the same layer, which every server would get anew.
const LEVEL: i32 = 3;

/// Writes through, and knows the digest of what was written.
struct Digesting {
    out: File,
    sum: Sha256,
}

impl Write for Digesting {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.sum.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

impl Archive {
    /// Its parts as a registry has them, in files of this folder: the configuration, then each layer, compressed. The
    /// same layer is the same bytes each time, so that an engine that has it knows it by its digest.
    pub(in crate::image) fn unpack(&self, folder: &Utf8Path) -> Result<Parts> {
        let config = folder.join("config");
        let write = || {
            std::io::copy(&mut self.part(self.config), &mut File::create(&config)?)?;
            File::open(&config)
        };
        let config = write()
            .map(|file| StoredBlob::new(CONFIG, self.id.clone(), file))
            .map_err(|error| self.unpackable(folder, &error))?;
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(layer) = self.layers.get(at) else { return Ok(done) };
                done.push((at, self.compress(layer, &folder.join(at.to_string()))?));
            }
        };
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(self.layers.len());
        let done: std::io::Result<Vec<Vec<(usize, StoredBlob)>>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            let ended = |_| Err(std::io::Error::other("a thread that compressed a layer ended early"));
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(ended)).collect()
        });
        let mut done: Vec<(usize, StoredBlob)> =
            done.map_err(|error| self.unpackable(folder, &error))?.into_iter().flatten().collect();
        done.sort_by_key(|(at, _)| *at);
        Ok(Parts { config, layers: done.into_iter().map(|(_, part)| part).collect() })
    }

    fn compress(&self, layer: &Layer, path: &Utf8Path) -> std::io::Result<StoredBlob> {
        let mut raw = self.part(layer.blob);
        let mut out = Digesting { out: File::create(path)?, sum: Sha256::new() };
        let kind = match self.form(layer)? {
            Form::Gzip => std::io::copy(&mut raw, &mut out).map(|_| GZIP)?,
            Form::Zstd => std::io::copy(&mut raw, &mut out).map(|_| ZSTD)?,
            Form::Plain => zstd::stream::copy_encode(raw, &mut out, LEVEL).map(|()| ZSTD)?,
        };
        Ok(StoredBlob::new(kind, sha256(out.sum), File::open(path)?))
    }

    fn unpackable(&self, folder: &Utf8Path, error: &std::io::Error) -> Error {
        Error::failed(format!("unpacking the image archive {} into {folder}: {error}", self.name))
            .hint("is the temporary folder (TMPDIR) full?")
    }
}
