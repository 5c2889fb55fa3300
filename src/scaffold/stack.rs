//! The stack of a project that has none: an image, containers from which all is taken that they do not need, nginx with TLS, the
//! database, the cache, and settings for a server. Templates with what was found and what was asked for.

use crate::error::Result;
use crate::text::{Source, render_template};

use super::found::part_of_database;
use super::image::{asgi_deployed, is_asynchronous, of_django};
use super::monitoring::{MONITORING_NOTE, monitor_url, monitoring};
use super::wishes::{Tls, Wishes};
use super::write::Files;
use super::{Django, Found};

/// The templates, by the paths of what they become.
const ALWAYS: [(&str, &str); 7] = [
    (".dockerignore", include_str!("stack/dockerignore.j2")),
    (".env.example", include_str!("stack/env.example.j2")),
    ("compose.yml", include_str!("stack/compose.yml.j2")),
    ("deploy.toml", include_str!("stack/deploy.toml.j2")),
    ("nginx/away.html", include_str!("stack/nginx/away.html")),
    ("nginx/site.conf", include_str!("stack/nginx/site.conf.j2")),
    ("nginx/start.sh", include_str!("stack/nginx/start.sh.j2")),
];
const DOCKERFILE: &str = include_str!("stack/Dockerfile.j2");
const ASGI: &str = include_str!("stack/asgi.py.j2");
const GUNICORN: &str = include_str!("stack/gunicorn.conf.py.j2");
const SETTINGS: &str = include_str!("stack/settings.py.j2");
const TESTS: &str = include_str!("stack/test-compose.yml.j2");
const ENVIRONMENT: &str = include_str!("stack/env.j2");
const CERTIFICATES: &str = include_str!("stack/nginx/certificates.sh");

/// The files of the stack, and what is worth saying of them.
pub(super) fn stack(found: &Found, wishes: &Wishes) -> Result<Files> {
    let values = values(found, wishes);
    let render = |path: &str, text: &str, more: &[(&str, String)]| -> Result<(String, String)> {
        let all: Vec<(&str, String)> = values.iter().cloned().chain(more.iter().cloned()).collect();
        Ok((path.to_owned(), render_template(Source { name: path, text }, &all)?))
    };
    let mut files = Vec::new();
    for (path, text) in ALWAYS {
        files.push(render(path, text, &[])?);
    }
    for (target, domains) in [("production", wishes.domains.clone()), ("staging", staging(&wishes.domains))] {
        let own = found.django.as_ref().map(|django| own_variables(django, found, wishes, &domains)).unwrap_or_default();
        let own = [
            ("target", target.into()),
            ("monitor_url", monitor_url(found, wishes, &domains)),
            ("domains", joined(&domains)),
            ("own", lines(&own)),
        ];
        files.push(render(&format!(".env.{target}"), ENVIRONMENT, &own)?);
    }
    if wishes.tls == Tls::Letsencrypt {
        files.push(render("nginx/certificates.sh", CERTIFICATES, &[])?);
    }
    if let Some(django) = &found.django {
        files.push(render(&django.path_of(&django.deployed()), SETTINGS, &[])?);
        files.push(render("docker-compose.test.yml", TESTS, &[])?);
        if found.dockerfile.is_none() {
            files.push(render("Dockerfile", DOCKERFILE, &[])?);
            match asgi_deployed(django).filter(|_| is_asynchronous(found)) {
                Some(asgi) => files.push(render(&django.path_of(&asgi), ASGI, &[])?),
                None => files.push(render("gunicorn.conf.py", GUNICORN, &[])?),
            }
        }
    }
    if wishes.monitoring {
        files.extend(monitoring(&values)?);
    }
    Ok(Files { files, secrets: Vec::new(), notes: notes(found, wishes) })
}

/// What is worth saying of the files.
fn notes(found: &Found, wishes: &Wishes) -> Vec<String> {
    let django = found.django.as_ref();
    let mut notes = Vec::new();
    if let Some(django) = django {
        notes.push(format!(
            "{} holds the settings for a server, over those of {}; no file of the site was changed",
            django.path_of(&django.deployed()),
            django.settings
        ));
    }
    let lacks_worker = found.needs(&["celery"]) && django.is_some_and(|django| django.celery.is_none());
    let needs_mysql = found.needs(&["mysqlclient", "pymysql"]) && (wishes.database || django.is_none());
    for (is_so, note) in [
        (
            django.is_some() && found.packages.is_none(),
            "no file names the site's packages (requirements.txt, pyproject.toml, Pipfile): the Dockerfile installs Django's newest version",
        ),
        (
            django.is_some() && !wishes.database,
            "SQLite and uploads are in folders of the server (shared/data, shared/media), which no backup of estiba's holds: [backup] needs a database of the stack",
        ),
        (
            needs_mysql,
            "the project names a package for MySQL, and the stack has PostgreSQL: put your own database service in its place",
        ),
        (
            wishes.database && django.is_some_and(|django| django.sqlite),
            "the settings keep the data in SQLite, and the stack has PostgreSQL; what is in the file now is not taken along. Migrations that were only ever run on SQLite can fail there; init --database sqlite, before anything is written or with --force for each file, keeps SQLite",
        ),
        (
            lacks_worker,
            "the project needs celery, and neither celery.py nor celery_app.py is in its package: the stack has no worker",
        ),
        (
            wishes.tls == Tls::Front,
            "nginx believes who is in front of it where that has a private address; for another one (Cloudflare's, say) put its networks into nginx/site.conf, or pages redirect for ever",
        ),
        (wishes.tls == Tls::None, "the site is served by http alone: `estiba init --domain site.example` makes it https"),
        (wishes.monitoring, MONITORING_NOTE),
    ] {
        if is_so {
            notes.push(note.to_owned());
        }
    }
    notes
}

