//! The webhook: floods of deliveries that nobody signed, and pushes that become deploys.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::{Requests, Site, free_address, github, wait_for};

const PAGE_TOKEN: &str = "a token for the page of this test";
const SECRET: &str = "a secret of sixteen and more";

/// A service, and where it listens.
struct Service {
    child: Child,
    address: SocketAddr,
}

impl Service {
    fn start(site: &Site, source: &Path, api: &str) -> Self {
        let address = free_address();
        let mut command = site.command(&["serve", "--repository", "team/site", "--listen", &address.to_string(), "--api", api]);
        command.args(["--source", source.to_str().unwrap(), "--folder"]).arg(site.folder.join("serve"));
        command
            .env("ESTIBA_WEBHOOK_SECRET", SECRET)
            .env("ESTIBA_STATUS_TOKEN", "token-of-this-test")
            .env("ESTIBA_PAGE_TOKEN", PAGE_TOKEN);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(site.folder.join("serve.log")).unwrap();
        let child = command.stderr(log.try_clone().unwrap()).stdout(log).spawn().unwrap();
        wait_for("the webhook", Duration::from_secs(10), || TcpStream::connect(address).is_ok());
        Self { child, address }
    }

    /// The status and the body of an answer to these bytes.
    fn ask(&self, request: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // A refusal may come before all is sent.
        let _ = stream.write_all(request);
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said).into_owned();
        let status = said.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, said.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }

    /// A page, with these headers.
    fn page(&self, path: &str, headers: &str) -> (u16, String) {
        self.ask(format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n").as_bytes())
    }

    fn push(&self, delivery: &str, commit: &str) -> (u16, String) {
        let body = event(commit);
        self.ask(&request(&[("X-Hub-Signature-256", &format!("sha256={}", signed(SECRET, &body)))], delivery, &body))
    }

    /// What it keeps in memory, in MB.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn event(commit: &str) -> String {
    json!({"ref": "refs/heads/main", "after": commit, "repository": {"full_name": "team/site"}, "pusher": {"name": "ana"}})
        .to_string()
}

