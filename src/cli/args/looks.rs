//! Commands that show what a target does.

use camino::Utf8PathBuf;
use clap::Args;

/// `metrics`
#[derive(Debug, Clone, Args)]
pub struct MetricsArgs {
    /// The target. Optional if deploy.toml has only one.
    pub target: Option<String>,
    /// Go on, look after look.
    #[arg(short, long)]
    pub watch: bool,
    /// Print the text format of Prometheus, with a label for the host.
    #[arg(long, conflicts_with = "watch")]
    pub prometheus: bool,
}

/// `logs`
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// The target. Optional if deploy.toml has only one. `export` in its place, with the target behind it, writes a bundle for whoever helps:
    /// logs, journals, history, the state of server and containers, without the secrets of the release.
    pub target: Option<String>,
    /// With `export`: the target.
    #[arg(value_name = "TARGET")]
    pub of: Option<String>,
    /// With `export`: the archive (.tar.gz). Default: estiba-TARGET.tar.gz.
    #[arg(long, value_name = "FILE")]
    pub out: Option<Utf8PathBuf>,
    /// Go on with what comes, through deploys and lost connections.
    #[arg(short, long)]
    pub follow: bool,
    /// Only this service, as the Compose file calls it, or this container. May be given several times.
    #[arg(short, long, value_name = "SERVICE")]
    pub service: Vec<String>,
    /// At most so many lines of each container, or `all`. Default: 100, and all with --since or --until.
    #[arg(long, value_name = "COUNT")]
    pub tail: Option<String>,
    /// Only what is newer: 10m, 2h, or a time like 2026-11-27T07:57:08Z.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only what is older.
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    pub until: Option<String>,
    /// Only lines that this regular expression matches.
    #[arg(long, value_name = "PATTERN")]
    pub grep: Option<String>,
    /// Only lines of this level or a graver one: debug, info, warning, error. Known in JSON, logfmt and common text formats; a line
    /// that tells none goes with the one before it.
    #[arg(long, value_name = "LEVEL")]
    pub level: Option<String>,
    /// The journal of a past run, by its id or its release's.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["follow", "service", "tail", "since", "until", "grep", "level"])]
    pub run: Option<String>,
}

impl LogsArgs {
    /// What this service says from now on, or all where none is named.
    pub fn followed(target: Option<String>, service: Option<String>) -> Self {
        Self {
            target,
            of: None,
            out: None,
            follow: true,
            service: service.into_iter().collect(),
            tail: None,
            since: None,
            until: None,
            grep: None,
            level: None,
            run: None,
        }
    }
}
