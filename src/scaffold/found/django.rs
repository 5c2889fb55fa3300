//! What a Django site says of itself: where it lies, its settings, what it needs of its environment.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use regex::Regex;

use crate::error::{Error, Result};

use super::packages::text_of;

/// Last parts of the names of settings that are for a server, and of those that are for a laptop.
const PRODUCTION: [&str; 4] = ["production", "prod", "deploy", "live"];
const LOCAL: [&str; 6] = ["local", "dev", "development", "test", "testing", "ci"];

/// A Django site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Django {
    /// The folder of manage.py, from the project's; empty where that is it.
    pub(in crate::scaffold) folder: String,
    /// The WSGI application's module, `site.wsgi`.
    pub(in crate::scaffold) wsgi: String,
    /// The ASGI application's module, where there is one.
    pub(in crate::scaffold) asgi: Option<String>,
    /// The module of its own settings that is nearest to a server's.
    pub(in crate::scaffold) settings: String,
    /// The package of its Celery application.
    pub(in crate::scaffold) celery: Option<String>,
    /// Is something to be done at fixed times?
    pub(in crate::scaffold) beat: bool,
    /// Variables that its settings read and that must be there, or that name its database, cache or key.
    pub(in crate::scaffold) variables: Vec<String>,
    /// Those of them whose value on a laptop is the address of a Redis.
    pub(in crate::scaffold) redis: Vec<String>,
    /// What its settings take for no, where they ask the environment whether they are for debugging.
    pub(in crate::scaffold) no_debug: &'static str,
    /// Do its settings keep its data in SQLite, and ask nobody for another database?
    pub(in crate::scaffold) sqlite: bool,
    /// Do its settings keep the messages of Channels in the memory of one process?
    pub(in crate::scaffold) layers_in_memory: bool,
    /// What is worth saying of it.
    pub(in crate::scaffold) notes: Vec<String>,
}

impl Django {
    /// The site of that folder: manage.py lies there or one folder deeper. `None` where there is none.
    pub(super) fn look(project: &Utf8Path) -> Result<Option<Self>> {
        let Some(folder) = folder_of_manage(project)? else { return Ok(None) };
        let at = project.join(&folder);
        let Some(wsgi) = module(&at, "wsgi.py")? else { return Ok(None) };
        let asgi = module(&at, "asgi.py")?;
        let mut notes = Vec::new();
        let named = settings_named(&at, &wsgi, &mut notes)?;
        let settings = nearest_to_a_server(&at, named);
        let celery = module(&at, "celery.py")?.and_then(|module| module.strip_suffix(".celery").map(str::to_owned));
        // Where it is not in its usual place, it is named in full.
        let celery = celery.or(module(&at, "celery_app.py")?);
        let sources = sources(&at, &settings);
        let text: String = sources.iter().filter_map(|path| text_of(path).ok()).collect();
        let of_celery = celery.as_ref().and_then(|name| {
            let place = at.join(name.replace('.', "/"));
            text_of(&place.join("celery.py")).or_else(|_| text_of(&place.with_extension("py"))).ok()
        });
        let beat = [&text, &of_celery.unwrap_or_default()].iter().any(|text| {
            ["beat_schedule", "BEAT_SCHEDULE", "django_celery_beat", "add_periodic_task"].iter().any(|word| text.contains(word))
        });
        let mut variables = variables(&text);
        let redis = with_default(&text, "redis");
        variables.extend(redis.iter().filter(|name| !variables.contains(name)).cloned().collect::<Vec<_>>());
        variables.sort();
        let sqlite = text.contains("sqlite3") && !variables.iter().any(|name| part_of_database(name).is_some());
        Ok(Some(Self {
            folder,
            wsgi,
            asgi,
            settings,
            celery,
            beat,
            variables,
            redis,
            no_debug: no_debug(&text),
            sqlite,
            layers_in_memory: text.contains("InMemoryChannelLayer"),
            notes,
        }))
    }

    /// The module of the settings with which it is deployed, beside its own.
    pub(in crate::scaffold) fn deployed(&self) -> String {
        match self.settings.rsplit_once('.') {
            // A package of settings, with one module for each kind of machine.
            Some((package, _)) if package.ends_with("settings") => format!("{package}.deployed"),
            Some((package, _)) => format!("{package}.settings_deployed"),
            None => "settings_deployed".into(),
        }
    }

