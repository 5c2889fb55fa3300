//! What a deploy.toml comes to once conventions have filled in what it leaves out. Beside each value
//! stands where it came from; what is ambiguous is an error that names the candidates.

mod data;

use camino::{Utf8Path, Utf8PathBuf};

use crate::compose::{ComposeFile, Service};
use crate::error::{Error, Result};

use data::{resolve_backup, resolve_cache, resolve_database};

use super::resolved::{App, GUESSED_PORT, Health, Image, Origin, Proxy, Registered, Resolved, Rollout, Setting, Target};
use super::shape::{ImageSource, Strategy, TargetSection};
use super::{Project, Seconds, nearest};

/// Resolves deploy.toml for the target of that name, or for the only one.
///
/// Errors are input errors: an unknown target, a missing Compose file, an ambiguous service.
pub fn resolve(project: &Project, target: Option<&str>) -> Result<Resolved> {
    let config = &project.loaded.config;
    let (target_name, section) = choose_target(project, target)?;
    let compose_path = Setting::or_found(config.stack.compose.as_deref().map(Utf8PathBuf::from), || {
        let found = ComposeFile::find(&project.folder).ok_or_else(|| {
            Error::input(format!("there is no Compose file in {}", shown(&project.folder)))
                .hint("name it: [stack] compose = \"…\"")
        })?;
        Ok((found, "the Compose file beside deploy.toml".into()))
    })?;
    let compose = ComposeFile::open(&project.path(&compose_path.value))?;
    let base = compose_path.value.parent().unwrap_or(Utf8Path::new("")).to_owned();
    let proxy = resolve_proxy(project, &compose)?;
    let app_service = resolve_app_service(project, &compose, &proxy.service.value)?;
    let service = named(project, &compose, &app_service.value, "[app] service")?;
    let shared = resolve_shared(project, &compose, service, &proxy, &base);
    let image = resolve_image(project, section, service, &base)?;
    let app = resolve_app(project, &compose, app_service.clone(), &image, &shared.value)?;
    let target = resolve_target(project, &target_name, section)?;
    let database = resolve_database(project, &compose)?;
    Ok(Resolved {
        project: config.project.name.clone(),
        compose_project: Setting::or_found(
            section.compose_project.clone().or_else(|| config.project.compose_project.clone()),
            || Ok((config.project.name.clone(), "the project's name".into())),
        )?,
        shared,
        health: resolve_health(project, service, &target)?,
        backup: resolve_backup(project, &compose, database.is_some())?,
        cache: resolve_cache(project, &compose)?,
        database,
        rollout: resolve_rollout(project),
        app,
        image,
        proxy,
        target,
        compose_path,
        compose,
    })
}

fn shown(folder: &Utf8Path) -> &str {
    if folder.as_str().is_empty() || folder == "." { "this folder" } else { folder.as_str() }
}

fn choose_target<'a>(project: &'a Project, target: Option<&str>) -> Result<(String, &'a TargetSection)> {
    let targets = &project.loaded.config.target;
    let names = || targets.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match target {
        Some(name) => match targets.get_key_value(name) {
            Some((name, section)) => Ok((name.clone(), section)),
            None => {
                let error = Error::input(format!("{} has no target `{name}`", project.loaded.name));
                Err(match nearest(name, targets.keys().map(String::as_str)) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error.hint(format!("its targets: {}", names())),
                })
            }
        },
        None if targets.len() == 1 => {
            let (name, section) = targets.iter().next().expect("one target");
            Ok((name.clone(), section))
        }
        None if targets.is_empty() => Err(Error::input(format!("{} has no target", project.loaded.name))
            .hint("[target.production]\n        hosts = [\"user@host\"]\n        host-keys = [\"SHA256:…\"]")),
        None => Err(Error::input("which target?").hint(format!("name one of {}", names()))),
    }
}

