//! The workflows of this repository, run by act on this machine with the action of this repository, against a real
//! sshd and a real Engine. GitHub's API is a local server that records what it gets.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Site, free_address, github, remove_project, sshd, wait_for};

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// A repository with the example, two targets on one server, and the workflows.
struct Repository {
    site: Site,
    staging: PathBuf,
}

impl Repository {
    fn new(name: &str) -> Self {
        let site = Site::new(name, "");
        let staging = site.folder.join("staging");
        let server = sshd();
        let target = |target: &str, root: &Path, more: &str| {
            format!(
                "[target.{target}]\nhosts = [\"root@127.0.0.1:{}\"]\nhost-keys = [\"{}\"]\nroot = \"{}\"\n{more}",
                server.port,
                server.fingerprint,
                root.display()
            )
        };
        let text = format!(
            "[project]\nname = \"{}\"\n{}{}[rollout]\nobserve = \"0s\"\n[health]\ntimeout = \"8s\"\n",
            site.name,
            target("staging", &staging, &format!("compose-project = \"{}-staging\"\n", site.name)),
            target("production", &site.root, &format!("url = \"http://{}/health/\"\n", site.address)),
        );
        site.write("deploy.toml", &text);
        let env = std::fs::read_to_string(site.app(".env.production")).unwrap();
        let port = |port: &str| {
            let kept: Vec<&str> = env.lines().filter(|line| !line.starts_with("HTTP_PORT=")).collect();
            format!("{}\nHTTP_PORT={port}\n", kept.join("\n"))
        };
        site.write(".env.production", &port(&site.address.to_string()));
        let spare = free_address();
        site.write(".env.staging", &port(&spare.to_string()));
        let action = std::fs::read_to_string(format!("{HERE}/action.yml")).unwrap();
        site.write(".estiba/action.yml", &action);
        site.write(".estiba/scripts/action", &std::fs::read_to_string(format!("{HERE}/scripts/action")).unwrap());
        for name in ["deploy", "preview", "rollback"] {
            site.write(&format!(".github/workflows/{name}.yml"), &workflow(name, &site.folder));
        }
        site.write(".dockerignore", ".estiba\n.github\n.git\n");
        let repository = Self { site, staging };
        repository.git(&["init", "-q", "-b", "main"]);
        repository.commit("first");
        repository
    }

