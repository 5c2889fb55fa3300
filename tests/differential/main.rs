//! What Docker Compose makes of the team's files and what it makes of those that estiba renders from them is the same, but for
//! the differences that are named here. The files are made of the settings of the Compose specification, so that each two
//! of them meet in one.

#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests set up their own world, and stop where it is not so")]

mod settings;
mod table;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use estiba::config::{Project, resolve};
use estiba::render::{Rendered, Renderer, render};
use estiba::text::Environment;
use serde_json::{Map, Value};

use settings::{APART, SETTINGS};

const FILES: usize = 60;

/// Numbers that look random and are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }
}

/// A file: for each setting the form that it is written in, or none.
type Chosen = Vec<Option<usize>>;

fn pairs_of(chosen: &Chosen) -> impl Iterator<Item = ((usize, usize), (usize, usize))> + '_ {
    let there: Vec<(usize, usize)> = chosen.iter().enumerate().filter_map(|(setting, form)| Some((setting, (*form)?))).collect();
    (0..there.len()).flat_map(move |one| {
        let there = there.clone();
        (one + 1..there.len()).map(move |other| (there[one], there[other]))
    })
}

fn may_meet(one: usize, other: usize) -> bool {
    let (one, other) = (SETTINGS[one].0, SETTINGS[other].0);
    !APART.contains(&(one, other)) && !APART.contains(&(other, one))
}

/// Files in which each two forms of two settings meet at least once.
fn files() -> Vec<Chosen> {
    let mut open = BTreeSet::new();
    for (one, (_, forms)) in SETTINGS.iter().enumerate() {
        for (other, (_, others)) in SETTINGS.iter().enumerate().skip(one + 1).filter(|(other, _)| may_meet(one, *other)) {
            for form in 0..forms.len() {
                open.extend((0..others.len()).map(|second| ((one, form), (other, second))));
            }
        }
    }
    let mut numbers = Numbers(7);
    let mut files = Vec::new();
    while let Some(first) = open.iter().next().copied() {
        // Of some that begin with a pair that has not met, the one in which the most others meet.
        let best = (0..30)
            .map(|_| {
                let mut chosen: Chosen = vec![None; SETTINGS.len()];
                chosen[first.0.0] = Some(first.0.1);
                chosen[first.1.0] = Some(first.1.1);
                let mut order: Vec<usize> = (0..SETTINGS.len()).collect();
                for at in (1..order.len()).rev() {
                    order.swap(at, numbers.next(at + 1));
                }
                for setting in order {
                    let fits = (0..SETTINGS.len()).all(|other| chosen[other].is_none() || may_meet(setting, other));
                    if chosen[setting].is_some() || !fits {
                        continue;
                    }
                    let met = |form: usize| {
                        (0..SETTINGS.len())
                            .filter_map(|other| Some((other, chosen[other]?)))
                            .filter(|other| {
                                open.contains(&((setting, form), *other)) || open.contains(&(*other, (setting, form)))
                            })
                            .count()
                    };
                    chosen[setting] = (0..SETTINGS[setting].1.len()).max_by_key(|form| met(*form));
                }
                chosen
            })
            .max_by_key(|chosen| pairs_of(chosen).filter(|pair| open.contains(pair)).count())
            .unwrap();
        for pair in pairs_of(&best).collect::<Vec<_>>() {
            open.remove(&pair);
        }
        files.push(best);
    }
    // And others with a third of the settings: what is not there matters too.
    while files.len() < FILES {
        let some = |(_, forms): &(&str, &[&str])| (numbers.next(3) == 0).then(|| numbers.next(forms.len()));
        let chosen: Chosen = SETTINGS.iter().map(some).collect();
        let meet = pairs_of(&chosen).all(|(one, other)| may_meet(one.0, other.0));
        files.extend(meet.then_some(chosen));
    }
    files
}

fn compose_file(chosen: &Chosen) -> String {
    let mut text = String::from("services:\n");
    for (name, image) in [("web", "build: ."), ("db", "image: postgres:15")] {
        text.push_str(&format!("  {name}:\n    {image}\n"));
        for (setting, form) in chosen.iter().enumerate() {
            let Some(form) = form else { continue };
            for line in SETTINGS[setting].1[*form].lines() {
                text.push_str(&format!("    {line}\n"));
            }
        }
    }
    text + "  other:\n    image: redis:7\n    restart: always\n\
            volumes: {data: {labels: {a: b}}}\nnetworks: {back: {internal: true}}\n\
            secrets: {token: {file: ./token.txt}}\nconfigs: {settings: {file: ./settings.ini}}\n\
            models: {words: {model: ai/words}}\n"
}

