//! An image as the OCI Image Format has it: a manifest, and blobs by their digests.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use camino::Utf8Path;
use serde_json::{Value, json};

use crate::digest::sha256;
use crate::error::{Error, Result};

use super::archive::{Archive, Part, StoredBlob, append};

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A manifest and the files of its blobs.
pub(super) struct Oci {
    /// The manifest's digest.
    pub(super) digest: String,
    /// Its bytes.
    pub(super) manifest: Bytes,
    /// Configuration and layers, by digest.
    pub(super) blobs: BTreeMap<String, Arc<File>>,
    /// The digests of the layers as they are kept, lowest first.
    pub(super) layers: Vec<String>,
}

impl Oci {
    /// Writes the image's parts into a folder. The same image is the same bytes each time.
    pub(super) fn of(archive: &Archive, folder: &Utf8Path) -> Result<Self> {
        let parts = archive.unpack(folder)?;
        let described = |blob: &StoredBlob| -> std::io::Result<Value> {
            Ok(json!({"mediaType": blob.kind, "digest": blob.digest, "size": blob.file.metadata()?.len()}))
        };
        let manifest = || -> std::io::Result<Value> {
            let layers: std::io::Result<Vec<Value>> = parts.layers.iter().map(described).collect();
            Ok(json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": described(&parts.config)?, "layers": layers?}))
        };
        let manifest = manifest().map_err(|error| Error::failed(format!("looking at the image's parts: {error}")))?.to_string();
        let layers = parts.layers.iter().map(|blob| blob.digest.clone()).collect();
        let blobs = parts.layers.into_iter().chain([parts.config]).map(|blob| (blob.digest, Arc::new(blob.file))).collect();
        Ok(Self { digest: format!("sha256:{}", sha256(manifest.as_bytes())), manifest: manifest.into(), blobs, layers })
    }

    /// How many bytes these blobs have.
    pub(super) fn size<'a>(&self, digests: impl IntoIterator<Item = &'a String>) -> u64 {
        let files = digests.into_iter().filter_map(|digest| self.blobs.get(digest));
        files.filter_map(|file| file.metadata().ok()).map(|found| found.len()).sum()
    }

    /// Writes an OCI layout with this tag, of all but those layers.
    pub(super) fn write(&self, tag: &str, without: impl Fn(&str) -> bool, out: impl Write) -> std::io::Result<()> {
        let mut archive = tar::Builder::new(out);
        let mut text = |name: &str, text: &[u8]| append(&mut archive, name, text.len() as u64, text);
        let name = format!("docker.io/library/{tag}");
        let (_, version) = tag.rsplit_once(':').unwrap_or(("", tag));
        let annotations = json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": version});
        let described =
            json!({"mediaType": MANIFEST, "digest": self.digest, "size": self.manifest.len(), "annotations": annotations});
        text("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        text("index.json", json!({"schemaVersion": 2, "manifests": [described]}).to_string().as_bytes())?;
        text(&path(&self.digest), &self.manifest)?;
        for (digest, file) in self.blobs.iter().filter(|(digest, _)| !self.layers.contains(digest) || !without(digest)) {
            let size = file.metadata()?.len();
            append(&mut archive, &path(digest), size, Part { file, at: 0, left: size })?;
        }
        archive.into_inner()?.flush()
    }
}

fn path(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}
