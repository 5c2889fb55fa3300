//! Folders, files and memory on this machine that nobody else may look into: what is there holds secrets and people's data.

use std::fs::{File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

use crate::error::{Error, Result};

/// A folder (mode 0700) that goes when it is not needed any more, and its path.
///
/// Fails where none can be made in TMPDIR.
pub fn folder() -> Result<(TempDir, Utf8PathBuf)> {
    let folder = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
        .map_err(|error| Error::failed(format!("no temporary folder can be made: {error}")).hint("TMPDIR names another place"))?;
    let path = Utf8PathBuf::from_path_buf(folder.path().to_owned())
        .map_err(|path| Error::failed(format!("the temporary folder {} is not UTF-8", path.display())))?;
    Ok((folder, path))
}

/// A new file (mode 0600). One that is there already is taken away first, so that nobody who has it open, and no link in its
/// place, gets what is written.
pub fn create(path: &Utf8Path) -> std::io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// A file (mode 0600) with these bytes. Whoever is killed meanwhile leaves it as it was: absent, or with its old content.
pub fn write(path: &Utf8Path, bytes: &[u8]) -> std::io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(parent)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

/// Keeps this process's memory, with the key in it, from being written to a disk when the process crashes, and from being read
/// by other programs of the same user where the system can do that (Linux, prctl(2), `PR_SET_DUMPABLE`).
pub fn keep_memory() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    // Lowering a limit and becoming undumpable are allowed to everybody.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Utf8Path) -> u32 {
        std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn nobody_else_looks_into_what_is_made_here() {
        let (_folder, path) = folder().unwrap();
        assert_eq!(mode(&path), 0o700);
        let (file, elsewhere) = (path.join("dump"), path.join("elsewhere"));
        std::fs::write(&elsewhere, "as it was").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
        create(&file).unwrap().write_all(b"secret").unwrap();
        assert_eq!(mode(&file), 0o600);
        assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "as it was");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "secret");
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
        write(&file, b"another").unwrap();
        assert_eq!((mode(&file), std::fs::read_to_string(&file).unwrap().as_str()), (0o600, "another"));
        assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "as it was");
    }
}
