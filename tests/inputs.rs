//! Wrong input of every kind: exit 2 with its place and what to do, never a panic, and nothing is
//! dialled (the target's address could not be reached).

#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests set up their own world, and stop where it is not so")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const DEPLOY: &str = "[project]\nname = \"site\"\n\n[target.production]\nhosts = [\"u@192.0.2.1\"]\nhost-keys = [\"SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]\n";
const COMPOSE: &str = "services:\n  web:\n    build: .\n    ports: [\"8000:8000\"]\n  nginx:\n    image: nginx:1.22\n    depends_on: [web]\n    volumes:\n      - ./nginx:/etc/nginx/conf.d:ro\n";
const NGINX: &str = "server {\n    listen 80;\n    location / {\n        proxy_pass http://web;\n    }\n}\n";

/// A project of the least that is right, with one file as the test wants it.
fn project(file: &str, content: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, content: &[u8]| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    write("deploy.toml", DEPLOY.as_bytes());
    write("compose.yml", COMPOSE.as_bytes());
    write("nginx/site.conf", NGINX.as_bytes());
    write("Dockerfile", b"FROM scratch\nCOPY app.py /\n");
    write("app.py", b"");
    write(file, content);
    folder
}

fn estiba(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, Duration) {
    let started = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_estiba"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned(), started.elapsed())
}

