//! What can be typed.

mod init;
mod looks;
mod server;

use camino::Utf8PathBuf;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::Seconds;

pub(super) use init::{DatabaseChoice, Extra, InitArgs};
pub(super) use looks::{LogsArgs, MetricsArgs};
pub(super) use server::{DoctorArgs, SetupArgs};

/// Deploys that cannot leave a server half-way: Docker Compose releases over SSH, as transactions.
#[derive(Debug, Parser)]
#[command(name = "estiba", version, max_term_width = 100)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The configuration file.
    #[arg(long, global = true, value_name = "FILE", default_value = "deploy.toml")]
    pub config: Utf8PathBuf,
    /// Use only this one of the target's hosts.
    #[arg(long, global = true, value_name = "HOST")]
    pub host: Option<String>,
    /// The target's hosts, from a file with a line each, or `-` for standard input (docs/fleets.md).
    #[arg(long, global = true, value_name = "FILE")]
    pub inventory: Option<Utf8PathBuf>,
    /// Use only those hosts of the inventory that have this label; several times: all of them.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Answer yes to every question.
    #[arg(long, short, global = true)]
    pub yes: bool,
    /// Print JSON lines to standard output, text to standard error.
    #[arg(long, global = true)]
    pub json: bool,
    /// Also print the output of steps that succeed.
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Print only problems and the outcome.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// When to use colour.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write deploy.toml and the workflows for the project in this folder, and a stack for a Django site that has none.
    /// Never overwrites a file.
    Init(InitArgs),
    /// Prepare a server: Docker, a user who deploys, keys that can only deploy or only look. Shows its plan first.
    Setup(SetupArgs),
    /// What is wrong with a target's servers, why that matters, and the command that mends each.
    Doctor(DoctorArgs),
    /// Make the target serve the project as it stands here.
    Deploy(DeployArgs),
    /// Make a target serve what has proven itself on another: the very images, and the files of the same commit.
    Promote(PromoteArgs),
    /// Hold the canary that runs on the target at its share.
    Pause(TargetArgs),
    /// Let a canary that is paused go on.
    Resume(TargetArgs),
    /// End the step of the canary that runs: the next share follows at once.
    PromoteStep(TargetArgs),
    /// Go back to the previous or a named release, its files, environment and image.
    Rollback(RollbackArgs),
    /// What runs on the target: release, slot, image, since when, by whom.
    Status(TargetArgs),
    /// What happened on the target: every run, newest first.
    History(HistoryArgs),
    /// Stop the deploy that runs on the target, from any machine; the server undoes it.
    Abort(TargetArgs),
    /// End a run that was interrupted: undo it, or finish it where it had committed.
    Recover(TargetArgs),
    /// What the containers say, of all services, slots and hosts as one stream; or the journal of a past run.
    Logs(LogsArgs),
    /// CPU, memory, requests a second, errors and latencies, database, cache and backups of the target.
    Metrics(MetricsArgs),
    /// The same as a live screen, with keys to open logs and to roll back.
    Top(TargetArgs),
    /// Run a command in a running container of a service: of an app or a worker in the slot that serves.
    Exec(ExecArgs),
    /// Run a command in a container of its own, of the release that serves.
    Run(RunArgs),
    /// A shell in a running container of a service.
    Shell(ShellArgs),
    /// The containers of the stack.
    Ps(TargetArgs),
    /// Print the target's url, and open it where there is a desktop.
    Open(TargetArgs),
    /// The environment of the release that serves: keys, never values.
    #[command(subcommand)]
    Env(EnvCommand),
    /// Start containers again; requests to an app wait meanwhile.
    Restart(RestartArgs),
    /// Run so many containers of a service, until the next deploy.
    Scale(ScaleArgs),
    /// Close the site with the maintenance page, also through deploys; or open it again.
    Maintenance(MaintenanceArgs),
    /// Stop the site and remove its containers. Volumes, folders, releases and backups stay.
    Down(DownArgs),
    /// Go back to plain Docker Compose: prints what would be done; `--yes` does it.
    Eject(TargetArgs),
    /// The database's backups.
    #[command(subcommand)]
    Backup(BackupCommand),
    /// The dry run: what a deploy would change.
    Plan(PlanArgs),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Deploy the example to this machine: a release, one under load, and a broken one.
    Demo(DemoArgs),
    /// Take signed pushes of GitHub, GitLab or Gitea by HTTP, and deploy what they name, one after another.
    Serve(ServeArgs),
    /// Print docs/reference.md.
    #[command(hide = true)]
    Reference,
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// The target of a command.
#[derive(Debug, Clone, Args)]
pub struct TargetArgs {
    /// The target. Optional if deploy.toml has only one.
    pub target: Option<String>,
}

