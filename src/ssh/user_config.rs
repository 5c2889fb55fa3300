//! What the SSH client of this machine is told of a host in `~/.ssh/config`. `ssh -G` reads that: it knows every keyword, `Match`,
//! `Include` and what a later version will know.

use std::time::Duration;

use camino::Utf8Path;

use crate::error::{Error, Result};
use crate::process;
use crate::text::Environment;

use super::Address;

/// What the settings say of one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserConfig {
    /// `HostName`: where the host really is.
    pub host: String,
    /// `User`.
    pub user: String,
    /// `Port`.
    pub port: u16,
    /// `IdentityFile`, all of them.
    pub identities: Vec<String>,
    /// `CertificateFile`, all of them.
    pub certificates: Vec<String>,
    /// `IdentitiesOnly`.
    pub only_identities: bool,
    /// `IdentityAgent`: a socket, or `none`.
    pub agent: Option<String>,
    /// `ProxyJump`: the hops, in the order in which they are passed.
    pub jump: Vec<String>,
    /// `ProxyCommand`, with its `%` words filled in.
    pub command: Option<String>,
    /// `HostKeyAlias`.
    pub known_as: Option<String>,
    /// `UserKnownHostsFile` and `GlobalKnownHostsFile`.
    pub known_hosts: Vec<String>,
}

/// The longest that ssh may take to read its settings, programs of `Match exec` included.
const PATIENCE: Duration = Duration::from_secs(10);

/// What ssh and the programs of its settings may need. Nothing else of the environment reaches them.
const HANDED_ON: [&str; 7] = ["HOME", "USER", "LOGNAME", "PATH", "SSH_AUTH_SOCK", "LANG", "TERM"];

impl UserConfig {
    /// Asks ssh what it is told of this host (`host`, `user@host` or `user@host:port`). `None` where the person has no
    /// `~/.ssh/config`, or this machine no ssh.
    pub fn read(given: &str, environment: &Environment) -> Result<Option<Self>> {
        let (user, host, port) = Address::parse_optional(given)?;
        // Programs that the settings name get these in their command lines, and who wrote deploy.toml may be somebody else.
        let is_plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "._:%-".contains(c));
        if !is_plain(&host) || !user.as_deref().is_none_or(is_plain) {
            return Ok(None);
        }
        let get = |name: &str| environment.get(name).map(String::as_str);
        let has_config = get("HOME").is_some_and(|home| Utf8Path::new(home).join(".ssh/config").is_file());
        let Some(ssh) = process::find("ssh", get("PATH").unwrap_or("/usr/bin")).filter(|_| has_config) else { return Ok(None) };
        let port = port.map(|port| port.to_string());
        let mut arguments = vec!["-G"];
        arguments.extend(user.iter().flat_map(|user| ["-l", user.as_str()]));
        arguments.extend(port.iter().flat_map(|port| ["-p", port.as_str()]));
        arguments.extend(["--", host.as_str()]);
        let handed: Vec<(&str, &str)> = HANDED_ON.into_iter().filter_map(|name| Some((name, get(name)?))).collect();
        let ended = process::read(&ssh, &arguments, &handed, PATIENCE)?;
        if !ended.success {
            return Err(Error::input(format!("ssh cannot read its settings for {host}: {}", ended.stderr.trim()))
                .hint("`ssh -G HOST` shows the same; `ssh-config = false` in the target leaves ~/.ssh/config alone"));
        }
        Ok(Some(Self::parse(&ended.stdout, &host)))
    }

    /// The address as it was given, with the user and port that the settings add.
    pub fn address(&self, given: &str) -> Result<Address> {
        let (user, host, port) = Address::parse_optional(given)?;
        Ok(Address { user: user.unwrap_or_else(|| self.user.clone()), host, port: port.unwrap_or(self.port) })
    }

    /// Reads what `ssh -G` printed: a keyword and its value a line.
    fn parse(text: &str, given: &str) -> Self {
        let mut config = Self { host: given.to_owned(), port: 22, ..Self::default() };
        let mut command = None;
        for line in text.lines() {
            let Some((keyword, value)) = line.split_once(' ') else { continue };
            let value = value.trim();
            let is_none = value == "none";
            match keyword {
                "hostname" => config.host = value.to_owned(),
                "user" => config.user = value.to_owned(),
                "port" => config.port = value.parse().unwrap_or(22),
                "identityfile" if !is_none => config.identities.push(value.to_owned()),
                "certificatefile" if !is_none => config.certificates.push(value.to_owned()),
                "identitiesonly" => config.only_identities = value == "yes",
                "identityagent" => config.agent = Some(value.to_owned()),
                "proxyjump" if !is_none => config.jump = value.split(',').map(|hop| hop.trim().to_owned()).collect(),
                "proxycommand" if !is_none => command = Some(value.to_owned()),
                "hostkeyalias" => config.known_as = Some(value.to_owned()),
                "userknownhostsfile" | "globalknownhostsfile" if !is_none => {
                    config.known_hosts.extend(value.split_whitespace().map(str::to_owned));
                }
                _ => {}
            }
        }
        config.command = command.map(|command| filled(&command, &config, given));
        config.identities = config.identities.iter().map(|path| filled(path, &config, given)).collect();
        config.certificates = config.certificates.iter().map(|path| filled(path, &config, given)).collect();
        config
    }
}

/// Fills in what ssh_config(5) knows of a ProxyCommand and of a key's path: `%d`, `%h`, `%n`, `%p`, `%r` and `%%`.
fn filled(command: &str, config: &UserConfig, given: &str) -> String {
    let mut filled = String::new();
    let mut letters = command.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            filled.push(letter);
            continue;
        }
        match letters.next() {
            Some('d') => filled.push('~'),
            Some('h') => filled.push_str(&config.host),
            Some('n') => filled.push_str(given),
            Some('p') => filled.push_str(&config.port.to_string()),
            Some('r') => filled.push_str(&config.user),
            Some('%') | None => filled.push('%'),
            Some(other) => filled.extend(['%', other]),
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_prints_is_read() {
        let text = "user ops\nhostname 203.0.113.9\nport 2222\nidentitiesonly yes\nidentityfile ~/.ssh/work\nidentityfile ~/.ssh/old\n\
                    proxyjump gate,inner@10.0.0.1:23\nproxycommand none\nuserknownhostsfile ~/.ssh/known_hosts ~/.ssh/known_hosts2\n\
                    identityagent /run/agent\nhostkeyalias box\ncertificatefile ~/.ssh/work-cert.pub\n";
        let config = UserConfig::parse(text, "prod");
        assert_eq!((config.host.as_str(), config.user.as_str(), config.port), ("203.0.113.9", "ops", 2222));
        assert_eq!(config.identities, ["~/.ssh/work", "~/.ssh/old"]);
        assert_eq!(config.jump, ["gate", "inner@10.0.0.1:23"]);
        assert_eq!((config.command, config.only_identities, config.agent.as_deref()), (None, true, Some("/run/agent")));
        assert_eq!(config.known_hosts, ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"]);
        let config = UserConfig::parse("hostname h.example\nuser me\nport 22\nproxycommand nc -x 100%% %h %p %r %n\n", "h");
        assert_eq!(config.command.as_deref(), Some("nc -x 100% h.example 22 me h"));
    }
}
