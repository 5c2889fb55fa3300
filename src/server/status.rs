//! What runs on a server, for `status`.

use serde::Serialize;

use super::Facts;

/// The JSON status of docs/reference.md, one object a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The host.
    pub host: String,
    /// The release that serves.
    pub release: Option<String>,
    /// The one before it.
    pub previous: Option<String>,
    /// The slot that serves.
    pub slot: Option<String>,
    /// The image of the release.
    pub image: Option<String>,
    /// The commit it was made from.
    pub commit: Option<String>,
    /// Since when it serves, UTC.
    pub since: Option<String>,
    /// Who deployed it.
    pub by: Option<String>,
    /// The run in progress, or waiting for recovery.
    pub running: Option<String>,
    /// The newest backup of the database.
    pub backup: Option<String>,
    /// Why the last backup, by the service or by hand, is none: its time, its step and the reason; `None` where it is
    /// whole.
    pub backup_failed: Option<String>,
    /// How the last drill of the backup service ended, and when.
    pub drill: Option<String>,
    /// What is not as it should be.
    pub drift: Vec<String>,
}

impl Status {
    /// Reads it from the facts.
    pub fn of(host: &str, facts: &Facts) -> Self {
        let text = |value: Option<&str>| value.map(str::to_owned);
        Self {
            host: host.to_owned(),
            release: text(facts.current()),
            previous: text(facts.previous()),
            slot: text(facts.slot()),
            image: text(facts.get("current_image")),
            commit: facts.current_setting("COMMIT").filter(|commit| !commit.is_empty()),
            since: text(facts.get("current_since")),
            by: text(facts.get("current_by")),
            running: running(facts),
            backup: text(facts.get("backup")),
            backup_failed: last(facts, "last_backup").filter(|(fine, _)| !fine).map(|(_, text)| text),
            drill: last(facts, "last_drill").map(|(_, text)| text),
            drift: drift(facts),
        }
    }
}

/// The last entry of the history of a kind: did it end well, and in words.
fn last(facts: &Facts, key: &str) -> Option<(bool, String)> {
    let entry: serde_json::Value = serde_json::from_str(facts.get(key)?).ok()?;
    let get = |key: &str| entry[key].as_str().unwrap_or_default();
    let fine = entry["exit"] == 0;
    Some((
        fine,
        if fine {
            format!("passed {}", get("finished"))
        } else {
            format!("failed {} at {}: {}", get("finished"), get("failed_step"), get("reason"))
        },
    ))
}

fn running(facts: &Facts) -> Option<String> {
    match (facts.lock(), facts.open_runs.first()) {
        (Some(holder), _) if facts.get("holder_stopped").is_some() => {
            Some(format!("{holder} (its process is stopped by a signal, and still holds the lock)"))
        }
        (Some(holder), _) => Some(holder.to_owned()),
        (None, Some(run)) => Some(format!("{run} was interrupted; the next deploy ends it first")),
        (None, None) => None,
    }
}

/// Held against the release that serves, not against the project as it stands here.
fn drift(facts: &Facts) -> Vec<String> {
    let mut drift = Vec::new();
    let (Some(current), Some(slot)) = (facts.current(), facts.slot()) else { return drift };
    // While a deploy runs, both releases do.
    if facts.lock().is_some() {
        return drift;
    }
    let apps = facts.current_words("APPS");
    let in_slot = [apps.clone(), facts.current_words("WORKERS")].concat();
    let in_stack = ["STACK_SERVICES", "STACK_AFTER_JOBS", "STACK_AFTER_APPS"].map(|key| facts.current_words(key)).concat();
    let in_stack = [apps.clone(), in_stack].concat();
    for service in in_slot.iter().map(|name| format!("{name}-{slot}")).chain(in_stack) {
        match facts.containers.iter().find(|container| container.service == service) {
            None => drift.push(format!("there is no container of {service}")),
            Some(container) if container.state != "running" => {
                drift.push(format!("the container of {service} is {}", container.state))
            }
            Some(container) if !container.release.is_empty() && container.release != current => {
                drift.push(format!("the container of {service} runs {}, not {current}", container.release));
            }
            Some(container) if container.health == Some("unhealthy") => {
                drift.push(format!("the container of {service} is unhealthy"))
            }
            Some(_) => {}
        }
    }
    for (service, image) in &facts.images {
        if !facts.own_images.values().any(|own| own == image) && Some(image.as_str()) != facts.get("current_image") {
            drift.push(format!("the container of {service} runs another image: {image}"));
        }
    }
    for service in &facts.environments_moved {
        drift.push(format!("the container of {service} has another environment than the release was committed with"));
    }
    if let Some(unfinished) = facts.get("unfinished") {
        drift.push(format!("the last deploy was not finished: {unfinished}"));
    }
    for file in &facts.edited {
        drift.push(match file.split_once(':') {
            Some(("stack", file)) => format!("the stack's file {file} was edited, or is missing"),
            Some(("edge", app)) => format!("the configuration of the edge of {app} was edited, or is missing"),
            _ => format!("the release's file {file} was edited, or is missing"),
        });
    }
    for app in &apps {
        match facts.edges.get(app) {
            Some(served) if served == slot => {}
            Some(served) => drift.push(format!("the edge of {app} serves {served}, not {slot}")),
            None => drift.push(format!("the edge of {app} does not say what it serves")),
        }
        let edge = facts.containers.iter().find(|container| container.service == *app);
        if edge.is_some_and(|edge| !edge.is_edge) {
            drift.push(format!("the edge of {app} was replaced by a container of the app itself; `estiba recover` puts it back"));
        }
    }
    if let Some(moved) = facts.get("edge_moved") {
        drift.push(format!(
            "the edge has another address than the proxies in front looked up: {moved}; `estiba recover` has them look again"
        ));
    }
    if facts.get("tag_current") != facts.get("current_image") {
        drift.push(String::from("the image tag `current` names another image"));
    }
    drift
}
