//! Debian's openssh-server on 127.0.0.1 with throwaway keys, started once for all tests.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::free_address;

pub struct Sshd {
    pub port: u16,
    pub fingerprint: String,
    pub folder: PathBuf,
}

static SSHD: OnceLock<Sshd> = OnceLock::new();

/// The server. It ends with the test process, whose death it is told of by the kernel.
pub fn sshd() -> &'static Sshd {
    SSHD.get_or_init(|| start("sshd", ""))
}

/// Another one, whose sessions have these variables: `NAME=value NAME=value`.
pub fn sshd_with(name: &str, variables: &str) -> Sshd {
    start(name, &format!("SetEnv {variables}\n"))
}

/// Another one, with these lines in its settings.
pub fn sshd_configured(name: &str, lines: &str) -> Sshd {
    start(name, lines)
}

impl Sshd {
    /// The same on another port, with these lines in its settings.
    pub fn restarted(&self, lines: &str) -> Sshd {
        let config = std::fs::read_to_string(self.folder.join("config")).unwrap();
        let port = free_address().port();
        let config =
            config.lines().filter(|line| !line.starts_with("Port ") && !line.starts_with("HostCertificate")).collect::<Vec<_>>();
        std::fs::write(self.folder.join("config"), format!("Port {port}\n{lines}{}\n", config.join("\n"))).unwrap();
        run(&self.folder, port)
    }
}

fn start(name: &str, more: &str) -> Sshd {
    let folder = std::env::temp_dir().join(format!("estiba-{name}-{}", std::process::id()));
    // One that was killed may have had the same number.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::create_dir_all("/run/sshd").ok();
    for (name, kind) in [("host", "ed25519"), ("id_ed25519", "ed25519"), ("id_ecdsa", "ecdsa"), ("id_rsa", "rsa")] {
        let made = Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-f"]).arg(folder.join(name)).status();
        assert!(made.expect("ssh-keygen is installed").success());
    }
    let keys: String = ["id_ed25519", "id_ecdsa", "id_rsa"]
        .iter()
        .map(|name| std::fs::read_to_string(folder.join(format!("{name}.pub"))).unwrap())
        .collect();
    std::fs::write(folder.join("authorized"), keys).unwrap();
    let port = free_address().port();
    let at = folder.display();
    // What is said first counts.
    let config = format!(
        "{more}Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nAuthorizedKeysFile {at}/authorized\nPidFile none\n\
         StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nMaxStartups 100\n"
    );
    std::fs::write(folder.join("config"), config).unwrap();
    run(&folder, port)
}

fn run(folder: &Path, port: u16) -> Sshd {
    let mut command = Command::new("setpriv");
    // When this process dies, so does the server, however that came: the kernel tells it of its parent thread's
    // death, so that thread stays as long as the process.
    command
        .args(["--pdeathsig", "TERM", "/usr/sbin/sshd", "-D", "-f"])
        .arg(folder.join("config"))
        .arg("-E")
        .arg(folder.join("log"));
    std::thread::spawn(move || command.status().expect("openssh-server is installed"));
    let started = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(started.elapsed() < Duration::from_secs(10), "sshd does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    let listed = Command::new("ssh-keygen").arg("-lf").arg(folder.join("host.pub")).output().unwrap();
    let fingerprint = String::from_utf8_lossy(&listed.stdout).split(' ').nth(1).unwrap().to_owned();
    Sshd { port, fingerprint, folder: folder.to_owned() }
}