    fn git(&self, arguments: &[&str]) {
        let done = Command::new("git")
            .args(["-c", "user.name=estibador", "-c", "user.email=estibador@example.com", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(self.site.app(""))
            .output()
            .unwrap();
        assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
    }

    /// act, with this event.
    fn act(&self, event: &str, workflow: &str, more: &[&str]) -> Child {
        let secrets = self.site.folder.join("secrets");
        let key = std::fs::read_to_string(sshd().folder.join("id_ed25519")).unwrap();
        let lines = format!(
            "SSH_KEY={}\nDJANGO_SECRET_KEY=a-long-secret-key-of-this-test\nPOSTGRES_PASSWORD=a-password-of-this-test\n",
            serde_json::Value::from(key)
        );
        std::fs::write(&secrets, lines).unwrap();
        Command::new(act())
            .args([event, "-P", "ubuntu-latest=-self-hosted", "--var", "ESTIBA_DEPLOY=on", "--secret-file"])
            .arg(&secrets)
            .args(["-W", &format!(".github/workflows/{workflow}.yml")])
            .args(more)
            .current_dir(self.site.app(""))
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HOME", &self.site.folder)
            .env("XDG_CACHE_HOME", self.site.folder.join("cache"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn ran(&self, child: Child) -> (bool, String) {
        let output = child.wait_with_output().unwrap();
        let log = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        for secret in ["a-password-of-this-test", "a-long-secret-key-of-this-test", "OPENSSH PRIVATE KEY"] {
            assert!(!log.contains(secret), "a secret was shown:\n{log}");
        }
        (output.status.success(), log)
    }

    /// What the job's last step wrote down of that step of ours.
    fn told(&self, what: &str) -> String {
        std::fs::read_to_string(self.site.folder.join(what)).unwrap_or_default()
    }

    fn forget(&self) {
        let _ = std::fs::remove_file(self.site.folder.join("outputs"));
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        remove_project(&format!("{}-staging", self.site.name));
    }
}

fn act() -> PathBuf {
    let found = PathBuf::from(format!("{HERE}/target/checkers/bin/act"));
    assert!(found.is_file(), "act is not there; scripts/setup test installs it");
    found
}

/// A workflow of this repository, with the action of this checkout, the binary of this build, and a last step that
/// writes down what ours has told.
fn workflow(name: &str, folder: &Path) -> String {
    let text = std::fs::read_to_string(format!("{HERE}/.github/workflows/{name}.yml")).unwrap();
    let step = if name == "preview" { "steps.plan" } else { &format!("steps.{name}") };
    let tell = format!(
        "      - if: always()\n        shell: sh {{0}}\n        env:\n          OUTPUTS: outcome=${{{{ {step}.outputs.outcome }}}} release=${{{{ {step}.outputs.release }}}} changed=${{{{ {step}.outputs.changed }}}}\n        run: |\n          \
         printf '%s\\n' \"$OUTPUTS\" >>{0}/outputs\n",
        folder.display()
    );
    let text = text.replace("uses: ./\n", "uses: ./.estiba\n").replace(
        "          ssh-key: ${{ secrets.SSH_KEY }}\n",
        &format!("          ssh-key: ${{{{ secrets.SSH_KEY }}}}\n          binary: {}\n", env!("CARGO_BIN_EXE_estiba")),
    );
    let text = text.replace(
        "          args: --offline\n",
        &format!("          args: --offline\n          binary: {}\n", env!("CARGO_BIN_EXE_estiba")),
    );
    // Behind the steps of each job.
    let mut lines = String::new();
    for line in text.lines() {
        if line.starts_with("  production:") {
            lines.push_str(&tell);
        }
        lines.push_str(line);
        lines.push('\n');
    }
    lines + &tell
}

#[test]
fn a_push_goes_to_staging_and_production_and_a_broken_one_is_taken_back() {
    let repository = Repository::new("push");
    let site = &repository.site;
    let (green, log) = repository.ran(repository.act("push", "deploy", &[]));
    assert!(green, "{log}");
    let first = site.serving();
    assert!(repository.staging.join("current").exists());
    let outputs = repository.told("outputs");
    assert!(outputs.contains("outcome=deployed") && outputs.contains(&first), "{outputs}\n{log}");
    // act shows the summary of each step in its log.
    assert!(log.contains("| switch | ✅ |") && log.contains("```mermaid"), "{log}");

    // Staging takes what breaks, and production never sees it.
    repository.forget();
    let broken = "\nimport sys\nif 'gunicorn' in sys.argv[0]:\n    raise RuntimeError('this release is broken')\n";
    site.append("certificados/views.py", broken);
    repository.commit("broken");
    let (green, log) = repository.ran(repository.act("push", "deploy", &[]));
    assert!(!green, "{log}");
    let outputs = repository.told("outputs");
    assert!(outputs.contains("outcome=rolled-back"), "{outputs}\n{log}");
    assert!(log.contains("❌ failed") && log.contains("Last lines of the step that failed"), "{log}");
    assert_eq!(site.serving(), first);

    // A run that is cancelled tells what becomes of it within the seconds that it has.
    repository.forget();
    site.edit("certificados/views.py", "raise RuntimeError('this release is broken')", "import time; time.sleep(60)");
    repository.commit("slow");
    let newest = || {
        let runs = std::fs::read_dir(repository.staging.join("runs")).into_iter().flatten().flatten().map(|run| run.path());
        runs.max().unwrap_or_default()
    };
    let before = newest();
    let child = repository.act("push", "deploy", &["-j", "staging"]);
    let journal = || {
        let run = newest();
        if run == before { String::new() } else { std::fs::read_to_string(run.join("journal")).unwrap_or_default() }
    };
    wait_for("the step check", Duration::from_secs(90), || journal().contains("\tbegan\tcheck"));
    let estiba = Command::new("pgrep").args(["-f", "estiba .*deploy staging"]).output().unwrap();
    let process = String::from_utf8_lossy(&estiba.stdout).lines().next().expect("estiba runs").to_owned();
    let sent = Instant::now();
    assert!(Command::new("kill").args(["-INT", &process]).status().unwrap().success());
    let (green, log) = repository.ran(child);
    assert!(!green && sent.elapsed() < Duration::from_secs(25), "{:?}\n{log}", sent.elapsed());
    let outputs = repository.told("outputs");
    assert!(outputs.contains("outcome=interrupted"), "{outputs}\n{log}");
    wait_for("the undo", Duration::from_secs(30), || journal().contains("\toutcome\t"));

    // By hand, back to the release before.
    repository.forget();
    site.edit("certificados/views.py", "import time; time.sleep(60)", "pass");
    let mut by_hand = site.command(&["deploy", "production", "--json"]);
    by_hand.env("POSTGRES_PASSWORD", "a-password-of-this-test");
    let second = Site::ended(by_hand.spawn().unwrap()).expect(0, "deployed");
    assert_eq!(site.serving(), second["release"].as_str().unwrap());
    let (green, log) = repository.ran(repository.act("workflow_dispatch", "rollback", &["--input", "target=production"]));
    assert!(green, "{log}");
    assert!(
        repository.told("outputs").contains(&format!("outcome=rolled-back release={first}")),
        "{}",
        repository.told("outputs")
    );
    assert_eq!(site.serving(), first);
}

#[test]
fn a_deploy_asks_whether_its_run_was_approved() {
    let site = Site::new("approved", "require = { approved-for = \"production\" }\n[rollout]\nobserve = \"0s\"\n");
    site.estiba(&["deploy"]).says(1, &["whether this run was approved", "GITHUB_RUN_ID is not set"]);
    let (address, requests) = github();
    let deploy = |run: &str| {
        let mut command = site.command(&["deploy", "--json"]);
        command.env("GITHUB_API_URL", &address).env("GITHUB_REPOSITORY", "somebody/certificados");
        Site::ended(command.env("GITHUB_TOKEN", "a-token-of-this-test").env("GITHUB_RUN_ID", run).spawn().unwrap())
    };
    deploy("41").says(1, &["nobody has approved this workflow run for the environment production of GitHub"]);
    assert!(!site.root.exists(), "nothing was dialled");
    let run = deploy("42");
    assert!(run.stderr.contains("eva approved this run for the environment production"), "{}", run.stderr);
    run.expect(0, "deployed");
    let asked = requests.lock().unwrap()[0].0.clone();
    assert!(asked.starts_with("GET /repos/somebody/certificados/actions/runs/41/approvals "), "{asked}");
}

#[test]
fn a_pull_request_has_one_comment_with_its_plan() {
    let repository = Repository::new("pull");
    let site = &repository.site;
    // As a checkout with the whole history has it.
    repository.git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
    let (address, requests) = github();
    let event = site.folder.join("event.json");
    let repository_name = "somebody/certificados";
    let text = format!(
        "{{\"number\": 12, \"pull_request\": {{\"number\": 12, \"head\": {{\"ref\": \"change\", \"repo\": {{\"full_name\": \"{repository_name}\"}}}}, \"base\": {{\"ref\": \"main\"}}}}, \"repository\": {{\"full_name\": \"{repository_name}\", \"name\": \"certificados\", \"owner\": {{\"login\": \"somebody\"}}}}}}"
    );
    std::fs::write(&event, text).unwrap();
    let variable = format!("GITHUB_API_URL={address}");
    let name = format!("GITHUB_REPOSITORY={repository_name}");
    let more = ["-e", event.to_str().unwrap(), "-s", "GITHUB_TOKEN=a-token-of-this-test", "--env", &variable, "--env", &name];
    let plan = |title: &str| {
        site.edit("nginx/site.conf", "server {", &format!("# {title}\nserver {{"));
        repository.commit(title);
        let (green, log) = repository.ran(repository.act("pull_request", "preview", &more));
        assert!(green, "{log}");
        log
    };
    let log = plan("one");
    let seen = requests.lock().unwrap().clone();
    let writes: Vec<_> = seen.iter().filter(|(first, _)| !first.starts_with("GET")).collect();
    assert_eq!(writes.len(), 1, "{seen:?}\n{log}");
    assert!(writes[0].0.starts_with("POST /repos/somebody/certificados/issues/12/comments"), "{writes:?}");
    assert!(writes[0].1.contains("+# one") && writes[0].1.contains("Plan digest"), "{writes:?}");

    plan("two");
    let seen = requests.lock().unwrap().clone();
    let writes: Vec<_> = seen.iter().filter(|(first, _)| !first.starts_with("GET")).collect();
    assert_eq!(writes.len(), 2, "{seen:?}");
    assert!(writes[1].0.starts_with("PATCH /repos/somebody/certificados/issues/comments/7 "), "{writes:?}");
    assert!(writes[1].1.contains("+# two"), "{writes:?}");
}

/// Prints everything that a runner, a terminal or a reader could take for something else.
const NOISE: &str = r###"
import sys
out = sys.stdout.buffer
for line in (b"::set-output name=outcome::deployed", b"::add-mask::deployed", b"##[error]not ours", b"text ##[group]not ours",
             b"  ::error::not ours", b"\x1b[2J\x1b[1;1H\x1b]0;title\x07moved", b"\xff\xfe invalid", b"a\x00b",
             b"::stop-commands::x", b"::endgroup::", b"\r::warning::not ours"):
    out.write(line + b"\n")
for number in range(100000):
    out.write(b"line %d\n" % number)
out.write(b"x" * 5000000 + b"\n")
out.write(b"the last line\n")
"###;

/// Reads a log as the runner does: which commands take effect.
pub fn commands(log: &str) -> Vec<String> {
    let mut stopped: Option<String> = None;
    let mut found = Vec::new();
    for line in log.lines() {
        if let Some(token) = &stopped {
            if line.trim() == format!("::{token}::") {
                stopped = None;
            }
            continue;
        }
        assert!(!line.contains("##["), "{line}");
        if let Some(token) = line.trim().strip_prefix("::stop-commands::") {
            stopped = Some(token.to_owned());
        } else if line.trim_start().starts_with("::") {
            found.push(line.trim().to_owned());
        }
    }
    assert_eq!(stopped, None, "commands stay stopped for what comes after us");
    found
}

/// Up to 3000 bytes of a log, from there on.
fn part(log: &str, from: usize) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(&log.as_bytes()[from..log.len().min(from + 3000)])
}

#[test]
fn nothing_that_an_app_prints_is_a_command_or_takes_the_log_away() {
    let site = Site::new(
        "noise",
        "[app]\nmigrate = \"python noise.py\"\npending-migrations = \"\"\n[database]\nbackup = \"never\"\n[rollout]\nobserve = \"0s\"\n[health]\naccept = [500]\n",
    );
    // It migrates nothing, so that the front page has no table to read.
    site.write("noise.py", NOISE);
    let (output, summary) = (site.folder.join("outputs"), site.folder.join("summary"));
    let mut child = site
        .command(&["deploy", "--verbose"])
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_OUTPUT", &output)
        .env("GITHUB_STEP_SUMMARY", &summary)
        .spawn()
        .unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let reading = std::thread::spawn(move || {
        let mut text = Vec::new();
        stderr.read_to_end(&mut text).unwrap();
        text
    });
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let now = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak = peak.max(now.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(20));
    }
    let code = child.wait().unwrap().code();
    let log = String::from_utf8(reading.join().unwrap()).expect("the log is UTF-8");
    assert_eq!(code, Some(0), "{}", log.chars().rev().take(3000).collect::<String>().chars().rev().collect::<String>());
    assert!(peak < 64 * 1024, "{peak} KiB");
    assert!(log.len() < 400_000, "{} bytes of log", log.len());
    assert!(!log.contains('\0') && !log.contains("\u{1b}[2J") && !log.contains("\u{1b}]0"), "a control character came through");
    let known = ["::group::", "::endgroup::", "::add-mask::"];
    let strange: Vec<String> =
        commands(&log).into_iter().filter(|command| !known.iter().any(|known| command.starts_with(known))).collect();
    assert!(strange.is_empty(), "{strange:?}");
    assert!(!log.contains("##["), "a command of the runner's older kind came through");
    for line in ["# #[error]not ours", "the last line"] {
        assert!(log.contains(line), "no `{line}` in:\n{}\n…\n{}", part(&log, 0), part(&log, log.len().saturating_sub(3000)));
    }
    assert!(std::fs::read_to_string(&output).unwrap().contains("deployed"));
    assert!(std::fs::read_to_string(&summary).unwrap().contains("| switch | ✅ |"));
}
