//! A repository whose author means harm: whatever it names, links to or asks for, nothing outside of it is read, nothing of it
//! is run, nothing is dialled, and the deployer's secrets are in no output. Each is refused with its place, exit 2.

#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests set up their own world, and stop where it is not so")]

use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What stands in files outside of the project, and in variables that are the deployer's own.
const OUTSIDE: &str = "marker-of-a-file-outside";
const SECRETS: [(&str, &str); 9] = [
    ("ESTIBA_SSH_KEY", "marker-of-the-ssh-key"),
    ("ESTIBA_SSH_PASSPHRASE", "marker-of-the-passphrase"),
    ("ESTIBA_TOKEN", "marker-of-the-token"),
    ("GITHUB_TOKEN", "marker-of-github"),
    ("ACTIONS_RUNTIME_TOKEN", "marker-of-the-runtime"),
    ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "marker-of-the-identity"),
    ("RUNNER_TEMP", "marker-of-the-runner"),
    ("AWS_SECRET_ACCESS_KEY", "marker-of-the-cloud"),
    ("POSTGRES_PASSWORD", "marker-of-the-database"),
];

const WEB: &str = "services:\n  web:\n    build: .\n    ports: [\"8000:8000\"]\n";
const PROXY: &str = "  nginx:\n    image: nginx:1.22\n    depends_on: [web]\n    volumes: [\"./nginx:/etc/nginx/conf.d:ro\"]\n";

/// A project of the least that is right, a folder beside it that is none of its business, and somebody who would answer.
struct Repository {
    folder: tempfile::TempDir,
    server: TcpListener,
}

