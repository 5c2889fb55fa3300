//! The plan of a deploy, made from what is here and what the server has.

use jiff::Timestamp;

use crate::config::ImageSource;
use crate::error::{Answer, Error, Result};
use crate::image;
use crate::plan::{BuiltImage, Plan, Planned, changed_paths, compare, moved, warnings};
use crate::server::Status;

use super::connect::Session;
use super::hosts::{all, each};
use super::look::{Look, Seen};
use super::operation::Operation;
use super::prepare::Prepared;
use super::steps::deploy_steps;
use super::{require, scan};

/// What a deploy would do, and what may go wrong. Nothing is changed on any server. With `build`, an image that changes is
/// built here, to tell how large it is.
pub async fn plan(operation: &Operation<'_>, build: bool) -> Result<Plan> {
    let Operation { project, resolved, reporter, .. } = operation;
    let mut prepared = Prepared::render(project, resolved, reporter)?;
    prepared.look_up(resolved, reporter).await?;
    let sessions = Session::open_all(project, resolved).await?;
    for session in &sessions {
        session.facts.check()?;
    }
    let mut plan = plan_all(&sessions, &prepared, operation.actor.now).await?;
    plan.warnings.extend(require::unmet(operation).into_iter().map(|why| format!("a deploy would be refused: {why}")));
    if let (true, [session, ..]) = (build && plan.image_changes, sessions.as_slice()) {
        build_for(session, &prepared, &mut plan, operation).await?;
    }
    Ok(plan)
}

