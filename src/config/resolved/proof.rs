//! What a release has to prove, resolved: requirements, tests, a scan, smoke requests, a canary, and the team's own steps.

use camino::Utf8PathBuf;
use jiff::civil::Date;

use super::super::shape::{Inconclusive, StepPlace, Sticky};
use super::super::{Seconds, Window};
use super::Setting;

/// What the team has a release prove.
#[derive(Debug, Clone, Default)]
pub struct Proof {
    /// Its tests.
    pub tests: Option<Tests>,
    /// What looks at the image.
    pub scan: Option<Scan>,
    /// What the release must answer before anybody gets it.
    pub smoke: Vec<Smoke>,
    /// The requests that it and the release that serves are asked at once.
    pub load: Option<LoadCheck>,
    /// What is measured of it while real requests come.
    pub metrics: Vec<Metric>,
    /// The team's own steps, in the order of deploy.toml.
    pub team_steps: Vec<TeamStep>,
}

/// `[target.NAME] require`, resolved.
#[derive(Debug, Clone, Default)]
pub struct Require {
    /// The branches that may be deployed; empty for any.
    pub branches: Vec<String>,
    /// Must everything be committed?
    pub clean: bool,
    /// The target that a release has to come from.
    pub promoted_from: Option<String>,
    /// The longest time since it was deployed there.
    pub max_age: Option<Seconds>,
    /// The environment of GitHub that the workflow run must have been approved for.
    pub approved_for: Option<String>,
    /// When nothing is deployed.
    pub not_between: Vec<Window>,
}

/// `[test]`, resolved, where there are tests.
#[derive(Debug, Clone)]
pub struct Tests {
    /// The Compose file's path, from the project's folder.
    pub compose: Utf8PathBuf,
    /// The service that tests, where deploy.toml names it.
    pub service: Option<String>,
    /// Its command, where deploy.toml tells it.
    pub command: Option<String>,
    /// Where in the container their results are, in JUnit's XML.
    pub junit: Option<Setting<String>>,
    /// The longest that they may take.
    pub timeout: Setting<Seconds>,
}

/// `[scan]`, resolved, where there is one.
#[derive(Debug, Clone)]
pub struct Scan {
    /// The command, with `{image}` in it.
    pub command: String,
    /// The findings that are accepted.
    pub accept: Vec<Accepted>,
    /// The longest that it may take.
    pub timeout: Setting<Seconds>,
}

/// A finding that is accepted for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The finding.
    pub id: String,
    /// Why.
    pub reason: String,
    /// The last day.
    pub until: Date,
}

/// `[[smoke]]`, resolved.
#[derive(Debug, Clone)]
pub struct Smoke {
    /// The app that is asked.
    pub app: String,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// `NAME: value` each.
    pub headers: Vec<String>,
    /// The body; empty for none.
    pub body: String,
    /// The right status.
    pub expect_status: u16,
    /// What the body must hold; empty for nothing.
    pub contains: String,
    /// What stands in its body where, as JSON.
    pub json: Vec<(String, serde_json::Value)>,
    /// The longest time in milliseconds; 0 for any.
    pub max_ms: u32,
}

/// `[[metric]]`, resolved.
#[derive(Debug, Clone)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub of: MetricOf,
    /// The largest value that is good.
    pub max: Option<f64>,
    /// The smallest one.
    pub min: Option<f64>,
    /// Time between two looks.
    pub every: Seconds,
    /// So many in a row undo the deploy.
    pub in_a_row: u32,
}

/// Where a metric comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricOf {
    /// A command on the server.
    Command(String),
    /// A query of Prometheus.
    Prometheus {
        /// Where that answers.
        address: String,
        /// The query.
        query: String,
    },
}

/// `[load]`, resolved, where there is one.
#[derive(Debug, Clone)]
pub struct LoadCheck {
    /// The paths.
    pub paths: Vec<String>,
    /// The app that is asked.
    pub app: Setting<String>,
    /// How many requests in a second.
    pub requests_per_second: Setting<u32>,
    /// How long each release is asked.
    pub duration: Setting<Seconds>,
    /// The share that may fail.
    pub max_error_rate: Setting<f64>,
    /// The longest p95 in milliseconds; 0 for any.
    pub max_p95_ms: Setting<u32>,
    /// How many times as long it may be as that of the release that serves.
    pub max_p95_ratio: Setting<f64>,
}

/// `[[step]]`, resolved.
#[derive(Debug, Clone)]
pub struct TeamStep {
    /// Its name.
    pub name: String,
    /// The step of estiba's, or of the team's, that it stands beside.
    pub beside: String,
    /// Does it come before that one?
    pub is_before: bool,
    /// Where it runs.
    pub on: StepPlace,
    /// In whose container.
    pub service: String,
    /// The command.
    pub run: String,
    /// What takes it back; empty for nothing.
    pub undo: String,
    /// The longest that either may take.
    pub timeout: Seconds,
}

/// The keys of `[rollout]` that a canary goes by, resolved.
#[derive(Debug, Clone)]
pub struct Canary {
    /// The shares, in percent.
    pub steps: Setting<Vec<u8>>,
    /// How long each lasts at least.
    pub step_duration: Setting<Seconds>,
    /// How much slower the new release may be.
    pub max_p95_ratio: Setting<f64>,
    /// What keeps a visitor with one release.
    pub sticky: Setting<Sticky>,
    /// What becomes of it for want of requests.
    pub inconclusive: Setting<Inconclusive>,
    /// The longest that a step may go on beyond its time.
    pub longest_wait: Setting<Seconds>,
}