fn resolve_target(project: &Project, name: &str, section: &TargetSection) -> Result<Target> {
    for host in &section.hosts {
        let (user, address) = host.split_once('@').unwrap_or(("", host));
        if user.is_empty() || address.is_empty() || host.contains(char::is_whitespace) {
            return Err(project
                .loaded
                .source()
                .error_near(host, format!("`{host}` is not user@host or user@host:port"))
                .hint("the user must be one who may run docker on the server"));
        }
    }
    if let Some(twice) = section.hosts.iter().enumerate().find(|(at, host)| section.hosts[..*at].contains(host)) {
        return Err(project.loaded.source().error_near(twice.1, format!("`{}` stands twice among the hosts", twice.1)));
    }
    let env_file =
        Setting::or_found(section.env_file.clone().map(|file| Some(Utf8PathBuf::from(file))), || find_env_file(project, name))?;
    if let Some(path) = env_file.value.as_deref().filter(|path| !project.path(path).is_file()) {
        return Err(project
            .loaded
            .source()
            .error_near(path.as_str(), format!("the env file {path} does not exist"))
            .hint("it is a template of KEY=value lines, kept in the repository; secrets stand in it as ${NAME}"));
    }
    let given = project.environment.get("ESTIBA_HOST_KEYS").map(String::as_str).unwrap_or_default();
    let given_keys: Vec<String> = given.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    Ok(Target {
        name: name.to_owned(),
        hosts: section.hosts.clone(),
        host_keys: match section.host_keys.as_slice() {
            _ if !given_keys.is_empty() => Setting { value: given_keys, origin: Origin::Found("ESTIBA_HOST_KEYS".into()) },
            [] => Setting { value: vec!["~/.ssh/known_hosts".into()], origin: Origin::Default },
            keys => Setting { value: keys.to_vec(), origin: Origin::File },
        },
        identity: section.identity.clone(),
        root: Setting::or_found(section.root.clone(), || {
            Ok((format!("/srv/{}", project.loaded.config.project.name), "/srv/ and the project's name".into()))
        })?,
        url: section.url.clone(),
        url_contains: section.url_contains.clone(),
        env_file,
    })
}

fn find_env_file(project: &Project, target: &str) -> Result<(Option<Utf8PathBuf>, String)> {
    let own = format!(".env.{target}");
    if project.path(&own).is_file() {
        return Ok((Some(own.into()), "the target's name".into()));
    }
    if project.path(".env").is_file() {
        return Ok((Some(".env".into()), "Compose's own env file".into()));
    }
    let mut candidates: Vec<String> = project
        .folder
        .read_dir_utf8()
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_owned())
        .filter(|name| name.starts_with(".env."))
        .filter(|name| ![".example", ".sample", ".template", ".dist", ".test"].iter().any(|end| name.ends_with(end)))
        .collect();
    candidates.sort();
    match candidates.as_slice() {
        [] => Ok((None, "there is no env file".into())),
        [one] => Ok((Some(one.into()), "the only env file".into())),
        several => Err(Error::input(format!("which env file does target `{target}` use? {}", several.join(", ")))
            .hint(format!("[target.{target}] env-file = \"{}\"", several[0]))),
    }
}

fn named<'a>(project: &Project, compose: &'a ComposeFile, name: &str, key: &str) -> Result<Service<'a>> {
    compose.service(name).ok_or_else(|| {
        let message = format!("{key}: {} has no service `{name}`", compose.name);
        let error = project.loaded.source().error_near(&format!("\"{name}\""), message);
        match nearest(name, compose.services().map(|service| service.name)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => {
                let names: Vec<&str> = compose.services().map(|service| service.name).collect();
                error.hint(format!("its services: {}", names.join(", ")))
            }
        }
    })
}

/// The only candidate, or an error that names them.
fn only<'a>(what: &str, key: &str, compose: &ComposeFile, candidates: &[Service<'a>], none: &str) -> Result<Service<'a>> {
    match candidates {
        [one] => Ok(*one),
        [] => Err(Error::input(format!("{}: {none}", compose.name)).hint(format!("name it: {key} = \"…\""))),
        several => {
            let names: Vec<&str> = several.iter().map(|service| service.name).collect();
            Err(Error::input(format!("{}: which service is {what}? {}", compose.name, names.join(", ")))
                .hint(format!("name it: {key} = \"{}\"", names[0])))
        }
    }
}

