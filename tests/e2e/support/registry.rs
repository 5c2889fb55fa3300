use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Site, free_address, wait_for};

/// A real registry on this machine. It ends with the test.
pub struct Registry {
    process: Child,
    /// Its host and port, as references begin.
    pub name: String,
}

impl Registry {
    /// For everybody; or, with a password, for `reader` alone.
    pub fn start(site: &Site, password: Option<&str>) -> Self {
        let port = free_address().port();
        let folder = site.folder.display();
        let mut settings = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {folder}/registry\nhttp:\n  addr: 127.0.0.1:{port}\n"
        );
        if let Some(password) = password {
            let script = "print crypt($ARGV[0], q($2y$05$abcdefghijklmnopqrstuu))";
            let hash = Command::new("perl").args(["-e", script, password]).output().unwrap().stdout;
            std::fs::write(site.folder.join("htpasswd"), format!("reader:{}\n", String::from_utf8(hash).unwrap())).unwrap();
            settings.push_str(&format!("auth:\n  htpasswd:\n    realm: test\n    path: {folder}/htpasswd\n"));
        }
        std::fs::write(site.folder.join("registry.yml"), settings).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(site.folder.join("registry.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for("the registry", Duration::from_secs(20), || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { process, name: format!("127.0.0.1:{port}") }
    }

    /// Pushes an image, with a login that nothing else sees.
    pub fn push(&self, site: &Site, image: &str, password: &str) {
        let script = format!(
            "export DOCKER_CONFIG={}/push && printf %s \"$PASSWORD\" | docker login -u reader --password-stdin {} && docker push {image}",
            site.folder.display(),
            self.name
        );
        let pushed = Command::new("sh").args(["-c", &script]).env("PASSWORD", password).output().unwrap();
        assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
