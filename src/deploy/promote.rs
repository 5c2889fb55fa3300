//! What has proven itself on one target goes to another: the very images, and the files of the same commit.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::config::{ImageSource, Project, Resolved, Seconds};
use crate::error::{Error, Result};
use crate::image::Archive;
use crate::report::{Event, StepReport};
use crate::server::{Fact, Status};
use crate::{private, ssh};

use super::conclude::Ending;
use super::connect::Session;
use super::operation::Operation;
use super::prepare::{Prepared, check_replaced, finish};
use super::require;
use super::step::step;
use super::steps::deploy_steps;

/// Bytes of an image, at most.
const LARGEST: u64 = 64 << 30;
/// How long a server may send nothing of it.
const SILENT: Duration = Duration::from_secs(300);

/// Makes the operation's target serve what `from` serves, a target of the project as `looked` has it: its images, taken from there and
/// checked by their digests, with the files of the same commit as they are rendered for this target.
///
/// A release that is not healthy there, that nobody deployed there, or that was made of something else than what lies here, is refused.
pub async fn promote(operation: &Operation<'_>, looked: &Project, from: &Resolved) -> Result<Ending> {
    let Operation { project, resolved, reporter, .. } = operation;
    check_replaced(resolved, &operation.options.allow_replace)?;
    let steps = deploy_steps(project, resolved)?;
    let mut prepared = Prepared::render(project, resolved, reporter)?;
    require::check(operation)?;
    let sessions = Session::open_all(looked, from).await?;
    let Some(there) = sessions.first() else { return Err(Error::input("the target has no host")) };
    proven(there, operation, resolved.target.require.max_age).await?;
    let mut before: Vec<StepReport> = Vec::new();
    let (_private, folder) = private::folder()?;
    let taking = take(there, &mut prepared, operation, &folder);
    step(operation, "take", &mut before, taking).await?;
    let candidate = finish(operation, prepared, steps, before)?;
    super::deploy_candidate(&candidate, operation).await
}

/// Has what serves there proven itself, and is it what lies here?
async fn proven(there: &Session<'_>, operation: &Operation<'_>, max_age: Option<Seconds>) -> Result<()> {
    let (from, to) = (&there.resolved.target.name, &operation.resolved.target.name);
    let facts = &there.facts;
    facts.check()?;
    let refused = |why: String| Error::failed(format!("{from} is not promoted to {to}: {why}; nothing was changed"));
    let Some(current) = facts.current() else {
        return Err(refused(format!("{from} serves no release")));
    };
    let status = Status::of("", facts);
    if let Some(running) = &status.running {
        return Err(refused(format!("a run is in progress there ({running})")));
    }
    let differs = if status.drift.is_empty() { there.server().compare().await? } else { status.drift };
    if let Some(first) = differs.first() {
        return Err(refused(format!("what serves there is not as its release says ({first})"))
            .hint(format!("`estiba status {from}` lists all of it; a deploy mends it")));
    }
    let commit = facts.current_setting("COMMIT").unwrap_or_default();
    if commit != operation.actor.commit {
        let here = if operation.actor.commit.is_empty() { "no commit" } else { operation.actor.commit.as_str() };
        return Err(refused(format!("it serves commit {commit}, and here is {here}")).hint(format!("git checkout {commit}")));
    }
    if operation.actor.dirty {
        return Err(refused("the project has changes here that are not committed".to_owned())
            .hint("they are in no release there: commit and deploy them first, or stash them"));
    }
    let history = there.server().history().await?;
    let history = history.iter().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_current = |run: &Value| run["release"] == current && (run["kind"] == "deploy" || run["kind"] == "rollback");
    let ended_well = |run: &Value| run["outcome"] == "deployed" || run["outcome"] == "rolled-back-to";
    match history.filter(of_current).find(ended_well) {
        Some(run) if run["kind"] == "rollback" => {
            return Err(
                refused(format!("{current} serves there because somebody rolled back to it")).hint("deploy it there anew")
            );
        }
        Some(_) => {}
        None => return Err(refused(format!("the history of {from} does not tell how {current} came to serve"))),
    }
    let Some(max_age) = max_age else { return Ok(()) };
    let since: Option<jiff::Timestamp> = facts.get(Fact::CurrentSince).and_then(|since| since.parse().ok());
    let age = since.map(|since| operation.actor.now.as_second() - since.as_second());
    match age {
        Some(age) if u64::try_from(age).unwrap_or(0) <= max_age.0 => Ok(()),
        _ => {
            let since = facts.get(Fact::CurrentSince).unwrap_or("nobody knows when");
            Err(refused(format!("{current} serves there since {since}, and max-age is {max_age}")).hint("deploy it there anew"))
        }
    }
}