fn lines(variables: &[(String, String)]) -> String {
    variables.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("\n")
}

/// The names by which the site is reached; any where none is known yet.
fn joined(domains: &[String]) -> String {
    if domains.is_empty() { "*".to_owned() } else { domains.join(" ") }
}

/// `staging.` before each name.
fn staging(domains: &[String]) -> Vec<String> {
    domains.iter().map(|domain| format!("staging.{}", domain.trim_start_matches("www."))).take(1).collect()
}

/// What the templates know, by their names; the empty text is no.
fn values(found: &Found, wishes: &Wishes) -> Vec<(&'static str, String)> {
    let yes = |is: bool| if is { "1".to_owned() } else { String::new() };
    let own_tls = matches!(wishes.tls, Tls::Letsencrypt | Tls::Files);
    let scheme = if wishes.tls == Tls::None { "http" } else { "https" };
    let url = |domains: &[String]| domains.first().map(|domain| format!("{scheme}://{domain}/")).unwrap_or_default();
    let django = found.django.as_ref();
    let database = wishes.database && django.is_some();
    let celery = django.and_then(|django| django.celery.clone()).filter(|_| found.needs(&["celery"]));
    let redis_package = found.needs(&["redis", "django-redis", "channels-redis"]);
    let wants_cache = django.is_some_and(|django| !django.redis.is_empty() || django.variables.iter().any(|name| is_cache(name)));
    let redis = celery.is_some() || redis_package || wants_cache;
    let database_name = found.name.replace('-', "_");
    let tls = match wishes.tls {
        Tls::Letsencrypt => "letsencrypt",
        Tls::Files => "files",
        Tls::Front => "front",
        Tls::None => "none",
    };
    let mut values = vec![
        ("name", found.name.clone()),
        ("django", yes(django.is_some())),
        ("database", yes(database)),
        ("redis", yes(redis)),
        ("redis_cache", yes(redis_package)),
        ("layers_in_memory", yes(django.is_some_and(|django| django.layers_in_memory))),
        ("channels_redis", yes(found.needs(&["channels-redis"]))),
        ("celery", celery.unwrap_or_default()),
        ("beat", yes(django.is_some_and(|django| django.beat))),
        ("database_scheduler", yes(found.needs(&["django-celery-beat"]))),
        ("tls", tls.into()),
        ("own_tls", yes(own_tls)),
        ("https", yes(wishes.tls != Tls::None)),
        ("scheme", scheme.into()),
        ("url", url(&wishes.domains)),
        ("staging_url", url(&staging(&wishes.domains))),
        ("production_host", wishes.server.clone().unwrap_or_else(|| "deploy@203.0.113.10".into())),
        ("staging_host", "deploy@203.0.113.20".into()),
        ("email", wishes.email.clone().unwrap_or_default()),
        ("volumes", yes(database || redis || wishes.tls == Tls::Letsencrypt)),
        ("own_image", yes(found.dockerfile.is_some())),
        ("has_user", yes(found.dockerfile.is_some_and(|file| file.has_user))),
        ("port", found.dockerfile.map_or(8000, |file| file.port).to_string()),
        ("database_user", format!("{database_name}_user")),
        ("database_name", database_name),
        ("monitoring", yes(wishes.monitoring)),
        ("own_stack", yes(true)),
        ("monitor_url", monitor_url(found, wishes, &wishes.domains)),
        ("seed", found.tracked.iter().rev().find(|path| path.ends_with("media")).cloned().unwrap_or_default()),
        ("upload", "20m".into()),
        ("rate", "20".into()),
        ("burst", "60".into()),
    ];
    values.extend(of_variables(found, wishes));
    values.extend(of_folders(found, wishes, database));
    values.extend(of_memory(wishes.memory));
    values.extend(of_django(found, wishes));
    values
}

