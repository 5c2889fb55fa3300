//! The images of a release, each brought once to all servers that lack it.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::ImageSource;
use crate::error::{Error, Result};
use crate::image::{self, Archive, Built, Compression, Destination, Receiver, Supply};
use crate::plan::SPARE_KB;
use crate::report::{Event, Reporter, StepReport};
use crate::server::Fact;

use super::super::connect::Session;
use super::super::hosts::{all, each};
use super::super::operation::Operation;
use super::super::prepare::{Prepared, PreparedImage};
use super::super::scan;
use super::super::step::step;
use super::tests;

/// The ids of a release's images on one server, by the variables that they stand in.
pub(in crate::deploy) type Ids = BTreeMap<String, String>;

/// Brings the images to the servers, built here or read from where they lie: each once, for all that lack it. Returns the ids
/// on each server; a failure names its step. An image whose parts have not changed since the release that serves is that
/// release's.
pub(super) async fn bring(
    sessions: &[Session<'_>],
    prepared: &Prepared<'_>,
    name: &str,
    operation: &Operation<'_>,
    steps: &mut Vec<StepReport>,
) -> std::result::Result<(Vec<Ids>, Option<String>), (&'static str, Error)> {
    let reporter = operation.reporter;
    let Some(first) = sessions.first() else { return Ok((Vec::new(), None)) };
    let mut ids: Vec<Ids> = vec![Ids::new(); sessions.len()];
    let mut open = Vec::new();
    for image in prepared.images.iter().filter(|image| image.source != ImageSource::Server) {
        let known: Option<Vec<String>> =
            sessions.iter().map(|session| session.facts.current_image(&image.variable, &image.digest)).collect();
        match known.filter(|_| !operation.options.force) {
            Some(known) => {
                for (ids, id) in ids.iter_mut().zip(known) {
                    ids.insert(image.variable.clone(), id);
                }
            }
            None => open.push(image),
        }
    }
    let mut known = None;
    let mut built: BTreeMap<&str, Built> = BTreeMap::new();
    if open.iter().any(|image| image.source == ImageSource::Build) {
        let building = async {
            let platform = one_platform(sessions)?;
            let mut built = BTreeMap::new();
            for image in open.iter().filter(|image| image.source == ImageSource::Build) {
                let made = image::build(&image.context, &tag(image), platform.as_deref(), reporter).await?;
                built.insert(image.variable.as_str(), made);
            }
            Ok(built)
        };
        let mut building = pin!(step(operation, "build", steps, building));
        let made = tokio::select! {
            made = &mut building => made,
            images = images(sessions) => {
                known = Some((images, Instant::now()));
                building.await
            }
        };
        built = made.map_err(|error| ("build", error))?;
    }
    let findings = prove(first, &open, &built, operation, steps).await?;
    let sending = async {
        for image in &open {
            let local = built.get(image.variable.as_str()).or(image.local.as_ref());
            let sent = send_one(sessions, image, local, name, known.take(), operation).await?;
            for (ids, id) in ids.iter_mut().zip(sent) {
                ids.insert(image.variable.clone(), id);
            }
        }
        bring_edge(sessions, name, operation).await?;
        Ok(ids)
    };
    let ids = step(operation, "send", steps, sending).await.map_err(|error| ("send", error))?;
    Ok((ids, findings))
}

/// Has new images tested and looked at, by what the team has for it. Returns what the scan found of the release's images.
async fn prove(
    first: &Session<'_>,
    open: &[&PreparedImage],
    built: &BTreeMap<&str, Built>,
    operation: &Operation<'_>,
    steps: &mut Vec<StepReport>,
) -> std::result::Result<Option<String>, (&'static str, Error)> {
    let Operation { project, resolved, reporter, actor, options, .. } = operation;
    // What is promoted has been tested where it comes from.
    if options.promoted_from.is_some() {
        return Ok(None);
    }
    let known = match &resolved.proof.scan {
        Some(_) => scan::findings_of(first).await.map_err(|error| ("scan", error))?,
        None => None,
    };
    if open.is_empty() {
        return Ok(known);
    }
    let here = |image: &&PreparedImage| match (built.get(image.variable.as_str()), &image.reference) {
        (Some(_), _) => Some((image.variable.clone(), tag(image))),
        (None, Some(reference)) => Some((image.variable.clone(), reference.clone())),
        (None, None) => None,
    };
    let images: BTreeMap<String, String> = open.iter().filter_map(here).collect();
    if let Some(tests) = &resolved.proof.tests {
        let testing = tests::test(project, resolved, tests, &images, reporter);
        step(operation, "test", steps, testing).await.map_err(|error| ("test", error))?;
    }
    if let Some(scan) = &resolved.proof.scan {
        let scanning = async {
            // Of images that have not changed, what was found stays.
            let is_whole = images.len() == resolved.images.len();
            let mut found = known.clone().filter(|_| !is_whole).unwrap_or_default();
            for image in images.values() {
                found += &scan::scan(scan, image, known.as_deref(), actor.now, reporter).await?;
            }
            Ok(Some(found))
        };
        return step(operation, "scan", steps, scanning).await.map_err(|error| ("scan", error));
    }
    Ok(None)
}

/// A tag of the way, not of the release: the server takes it off once it has its own.
fn tag(image: &PreparedImage) -> String {
    format!("{}:estiba-build", image.name)
}

type Known = Option<(Vec<Result<BTreeMap<String, Vec<String>>>>, Instant)>;

/// Brings one image to the servers; its id on each of them.
async fn send_one(
    sessions: &[Session<'_>],
    image: &PreparedImage,
    built: Option<&Built>,
    name: &str,
    known: Known,
    operation: &Operation<'_>,
) -> Result<Vec<String>> {
    let reporter = operation.reporter;
    let hosts: Vec<String> = sessions.iter().map(Session::host).collect();
    let tag = tag(image);
    if let (Some(reference), None) = (&image.reference, built) {
        return all(
            &hosts,
            "did not get the image; none was deployed to",
            each(sessions, |session| fetch(session, image, reference, &tag, name)).await,
        );
    }
    let archive = archive(sessions, image)?;
    let id = match (built, &archive) {
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
    let supply = match (built, &archive) {
        (Some(built), _) => {
            // What every server has that lacks the image.
            let layers = built.layer_ids();
            let lacking = images.iter().filter(|images| !images.contains_key(&id));
            let from = lacking.map(|images| image::common_layers(&layers, images.values())).min();
            Supply::of_engine(built, &tag, from.unwrap_or(0), &operation.learning, reporter)
        }
        (None, Some(archive)) => Supply::of_archive(archive.clone(), &tag),
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
    // Each image has its own folder on the way.
    let way = format!("{name}{}", image.variable.trim_start_matches("ESTIBA_IMAGE").to_ascii_lowercase());
    let sent = each(sessions.iter().zip(images), async |(session, images)| {
        if images.contains_key(&id) {
            return Ok(id.clone());
        }
        send(session, &supply, images, &way, &session.reporter(reporter)).await
    })
    .await;
    all(&hosts, "did not get the image; none was deployed to", sent)
}

/// Sends the edge's image to servers that lack it, where the local Engine has it. Else they pull it themselves.
async fn bring_edge(sessions: &[Session<'_>], name: &str, operation: &Operation<'_>) -> Result<()> {
    let reporter = operation.reporter;
    let lacking: Vec<&Session<'_>> = sessions.iter().filter(|session| session.facts.get(Fact::EdgeImage).is_none()).collect();
    let Some(first) = lacking.first() else { return Ok(()) };
    let reference = &first.resolved.edge.image.value;
    let Ok(built) = image::inspect(reference).await else { return Ok(()) };
    for session in lacking {
        // An edge for another kind of machine is pulled there.
        if session.facts.platform().is_some_and(|platform| platform != built.platform) {
            continue;
        }
        let images = session.server().images().await?;
        if images.contains_key(&built.id) {
            continue;
        }
        check_room(session, built.size)?;
        let from = image::common_layers(&built.layer_ids(), images.values());
        let supply = Supply::of_engine(&built, reference, from, &operation.learning, reporter);
        send(session, &supply, images, &format!("{name}-edge"), &session.reporter(reporter)).await?;
    }
    Ok(())
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
    supply: &Supply<'_>,
    images: BTreeMap<String, Vec<String>>,
    name: &str,
    reporter: &Reporter,
) -> Result<String> {
    let to =
        Destination { settings: session.settings.clone(), root: session.resolved.target.root.value.clone(), id: name.to_owned() };
    let receiver = Receiver {
        compression: if session.facts.get(Fact::Zstd).is_some() { Compression::Zstd } else { Compression::Gzip },
        classic: !session.facts.get(Fact::Store).is_some_and(|store| store.contains("containerd")),
        images,
    };
    let teller = reporter.clone();
    let progress = move |done, total| teller.tell(Event::Progress { what: "image".into(), done, total: Some(total) });
    let whole = |why: &str| {
        reporter.note(format!("the server could not reuse the layers that it has ({why}), so all of the image is sent"));
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
async fn fetch(session: &Session<'_>, image: &PreparedImage, reference: &str, tag: &str, name: &str) -> Result<String> {
    if let (Some(server), false) = (session.facts.platform(), image.platforms.is_empty())
        && !image.platforms.contains(&server)
    {
        check_platform(session, &image.platforms.join(", "))?;
    }
    let login = image.registered.as_ref().and_then(|image| image.login.as_ref());
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
fn archive(sessions: &[Session<'_>], image: &PreparedImage) -> Result<Option<Arc<Archive>>> {
    let archives = &image.archives;
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
        [] => format!("the archive has no image for {server}, the server's platform, only for {there}"),
        _ => format!("the archive has several images for {server}, the server's platform"),
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