/// What a deploy of this release to these servers would do, and what may go wrong. One plan is for all of a fleet: where a
/// host differs from the first, a warning says so. Changes nothing there.
async fn plan_all(sessions: &[Session<'_>], prepared: &Prepared<'_>, now: Timestamp) -> Result<Plan> {
    let hosts: Vec<String> = sessions.iter().map(Session::host).collect();
    let plans = each(sessions, async |session| {
        let mut plan = plan_one(session, prepared).await?;
        warn(session, &mut plan, now).await?;
        Ok(plan)
    })
    .await;
    let mut plans = all(&hosts, "could not be looked at", plans)?.into_iter().zip(&hosts);
    let Some((mut first, name)) = plans.next() else { return Err(Error::input("the target has no host")) };
    for (plan, host) in plans {
        first.changes |= plan.changes;
        let differs = moved(&first, &plan).into_iter().map(|line| format!("{host} differs from {name}: {line}"));
        let own = plan.warnings.iter().filter(|line| !first.warnings.contains(line)).map(|line| format!("{host}: {line}"));
        let more: Vec<String> = differs.chain(own).collect();
        first.warnings.extend(more);
    }
    Ok(first)
}

/// What a deploy of this release to this server would do. Changes nothing there.
pub(super) async fn plan_one(session: &Session<'_>, prepared: &Prepared<'_>) -> Result<Plan> {
    let pending = pending(session, prepared).await?;
    let drift = Status::of("", &session.facts).drift;
    let planned = Planned {
        target: &session.resolved.target.name,
        rendered: &prepared.rendered,
        env: &session.resolved.env,
        context: &prepared.context_digest,
        steps: &deploy_steps(session.project, session.resolved)?,
        pending: &pending,
        drift: &drift,
    };
    let changed = changed_paths(&prepared.rendered, &session.facts);
    let secret = |path: &str| prepared.rendered.release.get(path).is_none_or(|file| file.secret);
    let read: Vec<&str> = changed.keys().map(String::as_str).filter(|path| !secret(path)).collect();
    let contents = match session.facts.current() {
        Some(current) => session.server().read(&format!("releases/{current}"), &read).await?,
        None => Default::default(),
    };
    Ok(compare(planned, &session.facts, &contents, &session.salt))
}

/// Adds to a plan what may go wrong: as the server stands now, and as its url is seen from here. Changes nothing.
async fn warn(session: &Session<'_>, plan: &mut Plan, now: Timestamp) -> Result<()> {
    plan.warnings = warnings(&session.facts, plan.image_changes);
    plan.warnings.extend(moves(session));
    let accept = &session.resolved.health().accept.value;
    if let (Some(look), Some(current)) = (Look::of(&session.resolved.target, accept, now)?, session.facts.current()) {
        match look.take(current).await {
            Seen::Good(None) => {}
            Seen::Good(Some(note)) => plan.warnings.push(note),
            Seen::Bad(why) => plan.warnings.push(format!("the site fails the check from here: {why}")),
        }
    }
    Ok(())
}

/// What a take-over costs, before it happens: the apps' names move from containers that run already to their edges.
fn moves(session: &Session<'_>) -> Vec<String> {
    let (facts, resolved) = (&session.facts, session.resolved);
    let runs = |name: &str| {
        facts.containers.iter().any(|container| container.service == name && container.state == "running" && !container.is_edge)
    };
    let mut told = Vec::new();
    let mut looks_again = false;
    for app in resolved.apps.iter().filter(|app| runs(&app.service)) {
        let name = &app.service;
        let publishes = resolved.compose.service(name).is_some_and(|service| !service.published().is_empty());
        if publishes {
            told.push(format!(
                "`{name}` was started before estiba and publishes a port: its edge takes the port over at `switch`. The port does not answer while the app stops and for up to two seconds more"
            ));
        } else {
            looks_again = true;
        }
    }
    let from_before_edges = facts.current().is_some() && facts.edges.is_empty();
    if looks_again || from_before_edges {
        let (reloaded, restarted): (Vec<&String>, Vec<&String>) =
            resolved.proxies.iter().partition(|proxy| resolved.reloads.contains_key(*proxy));
        let list = |names: &[&String]| names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        told.push(format!(
            "the apps' names move to their edges: the proxies in front look them up again{}{}, which closes idle connections once",
            if reloaded.is_empty() { String::new() } else { format!(", {} by a reload", list(&reloaded)) },
            if restarted.is_empty() { String::new() } else { format!(", {} by a restart", list(&restarted)) },
        ));
    }
    told
}

/// Builds the image here, to tell how large it is and which of its layers the server lacks, and has it scanned where the team has that.
/// Nothing is sent.
async fn build_for(session: &Session<'_>, prepared: &Prepared<'_>, plan: &mut Plan, operation: &Operation<'_>) -> Result<()> {
    let image = &prepared.images[0];
    let tag = format!("{}:estiba-build", image.name);
    if image.source != ImageSource::Build {
        return Ok(());
    }
    let built = image::build(&image.context, &tag, session.facts.platform().as_deref(), operation.reporter).await?;
    let layers = built.layer_ids();
    let there = session.server().images().await?;
    let missing = layers.len() - image::common_layers(&layers, there.values());
    plan.image.built = Some(BuiltImage { id: built.id, size: built.size, layers: layers.len(), missing });
    if let Some(scan) = &session.resolved.proof.scan {
        let known = scan::findings_of(session).await?;
        if let Err(error) = scan::scan(scan, &tag, known.as_deref(), operation.actor.now, operation.reporter).await {
            plan.warnings.push(format!("a deploy would be refused: {}", error.message));
        }
    }
    Ok(())
}

/// Migrations of the project's files that the database does not have. The server is asked only where there may be some.
async fn pending(session: &Session<'_>, prepared: &Prepared<'_>) -> Result<Answer<Vec<String>>> {
    let there = prepared.context().migrations();
    let same = session.facts.current_setting("CONTEXT_DIGEST").as_deref() == Some(prepared.context_digest.as_str());
    if same || there.is_empty() || session.resolved.app.migrate.value.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    if session.facts.current().is_none() {
        return Ok(Ok(there));
    }
    let applied = session.server().applied_migrations().await?;
    Ok(applied.map(|applied| there.into_iter().filter(|migration| !applied.contains(migration)).collect()))
}
