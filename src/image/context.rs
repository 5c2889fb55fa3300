//! The build context: which files it has, what they come to, and a tar of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest, Sha256};

use crate::config::{Image, Project, Resolved};
use crate::digest::{sha256, sha256_of};
use crate::error::{Error, Result};
use crate::text::{Source, read_limited};

use super::dockerfile;
use super::ignore::Ignore;
use super::settings::{BuildSettings, Given};

/// A build context that was looked through.
#[derive(Debug, Clone)]
pub struct Context {
    /// Its folder.
    pub folder: Utf8PathBuf,
    /// The Dockerfile, from the folder.
    pub dockerfile: String,
    /// The Dockerfile's text, where it stands in the Compose file.
    pub inline: Option<String>,
    /// The stage to build, where one is named.
    pub target: Option<String>,
    /// The build's arguments: their values, and how they come to the program that builds.
    pub arguments: BTreeMap<String, (String, Given)>,
    /// The build's other settings.
    pub settings: BuildSettings,
    files: Vec<String>,
    beside_the_image: Vec<String>,
    /// The sum of the files' sizes, in bytes.
    pub size: u64,
}

impl Context {
    /// Looks through the context of an image, as its .dockerignore says.
    pub fn open(project: &Project, resolved: &Resolved, image: &Image) -> Result<Self> {
        let Image { context, dockerfile: named, build_target, .. } = image;
        let folder = project.path(&context.value);
        let ignore = Self::ignore(project, &folder, &named.value)?;
        let mut found = Vec::new();
        let mut size = 0;
        if image.build_is_here() {
            walk(&folder, "", &ignore, &mut |path, length| {
                size += length;
                found.push(path);
            })?;
            if image.inline.is_none() && !found.contains(&named.value) {
                found.push(named.value.clone());
            }
        }
        found.sort();
        if image.build_is_here() && image.inline.is_none() {
            dockerfile::check(&folder, &named.value, &found)?;
        }
        let own = resolved.compose_paths.value.iter().chain(resolved.target.env_file.value.as_ref());
        let own = own.map(|path| project.path(path)).chain([Utf8PathBuf::from(&project.loaded.name)]);
        let beside_the_image = own.filter_map(|path| below(&folder, &path)).collect();
        let base = project.path(resolved.compose_paths.value[0].parent().unwrap_or(Utf8Path::new("")));
        check_arguments(resolved, image)?;
        let given =
            |(name, value): (&String, &String)| (name.clone(), (value.clone(), Given::of(name, value, &resolved.env.secrets)));
        Ok(Self {
            beside_the_image,
            dockerfile: named.value.clone(),
            inline: image.inline.clone(),
            target: build_target.clone(),
            arguments: image.arguments.iter().map(given).collect(),
            settings: BuildSettings::read(resolved, image, &base, &project.boundary())?,
            files: found,
            folder,
            size,
        })
    }

    /// The build's arguments as the program that builds is given them: by name alone where the value stands in its environment.
    pub fn given_arguments(&self) -> Vec<String> {
        let given = |(name, (value, given)): (&String, &(String, Given))| match given {
            Given::Hidden => name.clone(),
            _ => format!("{name}={value}"),
        };
        self.arguments.iter().map(given).collect()
    }

    /// Those whose values stand in its environment.
    pub fn hidden_arguments(&self) -> impl Iterator<Item = (&str, &str)> {
        let hidden = self.arguments.iter().filter(|(_, (_, given))| *given == Given::Hidden);
        hidden.map(|(name, (value, _))| (name.as_str(), value.as_str()))
    }

    fn ignore(project: &Project, folder: &Utf8Path, dockerfile: &str) -> Result<Ignore> {
        for name in [format!("{dockerfile}.dockerignore"), String::from(".dockerignore")] {
            let path = folder.join(&name);
            if path.is_file() {
                if !project.contains(&path) {
                    return Err(project.leads_out(&path));
                }
                let text = read_limited(&path)?;
                return Ignore::parse(Source { name: path.as_str(), text: &text });
            }
        }
        Ok(Ignore::default())
    }

    /// The migrations that its files hold, as Django lays them out: `app name` of each `app/migrations/0001_name.py`.
    pub fn migrations(&self) -> Vec<String> {
        let of = |path: &String| {
            let (folder, file) = path.rsplit_once('/')?;
            let app = folder.strip_suffix("/migrations")?.rsplit('/').next()?;
            let name = file.strip_suffix(".py")?;
            (name.len() > 5 && name.as_bytes()[..4].iter().all(u8::is_ascii_digit)).then(|| format!("{app} {name}"))
        };
        self.files.iter().filter_map(of).collect()
    }

