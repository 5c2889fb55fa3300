//! A run is made ready on every host: its files are there, and nothing of it has begun.

mod context;
mod files;

use std::collections::BTreeMap;

use crate::artefact::Artefact;
use crate::config::{ImageSource, StepPlace};
use crate::error::Result;
use crate::plan::SPARE_KB;
use crate::random;
use crate::report::{Outcome, OutcomeKind, Reporter, StepReport};
use crate::server::{Fact, Facts};

use context::{delta, send_context};
pub(super) use files::RunSettings;

use super::conclude::Stop;
use super::connect::Session;
use super::hosts::{all, each};
use super::operation::Operation;
use super::prepare::{Candidate, Prepared};
use super::scan::FINDINGS;
use super::ship::{Ids, Shipped};
use super::step::step;

/// One host's part of a deploy or rollback: its run is there and not begun, or there is nothing to do.
pub(super) struct Launch<'a> {
    pub(super) session: Session<'a>,
    /// `None`: it serves the release already.
    pub(super) settings: Option<RunSettings>,
    /// The outcome before the run has told anything.
    pub(super) blank: Outcome,
}

/// The runs on all hosts.
pub(super) struct Launched<'a> {
    pub(super) launches: Vec<Launch<'a>>,
    /// The client's steps so far.
    pub(super) steps: Vec<StepReport>,
}

impl Launched<'_> {
    /// Is the site in maintenance somewhere? Then nobody can look at it from outside.
    pub(super) fn is_closed(&self, reporter: &Reporter) -> bool {
        let closed = self.launches.iter().any(|launch| launch.session.facts.get(Fact::Maintenance).is_some());
        if closed {
            reporter.note(
                "maintenance is on: the site stays closed, and is not looked at from outside; `estiba maintenance off` opens it",
            );
        }
        closed
    }
}

/// Uploads the files of release and run to every host that gets it.
pub(super) async fn launch<'a>(
    shipped: Shipped<'a>,
    candidate: &Candidate<'_>,
    operation: &Operation<'_>,
) -> Result<Launched<'a>, Stop> {
    let Shipped { to_do, unchanged, mut steps, findings } = shipped;
    let is_fleet = to_do.len() + unchanged.len() > 1;
    let mut launches: Vec<Launch<'a>> = unchanged.into_iter().map(|session| nothing_to_do(session, operation)).collect();
    if to_do.is_empty() {
        return Ok(Launched { launches, steps });
    }
    let uploading = async {
        let names: Vec<String> = to_do.iter().map(|(session, _)| session.host()).collect();
        let sent = each(to_do, async |(mut session, ids)| {
            session.mend().await?;
            let is_silent = names.first().is_some_and(|first| *first != session.host());
            let findings = findings.clone();
            let settings = RunSettings { is_silent, findings, ..settings(ids, candidate, operation, is_fleet) };
            upload(&session, &candidate.prepared, &settings, operation).await?;
            let image = Some(settings.image.clone()).filter(|image| !image.is_empty());
            let blank = Outcome { image, ..blank(&session.facts, &candidate.id, operation) };
            Ok(Launch { session, settings: Some(settings), blank })
        })
        .await;
        all(&names, "did not take the upload; none was deployed to", sent)
    };
    launches.extend(step(operation, "upload", &mut steps, uploading).await?);
    Ok(Launched { launches, steps })
}

fn blank(facts: &Facts, release: &str, operation: &Operation<'_>) -> Outcome {
    Outcome { previous: facts.current().map(str::to_owned), ..operation.blank(Some(release)) }
}

/// A host that serves the release already.
fn nothing_to_do<'a>(session: Session<'a>, operation: &Operation<'_>) -> Launch<'a> {
    let facts = &session.facts;
    let text = |value: Option<&str>| value.map(str::to_owned);
    let blank = Outcome {
        outcome: OutcomeKind::Unchanged,
        previous: text(facts.previous()),
        image: text(facts.get(Fact::CurrentImage)),
        ..operation.blank(facts.current())
    };
    Launch { session, settings: None, blank }
}

/// The settings of one host's run. Where somebody has to give a word before the commit, that word is its nonce.
fn settings(images: Ids, candidate: &Candidate<'_>, operation: &Operation<'_>, is_fleet: bool) -> RunSettings {
    let resolved = operation.resolved;
    let on_server = candidate.prepared.images.iter().any(|image| image.source == ImageSource::Server);
    let on_client = resolved.proof.team_steps.iter().any(|step| step.on == StepPlace::Client);
    let waits = candidate.look.is_some() || is_fleet || on_client;
    RunSettings {
        run: operation.actor.run_id("deploy"),
        kind: "deploy",
        release: candidate.id.clone(),
        source: Some(if on_server { ImageSource::Server } else { resolved.image().source.value }),
        observe: resolved.rollout.observe.value,
        steps: candidate.steps.clone(),
        need_kb: SPARE_KB,
        nonce: if waits { random::hex(16) } else { String::new() },
        image: images.get("ESTIBA_IMAGE").cloned().unwrap_or_default(),
        images,
        ..RunSettings::default()
    }
}

/// Sends the files of the release and of the run to one host.
async fn upload(session: &Session<'_>, prepared: &Prepared<'_>, settings: &RunSettings, operation: &Operation<'_>) -> Result<()> {
    let mut files = files::release(prepared, &settings.release, &operation.actor);
    let findings = settings.findings.as_ref().map(|found| (format!("releases/{}/{FINDINGS}", settings.release), found.clone()));
    files.extend(findings.map(|(path, found)| (path, Artefact::text(found))));
    files.extend(files::run(session, settings, operation));
    let mut changed = None;
    if settings.source == Some(ImageSource::Server) {
        files.extend(files::build_arguments(prepared, &settings.run));
        let delta = delta(session, prepared, &settings.run).await?;
        files.extend(delta.files);
        changed = Some(delta.changed);
    }
    session.server().send(&settings.run, lacks_scripts(session), files).await?;
    match changed {
        Some(changed) => send_context(session, prepared, changed, &settings.run, operation.reporter).await,
        None => Ok(()),
    }
}

fn lacks_scripts(session: &Session<'_>) -> bool {
    session.facts.get(Fact::Scripts).is_none()
}

/// Sends the files of a run on a release that the server has.
pub(super) async fn send_run(
    session: &Session<'_>,
    settings: &RunSettings,
    more: BTreeMap<String, Artefact>,
    operation: &Operation<'_>,
) -> Result<()> {
    let mut files = files::run(session, settings, operation);
    files.extend(more);
    session.server().send(&settings.run, lacks_scripts(session), files).await
}
