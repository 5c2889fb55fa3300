//! An image of the local Engine, written out whole.

use crate::error::{Error, Result};
use crate::private;
use crate::process;

use super::archive::Archive;
use super::build::Built;
use super::task::blocking;

/// Has the local engine write an image into a file, which has no name any more once it is open. By its id: a tag may name
/// another image by now.
pub(super) async fn save(built: &Built) -> Result<Archive> {
    let id = built.id.as_str();
    let (_folder, path) = private::folder()?;
    let file = path.join("image.tar");
    let ended = process::run("docker", &["save", "-o", file.as_str(), id], None).await?;
    if !ended.success {
        return Err(Error::failed(format!("docker save {id}: {}", ended.stderr.trim()))
            .hint("it needs room for the whole image in the temporary folder (TMPDIR)"));
    }
    let layers = built.layer_ids();
    let archives = blocking(move || Archive::open(&file)).await?;
    archives
        .into_iter()
        .find(|archive| archive.layers() == layers)
        .ok_or_else(|| Error::failed(format!("docker save {id} did not write the image that was built")).hint("deploy again"))
}