fn resolve_proxy(project: &Project, compose: &ComposeFile) -> Result<Proxy> {
    let section = &project.loaded.config.proxy;
    let service = Setting::or_found(section.service.clone(), || {
        let candidates: Vec<_> =
            compose.services().filter(|service| service.runs_image("nginx") && service.starts_by_default()).collect();
        let found = only("the proxy", "[proxy] service", compose, &candidates, "no service has an nginx image")?;
        Ok((found.name.to_owned(), "the service with an nginx image".into()))
    })?;
    let found = named(project, compose, &service.value, "[proxy] service")?;
    let config = Setting::or_found(section.config.clone(), || {
        let mount = found.mounts().find(|mount| mount.target.trim_end_matches('/') == "/etc/nginx/conf.d");
        let folder = mount.as_ref().and_then(|mount| mount.relative_source()).map(str::to_owned);
        let folder = folder.ok_or_else(|| {
            compose
                .source()
                .error_near(
                    &format!("{}:", found.name),
                    format!("the proxy `{}` mounts no folder at /etc/nginx/conf.d", found.name),
                )
                .hint("put its configuration into a folder and mount that: ./nginx:/etc/nginx/conf.d:ro")
        })?;
        Ok((folder, "the folder mounted at /etc/nginx/conf.d".into()))
    })?;
    Ok(Proxy { service, config, drain_timeout: Setting::or_default(section.drain_timeout, Seconds(60)) })
}

fn resolve_app_service(project: &Project, compose: &ComposeFile, proxy: &str) -> Result<Setting<String>> {
    Setting::or_found(project.loaded.config.app.service.clone(), || {
        let built: Vec<_> =
            compose.services().filter(|s| s.build().is_some() && s.starts_by_default() && s.name != proxy).collect();
        if let [one] = built.as_slice() {
            return Ok((one.name.to_owned(), "the service that is built".into()));
        }
        // Several services of one build: the one that answers requests is the app.
        let front = compose.service(proxy).map(|proxy| proxy.depends_on()).unwrap_or_default();
        let answering: Vec<_> = built
            .iter()
            .filter(|service| front.contains(&service.name) || service.port().is_some() || service.health_url().is_some())
            .copied()
            .collect();
        let candidates = if answering.is_empty() { &built } else { &answering };
        let found = only("the app", "[app] service", compose, candidates, "no service is built")?;
        Ok((found.name.to_owned(), "the built service that answers requests".into()))
    })
}

fn resolve_shared(
    project: &Project,
    compose: &ComposeFile,
    app: Service<'_>,
    proxy: &Proxy,
    base: &Utf8Path,
) -> Setting<Vec<String>> {
    if let Some(shared) = &project.loaded.config.stack.shared {
        let shared = shared.iter().map(|folder| folder.trim_start_matches("./").trim_end_matches('/').to_owned()).collect();
        return Setting { value: shared, origin: Origin::File };
    }
    let relative = |service: Service<'_>| -> Vec<String> {
        service.mounts().filter_map(|mount| mount.relative_source().map(str::to_owned)).collect()
    };
    let read_by_proxy = compose.service(&proxy.service.value).map(relative).unwrap_or_default();
    let found = relative(app)
        .into_iter()
        .filter(|folder| read_by_proxy.contains(folder) && *folder != proxy.config.value)
        .filter(|folder| !project.path(base.join(folder)).is_file())
        .collect();
    Setting { value: found, origin: Origin::Found("the folders that the app and the proxy both mount".into()) }
}

