//! Shapes of Compose files that real projects have, each in its smallest form (tests/cases): what estiba makes of them, without
//! a server.

#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests set up their own world, and stop where it is not so")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use camino::Utf8Path;
use estiba::config::{Project, ServiceKind, resolve};
use estiba::render::{Rendered, Renderer, render};
use estiba::text::Environment;
use serde_json::Value;

struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    /// A copy of the case whose name begins so.
    fn of(number: &str) -> Self {
        let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
        let found: PathBuf = std::fs::read_dir(&cases)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(number))
            .unwrap_or_else(|| panic!("no case {number}"));
        let folder = tempfile::tempdir().unwrap();
        assert!(Command::new("cp").arg("-r").arg(found.join(".")).arg(folder.path()).status().unwrap().success());
        Self { folder }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(path)).unwrap()
    }

    /// Runs the binary there; exit code, and both outputs in one.
    fn estiba(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_estiba"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HOME", std::env::var("HOME").unwrap())
            .output()
            .unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code().unwrap(), said)
    }

    /// `config check` finds it good; what it says.
    #[track_caller]
    fn good(&self) -> String {
        let (code, said) = self.estiba(&["config", "check"]);
        assert!(code == 0 && said.contains("good"), "exit {code}: {said}");
        said
    }

    fn project(&self) -> Project {
        let path = Utf8Path::from_path(self.folder.path()).unwrap().join("deploy.toml");
        let variable = |name: &str| (name.to_owned(), std::env::var(name).unwrap());
        Project::open(&path, Environment::from([variable("PATH"), variable("HOME")])).unwrap()
    }

    fn kinds(&self) -> BTreeMap<String, ServiceKind> {
        let resolved = resolve(&self.project(), None).unwrap_or_else(|error| panic!("{error}"));
        resolved.kinds.into_iter().map(|(name, decided)| (name, decided.kind)).collect()
    }

    fn rendered(&self) -> Rendered {
        let project = self.project();
        let resolved = resolve(&project, None).unwrap_or_else(|error| panic!("{error}"));
        render(&Renderer::open(&project, &resolved).unwrap()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// A rendered file, read as YAML.
    fn yaml(&self, path: &str) -> Value {
        let rendered = self.rendered();
        let file = rendered.release.get(path).unwrap_or_else(|| panic!("no {path}: {:?}", rendered.release.keys()));
        yaml_serde::from_slice(&file.bytes).unwrap()
    }

    fn text(&self, path: &str) -> String {
        String::from_utf8(self.rendered().release[path].bytes.clone()).unwrap()
    }
}

use ServiceKind::{App, Job, Stack, Worker};

#[test]
fn an_image_without_a_build_is_its_own_reference() {
    let case = Case::of("01");
    case.good();
    let (_, shown) = case.estiba(&["config", "show"]);
    assert!(
        shown.contains("reference = \"registry.example.com/team/web:1\"") && shown.contains("source = \"registry\""),
        "{shown}"
    );
    // Also where deploy.toml says nothing of it.
    let head = case.read("deploy.toml").split("[app]").next().unwrap().to_owned();
    case.write("deploy.toml", &head);
    case.good();
    assert_eq!(case.kinds()["web"], App);
}

#[test]
fn a_quoted_date_is_a_text() {
    let case = Case::of("02");
    case.good();
    let texts = case.read("compose.yml");
    let slot = case.text("files/slot-blue.yml");
    let date = texts.split('"').find(|part| part.starts_with("20")).unwrap();
    assert!(slot.contains(date) || case.text("files/stack.yml").contains(date), "{slot}");
    let read = case.yaml("files/slot-blue.yml");
    let found = read.to_string();
    assert!(found.contains(&format!("\"{date}\"")), "{found}");
}

#[test]
fn whatever_stands_in_front_is_left_as_it_is() {
    for number in ["04", "05", "06", "09", "21"] {
        let case = Case::of(number);
        case.good();
        let kinds = case.kinds();
        assert_eq!(kinds["web"], App, "{number}");
        assert!(kinds.iter().filter(|(name, _)| *name != "web").all(|(_, kind)| *kind == Stack), "{number}: {kinds:?}");
        // The edge has the app's name, and nothing of the team's files is another.
        let stack = case.yaml("files/stack.yml");
        assert_eq!(stack["services"]["web"]["labels"]["estiba.edge"], "web", "{number}");
        for (path, file) in case.rendered().release.iter().filter(|(path, _)| path.starts_with("stack/")) {
            assert_eq!(String::from_utf8_lossy(&file.bytes), case.read(path.strip_prefix("stack/").unwrap()), "{number}: {path}");
        }
    }
    // What the proxy asks is the port; what the app published is the edge's.
    assert!(Case::of("04").text("apps").starts_with("web\t8000:http"));
    let published = Case::of("09");
    assert!(published.yaml("files/stack.yml")["services"]["web"]["ports"].is_array());
    assert!(published.yaml("files/slot-blue.yml")["services"]["web-blue"]["ports"].is_null());
}

#[test]
fn what_is_built_is_an_app_a_proxy_or_a_database_by_what_it_holds() {
    for (number, expected) in [
        ("08", vec![("nginx", Stack), ("web", App)]),
        ("10", vec![("front", App), ("nginx", Stack), ("web", App)]),
        ("11", vec![("db", Stack), ("nginx", Stack), ("web", App)]),
        ("15", vec![("beat", Worker), ("nginx", Stack), ("web", App), ("worker", Worker)]),
        ("28", vec![("nginx", Stack), ("prepare", Job), ("web", App)]),
    ] {
        let case = Case::of(number);
        case.good();
        let expected: BTreeMap<String, ServiceKind> = expected.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect();
        assert_eq!(case.kinds(), expected, "{number}");
    }
    // Each built service of the stack runs the very image that was sent.
    assert_eq!(Case::of("08").yaml("files/stack.yml")["services"]["nginx"]["image"], "${ESTIBA_IMAGE_NGINX}");
    assert_eq!(Case::of("11").yaml("files/stack.yml")["services"]["db"]["image"], "${ESTIBA_IMAGE_DB}");
    // Spelt three ways it is one build; a database is one whatever it is built on.
    let resolved = resolve(&Case::of("15").project(), None).unwrap();
    assert_eq!(resolved.images.iter().map(|image| image.services.len()).collect::<Vec<_>>(), [3]);
    assert_eq!(resolve(&Case::of("11").project(), None).unwrap().database.unwrap().service.value, "db");
    let jobs = resolve(&Case::of("28").project(), None).unwrap().jobs;
    assert!(jobs.len() == 1 && jobs[0].in_slot, "{jobs:?}");
}

#[test]
fn compose_itself_reads_resets_includes_and_other_folders() {
    let reset = Case::of("13");
    reset.good();
    assert!(reset.yaml("files/stack.yml")["services"]["web"]["ports"].is_null());
    assert_eq!(reset.yaml("files/slot-blue.yml")["services"]["web-blue"]["environment"]["DEBUG"], "0");
    let include = Case::of("24");
    include.good();
    assert_eq!(include.kinds().len(), 3);
    // Paths start at the file that says them.
    let extends = Case::of("20");
    extends.good();
    assert!(extends.rendered().release.contains_key("files/common/web.env"), "{:?}", extends.rendered().release.keys());
    assert_eq!(resolve(&extends.project(), None).unwrap().image().context.value, "common/src");
}

#[test]
fn mounts_are_taken_off_filled_in_or_placed() {
    let code = Case::of("14");
    assert!(code.good().contains("is taken off, because the image has the code"));
    assert!(code.yaml("files/slot-blue.yml")["services"]["web-blue"]["volumes"].is_null());
    let filled = Case::of("17");
    filled.good();
    let mounts = filled.yaml("files/stack.yml")["services"]["nginx"]["volumes"].clone();
    assert!(mounts.as_array().unwrap().iter().any(|mount| mount["source"] == "/srv/demo/stack/tls/test.pem"), "{mounts}");
    // A folder by a variable is never one that a later deploy takes away.
    filled.write(
        "compose.yml",
        "services:\n  web:\n    build: .\n    volumes:\n      - ${MEDIA_DIR:-./media}:/app/media\n      - ${PWD}/uploads:/app/uploads\n      - pictures:/app/pictures\nvolumes:\n  pictures:\n    driver_opts: {type: none, o: bind, device: \"${PWD}/pictures\"}\n",
    );
    filled.good();
    let slot = filled.yaml("files/slot-blue.yml")["services"]["web-blue"]["volumes"].clone();
    let sources: Vec<&str> = slot.as_array().unwrap().iter().map(|mount| mount["source"].as_str().unwrap()).collect();
    assert_eq!(sources, ["/srv/demo/shared/media", "/srv/demo/shared/uploads", "pictures"]);
    let device = filled.yaml("files/stack.yml")["volumes"]["pictures"]["driver_opts"]["device"].clone();
    assert_eq!(device, "/srv/demo/shared/pictures");
    assert!(filled.text("settings.env").contains("SHARED='media pictures uploads'"), "{}", filled.text("settings.env"));
}

#[test]
fn build_settings_are_passed_on_or_refused_by_name() {
    let case = Case::of("18");
    let (code, said) = case.estiba(&["config", "check"]);
    assert!(code == 2 && said.contains("`TOKEN`") && said.contains("compose.yml:"), "{said}");
    case.write(".env.production", "TOKEN=a-secret-token\n");
    case.good();
    case.write(
        "compose.yml",
        &case.read("compose.yml").replace("      network: host\n", "      network: host\n      entitlements: [x]\n"),
    );
    let (code, said) = case.estiba(&["config", "check"]);
    assert!(code == 2 && said.contains("`build.entitlements` is not supported"), "{said}");
}

#[test]
fn init_finds_what_is_there() {
    let wide = Case::of("26");
    let (code, said) = wide.estiba(&["init"]);
    assert!(code == 0 && !said.contains("does not name gunicorn"), "{said}");
    let other = Case::of("27");
    let (code, said) = other.estiba(&["init"]);
    assert_eq!(code, 0, "{said}");
    assert!(other.read("deploy.toml").contains("compose = \"production.yml\""), "{}", other.read("deploy.toml"));
    assert!(!other.folder.path().join("compose.yml").exists(), "no second stack");
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let case = Case::of("09");
    case.write(
        "compose.yml",
        "services:\n  web:\n    build: .\n    ports: [\"80:80\"]\n    environment: {A: \"${FIRST}\", B: \"${SECOND:?}\"}\n    volumes: [\"./none.conf:/x:ro\"]\n  db:\n    image: postgres:${THIRD}\n",
    );
    let (code, said) = case.estiba(&["config", "check"]);
    assert_eq!(code, 2, "{said}");
    for name in ["FIRST", "SECOND", "THIRD"] {
        assert!(said.contains(&format!("`{name}` is not set")), "{name}: {said}");
    }
}

#[test]
fn a_laptop_s_files_do_not_reach_production() {
    let case = Case::of("09");
    let git = |arguments: &[&str]| {
        assert!(Command::new("git").args(arguments).current_dir(case.folder.path()).output().unwrap().status.success())
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    case.write("compose.override.yml", "services:\n  web:\n    environment: {DEBUG: \"1\"}\n");
    case.write(".env", "COMPOSE_FILE=nothing.yml\nSECRET=of-this-laptop\n");
    let said = case.good();
    assert!(said.contains("compose.override.yml is not used") && said.contains("the .env here is not used"), "{said}");
    let rendered = case.rendered();
    assert!(rendered.release.values().all(|file| !String::from_utf8_lossy(&file.bytes).contains("of-this-laptop")));
    assert!(case.yaml("files/slot-blue.yml")["services"]["web-blue"]["environment"]["DEBUG"].is_null());
}
