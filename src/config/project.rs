//! The project's folder: the files that a deploy is made of, read once and with limits.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Error, Result};
use crate::process;

use super::{Environment, Loaded, load};

/// No text that is read whole may be longer: 1 MiB.
const TEXT_LIMIT: u64 = 1024 * 1024;

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
}

impl Project {
    /// Reads deploy.toml at this path.
    ///
    /// A missing, unreadable or wrong file is an input error.
    pub fn open(path: &Utf8Path, environment: Environment) -> Result<Self> {
        let text = read_limited(path)
            .map_err(|error| if path.exists() { error } else { error.hint("`--config FILE` names another one") })?;
        let loaded = load(path.as_str(), &text, &environment)?;
        let folder = path.parent().filter(|parent| !parent.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
        Ok(Self { folder: folder.to_owned(), loaded, environment, stand_ins: Vec::new(), to_look: false })
    }

    /// Nothing outside of this folder belongs to the project: the repository's top, or the folder of deploy.toml where that
    /// lies in none.
    pub fn boundary(&self) -> Utf8PathBuf {
        let folder = self.folder.canonicalize_utf8().unwrap_or_else(|_| self.folder.clone());
        let top = folder.ancestors().find(|folder| folder.join(".git").exists()).map(Utf8PathBuf::from);
        top.unwrap_or(folder)
    }

    /// Does that file lie in the project, with its symbolic links followed?
    pub fn holds(&self, path: &Utf8Path) -> bool {
        self.path(path).canonicalize_utf8().is_ok_and(|real| real.starts_with(self.boundary()) && real.is_file())
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

/// Reads a text file whole: UTF-8, 1 MiB at most, else an input error that says where it is wrong.
pub fn read_limited(path: &Utf8Path) -> Result<String> {
    let cannot = |why: &dyn std::fmt::Display| Error::input(format!("cannot read {path}: {why}"));
    let metadata = fs::metadata(path).map_err(|error| cannot(&error))?;
    if metadata.is_dir() {
        return Err(cannot(&"it is a folder"));
    }
    if metadata.len() > TEXT_LIMIT {
        let size = metadata.len();
        return Err(cannot(&format!("it has {size} bytes, more than the {TEXT_LIMIT} that such a file may have"))
            .hint("is this the right file?"));
    }
    let bytes = fs::read(path).map_err(|error| cannot(&error))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..at]).into_owned();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        Error::input(format!("{path}:{line}:{column}: not UTF-8 (byte {at} of the file)")).hint("save the file as UTF-8")
    })
}
