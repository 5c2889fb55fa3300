//! A deploy, and a rollback, from the client's side.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::config::{ImageSource, Project, Resolved};
use crate::error::{Error, Kind, Result};
use crate::plan::{self, DEPLOY, Plan, ROLLBACK, SPARE_KB, moved};
use crate::render::Artefact;
use crate::report::{Event, Outcome, OutcomeKind, Reporter, StepReport, StepStatus};

use super::artefacts::{self, RunSettings};
use super::bring::{bring, delta, send_context};
use super::follow::{Confirm, Follower};
use super::outside::Outside;
use super::session::{Prepared, prepare};
use super::signals::Signals;
use super::{Options, Session, Who, planning};

/// What a deploy came to: its outcome, and the kind of failure where it is one.
pub type Ending = (Outcome, Option<Kind>);

/// Makes the target serve the project as it stands here.
///
/// `Ok` holds the outcome; wrong input and a server that cannot be reached are errors. The server is never left in
/// between: once started, the run ends by itself, whatever becomes of this client.
pub async fn deploy(project: &Project, resolved: &Resolved, options: &Options, who: &Who, reporter: &Reporter) -> Result<Ending> {
    let started = Instant::now();
    check_replaced(resolved, options)?;
    let mut prepared = prepare(project, resolved, reporter)?;
    prepared.look_up(resolved).await?;
    for note in &prepared.rendered.notes {
        reporter.note(note);
    }
    if who.dirty {
        reporter.tell(Event::Warning("the project has changes that are not committed; they are deployed too".into()));
    }
    let outside = Outside::of(&resolved.target)?;
    let mut signals = Signals::listen()?;
    let release = who.release_id(&prepared.context_digest);
    let ready = tokio::select! {
        ready = make_ready(project, resolved, &prepared, &release, options, who, reporter) => ready?,
        () = signals.next() => return Ok((interrupted(resolved, &release, started), Some(Kind::Interrupted))),
    };
    let (mut session, settings, steps, mut outcome) = match ready {
        Ready::Start { session, settings, steps, outcome } => (*session, *settings, steps, outcome),
        Ready::Over(outcome, kind) => return Ok((Outcome { duration_ms: elapsed(started), ..outcome }, kind)),
    };
    let mut follower = Follower::new(reporter, steps, options.patience);
    let confirm = Confirm { outside: outside.as_ref(), release: &release, nonce: &settings.nonce };
    let ended = follower.run(&session, &settings.run, confirm, &mut signals).await?;
    outcome = follower.outcome(outcome, &ended);
    if outcome.image.is_none() && ended.code == 0 {
        session.refresh().await?;
        outcome.image = session.facts.get("current_image").map(str::to_owned);
    }
    outcome.duration_ms = elapsed(started);
    Ok((outcome, exit_kind(ended.code)))
}

/// Only containers of the stack can be replaced; those of the app always are.
fn check_replaced(resolved: &Resolved, options: &Options) -> Result<()> {
    let app = &resolved.app.service.value;
    for service in &options.allow_replace {
        let known = resolved.compose.service(service).is_some();
        if !known || service == app || resolved.app.workers.value.contains(service) {
            let why = if known { "is replaced by every deploy" } else { "is no service of the Compose file" };
            let names: Vec<&str> = resolved.compose.services().map(|service| service.name).collect();
            return Err(Error::input(format!("--allow-replace {service}: `{service}` {why}"))
                .hint(format!("services: {}", names.join(", "))));
        }
    }
    Ok(())
}

/// A deploy before the server begins: everything is there, or it is over already.
enum Ready<'a> {
    Start { session: Box<Session<'a>>, settings: Box<RunSettings>, steps: Vec<StepReport>, outcome: Outcome },
    Over(Outcome, Option<Kind>),
}

