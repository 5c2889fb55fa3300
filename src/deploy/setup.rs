//! From a bare server to one that can be deployed to: what it has and lacks, and doing what it lacks, one thing after another.

use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use tokio::sync::mpsc;

use crate::compose::Compose;
use crate::config::{Become, LOCAL, Project, Resolved};
use crate::error::{Error, Result};
use crate::private;
use crate::report::{Event, Reporter};
use crate::server::{Item, ItemState, Prepare, Prepared, Server, gate, packed_scripts};
use crate::ssh::{Address, Connection, Settings, new_key, public_line};

use super::route::{key_path, settings_of_a_person};

/// Where the gate lies on a server.
const GATE: &str = "/usr/local/lib/estiba/gate";
const PIECE: usize = 256 * 1024;

/// As whom a server is prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// The user who logs in; root where none is given.
    pub user: Option<String>,
    /// Does that user need sudo?
    pub sudo: bool,
}

/// One host that is to be prepared.
#[derive(Debug)]
pub struct Setup<'a> {
    resolved: &'a Resolved,
    connection: Connection,
    who: Prepare,
    keys: Keys,
    gate: String,
    compose: Option<Utf8PathBuf>,
}

/// The private keys that a target's deploys and looks log in with, on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The one that may deploy.
    pub deploy: Utf8PathBuf,
    /// The one that may only look.
    pub look: Utf8PathBuf,
}

impl Keys {
    /// Where they are, or would be made.
    pub fn of(project: &Project, resolved: &Resolved) -> Result<Self> {
        let home = project.environment.get("HOME").filter(|home| !home.is_empty()).ok_or_else(|| {
            Error::input("HOME is not set, so that there is no place for the keys")
                .hint("run `setup` as a person with a home folder")
        })?;
        let deploy = key_path(Utf8Path::new(home), resolved);
        Ok(Self { look: format!("{deploy}-look").into(), deploy })
    }

    /// Are both there?
    pub fn are_there(&self) -> bool {
        self.deploy.exists() && self.look.exists()
    }

    /// Makes those that are not there yet.
    pub fn make(&self) -> Result<()> {
        self.lines().map(|_| ())
    }

    /// Takes them away.
    pub fn remove(&self) {
        for path in [&self.deploy, &self.look] {
            for path in [path.clone(), format!("{path}.pub").into()] {
                // One that is not there is away.
                let _ = std::fs::remove_file(path);
            }
        }
    }

    /// Their public halves, each made where it is not there yet.
    fn lines(&self) -> Result<[String; 2]> {
        Ok([line_of(&self.deploy)?, line_of(&self.look)?])
    }
}

fn line_of(path: &Utf8Path) -> Result<String> {
    let cannot = |error: &dyn std::fmt::Display| Error::failed(format!("{path}: the key cannot be made: {error}"));
    if !path.exists() {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| cannot(&error))?;
        }
        let (private, public) = new_key().map_err(|error| cannot(&error))?;
        std::fs::write(format!("{path}.pub"), format!("{public}\n")).map_err(|error| cannot(&error))?;
        // Last, and whole or not at all: a setup that is killed here makes both anew the next time.
        private::write(path, private.as_bytes()).map_err(|error| cannot(&error))?;
    }
    public_line(path)
}