fn signed(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn request(headers: &[(&str, &str)], delivery: &str, body: &str) -> Vec<u8> {
    let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    format!(
        "POST /hook HTTP/1.1\r\nHost: hook\r\nConnection: close\r\nX-GitHub-Event: push\r\nX-GitHub-Delivery: {delivery}\r\n{more}Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The states that were posted for commits, in their order: `COMMIT state`.
fn states(requests: &Requests) -> Vec<String> {
    let state = |(first, body): &(String, String)| {
        let commit = first.split('/').nth(5)?.split(' ').next()?.to_owned();
        Some(format!("{} {}", &commit[..7], serde_json::from_str::<Value>(body).ok()?["state"].as_str()?))
    };
    requests.lock().unwrap().iter().filter_map(state).collect()
}

#[test]
fn nothing_gets_in_without_a_signature_and_what_has_one_at_once() {
    let site = Site::empty("hook");
    std::fs::create_dir_all(site.app("")).unwrap();
    let (api, requests) = github();
    let service = Service::start(&site, &site.app(""), &api);
    let body = event(&"a".repeat(40));
    let right = signed(SECRET, &body);
    let forged = [
        Vec::new(),
        vec![("X-Hub-Signature-256", format!("sha256={}", signed("another secret", &body)))],
        vec![("X-Hub-Signature-256", format!("sha256={}", &right[..63]))],
        vec![("X-Hub-Signature-256", format!("sha256={right}0"))],
        vec![("X-Hub-Signature-256", right.clone())],
        vec![("X-Hub-Signature-256", format!("sha1={right}"))],
        vec![("X-Hub-Signature", format!("sha256={right}"))],
        vec![("X-Gitea-Signature", signed("another secret", &body))],
        vec![("X-Gitlab-Token", "another secret".to_owned())],
        // The same event, written otherwise.
        vec![("X-Hub-Signature-256", format!("sha256={}", signed(SECRET, &body.replace(':', ": "))))],
    ];
    std::thread::scope(|scope| {
        let floods: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut accepted = 0;
                    for turn in 0..2500 {
                        let headers = &forged[turn % forged.len()];
                        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                        accepted += usize::from(service.ask(&request(&headers, "flood", &body)).0 != 401);
                    }
                    accepted
                })
            })
            .collect();
        // One that is right, among them.
        let began = Instant::now();
        let (status, said) = service.push("right-1", &"a".repeat(40));
        let took = began.elapsed();
        assert_eq!(status, 202, "{said}");
        assert!(took < Duration::from_millis(400), "{took:?}, on a machine that floods itself");
        assert_eq!(floods.into_iter().map(|flood| flood.join().unwrap()).sum::<usize>(), 0);
    });
    assert_eq!(service.push("right-1", &"a".repeat(40)), (200, "this delivery came before\n".into()));
    // Its id is not signed: the same body with another one is the same delivery.
    assert_eq!(service.push("another", &"a".repeat(40)), (200, "this delivery came before\n".into()));

    // Bodies without an end, heads that drip, and those that say nothing at all.
    let idle: Vec<TcpStream> = (0..500).map(|_| TcpStream::connect(service.address).unwrap()).collect();
    let mut dripping = TcpStream::connect(service.address).unwrap();
    dripping.write_all(b"POST /hook HTTP/1.1\r\nHost").unwrap();
    let huge =
        format!("POST /hook HTTP/1.1\r\nHost: h\r\nX-Hub-Signature-256: sha256={right}\r\nContent-Length: 1073741824\r\n\r\n");
    assert_eq!(service.ask(huge.as_bytes()).0, 413);
    let mut endless = TcpStream::connect(service.address).unwrap();
    endless
        .write_all(
            format!(
                "POST /hook HTTP/1.1\r\nHost: h\r\nX-Hub-Signature-256: sha256={right}\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            .as_bytes(),
        )
        .unwrap();
    let chunk = [format!("{:x}\r\n", 1 << 16).into_bytes(), vec![b'x'; 1 << 16], b"\r\n".to_vec()].concat();
    let sent = (0..1024).take_while(|_| endless.write_all(&chunk).is_ok()).count();
    assert!(sent < 1024, "64 MB of a body without an end were taken");
    assert_eq!(service.ask(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), (200, "ok\n".into()));
    let metrics = service.ask(b"GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").1;
    for line in ["result=\"accepted\"} 1", "result=\"again\"} 2", "result=\"unsigned\"} 10000", "result=\"too-large\"} 1"] {
        assert!(metrics.contains(line), "{metrics}");
    }
    drop(idle);
    assert!(service.memory() < 64, "{} MB", service.memory());

    // The folder is no repository: that is told where the commit is looked at.
    wait_for("the status", Duration::from_secs(20), || states(&requests).len() >= 2);
    assert_eq!(states(&requests), ["aaaaaaa pending", "aaaaaaa failure"]);
    let log = std::fs::read_to_string(site.folder.join("serve.log")).unwrap();
    assert!(log.contains("git fetch failed") && !log.contains(SECRET) && !log.contains("token-of-this-test"), "{log}");
    site.estiba(&["serve", "--source", "x"]).says(2, &["ESTIBA_WEBHOOK_SECRET"]);
}