/// Connects, looks, builds and uploads. Nothing that serves is touched by any of it.
async fn make_ready<'a>(
    project: &'a Project,
    resolved: &'a Resolved,
    prepared: &Prepared<'_>,
    release: &str,
    options: &Options,
    who: &Who,
    reporter: &Reporter,
) -> Result<Ready<'a>> {
    let mut session = Session::open(project, resolved, who).await?;
    session.facts.check()?;
    wait_for_lock(&mut session, options, reporter).await?;
    let facts = &session.facts;
    same_project(&session)?;
    let text = |value: Option<&str>| value.map(str::to_owned);
    let blank = Outcome { previous: text(facts.current()), ..blank(resolved, release) };
    if let Some(plan) = &options.plan {
        as_planned(&session, prepared, plan).await?;
    }
    if !options.force && is_unchanged(&session, prepared) {
        let outcome = Outcome {
            outcome: OutcomeKind::Unchanged,
            release: text(facts.current()),
            previous: text(facts.previous()),
            image: text(facts.get("current_image")),
            ..blank
        };
        return Ok(Ready::Over(outcome, None));
    }
    let mut steps = Vec::new();
    let source = resolved.image.source.value;
    let image = match source {
        ImageSource::Build | ImageSource::Registry | ImageSource::Archive => {
            // A tag of the way, not of the release: the server takes it off once it has its own.
            let tag = format!("{}:estiba-build", resolved.image.name.value);
            match bring(&session, prepared, &tag, release, &mut steps, reporter).await {
                Ok(image) => image,
                Err((step, error)) => {
                    let reason = Some(error.message.clone());
                    reporter.tell(Event::Error(error));
                    let outcome = Outcome { failed_step: Some(step.into()), reason, steps, ..blank };
                    return Ok(Ready::Over(outcome, Some(Kind::Failed)));
                }
            }
        }
        ImageSource::Server => String::new(),
    };
    session.mend().await?;
    let settings = RunSettings {
        run: who.run_id("deploy"),
        kind: "deploy",
        release: release.to_owned(),
        source: Some(source),
        observe: resolved.rollout.observe.value,
        steps: DEPLOY.to_vec(),
        need_kb: SPARE_KB,
        nonce: if resolved.target.url.is_some() { who.nonce() } else { String::new() },
        image,
        ..RunSettings::default()
    };
    let mut files = artefacts::scripts(&session.facts);
    files.extend(artefacts::release(prepared, release, who));
    files.extend(artefacts::run(&session, &settings, options, who));
    if source == ImageSource::Server {
        files.extend(artefacts::build_arguments(&prepared.context.arguments, &settings.run));
    }
    timed(reporter, "upload", &mut steps, async {
        let delta = match source {
            ImageSource::Server => Some(delta(&session, prepared, &settings.run).await?),
            _ => None,
        };
        files.extend(delta.iter().flat_map(|delta| delta.files.clone()));
        session.server().send(&settings.run, files).await?;
        if let Some(delta) = delta {
            send_context(&session, prepared, delta.changed, &settings.run, reporter).await?;
        }
        Ok(())
    })
    .await?;
    let image = Some(settings.image.clone()).filter(|image| !image.is_empty());
    Ok(Ready::Start { session: Box::new(session), settings: Box::new(settings), steps, outcome: Outcome { image, ..blank } })
}

/// Is a plan that is made now the one that was made then?
async fn as_planned(session: &Session<'_>, prepared: &Prepared<'_>, then: &Plan) -> Result<()> {
    let now = planning::plan(session, prepared).await?;
    let moved = moved(then, &now);
    if moved.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Kind::Moved,
        format!(
            "{} is not what the plan {} was made for; nothing was changed:\n  {}",
            session.resolved.target.name,
            then.digest,
            moved.join("\n  ")
        ),
    )
    .hint("make the plan again, look at it, and deploy that one"))
}

/// A root belongs to one Compose project: under another name the same files would make a second, empty stack.
fn same_project(session: &Session<'_>) -> Result<()> {
    let (root, project) = (&session.resolved.target.root.value, &session.resolved.compose_project.value);
    match session.facts.current_setting("COMPOSE_PROJECT") {
        Some(known) if known != *project => Err(Error::failed(format!(
            "{root} on the server belongs to the Compose project `{known}`, and this deploys `{project}`; nothing was changed"
        ))
        .hint(format!("to go on with its containers and volumes: [project] compose-project = \"{known}\"; for a stack of its own, another root"))),
        _ => Ok(()),
    }
}

pub(super) fn blank(resolved: &Resolved, release: &str) -> Outcome {
    Outcome {
        event: "outcome",
        outcome: OutcomeKind::Failed,
        target: resolved.target.name.clone(),
        release: Some(release.to_owned()),
        previous: None,
        image: None,
        url: resolved.target.url.clone(),
        failed_step: None,
        reason: None,
        duration_ms: 0,
        steps: Vec::new(),
    }
}

/// Somebody stopped the client before the server had begun.
fn interrupted(resolved: &Resolved, release: &str, started: Instant) -> Outcome {
    Outcome {
        outcome: OutcomeKind::Interrupted,
        reason: Some("stopped before the server began; nothing that serves was touched".into()),
        duration_ms: elapsed(started),
        ..blank(resolved, release)
    }
}

/// Makes the target serve the previous release again, or a named one, with its own files, environment and
/// image.
pub async fn rollback(
    project: &Project,
    resolved: &Resolved,
    to: Option<&str>,
    options: &Options,
    who: &Who,
    reporter: &Reporter,
) -> Result<Ending> {
    let started = Instant::now();
    let mut signals = Signals::listen()?;
    let mut session = Session::open(project, resolved, who).await?;
    session.facts.check()?;
    wait_for_lock(&mut session, options, reporter).await?;
    let release = choose_release(&session, to)?;
    let image = session.facts.releases.iter().find(|kept| kept.id == release).map(|kept| kept.image.clone()).unwrap_or_default();
    let blank =
        Outcome { previous: session.facts.current().map(str::to_owned), image: Some(image.clone()), ..blank(resolved, &release) };
    if session.facts.current() == Some(release.as_str()) {
        return Ok((Outcome { outcome: OutcomeKind::Unchanged, duration_ms: elapsed(started), ..blank }, None));
    }
    let settings = RunSettings {
        run: who.run_id("rollback"),
        kind: "rollback",
        release,
        image,
        steps: ROLLBACK.to_vec(),
        ..RunSettings::default()
    };
    let (outcome, kind) = carry_out(&session, &settings, BTreeMap::new(), options, who, reporter, blank, &mut signals).await?;
    Ok((Outcome { duration_ms: elapsed(started), ..outcome }, kind))
}

