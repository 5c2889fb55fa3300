//! An image in a file: what `docker save` writes, or an OCI layout in a tar. Looked through without being unpacked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

mod parts;
pub(super) use parts::StoredBlob;

/// An image whose parts are known by their place in a file.
#[derive(Debug)]
pub struct Archive {
    name: String,
    file: File,
    /// `sha256:` and the digest of its configuration: its id in a classic image store.
    pub id: String,
    /// What it runs on, as `linux/amd64`.
    pub platform: String,
    config: Blob,
    layers: Vec<Layer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Blob {
    offset: u64,
    size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Layer {
    /// The digest of its tar, without compression.
    id: String,
    blob: Blob,
}

/// How a layer is kept.
#[derive(Clone, Copy)]
enum Form {
    Plain,
    Gzip,
    Zstd,
}

/// A configuration or a manifest is text of some kilobytes.
const LARGEST_TEXT: u64 = 8 * 1024 * 1024;

impl Archive {
    /// Looks through an archive. `platform` chooses where it holds the image for several.
    ///
    /// What is cut short, has a wrong digest, a path or a link out of it, or no image, is an input error that names it.
    pub fn open(path: &Utf8Path, platform: Option<&str>) -> Result<Self> {
        let wrong = |why: String| Error::input(format!("{path} is no image archive that can be used: {why}; nothing was sent"));
        let file = File::open(path).map_err(|error| Error::input(format!("cannot read {path}: {error}")))?;
        let members = Members::of(&file).map_err(wrong)?;
        members.image(&file, platform).map_err(wrong).map(|(config, layers, id, platform)| Self {
            name: path.to_string(),
            file,
            id,
            platform,
            config,
            layers,
        })
    }

    /// An archive of an image's parts that lie in files: its configuration, and its layers, of which the lowest may be absent.
    /// It is good for what lies above those, and written to this path.
    pub(super) fn partial(
        path: &Utf8Path,
        id: &str,
        config: &Utf8Path,
        layers: &[String],
        files: &[Option<Utf8PathBuf>],
    ) -> Result<Self> {
        let cannot = |error: std::io::Error| Error::failed(format!("putting the image's layers into {path}: {error}"));
        let mut out = File::create_new(path).map_err(cannot)?;
        let mut end = 0;
        let mut append = |from: &Utf8Path| {
            let size = std::io::copy(&mut File::open(from)?, &mut out)?;
            end += size;
            Ok(Blob { offset: end - size, size })
        };
        let text = std::fs::read(config).map_err(cannot)?;
        let config = append(config).map_err(cannot)?;
        let absent = Blob { offset: 0, size: 0 };
        let parts: std::io::Result<Vec<Layer>> = layers
            .iter()
            .zip(files)
            .map(|(id, file)| Ok(Layer { id: id.clone(), blob: file.as_deref().map_or(Ok(absent), &mut append)? }))
            .collect();
        let json: Value = serde_json::from_slice(&text).unwrap_or_default();
        let word = |key: &str| json[key].as_str().unwrap_or_default();
        let archive = Self {
            name: path.to_string(),
            id: sha256(Sha256::new_with_prefix(&text)),
            platform: format!("{}/{}", word("os"), word("architecture")),
            config,
            layers: parts.map_err(cannot)?,
            file: File::open(path).map_err(cannot)?,
        };
        for layer in archive.layers.iter().filter(|layer| layer.blob.size > 0) {
            if archive.digest_of(layer).map_err(cannot)? != layer.id || archive.id != id {
                return Err(Error::failed(format!("the layer {} did not come out of the Engine as it is", layer.id)));
            }
        }
        Ok(archive)
    }

    /// The digests of its layers, lowest first.
    pub fn layers(&self) -> Vec<String> {
        self.layers.iter().map(|layer| layer.id.clone()).collect()
    }

    /// How many bytes the layers from this one on take, as they are in the file.
    pub fn size_from(&self, from: usize) -> u64 {
        self.layers.iter().skip(from).map(|layer| layer.blob.size).sum()
    }

    /// Checks each layer against the digest that the configuration gives.
    pub fn verify(&self) -> Result<()> {
        for layer in &self.layers {
            let found = self.digest_of(layer).map_err(|error| self.unreadable(&error))?;
            if found != layer.id {
                return Err(Error::input(format!("{}: the layer {} is damaged; nothing was sent", self.name, layer.id)));
            }
        }
        Ok(())
    }

    fn form(&self, layer: &Layer) -> std::io::Result<Form> {
        let mut start = [0; 4];
        let known = self.part(layer.blob).read(&mut start)?;
        Ok(match &start[..known] {
            [0x1f, 0x8b, ..] => Form::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Form::Zstd,
            _ => Form::Plain,
        })
    }

    fn digest_of(&self, layer: &Layer) -> std::io::Result<String> {
        let raw = self.part(layer.blob);
        let mut plain: Box<dyn Read> = match self.form(layer)? {
            Form::Gzip => Box::new(flate2::read::MultiGzDecoder::new(raw)),
            Form::Zstd => Box::new(zstd::Decoder::new(raw)?),
            Form::Plain => Box::new(raw),
        };
        let mut sum = Sha256::new();
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match plain.read(&mut buffer)? {
                0 => return Ok(sha256(sum)),
                count => sum.update(&buffer[..count]),
            }
        }
    }

    /// Writes an archive that `docker load` reads, without the layers below `from`: a classic image store that has those
    /// does not look for them.
    pub fn write(&self, from: usize, tag: &str, out: impl Write) -> Result<()> {
        self.pack(from, tag, out).map_err(|error| self.unreadable(&error))
    }

    fn pack(&self, from: usize, tag: &str, out: impl Write) -> std::io::Result<()> {
        let mut archive = tar::Builder::new(out);
        let config = format!("{}.json", bare(&self.id));
        let names: Vec<String> = self.layers.iter().map(|layer| format!("{}.tar", bare(&layer.id))).collect();
        append(&mut archive, &config, self.config.size, self.part(self.config))?;
        let mut written = BTreeSet::new();
        for (layer, name) in self.layers.iter().zip(&names).skip(from) {
            // The same layer twice is one file.
            if written.insert(name) {
                append(&mut archive, name, layer.blob.size, self.part(layer.blob))?;
            }
        }
        let manifest = json!([{"Config": config, "RepoTags": [tag], "Layers": names}]).to_string();
        append(&mut archive, "manifest.json", manifest.len() as u64, manifest.as_bytes())?;
        archive.into_inner()?.flush()
    }

    fn part(&self, blob: Blob) -> Part<'_> {
        Part { file: &self.file, at: blob.offset, left: blob.size }
    }

