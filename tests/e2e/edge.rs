//! What an edge lets through, what it keeps apart, and what it counts.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use estiba::demo::Load;

use crate::stacks::Stack;
use crate::support::{docker, wait_for};

/// Two projects that call their app `web`, on one network that neither owns.
#[test]
#[ignore = "a variant: make test-whole"]
fn two_projects_on_one_network_never_see_each_others_slots() {
    let network = format!("e2e-neighbours-{}", std::process::id());
    docker(&["network", "create", &network]);
    let stacks = ["one", "two"].map(|name| {
        let stack = Stack::of("neighbours", &format!("neighbour-{name}"), Some(""), "");
        stack.env(&[("NAME", name), ("NEIGHBOURS", &network)]);
        stack.site.deployed();
        (stack, name)
    });
    let only_own = |rounds| {
        for _ in 0..rounds {
            for (stack, name) in &stacks {
                let (status, body) = stack.site.get("/");
                assert!(status == 200 && body.contains(&format!("of {name}\n")), "{status} {body}");
            }
        }
    };
    only_own(40);
    // One of them changes over, and the other does not notice.
    stacks[0].0.site.edit("app.py", "VERSION = \"1\"", "VERSION = \"2\"");
    stacks[0].0.site.deployed();
    only_own(40);
    assert!(stacks[0].0.site.get("/").1.contains("version 2") && stacks[1].0.site.get("/").1.contains("version 1"));
    drop(stacks);
    let _ = Command::new("docker").args(["network", "rm", &network]).output();
}

