//! `logs`

use std::io::Write as _;
use std::process::ExitCode;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::config::Project;
use crate::deploy::{Session, examine, logs};
use crate::error::{Error, Result};
use crate::logs::{Level, Pick};
use crate::private;
use crate::report::{Event, Reporter};
use crate::server::{LogsAsked, Record, Status};

use super::super::args::LogsArgs;
use super::super::context::Context;

pub(in crate::cli) async fn run(context: &Context, args: LogsArgs) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let is_target = |name: &str| project.loaded.config.target.contains_key(name);
    match (args.target.as_deref(), args.of.as_deref()) {
        (Some("export"), of) if of.is_some() || !is_target("export") => return export(context, &project, of, &args).await,
        (_, Some(more)) => return Err(Error::input(format!("`{more}` is one word too many")).hint("estiba logs export TARGET")),
        _ => {}
    }
    let resolved = context.resolve(&project, args.target.as_deref())?;
    let asked = asked(&args)?;
    pick(&args)?;
    let sessions = Session::open_all(&project, &resolved).await?;
    if let Some(run) = &args.run {
        for session in &sessions {
            past_run(session, run, &context.reporter).await?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    for session in &sessions {
        session.facts.check()?;
    }
    let followed = sessions.into_iter().map(async |mut session| {
        let reporter = session.reporter(&context.reporter);
        let mut pick = pick(&args)?;
        logs(&mut session, &asked, args.follow, |line| {
            if pick.wants(&line) {
                reporter.tell(Event::Log { container: line.container, time: line.time, line: line.text });
            }
        })
        .await
    });
    for ended in futures_util::future::join_all(followed).await {
        ended?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a bundle of what every host of the target tells, a folder each.
async fn export(context: &Context, project: &Project, target: Option<&str>, args: &LogsArgs) -> Result<ExitCode> {
    let resolved = context.resolve(project, target)?;
    let lines = match args.tail.as_deref() {
        None => 2000,
        Some(count) => count
            .parse()
            .map_err(|_| Error::input(format!("--tail {count} is no number, and a bundle has a bound")).hint("--tail 5000"))?,
    };
    let path = args.out.clone().unwrap_or_else(|| format!("estiba-{}.tar.gz", resolved.target.name).into());
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let cannot = |error: std::io::Error| Error::failed(format!("the bundle {path} cannot be written: {error}"));
    let mut sessions = Session::open_all(project, &resolved).await?;
    for session in &mut sessions {
        let host = session.host();
        let fewer = "with --tail 200 there are fewer lines of each container in it";
        let mut parts = session.server().bundle(lines).await.map_err(|error| error.hint(fewer))?;
        let status = serde_json::to_value(Status::of(&host, &session.facts)).unwrap_or_default();
        // What cannot be examined is a finding itself.
        let findings = match examine(session, Context::now()).await {
            Ok(findings) => serde_json::to_value(findings).unwrap_or_default(),
            Err(error) => error.text().into(),
        };
        parts.insert("status.json".into(), format!("{status:#}\n"));
        parts.insert("doctor.json".into(), format!("{findings:#}\n"));
        parts.insert("version.txt".into(), format!("estiba {}\n", env!("CARGO_PKG_VERSION")));
        for (name, text) in parts {
            let text = context.reporter.shown(&text);
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o600);
            archive
                .append_data(&mut header, format!("{}/{name}", host.replace(['/', ':'], "-")), text.as_bytes())
                .map_err(cannot)?;
        }
    }
    let bytes = archive.into_inner().and_then(GzEncoder::finish).map_err(cannot)?;
    // It tells much of a server: nobody else on this machine reads it.
    private::create(&path).and_then(|mut file| file.write_all(&bytes)).map_err(cannot)?;
    context.reporter.tell(Event::Text(format!("{path} holds logs, journals, history and the state of {}", resolved.target.name)));
    context.reporter.note("values of the env file that are secrets are taken out; read it before you hand it on");
    Ok(ExitCode::SUCCESS)
}

/// The bounds, checked: they become part of a command.
fn asked(args: &LogsArgs) -> Result<LogsAsked> {
    let time = |name: &str, value: &Option<String>| {
        let value = value.clone().unwrap_or_default();
        let plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":.+-".contains(&byte)) && !value.starts_with('-');
        if plain {
            Ok(value)
        } else {
            Err(Error::input(format!("--{name} {value} is no time")).hint("10m, 2h, 2026-11-27 or 2026-11-27T07:57:08Z"))
        }
    };
    let bounded = args.since.is_some() || args.until.is_some();
    let tail = match args.tail.as_deref() {
        None if bounded => String::new(),
        None => "100".into(),
        Some("all") => String::new(),
        Some(count) if count.parse::<u32>().is_ok() => count.to_owned(),
        Some(other) => return Err(Error::input(format!("--tail {other} is neither a number nor `all`"))),
    };
    Ok(LogsAsked { tail, since: time("since", &args.since)?, until: time("until", &args.until)? })
}

fn pick(args: &LogsArgs) -> Result<Pick> {
    let pattern = args.grep.as_ref().map(|pattern| {
        regex::Regex::new(pattern).map_err(|error| Error::input(format!("--grep {pattern} is no regular expression: {error}")))
    });
    let level = args.level.as_ref().map(|word| {
        Level::named(word)
            .ok_or_else(|| Error::input(format!("--level {word} is no level")).hint("debug, info, warning or error"))
    });
    Ok(Pick::new(args.service.clone(), pattern.transpose()?, level.transpose()?))
}

/// The journal of a run of that id, or the newest that was about that release.
async fn past_run(session: &Session<'_>, wanted: &str, reporter: &Reporter) -> Result<()> {
    let server = session.server();
    let runs = server.history().await?;
    let runs = runs.iter().rev().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut named = runs.filter(|run| {
        wanted.len() >= 4 && ["run", "release"].iter().any(|key| run[*key].as_str().is_some_and(|id| id.contains(wanted)))
    });
    // One that goes on is in no history yet.
    let open = session.facts.open_runs.iter().find(|run| *run == wanted).cloned();
    let Some(run) = open.or_else(|| named.next().and_then(|run| run["run"].as_str().map(str::to_owned))) else {
        return Err(Error::failed(format!("the history of {} has no run of {wanted}", session.host()))
            .hint("`estiba history` lists them"));
    };
    let files = server.read(&format!("runs/{run}"), &["journal"]).await?;
    let Some(journal) = files.get("journal") else {
        return Err(Error::failed(format!("the journal of the run {run} is gone: the thirty newest are kept")));
    };
    for record in String::from_utf8_lossy(journal).lines().filter_map(Record::parse) {
        let time = format!("{:>8}.{:02}", record.at_cs / 100, record.at_cs % 100);
        reporter.tell(Event::Log { container: record.step, time, line: record.text });
    }
    Ok(())
}
