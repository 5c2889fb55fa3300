//! From a bare server to one that is deployed to by keys that can do nothing else, and what is wrong with a server.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::server::{Engine, Server};
use crate::support::{Run, Site};

struct Shop {
    server: Server,
    site: Site,
    home: PathBuf,
}

impl Shop {
    fn new(engine: Engine, name: &str, more: &str) -> Self {
        let server = Server::start(engine, false);
        let site = Site::new(name, "");
        let text = format!(
            "[project]\nname = \"{}\"\n[target.production]\nhosts = [\"deploy@127.0.0.1:{}\"]\nhost-keys = [\"{}\"]\nroot = \"/srv/shop\"\n{more}\
             [rollout]\nobserve = \"0s\"\n[health]\ntimeout = \"20s\"\n",
            site.name,
            server.ssh_port,
            server.fingerprint()
        );
        site.write("deploy.toml", &text);
        let home = site.folder.join("home");
        std::fs::create_dir_all(home.join(".ssh")).unwrap();
        std::fs::copy(server.folder.join("key"), home.join(".ssh/id_ed25519")).unwrap();
        Self { server, site, home }
    }

    /// A person at a laptop, whose own key is root's on the server.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.site.command(arguments);
        command.env_remove("ESTIBA_SSH_KEY").env("HOME", &self.home).env("HTTP_PORT", "80");
        command
    }

    fn estiba(&self, arguments: &[&str]) -> Run {
        Site::ended(self.command(arguments).spawn().unwrap())
    }

    #[track_caller]
    fn good(&self, arguments: &[&str]) -> String {
        let run = self.estiba(arguments);
        assert_eq!(run.code, 0, "{arguments:?}: {}\n{}", run.stdout, run.stderr);
        run.stdout + &run.stderr
    }

    fn key(&self, end: &str) -> PathBuf {
        self.home.join(format!(".ssh/estiba-{}.production{end}", self.site.name))
    }

    /// What `ssh` with that key comes to.
    fn ssh(&self, key: &Path, words: &[&str]) -> Output {
        let port = self.server.ssh_port.to_string();
        let known = [
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "BatchMode=yes",
            "-o",
            "LogLevel=ERROR",
        ];
        Command::new("ssh")
            .args(known)
            .args(["-o", "IdentitiesOnly=yes", "-o", "ExitOnForwardFailure=yes", "-p", &port, "-i"])
            .arg(key)
            .args(words)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// A sum of all that is on the server and may not change.
    fn sum(&self) -> String {
        self.server.exec(
            "find /etc /home /root /usr/local /srv -xdev \\( -name .ash_history -o -path /etc/mtab -o -name ld.so.cache \\) -prune -o -type f \
             -exec sha256sum {} + | sort | sha256sum; find /etc /home /usr/local /srv -xdev -printf '%p %M %u %g %l\\n' | sort | sha256sum",
        )
    }
}

