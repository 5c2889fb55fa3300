//! What `init` writes: deploy.toml and the workflows for a project, and a stack for one that has none.

mod found;
mod image;
mod lacks;
mod monitoring;
mod stack;
mod templates;
mod wishes;
mod workflows;
mod write;

pub use found::{Django, Dockerfile, Found, Packages, look};
pub use lacks::{Lack, lacks};
pub use templates::{ACTION, files};
pub use wishes::{Tls, Wishes};
pub use workflows::unprotected_jobs;
pub use write::{Files, Written, write};

/// A folder with these files, for tests; it goes with the first of the two.
#[cfg(test)]
fn folder_with(files: &[(&str, &str)]) -> (tempfile::TempDir, camino::Utf8PathBuf) {
    let (guard, folder) = crate::private::folder().unwrap();
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    (guard, folder)
}
