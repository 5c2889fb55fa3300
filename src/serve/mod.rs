//! The webhook service: takes signed pushes of GitHub, GitLab and Gitea, and deploys what they name, one after another.
//!
//! What was accepted is on the disk before it is answered, so that it is not lost with this process.

mod http;
mod metrics;
mod push;
mod queue;
mod signature;
mod status;
mod work;

use std::net::SocketAddr;
use std::sync::Arc;

use camino::Utf8PathBuf;

use crate::error::{Error, Result};
use crate::report::Reporter;
use crate::text::Environment;

use metrics::Metrics;
use queue::Queue;

/// How the service is set up: by whoever runs it, not by the repository that it deploys.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The folder for the queue and the clone.
    pub folder: Utf8PathBuf,
    /// Where the repository is fetched from.
    pub source: String,
    /// The repository's full name in the events; any where it is not given.
    pub repository: Option<String>,
    /// The branch whose pushes are deployed.
    pub branch: String,
    /// Pushes that change none of these are passed over; all count where none is given.
    pub paths: globset::GlobSet,
    /// The target.
    pub target: Option<String>,
    /// deploy.toml, within the repository.
    pub config: Utf8PathBuf,
    /// The secrets that a signature may be made with: two while one replaces the other.
    pub secrets: Vec<String>,
    /// Where commit statuses go, and the token for them.
    pub statuses: Option<(String, String)>,
    /// What a deploy finds in its environment.
    pub environment: Environment,
}

/// What the parts of the service share.
struct Shared {
    settings: Settings,
    queue: Queue,
    metrics: Metrics,
    reporter: Reporter,
}

/// Serves until it is told to stop. A deploy that runs then is waited for as long as `patience` lasts, and left to the server afterwards.
pub async fn serve(settings: Settings, reporter: &Reporter) -> Result<()> {
    let queue = Queue::open(&settings.folder)?;
    let folder = settings.folder.canonicalize_utf8().map_err(|error| Error::failed(format!("{}: {error}", settings.folder)))?;
    let settings = Settings { folder, ..settings };
    let listener = tokio::net::TcpListener::bind(settings.listen)
        .await
        .map_err(|error| Error::failed(format!("cannot listen on {}: {error}", settings.listen)))?;
    let address = listener.local_addr().map_or(settings.listen, |address| address);
    reporter.note(format!("the webhook listens on http://{address}/hook for pushes to {}", settings.branch));
    let shared = Arc::new(Shared { settings, queue, metrics: Metrics::default(), reporter: reporter.clone() });
    let working = tokio::spawn(work::work(shared.clone()));
    tokio::select! {
        () = http::accept(listener, shared.clone()) => {}
        () = stopped() => {}
    }
    shared.reporter.note("the webhook stops: nothing more is accepted");
    shared.queue.close();
    if tokio::time::timeout(work::PATIENCE, working).await.is_err() {
        shared.reporter.note(
            "the deploy that runs is left to the server, which ends it by itself; what waits is deployed at the next start",
        );
    }
    Ok(())
}

/// Waits for a signal to stop.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
