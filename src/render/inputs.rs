//! The files that rendering reads, handed in whole so that it stays pure.

use std::collections::BTreeMap;
use std::fs;

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Error, Result};

/// One file of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Its permission bits.
    pub mode: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl InputFile {
    /// Must its contents never be shown? So where only its owner may read it, and where it is a private key.
    pub fn is_secret(&self) -> bool {
        self.mode & 0o044 == 0 || self.bytes.windows(11).any(|window| window == b"PRIVATE KEY")
    }
}

/// Files by their path from the Compose file's folder.
#[derive(Debug, Clone, Default)]
pub struct Files {
    files: BTreeMap<String, InputFile>,
}

/// A mounted folder may hold this much in all: 64 MiB. Larger things belong into an image or a volume.
const LIMIT: u64 = 64 * 1024 * 1024;

impl Files {
    /// Files for a test, all of mode 0644.
    pub fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let file = |text: &str| InputFile { mode: 0o644, bytes: text.as_bytes().to_vec() };
        Self { files: files.into_iter().map(|(path, text)| (path.to_owned(), file(text))).collect() }
    }

    /// Reads these files and folders (all that lies below them) under `folder`.
    ///
    /// What does not exist is left out; what cannot be read, is no regular file or leads out of `boundary` is an input error,
    /// told with the one of `paths` that led there.
    pub fn read(
        folder: &Utf8Path,
        boundary: &Utf8Path,
        paths: impl IntoIterator<Item = String>,
    ) -> Result<Self, (String, Error)> {
        let boundary = boundary.canonicalize_utf8().unwrap_or_else(|_| boundary.to_owned());
        let mut read = Self::default();
        let mut total = 0;
        for path in paths {
            read.add(folder, &boundary, &path, &mut total).map_err(|error| (path, error))?;
        }
        Ok(read)
    }

    /// Adds the file, or what lies below the folder.
    fn add(&mut self, folder: &Utf8Path, boundary: &Utf8Path, path: &str, total: &mut u64) -> Result<()> {
        let mut open = vec![Utf8PathBuf::from(path)];
        while let Some(path) = open.pop() {
            let full = folder.join(&path);
            if path.as_str().chars().any(char::is_control) {
                let error = Error::input(format!("the name of this file holds a control character: {path:?}"));
                return Err(error.hint("rename the file: lists of files have one name a line"));
            }
            let cannot = |error: std::io::Error| Error::input(format!("cannot read {full}: {error}"));
            let Ok(metadata) = fs::metadata(&full) else { continue };
            let real = full.canonicalize_utf8().map_err(cannot)?;
            if !real.starts_with(boundary) {
                return Err(
                    Error::input(format!("{full} is a link to {real}, outside the project")).hint("move it into the repository")
                );
            }
            if metadata.is_dir() {
                for entry in full.read_dir_utf8().map_err(cannot)? {
                    open.push(path.join(entry.map_err(cannot)?.file_name()));
                }
                continue;
            }
            if !metadata.is_file() {
                return Err(Error::input(format!("{full} is neither a file nor a folder"))
                    .hint("sockets and devices cannot be part of a release"));
            }
            *total += metadata.len();
            if *total > LIMIT {
                return Err(Error::input(format!("the mounted files are more than {} MiB in all ({full})", LIMIT >> 20))
                    .hint("list the folder under [stack] shared, or put it into an image or a volume"));
            }
            // What only its owner may read here, only its owner may read there.
            let own = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
            let mode = match (own & 0o044 != 0, own & 0o100 != 0) {
                (true, true) => 0o755,
                (true, false) => 0o644,
                (false, true) => 0o700,
                (false, false) => 0o600,
            };
            self.files.insert(path.into_string(), InputFile { mode, bytes: fs::read(&full).map_err(cannot)? });
        }
        Ok(())
    }

    /// The file at this path.
    pub fn get(&self, path: &str) -> Option<&InputFile> {
        self.files.get(path)
    }

    /// The files below this folder, by their path from it; a file itself has the path ``.
    pub fn below<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, &'a InputFile)> {
        self.files.iter().filter_map(move |(file, input)| {
            let rest = if path == "." || path.is_empty() { Some(file.as_str()) } else { file.strip_prefix(path) };
            match rest? {
                "" => Some(("", input)),
                rest if path == "." || path.is_empty() => Some((rest, input)),
                rest => rest.strip_prefix('/').map(|rest| (rest, input)),
            }
        })
    }
}