    fn unreadable(&self, error: &std::io::Error) -> Error {
        Error::failed(format!("reading the image archive {}: {error}", self.name))
    }
}

/// The files of an archive, by their paths.
struct Members {
    blobs: BTreeMap<String, Blob>,
    links: BTreeMap<String, String>,
}

type Image = (Blob, Vec<Layer>, String, String);

impl Members {
    fn of(file: &File) -> std::result::Result<Self, String> {
        let size = file.metadata().map_err(|error| error.to_string())?.len();
        let mut members = Self { blobs: BTreeMap::new(), links: BTreeMap::new() };
        let mut archive = tar::Archive::new(file);
        let unreadable = |error: std::io::Error| format!("it is no tar, or is cut short ({error})");
        for entry in archive.entries_with_seek().map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let path = inside("", &shown).ok_or_else(|| format!("its file `{shown}` would be outside of it"))?;
            let kind = entry.header().entry_type();
            if kind.is_file() {
                let blob = Blob { offset: entry.raw_file_position(), size: entry.size() };
                if blob.offset + blob.size > size {
                    return Err(format!("it is cut short within `{shown}`"));
                }
                members.blobs.insert(path, blob);
            } else if kind.is_symlink() || kind.is_hard_link() {
                let target = entry.link_name_bytes().unwrap_or_default();
                let target = String::from_utf8_lossy(&target).into_owned();
                // A hard link names its target from the archive's top, a symbolic one from its own folder.
                let folder = if kind.is_symlink() { path.rsplit_once('/').map_or("", |(folder, _)| folder) } else { "" };
                let target = inside(folder, &target).ok_or_else(|| format!("its link `{shown}` leads out of it"))?;
                members.links.insert(path, target);
            } else if !kind.is_dir() && !kind.is_pax_global_extensions() {
                return Err(format!("`{shown}` in it is neither a file nor a folder"));
            }
        }
        Ok(members)
    }

    fn get(&self, path: &str) -> std::result::Result<Blob, String> {
        let mut path = inside("", path).ok_or_else(|| format!("it names `{path}`, which would be outside of it"))?;
        for _ in 0..8 {
            match (self.blobs.get(&path), self.links.get(&path)) {
                (Some(blob), _) => return Ok(*blob),
                (None, Some(target)) => path.clone_from(target),
                (None, None) => break,
            }
        }
        Err(format!("it lacks `{path}`"))
    }

    fn text(&self, file: &File, blob: Blob) -> std::result::Result<Vec<u8>, String> {
        if blob.size > LARGEST_TEXT {
            return Err(format!("a description in it has {} MB", blob.size / 1024 / 1024));
        }
        let mut text = Vec::new();
        let mut part = Part { file, at: blob.offset, left: blob.size };
        part.read_to_end(&mut text).map_err(|error| error.to_string())?;
        Ok(text)
    }

    fn json(&self, file: &File, path: &str) -> std::result::Result<Value, String> {
        serde_json::from_slice(&self.text(file, self.get(path)?)?).map_err(|error| format!("`{path}` in it is no JSON: {error}"))
    }

    /// A blob of an OCI layout, whose contents must be those of its name.
    fn checked(&self, file: &File, descriptor: &Value) -> std::result::Result<(Blob, Value), String> {
        let digest = descriptor["digest"].as_str().unwrap_or_default();
        let blob = self.get(&blob_path(digest)?)?;
        let text = self.text(file, blob)?;
        if sha256(Sha256::new_with_prefix(&text)) != digest {
            return Err(format!("`{digest}` in it has another digest"));
        }
        let json = serde_json::from_slice(&text).map_err(|error| format!("`{digest}` in it is no JSON: {error}"))?;
        Ok((blob, json))
    }

    fn image(&self, file: &File, platform: Option<&str>) -> std::result::Result<Image, String> {
        let (config, layers) = if self.get("manifest.json").is_ok() { self.saved(file)? } else { self.layout(file, platform)? };
        let text = self.text(file, config)?;
        let id = sha256(Sha256::new_with_prefix(&text));
        let json: Value = serde_json::from_slice(&text).map_err(|error| format!("its configuration is no JSON: {error}"))?;
        let ids: Vec<&str> = json["rootfs"]["diff_ids"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if ids.len() != layers.len() || ids.is_empty() {
            return Err(format!("its configuration has {} layers, it has {}", ids.len(), layers.len()));
        }
        for id in &ids {
            blob_path(id)?;
        }
        let layers = ids.iter().zip(layers).map(|(id, blob)| Layer { id: (*id).to_owned(), blob }).collect();
        let word = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
        Ok((config, layers, id, format!("{}/{}", word("os"), word("architecture"))))
    }

    /// As `docker save` writes it: one image.
    fn saved(&self, file: &File) -> std::result::Result<(Blob, Vec<Blob>), String> {
        let manifest = self.json(file, "manifest.json")?;
        let [image] = manifest.as_array().map(Vec::as_slice).unwrap_or_default() else {
            return Err("it holds none, or several images".into());
        };
        let named = image["Config"].as_str().unwrap_or_default();
        let config = self.get(named)?;
        let hex = named.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
        if sha256(Sha256::new_with_prefix(self.text(file, config)?)) != format!("sha256:{hex}") {
            return Err(format!("its configuration `{named}` has another digest"));
        }
        let layers = image["Layers"].as_array().into_iter().flatten();
        let layers: std::result::Result<Vec<Blob>, String> =
            layers.map(|path| self.get(path.as_str().unwrap_or_default())).collect();
        Ok((config, layers?))
    }

    /// An OCI layout: index, then maybe an index of platforms, then the manifest.
    fn layout(&self, file: &File, platform: Option<&str>) -> std::result::Result<(Blob, Vec<Blob>), String> {
        let mut index = self.json(file, "index.json")?;
        for _ in 0..3 {
            let candidates: Vec<&Value> = index["manifests"]
                .as_array()
                .into_iter()
                .flatten()
                // Attestations stand beside the images, for no platform.
                .filter(|one| one["platform"]["os"] != "unknown")
                .collect();
            let of = |one: &Value| match &one["platform"] {
                Value::Null => None,
                platform => Some(format!("{}/{}", platform["os"].as_str()?, platform["architecture"].as_str()?)),
            };
            let chosen = match candidates.as_slice() {
                [one] => *one,
                [] => return Err("it holds no image".into()),
                several => *several.iter().find(|one| of(one).as_deref() == platform && platform.is_some()).ok_or_else(|| {
                    let there: Vec<String> = several.iter().filter_map(|one| of(one)).collect();
                    format!("none of its images is for {}: {}", platform.unwrap_or("a known platform"), there.join(", "))
                })?,
            };
            let (_, manifest) = self.checked(file, chosen)?;
            if manifest["manifests"].is_array() {
                index = manifest;
                continue;
            }
            let (config, _) = self.checked(file, &manifest["config"])?;
            let layers = manifest["layers"].as_array().into_iter().flatten();
            let blobs: std::result::Result<Vec<Blob>, String> =
                layers.map(|layer| self.get(&blob_path(layer["digest"].as_str().unwrap_or_default())?)).collect();
            return Ok((config, blobs?));
        }
        Err("its indexes are nested too deep".into())
    }
}

