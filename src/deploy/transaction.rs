//! A deploy, and a rollback, from the client's side.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::config::{ImageSource, Project, Resolved};
use crate::error::{Error, Kind, Result};
use crate::plan::{self, DEPLOY, Plan, ROLLBACK, SPARE_KB, moved};
use crate::render::Artefact;
use crate::report::{Event, Outcome, OutcomeKind, Reporter, StepReport, StepStatus};
use crate::server::Facts;

use super::artefacts::{self, RunSettings};
use super::bring::{bring, delta, send_context};
use super::fleet::{Gate, all, each, together};
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
    prepared.look_up(resolved, reporter).await?;
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
    let (launches, steps) = match ready {
        Ready::Start(launches, steps) => (launches, steps),
        Ready::Over(outcome, kind) => return Ok((Outcome { duration_ms: elapsed(started), ..*outcome }, kind)),
    };
    let (outcome, kind) = follow_all(resolved, launches, steps, outside.as_ref(), options, reporter, &signals).await?;
    Ok((Outcome { duration_ms: elapsed(started), ..outcome }, kind))
}

/// One host's part of a deploy or rollback: its run is there and not begun, or there is nothing to do.
struct Launch<'a> {
    session: Session<'a>,
    settings: Option<RunSettings>,
    blank: Outcome,
}

/// Starts the runs and follows them to their ends. Of several hosts each has an outcome of its own, and all a common one.
async fn follow_all(
    resolved: &Resolved,
    launches: Vec<Launch<'_>>,
    steps: Vec<StepReport>,
    outside: Option<&Outside<'_>>,
    options: &Options,
    reporter: &Reporter,
    signals: &Signals,
) -> Result<Ending> {
    if let [launch] = launches.as_slice() {
        return follow_one(launch, steps, outside, None, options, reporter, signals.clone()).await;
    }
    let gate = Gate::new(launches.iter().filter(|launch| launch.settings.is_some()).count());
    let endings = futures_util::future::join_all(launches.iter().map(async |launch| {
        let host = launch.session.host();
        let reporter = launch.session.reporter(reporter);
        let followed = follow_one(launch, Vec::new(), outside, Some(&gate), options, &reporter, signals.clone()).await;
        let ending = followed.unwrap_or_else(|error| {
            let (reason, kind) = (Some(error.message.clone()), error.kind);
            reporter.tell(Event::Error(error));
            (Outcome { reason, ..launch.blank.clone() }, Some(kind))
        });
        if ending.1.is_some() {
            let (step, reason) = (&ending.0.failed_step, &ending.0.reason);
            let why: Vec<&str> = [step, reason].into_iter().flatten().map(String::as_str).collect();
            gate.fail(&format!("{host}: {}", why.join(": ")));
        }
        reporter.tell(Event::Outcome(ending.0.clone()));
        (host, ending)
    }))
    .await;
    Ok(together(blank(resolved, ""), steps, &endings))
}

/// Starts one host's run and follows it to its end.
async fn follow_one(
    launch: &Launch<'_>,
    steps: Vec<StepReport>,
    outside: Option<&Outside<'_>>,
    gate: Option<&Gate>,
    options: &Options,
    reporter: &Reporter,
    mut signals: Signals,
) -> Result<Ending> {
    let Launch { session, settings: Some(settings), blank } = launch else {
        return Ok((Outcome { steps, ..launch.blank.clone() }, None));
    };
    let begun = Instant::now();
    let mut follower = Follower::new(reporter, steps, options.patience, gate);
    let waits = gate.filter(|_| !settings.nonce.is_empty());
    let confirm = Confirm { outside, release: &settings.release, nonce: &settings.nonce, gate: waits };
    let ended = follower.run(session, &settings.run, confirm, &mut signals).await?;
    let mut outcome = follower.outcome(blank.clone(), &ended);
    if outcome.image.is_none() && ended.code == 0 {
        // The server built it, and alone knows what it is.
        let facts = session.server().facts(session.resolved, &session.salt).await?;
        outcome.image = facts.get("current_image").map(str::to_owned);
    }
    outcome.duration_ms = elapsed(begun);
    Ok((outcome, exit_kind(ended.code)))
}

