//! Values of deploy.toml that no deploy could work with, each with its place. All of them are told at once.

use crate::error::{Error, Result};
use crate::text::Source;

use super::Config;
use super::shape::{AppSection, DatabaseSection, HealthSection, RolloutSection, TargetSection};

/// Checks what the shape alone does not say.
pub(super) fn check(source: Source<'_>, config: &Config) -> Result<()> {
    let apps = || std::iter::once(&config.app).chain(config.apps.values());
    let healths =
        std::iter::once(&config.health).chain(config.apps.values().chain([&config.app]).filter_map(|app| app.health.as_ref()));
    let mut found = vec![project_name(source, &config.project.name, "project.name")];
    let compose_projects =
        config.target.values().map(|section| &section.compose_project).chain([&config.project.compose_project]).flatten();
    found.extend(compose_projects.map(|name| project_name(source, name, "compose-project")));
    found.extend(config.target.values().map(|section| target(source, section)));
    found.extend(config.stack.shared.iter().flatten().map(|folder| shared_folder(source, folder)));
    found.push(rollout(source, &config.rollout));
    found.extend(apps().map(|one| app(source, one)));
    found.extend(healths.map(|one| health(source, one)));
    found.extend(config.edge.trusted_proxies.iter().flatten().map(|network| trusted_proxy(source, network)));
    found.push(database(source, &config.database));
    let images =
        [("[edge] image", &config.edge.image), ("[image] name", &config.image.name), ("[backup] image", &config.backup.image)];
    found.extend(images.into_iter().filter_map(|(key, image)| Some(image_name(source, key, image.as_deref()?))));
    Error::all(found.into_iter().filter_map(Result::err).collect())
}

fn target(source: Source<'_>, section: &TargetSection) -> Result<()> {
    if let Some(root) = section.root.as_deref().filter(|root| !is_safe_root(root)) {
        return Err(source
            .error_near(root, format!("the root `{root}` is not an absolute path of plain characters"))
            .hint("letters, digits and ._-/ only, two folders deep at least or not below a system folder: /srv/name"));
    }
    let good = |url: &str| url.starts_with("http://") || url.starts_with("https://");
    if let Some(url) = section.url.as_deref().filter(|url| !good(url)) {
        return Err(source
            .error_near(url, format!("the url `{url}` is not an address"))
            .hint("https://example.com, as in a browser"));
    }
    Ok(())
}

fn shared_folder(source: Source<'_>, folder: &str) -> Result<()> {
    if is_plain_folder(folder) {
        return Ok(());
    }
    Err(source
        .error_near(folder, format!("the shared folder `{folder}` is not a relative path of plain characters"))
        .hint("letters, digits and ._-/ only, from the Compose file's folder"))
}

/// A folder below the root that can be a word of a command: of plain characters, and going nowhere else.
pub(super) fn is_plain_folder(folder: &str) -> bool {
    let plain = folder.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
    !folder.is_empty() && !folder.starts_with(['/', '-']) && !folder.contains("..") && plain
}

fn rollout(source: Source<'_>, rollout: &RolloutSection) -> Result<()> {
    if let Some(rate) = rollout.max_error_rate.filter(|rate| !(0.0..=1.0).contains(rate)) {
        return Err(source.error_near("max-error-rate", format!("max-error-rate is {rate}; it is a share from 0 to 1")));
    }
    if let Some(steps) = &rollout.steps {
        let is_good = |steps: &[u8]| !steps.is_empty() && steps.iter().all(|step| (1..100).contains(step)) && steps.is_sorted();
        if !is_good(steps) {
            return Err(source
                .error_near(
                    "steps",
                    "the steps of a canary are shares in percent, from 1 to 99, each at least as large as the one before",
                )
                .hint("steps = [5, 25, 50]"));
        }
    }
    if let Some(ratio) = rollout.max_p95_ratio.filter(|ratio| !(1.0..=1000.0).contains(ratio)) {
        return Err(source
            .error_near("max-p95-ratio", format!("max-p95-ratio is {ratio}; it is 1 or more: 1.5 allows half as long again")));
    }
    if let Some(keep) = rollout.keep_releases.filter(|keep| *keep < 2) {
        return Err(source
            .error_near("keep-releases", format!("keep-releases is {keep}; without a previous release there is no way back"))
            .hint("set it to 2 or more"));
    }
    Ok(())
}

