//! What runs on a server, for `status`.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Durations, Fact, Facts};

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
    /// That run's id.
    pub run: Option<String>,
    /// The newest backup of the database.
    pub backup: Option<String>,
    /// Why the last backup, by the service or by hand, is none: its time, its step and the reason; `None` where it is
    /// whole.
    pub backup_failed: Option<String>,
    /// How the last drill of the backup service ended, and when.
    pub drill: Option<String>,
    /// Since when the site is in maintenance, UTC.
    pub maintenance: Option<String>,
    /// The release that was kept warm, until when.
    pub warm: Option<String>,
    /// The last alert that reached nobody.
    pub alerts_lost: Option<String>,
    /// What the server, which looks at the site by itself, has told is wrong: nothing, or words; `None` where it does not look.
    pub watch: Option<String>,
    /// What is not as it should be.
    pub drift: Vec<String>,
    /// Whether deploys take longer than they did, and where.
    pub slower: Option<String>,
    /// The certificate of the target's url: how long it is good for, and who signed it; `None` where the url is not https, or nobody
    /// answers there.
    pub certificate: Option<String>,
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
            image: text(facts.get(Fact::CurrentImage)),
            commit: facts.current_setting("COMMIT").filter(|commit| !commit.is_empty()),
            since: text(facts.get(Fact::CurrentSince)),
            by: text(facts.get(Fact::CurrentBy)),
            running: running(facts),
            run: facts.open_runs.first().cloned(),
            backup: text(facts.get(Fact::Backup)),
            backup_failed: last(facts, Fact::LastBackup).filter(|(fine, _)| !fine).map(|(_, text)| text),
            drill: last(facts, Fact::LastDrill).map(|(_, text)| text),
            maintenance: text(facts.get(Fact::Maintenance)),
            warm: facts.get(Fact::Warm).map(|warm| warm.replacen(' ', " until ", 1)),
            alerts_lost: text(facts.get(Fact::AlertsLost)),
            watch: facts.get(Fact::Watch).map(|state| match (state, facts.get(Fact::WatchWrong)) {
                ("gone", _) => "the server does not look at the site, although [watch] says so: `estiba deploy --force` or a restart of the machine begins it again".to_owned(),
                (_, Some(wrong)) => wrong.to_owned(),
                (_, None) => "nothing is wrong".to_owned(),
            }),
            drift: drift(facts),
            certificate: None,
            slower: slower(&facts.durations),
        }
    }
}

/// So many deploys are held against those before.
const LATEST: usize = 3;
/// A deploy is slower than it was when it takes half as long again, and this much longer, in milliseconds.
const NOTICEABLE: u64 = 5000;

/// In words: the last deploys take longer than those before, and the step that it is most of.
fn slower(durations: &[Durations]) -> Option<String> {
    let (before, latest) = durations.split_at_checked(durations.len().checked_sub(LATEST)?)?;
    if before.len() < LATEST {
        return None;
    }
    let all = |deploys: &[Durations]| median(deploys.iter().map(|one| one.all));
    let (was, is) = (all(before), all(latest));
    if is < was + NOTICEABLE || is < was + was / 2 {
        return None;
    }
    let of = |deploys: &[Durations], name: &String| median(deploys.iter().map(|one| one.steps.get(name).copied().unwrap_or(0)));
    let names: BTreeSet<&String> = latest.iter().flat_map(|one| one.steps.keys()).collect();
    let most = names.into_iter().max_by_key(|name| of(latest, name).saturating_sub(of(before, name)))?;
    Some(format!(
        "deploys have become slower: the last {LATEST} took {} s, those before {} s (medians); most of that is the step {most}, with {} s instead of {} s",
        is / 1000,
        was / 1000,
        of(latest, most) / 1000,
        of(before, most) / 1000
    ))
}

fn median(values: impl Iterator<Item = u64>) -> u64 {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

/// The last entry of the history of a kind: did it end well, and in words.
fn last(facts: &Facts, fact: Fact) -> Option<(bool, String)> {
    let entry: serde_json::Value = serde_json::from_str(facts.get(fact)?).ok()?;
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
        (Some(holder), _) if facts.get(Fact::HolderStopped).is_some() => {
            Some(format!("{holder} (its process is stopped by a signal, and still holds the lock)"))
        }
        (Some(holder), _) => Some(holder.to_owned()),
        (None, Some(run)) => Some(format!("{run} was interrupted; the next deploy ends it first")),
        (None, None) => None,
    }
}

