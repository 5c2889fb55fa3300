//! Deploys what waits, one push after another.

use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::process;

use super::push::Push;
use super::shared::Shared;
use super::status::{State, tell};

/// How long a service that stops waits for a deploy: Docker and systemd give ten seconds and more.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);

/// A repository that cannot be fetched in this time holds up no later push.
const FETCH: Duration = Duration::from_secs(600);

/// Works until the service stops.
pub(super) async fn work(shared: std::sync::Arc<Shared>) {
    while let Some(push) = shared.queue.next().await {
        shared.reporter.note(format!("{} by {}: deploying", push.commit, push.by));
        tell(&shared, &push, State::Pending, "the deploy runs").await;
        let began = Instant::now();
        let (outcome, reason) = match deploy(&shared, &push).await {
            Ok(told) => told,
            Err(error) => ("failed".to_owned(), error.text()),
        };
        shared.metrics.deploy(&outcome, began.elapsed());
        let served = ["deployed", "unchanged"].contains(&outcome.as_str());
        // What ended because the service stops is deployed at its next start.
        if served || !shared.queue.is_closed() {
            shared.queue.ended();
        }
        let state = if served { State::Success } else { State::Failure };
        let text = if reason.is_empty() { outcome.clone() } else { format!("{outcome}: {reason}") };
        shared.reporter.note(format!("{}: {text}", push.commit));
        tell(&shared, &push, state, &text).await;
        if let Some(page) = &shared.page {
            page.set_stale(true);
        }
    }
}

/// Brings the branch's newest commit to where the page looks from; what was there stays until all of it has come.
pub(super) async fn bring_page(shared: &Shared) -> Result<()> {
    let [folder, new, old] = ["page", "page.new", "page.old"].map(|name| shared.settings.folder.join(name));
    let _ = std::fs::remove_dir_all(&new);
    check_out(shared, &new, &format!("refs/heads/{}", shared.settings.branch)).await?;
    let _ = std::fs::remove_dir_all(&old);
    let _ = std::fs::rename(&folder, &old);
    std::fs::rename(&new, &folder).map_err(|error| Error::failed(format!("cannot rename {new}: {error}")))?;
    let _ = std::fs::remove_dir_all(&old);
    Ok(())
}

/// Brings the commit here and deploys it. The outcome's word, and its reason.
async fn deploy(shared: &Shared, push: &Push) -> Result<(String, String)> {
    let settings = &shared.settings;
    let folder = bring(shared, push).await?;
    let config = folder.join(&settings.config);
    let mut arguments = vec!["deploy"];
    arguments.extend(settings.target.as_deref());
    arguments.extend(["--config", config.as_str(), "--json", "--yes", "--wait-lock", "30m"]);
    let mut last = None;
    process::again(&arguments, &folder, &settings.environment, |said| match said {
        process::Said::Out(line) => {
            last = serde_json::from_str::<Value>(&line).ok().filter(|event| event["event"] == "outcome").or_else(|| last.take());
        }
        process::Said::Err(line) => shared.reporter.note(line),
    })
    .await?;
    let Some(outcome) = last else { return Err(Error::failed("the deploy ended without an outcome")) };
    let word = |key: &str| outcome[key].as_str().unwrap_or_default().to_owned();
    Ok((word("outcome"), word("reason")))
}

/// A folder with that very commit and nothing else: its own, so that a deploy whose service was killed never finds another commit under it.
async fn bring(shared: &Shared, push: &Push) -> Result<Utf8PathBuf> {
    let work = shared.settings.folder.join("work");
    // What a service that was killed has left.
    match std::fs::remove_dir_all(&work) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::failed(format!("cannot remove {work}: {error}")));
        }
        _ => {}
    }
    let folder = work.join(&push.commit);
    check_out(shared, &folder, &push.commit).await?;
    Ok(folder)
}

/// A folder with what the branch has at that commit.
async fn check_out(shared: &Shared, folder: &Utf8Path, commit: &str) -> Result<()> {
    // One at a time: the page and a deploy have the same clone.
    let _one = shared.git.lock().await;
    let settings = &shared.settings;
    let clone = settings.folder.join("clone.git");
    let inside = clone.as_str();
    let branch = format!("+refs/heads/{0}:refs/heads/{0}", settings.branch);
    let fetch = async || {
        if !clone.exists() {
            git(&["init", "-q", "--bare", inside]).await?;
        }
        git(&["-C", inside, "worktree", "prune"]).await?;
        git(&["-C", inside, "fetch", "-q", "--no-tags", &settings.source, &branch]).await
    };
    if fetch().await.is_err() {
        // A power cut may have left it half made, or locked.
        let _ = std::fs::remove_dir_all(&clone);
        fetch().await?;
    }
    git(&["-C", inside, "worktree", "add", "-q", "--force", "--detach", folder.as_str(), commit]).await
}

async fn git(arguments: &[&str]) -> Result<()> {
    let Ok(ended) = tokio::time::timeout(FETCH, process::run("git", arguments, None)).await else {
        return Err(Error::failed("git did not end within ten minutes and was stopped"));
    };
    let ended = ended?;
    if ended.success {
        return Ok(());
    }
    let verb = arguments.iter().find(|word| ["init", "worktree", "fetch"].contains(word)).unwrap_or(&"");
    Err(Error::failed(format!("git {verb} failed: {}", ended.stderr.trim())))
}
