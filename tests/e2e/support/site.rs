use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::{Run, Sshd, docker, free_address, sshd};

/// A secret with everything that quoting gets wrong.
pub const PASSWORD: &str = "p'a$$w\"o\\rd ${X} `y` #z";

/// A project, its target and its port.
pub struct Site {
    pub name: String,
    pub folder: PathBuf,
    pub root: PathBuf,
    pub address: SocketAddr,
    pub key: &'static str,
}

impl Site {
    /// A copy of examples/django with the shortest deploy.toml, and these lines after it.
    pub fn new(name: &str, more: &str) -> Self {
        let site = Self::empty(name);
        let copied = Command::new("cp").arg("-r").arg(example()).arg(site.app("")).status().unwrap();
        assert!(copied.success());
        site.deploy_toml(more);
        site
    }

    /// A folder and a port, with nothing in it.
    pub fn empty(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("estiba-test-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let address = free_address();
        let name = format!("e2e-{name}-{}", std::process::id());
        Self { name, root: folder.join("root"), folder, address, key: "id_ed25519" }
    }

    pub fn deploy_toml(&self, more: &str) {
        self.deploy_toml_for(sshd(), more);
    }

    /// The shortest deploy.toml for that server.
    pub fn deploy_toml_for(&self, server: &Sshd, more: &str) {
        let user = std::env::var("USER").unwrap_or_else(|_| "root".into());
        let text = format!(
            "[project]\nname = \"{}\"\n\n[target.production]\nhosts = [\"{user}@127.0.0.1:{}\"]\nhost-keys = [\"{}\"]\nroot = \"{}\"\n{more}",
            self.name,
            server.port,
            server.fingerprint,
            self.root.display()
        );
        self.write("deploy.toml", &text);
    }

    pub fn app(&self, path: &str) -> PathBuf {
        let app = self.folder.join("app");
        if path.is_empty() { app } else { app.join(path) }
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.app(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn append(&self, path: &str, text: &str) {
        let mut file = std::fs::OpenOptions::new().append(true).open(self.app(path)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[track_caller]
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.app(path)).unwrap();
        assert!(text.contains(from), "no `{from}` in {path}");
        self.write(path, &text.replacen(from, to, 1));
    }

    /// The whole project as it is now, to come back to.
    pub fn keep(&self) -> Kept<'_> {
        let copy = self.folder.join("kept");
        let _ = std::fs::remove_dir_all(&copy);
        assert!(Command::new("cp").arg("-r").arg(self.app("")).arg(&copy).status().unwrap().success());
        Kept { site: self, copy }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_estiba"));
        command
            .args(arguments)
            .current_dir(self.app(""))
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HOME", std::env::var("HOME").unwrap())
            .env("USER", "estibador")
            .env("ESTIBA_SSH_KEY", std::fs::read_to_string(sshd().folder.join(self.key)).unwrap())
            .env("DJANGO_SECRET_KEY", "a-long-secret-key-of-this-test")
            .env("POSTGRES_PASSWORD", PASSWORD)
            .env("HTTP_PORT", format!("127.0.0.1:{}", self.address.port()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the binary in the project's folder.
    pub fn estiba(&self, arguments: &[&str]) -> Run {
        Self::ended(self.spawn(arguments))
    }

    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    pub fn ended(child: Child) -> Run {
        let output = child.wait_with_output().unwrap();
        let run = Run {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        for text in [&run.stdout, &run.stderr] {
            assert!(!text.contains(PASSWORD), "a secret was shown:\n{text}");
            assert!(!text.contains("panicked"), "{text}");
        }
        run
    }

    #[track_caller]
    pub fn deployed(&self) -> Value {
        self.estiba(&["deploy", "--json"]).expect(0, "deployed")
    }

    pub fn status(&self) -> Value {
        let run = self.estiba(&["status", "--json"]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        run.json()
    }

    /// GETs a path; status and body.
    pub fn get(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.address);
        let output = Command::new("curl").args(["-s", "--max-time", "10", "-w", "\n%{http_code}", &url]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').unwrap_or(("", "0"));
        (status.parse().unwrap_or(0), body.to_owned())
    }

    /// The release that answers.
    #[track_caller]
    pub fn serving(&self) -> String {
        let (status, body) = self.get("/health/");
        assert_eq!(status, 200, "{body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        body["release"].as_str().unwrap().to_owned()
    }

    /// The slot that the edge serves.
    pub fn slot(&self) -> String {
        let text = std::fs::read_to_string(self.root.join("edge/web/state/slot.map")).unwrap();
        text.trim().trim_start_matches("slot ").to_owned()
    }

    /// Id and start time of each running container of the project.
    pub fn containers(&self) -> Vec<String> {
        let filter = format!("label=com.docker.compose.project={}", self.name);
        let ids = docker(&["ps", "-q", "--no-trunc", "--filter", &filter]);
        let mut found: Vec<String> = ids
            .split_whitespace()
            .map(|id| docker(&["inspect", "-f", "{{.Name}} {{.Id}} {{.State.StartedAt}}", id]).trim().to_owned())
            .collect();
        found.sort();
        found
    }

    /// Is the lock free?
    pub fn lock_is_free(&self) -> bool {
        Command::new("flock").args(["-n", "-s"]).arg(self.root.join("state/lock")).arg("true").status().unwrap().success()
    }
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/django")
}

/// The project as it was.
pub struct Kept<'a> {
    site: &'a Site,
    copy: PathBuf,
}

impl Kept<'_> {
    pub fn restore(&self) {
        // The folders stay: a container may have them mounted.
        let script = "cd \"$2\" && find . -type f | while IFS= read -r file; do [ -e \"$1/$file\" ] || rm \"$file\"; done && cp -rT \"$1\" .";
        let folders = [self.copy.as_os_str(), self.site.app("").as_os_str()].map(ToOwned::to_owned);
        assert!(Command::new("sh").args(["-c", script, "sh"]).args(folders).status().unwrap().success());
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::env::var_os("ESTIBA_KEEP_SITES").is_some() {
            return;
        }
        remove_project(&self.name);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Everything that Docker has of that Compose project.
pub fn remove_project(name: &str) {
    assert!(name.starts_with("e2e-"), "`{name}` is not a test's own project");
    let label = format!("label=com.docker.compose.project={}", name);
    let [edge, backup, offsite] = ["edge", "backup", "offsite"].map(|own| format!("estiba-{own}:{name}"));
    for (list, remove) in [
        (vec!["ps", "-aq", "--filter", &label], vec!["rm", "-f", "-v"]),
        (vec!["volume", "ls", "-q", "--filter", &label], vec!["volume", "rm"]),
        (vec!["network", "ls", "-q", "--filter", &label], vec!["network", "rm"]),
        (vec!["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", name], vec!["image", "rm"]),
        (vec!["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", &edge], vec!["image", "rm"]),
        (vec!["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", &backup], vec!["image", "rm"]),
        (vec!["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", &offsite], vec!["image", "rm"]),
    ] {
        let found = docker(&list);
        let ids: Vec<&str> = found.split_whitespace().collect();
        if !ids.is_empty() {
            let _ = Command::new("docker").args(remove).args(ids).output();
        }
    }
}