thread_local! {
    /// What was not as promised, so that one run tells all of it.
    static BROKEN: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Looks at what is promised of every wrong input.
fn refused(file: &str, content: &[u8], says: &str) {
    let shown: String = String::from_utf8_lossy(content).chars().take(300).collect();
    let folder = project(file, content);
    let (code, stderr, took) = estiba(folder.path(), &["deploy"]);
    let place = file.rsplit('/').next().unwrap();
    let promises = [
        (code == Some(2), format!("exit {code:?}")),
        (!stderr.contains("panicked"), "panicked".into()),
        (stderr.contains(says), format!("no `{says}`")),
        (stderr.contains(place), format!("no place `{place}`")),
        (stderr.contains("hint:"), "no hint".into()),
        (took < Duration::from_secs(10), format!("took {took:?}")),
    ];
    let broken: Vec<String> = promises.into_iter().filter(|(kept, _)| !kept).map(|(_, what)| what).collect();
    if !broken.is_empty() {
        BROKEN.with_borrow_mut(|all| all.push(format!("{}: {shown}\n{stderr}", broken.join(", "))));
    }
}

#[track_caller]
fn none_broken() {
    BROKEN.with_borrow(|all| assert!(all.is_empty(), "{} broken:\n{}", all.len(), all.join("\n")));
}

fn deploy(text: &str, says: &str) {
    refused("deploy.toml", text.as_bytes(), says);
}

fn deploy_and(more: &str, says: &str) {
    deploy(&format!("{DEPLOY}{more}"), says);
}

fn compose(text: &str, says: &str) {
    refused("compose.yml", text.as_bytes(), says);
}

#[test]
fn the_least_that_is_right_is_taken() {
    let folder = project("app.py", b"");
    let (code, stderr, _) = estiba(folder.path(), &["config", "check"]);
    assert_eq!(code, Some(0), "{stderr}");
}

#[test]
fn wrong_deploy_toml() {
    deploy("", "missing field `project`");
    deploy("[project]\n", "missing field `name`");
    deploy("[project\nname = \"x\"\n", "deploy.toml:1:");
    deploy("[project]\nname = \"x\nhost", "deploy.toml:3:");
    deploy("[project]\nname = x\n", "deploy.toml:2:");
    deploy("[project]\nname = \"x\"\nname = \"y\"\n", "duplicate key");
    deploy("[project]\nname = \"x\"\n[project]\nname = \"y\"\n", "deploy.toml:3:");
    deploy("project = \"x\"\n", "is a section");
    deploy("[project]\nname = 3\n", "deploy.toml:2:8");
    deploy("[project]\nname = \"\"\n", "is not a name");
    deploy("[project]\nname = \"../up\"\n", "is not a name");
    deploy("[project]\nname = \"x; rm -rf /\"\n", "is not a name");
    deploy(&format!("[project]\nname = \"{}\"\n", "a".repeat(64)), "is not a name");
    deploy("[project]\nname = \"x\"\n", "has no target");
    deploy("[project]\nname = \"x\"\n[target.a]\n", "deploy.toml:3:");
    deploy("[project]\nname = \"x\"\n[target.a]\nhosts = []\n", "has no host");
    deploy("[project]\nname = \"x\"\n[target.a]\nhosts = \"u@h\"\n", "deploy.toml:4:9");
    deploy("[project]\nname = \"x\"\n[target.a]\nhosts = [\"no-user\"]\n", "is not user@host");
    deploy(
        "[project]\nname = \"x\"\n[target.a]\nhosts = [\"u@h\"]\nhost-keys = [\"SHA256:short\"]\n",
        "is not a whole SHA-256 fingerprint",
    );
    deploy("[project]\nname = \"x\"\n[target.a]\nhosts = [\"u@h\"]\nroot = \"relative\"\n", "not an absolute path");
    deploy("[project]\nname = \"x\"\n[target.a]\nhosts = [\"u@h\"]\nroot = \"/\"\n", "not an absolute path");
    deploy("[project]\nname = \"x\"\n[target.a]\nhosts = [\"u@h\"]\nroot = \"/srv/x y\"\n", "not an absolute path");
    deploy("[project]\nname = \"x\"\n[target.a]\nhosts = [\"u@${NOPE}\"]\n", "`NOPE` is not set");
    deploy("[project]\nname = \"x\"\n[target.a]\nhosts = [\"u@h\"]\nenv-file = \".nope\"\n", "does not exist");
    // A file of the machine, and not of the project: nothing of it is shown.
    deploy("[project]\nname = \"x\"\n[target.a]\nhosts = [\"u@h\"]\nenv-file = \"/etc/hostname\"\n", "is outside the project");
    deploy_and("[rollout]\nstrategi = \"recreate\"\n", "did you mean `strategy`?");
    deploy_and("[rolout]\n", "did you mean `rollout`?");
    deploy_and("[rollout]\nobserve = 30\n", "deploy.toml:8:11");
    deploy_and("[rollout]\nobserve = \"30 seconds\"\n", "is not a duration");
    deploy_and("[rollout]\nobserve = \"99h\"\n", "longer than a day");
    deploy_and("[rollout]\nstrategy = \"big-bang\"\n", "deploy.toml:8:12");
    deploy_and("[rollout]\nmax-error-rate = 7\n", "a share from 0 to 1");
    deploy_and("[rollout]\nkeep-releases = 1\n", "no way back");
    deploy_and("[database]\nkeep-backups = 0\n", "keep-backups is 0");
    deploy_and("[database]\nlock-timeout = \"0s\"\n", "wait for ever");
    deploy_and("[database]\nrestore = \"always\"\n", "deploy.toml:8:");
    deploy_and("[database]\nduring-migrations = \"offline\"\n", "deploy.toml:8:");
    deploy_and("[rollout]\nkeep-releases = -1\n", "deploy.toml:8:17");
    deploy_and("[app]\nservice = \"wbe\"\n", "did you mean `web`?");
    deploy_and("[app]\nworkers = [\"nope\"]\n", "no service `nope`");
    deploy_and("[app]\nport = 70000\n", "deploy.toml:8:8");
    deploy_and("[app]\nport = 0\n", "port 0");
    deploy_and("[app]\nmigrate = \"echo 'open\"\n", "quotes");
    deploy_and("[proxy]\nservice = \"apache\"\n", "no service `apache`");
    deploy_and("[services.wbe]\nkind = \"app\"\n", "did you mean `web`?");
    deploy_and("[services.web]\nkind = \"server\"\n", "deploy.toml:8:");
    deploy_and("[edge]\ntrusted-proxies = [\"example.com\"]\n", "neither an address nor a network");
    deploy_and("[edge]\nmaintenance = \"none.html\"\n", "none.html does not exist");
    deploy_and("[stack]\ncompose = [\"compose.yml\", \"none.yml\"]\n", "none.yml does not exist");
    deploy_and("[stack.reload.nope]\nrun = \"x\"\n", "no service `nope`");
    deploy_and("[apps.web]\nport = 1\nports = [{ port = 2 }]\n", "either `port` or `ports`");
    deploy_and("[health]\npath = \"health\"\n", "is not the path of a request");
    deploy_and("[health]\nexpect-status = 42\n", "no HTTP status");
    deploy_and("[image]\nsource = \"pigeon\"\n", "deploy.toml:8:10");
    deploy_and("[image]\nsource = \"registry\"\n", "needs reference");
    deploy_and("[image]\nsource = \"archive\"\n", "needs archive");
    deploy_and("[image]\narchive = \"none.tar\"\n", "none.tar does not exist");
    deploy_and("[image]\narchive = \"app.py\"\nreference = \"a/b:c\"\n", "needs source = \"archive\"");
    deploy_and("[image]\nsource = \"build\"\nusername = \"me\"\n", "needs source = \"registry\"");
    deploy_and("[image]\nreference = \"a/b:c\"\nusername = \"me\"\n", "needs password");
    deploy_and("[image]\nreference = \"Not A Name\"\n", "names no image");
    deploy_and("[image]\nname = \"-x y\"\n", "is not the name of an image");
    deploy_and("[edge]\nimage = \"x||;e id\"\n", "is not the name of an image");
    deploy_and("[stack.reload.web]\nrun = \"true\"\ntest = \"x\\tb; id\"\n", "another control character");
    deploy_and("[image]\nreference = \"a/b:c\"\nusername = \"me\"\npassword = \"${NOT_THERE}\"\n", "NOT_THERE");
    deploy_and("[database]\nengine = \"oracle\"\n", "unknown variant `oracle`");
    deploy_and("[backup]\nschedule = \"0 25 * * *\"\n", "`25` is not a hour");
    deploy_and("[backup]\ndrill = \"hourly\"\n", "1 fields");
    deploy_and("[backup]\noffsite = \"/mnt/x\"\n", "has no password");
    deploy_and("[backup]\noffsite = \"/mnt/x\"\noffsite-environment = { RESTIC_PASSWORD = \"${NOPE}\" }\n", "`NOPE` is not set");
    deploy_and("[backup]\nvolumes = [\"nothing\"]\n", "`nothing` is neither a volume of the Compose file nor a shared folder");
    deploy_and("[backup]\nalert = \"mail 'x\"\n", "quotes of [backup] alert");
    deploy_and("[stack]\nshared = \"media\"\n", "deploy.toml:8:10");
    deploy("\t[project]\n\tname = \"x\n", "deploy.toml:2:");
    let deep = format!("[project]\nname = \"x\"\nx = {}{}\n", "[".repeat(5000), "]".repeat(5000));
    deploy(&deep, "deploy.toml:3:");
    refused("deploy.toml", b"[project]\nname = \"\xff\"\n", "deploy.toml:2:9: not UTF-8");
    refused("deploy.toml", &vec![b'#'; 10 * 1024 * 1024], "bytes, more than");
    none_broken();
}

#[test]
fn the_hosts_of_an_inventory_are_the_targets() {
    let folder = project("hosts.txt", b"u@192.0.2.1 role=web\nu@192.0.2.2 role=mail # later\n");
    let listed = DEPLOY.replace("hosts = [\"u@192.0.2.1\"]", "inventory = \"hosts.txt\"");
    std::fs::write(folder.path().join("deploy.toml"), &listed).unwrap();
    let check = |more: &[&str]| estiba(folder.path(), &[&["config", "check"], more].concat());
    assert_eq!(check(&[]).0, Some(0), "{}", check(&[]).1);
    assert_eq!(check(&["--label", "role=mail"]).0, Some(0));
    for (more, says) in [
        (["--label", "role=cache"], "no host of target `production` has the label role=cache"),
        // Nothing comes from standard input here.
        (["--inventory", "-"], "target `production` has no host"),
        (["--inventory", "gone.txt"], "cannot read gone.txt"),
    ] {
        let (code, stderr, _) = check(&more);
        assert!(
            code == Some(2) && stderr.contains(says) && stderr.contains("hint:") != stderr.contains("gone"),
            "{more:?}: {code:?} {stderr}"
        );
    }
    refused("deploy.toml", listed.as_bytes(), "the inventory hosts.txt does not exist");
    none_broken();
}

#[test]
fn wrong_sections_about_what_a_release_proves() {
    let step = |more: &str| format!("[[step]]\nname = \"heat\"\nrun = \"true\"\n{more}");
    deploy_and("[rollout]\nsteps = [50, 5]\n", "shares in percent");
    deploy_and("[rollout]\nsteps = [0]\n", "shares in percent");
    deploy_and("[rollout]\nsteps = []\n", "shares in percent");
    deploy_and("[rollout]\nmax-p95-ratio = 0.5\n", "max-p95-ratio is 0.5");
    deploy_and("[rollout]\nsticky = \"yes\"\n", "deploy.toml:8:10");
    deploy_and("[[step]]\nname = \"heat\"\nruns = \"true\"\n", "unknown key `runs`");
    deploy_and(&step(""), "either `before` or `after`");
    deploy_and(&step("before = \"start\"\nafter = \"start\"\n"), "either `before` or `after`");
    deploy_and(&step("after = \"strat\"\n"), "did you mean `start`?");
    deploy_and(&step("before = \"preflight\"\n"), "stands before `preflight`");
    deploy_and(&step("after = \"preflight\"\n"), "before the server has that");
    deploy_and(&step("after = \"commit\"\nundo = \"true\"\n"), "from where nothing is undone");
    deploy_and(&step("after = \"canary\"\n"), "which is no step of a deploy");
    deploy_and(&step("after = \"start\"\nservice = \"nginx\"\n"), "no app, worker or job");
    deploy_and(&step("after = \"start\"\ntimeout = \"0s\"\n"), "has no time");
    deploy_and(&step("after = \"start\"\n").replace("\"true\"", "\"a 'b\""), "do not match");
    deploy_and(&step("after = \"start\"\n").replace("\"true\"", "\"a\\tb\""), "control character");
    deploy_and(&step("after = \"start\"\n").replace("heat", "observe"), "one of estiba's own steps");
    deploy_and(&step("after = \"start\"\n").replace("heat", "../heat"), "is not the name of a step");
    deploy_and(&step("after = \"start\"\n").repeat(2), "two of the team's steps");
    deploy_and("[[smoke]]\npath = \"health\"\n", "not the path of a request");
    deploy_and("[[smoke]]\npath = \"/\"\napp = \"nginx\"\n", "`nginx` is no app");
    deploy_and("[[smoke]]\npath = \"/\"\nmethod = \"get\"\n", "is no HTTP method");
    deploy_and("[[smoke]]\npath = \"/\"\nexpect-status = 99\n", "is no HTTP status");
    deploy_and("[[smoke]]\npath = \"/\"\nheaders = { \"a b\" = \"c\" }\n", "is not a header's name");
    deploy_and("[[smoke]]\npath = \"/\"\nbody = \"a\\nb\"\n", "holds a line end");
    deploy_and("[load]\nduration = \"5s\"\n", "`paths` are missing");
    deploy_and("[load]\npaths = [\"x\"]\n", "not the path of a request");
    deploy_and("[load]\npaths = [\"/\"]\nrequests-per-second = 0\n", "is not from 1 to 500");
    deploy_and("[load]\npaths = [\"/\"]\nduration = \"1h\"\n", "is not from 1s to 5m");
    deploy_and("[[smoke]]\npath = \"/\"\nheaders = { X = \"${NOPE}\" }\n", "`NOPE` is not set");
    deploy_and("[scan]\ncommand = \"trivy image\"\n", "`{image}` is missing");
    deploy_and(
        "[scan]\ncommand = \"x {image}\"\naccept = [{ id = \"A\", reason = \"r\", until = \"soon\" }]\n",
        "`soon` is not a day",
    );
    deploy_and("[scan]\ncommand = \"x {image}\"\n[image]\nsource = \"server\"\n", "which does not get the image");
    deploy_and("[stack]\ntest-compose = \"nope.yml\"\n", "nope.yml does not exist");
    deploy_and("[test]\nservice = \"web\"\n", "no Compose file to run in");
    deploy(&format!("{DEPLOY}require = {{ promoted-from = \"staging\" }}\n"), "which is no other target");
    deploy(&format!("{DEPLOY}require = {{ not-between = [\"at night\"] }}\n"), "is no time");
    none_broken();
}

#[test]
fn wrong_compose_files() {
    for named in ["environment: [PAYMENT_KEY]", "environment: {PAYMENT_KEY: }", "environment: {A: b, PAYMENT_KEY: null}"] {
        let text = COMPOSE.replace("    build: .\n", &format!("    build: .\n    {named}\n"));
        compose(&text, "needs the variable `PAYMENT_KEY`");
    }
    let text = COMPOSE.replace("    build: .\n", "    build: .\n    secrets: [token]\n");
    compose(&format!("{text}secrets:\n  token:\n    environment: PAYMENT_TOKEN\n"), "PAYMENT_TOKEN");
    compose("", "is empty");
    compose("# nothing\n", "is empty");
    compose("- a\n- b\n", "is not a mapping");
    compose("just text\n", "is not a mapping");
    compose("service:\n  web:\n    build: .\n", "was `services` meant?");
    compose("services:\n", "`services`");
    compose("services: []\n", "`services`");
    compose("services:\n  web: yes\n", "services.web");
    compose("services:\n  web:\n    command: x\n", "has neither an image nor a build context");
    compose("services:\n\tweb:\n\t\tbuild: .\n", "indented by spaces");
    compose("services:\n  web:\n    build: [\n", "compose.yml:");
    compose("services:\n  web:\n    build: .\n  web:\n    build: .\n", "compose.yml:");
    compose("services:\n  web:\n    build: .\n    build: x\n", "compose.yml:");
    compose("services:\n  web: *nowhere\n", "compose.yml:");
    compose("services:\n  \"we b\":\n    build: .\n", "additional properties 'we b'");
    compose("services:\n  web:\n    build: .\n    volumes: data:/data\n", "volumes");
    compose("services:\n  web:\n    image: [a]\n", "image");
    compose(&COMPOSE.replace("    build: .", "    extends: web"), "ircular");
    compose(&COMPOSE.replace("    build: .", "    extends: {service: nope}"), "nope");
    compose(&COMPOSE.replace("    build: .", "    extends: {service: x, file: no-such.yml}"), "no-such.yml");
    compose(&format!("include: [other.yml]\n{COMPOSE}"), "`other.yml` does not exist");
    compose(&format!("include: [../outside.yml]\n{COMPOSE}"), "is outside the project");
    compose(&format!("include: [\"https://192.0.2.1/x.yml\"]\n{COMPOSE}"), "is a URL");
    compose(&COMPOSE.replace("    build: .", "    build: .\n    label_file: /proc/self/environ"), "is outside the project");
    compose(&COMPOSE.replace("    build: .", "    build: .\n    provider: {type: x}"), "`provider` is refused");
    compose(&COMPOSE.replace("    build: .", "    build: .\n    use_api_socket: true"), "`use_api_socket` is refused");
    compose(&COMPOSE.replace("    build: .", "    build: .\n    environment: {A: \"${NOPE}\"}"), "`NOPE` is not set");
    compose(&COMPOSE.replace("    build: .", "    build: .\n    network_mode: host"), "on the host's network");
    compose(
        &COMPOSE.replace("    build: .", "    build: .\n    volumes: [\"..:/app\"]"),
        "a folder at or above the Compose file",
    );
    compose(&COMPOSE.replace("    build: .", "    build: .\n    volumes: [\"./nope.txt:/x:ro\"]"), "does not exist here");
    compose(&COMPOSE.replace("    build: .", "    build: .\n    volumes: [\"./a ../esc:/x\"]"), "that estiba does not take");
    compose(
        &COMPOSE.replace("    build: .", "    build: {context: ., cache_to: [\"type=local,dest=/tmp/x\"]}"),
        "a folder of this machine",
    );
    compose(&COMPOSE.replace("    build: .", "    build: .\n    env_file: other.env"), "does not exist here");
    compose(
        "services:\n  a:\n    image: x\n    ports: [\"1:1\"]\n  b:\n    image: y\n    ports: [\"2:2\"]\n",
        "which service is the app? a, b",
    );
    compose("services:\n  db:\n    image: postgres:15\n", "no service looks like the app");
    compose(&COMPOSE.replace("8000:8000\"]", "8000:8000\", \"53:53/udp\"]"), "UDP port 53");
    compose(
        &format!("{COMPOSE}  other:\n    build: other\n    ports: [\"9000:9000\"]\n"),
        "the build context other is not a folder",
    );
    compose(&format!("{COMPOSE}  web-blue:\n    image: x\n"), "is the name of a slot");
    compose(&format!("{COMPOSE}networks: {{estiba: {{}}}}\n"), "between the edges and the slots");
    let deep = format!("services: {}{}\n", "[".repeat(5000), "]".repeat(5000));
    compose(&deep, "compose.yml");
    let mut laughs = String::from("x-0: &l0 [\"lol\", \"lol\", \"lol\", \"lol\", \"lol\", \"lol\", \"lol\", \"lol\"]\n");
    for level in 1..12 {
        let aliases = vec![format!("*l{}", level - 1); 8].join(", ");
        laughs += &format!("x-{level}: &l{level} [{aliases}]\n");
    }
    compose(&format!("{laughs}{COMPOSE}"), "compose.yml");
    refused("compose.yml", b"services:\n  web:\n    image: \"\xff\"\n", "not UTF-8");
    refused("compose.yml", &vec![b'#'; 10 * 1024 * 1024], "bytes, more than");
    none_broken();
}

#[test]
fn wrong_templates_and_files() {
    let template = |text: &str, says: &str| {
        let folder = project("nginx/site.conf", text.as_bytes());
        std::fs::write(folder.path().join("deploy.toml"), format!("{DEPLOY}[stack]\ntemplates = [\"nginx\"]\n")).unwrap();
        let (code, stderr, _) = estiba(folder.path(), &["deploy"]);
        let kept = code == Some(2) && stderr.contains(says) && stderr.contains("site.conf") && stderr.contains("hint:");
        if !kept {
            BROKEN.with_borrow_mut(|all| all.push(format!("no `{says}`: exit {code:?}: {stderr}")));
        }
    };
    let conf = template;
    conf(&NGINX.replace("80", "{{ port"), "site.conf:2");
    conf(&NGINX.replace("80", "{{ nope }}"), "not defined");
    conf(&NGINX.replace("80", "{% if %}"), "site.conf:2");
    conf(
        &NGINX.replace("80", "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}"),
        "never finishes",
    );
    conf("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "site.conf:1");
    conf("{% include 'site.conf' %}", "site.conf:1");
    let env = |text: &str, says: &str| refused(".env.production", text.as_bytes(), says);
    env("A=1\nnonsense\n", ".env.production:2:1");
    env("A=${NOPE}\n", "`NOPE` is not set");
    env("A=${NOPE\n", "rejects this env file");
    env("A={{ nope }}\n", "not defined");
    env("A='open\n", "rejects this env file");
    env("9 lives=1\n", "rejects this env file");
    refused("Dockerfile", b"FROM scratch\nCOPY nope.py /\n", "no `nope.py`");
    refused("Dockerfile", b"", "no FROM");
    refused("Dockerfile", b"FROM scratch\nCOPY --chown=1:1 app.py \\\n  gone.py /\n", "no `gone.py`");
    refused(".dockerignore", b"[\n", "not a pattern");
    none_broken();
}

#[test]
fn the_deploy_toml_of_this_repository_is_good() {
    let output = Command::new(env!("CARGO_BIN_EXE_estiba"))
        .args(["config", "check"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("DJANGO_SECRET_KEY", "x")
        .env("POSTGRES_PASSWORD", "x")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Waits for what it is given at most ten seconds.
fn awaited<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "it did not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_process_that_crashes_with_the_key_in_its_memory_leaves_no_core() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let folder = project("deploy.toml", DEPLOY.replace("192.0.2.1", &format!("127.0.0.1:{port}")).as_bytes());
    let key = folder.path().join("key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap();
    assert!(made.success());
    // As a user who is not root: of a process that may be traced, the files in /proc are that user's own.
    let path = |name: &str| folder.path().join(name);
    std::fs::copy(env!("CARGO_BIN_EXE_estiba"), path("estiba")).unwrap();
    assert!(Command::new("chmod").args(["-R", "a+rX"]).arg(folder.path()).status().unwrap().success());
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -c unlimited; exec setpriv --reuid=65534 --regid=65534 --clear-groups ./estiba status"])
        .current_dir(&folder)
        .env("ESTIBA_SSH_KEY", std::fs::read_to_string(&key).unwrap())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // It waits for the server, which says nothing.
    let core = awaited(|| {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap().to_owned();
        line.split_whitespace().take(2).all(|limit| limit == "0").then_some(line)
    });
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{}/environ", child.id())).unwrap());
    assert_eq!(owner, 0, "others of its user may read it");
    assert!(core.contains("bytes") && child.try_wait().unwrap().is_none(), "{core}");
    child.kill().unwrap();
    child.wait().unwrap();
}
