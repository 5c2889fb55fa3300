//! Files on their way to the server: a tar that it unpacks and checks against a manifest, compressed, since it is text and the way may be
//! long. A file of gzip may consist of several, one behind the other (RFC 1952, 2.2): what is the same for every server is packed once.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::Compression;

use crate::artefact::{Artefact, manifest};
use crate::error::{Error, Result};

use super::Scripts;

/// The end of a tar: two empty records.
const END: usize = 1024;

/// The scripts, their manifest, and a tar of them that has no end yet.
static SCRIPTS: LazyLock<std::io::Result<(String, Bytes)>> = LazyLock::new(|| {
    let files = Scripts::files();
    let mut tar = tar(&files)?;
    tar.truncate(tar.len() - END);
    Ok((manifest(&files), compressed(&tar, Compression::best())?.into()))
});

/// What is sent for these files, and with the scripts of this version or without them: pieces of one stream.
pub(super) fn upload(with_scripts: bool, mut files: BTreeMap<String, Artefact>) -> Result<Vec<Bytes>> {
    let cannot = |error: &std::io::Error| Error::failed(format!("packing the upload: {error}"));
    let (of_scripts, mut pieces) = match with_scripts {
        true => SCRIPTS.as_ref().map(|(manifest, packed)| (manifest.as_str(), vec![packed.clone()])).map_err(cannot)?,
        false => ("", Vec::new()),
    };
    let of_all = of_scripts.to_owned() + &manifest(&files);
    files.insert("manifest".into(), Artefact::text(of_all));
    pieces.push(tar(&files).and_then(|tar| compressed(&tar, Compression::fast())).map_err(|error| cannot(&error))?.into());
    Ok(pieces.iter().flat_map(small).collect())
}

/// An SSH session keeps as much memory as it once had to send at a time, and there may be a thousand of them.
const SMALL: usize = 1024;

fn small(whole: &Bytes) -> impl Iterator<Item = Bytes> {
    (0..whole.len()).step_by(SMALL).map(|at| whole.slice(at..whole.len().min(at + SMALL)))
}

/// The scripts alone, by their paths below their own folder.
///
/// Fails only where they cannot be packed.
pub fn packed_scripts() -> Result<Vec<u8>> {
    let packed = tar(&Scripts::bare_files()).and_then(|tar| compressed(&tar, Compression::best()));
    packed.map_err(|error| Error::failed(format!("packing the scripts: {error}")))
}

fn tar(files: &BTreeMap<String, Artefact>) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, file) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.bytes.len() as u64);
        header.set_mode(file.mode);
        header.set_mtime(1);
        archive.append_data(&mut header, path, file.bytes.as_slice())?;
    }
    archive.into_inner()
}

fn compressed(bytes: &[u8], level: Compression) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn the_pieces_are_one_archive_with_a_manifest_of_all_of_it() {
        let files = BTreeMap::from([("runs/r/run.env".to_owned(), Artefact::text("NONCE=1\n"))]);
        let unpacked = |with_scripts| {
            let stream = upload(with_scripts, files.clone()).unwrap().concat();
            let mut tar = Vec::new();
            flate2::read::MultiGzDecoder::new(stream.as_slice()).read_to_end(&mut tar).unwrap();
            let mut found = BTreeMap::new();
            for entry in tar::Archive::new(tar.as_slice()).entries().unwrap() {
                let mut entry = entry.unwrap();
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                let mode = entry.header().mode().unwrap();
                found.insert(entry.path().unwrap().display().to_string(), Artefact { mode, bytes, secret: false });
            }
            found
        };
        for (with_scripts, mut expected) in [(false, BTreeMap::new()), (true, Scripts::files())] {
            expected.extend(files.clone());
            let mut found = unpacked(with_scripts);
            let told = String::from_utf8(found.remove("manifest").unwrap().bytes).unwrap();
            let mut lines: Vec<&str> = told.lines().collect();
            lines.sort_unstable();
            let wanted = manifest(&expected);
            let mut wanted: Vec<&str> = wanted.lines().collect();
            wanted.sort_unstable();
            assert_eq!(lines, wanted);
            assert_eq!(found, expected);
        }
    }
}
