//! `history`

use std::process::ExitCode;

use serde_json::Value;

use crate::deploy::Session;
use crate::error::Result;
use crate::report::Event;

use super::super::args::HistoryArgs;
use super::super::context::Context;

pub(in crate::cli) async fn run(context: &Context, args: HistoryArgs) -> Result<ExitCode> {
    let project = context.project_to_look()?;
    let resolved = context.resolve(&project, args.target.as_deref())?;
    let session = Session::open_only(&project, &resolved).await?;
    let lines = session.server().history().await?;
    // A line that a full disk cut short is passed over.
    let runs = lines.iter().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok()).take(args.limit);
    let mut text = Vec::new();
    for run in runs {
        text.push(line(&run));
        context.reporter.tell(Event::Document(run));
    }
    if !context.global.json {
        let nothing = || String::from("nothing was deployed yet");
        context.reporter.tell(Event::Text(if text.is_empty() { nothing() } else { text.join("\n") }));
    }
    Ok(ExitCode::SUCCESS)
}

fn line(run: &Value) -> String {
    let get = |key: &str| run[key].as_str().unwrap_or_default();
    // A run of an older version did not say how long it took.
    let took =
        run["duration_ms"].as_u64().map_or_else(String::new, |took| format!("  in {}.{} s", took / 1000, took % 1000 / 100));
    let mut line =
        format!("{}  {:<14} {}{took}  by {} from {}", get("finished"), get("outcome"), get("release"), get("by"), get("from"));
    if !get("failed_step").is_empty() {
        line += &format!("\n    {}: {}", get("failed_step"), get("reason"));
    }
    line
}
