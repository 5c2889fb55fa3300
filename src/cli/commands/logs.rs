//! `logs`

use std::process::ExitCode;

use crate::deploy::{Session, logs};
use crate::error::{Error, Result};
use crate::logs::{Level, Pick};
use crate::report::{Event, Reporter};
use crate::server::{LogsAsked, Record};

use super::super::args::LogsArgs;
use super::super::context::Context;

pub(in crate::cli) async fn run(context: &Context, args: LogsArgs) -> Result<ExitCode> {
    let project = context.project_to_look()?;
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