#[test]
fn a_push_ends_as_a_deploy_and_a_broken_one_rolled_back() {
    let site = Site::new("pushed", "[rollout]\nobserve = \"0s\"\n");
    let first = site.deployed()["release"].as_str().unwrap().to_owned();
    let app = site.app("");
    let commit = |message: &str| {
        for arguments in [vec!["init", "-q", "-b", "main"], vec!["add", "-A"], vec!["commit", "-qm", message]] {
            let mut git = Command::new("git");
            git.args(["-c", "user.name=t", "-c", "user.email=t@example.com"]).args(arguments).current_dir(&app);
            assert!(git.stderr(Stdio::null()).status().unwrap().success());
        }
        let output = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(&app).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let (api, requests) = github();
    let service = Service::start(&site, &app, &api);
    let ended = |commit: &str, state: &str| {
        let wanted = format!("{} {state}", &commit[..7]);
        wait_for(&wanted, Duration::from_secs(60), || states(&requests).contains(&wanted));
    };

    site.edit("templates/home.html", "<h1>Certificados</h1>", "<h1>Empujado</h1>");
    let good = commit("good");
    assert_eq!(service.push("1", &good).0, 202);
    ended(&good, "success");
    let second = site.serving();
    assert!(second != first && second.ends_with(&good[..7]) && site.get("/").1.contains("Empujado"));

    site.edit("sitio/settings.py", "import os", "raise RuntimeError\nimport os");
    let broken = commit("broken");
    assert_eq!(service.push("2", &broken).0, 202);
    ended(&broken, "failure");
    assert_eq!(site.serving(), second);

    // Three come while somebody else holds the lock, the service is killed, and starts again: the newest runs, once.
    site.edit("sitio/settings.py", "raise RuntimeError\n", "");
    let lock = site.root.join("state/lock");
    let mut holder = Command::new("flock").arg(&lock).args(["sleep", "600"]).spawn().unwrap();
    wait_for("the lock", Duration::from_secs(5), || !site.lock_is_free());
    let commits: Vec<String> = (0..3)
        .map(|number| {
            site.append("templates/home.html", &format!("<!-- {number} -->\n"));
            let commit = commit("more");
            assert_eq!(service.push(&format!("more-{number}"), &commit).0, 202);
            commit
        })
        .collect();
    wait_for("the first of them", Duration::from_secs(20), || {
        states(&requests).contains(&format!("{} pending", &commits[0][..7]))
    });
    ended(&commits[1], "failure");
    drop(service);
    let service = Service::start(&site, &app, &api);
    Command::new("pkill").args(["-P", &holder.id().to_string()]).status().unwrap();
    holder.kill().unwrap();
    holder.wait().unwrap();
    ended(&commits[2], "success");
    assert!(site.serving().ends_with(&commits[2][..7]) && site.get("/").1.contains("<!-- 2 -->"));
    let told = states(&requests);
    assert_eq!(told.iter().filter(|state| **state == format!("{} success", &commits[2][..7])).count(), 1);
    assert_eq!(service.push("more-2", &commits[2]).0, 200);
    the_page_shows_it_to_who_has_the_token(&site, &service, &broken);
}

fn the_page_shows_it_to_who_has_the_token(site: &Site, service: &Service, broken: &str) {
    let token = format!("Authorization: Bearer {PAGE_TOKEN}\r\n");
    let serves = site.serving();
    wait_for("the page", Duration::from_secs(60), || service.page("/page", &token).1.contains(&serves));
    let (status, page) = service.page("/page", &(token.clone() + "Accept-Language: es\r\n"));
    assert!(status == 200 && page.contains("Qué está en marcha") && page.contains("Todo está bien."), "{page}");
    assert!(page.contains(&broken[..7]) && page.contains("rolled-back") && !page.contains("<script"), "{page}");
    let run = page.split("/page/runs/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let (status, journal) = service.page(&format!("/page/runs/{run}"), &token);
    assert!(status == 200 && journal.contains("preflight"), "{journal}");
    // Nothing without it, by no path.
    for path in ["/page", "/page/", &format!("/page/runs/{run}"), "/page/runs/..%2f", "/page/x"] {
        for headers in ["", "Authorization: Bearer a token for the page of this tes\r\n", "Cookie: estiba_page=1\r\n"] {
            let (status, page) = service.page(path, headers);
            assert_eq!(status, 401, "{path}");
            assert!(!page.contains(&serves) && !page.contains(&site.name), "{page}");
        }
    }
    // A form lets a browser in, by a cookie that is not the token.
    let form = |token: &str| {
        let body = format!("token={}", token.replace(' ', "+"));
        let head = "POST /page/login HTTP/1.1\r\nHost: h\r\nConnection: close\r\n";
        let mut stream = TcpStream::connect(service.address).unwrap();
        stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said
    };
    assert!(form("another token of that length").starts_with("HTTP/1.1 401"));
    let said = form(PAGE_TOKEN).to_lowercase();
    let cookie = said.split("set-cookie: ").nth(1).unwrap().split(';').next().unwrap();
    assert!(said.contains("httponly; samesite=strict") && !said.contains(PAGE_TOKEN), "{said}");
    assert_eq!(service.page("/page", &format!("Cookie: {cookie}\r\n")).0, 200);
    let log = std::fs::read_to_string(site.folder.join("serve.log")).unwrap();
    assert!(!log.contains(PAGE_TOKEN), "{log}");
}
