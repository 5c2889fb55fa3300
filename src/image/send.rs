//! The image's way to the server: only the layers that it lacks, or all of it where there is any doubt.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::private;
use crate::process;
use crate::server::Server;
use crate::ssh::Connection;

use super::archive::Archive;
use super::build::Built;
use super::layers::common_layers;
use super::pull::pull;
use super::supply::Supply;
use super::transfer::{Destination, transfer};

/// How the archive is compressed on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compression {
    /// Where the server has the program `zstd`.
    Zstd,
    /// Which every `docker load` reads.
    Gzip,
}

/// What is known of the server that an image goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// How the archive may be compressed.
    pub compression: Compression,
    /// Does it keep images in the classic store, which takes an archive without the layers that it has?
    pub classic: bool,
    /// The images that it has: the digests of their layers, by their ids.
    pub images: BTreeMap<String, Vec<String>>,
}

/// What arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The image's id on the server.
    pub id: String,
    /// How many of its layers were sent, of how many.
    pub layers: (usize, usize),
    /// Bytes of the archive that was sent.
    pub bytes: u64,
}

/// Has the local engine write an image into a file, which has no name any more once it is open. By its id: a tag may name
/// another image by now.
pub(super) async fn save(built: &Built) -> Result<Archive> {
    let id = built.id.as_str();
    let (_folder, path) = private::folder()?;
    let file = path.join("image.tar");
    let ended = process::run("docker", &["save", "-o", file.as_str(), id], None).await?;
    if !ended.success {
        return Err(Error::failed(format!("docker save {id}: {}", ended.stderr.trim()))
            .hint("it needs room for the whole image in the temporary folder (TMPDIR)"));
    }
    let layers = built.layer_ids();
    let archives = blocking(move || Archive::open(&file)).await?;
    archives
        .into_iter()
        .find(|archive| archive.layers() == layers)
        .ok_or_else(|| Error::failed(format!("docker save {id} did not write the image that was built")).hint("deploy again"))
}

/// Sends an image under this tag. `told` hears of the bytes on their way: sent, and all.
///
/// It counts as arrived when the server's image is this very one: in a classic store by its configuration's digest, which is
/// its id there, in a containerd store by its layers. A containerd store pulls it from here; where that cannot be, it gets
/// the whole. An archive without the lower layers that is not taken, because one of them went meanwhile, is followed by the
/// whole; `whole` hears why. What the server had is left alone.
pub async fn send(
    server: &Server<'_>,
    to: &Destination,
    supply: &Supply,
    receiver: &Receiver,
    told: impl Fn(u64, u64) + Clone + Send + Sync + 'static,
    whole: impl FnOnce(&str),
) -> Result<Sent> {
    let tag = &supply.tag;
    if !receiver.classic {
        match pull(to, supply, told.clone()).await? {
            Ok(sent) => return Ok(sent),
            Err(why) => whole(&why),
        }
        return attempt(server, to, None, supply, receiver, 0, told).await?.map_err(|why| refused(tag, &why));
    }
    let from = common_layers(&supply.layers, receiver.images.values());
    // The way is made ready while the image is read; one that cannot be made yet is made again, and says why.
    let (id, spare) = tokio::join!(supply.classic_id(from), Connection::open(&to.settings));
    let id = id?;
    // Where the local Engine names it otherwise, it may be there after all.
    if receiver.images.contains_key(&id) {
        return Ok(Sent { id, layers: (0, supply.layers.len()), bytes: 0 });
    }
    match attempt(server, to, spare.ok(), supply, receiver, from, told.clone()).await? {
        Ok(sent) => Ok(sent),
        Err(why) if from > 0 => {
            whole(&why);
            let again = Destination { id: format!("{}.whole", to.id), ..to.clone() };
            attempt(server, &again, None, supply, receiver, 0, told).await?.map_err(|why| refused(tag, &why))
        }
        Err(why) => Err(refused(tag, &why)),
    }
}

fn refused(tag: &str, why: &str) -> Error {
    Error::failed(format!("the server did not take the image {tag}: {why}"))
        .hint("nothing that serves was touched; `docker system df` there shows what fills its disk")
}

async fn attempt(
    server: &Server<'_>,
    to: &Destination,
    spare: Option<Connection>,
    supply: &Supply,
    receiver: &Receiver,
    from: usize,
    told: impl Fn(u64, u64) + Send + Sync + 'static,
) -> Result<std::result::Result<Sent, String>> {
    let Supply { layers, tag, .. } = supply;
    let file = supply.parcel(from, receiver.compression).await?;
    let bytes = file.metadata().map_err(|error| Error::failed(format!("looking at the packed image: {error}")))?.len();
    let segments = transfer(to, file, spare, round_trip(server, bytes).await?, move |sent| told(sent, bytes)).await?;
    let id = supply.classic_id(from).await?;
    let form = match receiver.compression {
        Compression::Zstd => "zstd",
        Compression::Gzip => "gzip",
    };
    let loaded = match server.load_segments(&to.id, tag, form, &segments).await {
        Ok(loaded) => loaded,
        // The connection for commands may have been lost while nothing went over it.
        Err(_) => {
            let again = Connection::again(&to.settings).await?;
            Server::new(&again, &to.root).load_segments(&to.id, tag, form, &segments).await?
        }
    };
    Ok(loaded.and_then(|loaded| {
        if loaded.layers != *layers || receiver.classic && loaded.id != id {
            return Err(format!("what it has under that name is another image, {}", loaded.id));
        }
        Ok(Sent { id: loaded.id, layers: (layers.len() - from, layers.len()), bytes })
    }))
}

/// What is short does not need to know how long its way is.
const SHORT: u64 = 8 * 1024 * 1024;

async fn round_trip(server: &Server<'_>, bytes: u64) -> Result<Duration> {
    if bytes < SHORT {
        return Ok(Duration::ZERO);
    }
    let started = Instant::now();
    server.nothing().await?;
    Ok(started.elapsed())
}

pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::failed(format!("looking at the image: {error}")))?
}
