//! `status`

use std::process::ExitCode;

use crate::deploy::{Certificate, Session, all, each};
use crate::error::Result;
use crate::report::Event;
use crate::server::Status;

use super::super::args::TargetArgs;
use super::super::context::Context;

pub(in crate::cli) async fn run(context: &Context, args: TargetArgs) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let resolved = context.resolve(&project, args.target.as_deref())?;
    let certificate = Certificate::look(&resolved.target, Context::now());
    // A host that cannot be reached hides none of the others.
    let looked = each(Session::open_each(&project, &resolved).await, async |session| {
        let session = session?;
        session.facts.check()?;
        let mut status = Status::of(&session.host(), &session.facts);
        if status.release.is_some() && status.running.is_none() && status.drift.is_empty() {
            status.drift = session.server().compare().await?;
        }
        Ok((session, status))
    });
    let (looked, certificate) = tokio::join!(looked, certificate);
    let told = looked.into_iter().map(|looked| {
        looked.map(|(session, mut status)| {
            status.certificate = certificate.as_ref().map(Certificate::in_words);
            context.reporter.tell(Event::Document(serde_json::to_value(&status).unwrap_or_default()));
            if !context.global.json {
                context.reporter.tell(Event::Text(text(&resolved.target.name, &status, &session)));
            }
        })
    });
    all(&resolved.target.hosts, "could not be looked at", told.collect()).map(|_| ExitCode::SUCCESS)
}

fn text(target: &str, status: &Status, session: &Session<'_>) -> String {
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
    let mut lines = vec![
        format!("{target} on {}", status.host),
        format!("  release   {}", or_none(&status.release)),
        format!("  slot      {}", or_none(&status.slot)),
        format!("  image     {}", or_none(&status.image)),
        format!("  commit    {}", or_none(&status.commit)),
        format!("  since     {}", or_none(&status.since)),
        format!("  by        {}", or_none(&status.by)),
        format!("  previous  {}", or_none(&status.previous)),
        format!("  running   {}", status.running.clone().unwrap_or_else(|| "no deploy".into())),
    ];
    lines.push(format!("  backup    {}", or_none(&status.backup)));
    if let Some(why) = &status.backup_failed {
        lines.push(format!("            the last one {why}"));
    }
    if let Some(drill) = &status.drill {
        lines.push(format!("  drill     {drill}"));
    }
    if let Some(certificate) = &status.certificate {
        lines.push(format!("  https     {certificate}"));
    }
    if let Some(since) = &status.maintenance {
        lines.push(format!("  closed    for maintenance since {since}; `estiba maintenance off` opens the site"));
    }
    if let Some(warm) = &status.warm {
        lines.push(format!("  warm      {warm}"));
    }
    if let Some(watch) = &status.watch {
        lines.push(format!("  watch     {watch}"));
    }
    if let Some(lost) = &status.alerts_lost {
        lines.push(format!("  alerts    one reached nobody: {lost}"));
    }
    for drift in &status.drift {
        lines.push(format!("  drift     {drift}"));
    }
    if let Some(slower) = &status.slower {
        lines.push(format!("  slower    {slower}"));
    }
    for container in &session.facts.containers {
        lines.push(format!(
            "  container {} {} {}{}",
            container.id,
            container.service,
            container.state,
            container.health.map(|health| format!(" ({health})")).unwrap_or_default()
        ));
    }
    lines.join("\n")
}