/// Only containers of the stack can be replaced, edges among them; what lives in the slots always is.
fn check_replaced(resolved: &Resolved, options: &Options) -> Result<()> {
    for service in &options.allow_replace {
        let known = resolved.compose.service(service).is_some();
        if !known || resolved.in_slot(service) && !resolved.is_app(service) {
            let why = if known { "is replaced by every deploy" } else { "is no service of the Compose file" };
            let names: Vec<&str> = resolved.compose.services().map(|service| service.name).collect();
            return Err(Error::input(format!("--allow-replace {service}: `{service}` {why}"))
                .hint(format!("services: {}", names.join(", "))));
        }
    }
    Ok(())
}

/// A deploy before the servers begin: everything is there, or it is over already.
enum Ready<'a> {
    Start(Vec<Launch<'a>>, Vec<StepReport>),
    Over(Box<Outcome>, Option<Kind>),
}

/// Connects, looks, builds and uploads. Nothing that serves is touched by any of it, on any host.
async fn make_ready<'a>(
    project: &'a Project,
    resolved: &'a Resolved,
    prepared: &Prepared<'_>,
    release: &str,
    options: &Options,
    who: &Who,
    reporter: &Reporter,
) -> Result<Ready<'a>> {
    let mut sessions = Session::open_all(project, resolved, who).await?;
    let hosts: Vec<String> = sessions.iter().map(Session::host).collect();
    let looks = each(&mut sessions, |session| look(session, prepared, options, reporter)).await;
    let unchanged = all(&hosts, "cannot be deployed to; nothing was changed on any", looks)?;
    let text = |value: Option<&str>| value.map(str::to_owned);
    let blank = |facts: &Facts| Outcome { previous: text(facts.current()), ..blank(resolved, release) };
    let mut launches = Vec::new();
    let mut to_do = Vec::new();
    for (session, unchanged) in sessions.into_iter().zip(unchanged) {
        if !unchanged {
            to_do.push(session);
            continue;
        }
        let facts = &session.facts;
        let outcome = Outcome {
            outcome: OutcomeKind::Unchanged,
            release: text(facts.current()),
            previous: text(facts.previous()),
            image: text(facts.get("current_image")),
            ..blank(facts)
        };
        launches.push(Launch { session, settings: None, blank: outcome });
    }
    let mut steps = Vec::new();
    let on_server = prepared.images.iter().any(|image| image.source == ImageSource::Server);
    let source = if on_server { ImageSource::Server } else { resolved.image().source.value };
    let images = match bring(&to_do, prepared, release, options.force, &mut steps, reporter).await {
        Ok(images) => images,
        Err((step, error)) => {
            let reason = Some(error.message.clone());
            reporter.tell(Event::Error(error));
            let previous = to_do.first().and_then(|session| text(session.facts.current()));
            let failed = Outcome { failed_step: Some(step.into()), reason, steps, previous, ..self::blank(resolved, release) };
            return Ok(Ready::Over(Box::new(failed), Some(Kind::Failed)));
        }
    };
    let alone = hosts.len() == 1;
    if to_do.is_empty() {
        return Ok(Ready::Start(launches, steps));
    }
    let uploading = async {
        let names: Vec<String> = to_do.iter().map(Session::host).collect();
        let sent = each(to_do.into_iter().zip(images), async |(mut session, images)| {
            session.mend().await?;
            let image = images.get("ESTIBA_IMAGE").cloned().unwrap_or_default();
            let settings = RunSettings {
                run: who.run_id("deploy"),
                kind: "deploy",
                release: release.to_owned(),
                source: Some(source),
                observe: resolved.rollout.observe.value,
                steps: DEPLOY.to_vec(),
                need_kb: SPARE_KB,
                nonce: if resolved.target.url.is_some() || !alone { who.nonce() } else { String::new() },
                image,
                images,
                ..RunSettings::default()
            };
            upload(&session, prepared, &settings, options, who, reporter).await?;
            let image = Some(settings.image.clone()).filter(|image| !image.is_empty());
            let blank = Outcome { image, ..blank(&session.facts) };
            Ok(Launch { session, settings: Some(settings), blank })
        })
        .await;
        all(&names, "did not take the upload; none was deployed to", sent)
    };
    launches.extend(timed(reporter, "upload", &mut steps, uploading).await?);
    Ok(Ready::Start(launches, steps))
}