    /// What an image built from it depends on, as a digest: names, modes and contents of the files, the
    /// Dockerfile's name, stage and arguments. Not the repository and what only estiba and Compose read, which lie in
    /// a context that has no .dockerignore: a change to those alone is no new image.
    pub fn digest(&self) -> Result<String> {
        let mut all = Sha256::new();
        all.update(format!("{}\0{}\0", self.dockerfile, self.target.as_deref().unwrap_or("")));
        for (name, (value, _)) in &self.arguments {
            all.update(format!("{name}\0{value}\0"));
        }
        all.update(self.inline.as_deref().unwrap_or(""));
        all.update(self.settings.digest());
        for path in self.files.iter().filter(|path| !self.beside_the_image.contains(*path) && !path.starts_with(".git/")) {
            let full = self.folder.join(path);
            let metadata = fs::symlink_metadata(&full).map_err(|error| cannot_read(&full, &error))?;
            all.update(format!("{path}\0{:o}\0", metadata.permissions().mode() & 0o111));
            if metadata.is_symlink() {
                let target = fs::read_link(&full).map_err(|error| cannot_read(&full, &error))?;
                all.update(target.to_string_lossy().as_bytes());
            } else {
                let mut file = fs::File::open(&full).map_err(|error| cannot_read(&full, &error))?;
                let mut one = Sha256::new();
                std::io::copy(&mut file, &mut HashWriter(&mut one)).map_err(|error| cannot_read(&full, &error))?;
                all.update(one.finalize());
            }
        }
        Ok(all.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }

    /// What each file is, a line each: its mode and SHA-256 (of a link's target, `link` for its mode), two spaces, its path.
    pub fn manifest(&self) -> Result<String> {
        let mut text = String::new();
        for path in &self.files {
            let full = self.folder.join(path);
            let metadata = fs::symlink_metadata(&full).map_err(|error| cannot_read(&full, &error))?;
            let (mode, digest) = if metadata.is_symlink() {
                let target = fs::read_link(&full).map_err(|error| cannot_read(&full, &error))?;
                ("link".to_owned(), sha256(target.to_string_lossy().as_bytes()))
            } else {
                let digest = fs::File::open(&full).and_then(sha256_of).map_err(|error| cannot_read(&full, &error))?;
                (format!("{:o}", metadata.permissions().mode() & 0o777), digest)
            };
            text.push_str(&format!("{mode} {digest}  {path}\n"));
        }
        Ok(text)
    }

    /// Writes a tar of those of its files.
    pub fn write_tar<'a>(&self, paths: impl IntoIterator<Item = &'a String>, writer: impl Write) -> std::io::Result<()> {
        let mut archive = tar::Builder::new(writer);
        archive.follow_symlinks(false);
        for path in paths {
            archive.append_path_with_name(self.folder.join(path), path)?;
        }
        archive.into_inner()?.flush()
    }
}

/// A build argument with a secret in it is refused where it could be given neither as an argument, which others see, nor as a variable,
/// which other programs read.
fn check_arguments(resolved: &Resolved, image: &Image) -> Result<()> {
    let refused = |(name, value): (&String, &String)| {
        (Given::of(name, value, &resolved.env.secrets) == Given::Refused).then(|| {
            let service = image.services.first().map(String::as_str).unwrap_or_default();
            let message = format!(
                "service `{service}`: the build argument `{name}` holds a secret, and either other programs read a variable of that name, \
                 or there is more text in it than the secret"
            );
            resolved.compose.error(service, name, &message).hint("give the secret alone, under another name, or hand it over by `build.secrets`")
        })
    };
    Error::all(image.arguments.iter().filter_map(refused).collect())
}

/// What of a context is to be sent to who has another one: the files that are new or other there, and the paths that are
/// there and not here any more.
pub fn context_delta(here: &str, there: &str) -> (Vec<String>, Vec<String>) {
    let path = |line: &str| line.split_once("  ").map(|(_, path)| path.to_owned());
    let known: BTreeSet<&str> = there.lines().collect();
    let ours: BTreeSet<String> = here.lines().filter_map(path).collect();
    let changed = here.lines().filter(|line| !known.contains(line)).filter_map(path).collect();
    (changed, there.lines().filter_map(path).filter(|path| !ours.contains(path)).collect())
}

/// The path from the folder, where it lies below it.
fn below(folder: &Utf8Path, path: &Utf8Path) -> Option<String> {
    let folder = folder.as_str().trim_start_matches("./").trim_end_matches('.').trim_end_matches('/');
    let path = path.as_str().trim_start_matches("./");
    if folder.is_empty() { Some(path.to_owned()) } else { path.strip_prefix(folder)?.strip_prefix('/').map(str::to_owned) }
}

struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn cannot_read(path: &Utf8Path, error: &std::io::Error) -> Error {
    Error::input(format!("cannot read {path} of the build context: {error}"))
}

fn walk(folder: &Utf8Path, below: &str, ignore: &Ignore, see: &mut dyn FnMut(String, u64)) -> Result<()> {
    let here = folder.join(below);
    let entries = here.read_dir_utf8().map_err(|error| cannot_read(&here, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| cannot_read(&here, &error))?;
        let path = if below.is_empty() { entry.file_name().to_owned() } else { format!("{below}/{}", entry.file_name()) };
        let kind = entry.file_type().map_err(|error| cannot_read(entry.path(), &error))?;
        let out = ignore.leaves_out(&path);
        if kind.is_dir() {
            if !out || ignore.has_exceptions() {
                walk(folder, &path, ignore, see)?;
            }
        } else if !out && (kind.is_file() || kind.is_symlink()) {
            if path.chars().any(char::is_control) {
                let error = Error::input(format!("the build context has a file whose name holds a control character: {path:?}"));
                return Err(error.hint("rename it, or leave it out by .dockerignore (`?` stands for any character)"));
            }
            see(path, entry.metadata().map_or(0, |metadata| metadata.len()));
        }
    }
    Ok(())
}
