//! SIGINT and SIGTERM, as somebody at a keyboard or a cancelled workflow sends them.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::{Error, Result};

/// The signals that ask a client to stop. From the first call of [`Signals::listen`] they no longer end the process.
/// Each clone hears all that come after it was made.
#[derive(Debug, Clone)]
pub(super) struct Signals {
    count: watch::Receiver<u32>,
    seen: u32,
}

impl Signals {
    /// Begins to listen.
    pub(super) fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).map_err(|error| Error::failed(format!("cannot listen for signals: {error}")));
        let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        let (sender, count) = watch::channel(0);
        tokio::spawn(async move {
            while !sender.is_closed() {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                sender.send_modify(|count| *count += 1);
            }
        });
        Ok(Self { count, seen: 0 })
    }

    /// Signals that a test sends.
    #[cfg(test)]
    pub(super) fn by_hand() -> (watch::Sender<u32>, Self) {
        let (sender, count) = watch::channel(0);
        (sender, Self { count, seen: 0 })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        let seen = self.seen;
        match self.count.wait_for(|count| *count > seen).await {
            Ok(_) => self.seen += 1,
            // Nobody listens any more.
            Err(_) => std::future::pending().await,
        }
    }
}
