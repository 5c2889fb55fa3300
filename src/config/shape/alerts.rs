//! The sections about who is told of what: `[alerts]` and `[watch]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::Seconds;

/// `[alerts]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AlertsSection {
    /// The address of an incoming webhook of Slack, as `${SLACK_WEBHOOK_URL}`. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slack: Option<String>,
    /// Any other service that takes a POST: Discord, Teams, ntfy, one of the team's own. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookSection>,
    /// Email. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailSection>,
    /// Which ends of a deploy, a rollback, a restore or a scheduled backup are told. Default: `["failed", "rolled-back",
    /// "recovered"]`. What `[watch]` sees is always told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<Vec<AlertOn>>,
}

/// What somebody may want to be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AlertOn {
    /// A new release serves.
    Deployed,
    /// A release failed and was undone, or somebody went back to an earlier one.
    RolledBack,
    /// A deploy failed, one needs a person, or a backup, a drill or a restore failed.
    Failed,
    /// A deploy was not begun: the server or what the target requires would not have it.
    Refused,
    /// A release serves, and the deploy before it had failed.
    Recovered,
}

impl AlertOn {
    /// Its word in deploy.toml.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Deployed => "deployed",
            Self::RolledBack => "rolled-back",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Recovered => "recovered",
        }
    }
}

/// `[alerts] webhook`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WebhookSection {
    /// Where to: an http or https address.
    pub url: String,
    /// What is sent, with `{title}` and `{text}` in it: JSON strings with their quotes where `content-type` is JSON, plain text
    /// elsewhere. `{"content": {text}}` is what Discord takes. Default: `{"title": {title}, "text": {text}}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The kind of the body. Default: `application/json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Further headers, by their names. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// `[alerts] email`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EmailSection {
    /// To whom.
    pub to: Vec<String>,
    /// From whom. Default: the first of `to`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The mail server, as `${SMTP_URL}`: `smtp://user:password@host:587` begins in the clear and changes to TLS (STARTTLS) before a
    /// password is sent; `smtps://user:password@host` is TLS from the first byte on. Signs that an address cannot hold are
    /// percent-encoded. Without user and password TLS is used where the server offers it.
    pub smtp: String,
}

/// `[watch]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WatchSection {
    /// How often the server looks. What is wrong twice in a row is told. Default: 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<Seconds>,
    /// A disk is told of that is used to this many percent. Default: 90.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_percent: Option<u8>,
    /// A certificate is told of that has fewer days left. Default: 14.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_days: Option<u32>,
    /// A newest backup is told of that is older; only where backups are scheduled. Default: 26h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_age: Option<Seconds>,
    /// Is what the server sees told by `[alerts]`? `false` leaves that to whoever reads its figures. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tell: Option<bool>,
    /// Does the server write its figures at each look, those of `estiba metrics --prometheus`? They are the file `estiba.prom` in the
    /// folder `shared/metrics`, for the textfile collector of Prometheus' node exporter. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<bool>,
}
