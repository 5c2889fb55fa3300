//! Both halves know the same names.

use std::collections::BTreeSet;

use regex::Regex;

use super::facts::FORWARDED;
use super::*;
use crate::server::Scripts;

/// All scripts without their comments.
fn scripts() -> String {
    let texts = Scripts::all().iter().map(|(_, text)| *text);
    let code = |text: &'static str| text.lines().filter(|line| !line.trim_start().starts_with('#'));
    texts.flat_map(code).flat_map(|line| [line, "\n"]).collect()
}

fn found<'t>(pattern: &str, text: &'t str) -> BTreeSet<&'t str> {
    Regex::new(pattern).unwrap().captures_iter(text).filter_map(|found| Some(found.get(1)?.as_str())).collect()
}

fn missing<'t>(these: &BTreeSet<&'t str>, from: &BTreeSet<&'t str>) -> Vec<&'t str> {
    these.difference(from).copied().collect()
}

/// What the scripts have from elsewhere: the process's environment, a shell of its own, programs in a container.
const ELSEWHERE: [&str; 16] = [
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "DOCKER_HOST",
    "HOME",
    "IFS",
    "MARIADB_ROOT_PASSWORD",
    "MARIADB_ROOT_PASSWORD_FILE",
    "MYSQL_ROOT_PASSWORD",
    "MYSQL_ROOT_PASSWORD_FILE",
    "PATH",
    "POSTGRES_PASSWORD",
    "POSTGRES_PASSWORD_FILE",
    "SSH_CONNECTION",
    "SSH_ORIGINAL_COMMAND",
    "XDG_RUNTIME_DIR",
    // Of releases that an estiba before edges made.
    "PROXY_SERVICE",
];

#[test]
fn both_halves_know_the_same_settings() {
    let text = scripts();
    let files = [SettingsFile::NAMES, ReleaseFile::NAMES, RunFile::NAMES, BuildFile::NAMES];
    let written: BTreeSet<&str> = files.into_iter().flatten().copied().collect();
    let mut read = found(r"\$\{?([A-Z][A-Z0-9_]+)\b", &text);
    // What a script sets itself, awk and perl have, or stands in a text.
    let own = found(r"(?m)(?:^|[\s;(])([A-Z][A-Z0-9_]+)=", &text);
    read.retain(|name| written.contains(name) || !own.contains(name) && !["ARGV", "NAME", "NF", "SELECT", "SIG"].contains(name));
    let elsewhere = BTreeSet::from(ELSEWHERE);
    let unknown: Vec<&str> = read.iter().copied().filter(|name| !written.contains(name) && !elsewhere.contains(name)).collect();
    assert_eq!(unknown, [""; 0], "the scripts read these, and no file of the protocol has them");
    // By its name alone where it is asked of another release's file.
    let named = found(r"\b([A-Z][A-Z0-9_]+)\b(?:[^=]|$)", &text);
    let unread: Vec<&str> = written
        .iter()
        .copied()
        .filter(|name| !read.contains(name) && !named.contains(name) && !FORWARDED.contains(name))
        .collect();
    assert_eq!(unread, [""; 0], "the client writes these, and no script reads them");
}

#[test]
fn the_backup_service_writes_the_run_file_that_the_client_writes() {
    let text = Scripts::text("scheduled.sh");
    let (_, rest) = text.split_once("<<-SETTINGS").unwrap();
    let (here, _) = rest.split_once("\t\tSETTINGS").unwrap();
    let written = found(r"(?m)^\s+([A-Z_]+)=", here);
    let known: BTreeSet<&str> = RunFile::NAMES.iter().copied().collect();
    assert_eq!(missing(&written, &known), [""; 0]);
    // Its runs send no image and build none, have no canary, and override nothing.
    let of_deploys: BTreeSet<&str> = known
        .iter()
        .copied()
        .filter(|name| {
            name.starts_with("CANARY_")
                || [
                    "ALERTS",
                    "ASKED",
                    "BUILD_TARGET",
                    "BUILT_IMAGE",
                    "DOCKERFILE",
                    "IMAGE_IDS",
                    "KEEP_WARM",
                    "MAX_P95_RATIO",
                    "OBSERVE_P95",
                    "OVERRIDE",
                    "SERVICES",
                ]
                .contains(name)
        })
        .collect();
    assert_eq!(known.difference(&written).copied().collect::<BTreeSet<_>>(), of_deploys);
}

