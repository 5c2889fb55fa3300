//! The files of one upload: release and run.

use std::collections::BTreeMap;

use crate::artefact::Artefact;
use crate::config::{ImageSource, Inconclusive, Origin, Resolved, Seconds, Sticky};
use crate::server::{BuildFile, ReleaseFile, RunFile};
use crate::text::shell_words;

use super::super::actor::Actor;
use super::super::connect::Session;
use super::super::operation::Operation;
use super::super::prepare::Prepared;

/// What is particular to one run.
#[derive(Debug, Clone, Default)]
pub(in crate::deploy) struct RunSettings {
    pub(in crate::deploy) run: String,
    pub(in crate::deploy) kind: &'static str,
    pub(in crate::deploy) release: String,
    /// The first app's image; all of them by their variables.
    pub(in crate::deploy) image: String,
    pub(in crate::deploy) images: BTreeMap<String, String>,
    pub(in crate::deploy) source: Option<ImageSource>,
    pub(in crate::deploy) observe: Seconds,
    pub(in crate::deploy) steps: Vec<String>,
    pub(in crate::deploy) need_kb: u64,
    pub(in crate::deploy) nonce: String,
    pub(in crate::deploy) backup: String,
    /// The services that it is about, and what was asked for them.
    pub(in crate::deploy) services: Vec<String>,
    pub(in crate::deploy) asked: String,
    /// Of a fleet, the first host that has a run tells people of all.
    pub(in crate::deploy) is_silent: bool,
    /// What a scan found of its images, a line each; `None` where there is no scan.
    pub(in crate::deploy) findings: Option<String>,
}

/// The release's files, with what tells of the release itself.
pub(super) fn release(prepared: &Prepared<'_>, id: &str, actor: &Actor) -> BTreeMap<String, Artefact> {
    let mut files: BTreeMap<String, Artefact> =
        prepared.rendered.release.iter().map(|(path, file)| (format!("releases/{id}/{path}"), file.clone())).collect();
    let own = ReleaseFile { commit: actor.commit.clone(), by: actor.by.clone(), context_digest: prepared.context_digest.clone() };
    let images = prepared.images.iter().map(|image| (image.variable.as_str(), image.digest.as_str()));
    files.insert(format!("releases/{id}/release.env"), Artefact::text(own.with_images(images)));
    files
}

/// The run's settings.
pub(super) fn run(session: &Session<'_>, settings: &RunSettings, operation: &Operation<'_>) -> BTreeMap<String, Artefact> {
    let text = run_file(session, settings, operation).to_text();
    BTreeMap::from([(format!("runs/{}/run.env", settings.run), Artefact::secret(text))])
}

fn run_file(session: &Session<'_>, settings: &RunSettings, operation: &Operation<'_>) -> RunFile {
    let (resolved, actor) = (session.resolved, &operation.actor);
    let rollout = &resolved.rollout;
    let canary = &rollout.canary;
    let image = built_on_server(resolved);
    RunFile {
        run: settings.run.clone(),
        kind: settings.kind,
        release: settings.release.clone(),
        expect_current: session.facts.current().unwrap_or_default().to_owned(),
        steps: settings.steps.clone(),
        observe: settings.observe.0,
        min_requests: rollout.min_requests.value.into(),
        max_error_rate: rollout.max_error_rate.value,
        keep_releases: rollout.keep_releases.value.into(),
        // Who goes back has no use for what they leave.
        keep_warm: if settings.kind == "deploy" { rollout.keep_warm.value.0 } else { 0 },
        allow_replace: operation.options.allow_replace.clone(),
        image: settings.image.clone(),
        image_ids: settings.images.iter().map(|(variable, id)| format!("{variable}={id}")).collect(),
        built_image: image.variable.clone(),
        image_source: match settings.source {
            Some(ImageSource::Server) => "server",
            Some(ImageSource::Registry) => "registry",
            Some(ImageSource::Archive) => "archive",
            Some(ImageSource::Build) | None => "build",
        },
        dockerfile: image.dockerfile.value.clone(),
        build_target: image.build_target.clone().unwrap_or_default(),
        nonce: settings.nonce.clone(),
        backup_id: settings.backup.clone(),
        confirm_timeout: rollout.confirm_timeout.value.0,
        fleet_time: fleet_time(resolved),
        need_kb: settings.need_kb,
        by: actor.by.clone(),
        from: actor.from.clone(),
        started: actor.started(),
        recover: "",
        services: settings.services.clone(),
        asked: settings.asked.clone(),
        override_reason: operation.options.override_reason.clone().unwrap_or_default(),
        canary_steps: canary.steps.value.iter().map(u8::to_string).collect(),
        canary_step_seconds: canary.step_duration.value.0,
        canary_time: canary.step_duration.value.0 * canary.steps.value.len() as u64,
        canary_wait: canary.longest_wait.value.0,
        canary_sticky: match canary.sticky.value {
            Sticky::Cookie => "cookie",
            Sticky::Address => "address",
        },
        canary_inconclusive: match canary.inconclusive.value {
            Inconclusive::Undo => "undo",
            Inconclusive::Wait => "wait",
            Inconclusive::Synthetic => "synthetic",
        },
        max_p95_ratio: canary.max_p95_ratio.value,
        observe_p95: canary.max_p95_ratio.origin == Origin::File,
        alerts: !settings.is_silent,
    }
}

/// How long a host may have to wait for later waves: half an hour and the pause for each.
fn fleet_time(resolved: &Resolved) -> u64 {
    let fleet = &resolved.target.fleet;
    let later = fleet.sizes(resolved.target.hosts.len()).len().saturating_sub(1) as u64;
    later * (1800 + fleet.pause.value.0)
}

/// The image that the server builds, else the first one.
fn built_on_server(resolved: &Resolved) -> &crate::config::Image {
    resolved.images.iter().find(|image| image.source.value == ImageSource::Server).unwrap_or(resolved.image())
}

/// The arguments of a build on the server: as words of its command, and what of them holds a secret as variables for that command alone.
pub(super) fn build_arguments(prepared: &Prepared<'_>, run: &str) -> BTreeMap<String, Artefact> {
    let built = prepared.images.iter().find(|image| image.source == ImageSource::Server);
    let context = &built.unwrap_or(&prepared.images[0]).context;
    let words = shell_words(context.given_arguments().iter().map(String::as_str));
    let exported = context.hidden_arguments().map(|(name, value)| format!("export {name}={}\n", shell_words([value])));
    BTreeMap::from([
        (format!("runs/{run}/build.env"), Artefact::secret(BuildFile { arguments: words }.to_text())),
        (format!("runs/{run}/build.values"), Artefact::secret(exported.collect::<String>())),
    ])
}