/// Ends `setup` when it has said these words.
fn killed_at(mut command: Command, words: &str) {
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = String::new();
    for line in lines {
        said += &(line.unwrap() + "\n");
        if said.contains(words) {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(said.contains(words), "no `{words}` in:\n{said}");
}

fn a_bare_server_is_prepared(suite: &'static str) {
    let shop = Shop::new(Engine::None(suite), &format!("bare-{suite}"), "");
    // The plan first, and nothing without a yes.
    let before = shop.sum();
    let run = shop.estiba(&["setup"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(!shop.key("").exists(), "a key was made that nobody agreed to");
    assert!(run.stderr.contains("--yes") && run.stderr.contains("nothing was changed"), "{}", run.stderr);
    for words in ["Debian GNU/Linux", "+ install docker", "+ make the user deploy", "+ make /srv/shop for deploy"] {
        assert!((run.stdout.clone() + &run.stderr).contains(words), "no `{words}` in {}{}", run.stdout, run.stderr);
    }
    assert_eq!(shop.sum(), before);
    // Cut off in the middle, and again a little later: the next one finishes.
    killed_at(shop.command(&["setup", "--yes"]), "… make the user");
    killed_at(shop.command(&["setup", "--yes"]), "… let in the key");
    let said = shop.good(&["setup", "--yes"]);
    assert!(said.contains("ready") && said.contains("gh secret set SSH_KEY --env production < "), "{said}");
    let prepared = shop.sum();
    let said = shop.good(&["setup", "--yes"]);
    assert!(said.contains("ready; nothing was changed"), "{said}");
    assert_eq!(shop.sum(), prepared);

    shop.server.bring_images();
    shop.good(&["deploy", "--json"]);
    shop.server.exec("docker ps --format '{{.Names}}' | grep -q web-blue");
    shop.site.append("templates/home.html", "<!-- two -->\n");
    shop.good(&["deploy", "--json"]);
    shop.good(&["rollback", "--yes"]);
    shop.good(&["backup", "create"]);
    assert!(shop.good(&["logs"]).contains("web"), "no logs");
    assert!(shop.good(&["status"]).contains("running   no deploy"));
    // For a command of their own people need a key of their own.
    let key = std::fs::read_to_string(shop.key("")).unwrap();
    let mut command = shop.command(&["exec", "web", "--", "id"]);
    command.env("ESTIBA_SSH_KEY", &key);
    let refused = Site::ended(command.spawn().unwrap());
    assert!(refused.code != 0 && !refused.stdout.contains("uid="), "{} {}", refused.stdout, refused.stderr);

    // A key that may only look.
    let look = std::fs::read_to_string(shop.key("-look")).unwrap();
    let looking = |arguments: &[&str]| {
        let mut command = shop.command(arguments);
        command.env("ESTIBA_SSH_KEY", &look);
        Site::ended(command.spawn().unwrap())
    };
    shop.site.append("templates/home.html", "<!-- three -->\n");
    let before = shop.server.exec("find /srv/shop -printf '%p %T@ %s\\n' | sort | sha256sum; docker ps -aq | sort");
    for arguments in [&["status"] as &[&str], &["plan"], &["history"], &["logs"], &["backup", "list"], &["doctor"]] {
        let run = looking(arguments);
        assert!(run.code == 0 || arguments == ["doctor"], "{arguments:?}: {}\n{}", run.stdout, run.stderr);
        assert!(!run.stderr.contains("estiba-gate"), "{}", run.stderr);
    }
    for arguments in
        [&["deploy"] as &[&str], &["rollback", "--yes"], &["backup", "create"], &["maintenance", "on"], &["down", "--yes"]]
    {
        let run = looking(arguments);
        assert_eq!(run.code, 1, "{arguments:?}: {}\n{}", run.stdout, run.stderr);
        assert!(run.stderr.contains("this key may look and change nothing"), "{arguments:?}: {}", run.stderr);
    }
    assert_eq!(shop.server.exec("find /srv/shop -printf '%p %T@ %s\\n' | sort | sha256sum; docker ps -aq | sort"), before);
    nothing_else_with_these_keys(&shop);
    others_read_no_secret_and_write_nothing(&shop);

    shop.good(&["setup", "--remove", "--yes"]);
    assert_eq!(shop.server.exec("grep -c estiba: /home/deploy/.ssh/authorized_keys || true"), "0");
    shop.server
        .exec("test ! -e /usr/local/lib/estiba && test -d /srv/shop/current && docker ps --format '{{.Names}}' | grep -q web-");
    assert!(!shop.key("").exists() && !shop.key("-look").exists());
    assert_eq!(shop.estiba(&["status"]).code, 1);
}

/// Another user of the server reads what is meant for everybody alone: the scripts, and what a proxy gives to everybody. Of all that
/// `setup` and the deploys have made, he writes nothing.
fn others_read_no_secret_and_write_nothing(shop: &Shop) {
    let made = "/srv/shop /home/deploy /usr/local/lib/estiba $(find /etc -newer /etc/hostname -type f)";
    let other = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    let find = |what: &str| shop.server.exec(&format!("{other} find {made} ! -type l {what} 2>/dev/null || true"));
    let read = find("-type f -readable");
    let is_meant = |path: &&str| {
        let below = ["bin", "static", "shared"].iter().any(|place| path.starts_with(&format!("/srv/shop/{place}/")));
        // What every new user's folder begins with.
        let skeleton = [".bashrc", ".bash_logout", ".profile"].iter().any(|file| **path == format!("/home/deploy/{file}"));
        below || skeleton || path.starts_with("/usr/local/lib/estiba/") || path.starts_with("/etc/")
    };
    assert!(read.lines().any(|path| path.starts_with("/srv/shop/bin/")), "{read}");
    let others: Vec<&str> = read.lines().filter(|path| !is_meant(path)).collect();
    assert!(others.is_empty(), "another user reads {others:#?}");
    let written = find("-writable");
    assert_eq!(written, "", "another user writes there");
    let secret = shop.server.exec(&format!("grep -rlsF a-long-secret-key-of-this-test {made} || true"));
    let open: Vec<&str> = secret.lines().filter(|path| read.lines().any(|readable| readable == *path)).collect();
    assert!(!secret.is_empty() && open.is_empty(), "another user reads secrets in {open:#?}");
    // The keys' lines, and the way to them, are the deploying user's own.
    let modes =
        shop.server.exec("stat -c '%a %U' /home/deploy/.ssh /home/deploy/.ssh/authorized_keys /usr/local/lib/estiba/gate");
    assert_eq!(modes, "700 deploy\n600 deploy\n755 root");
}

/// No shell, no other file, no other port.
fn nothing_else_with_these_keys(shop: &Shop) {
    let host = "deploy@127.0.0.1";
    let scripts = shop.server.exec("basename $(readlink /srv/shop/bin/current)");
    shop.server.exec("rm -f /tmp/pwned /home/deploy/pwned /srv/shop/pwned");
    for key in [shop.key(""), shop.key("-look")] {
        let asked = [
            "".to_owned(),
            "id".into(),
            "sh -c 'touch /tmp/pwned'".into(),
            "scp -t /tmp".into(),
            "/usr/lib/openssh/sftp-server".into(),
            format!(": estiba {scripts} true; touch /tmp/pwned"),
            format!(": estiba {scripts} ask/cat.sh a/etc apasswd; cat /etc/passwd"),
            format!(": estiba {scripts} ask/cat.sh a/srv/shop a../../etc/passwd; x"),
            format!(": estiba {scripts} ask/cat.sh a/srv/shop%057..%057..%057etc apasswd; x"),
            format!(": estiba {scripts} setup/prepare.sh ado a/srv/shop adeploy ashop aabc ashop auser; x"),
            format!(": estiba {scripts} use/run.sh a/srv/shop aweb a- aid; x"),
            format!(": estiba {scripts} ../../../bin/sh a-c aid; x"),
            format!(": estiba ../../../../bin {scripts} sh; x"),
        ];
        for words in &asked {
            let said = shop.ssh(&key, &[host, words]);
            let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
            assert!(!out.contains("uid=") && !out.contains("root:x:"), "{words}: {out}");
            assert!(said.status.code() == Some(126) || words.contains(" true; "), "{words}: {:?} {out} {err}", said.status);
        }
        // A port's way round: the Engine's own socket.
        let socket = shop.site.folder.join("engine.sock");
        let place = format!("{}:/var/run/docker.sock", socket.display());
        let mut forwarding = Command::new("timeout");
        forwarding.args([
            "4",
            "ssh",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "IdentitiesOnly=yes",
        ]);
        forwarding.args(["-N", "-p", &shop.server.ssh_port.to_string(), "-i"]).arg(&key).args(["-L", &place, host]);
        let mut forwarding = forwarding.stderr(Stdio::null()).spawn().unwrap();
        while !socket.exists() && forwarding.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let asked =
            Command::new("curl").args(["-sS", "-m", "3", "--unix-socket"]).arg(&socket).arg("http://x/version").output().unwrap();
        assert!(!String::from_utf8_lossy(&asked.stdout).contains("ApiVersion"), "the Engine was reached");
        let _ = forwarding.kill();
        forwarding.wait().unwrap();
        let _ = std::fs::remove_file(&socket);
        for forward in ["-L", "-R", "-D"] {
            let place = match forward {
                "-L" => "127.0.0.1:0:127.0.0.1:22",
                "-R" => "0.0.0.0:2222:127.0.0.1:22",
                _ => "127.0.0.1:0",
            };
            let words = [forward, place, host, ": estiba x y;"];
            let said = shop.ssh(&key, &words);
            assert!(!said.status.success(), "{forward}");
        }
        let said = shop.ssh(&key, &["-W", "127.0.0.1:22", host]);
        assert!(!String::from_utf8_lossy(&said.stdout).contains("SSH-"), "a port was forwarded");
        let terminal = shop.ssh(&key, &["-tt", host]);
        assert!(!terminal.status.success(), "a terminal was opened: {}", String::from_utf8_lossy(&terminal.stdout));
    }
    // By its absolute path too.
    for path in ["backups", "state/since"] {
        let words = format!(": estiba {scripts} ask/cat.sh a/srv/shop a/srv/shop/{path}; x");
        assert_eq!(shop.ssh(&shop.key("-look"), &[host, &words]).status.code(), Some(126), "{path}");
    }
    // The env file is the deploying key's to read, and not the looking key's.
    let env = shop.server.exec("cd /srv/shop && find releases -name .env.production | head -n 1");
    let words = format!(
        ": estiba {scripts} ask/cat.sh a/srv/shop/releases/{}; x",
        env.replacen("releases/", "", 1).replacen('/', " a", 1)
    );
    let said = shop.ssh(&shop.key("-look"), &[host, &words]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("this key reads no secret"), "{said:?}");
    assert!(!String::from_utf8_lossy(&said.stdout).contains("POSTGRES"), "a secret was read");
    shop.server.exec("test ! -e /tmp/pwned && test ! -e /home/deploy/pwned && test ! -e /srv/shop/pwned");
}

#[test]
fn a_bare_debian_12_is_prepared_and_its_keys_can_do_nothing_else() {
    a_bare_server_is_prepared("bookworm");
}

#[test]
#[ignore = "a variant: make test-whole"]
fn a_bare_debian_13_is_prepared_and_its_keys_can_do_nothing_else() {
    a_bare_server_is_prepared("trixie");
}

/// What `doctor` found: each kind, and the command that mends it.
fn findings(shop: &Shop) -> Vec<(String, String)> {
    let run = shop.estiba(&["doctor", "--json"]);
    let json = run.json();
    let findings = json["findings"].as_array().unwrap_or_else(|| panic!("{json} {}", run.stderr));
    assert_eq!(run.code, i32::from(!findings.is_empty()), "{json}");
    let text = |finding: &serde_json::Value, key: &str| finding[key].as_str().unwrap().to_owned();
    findings.iter().map(|finding| (text(finding, "kind"), text(finding, "fix"))).collect()
}

/// Runs the command that mends a finding: here where it is estiba's, on the server else.
fn mend(shop: &Shop, fix: &str) {
    match fix.strip_prefix("estiba ") {
        Some(words) => {
            let words: Vec<&str> = words.split(' ').chain(["--yes"]).collect();
            let run = shop.estiba(&words);
            // `doctor --fix` says what else is wrong.
            assert!(run.code == 0 || words[0] == "doctor", "{words:?}: {}\n{}", run.stdout, run.stderr);
        }
        // What a restart of the machine leaves is the matrix's matter.
        None if fix == "reboot" => drop(shop.server.exec("rm /run/reboot-required")),
        None => drop(shop.server.exec(fix)),
    }
}

#[test]
#[ignore = "a variant: make test-whole"]
fn what_is_wrong_with_a_server_is_found_with_the_command_that_mends_it() {
    let shop = Shop::new(Engine::None("bookworm"), "doctor", "[backup]\n");
    shop.good(&["setup", "--yes"]);
    shop.server.bring_images();
    shop.good(&["deploy", "--json"]);
    shop.good(&["backup", "create"]);
    assert_eq!(findings(&shop), [] as [(String, String); 0]);

    // Those that hide all others, one after another.
    for (plant, kind) in [
        ("gpasswd -d deploy docker", "docker-denied"),
        ("mv /usr/local/lib/docker/cli-plugins/docker-compose /root/", "compose-missing"),
        (
            r#"cat >/tmp/old <<'PLUGIN'
#!/bin/sh
case $1 in
docker-cli-plugin-metadata) echo '{"SchemaVersion":"0.1.0","Vendor":"x","Version":"v2.10.0"}' ;;
*) echo 2.10.0 ;;
esac
PLUGIN
chmod 755 /tmp/old && mv /tmp/old /usr/local/lib/docker/cli-plugins/docker-compose"#,
            "compose-old",
        ),
        ("chmod u-w /srv/shop", "root-unwritable"),
        // Last: the edges may have other addresses afterwards.
        ("service docker stop", "docker-down"),
    ] {
        shop.server.exec(plant);
        let found = findings(&shop);
        assert_eq!(found.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(), [kind], "{plant}");
        let said = shop.estiba(&["doctor"]);
        assert!(said.stdout.contains("fix: ") && said.stdout.contains(kind), "{}", said.stdout);
        mend(&shop, &found[0].1);
        shop.server.wait_up();
    }

    // All the rest at once.
    let web = format!("{}-web-blue-1", shop.site.name);
    let planted = [
        ("root-open", "chmod o+w /srv/shop".to_owned()),
        ("root-foreign", "chown nobody /srv/shop/bin".into()),
        (
            "run-stale",
            "cd /srv/shop/runs && for run in *-backup-*; do :; done && cp -rp $run 20990101T000000Z-backup-0 && cd 20990101T000000Z-backup-0 && rm outcome \
             && sed -i \"s/$run/20990101T000000Z-backup-0/\" run.env && echo 999999 >driver.pid"
                .into(),
        ),
        ("uploads-left", "mkdir /srv/shop/state/incoming.x && touch -d '3 days ago' /srv/shop/state/incoming.x".into()),
        ("boot-hook", "rm /etc/cron.d/estiba-*".into()),
        ("backup-old", "touch -d '3 days ago' /srv/shop/backups/*.dump".into()),
        ("no-restart", format!("docker update --restart no {web}")),
        ("reboot-due", "touch /run/reboot-required".into()),
        ("backlog-short", "sysctl -w net.core.somaxconn=128".into()),
        ("edge-moved", "sed -i 's/[0-9.]* *$/192.0.2.1 /' /srv/shop/state/edge-addresses".into()),
        (
            "images-dangling",
            "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do echo $n >/tmp/$n && tar -C /tmp -c $n | docker import - dangling >/dev/null; done".into(),
        ),
        ("deploy-unfinished", "echo 'drain the old release' >/srv/shop/state/unfinished && chown deploy: /srv/shop/state/unfinished".into()),
        (
            "disk-full",
            "docker run --name fat --entrypoint sh redis:7 -c 'left=$(df -Pm / | tail -n 1 | tr -s \" \" | cut -d \" \" -f 4); \
             dd if=/dev/zero of=/fat bs=1M count=$((left - 600)) 2>/dev/null'"
                .into(),
        ),
    ];
    for (_, plant) in planted.iter().rev() {
        shop.server.try_exec(plant);
    }
    let found = findings(&shop);
    for (kind, _) in &planted {
        assert!(found.iter().any(|(found, _)| found == kind), "{kind} was not found: {found:?}");
    }
    // What mends one may mend another.
    for (kind, fix) in &found {
        if findings(&shop).iter().any(|(left, _)| left == kind) {
            mend(&shop, fix);
        }
    }
    let started = std::time::Instant::now();
    while !findings(&shop).is_empty() {
        if started.elapsed().as_secs() > 60 {
            let health = "docker ps -a; docker inspect -f '{{.Name}} {{json .State.Health}}' $(docker ps -q)";
            panic!("{:?}\n{}", findings(&shop), shop.server.exec(health));
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
}