#[test]
fn both_halves_know_the_same_facts() {
    let text = Scripts::text("ask/facts.sh");
    let printed =
        found(r#"(?:echo ['"]|print "|\{print "|['"/}\n^])((?:[a-z]+_)*[a-z]+)=(?:[$'"{%\\]|yes|present|util|$)"#, text);
    let known: BTreeSet<&str> =
        Fact::ALL.iter().map(|fact| fact.name()).chain(Repeated::ALL.iter().map(|fact| fact.name())).collect();
    // Variables of the script, and what stays on the server.
    let own = found(r"(?m)^\s*([a-z_]+)=", text);
    let unknown: Vec<&str> = printed
        .iter()
        .copied()
        .filter(|name| !known.contains(name) && !own.contains(name) && *name != "slot_environment")
        .collect();
    assert_eq!(unknown, [""; 0], "facts.sh prints these, and nobody reads them");
    let made = [
        ("slot_$slot=", ["slot_blue", "slot_green"]),
        ("last_$kind=", ["last_backup", "last_drill"]),
        ("key=\"tag_$kind\"", ["tag_current", "tag_previous"]),
    ];
    for (written, names) in made {
        assert!(text.contains(written), "{written} of {names:?}");
    }
    let made: BTreeSet<&str> = made.into_iter().flat_map(|(_, names)| names).collect();
    let unprinted: Vec<&str> =
        known.iter().copied().filter(|name| !made.contains(name) && !text.contains(&format!("{name}="))).collect();
    assert_eq!(unprinted, [""; 0], "the client reads these, and facts.sh does not print them");
}

#[test]
fn both_halves_know_the_same_settings_of_the_release_that_serves() {
    let text = Scripts::text("ask/facts.sh");
    let told: BTreeSet<&str> = found(r"s/\^([A-Z_]+)=/current_&/p", text)
        .into_iter()
        .chain(found(r"for key in ([A-Z_ ]+); do", text).into_iter().flat_map(str::split_whitespace))
        .collect();
    assert_eq!(told, BTreeSet::from(FORWARDED));
    let files = [SettingsFile::NAMES, ReleaseFile::NAMES];
    assert_eq!(missing(&told, &files.into_iter().flatten().copied().collect()), [""; 0]);
}

#[test]
fn both_halves_know_the_same_markers() {
    let text = scripts();
    let written: BTreeSet<&str> = found(r"(estiba:[a-z]+)\b", &text);
    // The client's own command writes the same one.
    assert_eq!(written, BTreeSet::from(marker::ALL));
}

#[test]
fn both_halves_know_the_same_marks_of_alerts() {
    let text = scripts();
    assert_eq!(found(r"(@@[a-z0-9-]+@@)", &text), BTreeSet::from(alert_mark::ALL));
}

#[test]
fn a_newer_protocol_is_told() {
    let known = found(r"(?m)^protocol=(\d+)$", Scripts::text("lib/settings.sh"));
    assert_eq!(known, BTreeSet::from([VERSION.to_string().as_str()]));
}

#[test]
fn every_value_is_quoted_for_a_shell() {
    let file =
        RunFile { by: "it's $(id)".into(), steps: vec!["a".into(), "b".into()], max_error_rate: 0.01, ..RunFile::default() };
    let text = file.to_text();
    for line in ["BY=\"it's \"'$(id)'", "STEPS='a b'", "MAX_ERROR_RATE=0.01", "NONCE=''", "OBSERVE=0"] {
        assert!(text.lines().any(|own| own == line), "{line}: {text}");
    }
}
