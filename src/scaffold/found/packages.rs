//! Which Python packages a project needs, and how they are installed.

use std::collections::BTreeSet;

use camino::Utf8Path;

use crate::error::{Error, Result};

/// Versions of Python that images exist for and that Django's supported versions run on, the usual one first.
const PYTHONS: [(u32, u32); 5] = [(3, 11), (3, 12), (3, 13), (3, 10), (3, 9)];
/// Django from this version on needs Python 3.12.
const DJANGO_NEEDS_NEWER: u32 = 6;

/// What installs a project's packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scaffold) enum Installer {
    Pip,
    Uv,
    Poetry,
    Pipenv,
    /// uv, with the dependencies that pyproject.toml names, which nothing has locked.
    Pyproject,
}

/// The packages of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packages {
    pub(in crate::scaffold) installer: Installer,
    /// The file that it reads, from the project's folder: requirements.txt, or the folder's pyproject.toml or Pipfile.
    pub(in crate::scaffold) file: String,
    /// The version of Python, `3.11`.
    pub(in crate::scaffold) python: String,
    /// Are there files of requirements in a folder that the one reads?
    pub(in crate::scaffold) reads_folder: bool,
    /// The names of the packages and of their extras, in lower case, with `-` for `_`.
    names: BTreeSet<String>,
}

impl Packages {
    /// Looks into these folders, the first one that names packages counts. `None` where none does.
    pub(super) fn look(project: &Utf8Path, folders: &[&str]) -> Result<Option<Self>> {
        for folder in folders {
            if let Some(found) = Self::look_into(project, folder)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn look_into(project: &Utf8Path, folder: &str) -> Result<Option<Self>> {
        let at = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let has = |name: &str| project.join(at(name)).is_file();
        let requirements = [
            "requirements.txt",
            "requirements/production.txt",
            "requirements/prod.txt",
            "requirements/base.txt",
            "requirements/requirements.txt",
        ];
        let of_requirements = requirements.into_iter().find(|name| has(name));
        let (installer, file) = if has("uv.lock") && has("pyproject.toml") {
            (Installer::Uv, "pyproject.toml")
        } else if has("poetry.lock") && has("pyproject.toml") {
            (Installer::Poetry, "pyproject.toml")
        } else if let Some(name) = of_requirements {
            (Installer::Pip, name)
        } else if has("Pipfile.lock") {
            (Installer::Pipenv, "Pipfile")
        } else if has("pyproject.toml") {
            (Installer::Pyproject, "pyproject.toml")
        } else {
            return Ok(None);
        };
        let text = text_of(&project.join(at(file)))?;
        let mut names = BTreeSet::new();
        let mut reads_folder = false;
        if installer == Installer::Pip {
            let mut files = vec![at(file)];
            let mut next = 0;
            while let Some(path) = files.get(next).cloned() {
                next += 1;
                let Ok(text) = text_of(&project.join(&path)) else { continue };
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                for line in text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
                    let other = ["-r ", "-c ", "--requirement ", "--constraint "].iter().find_map(|word| line.strip_prefix(word));
                    if let Some(other) = other {
                        let other = crate::text::paths::tidy(format!("{folder}/{}", other.trim()).trim_start_matches('/'));
                        reads_folder |= other.contains("requirements/") && !file.contains("requirements/");
                        if !files.contains(&other) {
                            files.push(other);
                        }
                    } else {
                        add_names(line, &mut names);
                    }
                }
            }
        } else if let Ok(table) = text.parse::<toml::Table>() {
            names_of(&table, &mut names);
        }
        let python = python(project, folder, &text);
        Ok(Some(Self { installer, file: at(file), python, reads_folder, names }))
    }

    /// Is one of these packages named?
    pub(in crate::scaffold) fn name_one(&self, wanted: &[&str]) -> bool {
        wanted.iter().any(|wanted| self.names.contains(*wanted))
    }
}

/// The names of a requirement as pip reads it: of the package, and of what it is asked to bring: `celery[redis]>=5`.
fn add_names(requirement: &str, names: &mut BTreeSet<String>) {
    let name = |text: &str| text.trim().to_lowercase().replace('_', "-");
    let end = requirement.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(requirement.len());
    let (package, rest) = requirement.split_at(end);
    if package.is_empty() || package.starts_with('-') {
        return;
    }
    names.insert(name(package));
    if let Some((extras, _)) = rest.trim_start().strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        names.extend(extras.split(',').map(name));
    }
}

