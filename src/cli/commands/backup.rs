//! `backup create`, `list`, `verify`, `restore`, `pull`

use std::process::ExitCode;

use camino::{Utf8Path, Utf8PathBuf};

use crate::config::{Project, Resolved};
use crate::deploy::{BackupRun, Session, backup};
use crate::error::{Error, Result};
use crate::private;
use crate::report::Event;
use crate::ssh::Connection;

use super::super::args::{BackupCommand, PullArgs, RestoreArgs, TargetArgs, WhichBackup};
use super::super::context::Context;

pub(in crate::cli) async fn run(context: &Context, command: BackupCommand) -> ExitCode {
    let result = match command {
        BackupCommand::Create(args) => create(context, args).await,
        BackupCommand::List(args) => list(context, args).await,
        BackupCommand::Verify(args) => verify(context, args).await,
        BackupCommand::Restore(args) => restore(context, args).await,
        BackupCommand::Pull(args) => pull(context, args).await,
    };
    result.unwrap_or_else(|error| context.refused(error, None))
}

async fn create(context: &Context, args: TargetArgs) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let resolved = context.resolve(&project, args.target.as_deref())?;
    carry_out(context, &project, &resolved, BackupRun::Create).await
}

async fn verify(context: &Context, args: WhichBackup) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let (target, id) = target_and_backup(&project, args)?;
    let resolved = context.resolve(&project, target.as_deref())?;
    carry_out(context, &project, &resolved, BackupRun::Verify(id)).await
}

async fn carry_out(context: &Context, project: &Project, resolved: &Resolved, run: BackupRun) -> Result<ExitCode> {
    let operation = context.operation(project, resolved, context.options()).await;
    Ok(context.finish(backup(&operation, run).await?))
}

async fn list(context: &Context, args: TargetArgs) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let resolved = context.resolve(&project, args.target.as_deref())?;
    let session = Session::open_only(&project, &resolved).await?;
    let backups = session.server().backups().await?;
    let mut text = Vec::new();
    for one in backups {
        let get = |key: &str| one[key].as_str().unwrap_or_default();
        let number = |key: &str| one[key].as_u64().unwrap_or_default();
        text.push(format!(
            "{}  {:>9.1} MB  {} tables, {} rows{}  of {}",
            get("id"),
            number("bytes") as f64 / 1e6,
            number("tables"),
            number("rows"),
            volumes(&one),
            get("release")
        ));
        context.reporter.tell(Event::Document(one.clone()));
    }
    if !context.global.json {
        let nothing = || String::from("there is no backup yet");
        context.reporter.tell(Event::Text(if text.is_empty() { nothing() } else { text.join("\n") }));
    }
    Ok(ExitCode::SUCCESS)
}

/// What a backup holds of volumes, in words.
fn volumes(backup: &serde_json::Value) -> String {
    let volumes = backup["volumes"].as_array().into_iter().flatten().map(|volume| {
        let number = |key: &str| volume[key].as_u64().unwrap_or_default();
        let name = volume["name"].as_str().unwrap_or_default();
        format!(", {name} ({} files, {:.1} MB)", number("files"), number("bytes") as f64 / 1e6)
    });
    volumes.collect()
}

async fn pull(context: &Context, args: PullArgs) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let (target, id) = target_and_backup(&project, args.which)?;
    let resolved = context.resolve(&project, target.as_deref())?;
    let folder = args.out.unwrap_or_else(|| Utf8PathBuf::from("."));
    std::fs::create_dir_all(&folder).map_err(|error| Error::input(format!("cannot make the folder {folder}: {error}")))?;
    let dump = bring(context, &project, &resolved, &id, &folder).await?;
    context.reporter.note(format!("{dump} is the backup, checked by its SHA-256"));
    context.reporter.tell(Event::Document(serde_json::json!({"event": "backup-pulled", "backup": id, "file": dump.as_str()})));
    Ok(ExitCode::SUCCESS)
}

async fn bring(context: &Context, project: &Project, resolved: &Resolved, id: &str, folder: &Utf8Path) -> Result<Utf8PathBuf> {
    let session = Session::open_only(project, resolved).await?;
    let progress = |done, total| {
        context.reporter.tell(Event::Progress { what: format!("backup {id}"), done, total: Some(total) });
    };
    session.server().pull_backup(id, folder, progress).await
}

