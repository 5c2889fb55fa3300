//! Much of everything: files, releases, journals, services. Each against what a user would do by hand with as much.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::pairs::{timed, wanted};
use super::support::{Site, sshd};
use super::{estiba, ssh};

pub fn scale() {
    context();
    static_files();
    history();
    services();
}

/// Folders of a hundred small files each, that many in all, each with its own content.
fn fill(folder: &std::path::Path, count: usize) {
    for at in 0..count {
        let folder = folder.join((at / 100).to_string());
        if at % 100 == 0 {
            fs::create_dir_all(&folder).unwrap();
        }
        fs::write(folder.join(format!("{at}.txt")), format!("{at} ").repeat(100)).unwrap();
    }
}

fn sh(script: &str) -> Duration {
    let started = Instant::now();
    assert!(Command::new("sh").args(["-ec", script]).stdout(Stdio::null()).status().unwrap().success(), "{script}");
    started.elapsed()
}

/// The build context has to be known before anything can be said of it.
fn context() {
    let what = "plan with 50,000 files in the build context · tar of them, and its sum";
    if !wanted(what) {
        return;
    }
    let site = Site::new("bench-context", "");
    fill(&site.app("data"), 50_000);
    let folder = site.app("").display().to_string();
    timed(what, 5, || estiba(&site, &["plan"]), || sh(&format!("tar -C {folder} -c . | sha256sum")));
}

/// The step that puts a release's static files where the proxy reads them, when one of them has changed, and the release gets the
/// traffic.
fn static_files() {
    let what = "switch with 100,000 static files, one of them changed · cp -a of them";
    if !wanted(what) {
        return;
    }
    let site = Site::new("bench-static", "[rollout]\nobserve = \"0s\"\n");
    fill(&site.app("static"), 100_000);
    site.append("sitio/settings.py", "\nSTATICFILES_DIRS = [BASE_DIR / \"static\"]\n");
    site.deployed();
    let (shared, copy) = (site.root.join("shared/staticfiles"), site.folder.join("copy"));
    let mut number = 0;
    timed(
        what,
        3,
        || {
            number += 1;
            site.write("static/0/0.txt", &number.to_string());
            let outcome = site.estiba(&["deploy", "--json"]).expect(0, "deployed");
            let switch = outcome["steps"].as_array().unwrap().iter().find(|step| step["name"] == "switch").unwrap();
            Duration::from_millis(switch["duration_ms"].as_u64().unwrap())
        },
        || {
            let took = sh(&format!("cp -a {} {}", shared.display(), copy.display()));
            fs::remove_dir_all(&copy).unwrap();
            took
        },
    );
}

/// A thousand releases in the history, and one whose journal has a hundred megabytes.
fn history() {
    let (many, long) = ("history of 1,000 releases · ssh and cat", "logs --run of a journal of 100 MB · ssh and cat");
    if !wanted(many) && !wanted(long) {
        return;
    }
    let site = Site::new("bench-history", "[rollout]\nobserve = \"0s\"\n");
    site.deployed();
    let file = site.root.join("history.jsonl");
    let line = fs::read_to_string(&file).unwrap();
    fs::write(&file, line.repeat(1000)).unwrap();
    timed(many, 9, || estiba(&site, &["history", "--json"]), || ssh(&format!("cat {} >/dev/null", file.display())));
    let run = fs::read_dir(site.root.join("runs")).unwrap().map(|run| run.unwrap().path()).max().unwrap();
    let journal = run.join("journal");
    let text = fs::read_to_string(&journal).unwrap();
    let (head, tail) = text.split_once('\n').unwrap();
    let mut grown = format!("{head}\n");
    for number in 0..1_000_000 {
        writeln!(grown, "1\tout\tpreflight\tline {number} of one that says as much as a line of a build often does, or more")
            .unwrap();
    }
    fs::write(&journal, grown + tail).unwrap();
    let release = site.serving();
    timed(
        long,
        3,
        || estiba(&site, &["logs", "--run", &release]),
        || {
            let started = Instant::now();
            let mut cat = super::ssh_to(sshd(), sshd().port);
            assert!(cat.arg(format!("cat {}", journal.display())).stdin(Stdio::null()).output().unwrap().status.success());
            started.elapsed()
        },
    );
}

/// A stack of sixty services that run.
fn services() {
    let what = "deploy, nothing to do, 60 services · ssh and docker compose up -d";
    if !wanted(what) {
        return;
    }
    let site = Site::new("bench-services", "[rollout]\nobserve = \"0s\"\n");
    let mut more = String::from("services:\n");
    for number in 0..56 {
        writeln!(more, "  idle{number}:\n    image: redis:7\n    command: [\"sleep\", \"infinity\"]\n    init: true").unwrap();
    }
    site.edit("compose.yml", "services:\n", &more);
    site.deployed();
    timed(what, 5, || estiba(&site, &["deploy"]), || ssh(&super::compose(&site, "up -d")));
}
