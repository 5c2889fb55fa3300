//! Backups by hand: made, verified and restored as runs on the server, with its lock, its journal and its undo.

use crate::artefact::Artefact;
use crate::error::{Error, Result};
use crate::report::Outcome;
use crate::server::{Fact, steps_of};

use super::conclude::Ending;
use super::connect::Session;
use super::follow::carry_out;
use super::inspect::wait_for_lock;
use super::launch::RunSettings;
use super::operation::Operation;
use super::signals::Signals;

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
    /// Put back what a backup holds of volumes.
    RestoreVolumes {
        /// The backup.
        id: String,
        /// Their names in it; all where there is none.
        volumes: Vec<String>,
        /// One file of the one volume; the whole where it is empty.
        file: String,
    },
}

impl BackupRun {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Create => "backup",
            Self::Verify(_) => "verify",
            Self::Restore { .. } | Self::RestoreVolumes { .. } => "restore",
        }
    }

    /// The steps; without an off-site repository, nothing goes there.
    fn steps(&self, offsite: bool) -> Vec<String> {
        let plan = if matches!(self, Self::RestoreVolumes { .. }) { "restore-volumes" } else { self.kind() };
        steps_of(plan).into_iter().filter(|step| offsite || *step != "offsite").map(str::to_owned).collect()
    }
}

/// Runs it on the target's server and follows it to its end.
pub async fn backup(operation: &Operation<'_>, run: BackupRun) -> Result<Ending> {
    let resolved = operation.resolved;
    let mut signals = Signals::listen()?;
    let mut session = Session::open_only(operation.project, resolved).await?;
    session.facts.check()?;
    wait_for_lock(&mut session, operation).await?;
    let Some(current) = session.facts.current().map(str::to_owned) else {
        return Err(Error::failed(format!("{} serves nothing yet: there is no database to back up", resolved.target.name))
            .hint("deploy first"));
    };
    // No release is made by it: what served before serves on.
    let image = session.facts.get(Fact::CurrentImage).map(str::to_owned);
    let outcome = Outcome { previous: Some(current.clone()), image, ..operation.blank(None) };
    let (backup, mask) = match &run {
        BackupRun::Create => (String::new(), None),
        BackupRun::Verify(id) => (id.clone(), None),
        BackupRun::Restore { id, mask } => (id.clone(), mask.clone()),
        BackupRun::RestoreVolumes { id, .. } => (id.clone(), None),
    };
    let (services, asked) = match &run {
        BackupRun::RestoreVolumes { volumes, file, .. } => (volumes.clone(), file.clone()),
        _ => Default::default(),
    };
    let settings = RunSettings {
        run: operation.actor.run_id(run.kind()),
        kind: run.kind(),
        release: current,
        image: outcome.image.clone().unwrap_or_default(),
        steps: run.steps(resolved.backup.offsite.is_some()),
        backup,
        services,
        asked,
        ..RunSettings::default()
    };
    let mask = mask.map(|bytes| (format!("runs/{}/mask.sql", settings.run), Artefact { mode: 0o600, bytes, secret: true }));
    let ending = carry_out(&session, &settings, mask.into_iter().collect(), operation, outcome, &mut signals).await?;
    Ok(operation.ended(ending))
}
