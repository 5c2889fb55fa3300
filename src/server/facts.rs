//! Everything the client must know of a server, from one round trip.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// A release that can be rolled back to, or could if its image were still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRelease {
    /// Its id.
    pub id: String,
    /// Its image's id.
    pub image: String,
    /// Is the image still on the server?
    pub present: bool,
}

/// A container of the Compose project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its service.
    pub service: String,
    /// `running`, `exited` and so on.
    pub state: String,
    /// Its short id.
    pub id: String,
    /// The release it belongs to; empty for services of the stack.
    pub release: String,
    /// `healthy`, `unhealthy` or `starting`, where it has a healthcheck.
    pub health: Option<&'static str>,
    /// Is it an edge?
    pub is_edge: bool,
}

/// What one look at a server told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    values: BTreeMap<String, String>,
    /// Releases that were committed once, oldest first.
    pub releases: Vec<KeptRelease>,
    /// SHA-256 of each file of the current release.
    pub files: BTreeMap<String, String>,
    /// Salted digest of each line of the current release's env file, by its key.
    pub environment: BTreeMap<String, String>,
    /// The project's containers.
    pub containers: Vec<Container>,
    /// Files of the current release, or of the edge, that are not what they were.
    pub edited: Vec<String>,
    /// Services of the current release whose containers have another environment than it was committed with.
    pub environments_moved: Vec<String>,
    /// The image that each service of the current release runs, by service.
    pub images: BTreeMap<String, String>,
    /// Runs that were interrupted and have no outcome yet.
    pub open_runs: Vec<String>,
    /// The slot that each edge serves, by its app.
    pub edges: BTreeMap<String, String>,
    /// The images of the release that serves, by the variables that they stand in: those that are there.
    pub own_images: BTreeMap<String, String>,
}

/// Of these each word is the id of a release, of an image or of a run, or a word of estiba's own.
const NAMES: [&str; 11] = [
    "current",
    "previous",
    "slot_blue",
    "slot_green",
    "release",
    "current_image",
    "tag_current",
    "tag_previous",
    "edge_image",
    "open_run",
    "backup",
];

fn is_name(word: &str) -> bool {
    word.len() <= 100 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte))
}

