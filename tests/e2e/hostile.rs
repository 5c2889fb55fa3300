//! Servers that are somebody else's: what they say costs bounded memory and time, and is never more than text.

use std::io::Read;
use std::time::{Duration, Instant};

use crate::actions::commands;
use crate::support::{Manner, Scripted, Site};

fn server(name: &str, manner: Manner) -> (Scripted, Site) {
    let site = Site::empty(name);
    std::fs::create_dir_all(site.app("")).unwrap();
    let image = Scripted::archive(&site.app("image.tar"));
    let servers = Scripted::in_a_manner(1, &image, None, manner);
    site.write("compose.yml", "services:\n  web:\n    build: .\n    expose: [\"8000\"]\n");
    site.write("Dockerfile", "FROM scratch\n");
    site.write("deploy.toml", &servers.deploy_toml("shop", 1));
    (servers, site)
}

/// Runs it with little memory; exit code, what it said, and the files of a workflow.
fn bounded(site: &Site, arguments: &[&str]) -> (i32, String, String) {
    let (output, summary) = (site.folder.join("outputs"), site.folder.join("summary"));
    let mut child = site
        .command(arguments)
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_OUTPUT", &output)
        .env("GITHUB_STEP_SUMMARY", &summary)
        .spawn()
        .unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let reading = std::thread::spawn(move || {
        let mut text = Vec::new();
        stdout.read_to_end(&mut text).unwrap();
        text
    });
    let complaining = std::thread::spawn(move || {
        let mut text = Vec::new();
        stderr.read_to_end(&mut text).unwrap();
        text
    });
    let began = Instant::now();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let now = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak = peak.max(now.unwrap_or(0));
        if began.elapsed() > Duration::from_secs(120) {
            let _ = child.kill();
            panic!("{arguments:?} has not ended within two minutes");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(peak < 64 * 1024, "{arguments:?} took {peak} KiB");
    let said = [complaining.join().unwrap(), reading.join().unwrap()].concat();
    let files = [output, summary].map(|path| std::fs::read_to_string(path).unwrap_or_default()).concat();
    (child.wait().unwrap().code().unwrap_or(-1), String::from_utf8(said).expect("what is said is UTF-8"), files)
}

#[test]
fn an_answer_without_an_end_is_cut_off() {
    for (manner, words) in
        [(Manner::Endless, "more than 16 MB"), (Manner::Complains, "more than 16 MB"), (Manner::Restless, "rolled back")]
    {
        let (_servers, site) = server(&format!("{manner:?}").to_lowercase(), manner);
        let (code, said, _) = bounded(&site, &["deploy", "production"]);
        assert!(code != 0 && said.contains(words), "{manner:?}: {code} {}", said.chars().take(3000).collect::<String>());
    }
}

#[test]
fn what_a_server_says_is_text_and_nothing_else() {
    let (_servers, site) = server("dressed", Manner::Dressed);
    for arguments in [
        &["deploy", "production", "-v"][..],
        &["status"],
        &["plan", "production"],
        &["plan", "production", "--format", "markdown"],
        &["status", "--json"],
        &["history"],
        &["history", "--json"],
        &["rollback", "production", "-v"],
        &["rollback", "production", "--json"],
        &["backup", "list"],
        &["backup", "create", "production"],
        &["backup", "verify", "b1"],
        &["recover", "production"],
        &["abort", "production"],
    ] {
        check_is_text(&site, arguments);
    }
}

#[test]
fn a_fact_that_a_command_goes_no_further_than_is_text_too() {
    for fact in ["lock", "docker_error", "lacks", "unwritable", "foreign", "open_to_all", "current", "backup", "tag_current"] {
        let (_servers, site) = server(&format!("tells-{fact}"), Manner::Tells(fact));
        for arguments in [&["deploy", "production"][..], &["status"], &["rollback", "production", "--json"]] {
            let (code, said) = check_is_text(&site, arguments);
            assert!(code != 0 || arguments == ["status"], "{fact} {arguments:?}: {said}");
            // That it was read at all: the harmless part of it is shown.
            assert!(said.contains("[l]") || arguments == ["status"], "{fact} {arguments:?}: {said}");
        }
    }
}

/// Runs it, and looks for whatever a terminal, a workflow or a reader of Markdown would take for more than text.
fn check_is_text(site: &Site, arguments: &[&str]) -> (i32, String) {
    let (code, said, files) = bounded(site, arguments);
    // Colours are estiba's own.
    let plain = anstream::adapter::strip_str(&said).to_string();
    assert_eq!(said.matches('\u{1b}').count(), colours(&said), "{arguments:?}: {said}");
    for text in [&plain, &files] {
        let strange = text.chars().find(|c| c.is_control() && *c != '\n' && *c != '\t');
        assert!(strange.is_none() && !text.contains('\u{202e}'), "{arguments:?}: {strange:?} in {text}");
    }
    assert!(!said.contains("##["), "{arguments:?}: {said}");
    let files = outside_of_fences(&files);
    let known = ["::group::", "::endgroup::", "::add-mask::", "::error", "::warning", "::notice"];
    let taken: Vec<String> =
        commands(&said).into_iter().filter(|one| !known.iter().any(|known| one.starts_with(known))).collect();
    assert!(taken.is_empty(), "{arguments:?}: {taken:?}");
    assert!(
        !files.replace("\\<", "").contains("<img") && !files.replace("\\]", "").contains("](https"),
        "{arguments:?}: {files}"
    );
    assert!(!files.lines().any(|line| line == "outcome=deployed"), "{files}");
    (code, said)
}

/// How many colours are set or ended in it.
fn colours(text: &str) -> usize {
    text.split("\u{1b}[")
        .skip(1)
        .filter(|rest| rest.find(|c: char| !c.is_ascii_digit() && c != ';').is_some_and(|end| rest[end..].starts_with('m')))
        .count()
}

/// Markdown without what stands between fences, which is shown as it is.
fn outside_of_fences(text: &str) -> String {
    let mut fence: Option<&str> = None;
    let mut kept = String::new();
    for line in text.lines() {
        match fence {
            Some(open) if line.trim_end() == open => fence = None,
            Some(_) => {}
            None if line.starts_with("```") => fence = Some(line.trim_end_matches(|c: char| c != '`')),
            // Nor is what stands within a line as code.
            None => kept.extend(line.replace("\\`", "").split('`').step_by(2).chain(["\n"])),
        }
    }
    kept
}
