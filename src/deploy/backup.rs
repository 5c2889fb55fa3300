//! Backups by hand: made, verified and restored as runs on the server, with its lock, its journal and its undo.

use std::time::Instant;

use crate::config::{Project, Resolved};
use crate::error::{Error, Result};
use crate::render::Artefact;
use crate::report::{Outcome, Reporter};

use super::artefacts::RunSettings;
use super::signals::Signals;
use super::transaction::{Ending, blank, carry_out, elapsed, wait_for_lock};
use super::{Options, Session, Who};

/// What is to be done.
#[derive(Debug, Clone)]
pub enum BackupRun {
    /// Dump, restore once, compare, keep.
    Create,
    /// Check a backup by restoring it into a database of its own.
    Verify(String),
    /// Restore a backup, and let it take the database's place.
    Restore {
        /// The backup.
        id: String,
        /// SQL that is applied before the app sees the data.
        mask: Option<Vec<u8>>,
    },
}

impl BackupRun {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Create => "backup",
            Self::Verify(_) => "verify",
            Self::Restore { .. } => "restore",
        }
    }

    fn steps(&self, offsite: bool) -> Vec<&'static str> {
        match self {
            Self::Create if offsite => vec!["backup", "offsite"],
            Self::Create => vec!["backup"],
            Self::Verify(_) => vec!["verify"],
            Self::Restore { .. } => vec!["load", "swap"],
        }
    }
}

/// Runs it on the target's server and follows it to its end.
pub async fn backup(
    project: &Project,
    resolved: &Resolved,
    run: BackupRun,
    options: &Options,
    who: &Who,
    reporter: &Reporter,
) -> Result<Ending> {
    let started = Instant::now();
    let mut signals = Signals::listen()?;
    let mut session = Session::open_only(project, resolved, who).await?;
    session.facts.check()?;
    wait_for_lock(&mut session, options, reporter).await?;
    let Some(current) = session.facts.current().map(str::to_owned) else {
        return Err(Error::failed(format!("{} serves nothing yet: there is no database to back up", resolved.target.name))
            .hint("deploy first"));
    };
    // No release is made by it: what served before serves on.
    let outcome = Outcome {
        release: None,
        previous: Some(current.clone()),
        image: session.facts.get("current_image").map(str::to_owned),
        ..blank(resolved, &current)
    };
    let (backup, mask) = match &run {
        BackupRun::Create => (String::new(), None),
        BackupRun::Verify(id) => (id.clone(), None),
        BackupRun::Restore { id, mask } => (id.clone(), mask.clone()),
    };
    let settings = RunSettings {
        run: who.run_id(run.kind()),
        kind: run.kind(),
        release: current.clone(),
        image: outcome.image.clone().unwrap_or_default(),
        steps: run.steps(resolved.backup.offsite.is_some()),
        backup,
        ..RunSettings::default()
    };
    let mask = mask.map(|bytes| (format!("runs/{}/mask.sql", settings.run), Artefact { mode: 0o600, bytes, secret: true }));
    let more = mask.into_iter().collect();
    let (outcome, kind) = carry_out(&session, &settings, more, options, who, reporter, outcome, &mut signals).await?;
    Ok((Outcome { duration_ms: elapsed(started), ..outcome }, kind))
}
