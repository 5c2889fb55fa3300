//! Every way into a server, and every way to be kept out of one, against Debian's own sshd.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::{Run, Sshd, sshd_configured};

/// A project, and a home folder of whoever deploys it.
struct Desk {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
    agent: Option<Child>,
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Some(agent) = &mut self.agent {
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }
}

fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Desk {
    fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "nothing secret lies in it but keys that this test made")]
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("home/.ssh")).unwrap();
        std::fs::write(folder.path().join("compose.yml"), "services:\n  web:\n    image: example/web\n    ports: [\"8000\"]\n")
            .unwrap();
        Self { folder, environment: Vec::new(), agent: None }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// With that key of the server's as the one that is given.
    fn key(self, sshd: &Sshd) -> Self {
        let key = std::fs::read_to_string(sshd.folder.join("id_ed25519")).unwrap();
        self.with("ESTIBA_SSH_KEY", key)
    }

    /// An agent with these keys.
    fn agent(mut self, keys: &[PathBuf]) -> Self {
        let socket = self.path("agent");
        let agent = Command::new("ssh-agent").args(["-D", "-a", &socket]).stdout(Stdio::null()).spawn().unwrap();
        self.agent = Some(agent);
        while !Path::new(&socket).exists() {
            std::thread::yield_now();
        }
        for key in keys {
            let added = Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &socket).status().unwrap();
            assert!(added.success());
        }
        self.with("SSH_AUTH_SOCK", socket)
    }

    /// Makes a key of that kind, with that passphrase.
    fn make_key(&self, name: &str, kind: &str, passphrase: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        run("ssh-keygen", &["-q", "-t", kind, "-N", passphrase, "-f", path.to_str().unwrap()]);
        path
    }

    fn home(&self, path: &str, text: &str) {
        std::fs::write(self.folder.path().join("home/.ssh").join(path), text).unwrap();
    }

    /// Logs in at that host, as `status` does, with these further lines of the target.
    fn enter(&self, host: &str, target: &str) -> Run {
        let toml = format!(
            "[project]\nname = \"shop\"\n[target.production]\nhosts = [\"{host}\"]\nroot = \"{}\"\n{target}",
            self.path("root")
        );
        std::fs::write(self.folder.path().join("deploy.toml"), toml).unwrap();
        // ssh takes the home folder from the list of users, whatever HOME says: there it finds this desk's.
        let inside = "HOME=$(getent passwd \"$(id -u)\" | cut -d : -f 6) && mkdir -p ~/.ssh && mount --bind \"$1\" ~/.ssh && exec \"$2\" status";
        let output = Command::new("unshare")
            .args(["-m", "sh", "-c", inside, "sh", &self.path("home/.ssh"), env!("CARGO_BIN_EXE_estiba")])
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HOME", std::env::var("HOME").unwrap())
            .envs(self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(!Path::new(&self.path("root")).exists(), "a look made the root");
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    fn enters(&self, host: &str, target: &str) {
        let run = self.enter(host, target);
        assert_eq!(run.code, 0, "{}\n{}", run.stdout, run.stderr);
        assert!(run.stdout.contains("release   none"), "{}", run.stdout);
    }

    #[track_caller]
    fn is_kept_out(&self, host: &str, target: &str, code: i32, said: &[&str]) {
        let began = std::time::Instant::now();
        let run = self.enter(host, target);
        assert_eq!(run.code, code, "{}", run.stderr);
        for words in said {
            assert!(run.stderr.contains(words), "no `{words}` in:\n{}", run.stderr);
        }
        assert!(began.elapsed().as_secs() < 40, "it took {} s", began.elapsed().as_secs());
    }
}

fn at(sshd: &Sshd) -> String {
    format!("{}@127.0.0.1:{}", user(), sshd.port)
}

fn pinned(sshds: &[&Sshd]) -> String {
    let all: Vec<String> = sshds.iter().map(|sshd| format!("\"{}\"", sshd.fingerprint)).collect();
    format!("host-keys = [{}]\n", all.join(", "))
}

#[test]
fn every_kind_of_key_logs_in() {
    let sshd = sshd_configured("keys", "MaxAuthTries 6\n");
    let (host, pins) = (at(&sshd), pinned(&[&sshd]));
    let of = |name: &str| sshd.folder.join(name).to_str().unwrap().to_owned();
    for name in ["id_ed25519", "id_ecdsa", "id_rsa"] {
        Desk::new().enters(&host, &format!("{pins}identity = \"{}\"\n", of(name)));
    }
    let key = std::fs::read_to_string(of("id_ed25519")).unwrap();
    // As forms, shells and editors leave it.
    for text in [key.clone(), key.trim().replace('\n', "\\n"), key.replace('\n', "\r\n"), format!("\"{}\"", key.trim())] {
        Desk::new().with("ESTIBA_SSH_KEY", text).enters(&host, &pins);
    }
    // With a passphrase, in both forms, on one line too.
    for form in [&["-p", "-q"] as &[&str], &["-p", "-q", "-m", "PEM"]] {
        let desk = Desk::new();
        let locked = desk.path("locked");
        std::fs::copy(of("id_rsa"), &locked).unwrap();
        run("chmod", &["600", &locked]);
        run("ssh-keygen", &[form, &["-N", "open sesame", "-f", &locked]].concat());
        let text = std::fs::read_to_string(&locked).unwrap();
        let desk = desk.with("ESTIBA_SSH_PASSPHRASE", "open sesame");
        desk.enters(&host, &format!("{pins}identity = \"{locked}\"\n"));
        desk.with("ESTIBA_SSH_KEY", text.trim().replace('\n', " ").replace("  ", " ")).enters(&host, &pins);
        let desk = Desk::new().with("ESTIBA_SSH_KEY", &text);
        desk.is_kept_out(&host, &pins, 2, &["it has a passphrase", "nothing was dialled"]);
        let desk = Desk::new().with("ESTIBA_SSH_KEY", &text).with("ESTIBA_SSH_PASSPHRASE", "shut");
        desk.is_kept_out(&host, &pins, 2, &["does not open it"]);
    }
    // A key of a usual name, behind one that nobody can open.
    let desk = Desk::new();
    run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "open sesame", "-f", &desk.path("home/.ssh/id_ed25519")]);
    std::fs::copy(of("id_rsa"), desk.path("home/.ssh/id_rsa")).unwrap();
    desk.enters(&host, &pins);
}

