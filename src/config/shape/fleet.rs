//! The keys of a target that has several hosts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a host that fails means for the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FleetMode {
    /// All hosts keep the release, or none does.
    #[default]
    Together,
    /// Each host keeps it by itself.
    Each,
}

/// How many hosts a wave has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum WaveSize {
    /// So many.
    Hosts(u32),
    /// A share of all, as `"25%"`; a host at least.
    Share(String),
}