/// `exec`
#[derive(Debug, Clone, Args)]
pub struct ExecArgs {
    /// The target; if there is only one, the service may be given here instead.
    #[arg(value_name = "TARGET")]
    pub first: String,
    /// The service, as the Compose file calls it.
    #[arg(value_name = "SERVICE")]
    pub second: Option<String>,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `run`
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The target. Optional if deploy.toml has only one.
    #[arg(value_name = "TARGET")]
    pub first: Option<String>,
    /// The service whose image, environment, networks and volumes the container has. Default: the first app.
    #[arg(value_name = "SERVICE")]
    pub second: Option<String>,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `shell`
#[derive(Debug, Clone, Args)]
pub struct ShellArgs {
    /// The target. Optional if deploy.toml has only one.
    #[arg(value_name = "TARGET")]
    pub first: Option<String>,
    /// The service. Default: the first app.
    #[arg(value_name = "SERVICE")]
    pub second: Option<String>,
}

/// `env`
#[derive(Debug, Subcommand)]
pub enum EnvCommand {
    /// The keys that the server has.
    List(TargetArgs),
    /// The keys that a deploy would add (+), change (~) or remove (-).
    Diff(TargetArgs),
}

/// `restart`
#[derive(Debug, Clone, Args)]
pub struct RestartArgs {
    /// The target, optional if deploy.toml has only one, and the services. Default: all apps and workers.
    #[arg(value_name = "TARGET, SERVICE")]
    pub services: Vec<String>,
}

/// `scale`
#[derive(Debug, Clone, Args)]
pub struct ScaleArgs {
    /// The target; if there is only one, the service may be given here instead.
    #[arg(value_name = "TARGET")]
    pub first: String,
    /// The service and how many containers of it: web=3.
    #[arg(value_name = "SERVICE=COUNT")]
    pub second: Option<String>,
}

/// `maintenance`
#[derive(Debug, Clone, Args)]
pub struct MaintenanceArgs {
    /// Close the site, or open it.
    pub switch: Switch,
    /// The target. Optional if deploy.toml has only one.
    pub target: Option<String>,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Closed.
    On,
    /// Open.
    Off,
}

/// `serve`
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// The target. Optional if the repository's deploy.toml has only one.
    pub target: Option<String>,
    /// Where to fetch the repository from: an address or a path, as git knows it.
    #[arg(long, value_name = "REPOSITORY")]
    pub source: String,
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9000")]
    pub listen: std::net::SocketAddr,
    /// The folder for the queue and the clone.
    #[arg(long, value_name = "FOLDER", default_value = "estiba-serve")]
    pub folder: Utf8PathBuf,
    /// Take events of this repository only, as the hoster names it.
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<String>,
    /// The branch whose pushes are deployed.
    #[arg(long, default_value = "main")]
    pub branch: String,
    /// Pass pushes over that change no path like this: `app/**`. May be given several times.
    #[arg(long, value_name = "GLOB")]
    pub path: Vec<String>,
    /// The hoster's API for commit statuses, which are posted where ESTIBA_STATUS_TOKEN is set.
    #[arg(long, value_name = "URL", default_value = "https://api.github.com")]
    pub api: String,
}

/// `down`
#[derive(Debug, Clone, Args)]
pub struct DownArgs {
    /// The target. Optional if deploy.toml has only one.
    pub target: Option<String>,
}

/// `history`
#[derive(Debug, Clone, Args)]
pub struct HistoryArgs {
    /// The target. Optional if deploy.toml has only one.
    pub target: Option<String>,
    /// At most this many runs.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub limit: usize,
}

/// `deploy`
#[derive(Debug, Clone, Args)]
pub struct DeployArgs {
    /// The target. Optional if deploy.toml has only one.
    pub target: Option<String>,
    /// Wait this long for another run to end, instead of giving up at once.
    #[arg(long, value_name = "TIME", value_parser = Seconds::parse)]
    pub wait_lock: Option<Seconds>,
    /// Allow the release to replace this service's container. May be given several times.
    #[arg(long, value_name = "SERVICE")]
    pub allow_replace: Vec<String>,
    /// Deploy even when nothing changed.
    #[arg(long)]
    pub force: bool,
    /// Leave once the release is committed, and let the server stop the one before by itself. Until it has, another deploy waits or
    /// is refused.
    #[arg(long)]
    pub no_wait_drain: bool,
    /// Do exactly what this plan says (`estiba plan --out plan.json`), or exit with 6 and say what changed since.
    #[arg(long, value_name = "FILE")]
    pub plan: Option<Utf8PathBuf>,
    /// Deploy although what the target requires may not hold; the history keeps the reason.
    #[arg(long = "override", value_name = "REASON")]
    pub override_reason: Option<String>,
    /// Show afterwards where the time went: a chart of the steps, and what went over the wire.
    #[arg(long)]
    pub timings: bool,
}