/// The packages that pyproject.toml or a Pipfile name for every machine: what is optional, or for developing, is not installed.
fn names_of(table: &toml::Table, names: &mut BTreeSet<String>) {
    let at = |path: &[&str]| path.iter().try_fold(table, |table, key| table.get(*key)?.as_table());
    for requirement in at(&["project"]).and_then(|project| project.get("dependencies")?.as_array()).into_iter().flatten() {
        add_names(requirement.as_str().unwrap_or_default(), names);
    }
    for (name, value) in [at(&["tool", "poetry", "dependencies"]), at(&["packages"])].into_iter().flatten().flatten() {
        let optional = value.get("optional").and_then(toml::Value::as_bool) == Some(true);
        if !optional {
            let extras =
                value.get("extras").and_then(toml::Value::as_array).into_iter().flatten().filter_map(toml::Value::as_str);
            add_names(&format!("{name}[{}]", extras.collect::<Vec<_>>().join(",")), names);
        }
    }
}

/// The version that the project names, or the usual one that it does not rule out.
fn python(project: &Utf8Path, folder: &str, text: &str) -> String {
    for name in [".python-version", "runtime.txt"] {
        let known = ["", folder].into_iter().find_map(|at| text_of(&project.join(at).join(name)).ok());
        if let Some(version) = known.as_deref().and_then(version_in) {
            return format!("{}.{}", version.0, version.1);
        }
    }
    let table = text.parse::<toml::Table>().unwrap_or_default();
    let at = |path: &[&str]| {
        let (last, tables) = path.split_last()?;
        let value = tables.iter().try_fold(&table, |table, key| table.get(*key)?.as_table())?.get(*last)?;
        value.as_str().or_else(|| value.get("version")?.as_str())
    };
    let wanted = [
        &["project", "requires-python"][..],
        &["tool", "poetry", "dependencies", "python"],
        &["requires", "python_full_version"],
        &["requires", "python_version"],
    ]
    .into_iter()
    .find_map(at);
    // A version alone is that one: `3.10`, `3.10.*`.
    if let Some(wanted) = wanted.filter(|wanted| wanted.starts_with(|c: char| c.is_ascii_digit()) && !wanted.contains([',', '|']))
        && let Some((major, minor)) = version_in(wanted)
    {
        return format!("{major}.{minor}");
    }
    let least = wanted.and_then(version_in);
    let most = wanted.map_or((3, u32::MAX), newest_allowed);
    let newer = text.to_lowercase().lines().any(|line| {
        let plain: String = line.chars().filter(|c| !c.is_whitespace() && !"\"'".contains(*c)).collect();
        let version = ["django==", "django>=", "django~=", "django=^", "django=~", "django="]
            .iter()
            .find_map(|word| plain.strip_prefix(word));
        version.is_some_and(|version| {
            let major = version.trim_start_matches(|c: char| !c.is_ascii_digit()).split('.').next();
            major.and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major >= DJANGO_NEEDS_NEWER)
        })
    });
    let least = least.unwrap_or((3, 0)).max(if newer { (3, 12) } else { (3, 0) });
    let all: Vec<(u32, u32)> = PYTHONS.into_iter().filter(|version| *version >= least && *version <= most).collect();
    // 3.9 and 3.10 are there for who needs them.
    let (major, minor) = all.first().copied().unwrap_or(least.max(PYTHONS[0]));
    format!("{major}.{minor}")
}

/// The newest version that what a project wants of Python allows: `<3.12`, `<=3.11`, `~3.10`, `==3.10.*`.
fn newest_allowed(wanted: &str) -> (u32, u32) {
    let after = |sign: &str| version_in(&wanted[wanted.find(sign)? + sign.len()..]);
    if let Some((major, minor)) = after("<=") {
        (major, minor)
    } else if let Some((major, minor)) = after("<").filter(|(_, minor)| *minor > 0) {
        (major, minor - 1)
    } else {
        after("==").or_else(|| after("~").filter(|_| !wanted.contains("~="))).unwrap_or((3, u32::MAX))
    }
}

/// The first version of Python 3 that stands in a text.
fn version_in(text: &str) -> Option<(u32, u32)> {
    let minor: String = text.split_once("3.")?.1.chars().take_while(char::is_ascii_digit).collect();
    Some((3, minor.parse().ok()?))
}

