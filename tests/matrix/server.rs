//! A whole server in a container: its own sshd and its own Docker, on a disk of its own that can be filled up.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const CAPABILITIES: &str = "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_ADMIN NET_RAW \
    IPC_LOCK IPC_OWNER SYS_CHROOT SYS_PTRACE SYS_ADMIN SYS_NICE MKNOD LEASE AUDIT_WRITE SETFCAP";

/// Holds a step at its first call of docker (`confirm`, and `static` of files that are collected, look into a file and do nothing else: its
/// first cat), until
/// the file is taken away: calls in the session of a step.sh, not those of another client. It stands before the real program.
const SHIM: &str = r#"#!/bin/sh
held() {
	read -r _ _ _ _ _ session _ </proc/$$/stat
	grep -q step.sh "/proc/$session/cmdline" 2>/dev/null || return
	read -r want </hold/step
	case ${0##*/}:$want in
	cat:confirm | cat:static) ;;
	cat:*) return ;;
	esac
	for run in /srv/shop/runs/*; do :; done
	last=$(awk -F '\t' '$2 ~ /^(began|done|failed|undoing|undone|outcome)$/ { last = $2 " " $3 } END { print last }' "$run/journal")
	[ "$last" = "began $want" ] || return
	: >/hold/reached
	while [ -e /hold/step ]; do /usr/bin/sleep 0.02; done
}
[ ! -e /hold/step ] || held
exec "/usr/bin/${0##*/}" "$@"
"#;

const CONTAINERD: &str = r#"{"features": {"containerd-snapshotter": true}}"#;

pub struct Server {
    pub name: String,
    pub folder: PathBuf,
    pub ssh_port: u16,
    pub http_port: u16,
    keep: bool,
}

/// What keeps the images there.
#[derive(Clone, Copy, PartialEq)]
pub enum Engine {
    /// Docker 20.10, its classic store.
    Old,
    /// Docker 26.1, its classic store.
    New,
    /// Docker 26.1, the containerd store.
    Containerd,
    /// None at all: a bare server of that Debian.
    None(&'static str),
}

impl Server {
    pub fn start(engine: Engine, keep: bool) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let name = format!("estiba-matrix-{}-{}", std::process::id(), STARTED.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(&name);
        for part in ["disk", "hold"] {
            std::fs::create_dir_all(folder.join(part)).unwrap();
        }
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { name, folder, ssh_port: free(), http_port: free(), keep };
        server.make_disk();
        sh(&format!("ssh-keygen -q -t ed25519 -N '' -f {}/key", server.folder.display()));
        server.run_container(engine);
        if let Engine::None(_) = engine {
            while TcpStream::connect(("127.0.0.1", server.ssh_port)).is_err()
                || !server.try_exec("test -e /etc/ssh/ssh_host_ed25519_key").status.success()
            {
                std::thread::sleep(Duration::from_millis(50));
            }
            let key = std::fs::read_to_string(server.folder.join("key.pub")).unwrap();
            server.write("/root/.ssh/authorized_keys", &key, 600);
            return server;
        }
        server.wait_up();
        let key = std::fs::read_to_string(server.folder.join("key.pub")).unwrap();
        server.write("/root/.ssh/authorized_keys", &key, 600);
        for program in ["docker", "cat"] {
            server.write(&format!("/usr/local/bin/{program}"), SHIM, 755);
        }
        server.bring_images();
        server
    }

    /// Brings what the example's stack is made of.
    pub fn bring_images(&self) {
        sh(&format!(
            "docker save postgres:15 redis:7 nginx:1.22 haproxy:lts | docker exec -i {} /usr/bin/docker load -q",
            self.name
        ));
    }

    fn make_disk(&self) {
        let at = self.folder.display();
        sh(&format!(
            "truncate -s 6G {at}/image && mkfs.ext4 -q -m 0 {at}/image && mount -o loop {at}/image {at}/disk && mkdir {at}/disk/srv {at}/disk/docker"
        ));
    }