/// `promote`
#[derive(Debug, Clone, Args)]
pub struct PromoteArgs {
    /// The target whose release has proven itself.
    pub from: String,
    /// The target that is to serve it.
    pub to: String,
    /// Wait this long for another run to end, instead of giving up at once.
    #[arg(long, value_name = "TIME", value_parser = Seconds::parse)]
    pub wait_lock: Option<Seconds>,
    /// Allow the release to replace this service's container. May be given several times.
    #[arg(long, value_name = "SERVICE")]
    pub allow_replace: Vec<String>,
    /// Deploy although what the target requires may not hold; the history keeps the reason.
    #[arg(long = "override", value_name = "REASON")]
    pub override_reason: Option<String>,
    /// Show afterwards where the time went: a chart of the steps, and what went over the wire.
    #[arg(long)]
    pub timings: bool,
}

/// `rollback`
#[derive(Debug, Clone, Args)]
pub struct RollbackArgs {
    /// The target. Optional if deploy.toml has only one.
    pub target: Option<String>,
    /// The release to go back to; the previous one by default.
    pub release: Option<String>,
    /// Wait this long for another run to end, instead of giving up at once.
    #[arg(long, value_name = "TIME", value_parser = Seconds::parse)]
    pub wait_lock: Option<Seconds>,
    /// Show afterwards where the time went: a chart of the steps, and what went over the wire.
    #[arg(long)]
    pub timings: bool,
}

/// `plan`
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// The target. Optional if deploy.toml has only one.
    pub target: Option<String>,
    /// How to show it.
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Also write the plan to this file; as JSON, for `deploy --plan`, if it ends in .json.
    #[arg(long, value_name = "FILE")]
    pub out: Option<Utf8PathBuf>,
    /// Exit with 10 when there are changes.
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Without a server: compare with a commit of the repository. Secrets need not be there.
    #[arg(long)]
    pub offline: bool,
    /// Another target: show what differs between its server and this one's, instead of a plan. With --offline a commit to compare
    /// with; default: the branch that a pull request goes to, else HEAD.
    #[arg(long, value_name = "TARGET|COMMIT")]
    pub against: Option<String>,
    /// Build the image too, here, to tell its size and how many of its layers the server lacks. Nothing is sent.
    #[arg(long, conflicts_with = "offline")]
    pub build: bool,
    /// In a workflow on a pull request: keep one comment on it with the plan.
    #[arg(long)]
    pub comment: bool,
}

/// How a plan is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a terminal.
    Text,
    /// For a pull request.
    Markdown,
    /// For a program.
    Json,
}

/// `backup`
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Back the database up now: dumped, restored once, compared, and only then given its name.
    Create(TargetArgs),
    /// The backups on the server, oldest first.
    List(TargetArgs),
    /// Check a backup: its SHA-256, its table of contents, a restore into a database of its own, its row counts.
    Verify(WhichBackup),
    /// Put a backup's data back. It is restored beside the database and takes its place by its name; the replaced one
    /// is kept.
    Restore(RestoreArgs),
    /// Bring a backup here, and check it.
    Pull(PullArgs),
}

/// Which backup of which target.
#[derive(Debug, Clone, Args)]
pub struct WhichBackup {
    /// The target; if there is only one, the backup may be given here instead.
    #[arg(value_name = "TARGET")]
    pub first: String,
    /// The backup's id.
    #[arg(value_name = "BACKUP")]
    pub second: Option<String>,
}

/// `backup restore`
#[derive(Debug, Clone, Args)]
pub struct RestoreArgs {
    /// The target whose database is replaced, and the backup: its id, or the path of a `.dump` that was pulled.
    #[command(flatten)]
    pub which: WhichBackup,
    /// The target that holds the backup, if it is another: production for a restore to staging.
    #[arg(long, value_name = "TARGET")]
    pub from: Option<String>,
    /// SQL that is applied, in one transaction, before the app sees the data: to mask it.
    #[arg(long, value_name = "FILE")]
    pub mask: Option<Utf8PathBuf>,
    /// Put this volume or folder back instead of the database, by its name in `backup list`. May be given several times.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["from", "mask"])]
    pub volume: Vec<String>,
    /// Put all volumes of the backup back instead of the database.
    #[arg(long, conflicts_with_all = ["from", "mask", "volume"])]
    pub all_volumes: bool,
    /// Of the one volume, this file or folder alone, by its path in there.
    #[arg(long, value_name = "PATH", requires = "volume")]
    pub file: Option<Utf8PathBuf>,
}

/// `backup pull`
#[derive(Debug, Clone, Args)]
pub struct PullArgs {
    /// Which one.
    #[command(flatten)]
    pub which: WhichBackup,
    /// The folder to put it into. Default: this one.
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<Utf8PathBuf>,
}

/// `config`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check deploy.toml, the Compose file and every template. Contacts no server.
    Check(TargetArgs),
    /// Print the whole resolved configuration, and where each value came from.
    Show(TargetArgs),
    /// Print the JSON Schema of deploy.toml.
    Schema,
}

/// `demo`
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Keep the demo's site and its folder instead of cleaning up.
    #[arg(long)]
    pub keep: bool,
    /// The example to deploy, where it is not the folder examples/django.
    #[arg(long, value_name = "FOLDER")]
    pub example: Option<Utf8PathBuf>,
}
