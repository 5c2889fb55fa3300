//! `[rollout]`: how a new release takes over.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::Seconds;

/// How a new release takes over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// The new release starts beside the old one, which stops when the new one has proven itself.
    #[default]
    BlueGreen,
    /// The same, and a growing share of the visitors gets the new release first.
    Canary,
    /// The old release stops before the new one starts: an outage, for apps that cannot run twice.
    Recreate,
}

/// What keeps a visitor with one release while a canary runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sticky {
    /// A cookie of the edge's own, `estiba_lot`.
    #[default]
    Cookie,
    /// The client's address.
    Address,
}

/// What becomes of a canary that too few requests came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Inconclusive {
    /// The deploy is undone.
    #[default]
    Undo,
    /// The step goes on, for `longest-wait` at most; then the deploy is undone.
    Wait,
    /// The server asks both releases the `[[smoke]]` requests that only read (GET and HEAD), until there are enough.
    Synthetic,
}

/// `[rollout]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RolloutSection {
    /// `blue-green`, `canary` or `recreate`. Default: `blue-green`, and `recreate` for an app with a volume that only it writes to, or
    /// with SQLite: two releases at once would spoil the data. Requests wait at the edge meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Of a canary: the shares of the visitors, in percent, that get the new release, one after another. Default: `[5, 25, 50]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<u8>>,
    /// How long each of these steps lasts at least. Default: 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_duration: Option<Seconds>,
    /// How many times as long as that of the release before the new one's 95th percentile of answer times may be. Where it is set, it
    /// counts while a release is observed, too: against all answers of the release before. Default: 1.5, of a canary alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_p95_ratio: Option<f64>,
    /// What keeps a visitor with one release while a canary runs: `cookie` (default) or `address`. A request that says
    /// `X-Estiba-Try: new` or `old`, as a header or as the cookie `estiba_try`, has its choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// What happens at the end of a step in which fewer than `min-requests` came to the new release, or a `[[metric]]` is not known:
    /// `undo` (default), `wait`, or `synthetic`: the server asks the `[[smoke]]` requests itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inconclusive: Option<Inconclusive>,
    /// The longest that a step may go on beyond its time: paused, in doubt, or for want of requests. Default: 1h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_wait: Option<Seconds>,
    /// How long the new release is watched under real traffic before it is committed. Default: 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observe: Option<Seconds>,
    /// Fewer requests than this while it is observed tell nothing of its error rate. Default: 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_requests: Option<u32>,
    /// The share of real requests (0 to 1) that may be answered with an error. Default: 0.01.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_error_rate: Option<f64>,
    /// Where the target has a `url` or several hosts: how long a server waits, after `observe`, for the client's word that
    /// the site is as it should be from outside and that every host has come this far. No word is an undo. Default: 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm_timeout: Option<Seconds>,
    /// Releases kept on the server, the current and the previous one counted (2 at least). Default: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_releases: Option<u32>,
    /// How long the release before goes on running after the commit, without requests: until then `estiba rollback` to it is a switch
    /// and no start. Its workers have stopped, and the server needs the memory of both. Not where the stack has changed with the release, nor for
    /// an app that may not run twice. Default: 0s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_warm: Option<Seconds>,
}
