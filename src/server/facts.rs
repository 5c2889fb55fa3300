//! Everything the client must know of a server, from one round trip.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

use super::protocol::{Fact, Repeated, marker};

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
    /// How long the last deploys took, oldest first.
    pub durations: Vec<Durations>,
}

/// How long a deploy took on the server, in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Durations {
    /// All of it.
    pub all: u64,
    /// Each of its steps.
    pub steps: BTreeMap<String, u64>,
}

impl Durations {
    fn parse(all: &str, steps: &str) -> Option<Self> {
        let step = |pair: &str| {
            let (name, took) = pair.split_once(':')?;
            Some((name.to_owned(), took.parse().ok()?))
        };
        Some(Self { all: all.parse().ok()?, steps: steps.split(',').filter_map(step).collect() })
    }
}

/// Of these each word is the id of a release, of an image or of a run, or a word of estiba's own.
const NAMES: [&str; 12] = [
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
    "warm",
];

fn is_name(word: &str) -> bool {
    word.len() <= 100 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte))
}

impl Facts {
    /// Reads what facts.sh printed; whatever a login shell printed before it is passed over.
    pub fn parse(text: &str) -> Result<Self> {
        let mut facts = Self::default();
        let mut lines = text.lines().skip_while(|line| *line != marker::FACTS).skip(1);
        for line in &mut lines {
            if line == marker::END {
                return Ok(facts);
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            // These go into outputs, links and paths: the server's own are names.
            if NAMES.contains(&key) && !value.split(' ').all(is_name) {
                return Err(Error::failed(format!("the server reports a `{key}` that estiba never writes: {value}"))
                    .hint("somebody changed the target's root on the server: undo that change"));
            }
            let words: Vec<&str> = value.splitn(4, ' ').collect();
            match (Repeated::named(key), words.as_slice()) {
                (Some(Repeated::Release), [id, image, there, ..]) => facts.releases.push(KeptRelease {
                    id: (*id).to_owned(),
                    image: (*image).to_owned(),
                    present: *there == "present",
                }),
                (Some(Repeated::CurrentFile), _) => {
                    if let Some((digest, path)) = value.split_once("  ") {
                        facts.files.insert(path.to_owned(), digest.to_owned());
                    }
                }
                (Some(Repeated::CurrentEnv), [name, digest, ..]) => {
                    facts.environment.insert((*name).to_owned(), (*digest).to_owned());
                }
                (Some(Repeated::Container), [service, state, id, rest]) => {
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
                (Some(Repeated::EnvironmentMoved), _) => facts.environments_moved.push(value.to_owned()),
                (Some(Repeated::Edited), _) => facts.edited.push(value.to_owned()),
                (Some(Repeated::SlotImage), [service, image, release]) if facts.get(Fact::Current) == Some(release) => {
                    facts.images.insert((*service).to_owned(), (*image).to_owned());
                }
                (Some(Repeated::Edge), [app, slot, ..]) => drop(facts.edges.insert((*app).to_owned(), (*slot).to_owned())),
                (Some(Repeated::OwnImage), [variable, id, ..]) => {
                    drop(facts.own_images.insert((*variable).to_owned(), (*id).to_owned()))
                }
                (Some(Repeated::Deployed), [all, steps, ..]) => facts.durations.extend(Durations::parse(all, steps)),
                (Some(Repeated::OpenRun), _) => facts.open_runs.push(value.to_owned()),
                (None, _) => drop(facts.values.insert(key.to_owned(), value.to_owned())),
                // A line that was cut, or is of another release.
                (Some(_), _) => {}
            }
        }
        Err(Error::failed("the server's first answer was cut short: try again"))
    }

    /// The same, where what serves is no release but a commit of that name.
    pub fn of_commit(mut self, name: &str) -> Self {
        self.values.insert(Fact::Current.name().into(), name.to_owned());
        self
    }

    /// A single value; `None` where it is empty or missing.
    pub fn get(&self, fact: Fact) -> Option<&str> {
        self.value(fact.name())
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The release that serves.
    pub fn current(&self) -> Option<&str> {
        self.get(Fact::Current)
    }

    /// The one before it.
    pub fn previous(&self) -> Option<&str> {
        self.get(Fact::Previous)
    }

    /// The release that was kept warm: a rollback to it is a switch.
    pub fn warm(&self) -> Option<&str> {
        self.get(Fact::Warm)?.split(' ').next()
    }

    /// Who holds the lock, and since when.
    pub fn lock(&self) -> Option<&str> {
        self.get(Fact::Lock)
    }

    /// The slot of the release that serves.
    pub fn slot(&self) -> Option<&'static str> {
        let current = self.current()?;
        [("blue", Fact::SlotBlue), ("green", Fact::SlotGreen)]
            .into_iter()
            .find_map(|(slot, fact)| (self.get(fact) == Some(current)).then_some(slot))
    }

    /// A shell-quoted value of the current release's own files, taken out of its quotes.
    pub fn current_setting(&self, key: &str) -> Option<String> {
        let quoted = self.value(&format!("current_{key}"))?;
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
        let machine = match self.get(Fact::Machine)? {
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
        let number = |fact| self.get(fact).and_then(|value| value.parse::<u64>().ok());
        number(Fact::FreeKb).into_iter().chain(number(Fact::DockerFreeKb)).min()
    }

    /// Refuses a server that cannot take a deploy, with what to do about it.
    pub fn check(&self) -> Result<()> {
        let user = self.get(Fact::User).unwrap_or("the user");
        if let Some(error) = self.get(Fact::DockerError) {
            return Err(Error::failed(format!("the server's Docker does not answer {user}: {error}"))
                .hint("is Docker Engine installed and running, and is the user in the group `docker`?"));
        }
        if self.get(Fact::Compose).is_none() {
            return Err(Error::failed("the server has no Compose v2 (`docker compose version` fails)")
                .hint("install the package docker-compose-plugin (Docker's own) or docker-compose-v2 (Ubuntu's)"));
        }
        if let Some(lacks) = self.get(Fact::Lacks) {
            return Err(Error::failed(format!("the server lacks {lacks}")).hint("install that package"));
        }
        if let Some(folder) = self.get(Fact::Unwritable) {
            return Err(Error::failed(format!("{user} cannot write to {folder} on the server"))
                .hint(format!("as root there: install -d -o {user} /srv/NAME, or set the target's `root`")));
        }
        if let Some(owner) = self.get(Fact::ForeignOwner) {
            return Err(Error::failed(format!("the target's folder on the server belongs to {owner}, not to {user} or root"))
                .hint("whoever owns it could put anything in the place of a release: chown it, or set the target's `root`"));
        }
        if let Some(folder) = self.get(Fact::OpenToAll) {
            return Err(Error::failed(format!("every user of the server may write to {folder}"))
                .hint(format!("whoever may could put anything in the place of a release: chmod o-w {folder}")));
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
            assert!(said.contains("that estiba never writes"), "{said}");
        }
    }

    #[test]
    fn any_answer_is_facts_with_names_or_an_error() {
        let good = [
            "estiba:facts\ncurrent=r1\nslot_green=r1\nrelease=r1 sha256:a present\ncontainer=web-green running 12 - r1 unhealthy\ncontainer=web running 14 edge  \ncurrent_file=ab  files/stack.yml\ncurrent_env=KEY 00\nedge=web green\nown_image=IMAGE sha256:b x\nestiba:end\n",
            "estiba:facts\ndocker=27.1\narchitecture=x86_64\nfree_kb=1000\nlock=free\nopen_run=20260101T000000Z-deploy-1\nlast_deploy={\"outcome\":\"deployed\"}\nenvironment_moved=web\nedited=stack/a\nestiba:end\n",
        ];
        let good: Vec<Vec<u8>> = good.iter().map(|text| text.as_bytes().to_vec()).collect();
        crate::fuzz::read("facts", &good, |text| {
            let Ok(facts) = Facts::parse(&String::from_utf8_lossy(text)) else { return };
            let names = [facts.current(), facts.previous(), facts.slot()];
            assert!(names.into_iter().flatten().flat_map(|name| name.split(' ')).all(is_name), "{names:?}");
            let _ = (facts.platform(), facts.free_kb(), facts.check(), facts.lock(), facts.current_words("shared"));
            let status = super::super::Status::of("root@h", &facts);
            assert!(serde_json::to_string(&status).is_ok());
        });
    }
}
