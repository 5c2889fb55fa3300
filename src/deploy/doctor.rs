//! What is wrong with a server, why that matters, and what mends it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;

use crate::config::Resolved;
use crate::error::Result;
use crate::server::{Fact, Facts, Found, Server};
use crate::text::printable;

use super::connect::Session;
use super::look::Certificate;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing; stable, for programs.
    pub kind: String,
    /// What was seen.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// The command that mends it, on the server unless it begins with `estiba`.
    pub fix: String,
    /// Does `doctor --fix` mend it?
    pub safe: bool,
}

/// What `setup/mend.sh` mends: it can harm nothing.
const SAFE: [&str; 4] = ["images-dangling", "cache-large", "uploads-left", "run-stale"];

/// The clocks of both machines may be this many seconds apart.
const APART: i64 = 10;

/// Examines a host. `now` is this machine's time.
pub async fn examine(session: &Session<'_>, now: jiff::Timestamp) -> Result<Vec<Finding>> {
    let project = &session.resolved.compose_project.value;
    let (found, clock) = session.server().examine(project, &published(session.resolved)).await?;
    let found = of_facts(&session.facts).into_iter().chain(found);
    let mut findings: Vec<Finding> = found.map(|found| finding(session, &found)).collect();
    let apart = clock.map_or(0, |clock| clock - now.as_second());
    if apart.abs() > APART {
        let detail = format!("its clock is {} s {}", apart.abs(), if apart > 0 { "ahead" } else { "behind" });
        findings.push(finding(session, &Found { kind: "clock-wrong".into(), detail }));
    }
    if let Some(certificate) = Certificate::look(&session.resolved.target, now).await.filter(Certificate::is_worth_a_warning) {
        findings.push(finding(session, &Found { kind: "certificate".into(), detail: certificate.in_words() }));
    }
    Ok(findings)
}

/// What may be the reason why a step fails.
const CAUSES: [&str; 6] = ["disk-full", "inodes-full", "memory-low", "memory-limit", "port-taken", "descriptors-few"];

/// The longest that is waited for them: whoever deployed wants to know what came of it.
const PATIENCE: Duration = Duration::from_secs(8);

/// What is wrong with the server and may be the reason of a failure.
pub(super) async fn causes(session: &Session<'_>, server: &Server<'_>) -> Vec<Finding> {
    let ports = published(session.resolved);
    let examined = timeout(PATIENCE, server.examine(&session.resolved.compose_project.value, &ports)).await;
    let Ok(Ok((found, _))) = examined else { return Vec::new() };
    found.iter().filter(|found| CAUSES.contains(&found.kind.as_str())).map(|found| finding(session, found)).collect()
}

/// What the first look at the server has told already.
fn of_facts(facts: &Facts) -> Vec<Found> {
    let mut found = Vec::new();
    let mut add = |kind: &str, detail: &str| found.push(Found { kind: kind.into(), detail: printable(detail) });
    let told = |fact: Fact| facts.get(fact).filter(|value| !value.is_empty());
    match (told(Fact::DockerError), told(Fact::Compose)) {
        (Some(error), _) if error.contains("permission denied") => add("docker-denied", error),
        (Some(error), _) if error.contains("not found") => add("docker-missing", error),
        (Some(error), _) => add("docker-down", error),
        (None, None) => add("compose-missing", "`docker compose version` fails"),
        (None, Some(version)) if is_old(version) => add("compose-old", version),
        (None, Some(_)) => {}
    }
    for (fact, kind) in [
        (Fact::Lacks, "tools-missing"),
        (Fact::Unwritable, "root-unwritable"),
        (Fact::ForeignOwner, "root-foreign"),
        (Fact::OpenToAll, "root-open"),
        (Fact::Unfinished, "deploy-unfinished"),
        (Fact::EdgeMoved, "edge-moved"),
    ] {
        if let Some(value) = told(fact) {
            add(kind, value);
        }
    }
    if facts.lock().is_none() {
        for run in &facts.open_runs {
            add("run-stale", run);
        }
    }
    for container in &facts.containers {
        match (container.state.as_str(), container.health) {
            ("restarting", _) => add("restarts", &container.service),
            // One that was stopped keeps what its last probe came to.
            ("running", Some("unhealthy")) => add("unhealthy", &container.service),
            _ => {}
        }
    }
    found
}

