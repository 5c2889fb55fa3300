//! A file's way to the server: over connections of its own, several where the way is long, and taken up again where one
//! is lost.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{OnceCell, mpsc};

use crate::error::{Error, Result};
use crate::server::{Segment, Server};
use crate::ssh::{Connection, Settings};

/// One channel of a connection carries its window (2 MiB with OpenSSH) a round trip, so that a long way wants several.
const LONG_WAY: Duration = Duration::from_millis(15);
/// As many connections as a long way gets. With those for commands and for the last look they stay below the six in half a minute
/// after which `ufw limit` refuses a machine, and below the ten at once after which sshd turns some away.
const CONNECTIONS: u64 = 3;
/// And so many channels on each of them: two windows are what TCP lets through on one.
const CHANNELS: u64 = 2;
/// A part is at least this long, in bytes.
const SHORTEST: u64 = 4 * 1024 * 1024;
const PIECE: usize = 256 * 1024;
/// A way that lets nothing through for this long is none.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where something goes.
#[derive(Debug, Clone)]
pub struct Destination {
    /// How to get there.
    pub settings: Settings,
    /// The target's root.
    pub root: String,
    /// The name of what is on its way.
    pub id: String,
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

/// Sends a file, over `spare` too where such a connection was made meanwhile. `told` hears how many bytes are on their way,
/// all in all. A connection that is lost is made again, and only what had not arrived is sent again.
pub async fn transfer(
    to: &Destination,
    file: File,
    spare: Option<Connection>,
    round_trip: Duration,
    told: impl Fn(u64) + Send + Sync + 'static,
) -> Result<Vec<Segment>> {
    let size = file.metadata().map_err(|error| Error::failed(format!("looking at the archive: {error}")))?.len();
    let parts = if round_trip < LONG_WAY { 1 } else { (size / SHORTEST).clamp(1, CONNECTIONS * CHANNELS) };
    let ways: Vec<Way> = (0..parts.min(CONNECTIONS)).map(|_| Way::default()).collect();
    if let (Some(spare), Some(first)) = (spare, ways.first()) {
        let _ = first.set(Arc::new(spare));
    }
    let file = Arc::new(file);
    let progress = Arc::new(Progress { sent: AtomicU64::new(0), told: Box::new(told) });
    let length = size.div_ceil(parts);
    let mut sending = tokio::task::JoinSet::new();
    for (part, way) in (0..parts).zip(ways.iter().cycle()) {
        let (start, end) = (part * length, ((part + 1) * length).min(size));
        let (to, file, progress, way) = (to.clone(), file.clone(), progress.clone(), way.clone());
        sending.spawn(
            async move { send_part(&to, part, &file, start, end, &way, &progress).await.map(|segments| (part, segments)) },
        );
    }
    // Each connection ends with the last part that goes over it.
    drop(ways);
    let mut done = Vec::new();
    while let Some(ended) = sending.join_next().await {
        done.push(ended.map_err(|error| Error::failed(format!("sending the image: {error}")))??);
    }
    done.sort_by_key(|(part, _)| *part);
    Ok(done.into_iter().flat_map(|(_, segments)| segments).collect())
}

/// A connection that several parts go over; the first of them opens it.
type Way = Arc<OnceCell<Arc<Connection>>>;

/// What all parts together have sent.
struct Progress {
    sent: AtomicU64,
    told: Box<dyn Fn(u64) + Send + Sync>,
}

impl Progress {
    fn more(&self, count: u64) {
        (self.told)(self.sent.fetch_add(count, Ordering::Relaxed) + count);
    }

    /// What was sent and did not arrive is to be sent again.
    fn less(&self, count: u64) {
        self.sent.fetch_sub(count, Ordering::Relaxed);
    }
}

/// Sends the bytes from `start` to `end`, in as many segments as connections were needed.
async fn send_part(
    to: &Destination,
    part: u64,
    file: &Arc<File>,
    start: u64,
    end: u64,
    way: &Way,
    progress: &Progress,
) -> Result<Vec<Segment>> {
    let mut segments: Vec<Segment> = Vec::new();
    let open = async || Connection::open(&to.settings).await.map(Arc::new);
    let mut connection = way.get_or_try_init(open).await?.clone();
    let mut moved = Instant::now();
    loop {
        let at = start + segments.iter().map(|segment| segment.size).sum::<u64>();
        let name = format!("{part}.{}", segments.len());
        let mut before = 0;
        let count = |total| {
            progress.more(total - before);
            before = total;
        };
        let put = Server::new(&connection, &to.root).put_segment(&to.id, &name, pieces(file.clone(), at, end), count).await;
        let lost = match put {
            Ok(taken) => {
                taken?;
                segments.push(Segment { name, size: end - at });
                return Ok(segments);
            }
            Err(lost) => lost,
        };
        // Again, and only what has not arrived.
        let arrived = loop {
            if moved.elapsed() > PATIENCE {
                return Err(lost.while_doing("the connection does not last"));
            }
            connection = Arc::new(Connection::again(&to.settings).await?);
            if let Ok(size) = Server::new(&connection, &to.root).segment_size(&to.id, &name).await {
                break size.min(end - at);
            }
        };
        progress.less(before.saturating_sub(arrived));
        if arrived > 0 {
            moved = Instant::now();
            segments.push(Segment { name, size: arrived });
        }
    }
}

/// The bytes of a file, in pieces, read on a thread of its own.
fn pieces(file: Arc<File>, mut at: u64, end: u64) -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        while at < end {
            let mut piece = vec![0; PIECE.min(usize::try_from(end - at).unwrap_or(PIECE))];
            // A file that became shorter is one that was not sent whole: the server will not take it.
            let Ok(count @ 1..) = file.read_at(&mut piece, at) else { return };
            piece.truncate(count);
            at += count as u64;
            if sender.blocking_send(piece.into()).is_err() {
                return;
            }
        }
    });
    receiver
}
