//! The plan of a deploy, made from what is here and what the server has.

use crate::error::Result;
use crate::plan::{DEPLOY, Plan, Planned, changed_paths, compare};
use crate::server::Status;

use super::{Prepared, Session};

/// What a deploy of this release to this server would do. Changes nothing there.
pub async fn plan(session: &Session<'_>, prepared: &Prepared<'_>) -> Result<Plan> {
    let pending = pending(session, prepared).await?;
    let drift = Status::of("", &session.facts).drift;
    let planned = Planned {
        target: &session.resolved.target.name,
        rendered: &prepared.rendered,
        env: &prepared.renderer.env,
        context: &prepared.context_digest,
        steps: &DEPLOY,
        pending: &pending,
        drift: &drift,
    };
    let changed = changed_paths(&prepared.rendered, &session.facts);
    let secret = |path: &str| path == "secrets" || prepared.rendered.release.get(path).is_none_or(|file| file.secret);
    let read: Vec<&str> = changed.keys().map(String::as_str).filter(|path| !secret(path)).collect();
    let contents = match session.facts.current() {
        Some(current) => session.server().read(&format!("releases/{current}"), &read).await?,
        None => Default::default(),
    };
    Ok(compare(planned, &session.facts, &contents, &session.salt))
}

/// Migrations of the project's files that the database does not have. The server is asked only where there may be some.
async fn pending(session: &Session<'_>, prepared: &Prepared<'_>) -> Result<std::result::Result<Vec<String>, String>> {
    let there = prepared.context.migrations();
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
