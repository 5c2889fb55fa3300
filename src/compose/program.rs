//! Docker Compose on this machine: found by its absolute path, run with an environment of our own.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::error::{Answer, Error, Result};
use crate::private;
use crate::process::{self, Ended};
use crate::text::Environment;

/// Reading takes a fifth of a second; longer than this it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Folders where Docker looks for the plugins of all users.
const PLUGINS: [&str; 5] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
    "/Applications/Docker.app/Contents/Resources/cli-plugins",
];

/// The program that reads Compose files. It needs no Docker Engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compose {
    program: Utf8PathBuf,
}

impl Compose {
    /// Finds it: Docker's plugin, of the user or of all users, else `docker-compose` on the PATH.
    ///
    /// Where there is none, the error says what to install.
    pub fn find(environment: &Environment) -> Result<Self> {
        let get = |name: &str| environment.get(name).filter(|value| !value.is_empty());
        let home = get("HOME").map(Utf8PathBuf::from).or_else(process::home);
        let own = get("DOCKER_CONFIG").map(Utf8PathBuf::from).or_else(|| home.map(|home| home.join(".docker")));
        let plugins = own.map(|folder| folder.join("cli-plugins")).into_iter().chain(PLUGINS.map(Utf8PathBuf::from));
        let mut installed = plugins.map(|folder| folder.join("docker-compose"));
        let path = get("PATH").map(String::as_str).unwrap_or_default();
        let found = installed.find(|program| process::is_program(program)).or_else(|| process::find("docker-compose", path));
        let program = found.ok_or_else(|| {
            Error::input("Docker Compose is not installed on this machine, and it is what reads the Compose file")
                .hint("install Docker's plugin docker-compose-plugin (Debian: docker-compose; Ubuntu: docker-compose-v2), or put the standalone docker-compose 2.35 or newer on the PATH; no Docker Engine is needed")
        })?;
        Ok(Self { program })
    }

    /// Its path.
    pub fn program(&self) -> &Utf8Path {
        &self.program
    }

    /// Asks for the model of these files, of the project in that folder. What `${NAME}` may be filled from is `env_file`;
    /// nothing of the caller's own environment is.
    pub(super) fn config(
        &self,
        folder: &Utf8Path,
        files: &[Utf8PathBuf],
        project: &str,
        profiles: &[String],
        env_file: Option<&Utf8Path>,
    ) -> Result<Answer<Value>> {
        let mut arguments = vec!["--project-directory", folder.as_str(), "-p", project];
        arguments.extend(files.iter().flat_map(|file| ["-f", file.as_str()]));
        arguments.extend(profiles.iter().flat_map(|profile| ["--profile", profile.as_str()]));
        arguments.extend(["--env-file", env_file.map_or("/dev/null", Utf8Path::as_str), "config"]);
        if env_file.is_none() {
            arguments.push("--no-interpolate");
        }
        arguments.extend(["--no-path-resolution", "--no-env-resolution", "--format", "json"]);
        // What ${PWD} means is the Compose file's folder, wherever this process runs.
        let here = folder.canonicalize_utf8().unwrap_or_else(|_| folder.to_owned());
        let ended = self.run(&arguments, &[("PWD", here.as_str())])?;
        if ended.success {
            let model = serde_json::from_str(&ended.stdout);
            return model.map(Ok).map_err(|error| Error::failed(format!("Docker Compose printed no JSON: {error}")));
        }
        if ended.stderr.contains("unknown flag") || ended.stderr.contains("No such option") {
            let version = self.run(&["version", "--short"], &[])?.stdout;
            return Err(Error::input(format!(
                "Docker Compose {} at {} is too old to read the Compose file for estiba: {}",
                version.trim(),
                self.program,
                ended.stderr.trim()
            ))
            .hint(
                "put the docker-compose of Docker Compose 2.35 or newer into ~/.docker/cli-plugins, which is looked at first",
            ));
        }
        Ok(Err(ended.stderr))
    }

    /// Runs it with this environment and nothing else.
    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Ended> {
        // Without these two, `include` of an address would be fetched: the guard refuses such files before, too.
        let mut all = vec![("COMPOSE_EXPERIMENTAL_GIT_REMOTE", "false"), ("COMPOSE_EXPERIMENTAL_OCI_REMOTE", "false")];
        all.extend([("HOME", "/nonexistent"), ("DOCKER_CONFIG", "/nonexistent"), ("COMPOSE_MENU", "false")]);
        all.extend(environment);
        process::read(&self.program, arguments, &all, PATIENCE)
    }
}

/// The variables of an env file in their order by name, as Compose reads it: quotes, escapes, values of several lines,
/// variables made of earlier ones and of `environment`.
pub fn parse_env_file(compose: &Compose, text: &str, environment: &Environment) -> Result<Answer<Vec<(String, String)>>> {
    let cannot = |error: std::io::Error| Error::failed(format!("the env file cannot be handed to Docker Compose: {error}"));
    let (_folder, folder) = private::folder()?;
    let path = |name: &str| folder.join(name).into_string();
    std::fs::write(path("env"), text).map_err(cannot)?;
    let model = serde_json::json!({"services": {"env": {"image": "env", "env_file": [{"path": path("env")}]}}});
    std::fs::write(path("compose.json"), model.to_string()).map_err(cannot)?;
    // By a file, not by its environment: that may be looked at while it runs.
    let values = environment.iter().map(|(name, value)| format!("{name}={}\n", quote_env_value(value)));
    std::fs::write(path("values"), values.collect::<String>()).map_err(cannot)?;
    let (file, values) = (path("compose.json"), path("values"));
    let arguments = ["-p", "env", "-f", &file, "--env-file", &values, "config", "--format", "json"];
    let ended = compose.run(&arguments, &[])?;
    if !ended.success {
        return Ok(Err(ended.stderr.replace(&path("env"), "the env file").trim().to_owned()));
    }
    let model: Value =
        serde_json::from_str(&ended.stdout).map_err(|error| Error::failed(format!("Docker Compose printed no JSON: {error}")))?;
    let values = model["services"]["env"]["environment"].as_object();
    let value = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.replace("$$", "$")));
    Ok(Ok(values.into_iter().flatten().filter_map(value).collect()))
}

/// A value so that Compose's reader gives it back: bare, in single quotes, or in double quotes with escapes.
pub fn quote_env_value(value: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c);
    if value.chars().all(bare) {
        value.to_owned()
    } else if !value.contains(['\'', '\n', '\r', '\\']) {
        format!("'{value}'")
    } else {
        let mut quoted = String::from("\"");
        for c in value.chars() {
            match c {
                '\\' | '"' | '$' => quoted.extend(['\\', c]),
                '\n' => quoted.push_str("\\n"),
                '\r' => quoted.push_str("\\r"),
                c => quoted.push(c),
            }
        }
        quoted + "\""
    }
}
