//! Stacks of the kinds that teams have, each taken over while it runs from plain `docker compose up`, updated under load,
//! broken, and gone back with. Their clients keep their connections, POST, and never send a request twice; each POST is counted
//! by the app, so that one that was lost and one that was done twice are both seen.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use estiba::demo::{Load, Running, Tally};
use tokio::runtime::Runtime;

use crate::support::{Registry, Site, docker, free_address, wait_for};

/// Requests of one kind that an update, a broken release and a rollback go on under.
const REQUESTS: u64 = 5_000;

pub struct Stack {
    pub site: Site,
    /// The team's Compose files.
    files: Vec<&'static str>,
    /// What counts the rows, in a container of that service.
    counts: (&'static str, &'static [&'static str]),
    /// The path that counts, and the one that says the version.
    paths: (&'static str, &'static str),
}

const IN_REDIS: (&str, &[&str]) = ("cache", &["redis-cli", "GET", "rows"]);

impl Stack {
    /// A copy of tests/e2e/stacks/NAME, with the small app in that folder of it.
    fn new(name: &str, app: Option<&str>, more: &str) -> Self {
        Self::of(name, name, app, &format!("[rollout]\nobserve = \"1s\"\n[health]\ntimeout = \"10s\"\n{more}"))
    }

    /// The same under another name.
    pub fn of(kind: &str, name: &str, app: Option<&str>, more: &str) -> Self {
        let site = Site::empty(name);
        copy(&folder(kind), site.app(""));
        if let Some(app) = app {
            for file in ["app.py", "Dockerfile"] {
                let target = site.app(app).join(file);
                if !target.exists() {
                    std::fs::create_dir_all(target.parent().unwrap()).unwrap();
                    std::fs::copy(folder("shared").join(file), target).unwrap();
                }
            }
        }
        site.deploy_toml(more);
        let file = if site.app("compose.yml").exists() { "compose.yml" } else { "docker-compose.yml" };
        let stack = Self { site, files: vec![file], counts: IN_REDIS, paths: ("/", "/") };
        stack.env(&[]);
        stack
    }

    /// The target's env file, which the team's own `docker compose up` reads too.
    pub fn env(&self, values: &[(&str, &str)]) {
        let mut text = format!("HTTP_PORT=127.0.0.1:{}\n", self.site.address.port());
        for (name, value) in values {
            text.push_str(&format!("{name}={value}\n"));
        }
        self.site.write(".env.production", &text);
    }

    /// As the team runs it, before estiba.
    fn up(&self) {
        let output = self.compose(&["up", "-d", "--build", "--quiet-pull"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.answers("version 1");
    }

    fn compose(&self, arguments: &[&str]) -> std::process::Output {
        Command::new("docker")
            .args(["compose", "-p", &self.site.name, "--env-file", ".env.production"])
            .args(self.files.iter().flat_map(|file| ["-f", file]))
            .args(arguments)
            .current_dir(self.site.app(""))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    #[track_caller]
    pub fn answers(&self, words: &str) {
        wait_for(words, Duration::from_secs(60), || {
            let (status, body) = self.site.get(self.paths.1);
            status == 200 && body.contains(words)
        });
    }

    /// How many POSTs the app has done.
    fn rows(&self) -> u64 {
        let (service, command) = self.counts;
        let container = docker(&[
            "ps",
            "-q",
            "--filter",
            &format!("label=com.docker.compose.project={}", self.site.name),
            "--filter",
            &format!("label=com.docker.compose.service={service}"),
        ]);
        let said = docker(&[&["exec", container.trim()], command].concat());
        said.trim().parse().unwrap_or(0)
    }

    fn load(&self) -> Posts {
        let runtime = Runtime::new().unwrap();
        let before = self.rows();
        let load = Load {
            address: self.site.address,
            path: self.paths.0.into(),
            clients: 8,
            body: Some("holder=somebody".into()),
            keep_alive: true,
            // Some hundreds of requests a second: more would take the processors from the deploy itself.
            pause: Duration::from_millis(20),
            patience: Duration::from_secs(30),
        };
        let _inside = runtime.enter();
        let posts = load.start();
        drop(_inside);
        Posts { runtime, posts, before }
    }

    /// The stack runs from plain Compose, and is taken over while clients use it.
    fn is_taken_over(&self, way: Way) {
        self.up();
        let plan = self.site.estiba(&["plan"]);
        let said = match way {
            Way::Reload => "closes idle connections once",
            Way::Port => "takes the port over at `switch`",
        };
        assert!(plan.code == 0 && plan.stdout.contains(said), "{plan:?}");
        let load = self.load();
        load.until(200);
        self.site.deployed();
        load.until(load.posts.requests() + 200);
        let (tally, rows) = load.stop(self);
        match way {
            Way::Reload => {
                assert_eq!(tally.failed, tally.closed, "{:#?}", tally.failures);
                assert!(tally.failed <= 16, "each client's connection, and one that it has just made: {:#?}", tally.failures);
                assert_eq!(rows, tally.requests - tally.failed, "rows");
            }
            Way::Port => {
                // Gunicorn's own stop and the edge's start, on a machine that does other work too.
                assert!(tally.outage < Duration::from_secs(10), "{:?}: {:#?}", tally.outage, tally.failures);
                // One whose answer was cut off by the app's own stop may have been done.
                assert!((tally.requests - tally.failed..=tally.requests).contains(&rows), "{rows} rows: {tally:#?}");
            }
        }
        assert!(
            !self.site.containers().iter().any(|line| line.contains(&format!("{}-web-1 ", self.site.name))),
            "the old container stays"
        );
    }

    /// An update, a broken release and a rollback, under one load of which nothing fails.
    fn is_carried(&self, update: &dyn Fn(), broken: &dyn Fn()) {
        let load = self.load();
        update();
        self.site.deployed();
        self.answers("version 2");
        let kept = self.site.keep();
        broken();
        self.site.estiba(&["deploy", "--json"]).expect(3, "rolled-back");
        self.answers("version 2");
        kept.restore();
        self.site.estiba(&["rollback", "--json"]).expect(0, "rolled-back");
        self.answers("version 1");
        load.until(REQUESTS);
        let (tally, rows) = load.stop(self);
        assert_eq!(tally.failed, 0, "of {}: {:#?}", tally.requests, tally.failures);
        assert_eq!(rows, tally.requests, "each was done once");
    }

    fn edits(&self, app: &str) {
        let update = || self.site.edit(app, "VERSION = \"1\"", "VERSION = \"2\"");
        let broken = || self.site.append(app, "\nraise SystemExit('this release does not start')\n");
        self.is_carried(&update, &broken);
    }
}

#[derive(Clone, Copy)]
enum Way {
    /// A proxy of the stack is told to look the app's name up.
    Reload,
    /// The edge takes the port over from the app.
    Port,
}

struct Posts {
    runtime: Runtime,
    posts: Running,
    before: u64,
}

impl Posts {
    fn until(&self, requests: u64) {
        wait_for("requests", Duration::from_secs(180), || self.posts.requests() >= requests);
    }

    /// What became of them, and how many rows they made.
    fn stop(self, stack: &Stack) -> (Tally, u64) {
        let Self { runtime, posts, before } = self;
        let tally = runtime.block_on(posts.stop());
        (tally, stack.rows() - before)
    }
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/stacks").join(name)
}

fn copy(from: &std::path::Path, to: PathBuf) {
    assert!(Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap().success());
}

#[test]
fn an_app_alone_that_publishes_its_port() {
    let stack = Stack::new("published", Some(""), "");
    // A variable that only the old stack has would move the app to another port.
    stack.up();
    stack.site.write(".env.production", "");
    stack
        .site
        .estiba(&["deploy"])
        .says(1, &["publishes ports that this release does not", "web on 0.0.0.0:8000", "Nothing was changed"]);
    stack.env(&[]);
    stack.is_taken_over(Way::Port);
    stack.edits("app.py");
}

#[test]
#[ignore = "a variant: make test-whole"]
fn nginx_with_its_configuration_baked_in() {
    let stack = Stack::new("built-proxy", Some("app"), "");
    stack.is_taken_over(Way::Reload);
    stack.edits("app/app.py");
    is_ejected(&stack, "version 1");
}

/// The way back, under load, and the way there again.
fn is_ejected(stack: &Stack, version: &str) {
    let said = stack.site.estiba(&["eject"]);
    assert!(said.code == 0 && said.stderr.contains("nothing was changed"), "{said:?}");
    let untouched = |containers: &[String]| -> Vec<String> {
        containers.iter().filter(|line| line.contains("-db-1 ") || line.contains("-cache-1 ")).cloned().collect()
    };
    let before = stack.site.containers();
    let load = stack.load();
    load.until(200);
    stack.site.estiba(&["eject", "--yes", "--json"]).expect(0, "done");
    load.until(load.posts.requests() + 200);
    let (tally, rows) = load.stop(stack);
    assert_eq!(tally.failed, tally.closed, "{:#?}", tally.failures);
    assert_eq!(rows, tally.requests - tally.failed, "rows");
    stack.answers(version);
    // Compose finds nothing to do, and nothing of estiba is left in what runs.
    let after = stack.site.containers();
    assert_eq!(untouched(&after), untouched(&before), "data services were not touched");
    assert!(!after.iter().any(|line| line.contains("-blue-") || line.contains("-green-")), "{after:?}");
    let up = Command::new("docker").args(["compose", "up", "-d"]).current_dir(stack.site.root.join("plain")).output().unwrap();
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    assert_eq!(untouched(&stack.site.containers()), untouched(&before), "{}", String::from_utf8_lossy(&up.stderr));
    let labels = docker(&[
        "ps",
        "-q",
        "--filter",
        "label=estiba.edge",
        "--filter",
        &format!("label=com.docker.compose.project={}", stack.site.name),
    ]);
    assert_eq!(labels.trim(), "");
    stack.site.deployed();
    stack.answers("version");
}

#[test]
#[ignore = "a variant: make test-whole"]
fn nginx_with_its_configuration_as_one_mounted_file() {
    let stack = Stack::new("mounted-file", Some("app"), "");
    stack.is_taken_over(Way::Reload);
    stack.edits("app/app.py");
}

#[test]
#[ignore = "a variant: make test-whole"]
fn a_proxy_on_the_host() {
    let stack = Stack::new("host-proxy", Some(""), "");
    let port = free_address().port();
    stack.env(&[("APP_PORT", &port.to_string())]);
    let front = stack.site.address;
    let configuration = stack.site.folder.join("nginx.conf");
    let text = format!(
        "events {{ worker_connections 1024; }}\nhttp {{\n  access_log off;\n  upstream app {{ server 127.0.0.1:{port}; keepalive 8; }}\n  \
         server {{\n    listen {front};\n    location / {{ proxy_pass http://app; proxy_http_version 1.1; \
         proxy_set_header Connection \"\"; proxy_set_header Host $http_host; }}\n  }}\n}}\n"
    );
    std::fs::write(&configuration, text).unwrap();
    let name = format!("{}-host", stack.site.name);
    let mount = format!("{}:/etc/nginx/nginx.conf:ro", configuration.display());
    docker(&["run", "-d", "--rm", "--name", &name, "--network", "host", "-v", &mount, "nginx:1.22"]);
    let proxy = Removed(name);
    stack.is_taken_over(Way::Port);
    stack.edits("app.py");
    drop(proxy);
}

/// A container that goes with the test.
struct Removed(String);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", &self.0]).output();
    }
}

#[test]
#[ignore = "a variant: make test-whole"]
fn caddy_in_front() {
    let stack = Stack::new("caddy", Some(""), "");
    stack.is_taken_over(Way::Reload);
    stack.edits("app.py");
}

#[test]
#[ignore = "a variant: make test-whole"]
fn backend_frontend_workers_and_a_migrate_job_in_two_files() {
    let mut stack = Stack::new(
        "several",
        None,
        "[stack]\ncompose = [\"compose.yml\", \"compose.prod.yml\"]\n[apps.backend]\nhealth = { path = \"/api/health/\" }\n",
    );
    stack.files = vec!["compose.yml", "compose.prod.yml"];
    stack.env(&[("SECRET_KEY", "a-long-secret-key"), ("POSTGRES_PASSWORD", "plain-password")]);
    stack.counts = ("db", &["psql", "-U", "shop", "-d", "shop", "-tAc", "select count(*) from rows_row"]);
    stack.paths = ("/api/rows/", "/api/health/");
    stack.is_taken_over(Way::Reload);
    let page = || stack.site.get("/").1;
    let update = || {
        stack.site.edit("backend/config/urls.py", "VERSION = \"1\"", "VERSION = \"2\"");
        stack.site.edit("frontend/index.html", "version 1", "version 2");
    };
    // One of the apps fails, and all stay.
    let broken = || {
        assert!(page().contains("version 2"), "both change over");
        stack.site.edit("backend/config/urls.py", "VERSION = \"2\"", "VERSION = \"3\"");
        stack.site.append("frontend/server.py", "");
        stack.site.edit("frontend/server.py", "import http.server", "raise SystemExit(3)");
    };
    stack.is_carried(&update, &broken);
    assert!(page().contains("version 1"), "both go back");
    let ticks = || {
        let container = format!("{}-db-1", stack.site.name);
        docker(&["exec", &container, "psql", "-U", "shop", "-d", "shop", "-tAc", "select count(*) from rows_tick"])
    };
    let before = ticks();
    wait_for("the worker and the beat", Duration::from_secs(30), || ticks() != before);
    is_ejected(&stack, "version");
    let before = ticks();
    wait_for("the worker and the beat", Duration::from_secs(30), || ticks() != before);
}

#[test]
#[ignore = "a variant: make test-whole"]
fn an_image_of_a_registry_alone() {
    let stack = Stack::new("image-only", None, "");
    let registry = Registry::start(&stack.site, None);
    let sources = stack.site.folder.join("sources");
    copy(&folder("shared"), sources.clone());
    let push = |tag: &str, edit: &dyn Fn(String) -> String| {
        let app = sources.join("app.py");
        let text = std::fs::read_to_string(&app).unwrap();
        std::fs::write(&app, edit(text)).unwrap();
        let reference = format!("{}/team/app:{tag}", registry.name);
        docker(&["build", "-q", "-t", &reference, sources.to_str().unwrap()]);
        docker(&["push", "-q", &reference]);
        docker(&["image", "rm", &reference]);
        reference
    };
    stack.env(&[("APP_IMAGE", &push("1", &|text| text))]);
    stack.is_taken_over(Way::Reload);
    let second = push("2", &|text| text.replace("VERSION = \"1\"", "VERSION = \"2\""));
    let third = push("3", &|text| text + "\nraise SystemExit('this release does not start')\n");
    let load = stack.load();
    for (reference, code, outcome, version) in [(second, 0, "deployed", "version 2"), (third, 3, "rolled-back", "version 2")] {
        stack.env(&[("APP_IMAGE", &reference)]);
        stack.site.estiba(&["deploy", "--json"]).expect(code, outcome);
        stack.answers(version);
    }
    stack.site.estiba(&["rollback", "--json"]).expect(0, "rolled-back");
    stack.answers("version 1");
    load.until(REQUESTS);
    let (tally, rows) = load.stop(&stack);
    assert_eq!(tally.failed, 0, "of {}: {:#?}", tally.requests, tally.failures);
    assert_eq!(rows, tally.requests, "each was done once");
}

#[test]
#[ignore = "a variant: make test-whole"]
fn uwsgi_behind_nginx() {
    let stack = Stack::new("uwsgi", Some("app"), "");
    stack.is_taken_over(Way::Reload);
    stack.edits("app/app.py");
}