async fn restore(context: &Context, args: RestoreArgs) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let (target, backup) = target_and_backup(&project, args.which.clone())?;
    let resolved = context.resolve(&project, target.as_deref())?;
    let mask = match &args.mask {
        None => None,
        Some(path) => Some(std::fs::read(path).map_err(|error| Error::input(format!("cannot read {path}: {error}")))?),
    };
    if args.all_volumes || !args.volume.is_empty() {
        let file = one_file(&args)?;
        ask(&resolved, &backup, "volumes", context.global.yes)?;
        return carry_out(context, &project, &resolved, BackupRun::RestoreVolumes { id: backup, volumes: args.volume, file })
            .await;
    }
    ask(&resolved, &backup, "database", context.global.yes)?;
    let here = Utf8Path::new(&backup);
    let id = match (&args.from, here.extension()) {
        (Some(from), _) => {
            let source = context.resolve(&project, Some(from))?;
            let (_folder, folder) = private::folder()?;
            let dump = bring(context, &project, &source, &backup, &folder).await?;
            take(context, &project, &resolved, &dump).await?
        }
        (None, Some("dump")) => take(context, &project, &resolved, here).await?,
        (None, _) => backup,
    };
    carry_out(context, &project, &resolved, BackupRun::Restore { id, mask }).await
}

/// Gives the server a backup that lies here; its id.
async fn take(context: &Context, project: &Project, resolved: &Resolved, dump: &Utf8Path) -> Result<String> {
    let id = dump.file_stem().unwrap_or_default().to_owned();
    check_id(&id)?;
    for file in [dump.to_string(), format!("{dump}.sha256"), dump.with_extension("counts").to_string()] {
        if !Utf8Path::new(&file).is_file() {
            return Err(Error::input(format!("{file} is missing: a backup is its .dump, .dump.sha256 and .counts"))
                .hint("`estiba backup pull` brings all of them"));
        }
    }
    let session = Session::open_only(project, resolved).await?;
    if session.facts.current().is_none() {
        return Err(Error::failed(format!("{} serves nothing yet: nothing was sent", resolved.target.name)).hint("deploy first"));
    }
    let bulk = Connection::open(&session.settings).await?;
    let server = crate::server::Server::new(&bulk, &resolved.target.root.value);
    let progress = |done| context.reporter.tell(Event::Progress { what: format!("backup {id}"), done, total: None });
    server.take_backup(dump, &id, progress).await?;
    Ok(id)
}

/// The path of the one file that is asked for, as the archive has it; empty where none is.
fn one_file(args: &RestoreArgs) -> Result<String> {
    let Some(path) = &args.file else { return Ok(String::new()) };
    if args.volume.len() != 1 {
        return Err(Error::input("a file is one of one volume; nothing was done").hint("give --volume once"));
    }
    let plain = path.components().all(|part| matches!(part, camino::Utf8Component::Normal(_)));
    if !plain || path.as_str().chars().any(char::is_control) || path.as_str().is_empty() {
        return Err(Error::input(format!("`{path}` is not the path of a file in a volume; nothing was done"))
            .hint("write it from the volume's top, without `..` and without a `/` in front"));
    }
    Ok(path.as_str().trim_end_matches('/').to_owned())
}

/// A restore replaces what the site shows: whoever asks for it types the target's name, or says `--yes`.
fn ask(resolved: &Resolved, backup: &str, what: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    let name = &resolved.target.name;
    let refused = || {
        Error::input(format!("a restore of {backup} replaces the {what} of {name}; nothing was done"))
            .hint(format!("type the target's name, {name}, when asked, or give --yes"))
    };
    let prompt = format!("This replaces the {what} of {name} with backup {backup}. Type the target's name to go on: ");
    if crate::report::ask(&prompt).as_ref() == Some(name) { Ok(()) } else { Err(refused()) }
}

/// `backup verify BACKUP` works where there is one target: its name may be left out, as everywhere. A name that is a target is
/// the target.
fn target_and_backup(project: &Project, WhichBackup { first, second }: WhichBackup) -> Result<(Option<String>, String)> {
    let (target, backup) = match second {
        Some(backup) => (Some(first), backup),
        None if project.loaded.config.target.contains_key(&first) => {
            return Err(Error::input(format!("`{first}` is a target, and the backup is not named"))
                .hint(format!("`estiba backup list {first}` shows its backups; give one after the target: `{first} BACKUP`")));
        }
        None => (None, first),
    };
    if !backup.ends_with(".dump") {
        check_id(&backup)?;
    }
    Ok((target, backup))
}

/// An id becomes a file's name on the server.
fn check_id(id: &str) -> Result<()> {
    let plain = !id.is_empty() && !id.starts_with('.') && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if plain {
        Ok(())
    } else {
        Err(Error::input(format!("`{id}` is not the id of a backup")).hint("`estiba backup list` has them"))
    }
}
