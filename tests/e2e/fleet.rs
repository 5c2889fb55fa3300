//! Several servers, each with an Engine and a site of its own, as one target.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::server::{Engine, Server};
use crate::support::{Run, Scripted, Site};

struct Fleet {
    servers: [Server; 2],
    site: Site,
    key: String,
}

impl Fleet {
    fn new() -> Self {
        let servers = std::thread::scope(|scope| {
            let second = scope.spawn(|| Server::start(Engine::Old, false));
            [Server::start(Engine::Old, false), second.join().unwrap()]
        });
        let public = std::fs::read_to_string(servers[0].folder.join("key.pub")).unwrap();
        servers[1].exec(&format!("echo '{}' >>/root/.ssh/authorized_keys", public.trim()));
        let site = Site::new("fleet", "");
        let [one, two] = &servers;
        let text = format!(
            "[project]\nname = \"{}\"\n[target.production]\nhosts = [\"root@127.0.0.1:{}\", \"root@127.0.0.1:{}\"]\n\
             host-keys = [\"{}\", \"{}\"]\nroot = \"/srv/shop\"\n[rollout]\nobserve = \"0s\"\n[health]\ntimeout = \"20s\"\n",
            site.name,
            one.ssh_port,
            two.ssh_port,
            one.fingerprint(),
            two.fingerprint()
        );
        site.write("deploy.toml", &text);
        let key = std::fs::read_to_string(one.folder.join("key")).unwrap();
        Self { servers, site, key }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let mut command = self.site.command(arguments);
        command.env("ESTIBA_SSH_KEY", &self.key).env("HTTP_PORT", "80");
        Site::ended(command.spawn().unwrap())
    }

    fn host(&self, at: usize) -> String {
        format!("root@127.0.0.1:{}", self.servers[at].ssh_port)
    }

    /// The releases that the two sites say they are.
    fn serving(&self) -> Vec<String> {
        let ask = |server: &Server| {
            let body: serde_json::Value = serde_json::from_str(&server.exec("curl -sf http://127.0.0.1/health/")).unwrap();
            body["release"].as_str().unwrap().to_owned()
        };
        self.servers.iter().map(ask).collect()
    }
}

/// The end of a release's id, which is made of its files.
fn digest(release: &str) -> &str {
    release.rsplit_once('-').unwrap().1
}

fn release(run: &Run) -> String {
    run.json()["release"].as_str().unwrap().to_owned()
}

/// A project whose image lies in an archive, for that many scripted servers; the last of them fails at that step.
fn scripted(name: &str, count: usize, fails: Option<&'static str>) -> (Scripted, Site) {
    let site = Site::new(name, "");
    let image = Scripted::archive(&site.app("image.tar"));
    let fleet = Scripted::start(count, &image, fails);
    site.write("deploy.toml", &fleet.deploy_toml(&site.name, count));
    (fleet, site)
}

