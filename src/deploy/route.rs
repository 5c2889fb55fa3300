//! How to get to a host of a target: the hops on the way, who we are to each, and its host keys. All is checked before anything is
//! dialled.

use camino::{Utf8Path, Utf8PathBuf};

use crate::config::{KNOWN_HOSTS, LOCAL, Project, Resolved};
use crate::error::Result;
use crate::ssh::{Address, Door, Hop, HostKeys, Identity, Settings, Sources, Traffic, UserConfig, local_fingerprint};

/// How to get to a host of the target.
pub(super) fn settings(project: &Project, resolved: &Resolved, host: &str) -> Result<Settings> {
    let home = project.environment.get("HOME").map(Utf8Path::new);
    // The key that `setup` made is offered first, where nobody says otherwise.
    let made = home.map(|home| key_path(home, resolved)).filter(|path| path.is_file());
    route(project, resolved, host, made.as_deref())
}

/// The same for a person, whose own keys are meant.
pub(super) fn settings_of_a_person(project: &Project, resolved: &Resolved, host: &str) -> Result<Settings> {
    route(project, resolved, host, None)
}

fn route(project: &Project, resolved: &Resolved, host: &str, made: Option<&Utf8Path>) -> Result<Settings> {
    let target = &resolved.target;
    if host == LOCAL {
        return here(project, resolved);
    }
    let (server, told) = hop(project, resolved, host, made)?;
    let mut proxy_command = None;
    // What deploy.toml says goes before what this machine's own settings say.
    let on_the_way = if target.jump.is_empty() {
        proxy_command.clone_from(&told.command);
        if told.command.is_some() { &[] } else { told.jump.as_slice() }
    } else {
        target.jump.as_slice()
    };
    let mut jump = Vec::new();
    for (at, text) in on_the_way.iter().enumerate() {
        // The made key is the server's own.
        let (one, told) = hop(project, resolved, text, None)?;
        if at == 0 {
            proxy_command = told.command;
        }
        jump.push(one);
    }
    Ok(Settings {
        server,
        jump,
        proxy_command,
        is_local: false,
        r#become: target.becomes,
        asker: project.asker.clone(),
        traffic: Traffic::default(),
        door: Door::default(),
    })
}

/// This very machine: what is dialled is a server of this process, whose key is known.
fn here(project: &Project, resolved: &Resolved) -> Result<Settings> {
    let host_keys = HostKeys::read(&[local_fingerprint()], &project.folder, None)?;
    let (address, identity) = (Address::local(), Identity::default());
    let server = Hop { address, real_host: None, known_as: None, host_keys, identity, password: false };
    Ok(Settings {
        server,
        jump: Vec::new(),
        proxy_command: None,
        is_local: true,
        r#become: resolved.target.becomes,
        asker: project.asker.clone(),
        traffic: Traffic::default(),
        door: Door::default(),
    })
}

/// The private key that `setup` makes for a target, on this machine.
pub(super) fn key_path(home: &Utf8Path, resolved: &Resolved) -> Utf8PathBuf {
    home.join(format!(".ssh/estiba-{}.{}", resolved.project, resolved.target.name))
}

/// One host on the way, and what this machine's own settings say of it.
fn hop(project: &Project, resolved: &Resolved, text: &str, made: Option<&Utf8Path>) -> Result<(Hop, UserConfig)> {
    let target = &resolved.target;
    let told = match target.ssh_config.value {
        true => UserConfig::read(text, &project.environment)?,
        false => None,
    };
    let mut host_keys = check_host_keys(project, resolved)?;
    let get = |name: &str| project.environment.get(name).map(String::as_str);
    let mut sources = Sources {
        key: get("ESTIBA_SSH_KEY").map(|key| (key, get("ESTIBA_SSH_CERTIFICATE"))),
        identity: target.identity.as_deref(),
        first: made,
        agent: get("SSH_AUTH_SOCK"),
        home: get("HOME"),
        passphrase: get("ESTIBA_SSH_PASSPHRASE"),
        is_attended: project.asker.is_there(),
        ..Sources::default()
    };
    let Some(told) = told else {
        let address = Address::parse(text)?;
        let identity = Identity::choose(&sources)?;
        return Ok((
            Hop { address, real_host: None, known_as: None, host_keys, identity, password: false },
            UserConfig::default(),
        ));
    };
    sources.files = Some(&told.identities);
    sources.certificates = &told.certificates;
    sources.only_files = told.only_identities;
    match told.agent.as_deref() {
        None | Some("SSH_AUTH_SOCK") => {}
        Some("none") => sources.agent = None,
        // The one that the settings name, as they name it: by its path, or by a variable.
        Some(named) => sources.agent = named.strip_prefix('$').map_or(Some(named), &get),
    }
    if target.host_keys.value == [KNOWN_HOSTS] {
        host_keys = host_keys.with_files(&told.known_hosts, get("HOME"));
    }
    let address = told.address(text)?;
    let real_host = (told.host != address.host).then(|| told.host.clone());
    let known_as = told.known_as.clone();
    let identity = Identity::choose(&sources)?;
    Ok((Hop { address, real_host, known_as, host_keys, identity, password: false }, told))
}

/// Reads the target's host keys; a wrong one is an input error with its place.
pub fn check_host_keys(project: &Project, resolved: &Resolved) -> Result<HostKeys> {
    let home = project.environment.get("HOME").map(String::as_str);
    HostKeys::read(&resolved.target.host_keys.value, &project.folder, home).map_err(|error| {
        let source = project.loaded.source();
        let section = format!("[target.{}]", resolved.target.name);
        let place = if source.text.contains("host-keys") { "host-keys" } else { section.as_str() };
        source.place(error, place).or_hint("host-keys pins the server: `ssh-keyscan HOST | ssh-keygen -lf -` prints its fingerprint, to be compared with the server's console")
    })
}
