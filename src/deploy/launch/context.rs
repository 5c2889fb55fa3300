//! The build context's way to a server that builds: what it kept of the last build is not sent again.

use std::collections::BTreeMap;

use crate::artefact::Artefact;
use crate::config::ImageSource;
use crate::digest::sha256;
use crate::error::{Error, Result};
use crate::image;
use crate::report::{Event, Reporter};
use crate::server::Server;
use crate::server::protocol::marker;
use crate::ssh::{ChannelWriter, Connection};

use super::super::connect::Session;
use super::super::prepare::Prepared;

/// The context that the servers build from.
fn context<'p>(prepared: &'p Prepared<'_>) -> &'p image::Context {
    let built = prepared.images.iter().find(|image| image.source == ImageSource::Server);
    &built.unwrap_or(&prepared.images[0]).context
}

/// What of the build context goes to a server that builds: what it kept of the last build is not sent again.
pub(super) struct Delta {
    pub(super) changed: Vec<String>,
    pub(super) files: BTreeMap<String, Artefact>,
}

pub(super) async fn delta(session: &Session<'_>, prepared: &Prepared<'_>, run: &str) -> Result<Delta> {
    let kept = session.server().read("state", &["context.manifest"]).await?.remove("context.manifest");
    let there = kept.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let here = context(prepared).manifest()?;
    let (changed, gone) = image::context_delta(&here, &there);
    let base = kept.as_deref().map(sha256).unwrap_or_default();
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
    let root = &session.resolved.target.root.value;
    let server = Server::new(&bulk, root);
    let (writer, pieces) = ChannelWriter::new();
    let context = context(prepared).clone();
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
    let output = server.take_context(run, pieces, progress).await?;
    match packing.await {
        Ok(Ok(())) if output.text().contains(marker::RECEIVED) => {
            reporter.note(format!("build context: {count} files sent, {} KB", u64::div_ceil(sent, 1000)));
            Ok(())
        }
        Ok(Err(error)) => Err(Error::failed(format!("packing the build context: {error}"))),
        _ => Err(Error::failed(format!("the server rejected the build context: {}", output.complaint()))),
    }
}
