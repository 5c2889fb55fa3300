//! The files of an image archive, and which of them are an image's. Nothing leads out of the archive.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use camino::{Utf8Component, Utf8PathBuf};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::blob::{Blob, Layer, Part, sha256};

/// A configuration or a manifest is text of some kilobytes.
const LARGEST_TEXT: u64 = 8 * 1024 * 1024;

/// The kinds of an image's configuration.
const CONFIGURATIONS: [&str; 2] = ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// The files of an archive, by their paths.
pub(super) struct Members {
    pub(super) blobs: BTreeMap<String, Blob>,
    links: BTreeMap<String, String>,
}

/// One of its images.
pub(super) struct Image {
    pub(super) config: Blob,
    pub(super) layers: Vec<Layer>,
    pub(super) id: String,
    pub(super) platform: String,
}

impl Members {
    pub(super) fn of(file: &File) -> Result<Self, String> {
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

    fn get(&self, path: &str) -> Result<Blob, String> {
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

    fn text(&self, file: &File, blob: Blob) -> Result<Vec<u8>, String> {
        if blob.size > LARGEST_TEXT {
            return Err(format!("a JSON file in it is too large, {} MB", blob.size / 1024 / 1024));
        }
        let mut text = Vec::new();
        let mut part = Part { file, at: blob.offset, left: blob.size };
        part.read_to_end(&mut text).map_err(|error| error.to_string())?;
        Ok(text)
    }

    pub(super) fn json(&self, file: &File, path: &str) -> Result<Value, String> {
        serde_json::from_slice(&self.text(file, self.get(path)?)?).map_err(|error| format!("`{path}` in it is no JSON: {error}"))
    }

    /// A blob of an OCI layout, whose contents must be those of its name.
    fn checked(&self, file: &File, descriptor: &Value) -> Result<(Blob, Value), String> {
        let digest = descriptor["digest"].as_str().unwrap_or_default();
        let blob = self.get(&blob_path(digest)?)?;
        let text = self.text(file, blob)?;
        if sha256(Sha256::new_with_prefix(&text)) != digest {
            return Err(format!("`{digest}` in it has another digest"));
        }
        let json = serde_json::from_slice(&text).map_err(|error| format!("`{digest}` in it is no JSON: {error}"))?;
        Ok((blob, json))
    }

    /// The images in it, one of each id.
    pub(super) fn images(&self, file: &File) -> Result<Vec<Image>, String> {
        // Engines write both: the layout names the image of every platform, `manifest.json` only this machine's.
        let found = match (self.get("index.json"), self.get("manifest.json")) {
            (Err(_), Ok(_)) => vec![self.saved(file)?],
            (Ok(_), Ok(_)) => self.layout(file).or_else(|_| self.saved(file).map(|image| vec![image]))?,
            (_, Err(_)) => self.layout(file)?,
        };
        let mut images: Vec<Image> = Vec::new();
        for (config, layers) in found {
            let image = self.image(file, config, layers)?;
            // An index has an entry for each name of an image.
            if images.iter().all(|known| known.id != image.id) {
                images.push(image);
            }
        }
        Ok(images)
    }

    fn image(&self, file: &File, config: Blob, layers: Vec<Blob>) -> Result<Image, String> {
        let text = self.text(file, config)?;
        let id = sha256(Sha256::new_with_prefix(&text));
        let json: Value = serde_json::from_slice(&text).map_err(|error| format!("its configuration is no JSON: {error}"))?;
        let ids: Vec<&str> = json["rootfs"]["diff_ids"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if ids.len() != layers.len() || ids.is_empty() {
            return Err(format!("its configuration lists {} layers, but it holds {}", ids.len(), layers.len()));
        }
        for id in &ids {
            blob_path(id)?;
        }
        let layers = ids.iter().zip(layers).map(|(id, blob)| Layer { id: (*id).to_owned(), blob }).collect();
        Ok(Image { config, layers, id, platform: platform_of(&json).unwrap_or_default() })
    }

    /// As `docker save` writes it: one image.
    fn saved(&self, file: &File) -> Result<(Blob, Vec<Blob>), String> {
        let manifest = self.json(file, "manifest.json")?;
        let [image] = manifest.as_array().map(Vec::as_slice).unwrap_or_default() else {
            return Err("it must hold exactly one image".into());
        };
        let named = image["Config"].as_str().unwrap_or_default();
        let config = self.get(named)?;
        let hex = named.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
        if sha256(Sha256::new_with_prefix(self.text(file, config)?)) != format!("sha256:{hex}") {
            return Err(format!("its configuration `{named}` has another digest"));
        }
        let layers = image["Layers"].as_array().into_iter().flatten();
        let layers: Result<Vec<Blob>, String> = layers.map(|path| self.get(path.as_str().unwrap_or_default())).collect();
        Ok((config, layers?))
    }

    /// An OCI layout: an index, in it manifests, or indexes of platforms that hold them.
    fn layout(&self, file: &File) -> Result<Vec<(Blob, Vec<Blob>)>, String> {
        let mut indexes = vec![self.json(file, "index.json")?];
        let mut images = Vec::new();
        // What is wrong with those of which something is missing: it matters where there is no other.
        let mut lacking = None;
        for _ in 0..3 {
            for index in std::mem::take(&mut indexes) {
                let all = index["manifests"].as_array().into_iter().flatten();
                // Attestations stand beside the images, for no platform; of other platforms the Engine may have no more than
                // the index.
                let told = |one: &&Value| {
                    let digest = one["digest"].as_str().unwrap_or_default();
                    one["platform"]["os"] != "unknown" && blob_path(digest).is_ok_and(|path| self.get(&path).is_ok())
                };
                for described in all.filter(told) {
                    let (_, manifest) = self.checked(file, described)?;
                    if manifest["manifests"].is_array() {
                        indexes.push(manifest);
                        continue;
                    }
                    // A signature or a list of parts is a manifest too.
                    let kind = manifest["config"]["mediaType"].as_str().unwrap_or(CONFIGURATIONS[0]);
                    if !CONFIGURATIONS.contains(&kind) {
                        continue;
                    }
                    let part = |described: &Value| self.get(&blob_path(described["digest"].as_str().unwrap_or_default())?);
                    let layers = manifest["layers"].as_array().into_iter().flatten();
                    let parts: Result<Vec<Blob>, String> = [&manifest["config"]].into_iter().chain(layers).map(part).collect();
                    match parts {
                        Ok(parts) => images.push((self.checked(file, &manifest["config"])?.0, parts[1..].to_vec())),
                        Err(why) => lacking = lacking.or(Some(why)),
                    }
                }
            }
        }
        match (indexes.is_empty(), images.is_empty()) {
            (false, _) => Err("its indexes are nested too deep".into()),
            (_, true) => Err(lacking.unwrap_or_else(|| "it holds no image".into())),
            _ => Ok(images),
        }
    }
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
fn blob_path(digest: &str) -> Result<String, String> {
    match digest.strip_prefix("sha256:") {
        Some(hex) if hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()) => Ok(format!("blobs/sha256/{hex}")),
        _ => Err(format!("`{digest}` in it is no SHA-256 digest")),
    }
}

/// The words of an image's configuration, or of an index. What is no image, a build's attestation say, is unknown.
pub(in crate::image) fn platform_of(described: &Value) -> Option<String> {
    let word = |key: &str| described[key].as_str().filter(|word| *word != "unknown");
    Some(format!("{}/{}", word("os")?, word("architecture")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_tells_its_platforms_and_an_attestation_is_none() {
        let of = |text: &str| platform_of(&serde_json::from_str(text).unwrap());
        assert_eq!(of(r#"{"architecture":"arm64","os":"linux","variant":"v8"}"#).as_deref(), Some("linux/arm64"));
        assert_eq!(of(r#"{"architecture":"unknown","os":"unknown"}"#), None);
        assert_eq!(of("null"), None);
    }
}
