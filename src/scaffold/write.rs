//! Writing the files, and never over one that is there unasked.

use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;

use camino::Utf8Path;

use crate::error::{Error, Result};

/// What `init` would write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// Paths and texts, in the order of the paths.
    pub files: Vec<(String, String)>,
    /// The variables that deploying needs.
    pub secrets: Vec<String>,
    /// What is worth saying of them.
    pub notes: Vec<String>,
}

/// What became of each file, in the order given.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Written {
    /// Those that were written.
    pub written: Vec<String>,
    /// Those that were there, and were written anew, as was asked.
    pub replaced: Vec<String>,
    /// Those that were there already with another content, and stay.
    pub kept: Vec<String>,
    /// Those that were there with the same content.
    pub same: Vec<String>,
}

/// Writes these files below the folder. One that exists is left as it is, unless `replace` names it; a failure says which were written
/// before it.
pub fn write(folder: &Utf8Path, files: &[(String, String)], replace: &[String]) -> Result<Written> {
    if let Some(unknown) = replace.iter().find(|path| !files.iter().any(|(known, _)| known == *path)) {
        let names: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
        return Err(Error::input(format!("init writes no file `{unknown}`; nothing was written"))
            .hint(format!("it writes: {}", names.join(", "))));
    }
    let mut done = Written::default();
    for (path, text) in files {
        let there = folder.join(path);
        let outcome = if std::fs::read(&there).is_ok_and(|bytes| bytes == text.as_bytes()) {
            done.same.push(path.clone());
            Ok(())
        } else if replace.contains(path) && there.is_file() {
            replace_file(&there, text).map(|()| done.replaced.push(path.clone()))
        } else {
            match create(&there, text) {
                Ok(()) => {
                    done.written.push(path.clone());
                    Ok(())
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    done.kept.push(path.clone());
                    Ok(())
                }
                Err(error) => Err(error),
            }
        };
        outcome.map_err(|error| {
            let before = [done.written.as_slice(), done.replaced.as_slice()].concat().join(", ");
            let before = if before.is_empty() { "nothing".into() } else { before };
            Error::failed(format!("cannot write {path}: {error}; written before it: {before}"))
        })?;
    }
    Ok(done)
}

/// The file is whole or not there; its mode is as the umask has it.
fn create(path: &Utf8Path, text: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_str().is_empty()) {
        std::fs::create_dir_all(parent)?;
    }
    if path.symlink_metadata().is_ok() {
        return Err(std::io::ErrorKind::AlreadyExists.into());
    }
    let parent = path.parent().filter(|parent| !parent.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    let everybody = std::fs::Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().permissions(everybody).tempfile_in(parent)?;
    file.write_all(text.as_bytes())?;
    file.persist_noclobber(path)?;
    Ok(())
}

/// The file has either its old content or the new one.
fn replace_file(path: &Utf8Path, text: &str) -> std::io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(parent)?;
    new.write_all(text.as_bytes())?;
    new.as_file().set_permissions(std::fs::metadata(path)?.permissions())?;
    new.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_stays_unless_it_is_named() {
        let (_guard, folder) = crate::scaffold::folder_with(&[("a", "own"), ("same", "text")]);
        let files = [("a", "new"), ("b/c", "new"), ("same", "text")].map(|(path, text)| (path.to_owned(), text.to_owned()));
        let done = write(&folder, &files, &[]).unwrap();
        assert_eq!((done.written, done.kept, done.same), (vec!["b/c".into()], vec!["a".into()], vec!["same".into()]));
        assert_eq!(std::fs::read_to_string(folder.join("a")).unwrap(), "own");
        let done = write(&folder, &files, &["a".into()]).unwrap();
        assert_eq!(done.replaced, ["a"]);
        assert_eq!(std::fs::read_to_string(folder.join("a")).unwrap(), "new");
        assert!(write(&folder, &files, &["other".into()]).unwrap_err().to_string().contains("writes no file `other`"));
    }
}
