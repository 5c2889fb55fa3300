//! `doctor`

use std::process::ExitCode;

use crate::deploy::{Finding, Session, all, each, examine};
use crate::error::{Kind, Result};
use crate::report::Event;

use super::super::args::DoctorArgs;
use super::super::context::Context;

pub(in crate::cli) async fn run(context: &Context, args: DoctorArgs) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let resolved = context.resolve(&project, args.target.as_deref())?;
    let looked = each(Session::open_each(&project, &resolved).await, async |session| {
        let mut session = session?;
        let mut findings = examine(&session, Context::now()).await?;
        if args.fix {
            for finding in findings.iter().filter(|finding| finding.safe) {
                session.server().mend_finding(&finding.kind).await?;
                context.reporter.tell(Event::Text(format!("{}: mended: {}", session.host(), finding.what)));
            }
            session.refresh().await?;
            findings = examine(&session, Context::now()).await?;
        }
        Ok((session.host(), findings))
    })
    .await;
    let mut is_well = true;
    let told = looked.into_iter().map(|looked| {
        looked.map(|(host, findings)| {
            is_well &= findings.is_empty();
            context.reporter.tell(Event::Document(serde_json::json!({ "host": host, "findings": findings })));
            if !context.global.json {
                context.reporter.tell(Event::Text(text(&host, &findings)));
            }
        })
    });
    let told: Vec<Result<()>> = told.collect();
    all(&resolved.target.hosts, "could not be examined", told)?;
    Ok(if is_well { ExitCode::SUCCESS } else { Kind::Failed.into() })
}

fn text(host: &str, findings: &[Finding]) -> String {
    if findings.is_empty() {
        return format!("{host}: nothing is wrong");
    }
    let mut lines = vec![format!("{host}: {} to look at", findings.len())];
    for Finding { kind, what, why, fix, .. } in findings {
        lines.extend([format!("  {kind}: {what}"), format!("    {why}"), format!("    fix: {fix}")]);
    }
    lines.join("\n")
}
