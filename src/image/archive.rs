//! An image in a file: what `docker save` writes, or an OCI layout in a tar. Looked through without being unpacked.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::digest::sha256_of;
use crate::error::{Error, Result};

mod blob;
mod members;
mod parts;

pub(super) use blob::Part;
use blob::{Blob, Bounded, Layer, sha256};
pub(super) use members::platform_of;
use members::{Image, Members};
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

/// A layer that unpacks to more than so many times its size, and some more, is made to waste time.
const MOST_TIMES: u64 = 1000;
const SPARE_BYTES: u64 = 64 * 1024 * 1024;

/// How a layer is kept.
#[derive(Clone, Copy)]
enum Form {
    Plain,
    Gzip,
    Zstd,
}

impl Archive {
    /// Looks through a file. It holds an image, or that of each of several platforms.
    ///
    /// What is cut short, has a wrong digest, a path or a link out of it, or no image, is an input error that names it.
    pub fn open(path: &Utf8Path) -> Result<Vec<Self>> {
        let wrong = |why: String| Error::input(format!("{path} is no image archive that can be used: {why}; nothing was sent"));
        let unreadable = |error| Error::input(format!("cannot read {path}: {error}"));
        let file = File::open(path).map_err(unreadable)?;
        let images = Members::of(&file).and_then(|members| members.images(&file)).map_err(wrong)?;
        let archive = |Image { config, layers, id, platform }| {
            let file = file.try_clone().map_err(unreadable)?;
            Ok(Self { name: path.to_string(), file, id, platform, config, layers })
        };
        images.into_iter().map(archive).collect()
    }

    /// Do the layers from this one on lie elsewhere than at these places of the file?
    pub(super) fn is_whole_from(&self, from: usize, holes: &BTreeSet<u64>) -> bool {
        self.layers.iter().skip(from).all(|layer| !holes.contains(&layer.blob.offset))
    }