/// Containers that are missing, do not run, are unhealthy or belong to another release.
fn containers_that_differ(facts: &Facts, current: &str, slot: &str, apps: &[String]) -> Vec<String> {
    let mut drift = Vec::new();
    let in_slot = [apps.to_vec(), facts.current_words("WORKERS")].concat();
    let in_stack = ["STACK_SERVICES", "STACK_AFTER_JOBS", "STACK_AFTER_APPS"].map(|key| facts.current_words(key)).concat();
    let in_stack = [apps.to_vec(), in_stack].concat();
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
    drift
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
    drift.extend(containers_that_differ(facts, current, slot, &apps));
    for (service, image) in &facts.images {
        if !facts.own_images.values().any(|own| own == image) && Some(image.as_str()) != facts.get(Fact::CurrentImage) {
            drift.push(format!("the container of {service} runs another image: {image}"));
        }
    }
    for service in &facts.environments_moved {
        drift.push(format!("the container of {service} has a different environment from its release's"));
    }
    if let Some(unfinished) = facts.get(Fact::Unfinished) {
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
    if let Some(moved) = facts.get(Fact::EdgeMoved) {
        drift.push(format!("an edge has a new address that the proxies do not know: {moved}; `estiba recover` updates them"));
    }
    if facts.get(Fact::TagCurrent) != facts.get(Fact::CurrentImage) {
        drift.push(String::from("the image tag `current` names another image"));
    }
    drift
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The drift of a server that serves r1 in the slot blue, with these lines in place of those that begin like them.
    fn drift_with(others: &[&str]) -> Vec<String> {
        let mut lines = vec![
            "current=r1",
            "slot_blue=r1",
            "current_APPS=web",
            "current_WORKERS=worker",
            "current_STACK_SERVICES=db",
            "container=web running 1 edge  ",
            "container=web-blue running 2 - r1 healthy",
            "container=worker-blue running 3 - r1 ",
            "container=db running 4 -  ",
            "edge=web blue",
            "current_image=sha256:a",
            "tag_current=sha256:a",
        ];
        for other in others {
            let key: String =
                other.split_inclusive([' ', '=']).take(if other.starts_with("container") { 2 } else { 1 }).collect();
            lines.retain(|line| !line.starts_with(&key));
            lines.push(other);
        }
        let facts = Facts::parse(&format!("estiba:facts\n{}\nestiba:end\n", lines.join("\n"))).unwrap();
        Status::of("me@host", &facts).drift
    }

    #[test]
    fn deploys_that_take_longer_than_they_did_are_told_with_the_step() {
        let told = |durations: &[(u64, u64)]| {
            let lines: Vec<String> =
                durations.iter().map(|(all, migrate)| format!("deployed={all} migrate:{migrate},check:5")).collect();
            let facts = Facts::parse(&format!("estiba:facts\n{}\nestiba:end\n", lines.join("\n"))).unwrap();
            Status::of("me@host", &facts).slower
        };
        assert_eq!(told(&[(9000, 10), (9000, 10), (40_000, 30_000), (40_000, 30_000), (40_000, 30_000)]), None, "too few before");
        assert_eq!(told(&[(9000, 10), (9000, 10), (9000, 10), (9000, 10), (40_000, 30_000), (9000, 10)]), None, "one alone");
        let slower =
            told(&[(9000, 10), (9000, 10), (60_000, 10), (9000, 10), (40_000, 30_000), (39_000, 30_000), (41_000, 30_000)]);
        let words = "deploys have become slower: the last 3 took 40 s, those before 9 s (medians); most of that is the step migrate, with \
                     30 s instead of 0 s";
        assert_eq!(slower.as_deref(), Some(words));
        assert_eq!(
            told(&[(1000, 10), (1000, 10), (1000, 10), (3000, 10), (3000, 10), (3000, 10)]),
            None,
            "two seconds are nothing"
        );
    }

    #[test]
    fn what_is_not_as_the_release_says_is_drift() {
        assert_eq!(drift_with(&[]), [""; 0]);
        for (other, says) in [
            ("container=web-blue running 2 - r0 healthy", "the container of web-blue runs r0, not r1"),
            ("container=web-blue running 2 - r1 unhealthy", "the container of web-blue is unhealthy"),
            ("container=worker-blue exited 3 - r1 ", "the container of worker-blue is exited"),
            ("container=db ", "there is no container of db"),
            (
                "container=web running 1 - r1 ",
                "the edge of web was replaced by a container of the app itself; `estiba recover` puts it back",
            ),
            ("edge=web green", "the edge of web serves green, not blue"),
            ("tag_current=sha256:b", "the image tag `current` names another image"),
            ("edited=stack:nginx.conf", "the stack's file nginx.conf was edited, or is missing"),
            ("environment_moved=db", "the container of db has a different environment from its release's"),
            ("unfinished=drain: it hangs", "the last deploy was not finished: drain: it hangs"),
        ] {
            assert_eq!(drift_with(&[other]), [says], "{other}");
        }
        // While a deploy runs, both releases do.
        assert_eq!(drift_with(&["lock=ana", "edge=web green"]), [""; 0]);
    }
}
