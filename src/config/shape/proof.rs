//! The sections about what a release has to prove: `[target.NAME] require`, `[test]`, `[scan]`, `[[smoke]]`, and the team's own steps.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::Seconds;
use super::OneOrMany;

/// `[target.NAME] require`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RequireSection {
    /// The branch that is deployed from, or a list of them. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<OneOrMany>,
    /// Everything in the project's folder must be committed. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clean: Option<bool>,
    /// The target on which the release has to have proven itself: it gets here by `estiba promote` alone. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promoted_from: Option<String>,
    /// The longest time since the release was deployed there. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Seconds>,
    /// The environment of GitHub that this workflow run must have been approved for, by one of its reviewers. The job needs
    /// `permissions: actions: read` and `GITHUB_TOKEN`. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_for: Option<String>,
    /// Times, UTC, at which nothing is deployed: `"22:00-06:00"` each day, `"Fri 16:00 - Mon 07:00"` each week. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_between: Option<Vec<String>>,
}

/// `[test]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TestSection {
    /// The service of `[stack] test-compose` that tests. Default: the app's name there, or the only service that is built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Its command. Default: the service's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The file in which the tests leave their results in JUnit's XML, in the container: absolute, or from its working folder. What it
    /// tells goes into the summary. Default: what the command names by `--junitxml` or `--junit-xml`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub junit: Option<String>,
    /// Tests that take longer have failed. Default: 15m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Seconds>,
}

/// `[scan]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ScanSection {
    /// The scanner and its arguments, run on the machine that deploys; `{image}` stands for the image. Any exit status but 0 stops the
    /// deploy; where it prints SARIF to its standard output, each finding that is not accepted is told. Default: no scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Findings that are known and accepted. Only where the scanner prints SARIF. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept: Option<Vec<AcceptSection>>,
    /// A scan that takes longer has failed. Default: 10m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Seconds>,
}

/// An entry of `[scan] accept`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AcceptSection {
    /// The finding, as the scanner calls it: `CVE-2026-1234`.
    pub id: String,
    /// Why it is accepted.
    pub reason: String,
    /// The last day on which it is, as `2026-12-31`.
    pub until: String,
}

/// `[[smoke]]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SmokeSection {
    /// The path that is asked for.
    pub path: String,
    /// The app that is asked. Default: the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The HTTP method. Default: GET.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Headers of the request. `${NAME}` is filled from the environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The request's body, on one line. `${NAME}` is filled from the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The HTTP status that is right. Default: 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect_status: Option<u16>,
    /// A text that the answer's body must hold. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// What stands in the answer's body, which is JSON then: JSON pointers (RFC 6901) and the string, number or boolean that each
    /// leads to: `{ "/status" = "ok", "/checks/0/failed" = 0 }`. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub json: BTreeMap<String, JsonScalar>,
    /// The longest that the answer may take, in milliseconds. A GET has three tries. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ms: Option<u32>,
}

/// A value that an answer of JSON is to hold.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum JsonScalar {
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    Integer(i64),
    /// A number with a fraction.
    Number(f64),
    /// A string.
    Text(String),
}

/// `[[metric]]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MetricSection {
    /// Its name: lower-case letters, digits and `-`.
    pub name: String,
    /// A command that prints the number on its first line, within 5 s. It runs on the server as a `[[step]]` with `on = "server"` does.
    /// In it, `{slot}` and `{release}` stand for those of the new release, `{window}` for the seconds since it gets these requests.
    /// Either this or `query`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// A query of Prometheus that has one number as its result; the same names stand in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Where Prometheus answers the server that is deployed to. Default: `http://127.0.0.1:9090`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<String>,
    /// The largest value that is good: this, `min` or both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The smallest value that is good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Time between two looks. Default: 5s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<Seconds>,
    /// So many looks in a row that find it out of its bounds undo the deploy. Default: 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_a_row: Option<u32>,
}

/// `[load]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LoadSection {
    /// The paths that are asked for by GET, one after another. Default: none, and no load check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// The app that is asked. Default: the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// How many requests are sent in a second, 1 to 500. Default: 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<u32>,
    /// How long each release is asked, in whole seconds, 5m at most. The new release and the one that serves take turns of a second.
    /// Default: 10s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<Seconds>,
    /// The share of the new release's answers (0 to 1) that may be an error (5xx, or none within 30 s). Default: 0.01.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_error_rate: Option<f64>,
    /// The longest that the new release's 95th percentile of answer times may be, in milliseconds. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_p95_ms: Option<u32>,
    /// How many times as long as that of the release that serves it may be. Default: 1.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_p95_ratio: Option<f64>,
}

/// Where a step of the team's runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepPlace {
    /// In a container of the new release; before that runs, in one of its own of the same image.
    #[default]
    App,
    /// On the server, by the user who deploys, in the folder of the release's files.
    Server,
    /// On the machine that deploys, in the folder of deploy.toml.
    Client,
}

/// `[[step]]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StepSection {
    /// Its name: lower-case letters, digits and `-`, and none of estiba's own steps.
    pub name: String,
    /// The step of a deploy that it comes before: either this or `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The step of a deploy that it comes after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Where it runs: `app` (default), `server` or `client`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<StepPlace>,
    /// With `on = "app"`: in whose container. Default: the first app's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The command. Any exit status but 0 fails the deploy.
    pub run: String,
    /// The command that takes it back when the deploy is undone; it may be run twice, and where the step has failed half-way.
    /// Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
    /// The longest that either may take. Default: 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Seconds>,
}