    /// The path of a module, from the project's folder.
    pub(in crate::scaffold) fn path_of(&self, module: &str) -> String {
        let path = format!("{}.py", module.replace('.', "/"));
        if self.folder.is_empty() { path } else { format!("{}/{path}", self.folder) }
    }
}

fn entries(folder: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let entries = folder.read_dir_utf8().map_err(|error| Error::input(format!("cannot look into {folder}: {error}")))?;
    let mut paths: Vec<Utf8PathBuf> = entries.flatten().map(|entry| entry.path().to_owned()).collect();
    paths.sort();
    Ok(paths)
}

fn folder_of_manage(project: &Utf8Path) -> Result<Option<String>> {
    if project.join("manage.py").is_file() {
        return Ok(Some(String::new()));
    }
    let deeper = entries(project)?.into_iter().find(|path| path.join("manage.py").is_file());
    Ok(deeper.and_then(|path| path.file_name().map(str::to_owned)))
}

/// The module of a file with that name, in a folder of the site or in one of those: `package.name`.
fn module(site: &Utf8Path, name: &str) -> Result<Option<String>> {
    let stem = name.trim_end_matches(".py");
    let folders: Vec<Utf8PathBuf> = entries(site)?
        .into_iter()
        .filter(|path| {
            path.is_dir() && !path.join("pyvenv.cfg").exists() && !path.file_name().is_some_and(|name| name.starts_with('.'))
        })
        .collect();
    if let Some(folder) = folders.iter().find(|folder| folder.join(name).is_file()) {
        return Ok(folder.file_name().map(|package| format!("{package}.{stem}")));
    }
    for outer in &folders {
        let inner = entries(outer).unwrap_or_default().into_iter().find(|inner| inner.join(name).is_file());
        if let (Some(package), Some(inner)) = (outer.file_name(), inner.as_deref().and_then(Utf8Path::file_name)) {
            return Ok(Some(format!("{package}.{inner}.{stem}")));
        }
    }
    Ok(site.join(name).is_file().then(|| stem.to_owned()))
}

