//! Work that blocks, kept off the threads that serve connections.

use crate::error::{Error, Result};

pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::failed(format!("looking at the image: {error}")))?
}