    fn run_container(&self, engine: Engine) {
        let disk = self.folder.join("disk").display().to_string();
        let mut command = Command::new("docker");
        command.args(["run", "-d", "--name", &self.name, "--security-opt", "seccomp=unconfined", "--tmpfs", "/run"]);
        for capability in CAPABILITIES.split_whitespace() {
            command.args(["--cap-add", capability]);
        }
        let output = command
            .args(["-v", "/sys/fs/cgroup:/sys/fs/cgroup:rw"])
            .args(["-v", &format!("{disk}/docker:/var/lib/docker"), "-v", &format!("{disk}/srv:/srv")])
            .args(["-v", &format!("{}:/hold", self.folder.join("hold").display())])
            .args(["-p", &format!("127.0.0.1:{}:22", self.ssh_port), "-p", &format!("127.0.0.1:{}:80", self.http_port)])
            .args(["-e", &format!("DAEMON_JSON={}", if engine == Engine::Containerd { CONTAINERD } else { "" })])
            .arg(match engine {
                Engine::Old => "estiba-stand-in/server:bookworm".to_owned(),
                Engine::New | Engine::Containerd => "estiba-stand-in/server:trixie".to_owned(),
                Engine::None(suite) => format!("estiba-stand-in/bare:{suite}"),
            })
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Waits until sshd and the engine answer.
    pub fn wait_up(&self) {
        let started = Instant::now();
        while !self.try_exec("/usr/bin/docker info").status.success() || TcpStream::connect(("127.0.0.1", self.ssh_port)).is_err()
        {
            assert!(started.elapsed() < Duration::from_secs(90), "the server does not come up");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until the database takes connections.
    pub fn wait_for_database(&self) {
        let started = Instant::now();
        while !self.try_exec("/usr/bin/docker exec shop-db-1 pg_isready -q -h 127.0.0.1").status.success() {
            assert!(started.elapsed() < Duration::from_secs(60), "the database does not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A file of the server, as this machine sees it: asked often, it costs no program there.
    pub fn file(&self, below_srv: &str) -> PathBuf {
        self.folder.join("disk/srv").join(below_srv)
    }

    /// From now on a run stops at this step.
    pub fn hold(&self, step: &str) {
        let _ = std::fs::remove_file(self.folder.join("hold/reached"));
        std::fs::write(self.folder.join("hold/step"), format!("{step}\n")).unwrap();
    }

    pub fn is_held(&self) -> bool {
        self.folder.join("hold/reached").exists()
    }

    pub fn let_go(&self) {
        let _ = std::fs::remove_file(self.folder.join("hold/step"));
    }

    /// The newest run of the site, but for those that found the lock held.
    pub fn newest_run(&self) -> String {
        let runs = std::fs::read_dir(self.file("shop/runs")).unwrap().map(|run| run.unwrap().path());
        let outcome = |run: &std::path::Path| std::fs::read_to_string(run.join("outcome")).unwrap_or_default();
        let newest = runs.filter(|run| !outcome(run).starts_with("5\t")).max().unwrap();
        newest.file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// Has the run an outcome, and does nobody hold the site's lock?
    pub fn is_settled(&self, run: &str) -> bool {
        let lock = std::fs::File::open(self.file("shop/state/lock"));
        self.file("shop/runs").join(run).join("outcome").exists() && lock.is_ok_and(|lock| lock.try_lock_shared().is_ok())
    }

    pub fn try_exec(&self, script: &str) -> Output {
        Command::new("docker").args(["exec", &self.name, "sh", "-c", script]).output().unwrap()
    }

    #[track_caller]
    pub fn exec(&self, script: &str) -> String {
        let output = self.try_exec(script);
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub fn write(&self, path: &str, text: &str, mode: u32) {
        use std::io::Write;
        let script = format!("cat >{path} && chmod {mode} {path}");
        let mut child =
            Command::new("docker").args(["exec", "-i", &self.name, "sh", "-c", &script]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    pub fn fingerprint(&self) -> String {
        let listed = self.exec("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub");
        listed.split(' ').nth(1).unwrap().to_owned()
    }

    pub fn reboot(&self) {
        sh(&format!("docker restart -t 0 {} >/dev/null", self.name));
    }

    /// Fills the disk that holds the root and Docker's own data.
    pub fn fill_disk(&self) {
        self.try_exec(
            "fallocate -l $(($(df --output=avail -k /srv | tail -n 1) - 4096))K /srv/fill; dd if=/dev/zero of=/srv/fill2 bs=4k 2>/dev/null",
        );
    }

    pub fn empty_disk(&self) {
        self.try_exec("rm -f /srv/fill /srv/fill2");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        let _ = Command::new("docker").args(["rm", "-f", "-v", &self.name]).output();
        let at = self.folder.display();
        let _ = Command::new("sh").args(["-c", &format!("umount -l {at}/disk; rm -rf {at}")]).status();
    }
}

#[track_caller]
pub fn sh(script: &str) {
    let output = Command::new("sh").args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}
