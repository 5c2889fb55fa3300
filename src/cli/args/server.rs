//! Commands that prepare a server, and that say what is wrong with one.

use clap::Args;

/// `setup`
#[derive(Debug, Clone, Args)]
pub struct SetupArgs {
    /// The target. Optional if deploy.toml has only one.
    pub target: Option<String>,
    /// Log in as this user. Default: root.
    #[arg(long = "as", value_name = "USER")]
    pub as_user: Option<String>,
    /// That user needs sudo.
    #[arg(long)]
    pub sudo: bool,
    /// Take back what `setup` made: the keys, the gate and the boot hook. Data and packages stay.
    #[arg(long, conflicts_with = "github")]
    pub remove: bool,
    /// Set the secrets and variables of the GitHub repository with `gh`.
    #[arg(long)]
    pub github: bool,
}

/// `doctor`
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// The target. Optional if deploy.toml has only one.
    pub target: Option<String>,
    /// Mend what can be mended without harm: images and caches that nobody uses, uploads that were cut off, interrupted runs.
    #[arg(long)]
    pub fix: bool,
}
