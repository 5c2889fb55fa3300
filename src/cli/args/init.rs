//! The arguments of `init`.

use clap::{Args, ValueEnum};

use crate::scaffold::Tls;

/// `init`
#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// The project's name. Default: the folder's.
    #[arg(long)]
    pub name: Option<String>,
    /// The action that the workflows use. Default: that of the release that this binary belongs to.
    #[arg(long, value_name = "OWNER/REPOSITORY@COMMIT")]
    pub action: Option<String>,
    /// A name by which the site is reached, the main one first. May be given several times, or parted by commas. With one, the
    /// site is served by https.
    #[arg(long, value_delimiter = ',')]
    pub domain: Vec<String>,
    /// Who speaks https with people. Default: letsencrypt with a domain, else none.
    #[arg(long, value_enum)]
    pub tls: Option<Tls>,
    /// Where the certificate authority writes to when something is wrong with the certificate.
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// The production server.
    #[arg(long, value_name = "USER@HOST")]
    pub server: Option<String>,
    /// The server's memory (`4g`, `512m`), by which the database is tuned and containers are limited.
    #[arg(long, value_name = "SIZE", value_parser = Memory::parse)]
    pub memory: Option<Memory>,
    /// The database of a Django site that gets a stack.
    #[arg(long, value_enum, default_value_t = DatabaseChoice::Postgres)]
    pub database: DatabaseChoice,
    /// What else the stack has.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub with: Vec<Extra>,
    /// Ask nothing, on a terminal either.
    #[arg(long)]
    pub yes: bool,
    /// Write this file although it exists. May be given several times.
    #[arg(long, value_name = "FILE")]
    pub force: Vec<String>,
    /// Write nothing: show what would be written, and how files that exist would change.
    #[arg(long)]
    pub diff: bool,
    /// Write nothing: say what the stack that is here lacks, and why that matters.
    #[arg(long)]
    pub check: bool,
}

/// What a Django site keeps its data in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DatabaseChoice {
    /// PostgreSQL, in the stack.
    Postgres,
    /// SQLite, in a folder of the server. The release before stops before the next one starts.
    Sqlite,
}

/// What a stack may have beside what the site needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Extra {
    /// Prometheus with its exporters, alert rules, Alertmanager and a dashboard for Grafana.
    Monitoring,
}

/// A server's memory in MB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory(pub u32);

impl Memory {
    fn parse(text: &str) -> Result<Self, String> {
        let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match text[number.len()..].to_ascii_lowercase().as_str() {
            "g" | "gb" | "gib" => 1024,
            "m" | "mb" | "mib" => 1,
            _ => 0,
        };
        match number.parse::<u32>().ok().and_then(|number| number.checked_mul(unit)) {
            Some(memory) if memory >= 256 => Ok(Self(memory)),
            _ => Err(format!("`{text}` is no server's memory: write it as 4g or 512m, and no less than 256m")),
        }
    }
}
