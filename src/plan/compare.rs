//! What would change on a server.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use yaml_serde::Value;

use crate::compose::variables;
use crate::config::{BackupService, EnvFile};
use crate::digest::sha256;
use crate::render::Rendered;
use crate::server::{Fact, Facts};

/// Rendered files whose changes another file or another part of the plan shows.
pub(super) const SAID_ELSEWHERE: [&str; 3] = ["settings.env", "files/slot-green.yml", "files/plain.yml"];

/// What becomes of a file or a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The server does not have it.
    Added,
    /// The server's is another.
    Changed,
    /// The new release does not have it.
    Removed,
}

/// One rendered file that is not what the server has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// Its path in the release.
    pub path: String,
    /// What becomes of it.
    pub change: Change,
    /// Its unified diff; none for files that are not text.
    pub diff: Option<String>,
}

/// What is known of the new release when it is planned.
#[derive(Debug, Clone, Copy)]
pub struct Planned<'a> {
    /// The target's name.
    pub target: &'a str,
    /// The rendered release.
    pub rendered: &'a Rendered,
    /// Its env file.
    pub env: &'a EnvFile,
    /// The digest of its build context.
    pub context: &'a str,
    /// The steps that would run.
    pub steps: &'a [String],
    /// The migrations that would run, as far as the project's files tell; why not, where they cannot.
    pub pending: &'a Result<Vec<String>, String>,
    /// What on the server is not as its own release says.
    pub drift: &'a [String],
}

/// What a deploy would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The target.
    pub target: String,
    /// The release that serves now.
    pub current: Option<String>,
    /// Would anything change?
    pub changes: bool,
    /// Would the image be built anew?
    pub image_changes: bool,
    /// The image that serves, and the one that would.
    #[serde(default)]
    pub image: PlannedImage,
    /// The files that change.
    pub files: Vec<FileChange>,
    /// The environment's keys that change; never their values.
    pub environment: BTreeMap<String, Change>,
    /// Services of the stack whose containers would be replaced; each needs `--allow-replace`.
    pub replaced: Vec<String>,
    /// The migrations that would run, by the project's own files; `None` where they do not tell.
    pub pending: Option<Vec<String>>,
    /// What on the server is not as its own release says; a deploy mends it.
    pub drift: Vec<String>,
    /// The steps that would run.
    pub steps: Vec<String>,
    /// Things worth knowing.
    pub notes: Vec<String>,
    /// What may go wrong, as the server stands now.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// A digest of what would be done and of the files' contents: not of the warnings, nor of an image that was only
    /// built to be looked at.
    pub digest: String,
}

/// The image of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedImage {
    /// The id of the image that serves.
    pub current: Option<String>,
    /// Its size in bytes, unpacked.
    pub current_size: Option<u64>,
    /// What the new one is built from: the digest of the build context, its Dockerfile and arguments.
    pub context: String,
    /// The new one, where it was built to be looked at (`plan --build`).
    pub built: Option<BuiltImage>,
}

/// An image that was built for a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltImage {
    /// Its id in the Engine that built it.
    pub id: String,
    /// Its size in bytes, unpacked.
    pub size: u64,
    /// How many layers it has.
    pub layers: usize,
    /// How many of them the server lacks.
    pub missing: usize,
}

/// Files that tell of the release itself, not of what was asked for.
pub(super) const OWN: [&str; 2] = ["manifest", "release.env"];

/// Paths of the release whose digest is not the server's.
pub fn changed_paths(rendered: &Rendered, facts: &Facts) -> BTreeMap<String, Change> {
    let mut changes = BTreeMap::new();
    for (path, artefact) in &rendered.release {
        let change = change(facts.files.get(path), Some(&artefact.digest()));
        changes.extend(change.map(|change| (path.clone(), change)));
    }
    let gone = facts.files.keys().filter(|path| !rendered.release.contains_key(*path));
    changes.extend(gone.map(|path| (path.clone(), Change::Removed)));
    changes.retain(|path, _| !OWN.contains(&path.as_str()));
    changes
}

/// What became of a thing of which these are the digests.
pub(super) fn change(before: Option<&String>, after: Option<&String>) -> Option<Change> {
    match (before, after) {
        (None, Some(_)) => Some(Change::Added),
        (Some(_), None) => Some(Change::Removed),
        (before, after) => (before != after).then_some(Change::Changed),
    }
}

/// The salted digests of an env file's lines, as the server computes them.
pub fn environment_digests(env: &EnvFile, salt: &str) -> BTreeMap<String, String> {
    let text = env.to_text();
    let keyed =
        text.lines().filter_map(|line| Some((line.split_once('=')?.0.to_owned(), sha256(format!("{salt}{line}").as_bytes()))));
    keyed.collect()
}