impl Facts {
    /// Reads what facts.sh printed; whatever a login shell printed before it is passed over.
    pub fn parse(text: &str) -> Result<Self> {
        let mut facts = Self::default();
        let mut lines = text.lines().skip_while(|line| *line != "estiba:facts").skip(1);
        for line in &mut lines {
            if line == "estiba:end" {
                return Ok(facts);
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            // These go into outputs, links and paths: the server's own are names.
            if NAMES.contains(&key) && !value.split(' ').all(is_name) {
                return Err(Error::failed(format!("the server's answer has a `{key}` that is no name of estiba's: {value}"))
                    .hint("somebody has changed what lies in the target's folder on the server"));
            }
            let words: Vec<&str> = value.splitn(4, ' ').collect();
            match (key, words.as_slice()) {
                ("release", [id, image, there, ..]) => facts.releases.push(KeptRelease {
                    id: (*id).to_owned(),
                    image: (*image).to_owned(),
                    present: *there == "present",
                }),
                ("current_file", _) => {
                    if let Some((digest, path)) = value.split_once("  ") {
                        facts.files.insert(path.to_owned(), digest.to_owned());
                    }
                }
                ("current_env", [name, digest, ..]) => {
                    facts.environment.insert((*name).to_owned(), (*digest).to_owned());
                }
                ("container", [service, state, id, rest]) => {
                    let (edge, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                    let (release, status) = rest.split_once(' ').unwrap_or((rest, ""));
                    facts.containers.push(Container {
                        service: (*service).to_owned(),
                        state: (*state).to_owned(),
                        id: (*id).to_owned(),
                        release: release.to_owned(),
                        is_edge: edge == "edge",
                        health: ["unhealthy", "healthy", "starting"].into_iter().find(|health| status.contains(health)),
                    });
                }
                ("environment_moved", _) => facts.environments_moved.push(value.to_owned()),
                ("edited", _) => facts.edited.push(value.to_owned()),
                ("slot_image", [service, image, release]) if facts.get("current") == Some(release) => {
                    facts.images.insert((*service).to_owned(), (*image).to_owned());
                }
                ("edge", [app, slot, ..]) => drop(facts.edges.insert((*app).to_owned(), (*slot).to_owned())),
                ("own_image", [variable, id, ..]) => drop(facts.own_images.insert((*variable).to_owned(), (*id).to_owned())),
                ("open_run", _) => facts.open_runs.push(value.to_owned()),
                _ => {
                    facts.values.insert(key.to_owned(), value.to_owned());
                }
            }
        }
        Err(Error::failed("the server's answer to the first question was cut short"))
    }

    /// The same, where what serves is no release but a commit of that name.
    pub fn of_commit(mut self, name: &str) -> Self {
        self.values.insert("current".into(), name.to_owned());
        self
    }

    /// A single value; `None` where it is empty or missing.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The release that serves.
    pub fn current(&self) -> Option<&str> {
        self.get("current")
    }

    /// The one before it.
    pub fn previous(&self) -> Option<&str> {
        self.get("previous")
    }

    /// Who holds the lock, and since when.
    pub fn lock(&self) -> Option<&str> {
        self.get("lock")
    }

    /// The slot of the release that serves.
    pub fn slot(&self) -> Option<&'static str> {
        let current = self.current()?;
        ["blue", "green"].into_iter().find(|slot| self.get(&format!("slot_{slot}")) == Some(current))
    }

    /// A shell-quoted value of the current release's own files, taken out of its quotes.
    pub fn current_setting(&self, key: &str) -> Option<String> {
        let quoted = self.get(&format!("current_{key}"))?;
        shlex::split(quoted)?.into_iter().next()
    }

    /// The image of the release that serves which stands in this variable, where it is made of what this digest tells, and
    /// is still there.
    pub fn current_image(&self, variable: &str, digest: &str) -> Option<String> {
        let known = self.current_setting(&format!("DIGEST_{variable}"))?;
        (known == digest).then(|| self.own_images.get(variable).cloned()).flatten()
    }

    /// The words of such a value.
    pub fn current_words(&self, key: &str) -> Vec<String> {
        self.current_setting(key).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    }

    /// What its containers run on, as `linux/amd64`; `None` for a machine that Docker has no word for.
    pub fn platform(&self) -> Option<String> {
        let machine = match self.get("arch")? {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "armv7l" | "armv6l" => "arm",
            "i386" | "i686" => "386",
            same @ ("riscv64" | "ppc64le" | "s390x") => same,
            _ => return None,
        };
        Some(format!("linux/{machine}"))
    }

    /// Free space under the root and for Docker, the lesser of both, in KiB.
    pub fn free_kb(&self) -> Option<u64> {
        let number = |key| self.get(key).and_then(|value| value.parse::<u64>().ok());
        number("free_kb").into_iter().chain(number("docker_free_kb")).min()
    }

    /// Refuses a server that cannot take a deploy, with what to do about it.
    pub fn check(&self) -> Result<()> {
        let user = self.get("user").unwrap_or("the user");
        if let Some(error) = self.get("docker_error") {
            return Err(Error::failed(format!("the server's Docker does not answer {user}: {error}"))
                .hint("is Docker Engine installed and running, and is the user in the group `docker`?"));
        }
        if self.get("compose").is_none() {
            return Err(Error::failed("the server has no Compose v2 (`docker compose version` fails)")
                .hint("install the package docker-compose-plugin (Docker's own) or docker-compose-v2 (Ubuntu's)"));
        }
        if let Some(lacks) = self.get("lacks") {
            return Err(Error::failed(format!("the server lacks {lacks}")).hint("install that package"));
        }
        if let Some(folder) = self.get("unwritable") {
            return Err(Error::failed(format!("{user} cannot write to {folder} on the server"))
                .hint(format!("as root there: install -d -o {user} /srv/NAME, or set the target's `root`")));
        }
        if let Some(owner) = self.get("foreign") {
            return Err(Error::failed(format!("the target's folder on the server belongs to {owner}, not to {user} or root"))
                .hint("whoever owns it could put anything in the place of a release: chown it, or set the target's `root`"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_before_the_answer_is_passed_over_and_a_cut_answer_is_none() {
        let text = "Welcome!\nestiba:facts\ncurrent=r1\nslot_green=r1\nrelease=r1 sha256:a present\ncontainer=web-green running 12 - r1 unhealthy\ncontainer=web running 14 edge  \ncontainer=db running 13 -  \ncurrent_file=ab  files/stack.yml\ncurrent_env=KEY 00\nestiba:end\n";
        let facts = Facts::parse(text).unwrap();
        assert_eq!((facts.current(), facts.slot(), facts.previous()), (Some("r1"), Some("green"), None));
        assert_eq!(facts.containers.len(), 3);
        assert_eq!((facts.containers[0].health, facts.containers[1].health), (Some("unhealthy"), None));
        assert!(facts.containers[1].is_edge && !facts.containers[0].is_edge);
        assert_eq!(facts.files["files/stack.yml"], "ab");
        assert!(facts.releases[0].present);
        assert!(Facts::parse(&text[..40]).is_err());
        for line in ["current=r1<img>", "previous=../r", "release=r1 sha256:a\u{1b} present", "current_image=$(x)"] {
            let said = Facts::parse(&format!("estiba:facts\n{line}\nestiba:end\n")).unwrap_err().to_string();
            assert!(said.contains("no name of estiba's"), "{said}");
        }
    }
}