fn resolve_image(project: &Project, target: &TargetSection, app: Service<'_>, base: &Utf8Path) -> Result<Image> {
    let section = &project.loaded.config.image;
    let build = app.build();
    let context = Setting::or_found(section.context.as_ref().map(Utf8PathBuf::from), || match &build {
        Some((context, _, _)) => Ok((base.join(context), format!("the build of `{}`", app.name))),
        None => Ok((base.to_owned(), "the Compose file's folder".into())),
    })?;
    if !project.path(&context.value).is_dir() {
        return Err(Error::input(format!("the build context {} is not a folder", project.path(&context.value))));
    }
    let dockerfile = Setting::or_found(section.dockerfile.clone(), || {
        Ok(match build.as_ref().and_then(|(_, dockerfile, _)| dockerfile.clone()) {
            Some(dockerfile) => (dockerfile, format!("the build of `{}`", app.name)),
            None => ("Dockerfile".into(), "Docker's own default".into()),
        })
    })?;
    let source = Setting::or_found(section.source, || {
        Ok(match (&section.reference, &section.archive) {
            (Some(_), _) => (ImageSource::Registry, "there is a `reference`".into()),
            (None, Some(_)) => (ImageSource::Archive, "there is an `archive`".into()),
            (None, None) => (ImageSource::default(), "the default".into()),
        })
    })?;
    check_source(project, source.value)?;
    let builds = matches!(source.value, ImageSource::Build | ImageSource::Server);
    let path = project.path(&context.value).join(&dockerfile.value);
    if builds && !path.is_file() {
        return Err(Error::input(format!("there is no Dockerfile at {path}")).hint("name it: [image] dockerfile = \"…\""));
    }
    Ok(Image {
        name: Setting::or_found(section.name.clone(), || {
            if let Some(name) = &target.compose_project {
                return Ok((name.clone(), "the target's compose-project".into()));
            }
            Ok((project.loaded.config.project.name.clone(), "the project's name".into()))
        })?,
        source,
        build_target: build.and_then(|(_, _, target)| target),
        context,
        dockerfile,
        registered: section
            .reference
            .clone()
            .map(|reference| Registered { reference, login: section.username.clone().zip(section.password.clone()) }),
        archive: section.archive.as_ref().map(Utf8PathBuf::from),
    })
}

/// What a source needs is there, and what belongs to another one is not.
fn check_source(project: &Project, source: ImageSource) -> Result<()> {
    let section = &project.loaded.config.image;
    let file = project.loaded.source();
    let named = [
        ("reference", section.reference.as_ref(), ImageSource::Registry),
        ("username", section.username.as_ref(), ImageSource::Registry),
        ("password", section.password.as_ref(), ImageSource::Registry),
        ("archive", section.archive.as_ref(), ImageSource::Archive),
    ];
    let word = |source: ImageSource| serde_json::to_value(source).ok().and_then(|name| name.as_str().map(str::to_owned));
    let (ours, shown) = (source, word(source).unwrap_or_default());
    for (key, value, belongs) in named {
        if value.is_some() && belongs != ours {
            let theirs = word(belongs).unwrap_or_default();
            return Err(file
                .error_near(
                    &format!("{key} "),
                    format!("[image] {key} goes with source = \"{theirs}\", and the source is {shown}"),
                )
                .hint("an image comes from one place: take the other key away"));
        }
    }
    let missing = |key: &str| {
        Err(file.error_near("[image]", format!("[image] source = \"{shown}\" needs {key}")).hint(format!("{key} = \"…\"")))
    };
    match source {
        ImageSource::Registry => {
            let Some(reference) = &section.reference else { return missing("reference") };
            if section.username.is_some() != section.password.is_some() {
                return missing(if section.username.is_some() { "password" } else { "username" });
            }
            let registered = Registered { reference: reference.clone(), login: None };
            registered.parse().map(drop).map_err(|error| {
                file.error_near(reference, error.message).hint("as `registry.example.com/team/app:tag`, in lower case")
            })
        }
        ImageSource::Archive => {
            let Some(archive) = &section.archive else { return missing("archive") };
            if !project.path(archive).is_file() {
                return Err(file
                    .error_near(archive, format!("the image archive {archive} does not exist"))
                    .hint("docker save -o FILE IMAGE, or docker buildx build --output type=oci,dest=FILE"));
            }
            Ok(())
        }
        ImageSource::Build | ImageSource::Server => Ok(()),
    }
}

