//! What is wrong with a server, why that matters, and what mends it.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::config::Resolved;
use crate::error::Result;
use crate::server::Found;

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

/// The clocks of both machines may be this many seconds apart.
const APART: i64 = 10;

/// Examines a host. `now` is this machine's time.
pub async fn examine(session: &Session<'_>, now: jiff::Timestamp) -> Result<Vec<Finding>> {
    let project = &session.resolved.compose_project.value;
    let (found, clock) = session.server().examine(project, &published(session.resolved)).await?;
    let mut findings: Vec<Finding> = found.iter().map(|found| finding(session, found)).collect();
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
    let safe = ["images-dangling", "cache-large", "uploads-left", "run-stale"].contains(&found.kind.as_str());
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
        "tools-missing" => ("estiba's scripts use it", format!("apt-get install -y {detail}")),
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
        "root-unwritable" => ("nothing can be deployed", format!("chown {user}: {root}")),
        "root-open" => ("any user of the server could put something in a release's place", format!("chmod o-w {root}")),
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

    #[test]
    fn every_finding_of_the_script_says_why_it_matters_and_what_mends_it() {
        let text = Scripts::text("ask/doctor.sh");
        let kinds: BTreeSet<&str> = text
            .split("found ")
            .skip(1)
            .filter_map(|rest| rest.split([' ', '\n']).next())
            .filter(|word| word.contains('-') || ["restarts", "unhealthy"].contains(word))
            .collect();
        assert!(kinds.len() > 25, "{kinds:?}");
        let place = Place { root: "/srv/x", target: "production", project: "x", user: "deploy" };
        for kind in kinds {
            let (why, fix) = meaning(kind, "x", &place);
            assert!(!why.contains("does not know") && !fix.is_empty(), "{kind}");
        }
    }
}