impl Repository {
    fn new() -> Self {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        server.set_nonblocking(true).unwrap();
        let one = Self { folder: tempfile::tempdir().unwrap(), server };
        let port = one.server.local_addr().unwrap().port();
        one.write(
            "deploy.toml",
            &format!(
                "[project]\nname = \"site\"\n\n[target.production]\nhosts = [\"u@127.0.0.1:{port}\"]\nhost-keys = [\"SHA256:{}\"]\n",
                "A".repeat(43)
            ),
        );
        one.write("compose.yml", &format!("{WEB}{PROXY}"));
        one.write("nginx/site.conf", "server { listen 80; location / { proxy_pass http://web; } }\n");
        one.write("Dockerfile", "FROM scratch\nCOPY app.py /\n");
        one.write("app.py", "");
        one.write("../outside/secret", &format!("{OUTSIDE}=1\n"));
        one.write("../outside/compose.yml", &format!("services:\n  web:\n    image: \"{OUTSIDE}\"\n"));
        one.write("../outside/Dockerfile", &format!("FROM {OUTSIDE}\n"));
        one.write(".gitignore", "tools\n");
        one.git(&["init", "-q", "-b", "main"]);
        one.git(&["add", "."]);
        one.git(&["-c", "user.name=u", "-c", "user.email=u@example.com", "commit", "-q", "-m", "Good so far"]);
        // A program of the repository under a name that estiba starts. The one who runs it would know it.
        for name in ["docker", "docker-compose", "git", "sh", "ssh"] {
            one.write(&format!("tools/{name}"), "#!/bin/sh\n: >\"${0%/*}/ran\"\nenv >>\"${0%/*}/ran\"\n");
            let path = one.path(&format!("tools/{name}"));
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        one
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join("project").join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(self.path("")).unwrap();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn link(&self, path: &str, to: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(&path);
        symlink(to, path).unwrap();
    }

    fn git(&self, arguments: &[&str]) {
        let mut git = Command::new("git");
        assert!(git.arg("-C").arg(self.path("")).args(arguments).stdout(Stdio::null()).status().unwrap().success());
    }

    /// Adds these lines to deploy.toml.
    fn settings(&self, more: &str) {
        let text = std::fs::read_to_string(self.path("deploy.toml")).unwrap();
        self.write("deploy.toml", &format!("{text}{more}\n"));
    }

    /// The app's service has these keys more.
    fn web(&self, more: &str) {
        let lines: String = more.lines().map(|line| format!("    {line}\n")).collect();
        self.write("compose.yml", &format!("{WEB}{lines}{PROXY}"));
    }

    /// The Compose file has these keys more.
    fn top(&self, more: &str) {
        self.write("compose.yml", &format!("{WEB}{PROXY}{more}\n"));
    }

    /// The app's service uses a config or a secret that is defined so.
    fn uses(&self, kind: &str, defined: &str) {
        self.web(&format!("{kind}: [a]"));
        let text = std::fs::read_to_string(self.path("compose.yml")).unwrap();
        self.write("compose.yml", &format!("{text}{kind}:\n  a:\n    {defined}\n"));
    }

    /// Runs the binary with all secrets in its environment; exit status, and everything that it printed or wrote.
    fn estiba(&self, arguments: &[&str]) -> (Option<i32>, String, Duration) {
        let began = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_estiba"))
            .args(arguments)
            .current_dir(self.path(""))
            .env_clear()
            // The project's own folder stands in it, as it does on many laptops.
            .env("PATH", format!(".:./tools:{}", std::env::var("PATH").unwrap()))
            .env("HOME", self.folder.path())
            .envs(SECRETS)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let plan = std::fs::read_to_string(self.path("plan.json")).unwrap_or_default();
        let said = format!("{}{}{plan}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), said, began.elapsed())
    }

    /// What was not as promised of that output.
    fn wrong(&self, said: &str, took: Duration) -> Vec<String> {
        let mut wrong = Vec::new();
        let secrets = SECRETS.iter().map(|(_, value)| *value).chain([OUTSIDE]);
        wrong.extend(secrets.filter(|secret| said.contains(secret)).map(|secret| format!("shows {secret}")));
        if self.path("tools/ran").exists() || self.path("ran").exists() {
            wrong.push("something of the repository was run".into());
        }
        if self.server.accept().is_ok() {
            wrong.push("the server was dialled".into());
        }
        if said.contains("panicked") {
            wrong.push("panicked".into());
        }
        if took > Duration::from_secs(10) {
            wrong.push(format!("took {took:?}"));
        }
        wrong
    }
}

/// One way to mean harm: what it is, how the repository is made so, and the place that the refusal names.
type Case = (&'static str, Make, &'static str);
type Make = fn(&Repository);

/// Runs what a pull request and a push run, over each case, and tells of all that is not as promised.
#[track_caller]
fn refused(cases: &[Case]) {
    let mut broken = Vec::new();
    for (name, make, place) in cases {
        for arguments in [&["config", "check"] as &[&str], &["plan", "--offline", "--out", "plan.json", "--json"], &["deploy"]] {
            let repository = Repository::new();
            make(&repository);
            let (code, said, took) = repository.estiba(arguments);
            let mut wrong = repository.wrong(&said, took);
            if code != Some(2) {
                wrong.push(format!("exit {code:?}"));
            }
            if !said.contains(place) {
                wrong.push(format!("no `{place}`"));
            }
            if !wrong.is_empty() {
                let shown: String = said.chars().take(600).collect();
                broken.push(format!("{name}: {arguments:?}: {}\n{shown}", wrong.join(", ")));
            }
        }
    }
    assert!(broken.is_empty(), "{} broken:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn links_out_of_the_repository() {
    refused(&[
        ("a proxy's file is the process's environment", |r| r.link("nginx/leak.conf", "/proc/self/environ"), "leak.conf"),
        ("a proxy's file is outside", |r| r.link("nginx/leak.conf", "../../outside/secret"), "leak.conf"),
        ("a folder in a mounted folder is outside", |r| r.link("nginx/more", "/etc"), "nginx/more"),
        (
            "a mounted folder is outside",
            |r| {
                r.link("conf", "../outside");
                r.web("volumes: [\"./conf:/conf:ro\"]");
            },
            "conf",
        ),
        (
            "a mounted file is outside",
            |r| {
                r.link("settings.ini", "../outside/secret");
                r.web("volumes: [\"./settings.ini:/settings.ini:ro\"]");
            },
            "settings.ini",
        ),
        (
            "a link to a link that is outside",
            |r| {
                r.link("nginx/leak.conf", "../second");
                r.link("second", "../outside/secret");
            },
            "leak.conf",
        ),
        ("deploy.toml is outside", |r| r.link("deploy.toml", "../outside/secret"), "deploy.toml"),
        ("deploy.toml is the process's environment", |r| r.link("deploy.toml", "/proc/self/environ"), "deploy.toml"),
        ("the Compose file is outside", |r| r.link("compose.yml", "../outside/compose.yml"), "compose.yml"),
        ("the env file is outside", |r| r.link(".env.production", "../outside/secret"), ".env.production"),
        ("the env file is the process's environment", |r| r.link(".env.production", "/proc/self/environ"), ".env.production"),
        (
            "the app's env_file is outside",
            |r| {
                r.link("app.env", "../outside/secret");
                r.web("env_file: app.env");
            },
            "app.env",
        ),
        (
            "a config is outside",
            |r| {
                r.link("app.conf", "../outside/secret");
                r.web("configs: [app]");
                let text = std::fs::read_to_string(r.path("compose.yml")).unwrap();
                r.write("compose.yml", &format!("{text}configs:\n  app:\n    file: ./app.conf\n"));
            },
            "app.conf",
        ),
        (
            "an included file is outside",
            |r| {
                r.link("more.yml", "../outside/compose.yml");
                r.top("include: [more.yml]");
            },
            "more.yml",
        ),
        (
            "an extended file is outside",
            |r| {
                r.link("base.yml", "../outside/compose.yml");
                r.web("extends: {file: base.yml, service: web}");
            },
            "base.yml",
        ),
        (
            "the maintenance page is outside",
            |r| {
                r.link("maintenance.html", "../outside/secret");
                r.settings("[edge]\nmaintenance = \"maintenance.html\"");
            },
            "maintenance.html",
        ),
        ("the Dockerfile is outside", |r| r.link("Dockerfile", "../outside/Dockerfile"), "Dockerfile"),
        (
            "the build context is outside",
            |r| {
                r.link("app", "../outside");
                r.write("compose.yml", &WEB.replace("build: .", "build: ./app"));
            },
            "app",
        ),
    ]);
}

#[test]
fn paths_out_of_the_repository() {
    refused(&[
        ("a mount", |r| r.web("volumes: [\"./nginx/../../outside:/x:ro\"]"), "compose.yml"),
        ("a mount by variable", |r| r.web("volumes: [\"${OUT:-../outside}:/x:ro\"]"), "compose.yml"),
        ("env_file", |r| r.web("env_file: ../outside/secret"), "compose.yml"),
        ("env_file by its whole path", |r| r.web("env_file: /etc/hostname"), "compose.yml"),
        ("label_file", |r| r.web("label_file: /proc/self/environ"), "compose.yml"),
        ("extends", |r| r.web("extends: {file: ../outside/compose.yml, service: web}"), "compose.yml"),
        ("include", |r| r.top("include: [../outside/compose.yml]"), "compose.yml"),
        (
            "include with an env file",
            |r| {
                r.write("more.yml", "services: {}\n");
                r.top("include: [{path: more.yml, env_file: ../outside/secret}]");
            },
            "compose.yml",
        ),
        (
            "include with a folder",
            |r| {
                r.write("more.yml", "services: {}\n");
                r.top("include: [{path: more.yml, project_directory: ../outside}]");
            },
            "compose.yml",
        ),
        ("include of an address", |r| r.top("include: [\"https://192.0.2.1/compose.yml\"]"), "compose.yml"),
        ("include of a repository", |r| r.top("include: [\"git@192.0.2.1:a/b.git\"]"), "compose.yml"),
        ("include of an artefact", |r| r.top("include: [\"oci://192.0.2.1/a:b\"]"), "compose.yml"),
        ("a config", |r| r.uses("configs", "file: ../outside/secret"), "compose.yml"),
        ("a build context", |r| r.write("compose.yml", &WEB.replace("build: .", "build: ../outside")), "compose.yml"),
        (
            "a Dockerfile",
            |r| {
                r.write("compose.yml", &WEB.replace("build: .", "build: {context: ., dockerfile: ../outside/Dockerfile}"));
            },
            "Dockerfile",
        ),
        (
            "a further build context",
            |r| {
                r.write("compose.yml", &WEB.replace("build: .", "build: {context: ., additional_contexts: {x: ../outside}}"));
            },
            "compose.yml",
        ),
        (
            "a build secret",
            |r| {
                let build = "build: {context: ., secrets: [a]}";
                r.write(
                    "compose.yml",
                    &format!("{}secrets:\n  a:\n    file: ../outside/secret\n", WEB.replace("build: .", build)),
                );
            },
            "compose.yml",
        ),
        ("[stack] compose", |r| r.settings("[stack]\ncompose = [\"compose.yml\", \"../outside/compose.yml\"]"), "deploy.toml"),
        ("[target] env-file", |r| r.settings("env-file = \"/etc/hostname\""), "deploy.toml"),
        ("[edge] maintenance", |r| r.settings("[edge]\nmaintenance = \"../outside/secret\""), "deploy.toml"),
        ("[image] context", |r| r.settings("[image]\ncontext = \"../outside\""), "deploy.toml"),
        ("[image] dockerfile", |r| r.settings("[image]\ndockerfile = \"../outside/Dockerfile\""), "deploy.toml"),
        ("[stack] shared", |r| r.settings("[stack]\nshared = [\"../../etc\"]"), "deploy.toml"),
        ("[target] root is the system's", |r| r.settings("root = \"/etc/site\""), "deploy.toml"),
        ("a static folder", |r| r.settings("[app]\nstatic = [\"../outside\"]"), "deploy.toml"),
    ]);
}

#[test]
fn variables_that_are_the_deployers() {
    refused(&[
        ("the key in the environment", |r| r.web("environment: {A: \"${ESTIBA_SSH_KEY}\"}"), "compose.yml"),
        ("the key handed on", |r| r.web("environment: [ESTIBA_SSH_KEY]"), "compose.yml"),
        (
            "the key as a secret",
            |r| {
                r.uses("secrets", "environment: ESTIBA_SSH_KEY");
            },
            "compose.yml",
        ),
        ("the key as a config", |r| r.uses("configs", "environment: ESTIBA_SSH_KEY"), "compose.yml"),
        ("the key as a config's content", |r| r.uses("configs", "content: \"${ESTIBA_SSH_KEY}\""), "compose.yml"),
        (
            "the key as a build argument that is handed on",
            |r| {
                r.write("compose.yml", &WEB.replace("build: .", "build: {context: ., args: [ESTIBA_SSH_KEY]}"));
            },
            "compose.yml",
        ),
        (
            "the key as a build secret",
            |r| {
                let build = "build: {context: ., secrets: [a]}";
                let secrets = "secrets:\n  a:\n    environment: ESTIBA_SSH_KEY\n";
                r.write("compose.yml", &format!("{}{secrets}", WEB.replace("build: .", build)));
            },
            "compose.yml",
        ),
        ("the token in the env file", |r| r.write(".env.production", "A=${ESTIBA_TOKEN}\n"), ".env.production"),
        ("GitHub's in the env file", |r| r.write(".env.production", "A=${GITHUB_TOKEN}\n"), ".env.production"),
        ("the runtime's in the env file", |r| r.write(".env.production", "A=${ACTIONS_RUNTIME_TOKEN}\n"), ".env.production"),
        (
            "the token in a host's name",
            |r| {
                r.write(
                    "deploy.toml",
                    "[project]\nname = \"site\"\n[target.production]\nhosts = [\"u@${ESTIBA_TOKEN}.example.com\"]\n",
                );
            },
            "deploy.toml",
        ),
        ("the runner's in an address", |r| r.settings("url = \"https://${RUNNER_TEMP}.example.com/\""), "deploy.toml"),
    ]);
}

#[test]
fn names_and_words_that_would_be_run_or_lead_out() {
    refused(&[
        ("a project that is a command", |r| r.write("deploy.toml", "[project]\nname = \"$(touch ran)\"\n"), "deploy.toml"),
        ("a project that is a path", |r| r.write("deploy.toml", "[project]\nname = \"../site\"\n"), "deploy.toml"),
        ("a project that is an option", |r| r.write("deploy.toml", "[project]\nname = \"-rf\"\n"), "deploy.toml"),
        ("a Compose project that is a path", |r| r.settings("compose-project = \"../x\""), "deploy.toml"),
        ("a service that is a command", |r| r.write("compose.yml", &WEB.replace("web:", "\"$(touch ran)\":")), "compose.yml"),
        ("a service that is a path", |r| r.write("compose.yml", &WEB.replace("web:", "\"../web\":")), "compose.yml"),
        ("a volume that is a path", |r| r.web("volumes: [\"../../x/y:/x\"]"), "compose.yml"),
        (
            "a network that is an option",
            |r| {
                r.web("networks: [\"-x; touch ran\"]");
                let text = std::fs::read_to_string(r.path("compose.yml")).unwrap();
                r.write("compose.yml", &format!("{text}networks:\n  \"-x; touch ran\": {{}}\n"));
            },
            "compose.yml",
        ),
        (
            "an image that is an option",
            |r| r.write("compose.yml", &WEB.replace("build: .", "image: \"--privileged\"")),
            "compose.yml",
        ),
        (
            "a host that is an option",
            |r| {
                r.write(
                    "deploy.toml",
                    "[project]\nname = \"site\"\n[target.production]\nhosts = [\"u@-oProxyCommand=touch ran\"]\n",
                );
            },
            "deploy.toml",
        ),
        ("a root that is a command", |r| r.settings("root = \"/srv/$(touch ran)\""), "deploy.toml"),
        ("a root that climbs", |r| r.settings("root = \"/srv/../etc\""), "deploy.toml"),
        ("a root of the system, written otherwise", |r| r.settings("root = \"//etc/x\""), "deploy.toml"),
        ("an address that is none and holds a secret", |r| r.settings("url = \"ftp//${POSTGRES_PASSWORD}@x\""), "deploy.toml"),
        ("a file of the proxy with a line end in its name", |r| r.write("nginx/a\nb.conf", ""), "control character"),
        ("a file of the build with a line end in its name", |r| r.write("a\n..", ""), "control character"),
        (
            "a build argument that is a program's own, and holds a secret",
            |r| {
                r.write(".env.production", "S=${POSTGRES_PASSWORD}\n");
                let arguments = "{CLOUDSDK_PYTHON: \"./tools/git ${S}\"}";
                r.write("compose.yml", &WEB.replace("build: .", &format!("build: {{context: ., args: {arguments}}}")));
            },
            "CLOUDSDK_PYTHON",
        ),
        ("a program to be asked by Compose", |r| r.web("provider: {type: ./tools/docker}"), "compose.yml"),
        ("the Engine's socket handed in", |r| r.web("use_api_socket: true"), "compose.yml"),
        (
            "a database whose name is SQL",
            |r| {
                r.write("compose.yml", &format!("{WEB}  db:\n    image: postgres:15\n"));
                r.settings("[database]\nname = \"x\\\"; DROP DATABASE y; --\"");
            },
            "deploy.toml",
        ),
    ]);
}

#[test]
fn files_that_are_no_files_or_are_more_than_they_seem() {
    refused(&[
        (
            "a pipe among the proxy's files",
            |r| {
                assert!(Command::new("mkfifo").arg(r.path("nginx/pipe.conf")).status().unwrap().success());
            },
            "pipe.conf",
        ),
        (
            "a pipe for an env file",
            |r| {
                assert!(Command::new("mkfifo").arg(r.path(".env.production")).status().unwrap().success());
            },
            ".env.production",
        ),
        ("a device for an env file", |r| r.link(".env.production", "/dev/zero"), ".env.production"),
        ("a device for a Compose file", |r| r.link("compose.yml", "/dev/zero"), "no Compose file"),
        (
            "a template without an end",
            |r| {
                let twice = "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}";
                r.write("nginx/site.conf", twice);
                r.settings("[stack]\ntemplates = [\"nginx\"]");
            },
            "site.conf",
        ),
        (
            "a template that reads a file",
            |r| {
                r.write("nginx/site.conf", "{% include '../../outside/secret' %}");
                r.settings("[stack]\ntemplates = [\"nginx\"]");
            },
            "site.conf",
        ),
        (
            "aliases that grow",
            |r| {
                let mut text = String::from("x-0: &l0 [a, a, a, a, a, a, a, a, a]\n");
                for level in 1..12 {
                    text += &format!("x-{level}: &l{level} [{}]\n", vec![format!("*l{}", level - 1); 9].join(", "));
                }
                r.top(&text);
            },
            "compose.yml",
        ),
        ("lists in lists", |r| r.top(&format!("x-deep: {}{}", "[".repeat(20_000), "]".repeat(20_000))), "compose.yml"),
        ("lists in lists, without brackets", |r| r.top(&format!("x-deep:\n  {}x", "- ".repeat(400_000))), "compose.yml"),
        ("a file of 60 MB", |r| r.write("compose.yml", &"#".repeat(60 * 1024 * 1024)), "compose.yml"),
    ]);
}

#[test]
fn a_plan_is_not_written_through_a_link() {
    let repository = Repository::new();
    repository.link("plan.json", "../outside/secret");
    let (code, said, took) = repository.estiba(&["plan", "--offline", "--out", "plan.json"]);
    assert_eq!((code, repository.wrong(&said, took)), (Some(0), Vec::new()), "{said}");
    assert_eq!(std::fs::read_to_string(repository.path("../outside/secret")).unwrap(), format!("{OUTSIDE}=1\n"));
}

/// What a repository may say, and what comes of it all the same: nothing that it would like.
#[test]
fn settings_that_steer_programs_steer_none() {
    let cases: &[(&str, Make)] = &[
        ("build arguments that are a loader's or Docker's own", |r| {
            let arguments = "{PATH: \"./tools:/usr/bin\", LD_PRELOAD: ./tools/x.so, DOCKER_HOST: \"tcp://192.0.2.1:1\"}";
            r.write("compose.yml", &WEB.replace("build: .", &format!("build: {{context: ., args: {arguments}}}")));
        }),
        ("the key, or else a default", |r| {
            r.web("environment: {A: \"${ESTIBA_SSH_KEY:-x}\", B: \"${GITHUB_TOKEN-x}\"}");
            let text = std::fs::read_to_string(r.path("compose.yml")).unwrap();
            r.write("compose.yml", &text.replace("build: .", "build: {context: ., args: {A: \"${ESTIBA_SSH_KEY:-x}\"}}"));
        }),
        ("a proxy's folder as older files name it", |r| r.settings("[proxy]\nconfig = \"/etc/security\"")),
        ("a configuration of git that starts a program", |r| {
            let monitor = format!("{}", r.path("tools/git").display());
            r.git(&["config", "core.fsmonitor", &monitor]);
            r.git(&["config", "core.sshCommand", &monitor]);
            r.write(".env", "A=1\n");
        }),
        ("a filter of git", |r| {
            r.write(".gitattributes", "*.py filter=x\n");
            r.git(&["add", "."]);
            r.git(&["-c", "user.name=u", "-c", "user.email=u@example.com", "commit", "-q", "-m", "Filtered"]);
            let filter = format!("{}", r.path("tools/git").display());
            for kind in ["clean", "smudge", "process"] {
                r.git(&["config", &format!("filter.x.{kind}"), &filter]);
            }
            r.git(&["config", "filter.x.required", "true"]);
            r.write("app.py", "print()\n");
        }),
        ("the file of a secret that everybody may read here", |r| {
            r.uses("secrets", "file: ./secret.txt");
            r.write("secret.txt", OUTSIDE);
        }),
        ("an address with a secret in it", |r| {
            r.settings("url = \"https://ops:${POSTGRES_PASSWORD}@staging.example.com/\"");
        }),
        ("files of Docker and Compose in the project", |r| {
            r.write(".env", "COMPOSE_FILE=../outside/compose.yml\nDOCKER_HOST=tcp://192.0.2.1:1\nPATH=./tools\n");
            r.write("compose.override.yml", &format!("services:\n  web:\n    image: {OUTSIDE}\n"));
            r.write(".docker/config.json", "{\"credsStore\": \"x\", \"cliPluginsExtraDirs\": [\"./tools\"]}");
        }),
        ("variables of the environment that would steer", |r| {
            r.write(".env.production", "PATH=./tools\nLD_PRELOAD=./tools/x.so\nBASH_ENV=./tools/sh\nA=1\n");
        }),
    ];
    let mut broken = Vec::new();
    for (name, make) in cases {
        for arguments in [&["config", "check"] as &[&str], &["config", "show"], &["plan", "--offline"]] {
            let repository = Repository::new();
            make(&repository);
            let (code, said, took) = repository.estiba(arguments);
            let mut wrong = repository.wrong(&said, took);
            if code != Some(0) {
                wrong.push(format!("exit {code:?}"));
            }
            if !wrong.is_empty() {
                broken.push(format!("{name}: {arguments:?}: {}\n{said}", wrong.join(", ")));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
