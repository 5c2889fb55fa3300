//! `setup`

use std::process::ExitCode;

use crate::config::Resolved;
use crate::deploy::{Admin, Keys, Setup};
use crate::error::{Error, Result};
use crate::process;
use crate::report::Event;
use crate::server::{ItemState, Prepared};

use super::super::args::SetupArgs;
use super::super::context::Context;

pub(in crate::cli) async fn run(context: &Context, args: SetupArgs) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let resolved = context.resolve(&project, args.target.as_deref())?;
    let admin = Admin { user: args.as_user.clone(), sudo: args.sudo };
    let keys = Keys::of(&project, &resolved)?;
    for host in &resolved.target.hosts {
        let setup = Setup::open(&project, &resolved, host, &admin, &keys).await?;
        if args.remove {
            remove(context, &setup).await?;
            continue;
        }
        let prepared = setup.look().await?;
        context.reporter.tell(Event::Text(plan(&setup.host(), &prepared)));
        if !prepared.items.iter().any(|item| item.state == ItemState::Todo) {
            context.reporter.tell(Event::Text(format!("{}: ready; nothing was changed", setup.host())));
            continue;
        }
        agree(context, "Do it? [y/N] ")?;
        setup.prepare(&prepared.items, &context.reporter).await?;
        let left = setup.look().await?;
        if let Some(item) = left.items.iter().find(|item| item.state == ItemState::Todo) {
            return Err(Error::failed(format!("{}: `{}` was done and did not last: {}", setup.host(), item.name, item.text)));
        }
        context.reporter.tell(Event::Text(format!("{}: ready", setup.host())));
    }
    if !args.remove {
        afterwards(context, &resolved, &keys, args.github).await?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn remove(context: &Context, setup: &Setup<'_>) -> Result<()> {
    agree(context, &format!("{}: the keys of this target, the gate and the boot hook go. Do it? [y/N] ", setup.host()))?;
    setup.remove().await?;
    context.reporter.tell(Event::Text(format!(
        "{}: the keys, the gate and the boot hook are gone; the site, its data, the user and all packages stay",
        setup.host()
    )));
    Ok(())
}

fn plan(host: &str, prepared: &Prepared) -> String {
    let mut lines = vec![format!("{host}: {}", prepared.system)];
    for item in &prepared.items {
        let sign = match item.state {
            ItemState::Done => "=",
            ItemState::Todo => "+",
            ItemState::Advice | ItemState::Cannot => "!",
        };
        lines.push(format!("  {sign} {}", item.text));
    }
    lines.join("\n")
}

/// Goes on where the person at the terminal agrees, or `--yes` does.
fn agree(context: &Context, question: &str) -> Result<()> {
    if context.global.yes || crate::report::agreed(question) {
        return Ok(());
    }
    Err(Error::input("nothing was changed: nobody has agreed to it").hint("--yes does it unasked"))
}

/// What is left to do: the secrets of the repository.
async fn afterwards(context: &Context, resolved: &Resolved, keys: &Keys, github: bool) -> Result<()> {
    let target = &resolved.target;
    let pinned = target.host_keys.value.iter().filter(|key| !key.starts_with(['~', '/'])).cloned().collect::<Vec<_>>().join("\n");
    let commands = [
        ("gh secret set SSH_KEY", format!("--env {}", target.name), &keys.deploy),
        ("gh secret set LOOK_KEY", String::new(), &keys.look),
    ];
    if !github {
        let mut lines = vec!["for GitHub Actions (`estiba setup --github` runs these):".to_owned()];
        lines.extend(commands.iter().map(|(command, place, path)| format!("  {command} {place} < {path}").replace("  <", " <")));
        lines.push(format!("on this machine `estiba deploy` finds {}", keys.deploy));
        context.reporter.tell(Event::Text(lines.join("\n")));
        return Ok(());
    }
    for (command, place, path) in commands {
        let text = std::fs::read_to_string(path).map_err(|error| Error::failed(format!("{path}: {error}")))?;
        let words: Vec<&str> = command.split(' ').skip(1).chain(place.split(' ').filter(|word| !word.is_empty())).collect();
        process::feed("gh", &words, &text).await?;
        context.reporter.tell(Event::Text(format!("{command} {place}").trim_end().to_owned()));
    }
    if !pinned.is_empty() {
        process::feed("gh", &["variable", "set", "HOST_KEYS"], &pinned).await?;
        context.reporter.tell(Event::Text("gh variable set HOST_KEYS".into()));
    }
    Ok(())
}
