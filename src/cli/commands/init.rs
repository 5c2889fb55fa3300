//! `init`

use std::io::IsTerminal as _;
use std::process::ExitCode;

use camino::Utf8Path;

use crate::config::{ServiceKind, resolve};
use crate::deploy::{Prepared, open_with_stand_ins};
use crate::error::{Error, Result};
use crate::report::Event;
use crate::scaffold::{ACTION, Files, Found, Tls, Wishes, files, lacks, look, write};

use super::super::args::{DatabaseChoice, Extra, InitArgs};
use super::super::context::Context;

/// The memory of a small server, in MB.
const SMALL_SERVER: u32 = 2048;

pub(in crate::cli) fn run(context: &Context, args: InitArgs) -> Result<ExitCode> {
    if args.check {
        return check(context);
    }
    let folder = context.global.config.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    let found = look(folder, args.name.as_deref(), context.environment.get("PATH").map(String::as_str))?;
    let wishes = wishes(&args, &found)?;
    let action = args.action.as_deref().or(ACTION);
    let Files { files, secrets, notes } = files(&found, &wishes, action)?;
    if args.diff {
        for (path, text) in &files {
            differs(context, folder, path, text);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let done = write(folder, &files, &args.force)?;
    if context.global.json {
        context.reporter.tell(Event::Document(serde_json::to_value(&done).map_err(|error| Error::failed(error.to_string()))?));
    }
    for path in &done.written {
        context.reporter.note(format!("+ {path}"));
    }
    for path in &done.replaced {
        context.reporter.note(format!("~ {path} was written anew"));
    }
    for path in &done.kept {
        context
            .reporter
            .note(format!("= {path} exists and was not changed; --diff shows what init would write, --force {path} writes it"));
    }
    // What is said of a stack is of the one that was written.
    let is_written = [&done.written, &done.replaced]
        .iter()
        .any(|paths| paths.iter().any(|path| path == "compose.yml" || path == "deploy.toml"));
    for note in found.notes.iter().chain(notes.iter().filter(|_| is_written)) {
        context.reporter.tell(Event::Warning(note.clone()));
    }
    if action.is_none() && done.written.iter().any(|path| path.starts_with(".github/")) {
        context.reporter.tell(Event::Warning(
            "the workflows say `uses: OWNER/estiba@…`: this binary belongs to no release, and does not know where its action is. Put its repository and commit there, or run init with --action".into(),
        ));
    }
    first_words(context);
    let servers = if args.server.is_some() { "put the server's host-keys" } else { "put your servers" };
    context.reporter.note(format!(
        "next: {servers} into deploy.toml, then `estiba setup production` where the server is bare, `estiba config check production` and `estiba plan production`"
    ));
    let secrets = [&["SSH_KEY".to_owned()], secrets.as_slice()].concat().join(", ");
    context.reporter.note(format!("in the repository's settings: the secrets {secrets}, and the variable ESTIBA_DEPLOY = on"));
    Ok(ExitCode::SUCCESS)
}

/// What the flags say; what they leave open is asked on a terminal.
fn wishes(args: &InitArgs, found: &Found) -> Result<Wishes> {
    let asks = !args.yes && found.compose.is_empty() && std::io::stdin().is_terminal();
    let mut domains: Vec<String> = args.domain.clone();
    if domains.is_empty() && asks {
        let said = answer("The site's domain (empty: none yet): ")?;
        domains = said.split([' ', ',']).filter(|domain| !domain.is_empty()).map(str::to_owned).collect();
    }
    if let Some(wrong) = domains.iter().find(|domain| !is_domain(domain)) {
        return Err(Error::input(format!("`{wrong}` is no domain; nothing was written"))
            .hint("a domain is like site.example, without https:// and without a path"));
    }
    let mut server = args.server.clone();
    if server.is_none() && asks {
        server = Some(answer("The production server, as user@host (empty: later): ")?).filter(|server| !server.is_empty());
    }
    if let Some(wrong) = server.as_ref().filter(|server| server.contains(['"', '\\', '\n']) || !server.contains('@')) {
        return Err(
            Error::input(format!("`{wrong}` is no server; nothing was written")).hint("write it as user@host or user@host:port")
        );
    }
    let tls = match args.tls {
        Some(Tls::Letsencrypt) if domains.is_empty() => {
            return Err(Error::input("a certificate needs a domain; nothing was written").hint("give --domain site.example"));
        }
        Some(tls) => tls,
        None if domains.is_empty() => Tls::None,
        None => Tls::Letsencrypt,
    };
    let memory = args.memory.map_or(SMALL_SERVER, |memory| memory.0);
    Ok(Wishes {
        domains,
        tls,
        server,
        email: args.email.clone(),
        database: args.database == DatabaseChoice::Postgres,
        memory,
        monitoring: args.with.contains(&Extra::Monitoring),
    })
}

/// Names that a certificate authority gives certificates for.
fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(label)
}

fn answer(question: &str) -> Result<String> {
    crate::report::ask(question)
        .ok_or_else(|| Error::failed("no answer came; nothing was written").hint("--domain and --server answer it"))
}

/// Shows what init would change in a file that is there, and that it would write one that is not.
fn differs(context: &Context, folder: &Utf8Path, path: &str, text: &str) {
    match std::fs::read_to_string(folder.join(path)) {
        Ok(there) if there == text => {}
        Ok(there) => {
            let diff = similar::TextDiff::from_lines(there.as_str(), text);
            context.reporter.tell(Event::Text(diff.unified_diff().header(path, &format!("{path} (init)")).to_string()));
        }
        Err(_) => context.reporter.tell(Event::Text(format!("+ {path}"))),
    }
}

/// `--check`: what the stack lacks that is here.
fn check(context: &Context) -> Result<ExitCode> {
    let project = open_with_stand_ins(&context.global.config, &context.environment)?;
    context.reporter.hide(&project.secrets());
    let target = project.loaded.config.target.keys().next_back().cloned();
    let found = lacks(&resolve(&project, target.as_deref())?);
    if context.global.json {
        context.reporter.tell(Event::Document(serde_json::to_value(&found).map_err(|error| Error::failed(error.to_string()))?));
        return Ok(ExitCode::SUCCESS);
    }
    for lack in &found {
        let of = lack.service.as_deref().unwrap_or("the stack");
        context.reporter.tell(Event::Text(format!("{of}: {}: {}.\n    {}", lack.what, lack.why, lack.write)));
    }
    if found.is_empty() {
        context.reporter.note("the stack lacks nothing of what init would write");
    }
    Ok(ExitCode::SUCCESS)
}

/// What `config check` would say of what was found and written: what each service is, or what stands in the way.
fn first_words(context: &Context) {
    let looked = || -> Result<Vec<String>> {
        let project = open_with_stand_ins(&context.global.config, &context.environment)?;
        context.reporter.hide(&project.secrets());
        let target = project.loaded.config.target.keys().next_back().cloned();
        let resolved = resolve(&project, target.as_deref())?;
        let prepared = Prepared::render(&project, &resolved, &context.reporter)?;
        let mut words = Vec::new();
        for (kind, what) in [
            (ServiceKind::App, "apps"),
            (ServiceKind::Worker, "workers"),
            (ServiceKind::Job, "jobs"),
            (ServiceKind::Stack, "stack"),
        ] {
            let names: Vec<&str> =
                resolved.kinds.iter().filter(|(_, decided)| decided.kind == kind).map(|(name, _)| name.as_str()).collect();
            if !names.is_empty() {
                words.push(format!("{what}: {}", names.join(", ")));
            }
        }
        words.extend(prepared.rendered.notes);
        Ok(words)
    };
    match looked() {
        Ok(words) => words.iter().for_each(|line| context.reporter.note(line)),
        Err(error) => context.reporter.tell(Event::Warning(format!("a deploy would fail: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_a_name_and_no_address() {
        assert!(is_domain("site.example") && is_domain("a-b.c.example"));
        for wrong in ["https://site.example", "site", "site.example/x", "-a.example", "a..b", "", "si te.example"] {
            assert!(!is_domain(wrong), "{wrong}");
        }
    }
}
