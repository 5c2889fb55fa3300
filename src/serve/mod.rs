//! The webhook service: takes signed pushes of GitHub, GitLab and Gitea, and deploys what they name, one after another.
//!
//! What was accepted is on the disk before it is answered, so that it is not lost with this process.

mod http;
mod metrics;
mod page;
mod push;
mod queue;
mod shared;
mod signature;
mod status;
mod work;

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::report::Reporter;

use metrics::Metrics;
use page::seen::Page;
use queue::Queue;
use shared::Shared;

pub use shared::Settings;

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
    let page = settings.page_token.clone().map(|token| Page::new(token, settings.now));
    let shared = Arc::new(Shared {
        settings,
        queue,
        metrics: Metrics::default(),
        page,
        git: tokio::sync::Mutex::default(),
        reporter: reporter.clone(),
    });
    let working = tokio::spawn(work::work(shared.clone()));
    let watching = tokio::spawn(page::watch(shared.clone()));
    tokio::select! {
        () = http::accept(listener, shared.clone()) => {}
        () = stopped() => {}
    }
    shared.reporter.note("the webhook stops: nothing more is accepted");
    watching.abort();
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