fn resolve_app(
    project: &Project,
    compose: &ComposeFile,
    service: Setting<String>,
    image: &Image,
    shared: &[String],
) -> Result<App> {
    let section = &project.loaded.config.app;
    let app = named(project, compose, &service.value, "[app] service")?;
    for worker in section.workers.iter().flatten() {
        named(project, compose, worker, "[app] workers")?;
    }
    let workers = Setting::or_found(section.workers.clone(), || {
        let same_build = |other: &Service<'_>| app.build().is_some() && other.build() == app.build();
        let same_image = |other: &Service<'_>| app.image().is_some() && other.image() == app.image();
        let found = compose
            .services()
            .filter(|other| other.name != app.name && other.starts_by_default() && (same_build(other) || same_image(other)));
        Ok((found.map(|other| other.name.to_owned()).collect(), "the other services of the same build".into()))
    })?;
    let port = Setting::or_found(section.port, || {
        let health = app.health_url().and_then(|url| url.port);
        Ok(match (app.port(), health) {
            (Some(port), _) => (port, format!("the ports of `{}`", app.name)),
            (None, Some(port)) => (port, format!("the healthcheck of `{}`", app.name)),
            (None, None) => (8000, GUESSED_PORT.into()),
        })
    })?;
    let django = project.path(&image.context.value).join("manage.py").is_file();
    let convention = |command: &str, there: bool| {
        if there {
            (command.to_owned(), String::from("manage.py beside the Dockerfile"))
        } else {
            (String::new(), String::from("none is known"))
        }
    };
    let has_static = shared.iter().any(|folder| folder.rsplit('/').next().is_some_and(|name| name.starts_with("static")));
    let app = App {
        port,
        workers,
        overlap: Setting::or_default(section.overlap, false),
        migrate: Setting::or_found(section.migrate.clone(), || Ok(convention("python manage.py migrate --noinput", django)))?,
        pending_migrations: Setting::or_found(section.pending_migrations.clone(), || {
            Ok(convention("python manage.py showmigrations --plan", django))
        })?,
        reverse_migration: Setting::or_found(section.reverse_migration.clone(), || {
            Ok(convention("python manage.py migrate {app} {migration} --noinput", django))
        })?,
        migrate_timeout: Setting::or_default(section.migrate_timeout, Seconds(1800)),
        collect_static: Setting::or_found(section.collect_static.clone(), || {
            Ok(convention("python manage.py collectstatic --noinput", django && has_static))
        })?,
        service,
    };
    for (key, command) in [
        ("migrate", &app.migrate.value),
        ("pending-migrations", &app.pending_migrations.value),
        ("reverse-migration", &app.reverse_migration.value),
        ("collect-static", &app.collect_static.value),
    ] {
        if super::command_words(command).is_none() {
            return Err(project
                .loaded
                .source()
                .error_near(command, format!("the quotes of [app] {key} do not match"))
                .hint("a command is written as in a shell; what needs one (pipes, &&, variables) is handed to `sh -c`"));
        }
    }
    Ok(app)
}

fn resolve_health(project: &Project, app: Service<'_>, target: &Target) -> Result<Health> {
    let section = &project.loaded.config.health;
    let host = Setting::or_found(section.host.clone(), || {
        let host = target.url.as_deref().and_then(host_of);
        Ok(match host {
            Some(host) => (host.to_owned(), "the target's url".into()),
            None => ("localhost".into(), "no url is set".into()),
        })
    })?;
    Ok(Health {
        path: Setting::or_found(section.path.clone(), || {
            Ok(match app.health_url() {
                Some(url) => (url.path, format!("the healthcheck of `{}`", app.name)),
                None => ("/".into(), format!("`{}` has no healthcheck with an address", app.name)),
            })
        })?,
        expect_status: Setting::or_default(section.expect_status, 200),
        interval: Setting::or_default(section.interval, Seconds(1)),
        timeout: Setting::or_default(section.timeout, Seconds(60)),
        host,
    })
}

fn host_of(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1;
    rest.split(['/', '?', '#']).next()?.split(':').next().filter(|host| !host.is_empty())
}

fn resolve_rollout(project: &Project) -> Rollout {
    let section = &project.loaded.config.rollout;
    Rollout {
        strategy: Setting::or_default(section.strategy, Strategy::default()),
        observe: Setting::or_default(section.observe, Seconds(30)),
        min_requests: Setting::or_default(section.min_requests, 50),
        max_error_rate: Setting::or_default(section.max_error_rate, 0.01),
        confirm_timeout: Setting::or_default(section.confirm_timeout, Seconds(60)),
        keep_releases: Setting::or_default(section.keep_releases, 5),
    }
}