fn app(source: Source<'_>, app: &AppSection) -> Result<()> {
    let mut ports = app.port.into_iter().chain(app.ports.iter().flatten().map(|port| port.port));
    if ports.any(|port| port == 0) {
        return Err(source.error_near("port", "port 0 is not allowed"));
    }
    if app.port.is_some() && app.ports.is_some() {
        return Err(source
            .error_near("ports", "an app has either `port` or `ports`")
            .hint("put the port into the list: ports = [{ port = 8000 }]"));
    }
    Ok(())
}

fn health(source: Source<'_>, health: &HealthSection) -> Result<()> {
    if let Some(path) = health.path.as_deref().filter(|path| !is_request_path(path)) {
        return Err(source
            .error_near(path, format!("health.path `{path}` is not the path of a request"))
            .hint("it begins with / and has no space in it"));
    }
    if let Some(status) = health.expect_status.filter(|status| !(100..600).contains(status)) {
        return Err(source.error_near("expect-status", format!("expect-status {status} is no HTTP status")));
    }
    if let Some(status) = health.accept.iter().flatten().find(|status| !(100..600).contains(*status)) {
        return Err(source.error_near("accept", format!("accept: {status} is no HTTP status")));
    }
    if let Some(host) = health
        .host
        .as_deref()
        .filter(|host| host.is_empty() || !host.bytes().all(|b| b.is_ascii_graphic() && !b"'\"\\|&;<>`$".contains(&b)))
    {
        return Err(source
            .error_near(host, format!("health.host `{host}` is not the name of a host"))
            .hint("as in the Host header of a request: example.com"));
    }
    Ok(())
}

fn trusted_proxy(source: Source<'_>, network: &str) -> Result<()> {
    let (address, bits) = network.split_once('/').unwrap_or((network, "32"));
    if address.parse::<std::net::IpAddr>().is_ok() && bits.parse::<u8>().is_ok() {
        return Ok(());
    }
    Err(source
        .error_near(network, format!("`{network}` in trusted-proxies is neither an address nor a network"))
        .hint("203.0.113.7, or 203.0.113.0/24"))
}

fn database(source: Source<'_>, database: &DatabaseSection) -> Result<()> {
    if database.keep_backups == Some(0) {
        return Err(source
            .error_near("keep-backups", "keep-backups is 0; no backup would be there when it is needed")
            .hint("1 at least"));
    }
    if database.lock_timeout.is_some_and(|timeout| timeout.0 == 0) {
        return Err(source
            .error_near("lock-timeout", "lock-timeout is 0s, by which PostgreSQL would wait for ever")
            .hint("1s at least"));
    }
    Ok(())
}

/// A name that Docker may have for an image: it becomes words of commands on both sides.
fn image_name(source: Source<'_>, key: &str, name: &str) -> Result<()> {
    let good = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b))
        && name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if good {
        return Ok(());
    }
    Err(source
        .error_near(name, format!("{key} `{name}` is not the name of an image"))
        .hint("letters, digits and ._-/:@ only, as in `docker pull`: registry.example.com/team/app:tag"))
}

fn project_name(source: Source<'_>, name: &str, key: &str) -> Result<()> {
    let good = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && name.len() <= 63;
    if good {
        return Ok(());
    }
    Err(source
        .error_near(&format!("\"{name}\""), format!("{key} `{name}` is not a name that Docker and Compose take"))
        .hint("lower-case letters, digits, - and _, beginning with a letter or digit, 63 at most"))
}

fn is_safe_root(root: &str) -> bool {
    const SYSTEM: [&str; 14] =
        ["/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/opt", "/proc", "/root", "/srv", "/sys", "/usr", "/var"];
    // Below these nobody keeps an application, and some programs read all that is there.
    const NEVER: [&str; 8] = ["/bin/", "/boot/", "/dev/", "/etc/", "/lib/", "/proc/", "/sbin/", "/sys/"];
    let plain = root.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
    root.starts_with('/')
        && plain
        && !["/..", "//", "/./"].iter().any(|part| root.contains(part))
        && !SYSTEM.contains(&root.trim_end_matches('/'))
        && !NEVER.iter().any(|folder| root.starts_with(folder))
        && root.len() > 2
}

pub(super) fn is_request_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && !b"'\"\\|&;<>`$".contains(&b))
}