impl<'a> Setup<'a> {
    /// Logs in at that host, as somebody who may change it.
    pub async fn open(project: &'a Project, resolved: &'a Resolved, host: &str, admin: &Admin, keys: &Keys) -> Result<Self> {
        let root = &resolved.target.root.value;
        // Both stand in authorized_keys between quotation marks, as words of a command.
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte));
        if !is_plain(root) || !is_plain(&resolved.compose_project.value) {
            let error = Error::input(format!("the root `{root}` has characters that a restricted key's line cannot hold"));
            return Err(error.hint("letters, digits and `._/-` can stand in `root`"));
        }
        if host == LOCAL {
            return Err(Error::input("setup prepares a server over SSH, and the host of this target is this very machine").hint(
                "what it would do is in docs/setup.md: Docker with Compose, the root's folder, a user who may use Docker",
            ));
        }
        let user = Address::parse(host)?.user;
        let settings = as_admin(settings_of_a_person(project, resolved, host)?, admin);
        Ok(Self {
            resolved,
            connection: Connection::open(&settings).await?,
            who: Prepare { user, project: resolved.compose_project.value.clone(), name: name(resolved) },
            keys: keys.clone(),
            gate: gate(),
            compose: Compose::find(&project.environment).ok().map(|compose| compose.program().to_owned()),
        })
    }

    /// The lines of the keys in authorized_keys. Where the keys are not made yet, something that no such file holds.
    fn key_lines(&self) -> Result<Vec<String>> {
        if !self.keys.are_there() {
            return Ok(vec!["no keys yet".to_owned()]);
        }
        let Prepare { project, name, .. } = &self.who;
        let root = &self.resolved.target.root.value;
        // Nothing is forwarded: sshd does not tell the ports that a key may use from the Engine's own socket. An image goes over a
        // command.
        let line = |kind: &str, line: &str| {
            let key = line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
            format!("restrict,command=\"{GATE} {kind} {root} {project}\" {key} estiba:{name}:{kind}")
        };
        let [deploy, look] = self.keys.lines()?;
        Ok(vec![line("deploy", &deploy), line("look", &look)])
    }

    /// The host, as it is shown.
    pub fn host(&self) -> String {
        self.connection.address().to_string()
    }

    fn server(&self) -> Server<'_> {
        Server::new(&self.connection, &self.resolved.target.root.value)
    }

    /// What the host has and lacks.
    pub async fn look(&self) -> Result<Prepared> {
        let prepared = self.server().look_at_preparation(&self.who, &self.gate, &self.key_lines()?).await?;
        let cannot: Vec<Error> = prepared
            .items
            .iter()
            .filter(|item| item.state == ItemState::Cannot)
            .map(|item| Error::failed(format!("{}: {}", self.host(), item.text)))
            .collect();
        Error::all(cannot)?;
        Ok(prepared)
    }

    /// Does what is to be done of these, one after another.
    pub async fn prepare(&self, items: &[Item], reporter: &Reporter) -> Result<()> {
        for item in items.iter().filter(|item| item.state == ItemState::Todo) {
            reporter.tell(Event::Text(format!("  … {}", item.text)));
            self.server().do_preparation(&self.who, &item.name, self.input_of(&item.name)?).await?;
        }
        Ok(())
    }

    /// What a thing needs from this machine.
    fn input_of(&self, item: &str) -> Result<mpsc::Receiver<Bytes>> {
        let whole = |bytes: Vec<u8>| {
            let (sender, receiver) = mpsc::channel(4);
            tokio::spawn(async move {
                for piece in bytes.chunks(PIECE) {
                    if sender.send(Bytes::copy_from_slice(piece)).await.is_err() {
                        return;
                    }
                }
            });
            receiver
        };
        Ok(match item {
            "scripts" => whole(packed_scripts()?),
            "gate" => whole(self.gate.clone().into_bytes()),
            // Keys are made once somebody has agreed to it.
            "keys" => {
                self.keys.make()?;
                whole(format!("{}\n", self.key_lines()?.join("\n")).into_bytes())
            }
            "compose" => whole(self.compose.as_ref().and_then(|path| std::fs::read(path).ok()).unwrap_or_default()),
            _ => whole(Vec::new()),
        })
    }

    /// Takes back what `prepare` made, but for data and packages.
    pub async fn remove(&self) -> Result<()> {
        self.server().remove_preparation(&self.who).await?;
        self.keys.remove();
        Ok(())
    }
}

/// The project and the target, as lines and files on the server are named.
fn name(resolved: &Resolved) -> String {
    // No project has a dot in its name.
    format!("{}.{}", resolved.project, resolved.target.name)
}

fn as_admin(mut settings: Settings, admin: &Admin) -> Settings {
    let user = admin.user.as_deref().unwrap_or("root");
    user.clone_into(&mut settings.server.address.user);
    settings.server.password = true;
    settings.r#become = admin.sudo.then_some(Become::Sudo);
    settings
}
