//! How often each step of a deploy calls Docker, counted by a program of that name that stands before the real one: a call takes tens of
//! milliseconds, whatever it does.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::Site;

/// Writes down the step that calls, and what.
const SHIM: &str = r#"#!/bin/sh
read -r _ _ _ _ _ session _ </proc/$$/stat
set -f
# The session of what is no step may be that of a process out of sight.
caller=$({ tr '\0' ' ' <"/proc/$session/cmdline"; } 2>/dev/null)
case $caller in
*/run/step.sh\ *) printf '%s %s\n' "$(printf '%s' "${caller##*/run/step.sh }" | cut -d ' ' -f 3)" "$(printf '%s ' "$@" | tr '\n' ' ' | cut -b 1-3000)" >>CALLS ;;
esac
exec PROGRAM "$@"
"#;

/// A deploy of a changed template to the stack of the example, with nothing to migrate. What waits for something repeats a call, which
/// counts once, and may ask one or two things more; a step that is not named has none.
const BUDGET: [(&str, usize); 13] = [
    ("preflight", 18),
    ("image", 8),
    ("edge", 8),
    ("stack", 8),
    ("pending", 15),
    ("start", 5),
    ("check", 5),
    ("switch", 6),
    ("observe", 4),
    ("confirm", 5),
    ("commit", 8),
    ("drain", 8),
    ("revive", 14),
];

/// How many processes and threads all of that deploy has, those of the client among them: 4,400 were counted, and a slower machine waits
/// more often.
const PROCESSES: u32 = 7_000;

/// The same command where it and all that it starts are counted by the kernel: in a process namespace of its own. The count goes into
/// this file.
fn counted(command: &Command, count: &Path) -> Command {
    let then = "\"$@\"; code=$?; cat /proc/sys/kernel/ns_last_pid >\"$0\"; exit $code";
    let mut whole = Command::new("unshare");
    whole.env_clear();
    whole
        .args(["--pid", "--fork", "--mount-proc", "sh", "-c", then])
        .arg(count)
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => whole.env(name, value),
            None => whole.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        whole.current_dir(folder);
    }
    whole.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    whole
}

#[test]
fn each_step_of_a_deploy_calls_docker_no_more_often_than_its_budget() {
    let site = Site::new("calls", "");
    let (folder, calls) = (site.folder.join("shim"), site.folder.join("calls"));
    let root = site.root.display();
    let text = format!(
        "[project]\nname = \"{}\"\n\n[target.production]\nhosts = [\"local\"]\nroot = \"{root}\"\n[rollout]\nobserve = \"1s\"\n",
        site.name
    );
    site.write("deploy.toml", &text);
    site.deployed();
    site.append("templates/home.html", "<!-- next -->\n");

    let path = std::env::var("PATH").unwrap();
    let docker = path.split(':').map(|folder| format!("{folder}/docker")).find(|file| std::fs::exists(file).unwrap()).unwrap();
    std::fs::create_dir(&folder).unwrap();
    let shim = folder.join("docker");
    std::fs::write(&shim, SHIM.replace("CALLS", &calls.display().to_string()).replace("PROGRAM", &docker)).unwrap();
    std::fs::set_permissions(&shim, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = site.command(&["deploy", "--json"]);
    command.env("PATH", format!("{}:{path}", folder.display()));
    let count = site.folder.join("count");
    Site::ended(counted(&command, &count).spawn().unwrap()).expect(0, "deployed");
    let processes: u32 = std::fs::read_to_string(&count).unwrap().trim().parse().unwrap();
    assert!(processes <= PROCESSES, "{processes} processes and threads, more than {PROCESSES}");

    let text = std::fs::read_to_string(&calls).unwrap();
    let mut by_step: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in text.lines() {
        let (step, call) = line.split_once(' ').unwrap();
        by_step.entry(step).or_default().insert(call);
    }
    let budget = BTreeMap::from(BUDGET);
    let over: Vec<_> = by_step.iter().filter(|(step, calls)| calls.len() > budget.get(*step).copied().unwrap_or(0)).collect();
    assert!(over.is_empty(), "more calls of Docker than its budget of {budget:?} has a step: {over:#?}");
}
