//! `exec`, `run`, `shell`: a command in a container of the release that serves, with this terminal.

use std::process::ExitCode;

use crate::config::Project;
use crate::deploy::{Session, container_service, services_of};
use crate::error::{Error, Result};
use crate::report::Passage;
use crate::server::Server;
use crate::ssh::{Piece, Terminal};

use super::super::args::{ExecArgs, RunArgs, ShellArgs};
use super::super::context::Context;

pub(in crate::cli) async fn exec(context: &Context, args: ExecArgs) -> Result<ExitCode> {
    let (target, service) = match args.second {
        Some(service) => (Some(args.first), service),
        None => (None, args.first),
    };
    inside(context, target.as_deref(), Some(&service), &args.command).await
}

pub(in crate::cli) async fn shell(context: &Context, args: ShellArgs) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let (target, service) = target_and_service(&project, args.first, args.second);
    let words = ["sh", "-c", "if command -v bash >/dev/null; then exec bash; else exec sh; fi"].map(str::to_owned);
    inside(context, target.as_deref(), service.as_deref(), &words).await
}

pub(in crate::cli) async fn run(context: &Context, args: RunArgs) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let (target, service) = target_and_service(&project, args.first, args.second);
    let resolved = context.resolve(&project, target.as_deref())?;
    let session = Session::open_as_a_person(&project, &resolved).await?;
    session.facts.check()?;
    let service = named(&session, service.as_deref())?;
    session.bring_scripts().await?;
    attach(context, &session, |kind| session.server().one_off(&service, kind, &args.command)).await
}

/// Runs these words in the container of that service; of the first app where none is named.
async fn inside(context: &Context, target: Option<&str>, service: Option<&str>, words: &[String]) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let resolved = context.resolve(&project, target)?;
    let session = Session::open_as_a_person(&project, &resolved).await?;
    session.facts.check()?;
    // A container may be named as it is, that of the other slot too.
    let running = |wanted: &str| {
        let found = session.facts.containers.iter().find(|one| one.service == wanted && one.state == "running");
        found.map(|one| one.id.clone())
    };
    let found = service.filter(|service| !services_of(&session.facts).iter().any(|known| known == service)).and_then(running);
    let container = match found {
        Some(container) => container,
        None => {
            let service = container_service(&session.facts, &named(&session, service)?);
            running(&service).ok_or_else(|| {
                Error::failed(format!("no container of {service} runs on {}", session.host()))
                    .hint("`estiba status` shows what does")
            })?
        }
    };
    attach(context, &session, |kind| Server::inside(&container, kind, words)).await
}

/// The service of the release that serves, or its first app.
fn named(session: &Session<'_>, service: Option<&str>) -> Result<String> {
    let known = services_of(&session.facts);
    match (service, known.first()) {
        (_, None) => Err(Error::failed(format!("{} serves no release yet", session.resolved.target.name)).hint("deploy first")),
        (None, Some(first)) => Ok(first.clone()),
        (Some(service), _) if known.iter().any(|one| one == service) => Ok(service.to_owned()),
        (Some(service), _) => Err(Error::input(format!("the release that serves has no service `{service}`"))
            .hint(format!("its services: {}", known.join(", ")))),
    }
}

/// Hands this process's streams to the command, and exits as it does.
async fn attach(context: &Context, session: &Session<'_>, command: impl Fn(Option<&str>) -> String) -> Result<ExitCode> {
    let passage = Passage::open();
    let kind = context
        .environment
        .get("TERM")
        .filter(|kind| kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._+".contains(&byte)));
    let kind = kind.map_or("xterm", String::as_str).to_owned();
    let terminal = passage.size.clone().map(|size| Terminal { kind, size });
    let command = command(terminal.as_ref().map(|terminal| terminal.kind.as_str()));
    let status = session
        .connection
        .attach(&command, terminal, passage.input, |piece| match piece {
            Piece::Out(bytes) => Passage::say(false, &bytes),
            Piece::Err(bytes) => Passage::say(true, &bytes),
            Piece::Exit(_) => {}
        })
        .await?;
    Ok(ExitCode::from(u8::try_from(status.unwrap_or(255)).unwrap_or(255)))
}

/// One name alone is a target where deploy.toml has one of that name, and a service else.
fn target_and_service(project: &Project, first: Option<String>, second: Option<String>) -> (Option<String>, Option<String>) {
    match (first, second) {
        (Some(first), None) if !project.loaded.config.target.contains_key(&first) => (None, Some(first)),
        other => other,
    }
}