/// Brings the images of the release that serves there here, and has the new release made of them.
async fn take(
    there: &Session<'_>,
    prepared: &mut Prepared<'_>,
    operation: &Operation<'_>,
    folder: &camino::Utf8Path,
) -> Result<()> {
    let from = &there.resolved.target.name;
    let facts = &there.facts;
    let is_classic = !facts.get(Fact::Store).is_some_and(|store| store.contains("containerd"));
    for image in &mut prepared.images {
        let known = facts.current_setting(&format!("DIGEST_{}", image.variable)).unwrap_or_default();
        if image.source != ImageSource::Registry && known != image.digest {
            return Err(Error::failed(format!(
                "the image {} of {from} was made of other files than those that are here; nothing was changed",
                image.name
            ))
            .hint("is something in the build context that git does not track? Deploy that commit there anew"));
        }
        let Some(id) = facts.own_images.get(&image.variable).cloned() else {
            return Err(Error::failed(format!(
                "{from} no longer has the image {} of its release; nothing was changed",
                image.name
            )));
        };
        let path = folder.join(format!("{}.tar", image.variable));
        let size = save(there, &id, &path).await?;
        let archives = Archive::open(&path)?;
        archives.iter().try_for_each(Archive::verify)?;
        let [archive] = archives.as_slice() else {
            return Err(Error::failed(format!("{from} sent no image under {id}; nothing was changed")));
        };
        if is_classic && archive.id != id {
            return Err(Error::failed(format!("{from} sent the image {} and not {id}; nothing was changed", archive.id)));
        }
        operation
            .reporter
            .tell(Event::Output { step: "take".into(), line: format!("{} is {id}, {} MB", image.name, size / 1_000_000) });
        image.digest = known;
        image.archives = archives.into_iter().map(Arc::new).collect();
        image.source = ImageSource::Archive;
        image.registered = None;
    }
    prepared.context_digest = super::prepare::common_digest(&prepared.images);
    Ok(())
}

/// Writes the image into a file of this machine; its size in bytes.
async fn save(there: &Session<'_>, id: &str, path: &camino::Utf8Path) -> Result<u64> {
    let cannot = |error: std::io::Error| {
        Error::failed(format!("writing {path}: {error}; nothing was changed")).hint("is the temporary folder (TMPDIR) full?")
    };
    let mut running = there.server().save_image(id).await?;
    let file = private::create(path).map_err(cannot)?;
    let mut file = tokio::fs::File::from_std(file);
    let (mut size, mut said) = (0, Vec::new());
    loop {
        let Ok(piece) = timeout(SILENT, running.next()).await else {
            return Err(Error::failed(format!(
                "the server has sent nothing of the image {id} for {} minutes; nothing was changed",
                SILENT.as_secs() / 60
            )));
        };
        let Some(piece) = piece else { break };
        match piece {
            ssh::Piece::Out(bytes) => {
                size += bytes.len() as u64;
                if size > LARGEST {
                    return Err(Error::failed(format!(
                        "the server sends more than {LARGEST} bytes as the image {id}; nothing was changed"
                    )));
                }
                file.write_all(&bytes).await.map_err(cannot)?;
            }
            ssh::Piece::Err(bytes) => ssh::keep_the_end(&mut said, &bytes),
            _ => {}
        }
    }
    file.flush().await.map_err(cannot)?;
    if size == 0 {
        return Err(Error::failed(format!("the image {id} could not be read there: {}", String::from_utf8_lossy(&said).trim())));
    }
    Ok(size)
}
