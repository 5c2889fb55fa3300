//! The image of a Django site: what it is built from, what is installed, what serves it.

use super::found::{Installer, Packages};
use super::{Django, Found, Wishes};

/// Versions that are installed where the project names none of its own.
const GUNICORN_PACKAGE: &str = "gunicorn==23.0.0";
const UVICORN_PACKAGE: &str = "uvicorn[standard]==0.34.0";
const POSTGRES_PACKAGE: &str = "psycopg2-binary==2.9.10";
/// Without a version: where another package has brought it already, that one stays.
const REDIS_PACKAGE: &str = "redis";

/// Is it served by ASGI?
pub(super) fn is_asynchronous(found: &Found) -> bool {
    found.django.as_ref().is_some_and(|django| django.asgi.is_some()) && found.needs(&["channels", "daphne", "uvicorn"])
}

/// What the image and the settings of a Django site are made of.
pub(super) fn of_django(found: &Found, wishes: &Wishes) -> Vec<(&'static str, String)> {
    let Some(django) = &found.django else {
        return [
            "base",
            "settings",
            "serve",
            "folder",
            "python",
            "build_packages",
            "run_packages",
            "installer",
            "install",
            "extra",
            "extra_install",
        ]
        .map(|name| (name, String::new()))
        .into();
    };
    let packages = found.packages.as_ref();
    let asynchronous = is_asynchronous(found);
    let (serve, server, names) = serving(found, django, asynchronous);
    let extra = missing(packages, server, names, wishes.database);
    // Packages that are built from their sources need headers for that, and the libraries afterwards.
    let (mut build, mut run) = (Vec::new(), Vec::new());
    for (name, headers, library) in [
        ("psycopg2", "gcc libc6-dev libpq-dev", "libpq5"),
        ("mysqlclient", "gcc libc6-dev pkg-config libmariadb-dev", "libmariadb3"),
    ] {
        if packages.is_some_and(|packages| packages.name_one(&[name])) {
            build.push(headers);
            run.push(library);
        }
    }
    if packages.is_some_and(|packages| packages.name_one(&["psycopg"])) {
        // It finds the database's own library when it runs, unless it brings one.
        if packages.is_some_and(|packages| packages.name_one(&["c"])) {
            build.push("gcc libc6-dev libpq-dev");
        }
        if !packages.is_some_and(|packages| packages.name_one(&["binary", "psycopg-binary"])) {
            run.push("libpq5");
        }
    }
    let quoted: Vec<String> = extra
        .iter()
        .map(|package| if package.contains('[') { format!("\"{package}\"") } else { (*package).to_owned() })
        .collect();
    let (installer, install, extra_install) = installation(packages);
    vec![
        ("base", django.settings.clone()),
        ("asgi", django.asgi.clone().unwrap_or_default()),
        ("settings", django.deployed()),
        ("serve", serve),
        ("folder", django.folder.clone()),
        ("python", packages.map_or_else(|| "3.12".into(), |packages| packages.python.clone())),
        ("build_packages", build.join(" ")),
        ("run_packages", run.join(" ")),
        ("installer", installer.into()),
        ("install", install),
        ("extra", quoted.join(" ")),
        ("extra_install", extra_install.into()),
    ]
}

/// The module that serves a site by ASGI: one of its own before the site's, which may ask for models before Django is ready.
pub(super) fn asgi_deployed(django: &Django) -> Option<String> {
    Some(format!("{}_deployed", django.asgi.as_ref()?))
}

/// The command that serves the site, the package that has it, and the names by which the project may have it already.
fn serving(found: &Found, django: &Django, asynchronous: bool) -> (String, &'static str, &'static [&'static str]) {
    match asgi_deployed(django) {
        Some(asgi) if asynchronous => {
            // uvicorn reads WEB_CONCURRENCY. Messages that are kept in one process reach nobody in another one.
            let alone = found.needs(&["channels"]) && !found.needs(&["channels-redis"]);
            let workers = if alone { r#""--workers", "1", "# } else { "" };
            (
                format!(
                    r#"["uvicorn", "{asgi}:application", "--host", "0.0.0.0", "--port", "8000", {workers}"--timeout-keep-alive", "75", "--timeout-graceful-shutdown", "30"]"#
                ),
                UVICORN_PACKAGE,
                &["uvicorn"],
            )
        }
        _ => (
            format!(r#"["gunicorn", "{}:application", "--config", "/app/gunicorn.conf.py"]"#, django.wsgi),
            GUNICORN_PACKAGE,
            &["gunicorn"],
        ),
    }
}

/// The packages that serve the site and that no file of the project names.
fn missing(packages: Option<&Packages>, server: &'static str, names: &[&str], database: bool) -> Vec<&'static str> {
    let lacks = |names: &[&str]| !packages.is_some_and(|packages| packages.name_one(names));
    let mut extra = Vec::new();
    if packages.is_none() {
        extra.push("Django");
    }
    if lacks(names) {
        extra.push(server);
    }
    if database && lacks(&["psycopg", "psycopg2", "psycopg2-binary", "psycopg-binary", "mysqlclient"]) {
        extra.push(POSTGRES_PACKAGE);
    }
    if packages.is_some_and(|packages| packages.name_one(&["celery", "django-redis", "channels-redis"])) && lacks(&["redis"]) {
        extra.push(REDIS_PACKAGE);
    }
    extra
}

/// What is installed before all else, the lines that install the project's packages, and the words that install one more.
fn installation(packages: Option<&Packages>) -> (&'static str, String, &'static str) {
    let Some(packages) = packages else { return ("", "# No file names the site's packages.".into(), "pip install") };
    let file = &packages.file;
    let folder = file.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let uv = "uv>=0.5,<1";
    match packages.installer {
        Installer::Pip => {
            let copied = if file.contains("requirements/") {
                format!("COPY {folder} ./{folder}")
            } else {
                let more = if packages.reads_folder {
                    format!("\nCOPY {folder}requirements ./{folder}requirements")
                } else {
                    String::new()
                };
                format!("COPY {folder}requirements*.txt ./{folder}{more}")
            };
            ("", format!("{copied}\nRUN pip install -r {file}"), "pip install")
        }
        Installer::Uv => (
            uv,
            format!(
                "ENV UV_PROJECT_ENVIRONMENT=/venv UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1\nCOPY {file} {folder}uv.lock ./\nRUN uv sync --frozen --no-dev --no-install-project"
            ),
            "uv pip install",
        ),
        Installer::Pyproject => (
            uv,
            format!("ENV UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1\nCOPY {file} ./\nRUN uv pip install -r pyproject.toml"),
            "uv pip install",
        ),
        Installer::Poetry => (
            "poetry>=2,<3",
            format!(
                "ENV POETRY_NO_INTERACTION=1 POETRY_CACHE_DIR=/tmp/poetry\nCOPY {file} {folder}poetry.lock ./\nRUN poetry install --only main --no-root && rm -rf /tmp/poetry"
            ),
            "pip install",
        ),
        Installer::Pipenv => (
            "pipenv",
            format!(
                "COPY {file} {folder}Pipfile.lock ./\nRUN pipenv requirements >/tmp/requirements.txt && pip install -r /tmp/requirements.txt"
            ),
            "pip install",
        ),
    }
}