/// Reads a part of a file, whoever else reads others.
pub(super) struct Part<'a> {
    pub(super) file: &'a File,
    pub(super) at: u64,
    pub(super) left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

pub(super) fn append(archive: &mut tar::Builder<impl Write>, name: &str, size: u64, from: impl Read) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(1);
    archive.append_data(&mut header, name, from)
}

/// A path below a folder of the archive, without `.` and `..`; `None` where it leads out of it.
fn inside(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<String> = folder.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    for component in Utf8PathBuf::from(path).components() {
        match component {
            Utf8Component::Normal(part) => parts.push(part.to_owned()),
            Utf8Component::CurDir => {}
            Utf8Component::ParentDir => drop(parts.pop()?),
            Utf8Component::RootDir | Utf8Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

/// Where an OCI layout keeps the blob of this digest.
fn blob_path(digest: &str) -> std::result::Result<String, String> {
    match digest.strip_prefix("sha256:") {
        Some(hex) if hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()) => Ok(format!("blobs/sha256/{hex}")),
        _ => Err(format!("`{digest}` in it is no SHA-256 digest")),
    }
}

fn bare(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}

fn sha256(sum: Sha256) -> String {
    let mut text = String::from("sha256:");
    for byte in sum.finalize() {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(bytes: &[u8]) -> String {
        sha256(Sha256::new_with_prefix(bytes))
    }

    fn tar_of(files: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
        let mut archive = tar::Builder::new(tempfile::NamedTempFile::new().unwrap());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            // As it is: the library refuses paths that lead out of the archive.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            archive.append(&header, *bytes).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn open(file: &tempfile::NamedTempFile, platform: Option<&str>) -> Result<Archive> {
        Archive::open(Utf8Path::from_path(file.path()).unwrap(), platform)
    }

    fn config(layers: &[&[u8]]) -> Vec<u8> {
        let ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
        json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": ids}}).to_string().into_bytes()
    }

    fn saved(config: &[u8], one: &[u8], two: &[u8], more: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
        let name = format!("{}.json", bare(&digest(config)));
        let manifest = json!([{"Config": name, "Layers": ["a/layer.tar", "b/layer.tar"]}]).to_string();
        let files: Vec<(&str, &[u8])> =
            vec![(&name, config), ("a/layer.tar", one), ("b/layer.tar", two), ("manifest.json", manifest.as_bytes())];
        tar_of(&[files.as_slice(), more].concat())
    }

    #[test]
    fn only_the_layers_from_a_place_on_are_written_and_the_image_stays_the_same() {
        let (one, two) = (b"lower".as_slice(), b"upper".as_slice());
        let file = saved(&config(&[one, two]), one, two, &[]);
        let archive = open(&file, None).unwrap();
        archive.verify().unwrap();
        assert_eq!((archive.layers(), archive.platform.as_str()), (vec![digest(one), digest(two)], "linux/amd64"));
        assert_eq!(archive.size_from(1), 5);
        let mut out = tempfile::NamedTempFile::new().unwrap();
        archive.write(1, "shop:1", &mut out).unwrap();
        std::io::Seek::rewind(&mut out).unwrap();
        let members = Members::of(out.as_file()).unwrap();
        let names: Vec<&String> = members.blobs.keys().collect();
        let hex = |text: &str| bare(text).to_owned();
        let mut wanted = [format!("{}.json", hex(&archive.id)), format!("{}.tar", hex(&digest(two))), "manifest.json".into()];
        wanted.sort();
        assert_eq!(names, wanted.iter().collect::<Vec<_>>());
        let manifest = members.json(out.as_file(), "manifest.json").unwrap();
        assert_eq!(manifest[0]["Layers"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_part_of_an_image_is_the_image_without_its_lowest_layers_and_a_wrong_layer_is_none() {
        let (one, two) = (b"lower".as_slice(), b"upper".as_slice());
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| Utf8Path::from_path(folder.path()).unwrap().join(name);
        let config = config(&[one, two]);
        let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zipped.write_all(two).unwrap();
        std::fs::write(path("config"), &config).unwrap();
        std::fs::write(path("two"), zipped.finish().unwrap()).unwrap();
        std::fs::write(path("other"), b"something else").unwrap();
        let ids = [digest(one), digest(two)];
        let part = |name: &str, file: &str| {
            Archive::partial(&path(name), &digest(&config), &path("config"), &ids, &[None, Some(path(file))])
        };
        let archive = part("good", "two").unwrap();
        assert_eq!((archive.id.as_str(), archive.platform.as_str()), (digest(&config).as_str(), "linux/amd64"));
        let mut out = Vec::new();
        archive.write(1, "shop:1", &mut out).unwrap();
        let stored = std::fs::read(path("two")).unwrap();
        assert!(out.windows(stored.len()).any(|window| window == stored), "the layer is in it as it came");
        assert!(part("bad", "other").is_err());
    }

    #[test]
    fn an_oci_layout_is_read_for_the_platform_asked_for() {
        let layer = b"layer".as_slice();
        let zipped = zstd::encode_all(layer, 3).unwrap();
        let config = config(&[layer]);
        let descriptor = |bytes: &[u8]| json!({"digest": digest(bytes), "size": bytes.len()});
        let manifest = json!({"config": descriptor(&config), "layers": [descriptor(&zipped)]}).to_string();
        let with = |architecture: &str| {
            let mut one = descriptor(manifest.as_bytes());
            one["platform"] = json!({"os": "linux", "architecture": architecture});
            one
        };
        let index =
            json!({"manifests": [with("arm64"), with("amd64"), {"digest": "x", "platform": {"os": "unknown"}}]}).to_string();
        let path = |bytes: &[u8]| format!("blobs/sha256/{}", bare(&digest(bytes)));
        let file = tar_of(&[
            ("index.json", index.as_bytes()),
            (&path(&config), &config),
            (&path(&zipped), &zipped),
            (&path(manifest.as_bytes()), manifest.as_bytes()),
        ]);
        open(&file, Some("linux/amd64")).unwrap().verify().unwrap();
        assert!(open(&file, Some("linux/riscv64")).unwrap_err().to_string().contains("linux/arm64, linux/amd64"));
    }

    #[test]
    fn what_is_damaged_or_leads_out_is_refused() {
        let (one, two) = (b"lower".as_slice(), b"upper".as_slice());
        let good = config(&[one, two]);
        let damaged = open(&saved(&good, one, b"other", &[]), None).unwrap();
        assert!(damaged.verify().unwrap_err().to_string().contains("is damaged"));
        let out = open(&saved(&good, one, two, &[("../x", b"")]), None).unwrap_err().to_string();
        assert!(out.contains("`../x` would be outside"), "{out}");
        let absolute = open(&saved(&good, one, two, &[("/etc/x", b"")]), None).unwrap_err().to_string();
        assert!(absolute.contains("outside"), "{absolute}");
        let another = config(&[one]);
        let wrong = open(&saved(&another, one, two, &[]), None).unwrap_err().to_string();
        assert!(wrong.contains("1 layers, it has 2"), "{wrong}");
        let cut = saved(&good, one, two, &[]);
        cut.as_file().set_len(1600).unwrap();
        assert!(open(&cut, None).unwrap_err().to_string().contains("no image archive"));
        assert!(open(&tar_of(&[]), None).is_err());
    }

    #[test]
    fn a_link_is_followed_within_and_refused_without() {
        let (one, config) = (b"twice".as_slice(), config(&[b"twice", b"twice"]));
        let name = format!("{}.json", bare(&digest(&config)));
        let manifest = json!([{"Config": name, "Layers": ["a/layer.tar", "b/layer.tar"]}]).to_string();
        let with = |target: &str| {
            let mut archive = tar::Builder::new(tempfile::NamedTempFile::new().unwrap());
            append(&mut archive, &name, config.len() as u64, config.as_slice()).unwrap();
            append(&mut archive, "a/layer.tar", 5, one).unwrap();
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            archive.append_link(&mut header, "b/layer.tar", target).unwrap();
            append(&mut archive, "manifest.json", manifest.len() as u64, manifest.as_bytes()).unwrap();
            archive.into_inner().unwrap()
        };
        open(&with("../a/layer.tar"), None).unwrap().verify().unwrap();
        let out = open(&with("../../etc/passwd"), None).unwrap_err().to_string();
        assert!(out.contains("leads out of it"), "{out}");
    }
}