/// What Compose reads in these files.
fn read(folder: &Path, env_files: &[&str], files: &[&str]) -> Value {
    let mut command = Command::new("docker");
    command.args(["compose", "-p", "shop", "--project-directory"]).arg(folder).current_dir(folder);
    command.args(env_files.iter().flat_map(|file| ["--env-file", file]));
    let output = command.args(files.iter().flat_map(|file| ["-f", file])).args(["config", "--format", "json"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", std::fs::read_to_string(folder.join(files[0])).unwrap());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The service, without what differs on purpose.
fn without_the_named_differences(model: &Value, service: &str, is_app: bool) -> Map<String, Value> {
    let mut map = model["services"][service].as_object().unwrap_or_else(|| panic!("no {service} in {model}")).clone();
    // Its image is the one that was sent.
    if is_app {
        for key in ["build", "image", "pull_policy"] {
            map.remove(key);
        }
    }
    // An extension of the file has no meaning to Compose.
    map.retain(|key, _| !key.starts_with("x-"));
    let mut remove = |key: &str, own: &dyn Fn(&str) -> bool| {
        let Some(inner) = map.get_mut(key).and_then(Value::as_object_mut) else { return };
        inner.retain(|name, _| !own(name));
        if inner.is_empty() {
            map.remove(key);
        }
    };
    if is_app {
        // By these a slot is told from another, and no proxy takes it for the app.
        remove("environment", &|name| name.starts_with("ESTIBA_"));
        remove("labels", &|name| name.starts_with("estiba.") || name == "traefik.enable");
        // Its edge reaches it on a network of its own.
        remove("networks", &|name| name == "estiba");
    }
    // Files of the project have a place on the server; a slot's own have a name of the slot's own.
    for key in ["secrets", "configs"] {
        for entry in map.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
            let source = entry["source"].as_str().unwrap().trim_end_matches("-blue").to_owned();
            let target = if key == "configs" { format!("/{source}") } else { source.clone() };
            let entry = entry.as_object_mut().unwrap();
            entry.insert("source".into(), source.into());
            entry.entry("target").or_insert(target.into());
        }
    }
    map
}

/// The project that all files are tried in, but for its Compose file.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let deploy_toml =
        "[project]\nname = \"shop\"\n[app]\nservice = \"web\"\nport = 8000\n[target.production]\nhosts = [\"u@h\"]\n";
    for (path, text) in [
        ("deploy.toml", deploy_toml),
        ("Dockerfile", "FROM scratch\n"),
        (".env.production", "FILLED='a \"value\" with $ in it'\n"),
        ("more.env", "FROM_FILE=one\nPLAIN=from the file\n"),
        ("token.txt", "token"),
        ("settings.ini", "[a]\n"),
    ] {
        std::fs::write(folder.path().join(path), text).unwrap();
    }
    folder
}

/// Renders the project, as a deploy would.
fn try_to_render(folder: &Path) -> estiba::error::Result<Rendered> {
    let environment = Environment::from([(String::from("HOME"), std::env::var("HOME").unwrap())]);
    let deploy_toml = folder.join("deploy.toml");
    let project = Project::open(camino::Utf8Path::from_path(&deploy_toml).unwrap(), environment)?;
    let resolved = resolve(&project, Some("production"))?;
    render(&Renderer::open(&project, &resolved)?)
}

/// Lays the release out as on a server.
fn rendered(folder: &Path) {
    let text = || std::fs::read_to_string(folder.join("compose.yml")).unwrap();
    let rendered = try_to_render(folder).unwrap_or_else(|error| panic!("{error}\n{}", text()));
    let server = folder.join("server");
    let _ = std::fs::remove_dir_all(&server);
    for (path, artefact) in &rendered.release {
        let path = server.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &artefact.bytes).unwrap();
    }
    let values = "ESTIBA_RELEASE=r1\nESTIBA_IMAGE=sha256:abc\nESTIBA_EDGE_IMAGE=sha256:def\n";
    std::fs::write(server.join("estiba.env"), values).unwrap();
}

/// What Compose reads otherwise in the rendered files than in the team's.
fn differences(folder: &Path, chosen: &Chosen) -> Vec<String> {
    std::fs::write(folder.join("compose.yml"), compose_file(chosen)).unwrap();
    rendered(folder);
    let theirs = read(folder, &[".env.production"], &["compose.yml"]);
    let files = folder.join("server/files");
    let ours = read(&files, &[".env.production", "../estiba.env"], &["stack.yml", "slot-blue.yml"]);
    let mut different = Vec::new();
    for (service, rendered_as) in [("web", "web-blue"), ("db", "db")] {
        let theirs = without_the_named_differences(&theirs, service, service == "web");
        let ours = without_the_named_differences(&ours, rendered_as, service == "web");
        let keys: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
        for key in keys.into_iter().filter(|key| theirs.get(*key) != ours.get(*key)) {
            let said = |map: &Map<String, Value>| map.get(key).map_or("nothing".into(), Value::to_string);
            different.push(format!("{service}.{key}: {} became {}", said(&theirs), said(&ours)));
        }
    }
    for section in ["volumes", "networks"] {
        let mut ours = ours[section].clone();
        // The edges' own network is beside the team's.
        ours.as_object_mut().into_iter().for_each(|networks| drop(networks.remove("estiba")));
        if theirs[section] != ours {
            different.push(format!("{section}: {} became {ours}", theirs[section]));
        }
    }
    different
}

#[test]
fn compose_reads_in_the_rendered_files_what_it_reads_in_the_teams() {
    let all = files();
    assert_eq!(all.len(), FILES, "more are needed for each two to meet");
    let different: Vec<String> = std::thread::scope(|scope| {
        let halves = all.chunks(FILES / 2).map(|half| {
            scope.spawn(move || {
                let folder = project();
                half.iter().flat_map(|chosen| differences(folder.path(), chosen)).collect::<Vec<String>>()
            })
        });
        halves.collect::<Vec<_>>().into_iter().flat_map(|half| half.join().unwrap()).collect()
    });
    assert!(different.is_empty(), "{} differences: {}", different.len(), different.join("\n"));
}