#[test]
fn an_agent_with_many_keys_is_asked_for_the_one_that_is_meant() {
    let sshd = sshd_configured("agent", "MaxAuthTries 6\n");
    let (host, pins) = (at(&sshd), pinned(&[&sshd]));
    let desk = Desk::new();
    let mut keys: Vec<PathBuf> = (0..7).map(|at| desk.make_key(&format!("other{at}"), "ed25519", "")).collect();
    let mine = sshd.folder.join("id_ed25519");
    keys.push(mine.clone());
    let desk = desk.agent(&keys);
    let public = format!("{}.pub", mine.display());
    let line = std::fs::read_to_string(&public).unwrap();
    let listed = Command::new("ssh-keygen").args(["-lf", &public]).output().unwrap();
    let fingerprint = String::from_utf8_lossy(&listed.stdout).split(' ').nth(1).unwrap().to_owned();
    for identity in [public.as_str(), line.trim(), &fingerprint] {
        desk.enters(&host, &format!("{pins}identity = \"{identity}\"\n"));
    }
    desk.is_kept_out(&host, &pins, 1, &["too many keys were offered", "identity = ", "MaxAuthTries"]);
    // Few enough, and one that the server knows.
    let desk = Desk::new().agent(&keys[4..]);
    desk.enters(&host, &pins);
    // An agent without keys, and one that is gone, end nothing.
    for desk in [Desk::new().agent(&[]), Desk::new().with("SSH_AUTH_SOCK", "/nonexistent/agent")] {
        desk.is_kept_out(&host, &pins, 1, &["there is no SSH key to log in with", "the SSH agent at"]);
        std::fs::copy(&mine, desk.path("home/.ssh/id_ed25519")).unwrap();
        desk.enters(&host, &pins);
    }
    let desk = Desk::new().with("SSH_AUTH_SOCK", "/nonexistent/agent");
    desk.is_kept_out(&host, &format!("{pins}identity = \"{fingerprint}\"\n"), 1, &["does not answer"]);
    Desk::new().is_kept_out(&host, &format!("{pins}identity = \"{fingerprint}\"\n"), 2, &["no agent runs"]);
}

