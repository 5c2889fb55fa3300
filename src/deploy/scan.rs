//! A scanner of the team's choice looks at the new image. Nothing has been sent by then.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::Value;
use tokio::time::timeout;

use crate::config::{Accepted, Scan};
use crate::error::{Error, Result};
use crate::process::{self, Said};
use crate::report::{Event, Found, Reporter};
use crate::text::command_words;

use super::connect::Session;

/// The file of a release that keeps what a scan found of its images, a line each.
pub(super) const FINDINGS: &str = "findings";

/// What a scanner reports of an image, in SARIF.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    id: String,
    is_error: bool,
    text: String,
}

/// What the scan of the release that serves found; `None` where none was made of it.
pub(super) async fn findings_of(session: &Session<'_>) -> Result<Option<String>> {
    let Some(current) = session.facts.current() else { return Ok(None) };
    let read = session.server().read(&format!("releases/{current}"), &[FINDINGS]).await?;
    Ok(read.get(FINDINGS).map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
}

/// Has the image looked at. What is found and not accepted is an error that lists it. Returns all that was found, a line each: what is
/// not among `known`, which the release that serves has, is told as new.
pub(super) async fn scan(scan: &Scan, image: &str, known: Option<&str>, now: Timestamp, reporter: &Reporter) -> Result<String> {
    let words: Vec<String> =
        command_words(&scan.command).unwrap_or_default().iter().map(|word| word.replace("{image}", image)).collect();
    let Some((program, arguments)) = words.split_first() else { return Ok(String::new()) };
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut printed = String::new();
    let see = |said: Said| match said {
        Said::Out(line) => {
            printed.push_str(&line);
            printed.push('\n');
        }
        Said::Err(line) => reporter.tell(Event::Output { step: "scan".into(), line }),
    };
    let running = process::stream_in(None, program, &arguments, &[], see);
    let (success, status) = match timeout(Duration::from_secs(scan.timeout.value.0), running).await {
        Ok(ended) => {
            ended.map_err(|error| error.or_hint(format!("[scan] command runs {program} on the machine that deploys")))?
        }
        Err(_) => return Err(failed(format!("the scan did not end within {} and was stopped", scan.timeout.value))),
    };
    let Some(findings) = findings(&printed) else {
        printed.lines().for_each(|line| reporter.tell(Event::Output { step: "scan".into(), line: line.to_owned() }));
        return if success { Ok(String::new()) } else { Err(failed(format!("the scan of the image ended with {status}"))) };
    };
    let open = open(&findings, &scan.accept, now, reporter);
    for finding in &open {
        reporter.tell(Event::Output { step: "scan".into(), line: format!("{}: {}", finding.id, finding.text) });
    }
    tell(&findings, &open, known, reporter);
    let all: String = findings.iter().map(|finding| format!("{}\n", finding.id)).collect();
    let count = |findings: &[&Finding]| match findings {
        [one] => format!("1 finding that is not accepted: {}", one.id),
        several => {
            let ids: Vec<&str> = several.iter().map(|finding| finding.id.as_str()).take(10).collect();
            let more = if several.len() > ids.len() { " and others" } else { "" };
            format!("{} findings that are not accepted: {}{more}", several.len(), ids.join(", "))
        }
    };
    let errors: Vec<&Finding> = open.iter().copied().filter(|finding| finding.is_error).collect();
    match (success, open.as_slice(), errors.as_slice()) {
        (true, _, []) => Ok(all),
        (true, _, errors) => Err(failed(format!("the scan of the image has {}", count(errors)))),
        // It says no because of findings that are all accepted.
        (false, [], _) if !findings.is_empty() => Ok(all),
        (false, [], _) => Err(failed(format!("the scan of the image ended with {status} and reports no finding"))),
        (false, open, _) => Err(failed(format!("the scan of the image has {}", count(open)))),
    }
}

/// Tells what was found, what of it is not accepted, and what the release that serves does not have.
fn tell(findings: &[Finding], open: &[&Finding], known: Option<&str>, reporter: &Reporter) {
    let is_new = |finding: &Finding| known.is_some_and(|known| !known.lines().any(|line| line == finding.id));
    let new = findings.iter().filter(|finding| is_new(finding)).count();
    let against = match known {
        Some(_) => format!("{new} that the release that serves does not have"),
        None => "what the release that serves has is not known".to_owned(),
    };
    let count = findings.len();
    let summary = format!("{count} finding{}, {} not accepted, {against}", if count == 1 { "" } else { "s" }, open.len());
    let detail = |finding: &Finding| {
        let accepted = !open.iter().any(|one| one.id == finding.id);
        let marks = [(is_new(finding), "new"), (finding.is_error, "error"), (accepted, "accepted")];
        let marks: Vec<&str> = marks.into_iter().filter(|(holds, _)| *holds).map(|(_, mark)| mark).collect();
        let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
        (finding.id.clone(), format!("{}{marks}", finding.text))
    };
    // The new ones first: they are what somebody has to look at.
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| !is_new(finding));
    let details = sorted.into_iter().take(100).map(detail).collect();
    reporter.tell(Event::Found(Found { step: "scan".into(), summary, details }));
}