/// Compares the new release with what the server has. `contents` are the server's files, where they were read.
pub fn compare(planned: Planned<'_>, facts: &Facts, contents: &BTreeMap<String, Vec<u8>>, salt: &str) -> Plan {
    let Planned { target, rendered, env, context, steps, pending, drift } = planned;
    let secret = |path: &str| rendered.release.get(path).is_some_and(|artefact| artefact.secret);
    let changed = changed_paths(rendered, facts);
    let files = changed
        .iter()
        .filter(|(path, _)| !secret(path) && !SAID_ELSEWHERE.contains(&path.as_str()))
        .map(|(path, change)| FileChange {
            path: path.clone(),
            change: *change,
            diff: diff(
                path,
                ("server", contents.get(path)),
                ("new", rendered.release.get(path).map(|artefact| artefact.bytes.as_slice())),
            ),
        })
        .collect();
    let environment = compare_environment(&environment_digests(env, salt), &facts.environment);
    let image_changes = facts.current_setting("CONTEXT_DIGEST").as_deref() != Some(context);
    let replaced =
        if facts.current().is_none() { Vec::new() } else { replaced(contents.get("files/stack.yml"), rendered, &environment) };
    let mut plan = Plan {
        target: target.to_owned(),
        current: facts.current().map(str::to_owned),
        changes: image_changes || !changed.is_empty() || !drift.is_empty(),
        image_changes,
        image: PlannedImage {
            current: facts.get(Fact::CurrentImage).map(str::to_owned),
            current_size: facts.get(Fact::CurrentImageSize).and_then(|size| size.parse().ok()),
            context: context.to_owned(),
            built: None,
        },
        files,
        environment,
        replaced,
        pending: pending.as_ref().ok().cloned(),
        drift: drift.to_vec(),
        steps: steps.to_vec(),
        notes: rendered.notes.clone(),
        warnings: Vec::new(),
        digest: String::new(),
    };
    plan.notes.extend(pending.as_ref().err().map(|why| format!("the pending migrations are not known: {why}")));
    if !plan.changes {
        plan.steps.clear();
    }
    let contents: String = rendered
        .release
        .iter()
        .filter(|(path, _)| !secret(path))
        .map(|(path, file)| format!("{path} {}\n", file.digest()))
        .collect();
    plan.digest = sha256(format!("{plan:?}{contents}{context}").as_bytes())[..16].to_owned();
    plan
}

pub(super) fn compare_environment(
    desired: &BTreeMap<String, String>,
    actual: &BTreeMap<String, String>,
) -> BTreeMap<String, Change> {
    let keys = desired.keys().chain(actual.keys());
    keys.filter_map(|key| Some((key.clone(), change(actual.get(key), desired.get(key))?))).collect()
}

/// Services of stack.yml whose settings differ, or that read a variable that changes.
fn replaced(before: Option<&Vec<u8>>, rendered: &Rendered, environment: &BTreeMap<String, Change>) -> Vec<String> {
    let services = |bytes: &[u8]| -> BTreeMap<String, Value> {
        let root: Value = yaml_serde::from_slice(bytes).unwrap_or(Value::Null);
        let services = root.get("services").and_then(Value::as_mapping).cloned().unwrap_or_default();
        services.into_iter().filter_map(|(name, service)| Some((name.as_str()?.to_owned(), service))).collect()
    };
    let after = rendered.release.get("files/stack.yml").map(|file| services(&file.bytes)).unwrap_or_default();
    // Where the file did not change, it was not read; then only variables can make a difference.
    let before = before.map_or_else(|| after.clone(), |bytes| services(bytes));
    let reads_changed = |service: &Value| {
        let text = yaml_serde::to_string(service).unwrap_or_default();
        let named: BTreeSet<String> = variables(&text).into_iter().map(|variable| variable.name).collect();
        environment.keys().any(|key| named.contains(key)) || (service.get("env_file").is_some() && !environment.is_empty())
    };
    after
        .iter()
        .filter(|(name, service)| before.get(*name).is_some_and(|known| known != *service || reads_changed(service)))
        // estiba's own service holds nothing, and is replaced unasked.
        .filter(|(name, _)| name.as_str() != BackupService::SERVICE)
        .map(|(name, _)| name.clone())
        .collect()
}

/// The unified diff of a file: of what has it before and after, by their names; none where it is not text.
pub(super) fn diff(path: &str, before: (&str, Option<&Vec<u8>>), after: (&str, Option<&[u8]>)) -> Option<String> {
    let ((old, before), (new, after)) = (before, after);
    let before = std::str::from_utf8(before.map_or(&[], Vec::as_slice)).ok()?;
    let after = std::str::from_utf8(after.unwrap_or(&[])).ok()?;
    let name = path.strip_prefix("files/").unwrap_or(path);
    let diff = similar::TextDiff::from_lines(before, after);
    Some(diff.unified_diff().context_radius(3).header(&format!("{old}/{name}"), &format!("{new}/{name}")).to_string())
}
