//! An image's way to a server that keeps images in the containerd store, which takes no archive without the layers that
//! it has: its own Engine pulls from here, through a port of its loopback that leads to this process, and only what it lacks.

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Answer, Error, Result};
use crate::private;
use crate::random;
use crate::server::{Loaded, Server};
use crate::ssh::Connection;

use super::endpoint::Endpoint;
use super::login::{Login, USER};
use super::supply::Supply;
use super::task::blocking;
use super::transfer::{Destination, Sent, transfer};

/// A way that brings nothing for this long is none.
const PATIENCE: Duration = Duration::from_secs(120);

/// Has the server pull the image. `Err` inside: it cannot, and why.
pub(super) async fn pull(
    to: &Destination,
    supply: &Supply<'_>,
    told: impl Fn(u64, u64) + Send + Sync + 'static,
) -> Result<Answer<Sent>> {
    let tag = &supply.tag;
    let image = supply.unpacked().await?;
    let progress =
        Arc::new(Progress { now: Mutex::new((0, Instant::now())), all: image.size(&image.layers), told: Box::new(told) });
    let moved = progress.clone();
    let repository = format!("{}/image", random::hex(16));
    let told = Box::new(move |count| moved.more(count));
    let endpoint = Arc::new(Endpoint { repository, login: Login::new(), image, asked: Mutex::default(), told });
    let mut loaded = loop {
        match through(to, &endpoint, tag).await {
            Ok(Ok(loaded)) => break loaded,
            Ok(Err(why)) => return Ok(Err(why)),
            Err(lost) if progress.idle() > PATIENCE => return Err(lost.while_doing("the connection does not last")),
            // The connection was lost: the Engine keeps what it has, and asks for the rest.
            Err(_) => {}
        }
    };
    let asked: BTreeSet<String> = endpoint.asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let layers = &endpoint.image.layers;
    let mut count = layers.iter().filter(|digest| asked.contains(*digest)).count();
    if !loaded.whole {
        // It runs from what another image has unpacked, but cannot be written out: layers that lie under both are kept in the
        // other's bytes alone. They are brought in once, in an archive without those that were just pulled.
        let (_folder, path) = private::folder()?;
        let rest = path.join("rest");
        let packing = (endpoint.clone(), asked.clone(), tag.to_owned(), rest.clone());
        blocking(move || {
            let (endpoint, asked, tag, rest) = packing;
            let written = File::create(&rest).and_then(|file| endpoint.image.write(&tag, |digest| asked.contains(digest), file));
            written.map_err(|error| Error::failed(format!("packing the rest of the image into {rest}: {error}")))
        })
        .await?;
        let file = File::open(&rest).map_err(|error| Error::failed(format!("reading {rest}: {error}")))?;
        let (moved, before) = (progress.clone(), AtomicU64::new(0));
        let told = move |total: u64| moved.more(total.saturating_sub(before.swap(total, Ordering::Relaxed)));
        let segments = transfer(to, file, None, Duration::ZERO, told).await?;
        let connection = Connection::again(&to.settings).await?;
        loaded = match Server::new(&connection, &to.root).load_segments(&to.id, tag, "plain", &segments).await? {
            Ok(loaded) if loaded.whole => loaded,
            Ok(_) => return Ok(Err("its Docker Engine did not keep all layers of the image".into())),
            Err(why) => return Ok(Err(why)),
        };
        count = layers.len();
    }
    if loaded.layers != supply.layers {
        return Ok(Err(format!("it has a different image under that name, {}", loaded.id)));
    }
    Ok(Ok(Sent { id: loaded.id, layers: (count, layers.len()), bytes: progress.sent() }))
}

/// What has gone out, and when the last of it did.
struct Progress {
    now: Mutex<(u64, Instant)>,
    all: u64,
    told: Box<dyn Fn(u64, u64) + Send + Sync>,
}

impl Progress {
    fn more(&self, count: u64) {
        let total = {
            let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
            *now = (now.0 + count, Instant::now());
            now.0
        };
        (self.told)(total, self.all.max(total));
    }

    fn sent(&self) -> u64 {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn idle(&self) -> Duration {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).1.elapsed()
    }
}

/// The outer error is the connection's.
async fn through(to: &Destination, endpoint: &Arc<Endpoint>, tag: &str) -> Result<Answer<Loaded>> {
    let connection = Connection::again(&to.settings).await?;
    let Some(mut forward) = connection.forward().await? else {
        return Ok(Err("its sshd forwards no ports (AllowTcpForwarding)".into()));
    };
    let server = Server::new(&connection, &to.root);
    let reference = format!("127.0.0.1:{}/{}@{}", forward.port, endpoint.repository, endpoint.image.digest);
    let port = forward.port;
    let serving = async {
        while let Some(stream) = forward.accept().await {
            tokio::spawn(endpoint.clone().serve(stream));
        }
    };
    let pulled = tokio::select! {
        pulled = server.pull_here(&to.id, port, &reference, tag, (USER, &endpoint.login.password)) => pulled?,
        () = serving => return Ok(Err("the port was closed".into())),
    };
    forward.close().await;
    connection.close().await;
    Ok(pulled)
}
