//! A plan without a server: the project as it stands here against a commit of its repository. For pull requests of
//! forks, which have no secrets, and for laptops without a connection.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use crate::compose::{Variable, variables};
use crate::config::{EnvFile, Project, resolve};
use crate::error::{Error, Result};
use crate::plan::{Plan, Planned, changed_paths, compare, environment_digests};
use crate::private;
use crate::process;
use crate::report::Reporter;
use crate::server::Facts;
use crate::server::protocol::marker;
use crate::text::{Environment, read_limited, shell_words};

use super::prepare::Prepared;
use super::steps::deploy_steps;

/// What a deploy would change, were `reference` what the target serves. `config` is the path of deploy.toml here.
pub async fn plan_offline(
    config: &Utf8Path,
    environment: &Environment,
    target: Option<&str>,
    reference: &str,
    reporter: &Reporter,
) -> Result<Plan> {
    let project = open_with_stand_ins(config, environment)?;
    reporter.hide(&project.secrets());
    let folder = checked_out(&project.folder, reference).await?;
    let there = folder.path.join(config.file_name().unwrap_or("deploy.toml"));
    if !there.is_file() {
        return Err(Error::input(format!(
            "{reference} has no {}: there is nothing to compare with",
            there.file_name().unwrap_or_default()
        ))
        .hint("--against names another commit"));
    }
    let before = open_with_stand_ins(&there, environment)?;
    reporter.hide(&before.secrets());
    let (old_resolved, new) = (resolve(&before, target)?, resolve(&project, target)?);
    let (old, new_prepared) = (Prepared::render(&before, &old_resolved, reporter)?, Prepared::render(&project, &new, reporter)?);
    let salt = "offline";
    let facts = as_served(&old, &old_resolved.env, reference, salt)?;
    let known = old.context().migrations();
    let pending = Ok(new_prepared.context().migrations().into_iter().filter(|migration| !known.contains(migration)).collect());
    let contents: BTreeMap<String, Vec<u8>> = changed_paths(&new_prepared.rendered, &facts)
        .into_keys()
        .filter_map(|path| Some((path.clone(), old.rendered.release.get(&path)?.bytes.clone())))
        .collect();
    let planned = Planned {
        target: &new.target.name,
        rendered: &new_prepared.rendered,
        env: &new.env,
        context: &new_prepared.context_digest,
        steps: &deploy_steps(&project, &new)?,
        pending: &pending,
        drift: &[],
    };
    let mut plan = compare(planned, &facts, &contents, salt);
    plan.notes.push(format!(
        "made without a server, against {reference}: secrets have placeholders, and the server's state is not known"
    ));
    Ok(plan)
}

/// The facts of a server that serves that release.
fn as_served(old: &Prepared<'_>, env: &EnvFile, reference: &str, salt: &str) -> Result<Facts> {
    let mut text = format!("{}\ncurrent_CONTEXT_DIGEST={}\n", marker::FACTS, shell_words([old.context_digest.as_str()]));
    for (path, artefact) in &old.rendered.release {
        text += &format!("current_file={}  {path}\n", artefact.digest());
    }
    for (key, digest) in environment_digests(env, salt) {
        text += &format!("current_env={key} {digest}\n");
    }
    Ok(Facts::parse(&(text + marker::END))?.of_commit(reference))
}

/// Opens a project with a word for each variable that its files ask for and nobody has set: for looks that need no secret.
pub fn open_with_stand_ins(config: &Utf8Path, environment: &Environment) -> Result<Project> {
    let mut environment = environment.clone();
    let mut texts = vec![read_limited(config)?];
    let folder = config.parent().filter(|parent| !parent.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    for entry in folder.read_dir_utf8().into_iter().flatten().flatten() {
        let name = entry.file_name();
        if (name.starts_with(".env") || name.ends_with(".env")) && entry.path().is_file() {
            texts.push(read_limited(entry.path())?);
        }
    }
    let mut stand_ins = Vec::new();
    for variable in texts.iter().flat_map(|text| variables(text)).filter(Variable::is_required) {
        let value = environment.entry(variable.name.clone()).or_default();
        if value.is_empty() {
            *value = format!("stand-in-for-{}", variable.name);
            stand_ins.push(value.clone());
        }
    }
    Ok(Project { stand_ins, ..Project::open(config, environment)? })
}

/// A commit's files in a folder that goes when it is not needed any more.
struct CheckedOut {
    path: Utf8PathBuf,
    _folder: tempfile::TempDir,
}

/// The project's part of that commit.
async fn checked_out(folder: &Utf8Path, reference: &str) -> Result<CheckedOut> {
    let git = async |arguments: &[&str]| -> Result<String> {
        let ended = process::ask_git(folder, arguments).await?;
        if ended.success {
            return Ok(ended.stdout.trim().to_owned());
        }
        Err(Error::input(format!("--offline compares with {reference}, which git does not know: {}", ended.stderr.trim()))
            .hint("in a workflow: actions/checkout with `fetch-depth: 0`; --against names another commit"))
    };
    let prefix = git(&["rev-parse", "--show-prefix"]).await?;
    let top = git(&["rev-parse", "--show-toplevel"]).await?;
    let commit = git(&["rev-parse", "--verify", "--end-of-options", &format!("{reference}^{{commit}}")]).await?;
    let (temporary, path) = private::folder()?;
    let archive = path.join("commit.tar");
    let ended = process::ask_git(Utf8Path::new(&top), &["archive", "--output", archive.as_str(), &commit]).await?;
    if !ended.success {
        return Err(Error::failed(format!("git archive {reference}: {}", ended.stderr.trim())));
    }
    let files = path.join("files");
    let unpacked = std::fs::File::open(&archive).and_then(|file| tar::Archive::new(file).unpack(&files));
    unpacked.map_err(|error| Error::failed(format!("unpacking {reference}: {error}")))?;
    Ok(CheckedOut { path: files.join(prefix), _folder: temporary })
}
