//! The image's way to the server: only the layers that it lacks, or all of it where there is any doubt.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::error::{Answer, Error, Result};
use crate::server::Server;
use crate::ssh::Connection;

use super::layers::common_layers;
use super::pull::pull;
use super::supply::{Compression, Supply};
use super::transfer::{Destination, Sent, transfer};

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

/// Sends an image under this tag. `told` hears of the bytes on their way: sent, and all.
///
/// It counts as arrived when the server's image is this very one: in a classic store by its configuration's digest, which is
/// its id there, in a containerd store by its layers. A containerd store pulls it from here; where that cannot be, it gets
/// the whole. An archive without the lower layers that is not taken, because one of them went meanwhile, is followed by the
/// whole; `whole` hears why. What the server had is left alone.
pub async fn send(
    server: &Server<'_>,
    to: &Destination,
    supply: &Supply<'_>,
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
    Error::failed(format!("the server rejected the image {tag}: {why}"))
        .hint("nothing that serves was touched; `docker system df` there shows what fills its disk")
}

async fn attempt(
    server: &Server<'_>,
    to: &Destination,
    spare: Option<Connection>,
    supply: &Supply<'_>,
    receiver: &Receiver,
    from: usize,
    told: impl Fn(u64, u64) + Send + Sync + 'static,
) -> Result<Answer<Sent>> {
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
            return Err(format!("it has a different image under that name, {}", loaded.id));
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