#[test]
fn two_hundred_hosts_are_one_deploy_and_one_of_them_stops_it_for_all() {
    let (_fleet, site) = scripted("two-hundred", 200, None);
    let run = site.estiba(&["deploy", "--json"]);
    let hosts = |run: &Run, outcome: &str| {
        let of_host = run.stdout.lines().filter(|line| line.contains(r#""event":"host-outcome""#));
        of_host.filter(|line| line.contains(&format!(r#""outcome":"{outcome}""#))).count()
    };
    assert_eq!((run.code, hosts(&run, "deployed")), (0, 200), "{}", run.stderr);
    // People read of each step once, whatever the number of hosts.
    assert_eq!(run.stderr.lines().filter(|line| line.contains("✓ check")).count(), 1, "{}", run.stderr);

    let (_fleet, site) = scripted("one-fails", 200, Some("check"));
    let run = site.estiba(&["deploy", "--json"]);
    assert_eq!((run.code, hosts(&run, "rolled-back")), (3, 200), "{}", run.stderr);
    let outcome = run.json();
    assert_eq!(outcome["failed_step"], "check");
    assert!(outcome["reason"].as_str().unwrap().contains("it did not go well"), "{outcome}");
}

/// The last of the hosts, which is the one that fails, is the first, and these lines are the target's.
fn with_the_worst_first(fleet: &Scripted, site: &Site, lines: &str) {
    let text = std::fs::read_to_string(site.app("deploy.toml")).unwrap();
    let mut hosts: Vec<String> = fleet.ports.iter().map(|port| format!("\"root@127.0.0.1:{port}\"")).collect();
    let before = hosts.join(", ");
    hosts.rotate_right(1);
    let text = text.replace(&before, &hosts.join(", ")).replace("[image]", &format!("{lines}[image]"));
    site.write("deploy.toml", &text);
}

#[test]
fn a_wave_that_fails_is_the_last() {
    let ends = |run: &Run| {
        let of = |outcome: &str| {
            let such =
                |line: &&str| line.contains(r#""event":"host-outcome""#) && line.contains(&format!(r#""outcome":"{outcome}""#));
            run.stdout.lines().filter(such).count()
        };
        (run.code, of("deployed"), of("rolled-back"), of("refused"))
    };
    // In waves of 1, 25, 25 …: all go, one after another.
    let waves = "waves = [1, \"25%\"]\nwave-pause = \"1s\"\n";
    let (fleet, site) = scripted("waves", 100, None);
    with_the_worst_first(&fleet, &site, waves);
    let run = site.estiba(&["deploy", "--json"]);
    assert_eq!(ends(&run), (0, 100, 0, 0), "{}", run.stderr);
    assert!(run.stderr.contains("wave 5 of 5 begins"), "{}", run.stderr);

    // The first one fails: no other one begins. Of hosts that are one the first is undone as any other.
    for mode in ["", "fleet = \"each\"\n"] {
        let (fleet, site) = scripted("waves-fail", 20, Some("check"));
        with_the_worst_first(&fleet, &site, &format!("{waves}{mode}"));
        let run = site.estiba(&["deploy", "--json"]);
        assert_eq!(ends(&run), (3, 0, 1, 19), "{}", run.stderr);
        assert!(run.stderr.contains("not begun, and nothing was changed there"), "{}", run.stderr);
    }
    // Each by itself: one goes back, the others stay. Where one may fail, so do hosts that are one otherwise.
    for mode in ["fleet = \"each\"\n", "max-failures = 1\n", "max-failures = 1\nfleet = \"each\"\nwaves = [1, 5]\n"] {
        let (fleet, site) = scripted("each", 20, Some("check"));
        with_the_worst_first(&fleet, &site, mode);
        let run = site.estiba(&["deploy", "--json"]);
        assert_eq!(ends(&run), (3, 19, 1, 0), "{mode}: {}", run.stderr);
        let outcome = run.json();
        assert_eq!((&outcome["outcome"], &outcome["failed_step"]), (&"rolled-back".into(), &"check".into()), "{outcome}");
        assert!(outcome["reason"].as_str().unwrap().contains("the hosts serve different releases"), "{outcome}");
    }
    for wrong in ["waves = [0]\n", "waves = [\"0%\"]\n", "waves = [\"some\"]\n"] {
        let (fleet, site) = scripted("wrong", 2, None);
        with_the_worst_first(&fleet, &site, wrong);
        site.estiba(&["deploy"]).says(2, &["deploy.toml:", "waves = [1, \"25%\"]"]);
    }
}

#[test]
fn a_look_from_outside_is_one_word_for_all_hosts() {
    let (_fleet, site) = scripted("one-word", 20, None);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("url = \"http://{}\"\n[image]", listener.local_addr().unwrap());
    site.edit("deploy.toml", "[image]", &url);
    // A site that is sick for three looks and well for every later one.
    let looks = Arc::new(AtomicU32::new(0));
    let count = looks.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let status = if count.fetch_add(1, Ordering::Relaxed) < 3 { "503 Sick" } else { "200 OK" };
            let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    let run = site.estiba(&["deploy", "--json"]);
    let back = run.stdout.lines().filter(|line| line.contains(r#""event":"host-outcome""#) && line.contains(r#""rolled-back""#));
    assert_eq!((run.code, back.count(), looks.load(Ordering::Relaxed)), (3, 20, 3), "{}", run.stderr);
    assert!(run.json()["reason"].as_str().unwrap().contains("503"), "{}", run.stdout);
}

#[test]
fn a_fleet_is_deployed_to_as_one_and_goes_back_as_one() {
    let fleet = Fleet::new();
    let first = fleet.run(&["deploy", "--json"]);
    first.says(0, &["deployed: production serves"]);
    let hosts = first.stdout.lines().filter(|line| line.contains(r#""event":"host-outcome""#)).count();
    assert_eq!(hosts, 2, "an outcome of each host: {}", first.stdout);
    assert_eq!(first.stdout.matches(r#""event":"step-began","step":"send""#).count(), 1, "one transfer for both");
    let served = fleet.serving();
    assert_eq!(served, vec![release(&first); 2]);
    assert_eq!(fleet.run(&["deploy", "--json"]).expect(0, "unchanged")["release"], first.json()["release"]);

    // One host cannot start the release: neither serves it.
    fleet.servers[1].exec(
        "cat >/usr/local/bin/docker <<'END'\n#!/bin/sh\n\
         case \"$*\" in *' up '*) [ -e /refused ] || { : >/refused; echo 'no room for a container' >&2; exit 1; } ;; esac\n\
         exec /usr/bin/docker \"$@\"\nEND\nchmod 755 /usr/local/bin/docker",
    );
    fleet.site.append("templates/home.html", "<!-- another -->\n");
    let broken = fleet.run(&["deploy", "--json"]);
    let outcome = broken.json();
    assert_eq!((broken.code, outcome["outcome"].as_str().unwrap()), (3, "rolled-back"), "{}", broken.stderr);
    let reason = outcome["reason"].as_str().unwrap();
    assert!(reason.contains(&fleet.host(1)), "the host that failed is named: {reason}");
    assert!(broken.stderr.contains("another host of the fleet failed"), "{}", broken.stderr);
    assert_eq!(fleet.serving(), served, "both serve what they served");

    // Again, and all is well; then one alone by its name, and both back.
    let second = fleet.run(&["deploy", "--json"]);
    second.says(0, &[]);
    assert_eq!(fleet.serving(), vec![release(&second); 2]);
    let status = fleet.run(&["status", "--json"]);
    assert_eq!(status.stdout.lines().count(), 2, "{}", status.stdout);
    assert_eq!(fleet.run(&["status", "--json", "--host", &fleet.host(1)]).stdout.lines().count(), 1);
    fleet.run(&["history"]).says(2, &["--host"]);
    fleet.run(&["rollback", "--json"]).expect(0, "rolled-back");
    assert_eq!(fleet.serving(), served);

    // Each by itself, in waves: one goes back, and the next deploy catches it up.
    fleet.site.edit("deploy.toml", "[rollout]\n", "fleet = \"each\"\nwaves = [1]\n[rollout]\nconfirm-timeout = \"5s\"\n");
    fleet.servers[1].exec("rm /refused");
    fleet.site.append("templates/home.html", "<!-- each -->\n");
    let one = fleet.run(&["deploy", "--json"]);
    one.says(3, &["wave 2 of 2 begins", "the hosts serve different releases"]);
    let now = fleet.serving();
    assert!(now[0] != served[0] && now[1] == served[1], "{now:?}");
    fleet.run(&["deploy", "--json"]).says(0, &[]);
    // The same files, under a release of its own.
    let caught_up = fleet.serving();
    assert_eq!((&caught_up[0], digest(&caught_up[1])), (&now[0], digest(&now[0])));

    // Together again: the first wave waits for the second, longer than its time for the word.
    fleet.site.edit("deploy.toml", "fleet = \"each\"", "fleet = \"together\"\nwave-pause = \"8s\"");
    fleet.site.append("templates/home.html", "<!-- together -->\n");
    let both = fleet.run(&["deploy", "--json"]);
    both.says(0, &["wave 2 of 2 begins"]);
    let served = fleet.serving();
    assert_eq!(served, vec![release(&both); 2]);

    // A host that is not there stops all of it before anything is touched, and hides none of the others' status.
    fleet.servers[1].exec("kill $(cat /run/sshd.pid)");
    fleet.run(&["deploy", "--json"]).says(1, &[&fleet.host(1), "nothing was changed"]);
    let status = fleet.run(&["status", "--json"]);
    let seen = status.stdout.lines().filter(|line| line.starts_with("{\"host\"")).count();
    assert_eq!((status.code, seen), (1, 1), "{}{}", status.stdout, status.stderr);
    let runs = fleet.servers[0].exec("ls /srv/shop/runs | grep -c deploy");
    // Where one may be away, the others get the release, and the exit code says that it is not whole.
    fleet.site.edit("deploy.toml", "waves = [1]\n", "max-failures = 1\n");
    fleet.site.append("templates/home.html", "<!-- without the second -->\n");
    let without = fleet.run(&["deploy", "--json"]);
    without.says(1, &[&fleet.host(1), "is left out"]);
    assert_ne!(fleet.serving()[0], served[0]);
    assert_ne!(fleet.servers[0].exec("ls /srv/shop/runs | grep -c deploy"), runs);
}
