//! Twelve secrets of every awkward kind, and everywhere that they could be found.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::{Run, Site, docker, github, sshd};

/// Variables of the env file. The letters and digits up to the first other sign mark each: they stay as they are,
/// whatever quotes or encodes the rest.
const VARIABLES: [(&str, &str); 10] = [
    ("DJANGO_SECRET_KEY", "kx01mark'single\"double"),
    ("POSTGRES_PASSWORD", "kx02mark$x${Y}$$"),
    ("SLACK_WEBHOOK_URL", "https://hooks.example.com/services/kx03mark/x?y=%20"),
    ("UNICODE", "kx04mark ñandú 東京"),
    ("PERCENT", "kx05mark%41%%0A"),
    ("LINES", "kx06mark first\nkx07mark second"),
    ("BACKSLASH", "kx08mark\\n\\t\\\\"),
    ("BACKTICK", "kx09mark `id` $(id) ; id"),
    ("COMMENT", "kx10mark # no comment"),
    ("SMTP_URL", "smtp://user:kx11mark@mail.example.com:587"),
];
const PASSPHRASE: &str = "kx12mark pass'phrase$1";

/// The finds, each with its place.
type Finds = Arc<Mutex<BTreeSet<String>>>;

struct Hunt {
    marks: Vec<String>,
    finds: Finds,
}

impl Hunt {
    fn look(&self, place: &str, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        for mark in self.marks.iter().filter(|mark| text.contains(mark.as_str())) {
            self.finds.lock().unwrap().insert(format!("{mark} in {place}"));
        }
    }

    /// Arguments of every process of this machine, which is the server too, and the environment of those that are
    /// neither the command that was given the secrets nor in a container.
    fn processes(&self, given: &[&Path]) {
        let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let here = namespace("self");
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let pid = entry.file_name().to_string_lossy().into_owned();
            if !pid.bytes().all(|byte| byte.is_ascii_digit()) || pid == std::process::id().to_string() {
                continue;
            }
            let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let shown = String::from_utf8_lossy(&arguments).replace('\0', " ");
            self.look(&format!("the arguments of {shown}"), &arguments);
            let program = std::fs::read_link(entry.path().join("exe")).unwrap_or_default();
            if namespace(&pid) == here && !given.contains(&program.as_path()) {
                let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
                self.look(&format!("the environment of {shown}"), &environment);
            }
        }
    }

    /// Every file below: those that may hold secrets are readable by their owner alone.
    fn files(&self, folder: &Path, may_hold: &str) {
        let mut open = vec![folder.to_owned()];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    open.push(entry.path());
                } else if kind.is_file() {
                    let private = entry.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o777 == 0o600);
                    if !(private && entry.file_name() == may_hold) {
                        self.look(&entry.path().display().to_string(), &std::fs::read(entry.path()).unwrap_or_default());
                    }
                }
            }
        }
    }
}

/// Below the folder, another user of the machine reads these places and nothing else.
fn only_what_is_meant_for_everybody(folder: &Path, places: &[&str]) {
    // The way there is open, or nothing would be seen.
    for folder in folder.ancestors().filter(|folder| folder.starts_with(std::env::temp_dir())) {
        let mode = folder.metadata().unwrap().permissions().mode();
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode | 0o005)).unwrap();
    }
    let found = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "find"])
        .arg(folder)
        .args(["!", "-type", "l", "-readable"])
        .output()
        .unwrap();
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    let folder = folder.to_str().unwrap();
    assert!(found.lines().any(|path| path == folder), "{found}");
    let meant = |path: &str| {
        let below = path.strip_prefix(folder).unwrap();
        places.iter().any(|place| below == *place || (!place.is_empty() && below.starts_with(&format!("{place}/"))))
    };
    let others: Vec<&str> = found.lines().filter(|path| !meant(path)).collect();
    assert!(others.is_empty(), "others read {others:#?}");
}

