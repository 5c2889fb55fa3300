//! These types form the interface between the engine and the sinks.

use serde::Serialize;

use crate::error::{Error, Kind};

use super::slots::Slots;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Worth knowing.
    Note(String),
    /// Worth knowing, and not as it should be.
    Warning(String),
    /// A step began.
    Began {
        /// The step's name.
        step: String,
    },
    /// A step is still at work, after this many seconds without an end.
    Still {
        /// The step's name.
        step: String,
        /// Seconds since it began.
        seconds: u64,
    },
    /// A step ended well.
    Done {
        /// The step's name.
        step: String,
        /// How long it took, in milliseconds.
        duration_ms: u64,
    },
    /// A step failed.
    Failed {
        /// The step's name.
        step: String,
        /// Why.
        reason: String,
    },
    /// A step is being undone.
    Undoing {
        /// The step's name.
        step: String,
    },
    /// A step was undone.
    Undone {
        /// The step's name.
        step: String,
    },
    /// A step could not be undone.
    UndoFailed {
        /// The step's name.
        step: String,
        /// Why.
        reason: String,
    },
    /// A line that a step's command printed.
    Output {
        /// The step's name.
        step: String,
        /// The line, as it came.
        line: String,
    },
    /// What a check found: tests, or a scan.
    Found(Found),
    /// How both releases of an app do.
    Slots(Slots),
    /// A line of a container's log.
    Log {
        /// The container.
        container: String,
        /// When, UTC.
        time: String,
        /// What it says.
        line: String,
    },
    /// Bytes on their way.
    Progress {
        /// What is sent.
        what: String,
        /// Bytes sent.
        done: u64,
        /// Bytes in all, where that is known.
        total: Option<u64>,
    },
    /// A plan, for whoever keeps it: as JSON, and in Markdown.
    Plan {
        /// The JSON plan.
        document: serde_json::Value,
        /// The same for people.
        markdown: String,
    },
    /// What the command was asked for, for standard output.
    Text(String),
    /// The same for programs: a JSON document, for standard output with `--json`.
    Document(serde_json::Value),
    /// The last word of a deploy or rollback.
    Outcome(Box<Outcome>),
    /// The command failed.
    Error(Error),
    /// The same of one host of a fleet.
    OnHost {
        /// The host.
        host: String,
        /// What happened there.
        event: Box<Event>,
    },
}

/// What a check found, for whoever keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The step that found it.
    pub step: String,
    /// One line on it.
    pub summary: String,
    /// A name and a text for each thing.
    pub details: Vec<(String, String)>,
}

/// How a deploy ended, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeKind {
    /// The new release serves.
    Deployed,
    /// What was asked for, no deploy, was done: a backup, say.
    Done,
    /// There was nothing to do.
    Unchanged,
    /// The new release failed and was undone, or an earlier one was asked for and serves.
    RolledBack,
    /// Nothing was done: the server would not, or could not, take it.
    Refused,
    /// It failed.
    Failed,
    /// Somebody stopped it.
    Interrupted,
}

impl From<Kind> for OutcomeKind {
    /// What an error comes to that came before the server began.
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Failed | Kind::NeedsPerson => Self::Failed,
            Kind::Interrupted => Self::Interrupted,
            _ => Self::Refused,
        }
    }
}

/// What became of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepStatus {
    /// It ended well.
    Done,
    /// It failed.
    Failed,
    /// It was undone.
    Undone,
    /// It could not be undone.
    UndoFailed,
}

/// One step of an outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepReport {
    /// Its name.
    pub name: String,
    /// What became of it.
    pub status: StepStatus,
    /// When it began: milliseconds since the command did.
    pub at_ms: u64,
    /// How long its do took, in milliseconds.
    pub duration_ms: u64,
}

/// The JSON outcome of docs/reference.md, its last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Always `outcome`.
    pub event: &'static str,
    /// How it ended.
    pub outcome: OutcomeKind,
    /// The target.
    pub target: String,
    /// The release that was to be deployed.
    pub release: Option<String>,
    /// The one that served before.
    pub previous: Option<String>,
    /// The release's image.
    pub image: Option<String>,
    /// The site's address, where the target has one.
    pub url: Option<String>,
    /// The step that failed.
    pub failed_step: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The steps that were not finished after the release had been committed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unfinished: Vec<String>,
    /// After an undo: what is not as it was before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<String>,
    /// What became of its alert, by each channel.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<AlertTold>,
    /// How long all of it took, in milliseconds.
    pub duration_ms: u64,
    /// The steps, in their order.
    pub steps: Vec<StepReport>,
    /// What went between the client and the servers, where a run was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Box<Traffic>>,
}

/// What became of an alert by one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AlertTold {
    /// The channel.
    pub channel: String,
    /// `sent`, `trying` (the server goes on), `left` (to the client) or `lost`.
    pub state: String,
    /// Why it is not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What went over the wire, without SSH's own part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Commands that were run on the servers: each a round trip and more.
    pub commands: u64,
    /// Bytes to them.
    pub bytes_sent: u64,
    /// Bytes from them.
    pub bytes_received: u64,
}

/// The beginning of the reason where the hosts of a fleet came to different ends.
pub const MIXED: &str = "the hosts serve different releases";

impl Outcome {
    /// Did the hosts of a fleet come to different ends?
    pub fn is_mixed(&self) -> bool {
        self.reason.as_deref().is_some_and(|why| why.starts_with(MIXED))
    }

    /// What an error comes to that ended a command on that target.
    pub fn of_error(target: &str, error: &Error) -> Self {
        Self { outcome: error.kind.into(), reason: Some(error.text()), ..Self::failed(target) }
    }

    /// A failure on that target of which nothing more is known.
    pub fn failed(target: &str) -> Self {
        Self {
            event: "outcome",
            outcome: OutcomeKind::Failed,
            target: target.to_owned(),
            release: None,
            previous: None,
            image: None,
            url: None,
            failed_step: None,
            reason: None,
            unfinished: Vec::new(),
            differs: Vec::new(),
            alerts: Vec::new(),
            duration_ms: 0,
            steps: Vec::new(),
            traffic: None,
        }
    }
}
