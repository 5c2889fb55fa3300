//! The files of one upload: scripts, release and run.

use std::collections::BTreeMap;

use crate::config::{ImageSource, Seconds, is_name, shell_words};
use crate::render::Artefact;
use crate::server::{Facts, Scripts};

use super::session::Prepared;
use super::{Options, Session, Who};

/// What the run is told.
#[derive(Debug, Clone, Default)]
pub(super) struct RunSettings {
    pub(super) run: String,
    pub(super) kind: &'static str,
    pub(super) release: String,
    /// The first app's image; all of them by their variables.
    pub(super) image: String,
    pub(super) images: BTreeMap<String, String>,
    pub(super) source: Option<ImageSource>,
    pub(super) observe: Seconds,
    pub(super) steps: Vec<&'static str>,
    pub(super) need_kb: u64,
    pub(super) nonce: String,
    pub(super) backup: String,
}

/// The scripts, where the server does not have this version's.
pub(super) fn scripts(facts: &Facts) -> BTreeMap<String, Artefact> {
    if facts.get("scripts").is_some() { BTreeMap::new() } else { Scripts::files() }
}

/// The release's files, with what tells of the release itself.
pub(super) fn release(prepared: &Prepared<'_>, id: &str, who: &Who) -> BTreeMap<String, Artefact> {
    let mut files: BTreeMap<String, Artefact> =
        prepared.rendered.release.iter().map(|(path, file)| (format!("releases/{id}/{path}"), file.clone())).collect();
    let mut own = assignments([("COMMIT", who.commit.as_str()), ("BY", &who.by), ("CONTEXT_DIGEST", &prepared.context_digest)]);
    for image in &prepared.images {
        own += &assignments([(format!("DIGEST_{}", image.variable).as_str(), image.digest.as_str())]);
    }
    files.insert(format!("releases/{id}/release.env"), Artefact::text(own));
    files
}

/// The run's settings.
pub(super) fn run(session: &Session<'_>, settings: &RunSettings, options: &Options, who: &Who) -> BTreeMap<String, Artefact> {
    let rollout = &session.resolved.rollout;
    let images = session.resolved.images.iter();
    let on_server = images.clone().find(|image| image.source.value == ImageSource::Server);
    let image = on_server.unwrap_or(session.resolved.image());
    let ids: Vec<String> = settings.images.iter().map(|(variable, id)| format!("{variable}={id}")).collect();
    let source = match settings.source {
        Some(ImageSource::Server) => "server",
        Some(ImageSource::Registry) => "registry",
        Some(ImageSource::Archive) => "archive",
        Some(ImageSource::Build) | None => "build",
    };
    let text = assignments([
        ("RUN", settings.run.as_str()),
        ("KIND", settings.kind),
        ("RELEASE", &settings.release),
        ("EXPECT_CURRENT", session.facts.current().unwrap_or("")),
        ("STEPS", &settings.steps.join(" ")),
        ("OBSERVE", &settings.observe.0.to_string()),
        ("MIN_REQUESTS", &rollout.min_requests.value.to_string()),
        ("MAX_ERROR_RATE", &rollout.max_error_rate.value.to_string()),
        ("KEEP_RELEASES", &rollout.keep_releases.value.to_string()),
        ("ALLOW_REPLACE", &options.allow_replace.join(" ")),
        ("IMAGE", &settings.image),
        ("IMAGE_IDS", &ids.join(" ")),
        ("BUILT_IMAGE", &image.variable),
        ("IMAGE_SOURCE", source),
        ("DOCKERFILE", &image.dockerfile.value),
        ("BUILD_TARGET", image.build_target.as_deref().unwrap_or("")),
        ("NONCE", &settings.nonce),
        ("BACKUP_ID", &settings.backup),
        ("CONFIRM_TIMEOUT", &rollout.confirm_timeout.value.0.to_string()),
        ("NEED_KB", &settings.need_kb.to_string()),
        ("BY", &who.by),
        ("FROM", &who.from),
        ("STARTED", &who.started()),
    ]);
    BTreeMap::from([(format!("runs/{}/run.env", settings.run), Artefact::secret(text))])
}

/// The arguments of a build on the server: named in a list, valued in its shell's environment, never on a command line.
pub(super) fn build_arguments(prepared: &Prepared<'_>, run: &str) -> BTreeMap<String, Artefact> {
    let built = prepared.images.iter().find(|image| image.source == ImageSource::Server);
    let arguments = &built.unwrap_or(&prepared.images[0]).context.arguments;
    let names: Vec<&str> = arguments.keys().map(String::as_str).filter(|name| is_name(name)).collect();
    let mut text = assignments([("BUILD_ARGUMENTS", names.join(" ").as_str())]);
    for (name, value) in arguments.iter().filter(|(name, _)| is_name(name)) {
        text += &format!("export {}", assignments([(name.as_str(), value.as_str())]));
    }
    BTreeMap::from([(format!("runs/{run}/build.env"), Artefact::secret(text))])
}

/// Shell assignments, every value quoted.
fn assignments<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    pairs.into_iter().map(|(key, value)| format!("{key}={}\n", shell_words([value]))).collect()
}