/// The first look at a host: may it be deployed to? Tells whether it has what is to be deployed already.
async fn look(session: &mut Session<'_>, prepared: &Prepared<'_>, options: &Options, reporter: &Reporter) -> Result<bool> {
    session.facts.check()?;
    wait_for_lock(session, options, reporter).await?;
    same_project(session)?;
    if let Some(plan) = &options.plan {
        as_planned(session, prepared, plan).await?;
    }
    Ok(!options.force && is_unchanged(session, prepared))
}

/// Sends the files of the release and of the run to one host.
async fn upload(
    session: &Session<'_>,
    prepared: &Prepared<'_>,
    settings: &RunSettings,
    options: &Options,
    who: &Who,
    reporter: &Reporter,
) -> Result<()> {
    let mut files = artefacts::scripts(&session.facts);
    files.extend(artefacts::release(prepared, &settings.release, who));
    files.extend(artefacts::run(session, settings, options, who));
    let mut changed = None;
    if settings.source == Some(ImageSource::Server) {
        files.extend(artefacts::build_arguments(prepared, &settings.run));
        let delta = delta(session, prepared, &settings.run).await?;
        files.extend(delta.files);
        changed = Some(delta.changed);
    }
    session.server().send(&settings.run, files).await?;
    match changed {
        Some(changed) => send_context(session, prepared, changed, &settings.run, reporter).await,
        None => Ok(()),
    }
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
        unfinished: Vec::new(),
        differs: Vec::new(),
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
    let signals = Signals::listen()?;
    let mut sessions = Session::open_all(project, resolved, who).await?;
    let hosts: Vec<String> = sessions.iter().map(Session::host).collect();
    let chosen = each(&mut sessions, async |session| {
        session.facts.check()?;
        wait_for_lock(session, options, reporter).await?;
        choose_release(session, to)
    })
    .await;
    let chosen = all(&hosts, "cannot go back; nothing was changed on any", chosen)?;
    let sent = each(sessions.into_iter().zip(chosen), async |(session, release)| {
        let facts = &session.facts;
        let kept = facts.releases.iter().find(|kept| kept.id == release);
        let image = kept.map(|kept| kept.image.clone()).unwrap_or_default();
        let previous = facts.current().map(str::to_owned);
        let blank = Outcome { previous, image: Some(image.clone()), ..blank(resolved, &release) };
        if facts.current() == Some(release.as_str()) {
            let blank = Outcome { outcome: OutcomeKind::Unchanged, ..blank };
            return Ok(Launch { session, settings: None, blank });
        }
        let settings = RunSettings {
            run: who.run_id("rollback"),
            kind: "rollback",
            release,
            image,
            steps: ROLLBACK.to_vec(),
            ..RunSettings::default()
        };
        send_run(&session, &settings, BTreeMap::new(), options, who).await?;
        Ok(Launch { session, settings: Some(settings), blank })
    })
    .await;
    let launches = all(&hosts, "did not take the run; none was changed", sent)?;
    let (outcome, kind) = follow_all(resolved, launches, Vec::new(), None, options, reporter, &signals).await?;
    Ok((Outcome { duration_ms: elapsed(started), ..outcome }, kind))
}

/// Sends the files of a run on a release that the server has.
async fn send_run(
    session: &Session<'_>,
    settings: &RunSettings,
    more: BTreeMap<String, Artefact>,
    options: &Options,
    who: &Who,
) -> Result<()> {
    let mut files = artefacts::scripts(&session.facts);
    files.extend(artefacts::run(session, settings, options, who));
    files.extend(more);
    session.server().send(&settings.run, files).await
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
    send_run(session, settings, more, options, who).await?;
    let mut follower = Follower::new(reporter, Vec::new(), options.patience, None);
    let confirm = Confirm { outside: None, release: &settings.release, nonce: "", gate: None };
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
