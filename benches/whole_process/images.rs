//! Bytes and images on their way to a server.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use estiba::image::Destination;
use estiba::report::Asker;
use estiba::ssh::{Address, Door, Hop, HostKeys, Identity, Settings, Sources, Traffic};

use super::pairs::{Unit, row, timed, wanted};
use super::proxy::Proxy;
use super::server::{Engine, Server};
use super::support::{Site, sshd};
use super::{delay, ssh_to};

const BULK: u64 = 500_000_000;

/// 500 MB that no compression makes less, sent by a process of its own: see [`send`].
pub fn bulk() {
    let what = "500 MB to the server · ssh host 'cat >…'";
    let long = "500 MB at 50 ms round trip · ssh host 'cat >…'";
    if !wanted(what) && !wanted(long) {
        return;
    }
    let file = sshd().folder.join("bulk");
    let made = format!("head -c {BULK} /dev/urandom >{}", file.display());
    assert!(Command::new("sh").args(["-c", &made]).status().unwrap().success());
    let memory = AtomicU64::new(0);
    let ours = |port: u16, round_trip: u64| {
        let started = Instant::now();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--send", &port.to_string(), &round_trip.to_string()])
            .arg(&file)
            .env("KEY", std::fs::read_to_string(sshd().folder.join("id_ed25519")).unwrap())
            .env("FINGERPRINT", &sshd().fingerprint)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let took = started.elapsed();
        memory.fetch_max(String::from_utf8_lossy(&output.stdout).trim().parse().unwrap(), Ordering::Relaxed);
        took
    };
    let theirs = |port: u16| {
        let started = Instant::now();
        let there = sshd().folder.join("arrived");
        let mut command = ssh_to(sshd(), port);
        command.arg(format!("cat >{}", there.display())).stdin(std::fs::File::open(&file).unwrap());
        assert!(command.status().unwrap().success());
        let took = started.elapsed();
        std::fs::remove_file(there).unwrap();
        took
    };
    timed(what, 5, || ours(sshd().port, 0), || theirs(sshd().port));
    if wanted(long) {
        let port = delay::start(sshd().port, Duration::from_millis(50));
        timed(long, 3, || ours(port, 50), || theirs(port));
    }
    println!("| memory of the process that sends, at most | | | | {} MB |", memory.load(Ordering::Relaxed) / 1000);
    std::fs::remove_file(file).unwrap();
}