/// A run on a release that the server has: sends the run's files, starts it, follows it to its end. Nobody confirms it.
#[expect(clippy::too_many_arguments, reason = "all that a run is made of, from its two callers")]
pub(super) async fn carry_out(
    session: &Session<'_>,
    settings: &RunSettings,
    more: BTreeMap<String, Artefact>,
    options: &Options,
    who: &Who,
    reporter: &Reporter,
    blank: Outcome,
    signals: &mut Signals,
) -> Result<Ending> {
    let mut files = artefacts::scripts(&session.facts);
    files.extend(artefacts::run(session, settings, options, who));
    files.extend(more);
    session.server().send(&settings.run, files).await?;
    let mut follower = Follower::new(reporter, Vec::new(), options.patience);
    let confirm = Confirm { outside: None, release: &settings.release, nonce: "" };
    let ended = follower.run(session, &settings.run, confirm, signals).await?;
    Ok((follower.outcome(blank, &ended), exit_kind(ended.code)))
}

fn exit_kind(code: u8) -> Option<Kind> {
    (code != 0).then(|| Kind::from_code(code))
}

pub(super) fn elapsed(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The release to go back to, or a refusal that lists those that can be had.
fn choose_release(session: &Session<'_>, to: Option<&str>) -> Result<String> {
    let facts = &session.facts;
    let target = &session.resolved.target.name;
    let had: Vec<&str> = facts.releases.iter().filter(|kept| kept.present).map(|kept| kept.id.as_str()).collect();
    let list = |error: Error| {
        let others: Vec<&str> = had.iter().filter(|id| Some(**id) != facts.current()).copied().collect();
        if others.is_empty() { error } else { error.hint(format!("can be had: {}", others.join(", "))) }
    };
    let wanted = match to.or(facts.previous()) {
        Some(wanted) => wanted,
        None => return Err(list(Error::failed(format!("{target} has no previous release; nothing was changed")))),
    };
    if had.contains(&wanted) {
        return Ok(wanted.to_owned());
    }
    // A part of an id that only one has, the commit say.
    if let [one] = had.iter().filter(|id| wanted.len() >= 4 && id.contains(wanted)).collect::<Vec<_>>().as_slice() {
        return Ok((**one).to_owned());
    }
    let gone = facts.releases.iter().any(|kept| kept.id == wanted);
    let why = if gone { "its image is no longer on the server" } else { "it is not on the server, or was pruned" };
    let error = Error::failed(format!("{target} cannot go back to {wanted}: {why}; nothing was changed"));
    Err(list(error))
}

/// Is the server's release what this one would be, and does it run?
fn is_unchanged(session: &Session<'_>, prepared: &Prepared<'_>) -> bool {
    let facts = &session.facts;
    let status = crate::server::Status::of("", facts);
    facts.current().is_some()
        && facts.open_runs.is_empty()
        && status.drift.is_empty()
        && facts.current_setting("CONTEXT_DIGEST").as_deref() == Some(prepared.context_digest.as_str())
        && plan::changed_paths(&prepared.rendered, facts).is_empty()
}

/// Waits for another run's end, as long as the options say.
pub(super) async fn wait_for_lock(session: &mut Session<'_>, options: &Options, reporter: &Reporter) -> Result<()> {
    let started = Instant::now();
    let mut told = false;
    while let Some(holder) = session.facts.lock().map(str::to_owned) {
        let limit = Duration::from_secs(options.wait_lock.unwrap_or(0));
        if started.elapsed() >= limit {
            return Err(session.locked(&holder));
        }
        if !told {
            reporter.note(format!("waiting for another run to end: {holder}"));
            told = true;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        session.refresh().await?;
    }
    Ok(())
}

/// Runs a part of the client's own work as a step.
pub(super) async fn timed<T>(
    reporter: &Reporter,
    step: &str,
    steps: &mut Vec<StepReport>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let started = Instant::now();
    reporter.tell(Event::Began { step: step.into() });
    let result = work.await;
    let duration_ms = elapsed(started);
    let status = match &result {
        Ok(_) => {
            reporter.tell(Event::Done { step: step.into(), duration_ms });
            StepStatus::Done
        }
        Err(_) => {
            // The error itself is told by whoever asked.
            reporter.tell(Event::Failed { step: step.into(), reason: String::new() });
            StepStatus::Failed
        }
    };
    steps.push(StepReport { name: step.into(), status, duration_ms });
    result
}
