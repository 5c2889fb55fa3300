//! Writing the files, and never over one that is there.

use std::io::Write;

use camino::Utf8Path;

use crate::error::{Error, Result};

/// What became of each file, in the order given.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Written {
    /// Those that were written.
    pub written: Vec<String>,
    /// Those that were there already, and stay.
    pub kept: Vec<String>,
}

/// Writes these files below the folder. One that exists is left as it is; a failure says which were written before it.
pub fn write(folder: &Utf8Path, files: &[(String, String)]) -> Result<Written> {
    let mut done = Written::default();
    for (path, text) in files {
        match create(&folder.join(path), text) {
            Ok(()) => done.written.push(path.clone()),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => done.kept.push(path.clone()),
            Err(error) => {
                let before = if done.written.is_empty() { "nothing".into() } else { done.written.join(", ") };
                return Err(Error::failed(format!("cannot write {path}: {error}; written before it: {before}")));
            }
        }
    }
    Ok(done)
}

fn create(path: &Utf8Path, text: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_str().is_empty()) {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::File::create_new(path)?.write_all(text.as_bytes())
}