/// The settings that wsgi.py names, or else manage.py or asgi.py: the first that are there.
fn settings_named(site: &Utf8Path, wsgi: &str, notes: &mut Vec<String>) -> Result<String> {
    let pattern = Regex::new(r#"DJANGO_SETTINGS_MODULE['"]\]?\s*([,=])\s*['"]([A-Za-z0-9_.]+)['"]"#)
        .map_err(|error| Error::failed(error.to_string()))?;
    let package = wsgi.trim_end_matches("wsgi").trim_end_matches('.');
    let file = |name: &str| site.join(package.replace('.', "/")).join(name);
    let mut missing = Vec::new();
    for path in [file("wsgi.py"), site.join("manage.py"), file("asgi.py")] {
        let Ok(text) = text_of(&path) else { continue };
        let Some(found) = pattern.captures(&text) else { continue };
        let (sign, module) = (found.get(1).map_or("", |sign| sign.as_str()), found.get(2).map_or("", |module| module.as_str()));
        let place = path.strip_prefix(site).unwrap_or(&path);
        if !is_there(site, module) {
            missing.push(format!("{place} names {module}"));
            continue;
        }
        if sign == "=" && place.file_name() == Some("wsgi.py") {
            notes.push(format!("{place} sets DJANGO_SETTINGS_MODULE whatever the environment says: os.environ.setdefault(…) lets the deployed settings be used"));
        }
        if !missing.is_empty() {
            notes.push(format!("{}, which is not there; {module} is taken, which {place} names", missing.join(", ")));
        }
        return Ok(module.to_owned());
    }
    let usual = if package.is_empty() { "settings".to_owned() } else { format!("{package}.settings") };
    if missing.is_empty() || is_there(site, &usual) {
        return Ok(usual);
    }
    Err(Error::input(format!("{}, and no such settings are there; nothing was written", missing.join(", ")))
        .hint("os.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", …) in wsgi.py names the module of the settings"))
}

/// Could Python import that module? A file of settings comes before a folder of the same name that is no package.
fn is_there(site: &Utf8Path, module: &str) -> bool {
    let at = site.join(module.replace('.', "/"));
    let parent = module.rsplit_once('.').map(|(parent, _)| site.join(parent.replace('.', "/")));
    let is_hidden = parent.is_some_and(|parent| parent.with_extension("py").is_file() && !parent.join("__init__.py").is_file());
    !is_hidden && (at.with_extension("py").is_file() || at.join("__init__.py").is_file())
}

/// Of a package of settings, the module that is for a server, where what is named is for a laptop, or is the package itself.
fn nearest_to_a_server(site: &Utf8Path, named: String) -> String {
    let exists = |module: &str| site.join(format!("{}.py", module.replace('.', "/"))).is_file();
    let (package, last) = named.rsplit_once('.').unwrap_or(("", named.as_str()));
    let is_package = site.join(named.replace('.', "/")).join("__init__.py").is_file();
    let siblings = if is_package { named.as_str() } else { package };
    if !is_package && !LOCAL.contains(&last) {
        return named;
    }
    let candidates = PRODUCTION.iter().chain(["base", "common"].iter().filter(|_| !is_package));
    candidates.map(|name| format!("{siblings}.{name}")).find(|module| exists(module)).unwrap_or(named)
}

/// The files of the settings: the module, and what it imports of its own package.
fn sources(site: &Utf8Path, settings: &str) -> Vec<Utf8PathBuf> {
    let module = site.join(settings.replace('.', "/"));
    let first = if module.is_dir() { module.join("__init__.py") } else { module.with_extension("py") };
    let mut files = vec![first];
    let Ok(pattern) = Regex::new(r"(?m)^\s*from\s+(?:\.|[\w.]*settings\.)(\w+)\s+import") else { return files };
    let mut at = 0;
    while let Some(file) = files.get(at).cloned() {
        at += 1;
        let (Ok(text), Some(folder)) = (text_of(&file), file.parent()) else { continue };
        for found in pattern.captures_iter(&text).filter_map(|found| found.get(1)) {
            let other = folder.join(format!("{}.py", found.as_str()));
            if other.is_file() && !files.contains(&other) {
                files.push(other);
            }
        }
    }
    files
}

/// Names of variables that a text of settings reads and that have no other value there, and those of a key, a database or a cache
/// whatever other value they have: that one is for a laptop.
fn variables(text: &str) -> Vec<String> {
    let text: String = text.lines().filter(|line| !line.trim_start().starts_with('#')).map(|line| format!("{line}\n")).collect();
    let hard = r#"os\.environ\[\s*['"]([A-Z][A-Z0-9_]*)['"]\s*\]|\b(?:env|config)(?:\.[a-z_]+)?\(\s*['"]([A-Z][A-Z0-9_]*)['"]\s*(?:,\s*cast\s*=[^,()]*(?:\([^()]*\))?\s*)?\)"#;
    let soft = r#"(?:os\.getenv|os\.environ\.get|\benv(?:\.[a-z_]+)?|\bconfig)\(\s*['"]([A-Z][A-Z0-9_]*)['"]"#;
    let find = |pattern: &str| -> BTreeSet<String> {
        let Ok(pattern) = Regex::new(pattern) else { return BTreeSet::new() };
        let names = pattern.captures_iter(&text).filter_map(|found| found.iter().skip(1).flatten().next());
        names.map(|name| name.as_str().to_owned()).collect()
    };
    let mut names = find(hard);
    // What django-environ reads where no name is given.
    for (call, name) in [("env.db(", "DATABASE_URL"), ("env.cache(", "CACHE_URL")] {
        if text.replace(' ', "").contains(&format!("{call})")) {
            names.insert(name.to_owned());
        }
    }
    names.extend(find(soft).into_iter().filter(|name| is_of_the_stack(name)));
    names.into_iter().collect()
}

/// The variables that have an address of that kind as their value on a laptop.
fn with_default(text: &str, scheme: &str) -> Vec<String> {
    let pattern = format!(r#"\(\s*['"]([A-Z][A-Z0-9_]*)['"]\s*,\s*(?:default\s*=\s*)?['"]{scheme}s?://"#);
    let Ok(pattern) = Regex::new(&pattern) else { return Vec::new() };
    pattern.captures_iter(text).filter_map(|found| Some(found.get(1)?.as_str().to_owned())).collect()
}

/// What stands for no where a text of settings reads whether it is for debugging: a number's, a text's of any kind, or a word.
fn no_debug(text: &str) -> &'static str {
    let read = |call: &str| {
        let pattern =
            format!(r#"\b{call}\(\s*(?:os\.environ\.get|os\.getenv|os\.environ\[|env|config)\(?\s*['"][A-Z_]*DEBUG['"]"#);
        Regex::new(&pattern).is_ok_and(|pattern| pattern.is_match(text))
    };
    // Its text is taken as it is, and any but an empty one is a yes.
    let as_text = r#"(?m)^\s*DEBUG\s*=\s*os\.(?:getenv\(|environ\.get\(|environ\[)\s*['"][A-Z_]*DEBUG['"]\s*(?:,[^()\n]*)?[)\]]\s*(?:#.*)?$"#;
    if read("int") {
        "0"
    } else if read("bool") || Regex::new(as_text).is_ok_and(|pattern| pattern.is_match(text)) || !text.contains("DEBUG") {
        ""
    } else {
        "False"
    }
}

/// Is it a variable whose value the stack decides?
fn is_of_the_stack(name: &str) -> bool {
    let of_cache = ["REDIS_URL", "CACHE_URL", "BROKER_URL", "RESULT_BACKEND"].iter().any(|end| name.ends_with(end));
    of_cache
        || name.ends_with("DEBUG")
        || name.contains("SECRET_KEY")
        || name.contains("ALLOWED_HOSTS")
        || part_of_database(name).is_some()
}

/// What a variable says of the database: `URL`, `NAME`, `USER`, `PASSWORD`, `HOST`, `PORT` or `ENGINE`.
pub(in crate::scaffold) fn part_of_database(name: &str) -> Option<&'static str> {
    let (of, part) = name.rsplit_once('_').unwrap_or(("", name));
    let is_database = |text: &str| {
        text.split('_').any(|word| ["DATABASE", "DB", "POSTGRES", "POSTGRESQL", "PG", "SQL", "PSQL"].contains(&word))
    };
    if name.starts_with("PG") && of.is_empty() {
        return match name {
            "PGDATABASE" => Some("NAME"),
            "PGUSER" => Some("USER"),
            "PGPASSWORD" => Some("PASSWORD"),
            "PGHOST" => Some("HOST"),
            "PGPORT" => Some("PORT"),
            _ => None,
        };
    }
    is_database(of).then_some(())?;
    match part {
        "URL" => Some("URL"),
        "NAME" | "DB" | "DATABASE" => Some("NAME"),
        "USER" | "USERNAME" => Some("USER"),
        "PASSWORD" | "PASS" => Some("PASSWORD"),
        "HOST" | "HOSTNAME" => Some("HOST"),
        "PORT" => Some("PORT"),
        "ENGINE" => Some("ENGINE"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(files: &[(&str, &str)]) -> Django {
        let (_guard, folder) = crate::scaffold::folder_with(files);
        Django::look(&folder).unwrap().unwrap()
    }

    const WSGI: &str = "os.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", \"core.settings\")";

    #[test]
    fn one_file_of_settings_gets_one_beside_it() {
        let found = site(&[("manage.py", ""), ("core/wsgi.py", WSGI), ("core/asgi.py", ""), ("core/settings.py", "")]);
        assert_eq!((found.wsgi.as_str(), found.asgi.as_deref()), ("core.wsgi", Some("core.asgi")));
        assert_eq!((found.settings.as_str(), found.deployed().as_str()), ("core.settings", "core.settings_deployed"));
        assert_eq!(found.path_of(&found.deployed()), "core/settings_deployed.py");
    }

    #[test]
    fn of_a_package_of_settings_the_production_ones_count() {
        let wsgi = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'config.settings.local')";
        let files = [
            ("backend/manage.py", ""),
            ("backend/config/wsgi.py", wsgi),
            ("backend/config/settings/__init__.py", ""),
            ("backend/config/settings/base.py", "SECRET_KEY = env(\"SECRET_KEY\")"),
            ("backend/config/settings/local.py", "X = env('LOCAL_ONLY')"),
            ("backend/config/settings/production.py", "from .base import *\nHOSTS = env.list('ALLOWED_HOSTS')"),
        ];
        let found = site(&files);
        assert_eq!((found.folder.as_str(), found.settings.as_str()), ("backend", "config.settings.production"));
        assert_eq!(found.path_of(&found.deployed()), "backend/config/settings/deployed.py");
        assert_eq!(found.variables, ["ALLOWED_HOSTS", "SECRET_KEY"]);
        let found = site(&files[..5]);
        assert_eq!(found.settings, "config.settings.base");
        let wsgi = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'config.settings')";
        let found = site(&[
            ("manage.py", ""),
            ("config/wsgi.py", wsgi),
            ("config/settings/__init__.py", "from .base import *"),
            ("config/settings/base.py", "DATABASES = {'default': env.db()}\nX = env('STRIPE_KEY')"),
        ]);
        assert_eq!(found.variables, ["DATABASE_URL", "STRIPE_KEY"]);
        assert_eq!((found.settings.as_str(), found.deployed().as_str()), ("config.settings", "config.settings_deployed"));
    }

    #[test]
    fn celery_and_its_schedule_are_seen() {
        let files = [
            ("manage.py", ""),
            ("core/wsgi.py", WSGI),
            ("core/settings.py", ""),
            ("core/celery.py", "app = Celery('core')\napp.conf.beat_schedule = {}"),
        ];
        let found = site(&files);
        assert_eq!((found.celery.as_deref(), found.beat), (Some("core"), true));
        assert_eq!(site(&files[..3]).celery, None);
    }

    #[test]
    fn settings_that_are_not_there_are_passed_over() {
        let left_over = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'core.settings.dev')";
        let files = [("manage.py", WSGI), ("core/wsgi.py", left_over), ("core/settings.py", "")];
        let found = site(&files);
        assert_eq!((found.settings.as_str(), found.deployed().as_str()), ("core.settings", "core.settings_deployed"));
        assert!(found.notes[0].contains("core/wsgi.py names core.settings.dev, which is not there"), "{:?}", found.notes);
        // A folder beside the file of settings is no package that Python would see.
        assert_eq!(site(&[files[0], files[1], files[2], ("core/settings/dev.py", "")]).settings, "core.settings");
        let (_guard, folder) = crate::scaffold::folder_with(&[("manage.py", left_over), ("core/wsgi.py", left_over)]);
        let error = Django::look(&folder).unwrap_err().to_string();
        assert!(error.contains("core/wsgi.py names core.settings.dev, manage.py names core.settings.dev"), "{error}");
        let hard = "os.environ['DJANGO_SETTINGS_MODULE'] = 'core.settings'";
        assert!(site(&[files[0], ("core/wsgi.py", hard), files[2]]).notes[0].contains("setdefault"));
    }

    #[test]
    fn what_a_laptop_s_settings_default_to_is_the_stack_s_to_decide() {
        let text = "CELERY_RESULT_BACKEND = os.environ.get('CELERY_BACKEND', 'redis://127.0.0.1:6379/0')\n\
            DEBUG = int(os.environ.get('DEBUG', default=1))\nDATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3'}}\n";
        let found = site(&[("manage.py", ""), ("core/wsgi.py", WSGI), ("core/settings.py", text), ("core/celery_app.py", "")]);
        assert_eq!(
            (found.variables, found.redis),
            (vec!["CELERY_BACKEND".into(), "DEBUG".into()], vec!["CELERY_BACKEND".to_owned()])
        );
        assert_eq!((found.no_debug, found.sqlite, found.celery.as_deref()), ("0", true, Some("core.celery_app")));
        for (text, word) in [
            ("DEBUG = os.getenv('DEBUG', True)", ""),
            ("DEBUG = os.environ['DJANGO_DEBUG']  # no", ""),
            ("DEBUG = os.getenv('DEBUG') == 'True'", "False"),
            ("DEBUG = os.getenv('DEBUG', '').lower() in ('true', '1')", "False"),
            ("DEBUG = bool(os.getenv('DEBUG', True))", ""),
            ("DEBUG = env.bool('DJANGO_DEBUG', True)", "False"),
        ] {
            assert_eq!(no_debug(text), word, "{text}");
        }
    }

    #[test]
    fn variables_without_a_value_of_their_own_are_asked_for() {
        let text = "A = os.environ[\"ONE\"]\nB = os.getenv('SECRET_KEY')\nC = os.environ.get('DSN')\nD = os.environ.get('FIVE', 'x')\n\
                    E = config('SIX', default='x')\nF = config(\"SEVEN\", cast=bool)\nG = env.db('DATABASE_URL')\n# H = os.environ['NINE']\n\
                    I = os.environ.get('DB_HOST', 'localhost')\nJ = env.int('DB_CONN_MAX_AGE', default=60)\n";
        assert_eq!(variables(text), ["DATABASE_URL", "DB_HOST", "ONE", "SECRET_KEY", "SEVEN"]);
    }

    #[test]
    fn what_a_variable_says_of_the_database_is_told_by_its_name() {
        for (name, part) in [
            ("POSTGRES_DB", Some("NAME")),
            ("DB_NAME", Some("NAME")),
            ("DJANGO_DB_PASSWORD", Some("PASSWORD")),
            ("PGHOST", Some("HOST")),
            ("DB_CONN_MAX_AGE", None),
            ("EMAIL_HOST", None),
            ("DB", None),
        ] {
            assert_eq!(part_of_database(name), part, "{name}");
        }
    }
}
