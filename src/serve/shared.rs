//! How the service is set up, and what its parts share.

use std::net::SocketAddr;

use camino::Utf8PathBuf;

use crate::report::Reporter;
use crate::text::Environment;

use super::metrics::Metrics;
use super::page::seen::Page;
use super::queue::Queue;

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
    /// The token that the page asks for; no page without one.
    pub page_token: Option<String>,
    /// The clock.
    pub now: fn() -> jiff::Timestamp,
}

/// What the parts of the service share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) queue: Queue,
    pub(super) metrics: Metrics,
    pub(super) page: Option<Page>,
    /// Held by whoever changes the clone.
    pub(super) git: tokio::sync::Mutex<()>,
    pub(super) reporter: Reporter,
}
