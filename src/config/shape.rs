//! The shape of deploy.toml. The documentation of each key here is the one source of the schema that
//! `estiba config schema` prints and of the reference in `docs/`.

mod alerts;
mod data;
mod fleet;
mod proof;
mod rollout;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Seconds;

pub use alerts::{AlertOn, AlertsSection, EmailSection, WatchSection, WebhookSection};
pub use data::{Backup, BackupSection, CacheSection, DatabaseSection, DuringMigrations, Engine, Restore};
pub use fleet::{FleetMode, WaveSize};
pub use proof::{
    JsonScalar, LoadSection, MetricSection, RequireSection, ScanSection, SmokeSection, StepPlace, StepSection, TestSection,
};
pub use rollout::{Inconclusive, RolloutSection, Sticky, Strategy};

/// deploy.toml: what to deploy, and where to.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// What was filled in from the environment and is no name of a host or a port: not for anybody's eyes.
    #[serde(skip)]
    pub secrets: Vec<String>,
    /// The project itself.
    pub project: ProjectSection,
    /// The places to deploy to, by name. A lone target needs no name on the command line.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub target: BTreeMap<String, TargetSection>,
    /// The Compose stack.
    #[serde(default)]
    pub stack: StackSection,
    /// The application: the service that runs blue and green.
    #[serde(default)]
    pub app: AppSection,
    /// Further applications of the same stack, by their services' names, each with the keys of `[app]`. All of a project
    /// change over in one transaction.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub apps: BTreeMap<String, AppSection>,
    /// What a service of the Compose file is, where the convention would not see it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, ServiceSection>,
    /// The edge: estiba's own small proxy in front of each app, under the app's own name.
    #[serde(default)]
    pub edge: EdgeSection,
    /// The application's image and how it gets to the server.
    #[serde(default)]
    pub image: ImageSection,
    /// Of older files; only `drain-timeout` still means something, and `[edge] drain-timeout` goes before it.
    #[serde(default)]
    pub proxy: ProxySection,
    /// What a healthy release answers.
    #[serde(default)]
    pub health: HealthSection,
    /// How a new release takes over.
    #[serde(default)]
    pub rollout: RolloutSection,
    /// The team's own tests, run with the new image before anything is touched.
    #[serde(default)]
    pub test: TestSection,
    /// A scanner that looks at the new image before anything is touched.
    #[serde(default)]
    pub scan: ScanSection,
    /// Requests that the new release must answer before anybody else gets it, one after another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub smoke: Vec<SmokeSection>,
    /// The same requests to the new release and to the one that serves, in turn, before anybody else gets the new one.
    #[serde(default)]
    pub load: LoadSection,
    /// What is measured of a new release while a canary runs and while it is observed, beside its answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metric: Vec<MetricSection>,
    /// The team's own steps of a deploy, each with its undo. A rollback has none of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub step: Vec<StepSection>,
    /// The database behind the application.
    #[serde(default)]
    pub database: DatabaseSection,
    /// The cache behind the application.
    #[serde(default)]
    pub cache: CacheSection,
    /// The backup service: scheduled backups, copies elsewhere, drills.
    #[serde(default)]
    pub backup: BackupSection,
    /// Who is told of what becomes of deploys and backups.
    #[serde(default)]
    pub alerts: AlertsSection,
    /// What the server looks at by itself between deploys: the site, its containers, disks, certificate and backups. What changes is told
    /// by `[alerts]`. Default: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch: Option<WatchSection>,
}

/// `[project]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProjectSection {
    /// The project's name: lower-case letters, digits, `-` and `_`, beginning with a letter or digit.
    pub name: String,
    /// The Compose project on the server. Only to take over a stack that runs already, with its
    /// volumes. Default: the project's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compose_project: Option<String>,
    /// The variables of the environment that may fill deploy.toml and the env file: of others, who may write to the repository
    /// gets nothing. Default: all but those of estiba (`ESTIBA_…`), of GitHub and of its runner (`GITHUB_…`, `ACTIONS_…`,
    /// `RUNNER_…`), which fill nothing at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variables: Option<Vec<String>>,
}

/// How commands on the server get the rights that they need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Become {
    /// By `sudo -n`.
    Sudo,
}