/// A text file, in UTF-8 or, as some editors write it, in UTF-16.
pub(super) fn text_of(path: &Utf8Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|error| Error::input(format!("cannot read {path}: {error}")))?;
    let wide = |of: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes[2..].chunks_exact(2).map(|pair| of([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    Ok(match bytes.get(..2) {
        Some([0xff, 0xfe]) => wide(u16::from_le_bytes),
        Some([0xfe, 0xff]) => wide(u16::from_be_bytes),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(files: &[(&str, &str)]) -> Option<Packages> {
        let (_guard, folder) = crate::scaffold::folder_with(files);
        Packages::look(&folder, &["backend", ""]).unwrap()
    }

    #[test]
    fn what_installs_is_told_by_the_files_that_are_there() {
        let of = |files: &[(&str, &str)]| look(files).map(|found| (found.installer, found.file));
        assert_eq!(of(&[("requirements.txt", "")]), Some((Installer::Pip, "requirements.txt".into())));
        assert_eq!(
            of(&[("requirements/production.txt", ""), ("requirements/base.txt", "")]),
            Some((Installer::Pip, "requirements/production.txt".into()))
        );
        assert_eq!(of(&[("pyproject.toml", ""), ("uv.lock", "")]), Some((Installer::Uv, "pyproject.toml".into())));
        assert_eq!(of(&[("pyproject.toml", ""), ("poetry.lock", "")]), Some((Installer::Poetry, "pyproject.toml".into())));
        assert_eq!(of(&[("pyproject.toml", "")]), Some((Installer::Pyproject, "pyproject.toml".into())));
        assert_eq!(
            of(&[("backend/requirements.txt", ""), ("pyproject.toml", "")]),
            Some((Installer::Pip, "backend/requirements.txt".into()))
        );
        assert_eq!(of(&[("README", "")]), None);
    }

    #[test]
    fn the_version_of_python_is_the_project_s() {
        let of = |files: &[(&str, &str)]| look(files).unwrap().python;
        assert_eq!(of(&[("requirements.txt", "Django==4.2\n")]), "3.11");
        assert_eq!(of(&[("requirements.txt", "Django==6.0.1\n")]), "3.12");
        assert_eq!(of(&[("requirements.txt", ""), (".python-version", "3.13.1\n")]), "3.13");
        assert_eq!(of(&[("requirements.txt", ""), ("runtime.txt", "python-3.10.2")]), "3.10");
        assert_eq!(of(&[("pyproject.toml", "[project]\nrequires-python = \">=3.12\"\n")]), "3.12");
        assert_eq!(of(&[("pyproject.toml", "[tool.poetry.dependencies]\npython = \"^3.9\"\n")]), "3.11");
        assert_eq!(of(&[("pyproject.toml", "[project]\nrequires-python = \">=3.9,<3.11\"\n")]), "3.10");
        assert_eq!(of(&[("pyproject.toml", "[tool.poetry.dependencies]\npython = \"~3.10\"\n")]), "3.10");
        for exact in ["3.10", "3.10.*", "3.10.4"] {
            let text = format!("[tool.poetry.dependencies]\npython = \"{exact}\"\n");
            assert_eq!(of(&[("pyproject.toml", &text)]), "3.10", "{exact}");
        }
        assert_eq!(
            of(&[("Pipfile", "[packages]\ndjango = \"*\"\n[requires]\npython_version = \"3.9\"\n"), ("Pipfile.lock", "")]),
            "3.9"
        );
        let mypy = "[tool.mypy]\npython_version = \"3.10\"\n[project]\nrequires-python = \">=3.12\"\n";
        assert_eq!(of(&[("pyproject.toml", mypy)]), "3.12");
        assert_eq!(of(&[("requirements.txt", "Django~=6.0.1\n")]), "3.12");
    }

    #[test]
    fn a_package_is_known_by_its_whole_name_in_any_encoding() {
        let found = look(&[("requirements.txt", "Django==4.2\npsycopg2-binary\ndjango_celery_beat[x]>=2\n")]).unwrap();
        assert!(found.name_one(&["psycopg2-binary"]) && found.name_one(&["django-celery-beat"]) && found.name_one(&["django"]));
        assert!(!found.name_one(&["celery", "psycopg2"]) && found.name_one(&["x"]));
        let found = look(&[
            ("requirements.txt", "# gunicorn\n-r requirements/base.txt\n"),
            ("requirements/base.txt", "celery[redis]>=5\n"),
        ])
        .unwrap();
        assert!(found.name_one(&["redis"]) && !found.name_one(&["gunicorn"]) && found.reads_folder);
        let optional = "[project]\ndependencies = ['Django>=5']\n[project.optional-dependencies]\nserver = ['gunicorn']\n";
        let found = look(&[("pyproject.toml", optional), ("uv.lock", "name = \"gunicorn\"")]).unwrap();
        assert!(found.name_one(&["django"]) && !found.name_one(&["gunicorn"]));
        let wide: Vec<u8> = [0xff, 0xfe].into_iter().chain("gunicorn\n".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let (_guard, folder) = crate::scaffold::folder_with(&[]);
        std::fs::write(folder.join("requirements.txt"), wide).unwrap();
        let found = Packages::look(&folder, &[""]).unwrap().unwrap();
        assert!(found.name_one(&["gunicorn"]));
    }
}