fn failed(message: String) -> Error {
    Error::failed(format!("{message}; nothing was sent, and nothing on the server changed"))
        .hint("build on a base image without it, or accept it for a while: [scan] accept = [{ id = \"…\", reason = \"…\", until = \"2026-12-31\" }]")
}

/// Those that nobody accepts today.
fn open<'a>(findings: &'a [Finding], accepted: &[Accepted], now: Timestamp, reporter: &Reporter) -> Vec<&'a Finding> {
    let today = Offset::UTC.to_datetime(now).date();
    let is_open = |finding: &&Finding| match accepted.iter().find(|one| one.id == finding.id) {
        None => true,
        Some(one) if one.until < today => {
            reporter.note(format!("{} was accepted until {} ({}), which is over", one.id, one.until, one.reason));
            true
        }
        Some(one) => {
            reporter.note(format!("{} is accepted until {}: {}", one.id, one.until, one.reason));
            false
        }
    };
    findings.iter().filter(is_open).collect()
}

/// The findings of a SARIF document, each once; `None` for anything else.
fn findings(text: &str) -> Option<Vec<Finding>> {
    let document: Value = serde_json::from_str(text).ok()?;
    let mut findings: Vec<Finding> = Vec::new();
    for run in document["runs"].as_array()? {
        let rules = run["tool"]["driver"]["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
        for result in run["results"].as_array().into_iter().flatten() {
            if result["suppressions"].as_array().is_some_and(|suppressions| !suppressions.is_empty()) {
                continue;
            }
            let id = result["ruleId"].as_str().or_else(|| result["rule"]["id"].as_str()).unwrap_or("a finding without an id");
            let rule = rules.iter().find(|rule| rule["id"] == id);
            // What a result does not say is its rule's, and what neither says is a warning: SARIF 2.1.0, 3.27.10.
            let level = result["level"]
                .as_str()
                .or_else(|| rule.and_then(|rule| rule["defaultConfiguration"]["level"].as_str()))
                .unwrap_or("warning");
            let message = result["message"]["text"].as_str().unwrap_or_default().lines().next().unwrap_or_default();
            let finding = Finding { id: id.to_owned(), is_error: level == "error", text: message.chars().take(200).collect() };
            match findings.iter_mut().find(|known| known.id == finding.id) {
                Some(known) => known.is_error |= finding.is_error,
                None => findings.push(finding),
            }
        }
    }
    Some(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_read_from_sarif_and_from_nothing_else() {
        let text = r#"{"version": "2.1.0", "runs": [{"tool": {"driver": {"rules": [{"id": "A", "defaultConfiguration": {"level": "error"}}]}},
            "results": [{"ruleId": "A", "message": {"text": "one\ntwo"}}, {"ruleId": "B", "message": {"text": "b"}},
            {"ruleId": "A", "level": "note"}, {"ruleId": "C", "suppressions": [{"kind": "external"}]}]}]}"#;
        let found = findings(text).unwrap();
        let told: Vec<(&str, bool, &str)> =
            found.iter().map(|finding| (finding.id.as_str(), finding.is_error, finding.text.as_str())).collect();
        assert_eq!(told, [("A", true, "one"), ("B", false, "b")]);
        assert_eq!(findings("Total: 0 (CRITICAL: 0)"), None);
        assert_eq!(findings(r#"{"runs": []}"#), Some(Vec::new()));
    }
}