#[test]
fn certificates_of_users_and_of_hosts_count() {
    let desk = Desk::new();
    let authority = desk.make_key("authority", "ed25519", "");
    let stranger = desk.make_key("stranger", "ed25519", "");
    let public = format!("{}.pub", authority.display());
    let sshd = sshd_configured("certificates", &format!("TrustedUserCAKeys {public}\nAuthorizedKeysFile none\n"));
    let (host, pins) = (at(&sshd), pinned(&[&sshd]));
    let sign = |authority: &Path, key: &Path, more: &[&str]| {
        let (authority, key) = (authority.to_str().unwrap(), format!("{}.pub", key.display()));
        run("ssh-keygen", &[&["-q", "-s", authority, "-I", "test", "-n", &user()], more, &[key.as_str()]].concat());
    };
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let key = desk.make_key(kind, kind, "");
        let identity = format!("{pins}identity = \"{}\"\n", key.display());
        desk.is_kept_out(&host, &identity, 1, &["refused the key"]);
        sign(&stranger, &key, &[]);
        desk.is_kept_out(&host, &identity, 1, &["refused the key"]);
        sign(&authority, &key, &["-V", "-2h:-1h"]);
        desk.is_kept_out(&host, &identity, 1, &["refused the key", "has expired"]);
        sign(&authority, &key, &[]);
        desk.enters(&host, &identity);
        let text = std::fs::read_to_string(&key).unwrap();
        let certificate = std::fs::read_to_string(format!("{}-cert.pub", key.display())).unwrap();
        let by_variable = Desk::new().with("ESTIBA_SSH_KEY", text).with("ESTIBA_SSH_CERTIFICATE", certificate);
        by_variable.enters(&host, &pins);
        Desk::new().agent(&[key]).enters(&host, &pins);
    }
    // The host's own, by the authority that a known_hosts line names.
    let key = sshd.folder.join("host.pub");
    let certify = |more: &[&str], principals: &str| {
        let words = ["-q", "-s", authority.to_str().unwrap(), "-I", "box", "-h", "-n", principals];
        run("ssh-keygen", &[&words, more, &[key.to_str().unwrap()]].concat());
        std::fs::rename(sshd.folder.join("host-cert.pub"), sshd.folder.join("shown.pub")).unwrap();
    };
    let line = std::fs::read_to_string(&public).unwrap();
    let by_authority = format!("host-keys = [\"@cert-authority [127.0.0.1]:* {}\"]\n", line.trim());
    let desk = Desk::new()
        .with("ESTIBA_SSH_KEY", std::fs::read_to_string(desk.path("ed25519")).unwrap())
        .with("ESTIBA_SSH_CERTIFICATE", std::fs::read_to_string(desk.path("ed25519-cert.pub")).unwrap());
    certify(&[], "127.0.0.1");
    let second = sshd.restarted(&format!("HostCertificate {}\n", sshd.folder.join("shown.pub").display()));
    desk.enters(&at(&second), &by_authority);
    certify(&["-V", "-2h:-1h"], "127.0.0.1");
    let second = sshd.restarted(&format!("HostCertificate {}\n", sshd.folder.join("shown.pub").display()));
    desk.is_kept_out(&at(&second), &by_authority, 1, &["certificate `box` does not count", "it is valid from"]);
    certify(&[], "other.example.com");
    let second = sshd.restarted(&format!("HostCertificate {}\n", sshd.folder.join("shown.pub").display()));
    desk.is_kept_out(&at(&second), &by_authority, 1, &["it is for other.example.com"]);
}

