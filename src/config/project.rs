//! The project's folder: the files that a deploy is made of, read once and with limits.

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Error, Result};
use crate::process;
use crate::report::Asker;
use crate::text::{Environment, Offered, read_limited};

use super::{Loaded, load};

/// Where deploy.toml lies and what the environment holds.
#[derive(Debug, Clone)]
pub struct Project {
    /// The folder of deploy.toml; relative paths in it start here.
    pub folder: Utf8PathBuf,
    /// deploy.toml.
    pub loaded: Loaded,
    /// The environment that `${NAME}` is filled from.
    pub environment: Environment,
    /// Values that stand in for secrets that nobody has given: for a plan without a server.
    pub stand_ins: Vec<String>,
    /// Is it only looked at what the target has? Then a value that only a deploy needs may be missing.
    pub to_look: bool,
    /// Whom to ask for what only a person knows.
    pub asker: Asker,
    /// What the command line says of the hosts.
    pub selection: Selection,
}

/// What the command line says of a target's hosts.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// An inventory in the place of the target's own hosts: its name, and its text.
    pub inventory: Option<(String, String)>,
    /// Labels that the hosts must have.
    pub labels: Vec<String>,
}

impl Project {
    /// Reads deploy.toml at this path.
    ///
    /// A missing, unreadable or wrong file is an input error.
    pub fn open(path: &Utf8Path, environment: Environment) -> Result<Self> {
        let folder = path.parent().filter(|parent| !parent.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
        let boundary = boundary(folder);
        // An error shows lines of it.
        if path.is_symlink() && !path.canonicalize_utf8().is_ok_and(|real| real.starts_with(&boundary)) {
            let error = Error::input(format!("{path} is a link out of the project ({boundary})"));
            return Err(error.hint("put the file itself into the repository"));
        }
        let text = read_limited(path)
            .map_err(|error| if path.exists() { error } else { error.hint("`--config FILE` names another one") })?;
        let loaded = load(path.as_str(), &text, &environment)?;
        Ok(Self {
            folder: folder.to_owned(),
            loaded,
            environment,
            stand_ins: Vec::new(),
            to_look: false,
            asker: Asker::nobody(),
            selection: Selection::default(),
        })
    }

    /// What deploy.toml was filled with; not what only stands in for a secret.
    pub fn secrets(&self) -> Vec<String> {
        let secrets = self.loaded.config.secrets.iter();
        secrets.filter(|secret| !self.stand_ins.contains(secret)).cloned().collect()
    }

    /// Nothing outside of this folder belongs to the project: the repository's top, or the folder of deploy.toml where that
    /// lies in none.
    pub fn boundary(&self) -> Utf8PathBuf {
        boundary(&self.folder)
    }

    /// What its files may be filled from.
    pub fn offered(&self) -> Offered<'_> {
        Offered { environment: &self.environment, named: self.loaded.config.project.variables.as_deref() }
    }

    /// Does that file, from the project's folder, lie in the project, with its symbolic links followed?
    pub fn holds(&self, path: &Utf8Path) -> bool {
        let path = self.path(path);
        path.is_file() && self.contains(&path)
    }

    /// Does that file or folder, from where estiba runs, lie in the project, with its symbolic links followed?
    pub fn contains(&self, path: &Utf8Path) -> bool {
        path.canonicalize_utf8().is_ok_and(|real| real.starts_with(self.boundary()))
    }

    /// An error about what does not lie in the project, without its place: `what` names it.
    pub fn leads_out(&self, what: impl std::fmt::Display) -> Error {
        Error::input(format!("{what} is outside the project ({})", self.boundary())).hint("move it into the repository")
    }

    /// Does git keep that file, or could it? A file that git ignores, or does not know in a repository, is this machine's own.
    pub fn is_tracked(&self, path: &str) -> bool {
        let folder = self.folder.canonicalize_utf8().unwrap_or_else(|_| self.folder.clone());
        if !self.boundary().join(".git").exists() {
            return true;
        }
        process::git(&folder, self.environment.get("PATH").map(String::as_str), &["ls-files", "--error-unmatch", "--", path])
    }

    /// A path of deploy.toml or the Compose file, from the project's folder.
    pub fn path(&self, relative: impl AsRef<Utf8Path>) -> Utf8PathBuf {
        if self.folder == "." { relative.as_ref().to_owned() } else { self.folder.join(relative) }
    }
}

fn boundary(folder: &Utf8Path) -> Utf8PathBuf {
    let folder = folder.canonicalize_utf8().unwrap_or_else(|_| folder.to_owned());
    let top = folder.ancestors().find(|folder| folder.join(".git").exists()).map(Utf8PathBuf::from);
    top.unwrap_or(folder)
}