#[test]
fn twelve_secrets_are_nowhere_but_in_the_env_file_and_the_containers_meant_to_have_them() {
    let site = Site::new("secrets", "[rollout]\nobserve = \"0s\"\n[health]\ntimeout = \"6s\"\n");
    for (name, _) in &VARIABLES[2..] {
        site.append(".env.production", &format!("{name}=${{{name}}}\n"));
    }
    let key = site.folder.join("key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", PASSPHRASE, "-f"]).arg(&key).status().unwrap();
    assert!(made.success());
    let authorized = sshd().folder.join("authorized");
    let others = std::fs::read_to_string(&authorized).unwrap();
    std::fs::write(&authorized, others + &std::fs::read_to_string(key.with_extension("pub")).unwrap()).unwrap();
    let key = std::fs::read_to_string(&key).unwrap();

    let mark = |value: &str| {
        let at = value.find("kx").unwrap();
        value[at..at + 8].to_owned()
    };
    let mut marks: Vec<String> = VARIABLES.iter().map(|(_, value)| mark(value)).collect();
    marks.extend([mark("kx07mark"), mark(PASSPHRASE), key.lines().nth(3).unwrap()[10..50].to_owned()]);
    let hunt = Arc::new(Hunt { marks, finds: Finds::default() });

    // All the while, whatever runs is looked at.
    let over = Arc::new(AtomicBool::new(false));
    let sampling = std::thread::spawn({
        let (hunt, over) = (hunt.clone(), over.clone());
        let given = PathBuf::from(env!("CARGO_BIN_EXE_estiba"));
        move || {
            let mut looks = 0;
            while !over.load(Ordering::Relaxed) {
                hunt.processes(&[&given]);
                looks += 1;
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            looks
        }
    });

    let (address, requests) = github();
    let event = site.folder.join("event.json");
    std::fs::write(&event, "{\"pull_request\": {\"number\": 3}}").unwrap();
    let (outputs, summary) = (site.folder.join("outputs"), site.folder.join("summary"));
    let run = |arguments: &[&str], in_workflow: bool| -> Run {
        let mut command = site.command(arguments);
        command.envs(VARIABLES).env("ESTIBA_SSH_KEY", &key).env("ESTIBA_SSH_PASSPHRASE", PASSPHRASE);
        if in_workflow {
            command
                .env("GITHUB_ACTIONS", "true")
                .env("GITHUB_OUTPUT", &outputs)
                .env("GITHUB_STEP_SUMMARY", &summary)
                .env("GITHUB_API_URL", &address)
                .env("GITHUB_REPOSITORY", "somebody/certificados")
                .env("GITHUB_EVENT_PATH", &event)
                .env("GITHUB_TOKEN", "a-token-of-this-test");
        }
        let run = Site::ended(command.spawn().unwrap());
        // A runner keeps the lines of masks for itself.
        let shown = |text: &str| text.lines().filter(|line| !line.starts_with("::add-mask::")).collect::<Vec<_>>().join("\n");
        hunt.look(&format!("what {arguments:?} prints"), shown(&run.stdout).as_bytes());
        hunt.look(&format!("the messages of {arguments:?}"), shown(&run.stderr).as_bytes());
        run
    };

    let first = run(&["deploy", "-v", "--json"], false);
    assert_eq!(first.code, 0, "{}", first.stderr);
    // The containers have them as they are.
    let container = docker(&["ps", "-q", "--filter", &format!("name={}-web", site.name), "--filter", "label=estiba.slot"]);
    for (name, value) in VARIABLES {
        let has = docker(&["exec", container.trim(), "printenv", name]);
        assert_eq!(has.strip_suffix('\n'), Some(value), "{name}");
    }

    site.edit("nginx/site.conf", "server {", "# another\nserver {");
    site.write("nginx/key.pem", "-----BEGIN PRIVATE KEY-----\nkx13mark\n");
    site.append(".env.production", "MORE=1\n");
    let plan = site.folder.join("plan.json");
    run(&["plan", "-v", "--json", "--build", "--out", plan.to_str().unwrap()], false).says(0, &[]);
    run(&["plan", "-v", "--comment"], true).says(0, &[]);
    run(&["deploy", "-v"], true).says(0, &[]);

    // A release that prints all that it knows, and does not come up.
    site.append("sitio/wsgi.py", "\nimport os, sys\nimport json\nfor value in os.environ.values():\n    print(value, repr(value), json.dumps(value, ensure_ascii=False), file=sys.stderr, flush=True)\nimport time\ntime.sleep(600)\n");
    let broken = run(&["deploy", "-v", "--json"], false);
    assert_eq!(broken.code, 3, "{}", broken.stderr);
    assert!(broken.stderr.contains("***"), "the release's last lines are shown: {}", broken.stderr);
    run(&["deploy", "-v"], true).says(3, &[]);
    run(&["rollback", "-v", "--json"], false).says(0, &[]);
    run(&["rollback", "-v"], true).says(0, &[]);
    for command in [["status", "--json"], ["history", "--json"]] {
        run(&command, false).says(0, &[]);
    }

    run(&["backup", "create"], false).says(0, &[]);
    let listed = run(&["backup", "list", "--json"], false);
    let backup: serde_json::Value = serde_json::from_str(listed.stdout.lines().last().unwrap()).unwrap();
    let backup = backup["id"].as_str().unwrap();
    run(&["backup", "restore", backup, "--yes"], false).says(0, &[]);
    let pulled = site.folder.join("pulled");
    std::fs::create_dir(&pulled).unwrap();
    run(&["backup", "pull", backup, "--out", pulled.to_str().unwrap()], false).says(0, &[]);
    let dump = format!("{}/{backup}.dump", pulled.display());
    run(&["backup", "restore", "production", &dump, "--yes"], false).says(0, &[]);

    over.store(true, Ordering::Relaxed);
    let looks: u64 = sampling.join().unwrap();
    assert!(looks > 200, "only {looks} looks at what runs");
    for file in [&plan, &outputs, &summary] {
        let text = std::fs::read(file).unwrap();
        assert!(!text.is_empty(), "{} is empty", file.display());
        hunt.look(&file.display().to_string(), &text);
    }
    let requests = requests.lock().unwrap().clone();
    assert!(requests.iter().any(|(first, body)| first.starts_with("POST") && body.contains("+# another")), "{requests:?}");
    hunt.look("the comment", format!("{requests:?}").as_bytes());
    // The server's scripts, and what a proxy on the host may serve.
    only_what_is_meant_for_everybody(&site.root, &["", "/bin", "/static", "/shared"]);
    only_what_is_meant_for_everybody(&pulled, &[""]);
    // The journals, the history, the releases and whatever else the server keeps.
    hunt.files(&site.root, ".env.production");
    let images = docker(&["image", "ls", "-q", "--no-trunc", &site.name]);
    for image in images.split_whitespace().collect::<BTreeSet<_>>() {
        hunt.look("an image's history", docker(&["history", "--no-trunc", image]).as_bytes());
        hunt.look("an image", docker(&["image", "inspect", image]).as_bytes());
    }
    // Services that were not given the env file do not have it.
    for service in ["nginx", "cache"] {
        let id = docker(&["ps", "-q", "--filter", &format!("name={}-{service}", site.name)]);
        hunt.look(service, docker(&["inspect", id.trim()]).as_bytes());
    }
    let finds = hunt.finds.lock().unwrap();
    assert!(finds.is_empty(), "{finds:#?}");
}