#[test]
fn a_way_over_hops_is_verified_at_each_of_them() {
    let inner = sshd_configured("inner", "");
    let first = sshd_configured("first", "");
    let second = sshd_configured("second", "");
    let shut = sshd_configured("shut", "AllowTcpForwarding no\n");
    let desk = Desk::new().with("ESTIBA_SSH_KEY", std::fs::read_to_string(inner.folder.join("id_ed25519")).unwrap());
    // One key for all of them.
    let line = std::fs::read_to_string(inner.folder.join("id_ed25519.pub")).unwrap();
    for sshd in [&first, &second, &shut] {
        std::fs::write(sshd.folder.join("authorized"), &line).unwrap();
    }
    let all = pinned(&[&inner, &first, &second, &shut]);
    let jump = |hops: &[&Sshd]| {
        let hops: Vec<String> = hops.iter().map(|sshd| format!("\"{}\"", at(sshd))).collect();
        format!("jump = [{}]\n", hops.join(", "))
    };
    desk.enters(&at(&inner), &format!("{all}{}", jump(&[&first])));
    desk.enters(&at(&inner), &format!("{all}{}", jump(&[&first, &second])));
    let known = pinned(&[&inner, &first]);
    desk.is_kept_out(
        &at(&inner),
        &format!("{known}{}", jump(&[&first, &second])),
        1,
        &["hop 2 of 3", "not the one that is pinned"],
    );
    desk.is_kept_out(&at(&inner), &format!("{all}{}", jump(&[&shut])), 1, &["hop 2 of 2", "AllowTcpForwarding"]);
    let nowhere = format!("{}@127.0.0.1:{}", user(), free_port());
    desk.is_kept_out(&nowhere, &format!("{all}{}", jump(&[&first])), 1, &["hop 2 of 2", "cannot reach it"]);
    // The same by the settings of this machine's SSH client.
    let me = user();
    let key = inner.folder.join("id_ed25519");
    let desk = Desk::new();
    desk.home(
        "config",
        &format!(
            "Host box\n  HostName 127.0.0.1\n  Port {}\n  IdentityFile {}\n  ProxyJump gate\nHost gate\n  HostName 127.0.0.1\n  Port {}\n  \
             User {me}\n  IdentityFile {}\nHost piped\n  HostName 127.0.0.1\n  Port {}\n  IdentityFile {}\n  ProxyCommand bash -c 'exec \
             3<>/dev/tcp/%h/%p; cat <&3 & cat >&3; kill %%1'\n",
            inner.port,
            key.display(),
            first.port,
            key.display(),
            inner.port,
            key.display(),
        ),
    );
    let known = |name: &str, sshd: &Sshd| {
        let key = std::fs::read_to_string(sshd.folder.join("host.pub")).unwrap();
        format!("{name} {}\n", key.trim())
    };
    let ports = format!(
        "{}{}",
        known(&format!("[127.0.0.1]:{}", inner.port), &inner),
        known(&format!("[127.0.0.1]:{}", first.port), &first)
    );
    desk.home("known_hosts", &ports);
    desk.enters(&format!("{me}@box"), "");
    desk.enters(&format!("{me}@piped"), "");
    desk.is_kept_out(&format!("{me}@box"), "ssh-config = false\n", 1, &["its name does not resolve"]);
    let desk = desk.with("CI", "true");
    desk.is_kept_out(&format!("{me}@box"), "", 1, &["its name does not resolve"]);
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Answers every connection with these bytes, once something came where `after` says so, and closes it or keeps it open.
fn says(bytes: &'static [u8], after: bool, keep: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut kept: Vec<TcpStream> = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if after {
                let _ = stream.read(&mut [0; 64]);
            }
            let _ = stream.write_all(bytes);
            if keep {
                kept.push(stream);
            }
        }
    });
    port
}

