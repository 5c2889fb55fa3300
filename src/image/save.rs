//! An image of the local Engine, written out by `docker save`: whole, or without large layers that nobody needs.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::rc::Rc;

use crate::error::{Error, Result};
use crate::private;
use crate::process;

use super::archive::Archive;
use super::build::Built;
use super::task::blocking;

/// Has the local Engine write out an image, into a file that has no name any more once it is open. By its id: a tag may name
/// another image by now.
pub(super) async fn save(built: &Built) -> Result<Archive> {
    save_within(built, u64::MAX).await.map(|(archive, _)| archive)
}

/// A layer is larger than its files: each has a head of half a kilobyte, and is filled up to as much.
const TIMES: u64 = 4;
const SPARE_BYTES: u64 = 16 * 1024 * 1024;

/// The same, good for the layers from `from` on, whose files have so many bytes together. The Engine writes every layer; what is
/// larger than those can be is not kept.
pub(super) async fn save_upper(built: &Built, from: usize, bytes: u64) -> Result<Archive> {
    let largest = bytes.saturating_mul(TIMES).saturating_add(SPARE_BYTES);
    let (archive, holes) = save_within(built, largest).await?;
    // Nothing but very many empty files is so much larger as a layer.
    if archive.is_whole_from(from, &holes) { Ok(archive) } else { save(built).await }
}

async fn save_within(built: &Built, largest: u64) -> Result<(Archive, BTreeSet<u64>)> {
    let id = built.id.as_str();
    let (_folder, path) = private::folder()?;
    let path = path.join("image.tar");
    let file = private::create(&path).map_err(|error| cannot(id, &error.to_string()))?;
    let (ended, kept) = process::read_by("docker", &["save", id], move |printed| keep(printed, file, largest)).await?;
    // A disk that is full here ends the program, too, which then knows nothing but that nobody reads.
    let holes = kept.map_err(|error| cannot(id, &format!("{error}; {}", ended.stderr.trim())))?;
    if !ended.success {
        return Err(cannot(id, ended.stderr.trim()));
    }
    let layers = built.layer_ids();
    let archives = blocking(move || Archive::open(&path)).await?;
    let archive = archives
        .into_iter()
        .find(|archive| archive.layers() == layers)
        .ok_or_else(|| Error::failed(format!("docker save {id} did not write the image that was built")).hint("deploy again"))?;
    Ok((archive, holes))
}

fn cannot(id: &str, why: &str) -> Error {
    Error::failed(format!("docker save {id}: {why}")).hint("it needs room for the whole image in the temporary folder (TMPDIR)")
}

/// Writes an archive into a file as it comes. In the place of each file of it that is larger than that, a hole is left; gives where.
fn keep(from: impl Read, into: File, largest: u64) -> std::io::Result<BTreeSet<u64>> {
    let leaving_out = Rc::new(Cell::new(false));
    let passing = Passing { from, into, leaving_out: leaving_out.clone() };
    let mut archive = tar::Archive::new(passing);
    let mut holes = BTreeSet::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.size() > largest {
            holes.insert(entry.raw_file_position());
            leaving_out.set(true);
        }
        std::io::copy(&mut entry, &mut std::io::sink())?;
        leaving_out.set(false);
    }
    let mut passing = archive.into_inner();
    // What fills the archive up to a whole number of records.
    std::io::copy(&mut passing, &mut std::io::sink())?;
    let end = passing.into.stream_position()?;
    passing.into.set_len(end)?;
    Ok(holes)
}

/// What is read of it is written into a file, or left out there.
struct Passing<R> {
    from: R,
    into: File,
    leaving_out: Rc<Cell<bool>>,
}

impl<R: Read> Read for Passing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.read(buffer)?;
        if self.leaving_out.get() {
            self.into.seek(SeekFrom::Current(i64::try_from(count).unwrap_or(i64::MAX)))?;
        } else {
            self.into.write_all(&buffer[..count])?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::super::archive::append;
    use super::*;
    use crate::digest::sha256;

    #[test]
    fn what_is_larger_is_a_hole_and_the_rest_is_as_it_came() {
        let (lower, upper) = (vec![b'l'; 3_000_000], vec![b'u'; 1000]);
        let digest = |bytes: &[u8]| format!("sha256:{}", sha256(bytes));
        let config = serde_json::json!({"os": "linux", "architecture": "amd64",
            "rootfs": {"type": "layers", "diff_ids": [digest(&lower), digest(&upper)]}});
        let config = config.to_string().into_bytes();
        let name = format!("{}.json", sha256(&config));
        let manifest = serde_json::json!([{"Config": name, "Layers": ["a/layer.tar", "b/layer.tar"]}]).to_string();
        let mut printed = tar::Builder::new(Vec::new());
        for (name, bytes) in
            [("a/layer.tar", lower.as_slice()), ("b/layer.tar", &upper), (&name, &config), ("manifest.json", manifest.as_bytes())]
        {
            append(&mut printed, name, bytes.len() as u64, bytes).unwrap();
        }
        let printed = printed.into_inner().unwrap();
        let (_folder, folder) = private::folder().unwrap();
        let path = folder.join("image.tar");
        let kept = |largest| {
            let holes = keep(printed.as_slice(), private::create(&path).unwrap(), largest).unwrap();
            (holes, std::fs::read(&path).unwrap(), Archive::open(&path).unwrap().pop().unwrap())
        };

        let (holes, bytes, archive) = kept(u64::MAX);
        assert_eq!((holes.len(), bytes), (0, printed.clone()));
        assert!(archive.is_whole_from(0, &holes));

        let (holes, bytes, archive) = kept(1_000_000);
        assert_eq!((holes.len(), bytes.len()), (1, printed.len()));
        assert!(archive.is_whole_from(1, &holes) && !archive.is_whole_from(0, &holes));
        let mut sent = Vec::new();
        archive.write(1, "shop:1", &mut sent).unwrap();
        assert!(sent.windows(upper.len()).any(|window| window == upper));
        let on_disk = std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(&path).unwrap()) * 512;
        assert!(on_disk < 1_000_000, "{on_disk} bytes");
    }
}