/// The variables that the project's own settings read: with their values, and with those that its tests get.
fn of_variables(found: &Found, wishes: &Wishes) -> [(&'static str, String); 3] {
    let django = found.django.as_ref();
    let own = django.map(|django| own_variables(django, found, wishes, &wishes.domains)).unwrap_or_default();
    let example = own.iter().map(|(name, _)| format!("{name}={}", for_tests(name).trim_matches('"')));
    let of_tests = own.iter().map(|(name, _)| format!("{name}: {}", for_tests(name)));
    [
        ("own", lines(&own)),
        ("own_example", example.collect::<Vec<_>>().join("\n")),
        ("own_lines", of_tests.collect::<Vec<_>>().join("\n      ")),
    ]
}

/// The folders that stay on the server, and those that are not the image's; a Python package of the same name is.
fn of_folders(found: &Found, wishes: &Wishes, database: bool) -> [(&'static str, String); 2] {
    let is_django = found.django.is_some();
    // Folders are found by who mounts them, but for one that whoever runs the server fills.
    let shared: Vec<&str> = [
        ("certificates", true),
        ("data", is_django && !database),
        ("media", is_django),
        ("metrics", wishes.monitoring),
        ("staticfiles", is_django),
    ]
    .into_iter()
    .filter(|(_, is_there)| *is_there && wishes.tls == Tls::Files)
    .map(|(name, _)| name)
    .collect();
    let own_folder = |name: &str| found.python_folders.iter().any(|folder| folder == name);
    [
        ("shared", if wishes.tls == Tls::Files { format!("{shared:?}") } else { String::new() }),
        (
            "ignored",
            ["certificates", "data", "media", "metrics", "monitoring", "nginx", "staticfiles"]
                .into_iter()
                .filter(|name| !own_folder(name) && !found.tracked.iter().any(|tracked| tracked == name))
                .collect::<Vec<_>>()
                .join("\n"),
        ),
    ]
}

/// Half of the memory is the database's; a quarter a container of the app's.
fn of_memory(memory: u32) -> Vec<(&'static str, String)> {
    let half = memory / 2;
    vec![
        ("server_memory", memory.to_string()),
        ("app_memory", format!("{}m", memory / 4)),
        ("database_memory", half.to_string()),
        ("shared_buffers", (half / 4).to_string()),
        ("effective_cache_size", (half * 3 / 4).to_string()),
        ("maintenance_work_mem", (half / 16).clamp(16, 1024).to_string()),
        ("work_mem", (half * 3 / 4 * 1024 / 300).max(1024).to_string()),
        ("redis_memory", (memory / 16).to_string()),
        ("redis_limit", (memory / 8 + 32).to_string()),
    ]
}

/// The variables that the project's own settings read, with the values that this stack has for them; what it does not know is asked
/// of whoever deploys.
fn own_variables(django: &Django, found: &Found, wishes: &Wishes, domains: &[String]) -> Vec<(String, String)> {
    let database = found.name.replace('-', "_");
    // What the templates give a value already.
    let mut known = vec![
        "DJANGO_SECRET_KEY",
        "SITE_DOMAINS",
        "STATIC_ROOT",
        "MEDIA_ROOT",
        "DJANGO_SETTINGS_MODULE",
        "LOG_LEVEL",
        "REDIS_URL",
    ];
    known.extend(["EMAIL_HOST", "EMAIL_PORT", "EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD"]);
    if wishes.database {
        known.extend(["POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_HOST"]);
    }
    if django.celery.is_some() {
        known.push("CELERY_BROKER_URL");
    }
    let value = |name: &str| -> String {
        let part = part_of_database(name).filter(|_| wishes.database);
        match part {
            Some("URL") => format!("postgres://{database}_user:${{POSTGRES_PASSWORD}}@db:5432/{database}"),
            Some("NAME") => database.clone(),
            Some("USER") => format!("{database}_user"),
            Some("PASSWORD") => "${POSTGRES_PASSWORD}".into(),
            Some("HOST") => "db".into(),
            Some("PORT") => "5432".into(),
            Some("ENGINE") => "django.db.backends.postgresql".into(),
            _ if name.contains("SECRET_KEY") => "${DJANGO_SECRET_KEY}".into(),
            _ if is_cache(name) || django.redis.iter().any(|known| known == name) => "redis://cache:6379/0".into(),
            _ if name.contains("ALLOWED_HOSTS") => domains.join(","),
            _ if name.ends_with("DEBUG") => django.no_debug.into(),
            _ => format!("${{{name}}}"),
        }
    };
    django.variables.iter().filter(|name| !known.contains(&name.as_str())).map(|name| (name.clone(), value(name))).collect()
}

fn is_cache(name: &str) -> bool {
    ["REDIS_URL", "CACHE_URL", "BROKER_URL", "RESULT_BACKEND"].iter().any(|end| name.ends_with(end))
}

/// A value of that variable for the project's tests.
fn for_tests(name: &str) -> &'static str {
    match part_of_database(name) {
        Some("URL") => "postgres://tests:only-for-tests@db:5432/tests",
        Some("PASSWORD") => "only-for-tests",
        Some("HOST") => "db",
        Some("PORT") => "\"5432\"",
        Some("ENGINE") => "django.db.backends.postgresql",
        Some(_) => "tests",
        None if is_cache(name) => "redis://cache:6379/0",
        None if name.contains("HOSTS") => "localhost",
        None if name.ends_with("DEBUG") => "\"False\"",
        None => "tests",
    }
}
