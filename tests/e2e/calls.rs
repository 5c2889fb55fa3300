//! How often each step of a deploy calls Docker, counted by a program of that name that stands before the real one: a call takes tens of
//! milliseconds, whatever it does.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;

use crate::support::Site;

/// Writes down the step that calls, and what.
const SHIM: &str = r#"#!/bin/sh
read -r _ _ _ _ _ session _ </proc/$$/stat
set -f
caller=$(tr '\0' ' ' <"/proc/$session/cmdline")
case $caller in
*/run/step.sh\ *) echo "$(echo "${caller##*/run/step.sh }" | cut -d ' ' -f 3) $(printf '%s ' "$@" | tr '\n' ' ' | cut -c 1-300)" >>CALLS ;;
esac
exec PROGRAM "$@"
"#;

/// A deploy of a changed template to the stack of the example, with nothing to migrate. What waits for something repeats a call, which
/// counts once; a step that is not named has none.
const BUDGET: [(&str, usize); 13] = [
    ("preflight", 16),
    ("image", 6),
    ("edge", 8),
    ("stack", 6),
    ("pending", 15),
    ("start", 4),
    ("check", 5),
    ("switch", 4),
    ("observe", 4),
    ("confirm", 4),
    ("commit", 6),
    ("drain", 7),
    ("revive", 12),
];

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
    Site::ended(command.spawn().unwrap()).expect(0, "deployed");

    let text = std::fs::read_to_string(&calls).unwrap();
    let mut counted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in text.lines() {
        let (step, call) = line.split_once(' ').unwrap();
        counted.entry(step).or_default().insert(call);
    }
    let budget = BTreeMap::from(BUDGET);
    let over: Vec<_> = counted.iter().filter(|(step, calls)| calls.len() > budget.get(*step).copied().unwrap_or(0)).collect();
    assert!(over.is_empty(), "more calls of Docker than the budget {budget:?} allows: {over:#?}");
}
