//! The image's way to the servers, wherever it comes from; and the build context's, where the server builds.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::{ImageSource, Setting, shell_words};
use crate::error::{Error, Result};
use crate::image::{self, Archive, ChannelWriter, Compression, Destination, Receiver, Supply};
use crate::plan::SPARE_KB;
use crate::render::{Artefact, digest};
use crate::report::{Event, Reporter, StepReport};
use crate::server::Server;
use crate::ssh::Connection;

use super::Session;
use super::fleet::{all, each};
use super::session::Prepared;
use super::transaction::timed;

/// Brings the image to the servers, built here or read from where it lies: once, for all that lack it. Returns its id on
/// each of them; a failure names its step.
pub(super) async fn bring(
    sessions: &[Session<'_>],
    prepared: &Prepared<'_>,
    tag: &str,
    name: &str,
    steps: &mut Vec<StepReport>,
    reporter: &Reporter,
) -> std::result::Result<Vec<String>, (&'static str, Error)> {
    let Some(first) = sessions.first() else { return Ok(Vec::new()) };
    let mut known = None;
    let built = match first.resolved.image.source.value {
        ImageSource::Build => {
            let building = async {
                let platform = one_platform(sessions)?;
                image::build(&prepared.context, tag, platform.as_deref(), reporter).await
            };
            let mut building = pin!(timed(reporter, "build", steps, building));
            let built = tokio::select! {
                built = &mut building => built,
                images = images(sessions) => {
                    known = Some((images, Instant::now()));
                    building.await
                }
            };
            Some(built.map_err(|error| ("build", error))?)
        }
        _ => None,
    };
    let sending = async {
        let hosts: Vec<String> = sessions.iter().map(Session::host).collect();
        if let Some(reference) = &prepared.reference {
            return all(
                &hosts,
                "did not get the image; none was deployed to",
                each(sessions, |session| fetch(session, prepared, reference, tag, name)).await,
            );
        }
        let archive = archive(sessions, prepared)?;
        let id = match (&built, &archive) {
            (Some(built), _) => built.id.clone(),
            (None, Some(archive)) => archive.id.clone(),
            (None, None) => return Err(Error::failed("there is no image to send")),
        };
        // Two classic stores give it the same id, and there is nothing to send.
        let images = match known {
            Some((images, asked)) if asked.elapsed() < FRESH => images,
            _ => images(sessions).await,
        };
        let images = all(&hosts, "could not be asked for images; none was deployed to", images)?;
        if images.iter().all(|images| images.contains_key(&id)) {
            return Ok(vec![id; sessions.len()]);
        }
        let supply = match (&built, &archive) {
            (Some(built), _) => {
                // What every server has that lacks the image.
                let layers = built.layer_ids();
                let lacking = images.iter().filter(|images| !images.contains_key(&id));
                let from = lacking.map(|images| image::common_layers(&layers, images.values())).min();
                Supply::of_engine(built, tag, from.unwrap_or(0))
            }
            (None, Some(archive)) => Supply::of_archive(archive.clone(), tag),
            (None, None) => return Err(Error::failed("there is no image to send")),
        };
        // Of all of them, before anything is sent to one.
        let fit = sessions.iter().zip(&images).map(|(session, images)| match images.contains_key(&id) {
            true => Ok(()),
            // Another name of what is there takes no room.
            false if image::common_layers(&supply.layers, images.values()) == supply.layers.len() => {
                check_platform(session, &supply.platform)
            }
            false => check_platform(session, &supply.platform).and_then(|()| check_room(session, supply.size)),
        });
        all(&hosts, "cannot take the image; none was deployed to", fit.collect())?;
        let sent = each(sessions.iter().zip(images), async |(session, images)| {
            if images.contains_key(&id) {
                return Ok(id.clone());
            }
            send(session, &supply, images, name, &session.reporter(reporter)).await
        })
        .await;
        all(&hosts, "did not get the image; none was deployed to", sent)
    };
    timed(reporter, "send", steps, sending).await.map_err(|error| ("send", error))
}

/// What a server has said of its images is asked anew when it is older.
const FRESH: Duration = Duration::from_secs(10);

/// The images that the servers have: the digests of their layers, by their ids.
async fn images(sessions: &[Session<'_>]) -> Vec<Result<BTreeMap<String, Vec<String>>>> {
    each(sessions, async |session| session.server().images().await).await
}

/// Sends the image to one server.
async fn send(
    session: &Session<'_>,
    supply: &Supply,
    images: BTreeMap<String, Vec<String>>,
    name: &str,
    reporter: &Reporter,
) -> Result<String> {
    let to =
        Destination { settings: session.settings.clone(), root: session.resolved.target.root.value.clone(), id: name.to_owned() };
    let receiver = Receiver {
        compression: if session.facts.get("zstd").is_some() { Compression::Zstd } else { Compression::Gzip },
        classic: !session.facts.get("store").is_some_and(|store| store.contains("containerd")),
        images,
    };
    let teller = reporter.clone();
    let progress = move |done, total| teller.tell(Event::Progress { what: "image".into(), done, total: Some(total) });
    let whole = |why: &str| {
        reporter.note(format!("the server does not take the image without the layers that it has ({why}); all of it is sent"));
    };
    let sent = image::send(&session.server(), &to, supply, &receiver, progress, whole).await?;
    let (count, all) = sent.layers;
    reporter.note(format!("{count} of {all} layers sent, {} KB", sent.bytes.div_ceil(1000)));
    Ok(sent.id)
}

/// A disk that is too full is known before anything is sent.
fn check_room(session: &Session<'_>, size: u64) -> Result<()> {
    match session.facts.free_kb() {
        Some(free) if free < size / 1024 + SPARE_KB => {
            let (free, needed) = (free / 1024, size / 1024 / 1024 + SPARE_KB / 1024);
            Err(Error::failed(format!(
                "the server's disk is too full for the image: {free} MB are free, {needed} MB are needed; nothing was changed"
            ))
            .hint("`docker system df` there shows what can go"))
        }
        _ => Ok(()),
    }
}

/// Has the server pull the image from its registry.
async fn fetch(session: &Session<'_>, prepared: &Prepared<'_>, reference: &str, tag: &str, name: &str) -> Result<String> {
    if let (Some(server), false) = (session.facts.platform(), prepared.platforms.is_empty())
        && !prepared.platforms.contains(&server)
    {
        check_platform(session, &prepared.platforms.join(", "))?;
    }
    let login = session.resolved.image.registered.as_ref().and_then(|image| image.login.as_ref());
    let loaded = session.server().fetch(name, reference, login, tag).await?.map_err(|why| {
        Error::failed(format!("the server did not get {reference}: {why}"))
            .hint("can the server reach that registry, and may the user of [image] username read the image?")
    })?;
    check_platform(session, &loaded.platform)?;
    Ok(loaded.id)
}

/// The servers of a fleet are of one kind: one image is built for all of them.
fn one_platform(sessions: &[Session<'_>]) -> Result<Option<String>> {
    let mut known: Option<(String, String)> = None;
    for session in sessions {
        match (session.facts.platform(), &known) {
            (Some(platform), None) => known = Some((platform, session.host())),
            (Some(platform), Some((first, host))) if platform != *first => {
                return Err(Error::failed(format!(
                    "{host} is {first}, and {} is {platform}: one image cannot be for both; nothing was changed",
                    session.host()
                ))
                .hint("make a target of the servers of each kind"));
            }
            _ => {}
        }
    }
    Ok(known.map(|(platform, _)| platform))
}

/// The archive's image for the servers, which are of one kind.
fn archive(sessions: &[Session<'_>], prepared: &Prepared<'_>) -> Result<Option<Arc<Archive>>> {
    let archives = &prepared.archives;
    let [_, _, ..] = archives.as_slice() else { return Ok(archives.first().cloned()) };
    let there: Vec<&str> = archives.iter().map(|archive| archive.platform.as_str()).collect();
    let there = there.join(", ");
    let Some(server) = one_platform(sessions)? else {
        return Err(Error::failed(format!(
            "the archive has images for {there}, and which of them the server could run is not known; nothing was changed"
        ))
        .hint("give an archive with one image"));
    };
    let fitting: Vec<&Arc<Archive>> = archives.iter().filter(|archive| archive.platform == server).collect();
    let why = match fitting.as_slice() {
        [one] => return Ok(Some((*one).clone())),
        [] => format!("the archive has no image for {server}, which the server is, but for {there}"),
        _ => format!("the archive has several images for {server}, which the server is"),
    };
    Err(Error::failed(format!("{why}; nothing was changed")))
}

/// What runs on another kind of machine is refused before it is sent.
fn check_platform(session: &Session<'_>, platform: &str) -> Result<()> {
    match session.facts.platform() {
        Some(server) if platform != server => Err(Error::failed(format!(
            "the image is for {platform}, and the server is {server}; nothing that serves was changed"
        ))
        .hint("build it for the server: docker buildx build --platform, or FROM --platform in the Dockerfile")),
        _ => Ok(()),
    }
}

/// What of the build context goes to a server that builds: what it kept of the last build is not sent again.
pub(super) struct Delta {
    pub(super) changed: Vec<String>,
    pub(super) files: BTreeMap<String, Artefact>,
}

pub(super) async fn delta(session: &Session<'_>, prepared: &Prepared<'_>, run: &str) -> Result<Delta> {
    let kept = session.server().read("state", &["context.manifest"]).await?.remove("context.manifest");
    let there = kept.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let here = prepared.context.manifest()?;
    let (changed, gone) = image::context_delta(&here, &there);
    let base = kept.as_deref().map(digest).unwrap_or_default();
    let lines = |paths: &[String]| paths.iter().map(|path| format!("{path}\n")).collect::<String>();
    let files = [("manifest", here), ("base", base), ("gone", lines(&gone))]
        .into_iter()
        .map(|(name, text)| (format!("runs/{run}/context.{name}"), Artefact::secret(text)))
        .collect();
    Ok(Delta { changed, files })
}

/// Sends those files of the build context into the run's folder.
pub(super) async fn send_context(
    session: &Session<'_>,
    prepared: &Prepared<'_>,
    changed: Vec<String>,
    run: &str,
    reporter: &Reporter,
) -> Result<()> {
    let bulk = Connection::open(&session.settings).await?;
    let Setting { value: root, .. } = &session.resolved.target.root;
    let server = Server::new(&bulk, root);
    let folder = shell_words([format!("{root}/runs/{run}").as_str()]);
    let script = format!("cd {folder} && mkdir context && tar -xzf - -C context && echo estiba:received");
    let command = format!("exec /bin/sh -c {}", shell_words([script.as_str()]));
    let (writer, pieces) = ChannelWriter::new();
    let context = prepared.context.clone();
    let count = changed.len();
    let packing = tokio::task::spawn_blocking(move || {
        let encoder = flate2::write::GzEncoder::new(writer, flate2::Compression::fast());
        context.write_tar(&changed, encoder)
    });
    let mut sent = 0;
    let progress = |done| {
        sent = done;
        reporter.tell(Event::Progress { what: "build context".into(), done, total: None });
    };
    let output = server.pipe(&command, pieces, progress).await?;
    match packing.await {
        Ok(Ok(())) if output.text().contains("estiba:received") => {
            reporter.note(format!("build context: {count} files sent, {} KB", u64::div_ceil(sent, 1000)));
            Ok(())
        }
        Ok(Err(error)) => Err(Error::failed(format!("packing the build context: {error}"))),
        _ => Err(Error::failed(format!("the server did not take the build context: {}", output.complaint()))),
    }
}
