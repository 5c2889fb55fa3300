//! An image that goes out: read once, packed once in each form that is asked for, for however many servers.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::error::{Error, Result};

use super::archive::Archive;
use super::oci::Oci;
use super::send::{Compression, blocking, temporary};

/// An image, and its packed forms as servers have asked for them.
pub struct Supply {
    /// The image.
    pub archive: Arc<Archive>,
    /// The tag that it gets on the servers.
    pub tag: String,
    parcels: Mutex<BTreeMap<(usize, Compression), SharedParcel>>,
    unpacked: OnceCell<(Arc<Oci>, TempDir)>,
}

impl std::fmt::Debug for Supply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Supply({})", self.tag)
    }
}

/// Packed by the first that asks for it.
type SharedParcel = Arc<OnceCell<Parcel>>;

/// A packed archive on this disk.
struct Parcel {
    path: Utf8PathBuf,
    _folder: TempDir,
}

impl Supply {
    /// A supply of this image.
    pub fn new(archive: Arc<Archive>, tag: &str) -> Self {
        Self { archive, tag: tag.to_owned(), parcels: Mutex::default(), unpacked: OnceCell::new() }
    }

    /// The archive without its lowest `from` layers, packed.
    pub(super) async fn parcel(&self, from: usize, compression: Compression) -> Result<File> {
        let cell = {
            let mut parcels = self.parcels.lock().unwrap_or_else(PoisonError::into_inner);
            parcels.entry((from, compression)).or_default().clone()
        };
        let parcel = cell.get_or_try_init(|| self.packed(from, compression)).await?;
        let path = &parcel.path;
        File::open(path).map_err(|error| Error::failed(format!("reading {path}: {error}")))
    }

    async fn packed(&self, from: usize, compression: Compression) -> Result<Parcel> {
        let (folder, path) = temporary()?;
        let path = path.join("parcel");
        let packing = (self.archive.clone(), self.tag.clone(), path.clone());
        blocking(move || pack(&packing.0, from, &packing.1, compression, &packing.2)).await?;
        Ok(Parcel { path, _folder: folder })
    }

    /// The image's parts, each a file by its digest.
    pub(super) async fn unpacked(&self) -> Result<Arc<Oci>> {
        let unpack = || async {
            let (folder, path) = temporary()?;
            let archive = self.archive.clone();
            let image = blocking(move || Oci::of(&archive, &path)).await?;
            Ok((Arc::new(image), folder))
        };
        self.unpacked.get_or_try_init(unpack).await.map(|(image, _)| image.clone())
    }
}

fn pack(archive: &Archive, from: usize, tag: &str, compression: Compression, path: &Utf8Path) -> Result<()> {
    let cannot = |error: std::io::Error| {
        Error::failed(format!("packing the image into {path}: {error}")).hint("is the temporary folder (TMPDIR) full?")
    };
    let file = File::create(path).map_err(cannot)?;
    match compression {
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(file, 3).map_err(cannot)?;
            encoder.include_checksum(true).map_err(cannot)?;
            archive.write(from, tag, &mut encoder)?;
            encoder.finish().map_err(cannot)?;
        }
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
            archive.write(from, tag, &mut encoder)?;
            encoder.finish().map_err(cannot)?;
        }
    }
    Ok(())
}