/// `[target.NAME]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TargetSection {
    /// Another target, whose keys are this one's too where it does not name them itself. Its `hosts`, `inventory`, `labels`, `host-keys`,
    /// `url` and `require` are not: they belong to that place. A file `.env.<target>` goes before the other one's `env-file`. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extends: Option<String>,
    /// Is `env-file` that of the target that this one extends?
    #[serde(skip)]
    pub inherits_env_file: bool,
    /// `user@host[:port]`, or `local` for the machine that deploys, without SSH; several are a fleet of identical servers, deployed to as one: see docs/fleets.md. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// A file of more hosts, a line each, with labels behind it (docs/fleets.md). `--inventory FILE` replaces it and `hosts`. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inventory: Option<String>,
    /// Labels that its hosts must have to be the target's, all of them; `--label KEY=VALUE` asks for more. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// SHA-256 fingerprints (`SHA256:…`, or `HOST SHA256:…` for one host of a fleet), whole known_hosts lines, or the path of a
    /// known_hosts file. Default: `~/.ssh/known_hosts`. The host key is always verified. `ESTIBA_HOST_KEYS`, a line each, takes their place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_keys: Vec<String>,
    /// The private key's file; or the file of a public key, a public key, or a key's fingerprint, which choose one of the SSH
    /// agent's keys. The key itself in `ESTIBA_SSH_KEY` goes before it, with a certificate of its own in `ESTIBA_SSH_CERTIFICATE`;
    /// a certificate in `FILE-cert.pub` beside the key is offered with it. Without any of these the agent's keys are offered, then
    /// `~/.ssh/id_ed25519`, `id_ecdsa` and `id_rsa`. A key's passphrase comes from `ESTIBA_SSH_PASSPHRASE`, or is asked for on a
    /// terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Hosts on the way there (`user@host[:port]`), in the order in which they are passed. Each host key is verified as that of the
    /// server is, and each gets the same `identity`. Default: what `~/.ssh/config` says, where that is read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jump: Vec<String>,
    /// Is `~/.ssh/config` of this machine followed (HostName, Port, IdentityFile, IdentitiesOnly, IdentityAgent, CertificateFile,
    /// ProxyJump, ProxyCommand, HostKeyAlias, UserKnownHostsFile; with Match and Include), as `ssh -G` reads it? Default: yes where a
    /// person works, no where `CI` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh_config: Option<bool>,
    /// `sudo`: every command there is run by `sudo -n`, for a user who may not run docker. The user needs `NOPASSWD`. Default: none.
    #[serde(rename = "become", skip_serializing_if = "Option::is_none")]
    pub becomes: Option<Become>,
    /// The Compose project of this target, where another target of the same server has the project's own name. The
    /// image is named after it too. Default: `project.compose-project`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compose_project: Option<String>,
    /// The folder on the server. Default: `/srv/<project>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The site's address as its users type it (http or https). The client looks at it before a deploy is
    /// confirmed, and its host name is the Host header of health checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A text that the page at `url` must hold for a deploy to be confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_contains: Option<String>,
    /// Template of the env file; `${NAME}` comes from the environment. Default: `.env.<target>`, else
    /// `.env`, else the only `.env.*` there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_file: Option<String>,
    /// What must hold before a deploy to this target begins; `--override REASON` deploys nevertheless, and the history keeps the
    /// reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require: Option<RequireSection>,
    /// What a host that fails means for the others. Default: `together`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetMode>,
    /// How many hosts get a release at a time, wave by wave: numbers of hosts, or shares of all (`"25%"`). The last one is repeated
    /// until all have it. Default: all at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<WaveSize>,
    /// The rest between two waves, in which the hosts of the first one are looked at. Default: 0s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wave_pause: Option<Seconds>,
    /// How many hosts may fail, or not be reached, without a meaning for the others. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_failures: Option<u32>,
}

/// `[stack]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StackSection {
    /// The team's own Compose file, or a list of files that Compose puts together, the first one first. Default: what
    /// Compose itself would take (`compose.yaml`, `compose.yml`, `docker-compose.yml`), without an override file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compose: Option<OneOrMany>,
    /// The profiles of the Compose file that are deployed. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profiles: Option<Vec<String>>,
    /// Folders and files that outlive releases. Default: the folders that the app and another service both mount, and those
    /// that a service writes to and that hold data by their name or place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<Vec<String>>,
    /// Files and folders whose text files are templates: `{{ target }}` and the like are filled in. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub templates: Option<Vec<String>>,
    /// A Compose file whose service `[test] service` tests the new image, in a project of its own. Default: no tests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_compose: Option<String>,
    /// How a service of the stack takes over changed files without being replaced, by the service's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reload: BTreeMap<String, ReloadSection>,
}

/// `[stack.reload.SERVICE]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ReloadSection {
    /// A command in the service's container that tells whether it takes the new files: any exit status but 0 is a no, and the
    /// files go back. Empty: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
    /// The command in the service's container that has it read its files again. Empty: it sees them by itself.
    pub run: String,
}

/// `[services.NAME]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ServiceSection {
    /// `app` answers requests and has an edge, `worker` follows the apps, `job` ends by itself, `stack` is everything else.
    /// Default: see docs/services.md.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<ServiceKind>,
}

/// What a service is to a deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceKind {
    /// It answers requests, runs blue and green, and has an edge.
    App,
    /// It follows the apps: it changes over with them.
    Worker,
    /// It ends by itself.
    Job,
    /// It stays when a release changes.
    Stack,
}

/// `[edge]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EdgeSection {
    /// The edge's image: HAProxy 2.4 or newer. The server keeps the one that it was first deployed with; another one is
    /// taken with `--allow-replace`. Default: `haproxy:lts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The longest wait for requests in flight to the old release. Default: 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_timeout: Option<Seconds>,
    /// Beginnings of further labels that tell others how to find the app: those go to the edge, and not to the slots.
    /// Default: none beside those of Traefik, Caddy and nginx-proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// Addresses and networks (`203.0.113.0/24`) whose `X-Forwarded-*` headers are passed on, besides the stack's own
    /// networks and this machine. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_proxies: Option<Vec<String>>,
    /// A page of the project that people see while the site is in maintenance. Default: `maintenance.html` beside the
    /// Compose file or in a folder of the proxy's, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<String>,
}

