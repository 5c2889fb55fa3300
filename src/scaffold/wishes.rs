//! What is asked for of a stack that init writes.

/// Who speaks https with people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Tls {
    /// nginx, with a certificate that the stack gets from Let's Encrypt and renews.
    Letsencrypt,
    /// nginx, with a certificate that lies on the server.
    Files,
    /// A load balancer in front of this server.
    Front,
    /// Nobody: the site is served by http alone.
    None,
}

/// What was asked for of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// The names by which the site is reached, the main one first.
    pub domains: Vec<String>,
    /// Who speaks https.
    pub tls: Tls,
    /// The production server, as deploy.toml names it.
    pub server: Option<String>,
    /// Where a certificate authority writes to.
    pub email: Option<String>,
    /// PostgreSQL, or else one file of SQLite.
    pub database: bool,
    /// The server's memory in MB.
    pub memory: u32,
    /// Prometheus, its exporters and Alertmanager beside the stack.
    pub monitoring: bool,
}
