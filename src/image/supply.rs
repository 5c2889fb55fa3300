//! An image that goes out: read once, packed once in each form that is asked for, for however many servers.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::error::{Error, Result};
use crate::private;
use crate::report::Reporter;

use super::archive::Archive;
use super::build::{Built, size_of_upper};
use super::learning::Learning;
use super::oci::Oci;
use super::push::Pushing;
use super::save::{save, save_upper};
use super::task::blocking;

/// An Engine that has pushed an image's layers before gives what changed within this time, and the time to pack it.
const HEAD_START: Duration = Duration::from_secs(1);
/// So many bytes are packed in a second, at least.
const PACKED_A_SECOND: u64 = 15_000_000;
/// An Engine writes out so many times as many bytes as it packs in the same time.
const PACKED_IN_THE_TIME_OF: u64 = 5;

/// How the archive is compressed on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compression {
    /// Where the server has the program `zstd`.
    Zstd,
    /// Which every `docker load` reads.
    Gzip,
}

/// An image, and its packed forms as servers have asked for them.
pub struct Supply<'a> {
    /// The digests of its layers, lowest first.
    pub layers: Vec<String>,
    /// What it runs on, as `linux/amd64`.
    pub platform: String,
    /// Its size in bytes.
    pub size: u64,
    /// The tag that it gets on the servers.
    pub tag: String,
    engine: Option<OfEngine<'a>>,
    whole: OnceCell<Arc<Archive>>,
    upper: OnceCell<Option<Arc<Archive>>>,
    parcels: Mutex<BTreeMap<(usize, Compression), SharedParcel>>,
    unpacked: OnceCell<(Arc<Oci>, TempDir)>,
}

/// An image that the local Engine has.
struct OfEngine<'a> {
    built: Built,
    /// The lowest layer that is needed of it at all.
    lowest: usize,
    learning: &'a Learning,
    reporter: Reporter,
}

impl std::fmt::Debug for Supply<'_> {
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

impl<'a> Supply<'a> {
    /// A supply of the image in an archive.
    pub fn of_archive(archive: Arc<Archive>, tag: &str) -> Self {
        let (platform, size) = (archive.platform.clone(), archive.size_from(0));
        let (layers, whole) = (archive.layers(), OnceCell::new_with(Some(archive)));
        Self {
            layers,
            platform,
            size,
            tag: tag.to_owned(),
            engine: None,
            whole,
            upper: OnceCell::new(),
            parcels: Mutex::default(),
            unpacked: OnceCell::new(),
        }
    }

    /// A supply of an image of the local Engine; all servers have the layers below `from`.
    pub fn of_engine(built: &Built, tag: &str, from: usize, learning: &'a Learning, reporter: &Reporter) -> Self {
        Self {
            layers: built.layer_ids(),
            platform: built.platform.clone(),
            size: built.size,
            tag: tag.to_owned(),
            engine: Some(OfEngine { built: built.clone(), lowest: from, learning, reporter: reporter.clone() }),
            whole: OnceCell::new(),
            upper: OnceCell::new(),
            parcels: Mutex::default(),
            unpacked: OnceCell::new(),
        }
    }

    /// The image from that layer on. Where some of it is there already, only the rest is taken from the Engine; where that cannot be,
    /// or all is needed, the Engine writes out the whole, which takes its time.
    async fn archive(&self, from: usize) -> Result<Arc<Archive>> {
        if let Some(engine) = &self.engine
            && from >= engine.lowest
            && engine.lowest > 0
            && !self.whole.initialized()
            && let Some(upper) = self.upper.get_or_init(|| self.sooner(engine)).await
        {
            return Ok(upper.clone());
        }
        self.whole().await
    }

    /// The whole image, written out by the Engine where it has it.
    async fn whole(&self) -> Result<Arc<Archive>> {
        let saved = async || match &self.engine {
            Some(engine) => save(&engine.built).await.map(Arc::new),
            None => Err(Error::failed(format!("there is no image to send as {}", self.tag))),
        };
        self.whole.get_or_try_init(saved).await.cloned()
    }

    /// The layers that are needed: as the Engine pushes them, or out of what `docker save` writes, whichever is quicker. `None`: neither
    /// way goes, and the whole has to do.
    async fn sooner(&self, engine: &OfEngine<'_>) -> Option<Arc<Archive>> {
        let OfEngine { built, lowest, learning, reporter } = engine;
        let push = || Pushing::begin(built.clone(), self.tag.clone(), *lowest);
        let mut pushing = push();
        let Some(bytes) = size_of_upper(built, self.layers.len() - lowest).await else {
            pushing.stop().await;
            return None;
        };
        let saved = async || save_upper(built, *lowest, bytes).await.ok().map(Arc::new);
        // The Engine packs what it pushes more slowly than it writes out what it has.
        if bytes.saturating_mul(PACKED_IN_THE_TIME_OF) > built.size {
            pushing.stop().await;
            return saved().await;
        }
        let more = pushing.more_than(bytes);
        tokio::select! {
            archive = timeout(HEAD_START + Duration::from_secs(bytes / PACKED_A_SECOND), pushing.archive()) => match archive {
                Ok(Some(archive)) => return Some(Arc::new(archive)),
                Ok(None) => return saved().await,
                Err(_) => {}
            },
            () = more => {}
        }
        // Two who read the same layers would only hinder each other, and nothing is learned on a machine that is thrown away.
        pushing.stop().await;
        reporter.note(if learning.lasts() {
            "the local Engine has never sent some layers of this image: docker save writes it out this time, and the Engine packs them \
             afterwards, once, for the next deploys"
        } else {
            "the local Engine has never sent some layers of this image, so docker save writes it out"
        });
        match saved().await {
            Some(archive) => {
                if learning.lasts() {
                    learning.keep(push());
                }
                Some(archive)
            }
            // Without room for what `docker save` writes, the packed layers may still have it.
            None => push().archive().await.map(Arc::new),
        }
    }

    /// The image's id in a classic store: the digest of its configuration.
    pub(super) async fn classic_id(&self, from: usize) -> Result<String> {
        self.archive(from).await.map(|archive| archive.id.clone())
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
        let (folder, path) = private::folder()?;
        let path = path.join("parcel");
        let packing = (self.archive(from).await?, self.tag.clone(), path.clone());
        blocking(move || pack(&packing.0, from, &packing.1, compression, &packing.2)).await?;
        Ok(Parcel { path, _folder: folder })
    }

    /// The image's parts, each a file by its digest.
    pub(super) async fn unpacked(&self) -> Result<Arc<Oci>> {
        let unpack = || async {
            let (folder, path) = private::folder()?;
            let archive = self.archive(0).await?;
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
    let file = private::create(path).map_err(cannot)?;
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
