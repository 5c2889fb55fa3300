//! `examples/django`, embedded, so that the demo needs no checkout.

use camino::Utf8Path;

use crate::error::{Error, Result};

macro_rules! example {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../examples/django/", $path)))),*]
    };
}

const FILES: &[(&str, &str)] = example![
    ".dockerignore",
    ".env.example",
    ".env.production",
    "Dockerfile",
    "README.md",
    "certificados/__init__.py",
    "certificados/admin.py",
    "certificados/apps.py",
    "certificados/migrations/0001_initial.py",
    "certificados/migrations/__init__.py",
    "certificados/models.py",
    "certificados/static/certificados/site.css",
    "certificados/views.py",
    "compose.yml",
    "deploy.toml",
    "gunicorn.conf.py",
    "manage.py",
    "nginx/site.conf",
    "requirements.txt",
    "sitio/__init__.py",
    "sitio/settings.py",
    "sitio/urls.py",
    "sitio/wsgi.py",
    "templates/home.html",
];

/// Writes the example into this folder.
pub(super) fn write(folder: &Utf8Path) -> Result<()> {
    for (path, text) in FILES {
        let full = folder.join(path);
        let parent = full.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&full, text))
            .map_err(|error| Error::failed(format!("cannot write {full}: {error}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use camino::Utf8PathBuf;

    use super::*;

    #[test]
    fn every_file_of_the_example_is_embedded() {
        let root = Utf8PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/django"));
        let mut open = vec![root.clone()];
        let mut found = Vec::new();
        while let Some(folder) = open.pop() {
            for entry in folder.read_dir_utf8().unwrap() {
                let path = entry.unwrap().into_path();
                if path.is_dir() && path.file_name() != Some("__pycache__") {
                    open.push(path);
                } else if path.is_file() {
                    found.push(path.strip_prefix(&root).unwrap().to_string());
                }
            }
        }
        found.sort();
        let mut embedded: Vec<_> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        embedded.sort();
        assert_eq!(found, embedded);
    }
}