/// What is spoken on a port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// HTTP/1.1, WebSockets and event streams among it.
    #[default]
    Http,
    /// HTTP/2 without TLS, gRPC for one.
    H2c,
    /// Anything else: uwsgi, FastCGI. Its answers cannot be judged.
    Tcp,
}

/// A port of an app.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PortSection {
    /// The TCP port that the app listens on in its container.
    pub port: u16,
    /// `http` (default), `h2c` or `tcp`.
    #[serde(default)]
    pub protocol: Protocol,
}

/// A text, or a list of texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OneOrMany(pub Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![text.to_owned()]))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMany, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
                Ok(OneOrMany(texts))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for OneOrMany {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OneOrMany".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]})
    }
}

/// `[app]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AppSection {
    /// The service that runs blue and green. Default: the built one that answers requests; in `[apps.NAME]`, NAME.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The TCP port it listens on in its container. Default: from `expose`, `ports` or the
    /// healthcheck's address, from what the proxy asks, the command's `--bind` or the Dockerfile's EXPOSE, else 8000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// All ports that it listens on, the one that its health is asked on first:
    /// `[{ port = 8000, protocol = "http" }, { port = 9000, protocol = "h2c" }]`. Default: `port`, and the others that are
    /// exposed or published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<PortSection>>,
    /// This app's own `[health]`. Default: `[health]` for `[app]`; for others the healthcheck's path, else that the port
    /// takes connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthSection>,
    /// Services that follow the app. Default: the other services of the same build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<Vec<String>>,
    /// May old and new workers run side by side? Default: false, so that the old ones stop first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap: Option<bool>,
    /// Command that migrates the database, run in the new image before it starts. Default: Django's,
    /// where manage.py lies beside the Dockerfile. Empty: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migrate: Option<String>,
    /// Command that lists the migrations that are pending, run in the new image: lines that begin with `[X]` are
    /// applied, every other line is one that is not. Default: Django's, where manage.py lies beside the Dockerfile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_migrations: Option<String>,
    /// Command that takes an app's migrations back to a named one, with `{app}` and `{migration}` in it; with `--plan`
    /// behind it, it says what it would do. Default: Django's, where manage.py lies beside the Dockerfile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reverse_migration: Option<String>,
    /// A migration that takes longer has failed. Default: 30m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migrate_timeout: Option<Seconds>,
    /// Command that collects static files. Default: Django's, where manage.py lies beside the
    /// Dockerfile and a shared folder is called static or staticfiles. Empty: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collect_static: Option<String>,
    /// Folders and volumes of static files, as the Compose file's `volumes` name them. Each release has files of its own
    /// there; a switch adds them to what the proxy reads. Default: what apps and workers write to that is called static.
    /// Empty: none; all releases share them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#static: Option<Vec<String>>,
}

/// How the image gets to the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ImageSource {
    /// Built here, sent over SSH.
    #[default]
    Build,
    /// The build context is sent and built there.
    Server,
    /// Pulled there from a registry, by digest.
    Registry,
    /// An archive is sent over SSH.
    Archive,
}

/// `[image]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ImageSection {
    /// The image's name without a tag. Default: the project's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `build`: built here, sent over SSH. `server`: the context is sent and built there. `registry`: pulled there, by the
    /// digest that `reference` has now. `archive`: the archive is sent over SSH. Default: what `reference` or `archive`
    /// says, else `build`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<ImageSource>,
    /// The build context. Default: the service's `build` in the Compose file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The Dockerfile, relative to the context. Default: the service's, else `Dockerfile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// The image in a registry, as `registry.example.com/team/app:main`. Its digest is asked for once, by the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Who may read it. The server logs in with a configuration of its own, and that is gone after the pull.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// That user's password or token, as `${NAME}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// An image in a file, as `docker save` or `docker buildx build --output type=oci` writes it, for one
    /// platform or for several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
}

/// `[proxy]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProxySection {
    /// Accepted from older files, and not needed any more: which services are proxies is seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Accepted from older files, and not needed any more: the edge leaves a proxy's files as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// The same as `[edge] drain-timeout`, from older files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_timeout: Option<Seconds>,
}

/// `[health]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HealthSection {
    /// Path that is asked for. Default: from the app's healthcheck, else `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The HTTP status of a healthy answer. Default: 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect_status: Option<u16>,
    /// HTTP statuses that the page at `/` may answer with, although people who come there see no page: `[401]`, say. Without it, a
    /// release whose `/` answers an error of the server (500 and above), or worse than that of the release before, is not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept: Option<Vec<u16>>,
    /// Time between two looks. Default: 1s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Seconds>,
    /// A release that is not healthy by then has failed. Default: 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Seconds>,
    /// The Host header of health requests. Default: the host of `url`, else `localhost`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// The JSON Schema of deploy.toml.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Config).to_value()
}