    /// An archive of an image's parts that lie in files: its configuration, with its digest, and its layers, of which the
    /// lowest may be absent. It is good for what lies above those, and written to this path.
    pub(super) fn partial(
        path: &Utf8Path,
        (id, config): &(String, Utf8PathBuf),
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
        let other = |what: &str| Error::failed(format!("{what}, as saved by Docker, has a wrong digest"));
        if sha256(Sha256::new_with_prefix(&text)) != *id {
            return Err(other("the image's configuration"));
        }
        let platform = serde_json::from_slice(&text).ok().as_ref().and_then(platform_of);
        let archive = Self {
            name: path.to_string(),
            id: id.to_owned(),
            platform: platform.unwrap_or_default(),
            config,
            layers: parts.map_err(cannot)?,
            file: File::open(path).map_err(cannot)?,
        };
        for layer in archive.layers.iter().filter(|layer| layer.blob.size > 0) {
            if archive.digest_of(layer).map_err(cannot)? != layer.id {
                return Err(other(&format!("the layer {}", layer.id)));
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
        let plain: Box<dyn Read> = match self.form(layer)? {
            Form::Gzip => Box::new(flate2::read::MultiGzDecoder::new(raw)),
            Form::Zstd => Box::new(zstd::Decoder::new(raw)?),
            Form::Plain => Box::new(raw),
        };
        let bound = layer.blob.size.saturating_mul(MOST_TIMES).saturating_add(SPARE_BYTES);
        Ok(format!("sha256:{}", sha256_of(Bounded { from: plain, left: bound })?))
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
            if !written.insert(name) {
                continue;
            }
            match self.form(layer)? {
                // Docker 20.10 reads no zstd. How long it is without stands nowhere.
                Form::Zstd => {
                    let plain = || zstd::Decoder::new(self.part(layer.blob));
                    let size = std::io::copy(&mut plain()?, &mut std::io::sink())?;
                    append(&mut archive, name, size, plain()?)?;
                }
                Form::Plain | Form::Gzip => append(&mut archive, name, layer.blob.size, self.part(layer.blob))?,
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

pub(super) fn append(archive: &mut tar::Builder<impl Write>, name: &str, size: u64, from: impl Read) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(1);
    archive.append_data(&mut header, name, from)
}

fn bare(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
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

    fn open(file: &tempfile::NamedTempFile) -> Result<Archive> {
        Archive::open(Utf8Path::from_path(file.path()).unwrap()).map(|mut archives| archives.pop().unwrap())
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
        let archive = open(&file).unwrap();
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
        let (_folder, folder) = crate::private::folder().unwrap();
        let path = |name: &str| folder.join(name);
        let config = config(&[one, two]);
        let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zipped.write_all(two).unwrap();
        std::fs::write(path("config"), &config).unwrap();
        std::fs::write(path("two"), zipped.finish().unwrap()).unwrap();
        std::fs::write(path("other"), b"something else").unwrap();
        let ids = [digest(one), digest(two)];
        let part = |name: &str, file: &str| {
            Archive::partial(&path(name), &(digest(&config), path("config")), &ids, &[None, Some(path(file))])
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
    fn an_oci_layout_has_an_image_for_each_platform() {
        let layer = b"layer".as_slice();
        let zipped = zstd::encode_all(layer, 3).unwrap();
        let descriptor = |bytes: &[u8]| json!({"digest": digest(bytes), "size": bytes.len()});
        let path = |bytes: &[u8]| format!("blobs/sha256/{}", bare(&digest(bytes)));
        let with = |architectures: [&str; 2]| {
            let mut blobs = vec![zipped.clone()];
            // An attestation, a platform that the Engine does not have, and a signature.
            let signature = json!({"config": {"mediaType": "application/vnd.oci.empty.v1+json"}}).to_string().into_bytes();
            let absent = json!({"digest": digest(b"absent"), "platform": {"os": "linux", "architecture": "s390x"}});
            let mut manifests = vec![json!({"digest": "x", "platform": {"os": "unknown"}}), absent, descriptor(&signature)];
            blobs.push(signature);
            for (number, architecture) in architectures.iter().enumerate() {
                let config = json!({"os": "linux", "architecture": architecture, "number": number,
                    "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}});
                let config = config.to_string().into_bytes();
                let manifest = json!({"config": descriptor(&config), "layers": [descriptor(&zipped)]}).to_string().into_bytes();
                let mut described = descriptor(&manifest);
                described["platform"] = json!({"os": "linux", "architecture": architecture});
                manifests.push(described);
                // The second name of the same image.
                manifests.extend(manifests.last().cloned());
                blobs.extend([config, manifest]);
            }
            let inner = json!({"manifests": manifests}).to_string().into_bytes();
            let index = json!({"manifests": [descriptor(&inner)]}).to_string();
            blobs.push(inner);
            let named: Vec<(String, &[u8])> = blobs.iter().map(|blob| (path(blob), blob.as_slice())).collect();
            let mut files: Vec<(&str, &[u8])> = named.iter().map(|(name, blob)| (name.as_str(), *blob)).collect();
            files.push(("index.json", index.as_bytes()));
            let file = tar_of(&files);
            Archive::open(Utf8Path::from_path(file.path()).unwrap())
        };
        let images = with(["arm64", "amd64"]).unwrap();
        images.iter().for_each(|image| image.verify().unwrap());
        let platforms: Vec<&str> = images.iter().map(|image| image.platform.as_str()).collect();
        assert_eq!(platforms, ["linux/arm64", "linux/amd64"]);
        assert_ne!(images[0].id, images[1].id);
        assert_eq!(with(["amd64", "amd64"]).unwrap().len(), 2, "which of them is asked for is not known here");
        // To a classic Engine they go without zstd.
        let mut out = Vec::new();
        images[1].write(0, "shop:1", &mut out).unwrap();
        assert!(out.windows(layer.len()).any(|window| window == layer));
    }

    #[test]
    fn what_is_damaged_or_leads_out_is_refused() {
        let (one, two) = (b"lower".as_slice(), b"upper".as_slice());
        let good = config(&[one, two]);
        let damaged = open(&saved(&good, one, b"other", &[])).unwrap();
        assert!(damaged.verify().unwrap_err().to_string().contains("is damaged"));
        let out = open(&saved(&good, one, two, &[("../x", b"")])).unwrap_err().to_string();
        assert!(out.contains("`../x` would be outside"), "{out}");
        let absolute = open(&saved(&good, one, two, &[("/etc/x", b"")])).unwrap_err().to_string();
        assert!(absolute.contains("outside"), "{absolute}");
        let another = config(&[one]);
        let wrong = open(&saved(&another, one, two, &[])).unwrap_err().to_string();
        assert!(wrong.contains("1 layers, but it holds 2"), "{wrong}");
        let cut = saved(&good, one, two, &[]);
        cut.as_file().set_len(1600).unwrap();
        assert!(open(&cut).unwrap_err().to_string().contains("no image archive"));
        assert!(open(&tar_of(&[])).is_err());
    }

    #[test]
    fn a_layer_that_unpacks_without_end_is_let_go() {
        // Zeros, of which each compressed byte stands for thousands.
        let zeros = vec![0; 80 * 1024 * 1024];
        let packed = zstd::encode_all(zeros.as_slice(), 1).unwrap();
        assert!(packed.len() < 16 * 1024, "{}", packed.len());
        let config = config(&[&zeros, b"upper"]);
        let error = open(&saved(&config, &packed, b"upper", &[])).unwrap().verify().unwrap_err().to_string();
        assert!(error.contains("unpacks to more than 1000 times its size"), "{error}");
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
        open(&with("../a/layer.tar")).unwrap().verify().unwrap();
        let out = open(&with("../../etc/passwd")).unwrap_err().to_string();
        assert!(out.contains("leads out of it"), "{out}");
    }

    #[test]
    fn any_file_is_an_archive_that_is_whole_or_an_error() {
        let (one, two) = (b"lower".as_slice(), b"upper".as_slice());
        let saved = saved(&config(&[one, two]), one, two, &[]);
        let bytes = |file: &tempfile::NamedTempFile| std::fs::read(file.path()).unwrap();
        let linked =
            tar_of(&[("manifest.json", b"[]"), ("oci-layout", b"{\"imageLayoutVersion\":\"1.0.0\"}"), ("index.json", b"{}")]);
        let good = [bytes(&saved), bytes(&linked)];
        let file = tempfile::NamedTempFile::new().unwrap();
        crate::fuzz::read("archive", &good, |text| {
            std::fs::write(file.path(), text).unwrap();
            let Ok(archives) = Archive::open(Utf8Path::from_path(file.path()).unwrap()) else { return };
            for archive in archives {
                let whole = archive.verify().is_ok();
                let _ = (archive.layers(), archive.size_from(0));
                // What is said to be whole can be sent.
                assert!(archive.write(0, "shop:1", std::io::sink()).is_ok() || !whole);
            }
        });
    }
}
