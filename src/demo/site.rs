//! The demo's site: a copy of the example with a deploy.toml for this machine.

use std::net::{SocketAddr, TcpListener};

use camino::{Utf8Path, Utf8PathBuf};

use crate::config::Project;
use crate::error::{Error, Result};
use crate::process;
use crate::text::Environment;

use super::{Sshd, example};

/// A site of its own on this machine.
#[derive(Debug)]
pub(super) struct Site {
    /// Its project's name, in Docker too.
    pub(super) name: String,
    /// The folder that is removed in the end.
    pub(super) folder: Utf8PathBuf,
    /// Where its proxy listens.
    pub(super) address: SocketAddr,
    environment: Environment,
}

impl Site {
    /// Lays out the site.
    pub(super) fn create(base: &Utf8Path, from: Option<&Utf8Path>, sshd: &Sshd, environment: &Environment) -> Result<Self> {
        let cannot = |what: &str, error: &dyn std::fmt::Display| Error::failed(format!("the demo cannot {what}: {error}"));
        let name = format!("estiba-demo-{}", std::process::id());
        let folder = base.join(&name);
        let app = folder.join("app");
        std::fs::create_dir_all(&app).map_err(|error| cannot("make its folder", &error))?;
        match from {
            Some(from) => copy(from, &app)?,
            None => example::write(&app)?,
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| cannot("find a free port", &error))?;
        let address = listener.local_addr().map_err(|error| cannot("find a free port", &error))?;
        let user = environment.get("USER").map_or("root", String::as_str);
        let deploy = format!(
            "[project]\nname = \"{name}\"\n\n[target.production]\nhosts = [\"{user}@127.0.0.1:{}\"]\nhost-keys = [\"{}\"]\nroot = \"{folder}/server\"\n\n\
             [image]\nname = \"estiba-demo\"\n\n[health]\ntimeout = \"3s\"\n\n[rollout]\nobserve = \"1s\"\n",
            sshd.port, sshd.fingerprint
        );
        std::fs::write(app.join("deploy.toml"), deploy).map_err(|error| cannot("write its deploy.toml", &error))?;
        let mut environment = environment.clone();
        for (key, value) in [
            ("ESTIBA_SSH_KEY", sshd.client_key.clone()),
            ("DJANGO_SECRET_KEY", format!("demo-{}", address.port())),
            ("POSTGRES_PASSWORD", format!("demo-{}", sshd.port)),
            ("HTTP_PORT", format!("127.0.0.1:{}", address.port())),
        ] {
            environment.insert(key.into(), value);
        }
        Ok(Self { name, folder, address, environment })
    }

    /// Its deploy.toml, read.
    pub(super) fn project(&self) -> Result<Project> {
        Project::open(&self.folder.join("app/deploy.toml"), self.environment.clone())
    }

    /// Replaces a text in one of the site's files.
    pub(super) fn edit(&self, file: &str, from: &str, to: &str) -> Result<()> {
        let path = self.folder.join("app").join(file);
        let text = std::fs::read_to_string(&path).map_err(|error| Error::failed(format!("cannot read {path}: {error}")))?;
        let edited = text.replacen(from, to, 1);
        if edited == text {
            return Err(Error::failed(format!("{path} has no `{from}` to change")));
        }
        std::fs::write(&path, edited).map_err(|error| Error::failed(format!("cannot write {path}: {error}")))
    }

    /// Removes its containers, volumes, networks, image tags and folder.
    pub(super) async fn remove(&self) -> Result<()> {
        let label = format!("label=com.docker.compose.project={}", self.name);
        for (list, remove) in [
            (vec!["ps", "-aq", "--filter", &label], vec!["rm", "-f", "-v"]),
            (vec!["volume", "ls", "-q", "--filter", &label], vec!["volume", "rm"]),
            (vec!["network", "ls", "-q", "--filter", &label], vec!["network", "rm"]),
        ] {
            let found = process::run("docker", &list, None).await?;
            let ids: Vec<&str> = found.stdout.split_whitespace().collect();
            if !ids.is_empty() {
                process::run("docker", &[remove, ids].concat(), None).await?;
            }
        }
        // All but one tag: the last image keeps the layers for the next demo's build.
        let tags = process::run("docker", &["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "estiba-demo"], None).await?;
        let mut tags: Vec<&str> = tags.stdout.split_whitespace().collect();
        if let Some(last) = tags.first() {
            process::run("docker", &["tag", last, "estiba-demo:kept"], None).await?;
        }
        tags.retain(|tag| *tag != "estiba-demo:kept");
        if !tags.is_empty() {
            process::run("docker", &[vec!["image", "rm"], tags].concat(), None).await?;
        }
        if std::fs::remove_dir_all(&self.folder).is_err() {
            // Some files belong to the users of containers.
            let mount = format!("{}:/demo", self.folder);
            let in_a_container = ["run", "--rm", "--network", "none", "--user", "0:0", "-v", &mount, "--entrypoint", "sh"];
            process::run("docker", &[&in_a_container[..], &["estiba-demo:kept", "-c", "rm -rf /demo/*"]].concat(), None).await?;
            std::fs::remove_dir_all(&self.folder)
                .map_err(|error| Error::failed(format!("cannot remove {}: {error}", self.folder)))?;
        }
        Ok(())
    }
}

fn copy(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    let cannot = |path: &Utf8Path, error: std::io::Error| Error::failed(format!("cannot copy {path}: {error}"));
    for entry in from.read_dir_utf8().map_err(|error| cannot(from, error))? {
        let entry = entry.map_err(|error| cannot(from, error))?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir_all(&target).map_err(|error| cannot(&target, error))?;
            copy(entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target).map_err(|error| cannot(entry.path(), error))?;
        }
    }
    Ok(())
}