/// `--send PORT ROUND-TRIP FILE`: what sends an image sends that file. Prints the most memory that it had, in kB.
pub fn send(arguments: &[String]) {
    let [port, round_trip, file] = arguments else { panic!("--send PORT ROUND-TRIP FILE") };
    let folder = tempfile::tempdir().unwrap();
    let environment = |name: &str| std::env::var(name).unwrap();
    let settings = Settings {
        server: Hop {
            address: Address::parse(&format!("root@127.0.0.1:{port}")).unwrap(),
            real_host: None,
            known_as: None,
            host_keys: HostKeys::read(&[environment("FINGERPRINT")], "/".into(), None).unwrap(),
            identity: Identity::choose(&Sources { key: Some((&environment("KEY"), None)), ..Sources::default() }).unwrap(),
            password: false,
        },
        jump: Vec::new(),
        proxy_command: None,
        is_local: false,
        r#become: None,
        asker: Asker::nobody(),
        traffic: Traffic::default(),
        door: Door::default(),
    };
    let to = Destination { settings, root: folder.path().display().to_string(), id: "bulk".into() };
    let file = std::fs::File::open(file).unwrap();
    let round_trip = Duration::from_millis(round_trip.parse().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let segments = runtime.block_on(estiba::image::transfer(&to, file, None, round_trip, |_| {})).unwrap();
    assert_eq!(segments.iter().map(|segment| segment.size).sum::<u64>(), BULK);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB").to_owned();
    println!("{peak}");
}

/// A server with an Engine of its own, and a project that is deployed to it.
struct Way {
    server: Server,
    proxy: Proxy,
    site: Site,
}

impl Way {
    fn new(name: &str) -> Self {
        let server = Server::start(Engine::Old, false);
        let proxy = Proxy::start(server.ssh_port);
        let site = Site::new(name, "");
        let text = format!(
            "[project]\nname = \"{}\"\n[target.production]\nhosts = [\"root@127.0.0.1:{}\"]\nhost-keys = [\"{}\"]\nroot = \"/srv/shop\"\n\
             [rollout]\nobserve = \"0s\"\n",
            site.name,
            proxy.port,
            server.fingerprint()
        );
        site.write("deploy.toml", &text);
        Self { server, proxy, site }
    }

    /// Deploys from a machine of that kind; the bytes that were sent for the image, and how long its step took.
    fn deploy(&self, runner: &str) -> (u64, Duration) {
        let mut command = self.site.command(&["deploy", "--json"]);
        let key = std::fs::read_to_string(self.server.folder.join("key")).unwrap();
        command.env("ESTIBA_SSH_KEY", key).env("HTTP_PORT", "80").env("RUNNER_ENVIRONMENT", runner);
        let run = Site::ended(command.spawn().unwrap());
        assert_eq!(run.code, 0, "{}", run.stderr);
        let sent = run.stderr.lines().find(|line| line.contains(" layers sent, ")).map(str::to_owned);
        let kilobytes = sent.and_then(|line| line.split(' ').rev().nth(1)?.parse::<u64>().ok()).unwrap_or(0);
        let outcome = run.json();
        let step = outcome["steps"].as_array().unwrap().iter().find(|step| step["name"] == "send").unwrap().clone();
        (kilobytes * 1000, Duration::from_millis(step["duration_ms"].as_u64().unwrap()))
    }

    fn ssh(&self, more: &[&str]) -> Command {
        let mut command = Command::new("ssh");
        command.args(["-p", &self.proxy.port.to_string(), "-i"]).arg(self.server.folder.join("key"));
        command.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]).args(more);
        command.arg("root@127.0.0.1").stdin(Stdio::piped());
        command
    }

    /// What is built and sent by hand.
    fn tag(&self) -> String {
        format!("{}:theirs", self.site.name)
    }

    fn build(&self, number: usize) {
        self.site.append("templates/home.html", &format!("<!-- {number} -->\n"));
        let folder = self.site.app("").display().to_string();
        let mut build = Command::new("docker");
        build.args(["build", "-q", "-t", &self.tag(), &folder]).stdout(Stdio::null());
        assert!(build.status().unwrap().success());
    }

    /// The image by hand: written out, through that program, and loaded there.
    fn pipe(&self, through: &str) -> Duration {
        let started = Instant::now();
        let mut load = self.ssh(&[]).arg("docker load -q").stdout(Stdio::null()).spawn().unwrap();
        let into = load.stdin.take().unwrap();
        let script = format!("docker save {}{through}", self.tag());
        assert!(Command::new("sh").args(["-c", &script]).stdout(into).status().unwrap().success());
        assert!(load.wait().unwrap().success());
        started.elapsed()
    }

    /// From now on the image stands on a base that nobody has seen before.
    fn new_base(&self, number: usize) {
        let base = format!("{}:base-{number}", self.site.name);
        let first = std::fs::read_to_string(self.site.app("Dockerfile.first")).unwrap();
        let name = first.lines().find_map(|line| line.strip_prefix("FROM ")).unwrap().split(' ').next().unwrap();
        let seed = self.site.folder.join("seed");
        std::fs::write(&seed, format!("{base} of {:?}", std::time::SystemTime::now())).unwrap();
        let script = format!(
            "set -e; id=$(docker create {name} true); docker cp -q '{seed}' $id:/seed 2>/dev/null || docker cp '{seed}' $id:/seed\n\
             docker export $id | docker import -c 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' - {base} >/dev/null\n\
             docker rm $id >/dev/null",
            seed = seed.display(),
        );
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
        self.site.write("Dockerfile", &first.replacen(name, &base, 1));
    }
}

