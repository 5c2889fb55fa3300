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

    // A host that is not there stops all of it before anything is touched, and hides none of the others' status.
    fleet.servers[1].exec("kill $(cat /run/sshd.pid)");
    fleet.run(&["deploy", "--json"]).says(1, &[&fleet.host(1), "nothing was changed"]);
    let status = fleet.run(&["status", "--json"]);
    let seen = status.stdout.lines().filter(|line| line.starts_with("{\"host\"")).count();
    assert_eq!((status.code, seen), (1, 1), "{}{}", status.stdout, status.stderr);
    assert_eq!(fleet.servers[0].exec("ls /srv/shop/runs | grep -c deploy"), "3");
}