#[test]
fn each_way_to_be_kept_out_is_named() {
    let me = user();
    let refuse = |name: &str, config: &str, code: i32, said: &[&str]| {
        let sshd = sshd_configured(name, config);
        Desk::new().key(&sshd).is_kept_out(&at(&sshd), &pinned(&[&sshd]), code, said);
    };
    refuse("allow", "AllowUsers nobody\n", 1, &["refused the key", "add this line", "AllowUsers"]);
    refuse("pubkey", "PubkeyAuthentication no\nPasswordAuthentication yes\n", 1, &["takes no keys", "password"]);
    refuse("nologin", "ForceCommand /usr/sbin/nologin\n", 1, &["nologin", "chsh"]);
    refuse("false", "ForceCommand /bin/false\n", 1, &["/bin/false", "nothing was changed"]);
    refuse("sftp", "ForceCommand internal-sftp\n", 1, &["sftp"]);
    refuse("forced", "ForceCommand echo backup done\n", 1, &["forced command", "backup done"]);
    refuse("bashrc", "ForceCommand echo welcome; exit 3\n", 1, &["something else ran", "welcome", "ended with 3"]);
    refuse(
        "second",
        "AuthenticationMethods publickey,password\nPasswordAuthentication yes\n",
        1,
        &["accepted the key", "second factor"],
    );
    if me == "root" {
        refuse("root", "PermitRootLogin no\n", 1, &["PermitRootLogin", "add this line"]);
    }
    refuse("kex", "KexAlgorithms diffie-hellman-group14-sha1\n", 1, &["no algorithm in common"]);
    let nist = sshd_configured("nist", "KexAlgorithms ecdh-sha2-nistp256\n");
    Desk::new().key(&nist).enters(&at(&nist), &pinned(&[&nist]));

    let sshd = sshd_configured("named", "");
    let (host, pins) = (at(&sshd), pinned(&[&sshd]));
    let desk = || Desk::new().key(&sshd);
    let host_key = std::fs::read_to_string(sshd.folder.join("host.pub")).unwrap();
    let (place, host_key) = (format!("[127.0.0.1]:{}", sshd.port), host_key.trim());
    let other = std::fs::read_to_string(sshd.folder.join("id_ed25519.pub")).unwrap();
    let other = other.trim();
    let listed = Command::new("ssh-keygen").arg("-lf").arg(sshd.folder.join("host.pub")).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).trim().to_owned();
    for good in [format!("{place} {host_key}"), host_key.to_owned(), listed, format!("*,!x {host_key}")] {
        desk().enters(&host, &format!("host-keys = [\"{good}\"]\n"));
    }
    // A fingerprint is found whatever kind of key the server shows first, and whatever other lines stand beside it.
    let rsa = sshd.folder.join("rsa_host");
    run("ssh-keygen", &["-q", "-t", "rsa", "-N", "", "-f", rsa.to_str().unwrap()]);
    let two = sshd_configured("two-keys", &format!("HostKey {}\n", rsa.display()));
    let printed = Command::new("ssh-keygen").arg("-lf").arg(&rsa).output().unwrap();
    let of_rsa = String::from_utf8_lossy(&printed.stdout).split(' ').nth(1).unwrap().to_owned();
    for keys in [format!("\"{of_rsa}\""), format!("\"elsewhere {other}\", \"{of_rsa}\"")] {
        Desk::new().key(&two).enters(&at(&two), &format!("host-keys = [{keys}]\n"));
    }
    for (keys, said) in [
        (format!("\"{place} {other}\""), &["not the one that is pinned", "expected SHA256:", "got SHA256:"] as &[&str]),
        (format!("\"elsewhere {other}\""), &["its host key is not known", "host-keys = ["]),
        (format!("\"{place} {host_key}\", \"@revoked * {host_key}\""), &["revoked"]),
    ] {
        desk().is_kept_out(&host, &format!("host-keys = [{keys}]\n"), 1, said);
    }
    desk().is_kept_out(&host, "", 1, &["its host key is not known"]);
    for (keys, said) in
        [("SHA256:abc", "not a whole SHA-256 fingerprint"), ("MD5:aa:bb", "proves nothing"), ("nowhere", "host-keys")]
    {
        desk().is_kept_out(&host, &format!("host-keys = [\"{keys}\"]\n"), 2, &[said]);
    }
    let line = std::fs::read_to_string(sshd.folder.join("authorized")).unwrap();
    std::fs::write(sshd.folder.join("authorized"), format!("from=\"192.0.2.1\" {line}")).unwrap();
    desk().is_kept_out(&host, &pins, 1, &["refused the key", "from="]);
    std::fs::write(sshd.folder.join("authorized"), "").unwrap();
    let mut few = Desk::new();
    let first = few.make_key("first", "ed25519", "");
    few = few.agent(&[first, sshd.folder.join("id_rsa")]);
    few.is_kept_out(&host, &pins, 1, &["refused the keys"]);
    Desk::new().is_kept_out(&host, &pins, 1, &["there is no SSH key to log in with", "ESTIBA_SSH_KEY"]);

    let of = |port: u16| format!("{me}@127.0.0.1:{port}");
    desk().is_kept_out(&of(free_port()), &pins, 1, &["no TCP connection", "nothing listens on port"]);
    desk().is_kept_out(&of(says(b"", false, true)), &pins, 1, &["says nothing"]);
    desk().is_kept_out(
        &of(says(b"HTTP/1.1 400 Bad Request\r\n\r\n", true, false)),
        &pins,
        1,
        &["a web server answers", "HTTP/1.1 400"],
    );
    desk().is_kept_out(&of(says(b"220 mail.example.com ESMTP\r\n", false, false)), &pins, 1, &["no SSH server answers", "ESMTP"]);
    desk().is_kept_out(&of(says(b"", false, false)), &pins, 1, &["before the SSH server greeted", "MaxStartups"]);
    desk().is_kept_out(&of(says(b"Not allowed at this time\r\n", false, false)), &pins, 1, &["turned this connection away"]);
    desk().is_kept_out(&format!("{me}@no-such-host.invalid"), &pins, 1, &["its name does not resolve"]);
    for (host, said) in [
        ("127.0.0.1", "is not user@host"),
        ("root@fe80::1:2305", "in brackets"),
        ("root@-oProxyCommand=id", "is not user@host"),
        ("root@h:99999", "is not user@host"),
    ] {
        desk().is_kept_out(host, &pins, 2, &[said]);
    }
    for (key, said) in [
        ("", "set and empty"),
        ("${{ secrets.SSH_KEY }}", "not filled in"),
        ("~/.ssh/id_ed25519", "path of a file"),
        (other, "public key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "END line is missing"),
    ] {
        Desk::new().with("ESTIBA_SSH_KEY", key).is_kept_out(&host, &pins, 2, &[said]);
    }
}

#[test]
fn whatever_the_login_shell_is_and_says_commands_run_as_they_are_meant() {
    for (name, config) in [
        ("noise", "ForceCommand printf 'welcome, no line end'; sh -c \"$SSH_ORIGINAL_COMMAND\"\n"),
        ("lines", "ForceCommand echo one; echo two; sh -c \"$SSH_ORIGINAL_COMMAND\"\n"),
        ("fish", "ForceCommand exec fish -c \"$SSH_ORIGINAL_COMMAND\"\n"),
        ("csh", "ForceCommand exec tcsh -c \"$SSH_ORIGINAL_COMMAND\"\n"),
        ("bash", "ForceCommand exec bash -c \"$SSH_ORIGINAL_COMMAND\"\n"),
        ("busybox", "ForceCommand exec busybox sh -c \"$SSH_ORIGINAL_COMMAND\"\n"),
    ] {
        let sshd = sshd_configured(name, config);
        let run = Desk::new().key(&sshd).enter(&at(&sshd), &pinned(&[&sshd]));
        assert_eq!(run.code, 0, "{name}: {}", run.stderr);
        assert!(run.stdout.contains("release   none"), "{name}: {}", run.stdout);
    }
}