/// One line of the source changed: what goes over the wire, and how long until the image is there, on a server with an Engine of
/// its own.
pub fn one_line() {
    let (bytes, time) = (
        "one changed line: bytes on the wire · docker save, gzip, ssh docker load",
        "one changed line: until the image is there · the same pipe",
    );
    let registry = "one changed line: until the image is there · push to a registry, pull through ssh -R";
    if ![bytes, time, registry].iter().any(|what| wanted(what)) {
        return;
    }
    let way = Way::new("bench-image");
    // The Engine learns its layers.
    for _ in 0..2 {
        way.build(100);
        way.deploy("self-hosted");
    }
    let (mut on_the_wire, mut times) = (Vec::new(), Vec::new());
    let mut ours = Vec::new();
    for number in 0..5 {
        way.build(number);
        let (sent, took) = way.deploy("self-hosted");
        let before = way.proxy.passed();
        let piped = way.pipe(" | gzip -1");
        on_the_wire.push((sent as f64, (way.proxy.passed() - before) as f64));
        times.push((took.as_secs_f64(), piped.as_secs_f64()));
        ours.push(took);
    }
    if wanted(bytes) {
        row(bytes, Unit::Bytes, &on_the_wire);
    }
    if wanted(time) {
        row(time, Unit::Seconds, &times);
    }
    if wanted(registry) {
        let pushed = by_registry(&way);
        let pairs: Vec<(f64, f64)> =
            ours.iter().zip(pushed).map(|(ours, theirs)| (ours.as_secs_f64(), theirs.as_secs_f64())).collect();
        row(registry, Unit::Seconds, &pairs);
    }
}

/// The same from an Engine that never pushed the image's layers: on a runner that is thrown away, and on a machine that stays, where
/// the second deploy has it better.
pub fn never_pushed() {
    let cold = "one changed line, an Engine that never pushed it, a runner thrown away: until the image is there · docker save, ssh docker load";
    let learning = "the same, never pushed, on a machine that stays, its first deploy · the same pipe";
    let learned = "the same, never pushed, its second deploy · the same pipe";
    if ![cold, learning, learned].iter().any(|what| wanted(what)) {
        return;
    }
    let way = Way::new("bench-cold");
    way.site.write("Dockerfile.first", &std::fs::read_to_string(way.site.app("Dockerfile")).unwrap());
    let (mut first, mut stays, mut second) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..3 {
        way.new_base(number);
        way.deploy("github-hosted");
        for (runner, pairs) in [("github-hosted", &mut first), ("self-hosted", &mut stays), ("self-hosted", &mut second)] {
            way.build(number);
            let (_, took) = way.deploy(runner);
            pairs.push((took.as_secs_f64(), way.pipe("").as_secs_f64()));
        }
    }
    for (what, pairs) in [(cold, first), (learning, stays), (learned, second)] {
        if wanted(what) {
            row(what, Unit::Seconds, &pairs);
        }
    }
}

/// As Kamal does it without a registry of one's own: push to one on this machine, have the server pull through the connection.
fn by_registry(way: &Way) -> Vec<Duration> {
    let (site, tag) = (&way.site, way.tag());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = site.folder.join("registry.yml");
    let storage = site.folder.join("registry").display().to_string();
    let text = format!("version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {storage}\nhttp:\n  addr: 127.0.0.1:{port}\n");
    std::fs::write(&settings, text).unwrap();
    let mut registry =
        Command::new("docker-registry").arg("serve").arg(&settings).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    super::support::wait_for("the registry", Duration::from_secs(20), || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let name = format!("127.0.0.1:{port}/{tag}");
    let once = |number| {
        way.build(number);
        let started = Instant::now();
        let push = format!("docker tag {tag} {name} && docker push -q {name} >/dev/null");
        assert!(Command::new("sh").args(["-c", &push]).status().unwrap().success());
        let mut pull = way.ssh(&["-R", &format!("{port}:127.0.0.1:{port}")]);
        assert!(pull.arg(format!("docker pull -q {name} >/dev/null")).stdin(Stdio::null()).status().unwrap().success());
        started.elapsed()
    };
    once(100);
    let times = (101..106).map(once).collect();
    registry.kill().unwrap();
    registry.wait().unwrap();
    times
}
