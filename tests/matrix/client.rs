//! The project that is deployed, and the binary that deploys it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::proxy::Proxy;
use super::server::{Server, sh};

pub struct Client {
    app: PathBuf,
    pub proxy: Proxy,
    key: String,
    number: u32,
}

/// Ends by itself, so that it is a job of the release.
const JOB: &str = "  job:\n    <<: *app\n    restart: \"no\"\n    command: [\"true\"]\n";

/// A step of the team's, before the section that it stands before.
const STEP: &str =
    "[[step]]\nname = \"team-step\"\nafter = \"start\"\nrun = \"true\"\nundo = \"true\"\ntimeout = \"20s\"\n[health]\n";

/// What holds the tests, or the scan, while the file is there. The tests' container sees the folder.
const HELD: &str = ": >HOLD/reached; while [ -e HOLD/step ]; do sleep 0.05; done";

pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Client {
    pub fn new(server: &Server) -> Self {
        let app = server.folder.join("app");
        sh(&format!("cp -r {}/examples/django {}", env!("CARGO_MANIFEST_DIR"), app.display()));
        let proxy = Proxy::start(server.ssh_port);
        let deploy = format!(
            "[project]\nname = \"shop\"\n[target.production]\nhosts = [\"root@127.0.0.1:{}\"]\nhost-keys = [\"{}\"]\nurl = \"http://127.0.0.1:{}/health/\"\n\
             [app]\nworkers = [\"worker\"]\nmigrate = \"python manage.py migrate --noinput\"\npending-migrations = \"echo one\"\n[health]\ntimeout = \"8s\"\n[rollout]\nobserve = \"2s\"\nmin-requests = 5\nconfirm-timeout = \"8s\"\nkeep-releases = 2\n",
            proxy.port,
            server.fingerprint(),
            server.http_port
        );
        std::fs::write(app.join("deploy.toml"), deploy).unwrap();
        let compose = std::fs::read_to_string(app.join("compose.yml")).unwrap();
        let worker = "services:\n  worker:\n    <<: *app\n    init: true\n    command: [\"sleep\", \"infinity\"]\n";
        std::fs::write(app.join("compose.yml"), compose.replacen("services:\n", worker, 1)).unwrap();
        let key = std::fs::read_to_string(server.folder.join("key")).unwrap();
        let mut client = Self { app, proxy, key, number: 0 };
        client.change();
        client
    }

    /// Changes the project: its environment and its proxy's configuration, each with the same number.
    pub fn change(&mut self) -> u32 {
        self.number += 1;
        let number = self.number;
        let replace = |file: &str, marker: &str| {
            let path = self.app.join(file);
            let text = std::fs::read_to_string(&path).unwrap();
            let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with(marker)).collect();
            std::fs::write(path, format!("{}\n{marker}{number}\n", kept.join("\n"))).unwrap();
        };
        replace(".env.production", "NUMBER=");
        replace("nginx/site.conf", "# number ");
        number
    }

    /// From now on migrations run behind a fence, or do not.
    pub fn set_fence(&self, fenced: bool) {
        let path = self.app.join("deploy.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let kept = text.split("[database]").next().unwrap();
        let database = if fenced { "[database]\nduring-migrations = \"read-only\"\n" } else { "" };
        std::fs::write(path, format!("{kept}{database}")).unwrap();
    }

    /// From now on half of the visitors get a new release first, or none do.
    pub fn set_canary(&self, wanted: bool) {
        self.set("[rollout]\n", "[rollout]\nstrategy = \"canary\"\nsteps = [50]\nstep-duration = \"1s\"\n", wanted);
    }

    /// From now on a deploy has a step of the team's, or has none.
    pub fn set_team_step(&self, wanted: bool) {
        self.set("[health]\n", STEP, wanted);
    }

    /// From now on the new image is tested, or scanned, on this machine, or neither.
    pub fn set_proof(&self, step: &str) {
        let hold = self.app.with_file_name("client-hold");
        std::fs::create_dir_all(&hold).unwrap();
        let hold = hold.display().to_string();
        let held = |folder: &str| HELD.replace("HOLD", folder);
        let tests = format!(
            "services:\n  web:\n    build: .\n    user: root\n    command: [\"sh\", \"-c\", \"{}\"]\n    volumes: [\"{hold}:/hold\"]\n",
            held("/hold")
        );
        std::fs::write(self.app.join("compose.test.yml"), tests).unwrap();
        std::fs::write(self.app.with_file_name("scan.sh"), held(&hold) + "\n").unwrap();
        let scan = format!("[scan]\ncommand = \"sh {} {{image}}\"\n[app]\n", self.app.with_file_name("scan.sh").display());
        self.set("[app]\n", "[stack]\ntest-compose = \"compose.test.yml\"\n[app]\n", step == "test");
        self.set("[app]\n", &scan, step == "scan");
    }

    /// The next deploy stops in its tests, or its scan: its image is a new one.
    pub fn hold(&self) {
        std::fs::write(self.app.join("number"), self.number.to_string()).unwrap();
        let folder = self.app.with_file_name("client-hold");
        let _ = std::fs::remove_file(folder.join("reached"));
        std::fs::write(folder.join("step"), "").unwrap();
    }

    pub fn is_held(&self) -> bool {
        self.app.with_file_name("client-hold").join("reached").exists()
    }

    pub fn let_go(&self) {
        let _ = std::fs::remove_file(self.app.with_file_name("client-hold").join("step"));
    }

    /// These lines of deploy.toml become those, or become these again.
    fn set(&self, these: &str, those: &str, wanted: bool) {
        let path = self.app.join("deploy.toml");
        let text = std::fs::read_to_string(&path).unwrap().replacen(those, these, 1);
        std::fs::write(path, if wanted { text.replacen(these, those, 1) } else { text }).unwrap();
    }

    /// From now on each release has a job that runs before it, or has none.
    pub fn set_job(&self, wanted: bool) {
        let path = self.app.join("compose.yml");
        let text = std::fs::read_to_string(&path).unwrap().replace(JOB, "");
        let text = if wanted { text.replacen("services:\n", &format!("services:\n{JOB}"), 1) } else { text };
        std::fs::write(path, text).unwrap();
    }

    /// From now on deploys neither migrate nor observe, or do both again.
    pub fn set_short(&self, short: bool) {
        let path = self.app.join("deploy.toml");
        let [long, brief] =
            [["pending-migrations = \"echo one\"", "observe = \"2s\""], ["pending-migrations = \"true\"", "observe = \"0s\""]];
        let (from, to) = if short { (long, brief) } else { (brief, long) };
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, text.replace(from[0], to[0]).replace(from[1], to[1])).unwrap();
    }

    pub fn spawn(&self, arguments: &[&str]) -> Child {
        Command::new(binary())
            .args(arguments)
            .current_dir(&self.app)
            .env("ESTIBA_SSH_KEY", &self.key)
            .env("USER", "matrix")
            .env("DJANGO_SECRET_KEY", "a-long-secret-key-of-the-matrix")
            .env("POSTGRES_PASSWORD", "a-password-of-the-matrix")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// The same as a workflow's step does it: the action's script, which becomes the binary.
    pub fn spawn_in_workflow(&self, arguments: &[&str]) -> Child {
        for file in ["outputs", "summary"] {
            let _ = std::fs::remove_file(self.app.with_file_name(file));
        }
        let binary = binary();
        let mut command = Command::new("sh");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/action")).current_dir(&self.app);
        for (name, value) in [("COMMAND", arguments.join(" ").as_str()), ("BINARY", &binary), ("SSH_KEY", &self.key)] {
            command.env(format!("ESTIBA_{name}"), value);
        }
        for name in ["TARGET", "CONFIG", "ARGS", "VERSION", "COMMENT", "TOKEN", "HOST_KEYS", "REPOSITORY"] {
            command.env(format!("ESTIBA_{name}"), "");
        }
        command
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_OUTPUT", self.app.with_file_name("outputs"))
            .env("GITHUB_STEP_SUMMARY", self.app.with_file_name("summary"))
            .env("USER", "matrix")
            .env("DJANGO_SECRET_KEY", "a-long-secret-key-of-the-matrix")
            .env("POSTGRES_PASSWORD", "a-password-of-the-matrix")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// What the step in a workflow has told: its outputs and its summary, where it has written both.
    pub fn told_the_workflow(&self) -> Option<(String, String)> {
        let read = |file: &str| std::fs::read_to_string(self.app.with_file_name(file)).ok().filter(|text| !text.is_empty());
        Some((read("outputs")?, read("summary")?))
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        ended(self.spawn(arguments))
    }

    pub fn deploy(&self, more: &[&str]) -> Run {
        self.run(&[&["deploy", "--json"], more].concat())
    }

    /// Where there is none yet, one is made.
    pub fn newest_backup(&self) -> String {
        if self.run(&["backup", "list", "--json"]).stdout.trim().is_empty() {
            self.run(&["backup", "create"]);
        }
        let listed = self.run(&["backup", "list", "--json"]).stdout;
        let last: serde_json::Value = serde_json::from_str(listed.lines().last().unwrap_or("{}")).unwrap();
        last["id"].as_str().expect("a backup").to_owned()
    }

    /// After a cell that broke: can the server be used for the next one?
    pub fn heal(&mut self, server: &Server) -> bool {
        server.empty_disk();
        server.let_go();
        self.proxy.fall_silent(false);
        server.wait_up();
        self.change();
        self.deploy(&["--force"]).code == 0
    }
}

/// The binary that is tried: another build may be, so that a long run does not hinder work on the code.
pub fn binary() -> String {
    std::env::var("ESTIBA_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_estiba").into())
}

pub fn ended(child: Child) -> Run {
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