/// Limits that a proxy may have and an app alone has not; and answers that outlast an update.
#[test]
#[ignore = "a variant: make test-whole"]
fn what_the_app_takes_the_edge_takes() {
    let stack = Stack::of("published", "wide", Some(""), "[rollout]\nobserve = \"1s\"\n[edge]\ndrain-timeout = \"200s\"\n");
    stack.site.deployed();
    let url = |path: &str| format!("http://{}{path}", stack.site.address);
    let curl = |arguments: &[&str]| {
        Command::new("curl")
            .args(["-sS", "--max-time", "300"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    };
    let said = |child: std::io::Result<std::process::Child>| {
        let output = child.unwrap().wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };

    let header = format!("X-Long: {}", "x".repeat(20_000));
    assert_eq!(said(curl(&["-H", &header, &url("/header/")])), "20000\n");

    // An upload of 1 GB passes through, and is not kept.
    let mut upload = Command::new("curl")
        .args(["-sS", "-X", "POST", "-T", "-", "-H", "Content-Length: 1073741824", "-H", "Transfer-Encoding:", "-H", "Expect:"])
        .arg(url("/"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut body = upload.stdin.take().unwrap();
    let piece = vec![0u8; 1 << 20];
    for _ in 0..1024 {
        body.write_all(&piece).unwrap();
    }
    let edge = format!("{}-web-1", stack.site.name);
    let memory = docker(&["exec", &edge, "sh", "-c", "awk '/VmHWM/ { print $2 }' /proc/1/status"]);
    drop(body);
    said(Ok(upload));
    let memory: u64 = memory.trim().parse().unwrap();
    assert!(memory < 100_000, "the edge took {memory} kB");

    // Two minutes without a byte, an answer that goes on for long, and a connection that says nothing: an update goes on
    // meanwhile, and each ends as the release that it began with would have it.
    let began = Instant::now();
    let waits = curl(&[&url("/wait/120")]);
    let stream = stack.site.folder.join("stream");
    let streams = curl(&["-N", "-o", stream.to_str().unwrap(), &url("/stream/100")]);
    let mut idle = std::net::TcpStream::connect(stack.site.address).unwrap();
    let mut ask = |path: &str| {
        idle.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n0\r\n\r\n") {
            let mut piece = [0; 4096];
            let length = idle.read(&mut piece).unwrap();
            assert!(length > 0, "closed after {}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&piece[..length]);
        }
        String::from_utf8_lossy(&answer).into_owned()
    };
    assert!(ask("/").contains("version 1"));
    let talks = std::thread::spawn({
        let address = stack.site.address;
        move || talk(address, 90)
    });
    let streamed = || std::fs::read_to_string(&stream).unwrap_or_default();
    wait_for("the first line of the stream", Duration::from_secs(10), || streamed().contains("line 0"));
    stack.site.edit("app.py", "VERSION = \"1\"", "VERSION = \"2\"");
    stack.site.deployed();
    stack.answers("version 2");
    assert_eq!(said(waits), "waited\n");
    let heard = talks.join().unwrap();
    assert_eq!(heard.len(), 90);
    assert!(heard.iter().all(|line| line.ends_with("of version 1")), "{heard:?}");
    said(streams);
    let streamed = streamed();
    assert_eq!(streamed.lines().count(), 100, "{streamed}");
    assert!(streamed.lines().all(|line| line.ends_with("of version 1")));
    assert!(began.elapsed() >= Duration::from_secs(120));
    assert!(ask("/").contains("version 2"), "the connection was kept");
}

/// An upgraded connection on which something is said every second; what came back.
fn talk(address: std::net::SocketAddr, seconds: usize) -> Vec<String> {
    let mut connection = std::net::TcpStream::connect(address).unwrap();
    let asked = "GET /talk/ HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    connection.write_all(asked.as_bytes()).unwrap();
    let mut answers = BufReader::new(connection.try_clone().unwrap()).lines();
    let opened: Vec<String> = answers.by_ref().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
    assert!(opened[0].contains(" 101 "), "{opened:?}");
    let mut say = |number: usize| {
        connection.write_all(format!("word {number}\n").as_bytes()).unwrap();
        let heard = answers.next().unwrap().unwrap();
        std::thread::sleep(Duration::from_secs(1));
        heard
    };
    (0..seconds).map(&mut say).collect()
}

/// HTTP/2 without TLS on both sides of the edge, on connections that are kept across an update.
#[test]
#[ignore = "a variant: make test-whole"]
fn an_app_that_speaks_http_2_without_tls_is_updated_while_it_is_asked() {
    let stack =
        Stack::of("h2c", "h2c", None, "[rollout]\nobserve = \"1s\"\n[app]\nports = [{ port = 8000, protocol = \"h2c\" }]\n");
    stack.site.deployed();
    let url = format!("http://{}/", stack.site.address);
    let curl = || {
        let output = Command::new("curl").args(["-sS", "--http2-prior-knowledge", &url]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(curl(), "HTTP/2, version 1\n");
    let ends = AtomicBool::new(false);
    let heard = std::thread::scope(|scope| {
        // Four connections with four requests each under way.
        let asking = scope.spawn(|| {
            let mut heard = Vec::new();
            while !ends.load(Ordering::Relaxed) {
                let output = Command::new("h2load").args(["-n", "4000", "-c", "4", "-m", "4", &url]).output().unwrap();
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                heard.extend(
                    said.lines()
                        .filter(|line| line.starts_with("status codes:") || line.starts_with("requests:"))
                        .map(str::to_owned),
                );
            }
            heard
        });
        stack.site.edit("app.py", "VERSION = \"1\"", "VERSION = \"2\"");
        let updated = stack.site.estiba(&["deploy", "--json"]);
        ends.store(true, Ordering::Relaxed);
        updated.says(0, &[]);
        asking.join().unwrap()
    });
    assert_eq!(curl(), "HTTP/2, version 2\n");
    assert!(heard.len() >= 4, "{heard:?}");
    for line in heard {
        let whole = "requests: 4000 total, 4000 started, 4000 done, 4000 succeeded, 0 failed, 0 errored, 0 timeout";
        assert!(line == whole || line == "status codes: 4000 2xx, 0 3xx, 0 4xx, 0 5xx", "{line}");
    }
}

/// Nobody closes a connection that nothing is said on.
#[test]
#[ignore = "takes ten minutes; what_the_app_takes_the_edge_takes has two in it"]
fn a_connection_is_kept_for_ten_minutes_without_a_byte() {
    let stack = Stack::of("published", "idle", Some(""), "");
    stack.site.deployed();
    let mut idle = std::net::TcpStream::connect(stack.site.address).unwrap();
    let mut ask = || {
        idle.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut piece = [0; 4096];
        let length = idle.read(&mut piece).unwrap();
        assert!(piece[..length].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&piece[..length]));
        // The rest of the answer, which is short.
        idle.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        while idle.read(&mut piece).is_ok_and(|length| length > 0) {}
        idle.set_read_timeout(None).unwrap();
    };
    ask();
    std::thread::sleep(Duration::from_secs(600));
    ask();
}

/// Its health is fine, and so are POSTs.
#[test]
fn a_release_that_fails_only_gets_is_caught_while_it_is_observed() {
    let stack = Stack::of("published", "gets", Some(""), "[rollout]\nobserve = \"10s\"\n[health]\npath = \"/header/\"\n");
    stack.site.deployed();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let gets = runtime.block_on(async {
        Load {
            address: stack.site.address,
            path: "/list".into(),
            clients: 2,
            body: None,
            keep_alive: true,
            pause: Duration::from_millis(10),
            patience: Duration::from_secs(20),
        }
        .start()
    });
    // The front page, which a deploy asks for itself, is as good as the health path.
    stack.site.edit("app.py", "return \"200 OK\", [f\"version", "return \"500 Oh\" if kind else \"200 OK\", [f\"version");
    let failed = stack.site.estiba(&["deploy", "--json"]);
    failed.says(3, &["real requests with an error"]);
    stack.answers("version 1");
    let tally = runtime.block_on(gets.stop());
    assert!(tally.failed < tally.requests / 2, "{} of {}", tally.failed, tally.requests);
}
