//! A server of one test: the real driver in a folder of its own, with steps that only write down what they were asked for.

use std::os::unix::fs::symlink;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinHandle};

use crate::config::Resolved;
use crate::server::{ReleaseFile, Scripts, SettingsFile, kinds, steps_of};

/// What all steps here do: they wait while a file says so, and fail where one says so.
const STUB: &str = r#"
held() { while [ -e "$root/hold.$1" ]; do nap 0.02; done; }
STEP_do() {
	held NAME
	[ ! -e "$root/fail.NAME" ] || fail "$(cat "$root/fail.NAME")"
}
STEP_undo() {
	held NAME.undo
	[ ! -e "$root/fail.NAME.undo" ] || fail "$(cat "$root/fail.NAME.undo")"
}
"#;

/// These the driver itself needs.
const COMMIT: &str = r#"
commit_do() { point "$root/current" "releases/$RELEASE"; }
"#;
const CONFIRM: &str = r#"
confirm_do() {
	[ -n "$NONCE" ] || return 0
	until [ -e "$run_dir/confirmed" ] || [ -e "$run_dir/denied" ]; do nap 0.02; done
	[ "$(cat "$run_dir/confirmed" 2>/dev/null)" = "$NONCE" ] || fail "$(cat "$run_dir/denied" 2>/dev/null)"
}
"#;

pub(super) struct Host {
    pub(super) port: u16,
    pub(super) root: Utf8PathBuf,
    /// The configuration with this host's root.
    pub(super) resolved: Resolved,
    ways: std::sync::Arc<Mutex<Vec<AbortHandle>>>,
    accepting: JoinHandle<()>,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Host {
    /// A host whose connections go to the SSH server at that port, and can be cut.
    pub(super) async fn new(folder: &Utf8Path, name: &str, sshd: u16, resolved: impl FnOnce(u16) -> Resolved) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let ways = std::sync::Arc::<Mutex<Vec<AbortHandle>>>::default();
        let open = ways.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((mut here, _)) = listener.accept().await {
                let way = tokio::spawn(async move {
                    let mut there = TcpStream::connect(("127.0.0.1", sshd)).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
                });
                open.lock().unwrap_or_else(PoisonError::into_inner).push(way.abort_handle());
            }
        });
        let root = folder.join(name);
        std::fs::create_dir_all(root.join("releases/r1")).unwrap();
        let mut resolved = resolved(port);
        resolved.target.root.value = root.clone().into_string();
        let host = Self { port, root, resolved, ways, accepting };
        host.release("r1");
        host.release("r2");
        symlink("releases/r1", host.root.join("current")).unwrap();
        host
    }

    fn release(&self, id: &str) {
        let folder = self.root.join("releases").join(id);
        std::fs::create_dir_all(&folder).unwrap();
        let settings = SettingsFile {
            apps: vec!["web".into()],
            app_service: "web".into(),
            compose_project: "none".into(),
            drain_timeout: 1,
            health_timeout: 1,
            migrate_timeout: 1,
            ..SettingsFile::default()
        };
        std::fs::write(folder.join("settings.env"), settings.to_text()).unwrap();
        std::fs::write(folder.join("release.env"), ReleaseFile::default().to_text()).unwrap();
    }

    /// Takes the steps of the scripts that were uploaded out, and puts those of the tests in.
    pub(super) fn stub(&self) {
        let scripts = self.root.join("bin").join(Scripts::digest());
        let write = |path: &str, text: &str| std::fs::write(scripts.join(path), text).unwrap();
        for step in kinds().flat_map(steps_of) {
            let more = match step {
                "commit" => COMMIT,
                "confirm" => CONFIRM,
                _ => "",
            };
            write(&format!("steps/{step}.sh"), &(STUB.replace("NAME", step).replace("STEP", step) + more));
        }
        for task in ["left-overs", "revive", "compare"] {
            write(&format!("tasks/{task}.sh"), &format!("{}_do() {{ :; }}\n", task.replace('-', "_")));
        }
        write("run/edges.sh", "exit 0\n");
        // An Engine that always answers.
        let driver = std::fs::read_to_string(scripts.join("run/transaction.sh")).unwrap();
        write("run/transaction.sh", &driver.replacen("set -u\n", "set -u\ndocker() { echo 24.0; }\n", 1));
    }

    pub(super) fn holds(&self, step: &str) {
        std::fs::write(self.root.join(format!("hold.{step}")), "").unwrap();
    }

    pub(super) fn goes_on(&self, step: &str) {
        std::fs::remove_file(self.root.join(format!("hold.{step}"))).unwrap();
    }

    /// From now on that step fails, or with `.undo` behind its name, cannot be undone.
    pub(super) fn fails(&self, step: &str, why: &str) {
        std::fs::write(self.root.join(format!("fail.{step}")), why).unwrap();
    }

    /// Cuts every connection that is open.
    pub(super) fn cut(&self) {
        for way in self.ways.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            way.abort();
        }
    }

    pub(super) async fn until_it_is_dialled(&self) {
        for _ in 0..6000 {
            if !self.ways.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nobody has dialled within 20 s");
    }

    /// The release that serves.
    pub(super) fn current(&self) -> String {
        let link = std::fs::read_link(self.root.join("current")).unwrap();
        link.file_name().unwrap().to_string_lossy().into_owned()
    }

    /// The exit code of its run; empty while that goes on.
    pub(super) fn outcome(&self) -> String {
        let runs = std::fs::read_dir(self.root.join("runs")).unwrap();
        let outcomes = runs.filter_map(|run| std::fs::read_to_string(run.unwrap().path().join("outcome")).ok());
        outcomes.map(|outcome| outcome.split('\t').next().unwrap_or_default().to_owned()).collect()
    }

    pub(super) async fn until_it_has_ended(&self) {
        for _ in 0..6000 {
            if !self.outcome().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the run has not ended within two minutes");
    }
}