/// Is that Compose older than the 2.20 that a deploy needs?
fn is_old(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < (2, 20),
        _ => false,
    }
}

/// The ports that the stack publishes on the server.
fn published(resolved: &Resolved) -> Vec<u16> {
    let ports = resolved.compose.services().flat_map(|service| service.published()).filter(|port| port.protocol == "tcp");
    let ports: BTreeSet<u16> = ports.filter_map(|port| port.published?.parse().ok()).collect();
    ports.into_iter().collect()
}

fn finding(session: &Session<'_>, found: &Found) -> Finding {
    let place = Place {
        root: &session.resolved.target.root.value,
        target: &session.resolved.target.name,
        project: &session.resolved.compose_project.value,
        user: &session.settings.server.address.user,
    };
    let (why, fix) = meaning(&found.kind, &found.detail, &place);
    let safe = SAFE.contains(&found.kind.as_str());
    Finding { kind: found.kind.clone(), what: found.detail.clone(), why: why.to_owned(), fix, safe }
}

/// Where something was found.
struct Place<'a> {
    root: &'a str,
    target: &'a str,
    project: &'a str,
    user: &'a str,
}

/// Why a finding matters, and what mends it.
fn meaning(kind: &str, detail: &str, place: &Place<'_>) -> (&'static str, String) {
    let Place { root, target, project, user } = place;
    let first = detail.split(' ').next().unwrap_or_default();
    let setup = || format!("estiba setup {target}");
    match kind {
        "docker-missing" => ("nothing can be deployed", setup()),
        "docker-denied" => ("nothing can be deployed", format!("usermod -aG docker {user}")),
        "docker-down" => {
            ("nothing can be deployed, and the site may be down", "systemctl start docker || service docker start".into())
        }
        "engine-boot" => ("after a restart of the machine the site stays down", "systemctl enable docker".into()),
        "compose-missing" | "compose-old" => ("deploys need Docker Compose 2.20 or newer", setup()),
        "tools-missing" => ("estiba's scripts use it", format!("apt-get install -y {first}")),
        "disk-full" => {
            ("a deploy, a backup or the database itself stops where there is no room", "docker system prune -f".into())
        }
        "inodes-full" => ("no file can be made though there is room", "docker system prune -f".into()),
        "memory-low" => ("the kernel may end a container during a deploy", "docker stats --no-stream".into()),
        "memory-limit" => ("the kernel may end a container during a deploy", "docker stats --no-stream".into()),
        "swap-missing" => ("the kernel ends a container when memory is short", setup()),
        "descriptors-few" => ("a busy site runs out of connections", "ulimit -n 65536".into()),
        "backlog-short" => ("a burst of visitors is refused", "sysctl -w net.core.somaxconn=4096".into()),
        "clock-free" => ("certificates, backups and logs go by the time", "apt-get install -y systemd-timesyncd".into()),
        "clock-wrong" => ("certificates, backups and logs go by the time", "timedatectl set-ntp true".into()),
        "reboot-due" => ("an update of the kernel or a library is not in effect", "reboot".into()),
        "root-unwritable" => ("nothing can be deployed", setup()),
        // What lies deeper may belong to the users of containers.
        "root-foreign" => {
            let folders = format!("{root} {root}/bin {root}/state {root}/runs {root}/releases");
            ("its owner could put anything in a release's place", format!("chown {user}: {folders}"))
        }
        "root-open" => ("any user of the server could put something in a release's place", format!("chmod o-w {first}")),
        "run-stale" => {
            ("it holds up the next deploy, and what it began is neither done nor undone", format!("estiba recover {target}"))
        }
        "uploads-left" => ("they take room", format!("estiba doctor {target} --fix")),
        "boot-hook" => ("a deploy that a crash cuts off stays half-way until the next one", setup()),
        "backup-old" => ("what was written since cannot be brought back", format!("estiba backup create {target}")),
        "deploy-unfinished" => ("the last deploy left work undone", format!("estiba deploy {target}")),
        "restarts" | "unhealthy" => ("this part of the site is down", format!("estiba logs {target} --service {first}")),
        "logs-unbounded" => (
            "its log grows until the disk is full",
            format!("estiba setup {target}; then estiba deploy {target} --allow-replace {first}"),
        ),
        "no-restart" => {
            let label = "--filter label=com.docker.compose";
            let containers = format!("$(docker ps -q {label}.project={project} {label}.service={first})");
            let why = "after a restart of the machine it stays down; `restart: unless-stopped` in the Compose file keeps it so";
            (why, format!("docker update --restart unless-stopped {containers}"))
        }
        "images-dangling" | "cache-large" => ("they take room", format!("estiba doctor {target} --fix")),
        "edge-moved" => ("a proxy that looked the name up once sends to nobody", format!("estiba deploy {target}")),
        "port-taken" => ("the stack cannot publish it", format!("ss -ltnp 'sport = :{first}'")),
        "certificate" => ("visitors are warned away once it has ended", format!("estiba status {target}")),
        _ => ("estiba does not know this finding", format!("estiba status {target}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Scripts;

    const PLACE: Place<'_> = Place { root: "/srv/x", target: "production", project: "x", user: "deploy" };

    fn is_known(kind: &str) -> bool {
        let (why, fix) = meaning(kind, "x", &PLACE);
        !why.contains("does not know") && !fix.is_empty()
    }

    #[test]
    fn every_finding_says_why_it_matters_and_what_mends_it() {
        let text = Scripts::text("ask/doctor.sh");
        let words = text.split("found ").skip(1).filter_map(|rest| rest.split([' ', '\n']).next());
        let kinds: BTreeSet<&str> = words.filter(|word| word.contains('-')).collect();
        assert!(kinds.len() > 14, "{kinds:?}");
        for kind in kinds {
            assert!(is_known(kind), "{kind}");
        }
        let mends = Scripts::text("setup/mend.sh");
        for kind in SAFE {
            assert!(is_known(kind) && mends.contains(&format!("\n{kind}) ")), "{kind}");
        }
        assert!(!is_known("nothing"));
    }

    #[test]
    fn what_the_facts_tell_is_found() {
        let found = |facts: &str| {
            let facts = Facts::parse(&format!("estiba:facts\n{facts}estiba:end\n")).unwrap();
            of_facts(&facts).into_iter().map(|found| found.kind).collect::<Vec<_>>()
        };
        let well = "docker=26.1\ncompose=2.40.3\n";
        assert_eq!(found(well), [""; 0]);
        for (facts, kinds) in [
            ("docker_error=Got permission denied while trying\n", vec!["docker-denied"]),
            ("docker_error=sh: 1: docker: not found\n", vec!["docker-missing"]),
            ("docker_error=Cannot connect to the Docker daemon\n", vec!["docker-down"]),
            ("docker=20.10\n", vec!["compose-missing"]),
            ("docker=20.10\ncompose=2.19.1\n", vec!["compose-old"]),
            (
                "docker=26.1\ncompose=2.40.3\nunwritable=/srv\nforeign=eve\nopen_to_all=/srv/x/bin\nunfinished=drain\nopen_run=r1\n\
                 edge_moved=web 10.0.0.2\ncontainer=web running 12 - r1 unhealthy\ncontainer=db restarting 13 -  \n",
                vec![
                    "root-unwritable",
                    "root-foreign",
                    "root-open",
                    "deploy-unfinished",
                    "edge-moved",
                    "run-stale",
                    "unhealthy",
                    "restarts",
                ],
            ),
            ("docker=26.1\ncompose=2.40.3\ncontainer=web exited 12 - r1 unhealthy\n", vec![]),
            ("docker=26.1\ncompose=2.40.3\nlock=deploy by me\nopen_run=r1\n", vec![]),
        ] {
            let found = found(facts);
            assert_eq!(found, kinds, "{facts}");
            assert!(found.iter().all(|kind| is_known(kind)), "{found:?}");
        }
    }
}
