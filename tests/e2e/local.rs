//! The machine that deploys is the server itself: `hosts = ["local"]`, without SSH.

use crate::support::{PASSWORD, Site, in_a_terminal, with_input};

/// A site whose target is this machine, with nothing that tells of SSH.
fn site() -> Site {
    let site = Site::new("local", "");
    let root = site.root.display();
    let text = format!(
        "[project]\nname = \"{}\"\n\n[target.production]\nhosts = [\"local\"]\nroot = \"{root}\"\n[rollout]\nobserve = \"0s\"\n",
        site.name
    );
    site.write("deploy.toml", &text);
    site
}

#[test]
fn this_very_machine_is_deployed_to_without_ssh() {
    let site = site();
    let plan = site.estiba(&["plan"]);
    assert_eq!(plan.code, 0, "{}", plan.stderr);
    let release = site.deployed()["release"].as_str().unwrap().to_owned();
    assert_eq!(site.status()["host"], "local");
    assert_eq!(site.serving(), release);
    assert_eq!(site.estiba(&["deploy", "--json"]).expect(0, "unchanged")["release"], release);

    // What a broken release does here is what it does elsewhere.
    let good = site.keep();
    site.edit("certificados/views.py", "def health(request):\n", "def health(request):\n    raise RuntimeError\n");
    site.estiba(&["deploy", "--json"]).expect(3, "rolled-back");
    assert_eq!(site.serving(), release);
    good.restore();
    site.append("templates/home.html", "<!-- next -->\n");
    site.deployed();
    site.estiba(&["rollback", "--json"]).expect(0, "rolled-back");
    assert_eq!(site.serving(), release);

    // A command's input, its exit status and its terminal.
    let much = "a line of sixty-four letters, more or less, again and again; \n".repeat(100_000);
    assert_eq!(with_input(site.command(&["exec", "web", "--", "cat"]), &much).stdout.len(), much.len());
    let run = site.estiba(&["exec", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((run.code, run.stdout.trim(), run.stderr.trim()), (7, "out", "err"));
    let sized = "test -t 0 && test -t 1 && while [ \"$(stty size)\" = '0 0' ]; do sleep 0.1; done; stty size";
    let output = in_a_terminal(&site.command(&["exec", "web", "--", "sh", "-c", sized]), 33, 111);
    assert!(String::from_utf8_lossy(&output.stdout).contains("33 111"), "{output:?}");

    let logs = site.estiba(&["logs", "--service", "db", "--tail", "all"]).stdout;
    assert!(logs.contains("ready to accept"), "{logs}");
    assert!(site.lock_is_free());
    let run = site.estiba(&["backup", "create", "--json"]);
    assert!(run.code == 0 && !run.stderr.contains(PASSWORD), "{}", run.stderr);
}
