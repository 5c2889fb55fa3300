//! Who is told of what, resolved.

use super::super::Seconds;
use super::super::shape::AlertOn;
use super::Setting;

/// `[alerts]`, resolved. Where a project is only looked at, it has no channels.
#[derive(Debug, Clone)]
pub struct Alerts {
    /// What is told.
    pub on: Setting<Vec<AlertOn>>,
    /// By what.
    pub channels: Vec<Channel>,
    /// What was filled in from the environment: not for anybody's eyes.
    pub secrets: Vec<String>,
}

impl Alerts {
    /// Is anybody told of anything?
    pub const fn is_wanted(&self) -> bool {
        !self.channels.is_empty()
    }
}

/// A way to tell people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// Slack's incoming webhook.
    Slack {
        /// Its address.
        url: String,
    },
    /// Any other POST.
    Webhook {
        /// Where to.
        url: String,
        /// What is sent, with `{title}` and `{text}` in it.
        body: String,
        /// The body's kind.
        content_type: String,
        /// Further headers.
        headers: Vec<(String, String)>,
    },
    /// Email.
    Email {
        /// To whom.
        to: Vec<String>,
        /// From whom.
        from: String,
        /// By which server.
        smtp: Smtp,
    },
}

impl Channel {
    /// Its word in deploy.toml.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Slack { .. } => "slack",
            Self::Webhook { .. } => "webhook",
            Self::Email { .. } => "email",
        }
    }
}

/// A mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smtp {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Is TLS spoken from the first byte on?
    pub is_tls: bool,
    /// Who logs in there, and with what.
    pub login: Option<(String, String)>,
}

impl Smtp {
    /// Is it on the very machine that sends? Then a password goes over no network.
    pub fn is_here(&self) -> bool {
        let host = self.host.trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// `[watch]`, resolved.
#[derive(Debug, Clone)]
pub struct Watch {
    /// Time between two looks.
    pub every: Setting<Seconds>,
    /// How full a disk may be, in percent.
    pub disk_percent: Setting<u8>,
    /// How many days a certificate must have left.
    pub certificate_days: Setting<u32>,
    /// How old the newest backup may be.
    pub backup_age: Setting<Seconds>,
    /// Are people told of what it sees?
    pub tell: Setting<bool>,
    /// Are figures written at each look?
    pub metrics: Setting<bool>,
}
