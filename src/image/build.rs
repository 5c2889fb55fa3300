//! Building the image on this machine.

use crate::error::{Error, Result};
use crate::private;
use crate::process;
use crate::report::{Event, Reporter};

use super::Context;

/// An image of the local engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Its id in the local engine.
    pub id: String,
    /// The digests of its layers: the same in every engine.
    pub layers: String,
    /// Its size in bytes, unpacked.
    pub size: u64,
    /// What it runs on, as `linux/amd64`.
    pub platform: String,
}

impl Built {
    /// The digests of its layers, lowest first.
    pub fn layer_ids(&self) -> Vec<String> {
        serde_json::from_str(&self.layers).unwrap_or_default()
    }
}

/// Builds the image and tags it; each line of the build is an output of step `build`.
///
/// For another platform than this machine's it is buildx that builds. A build that fails is a failure (exit 1): nothing
/// was changed on the server.
pub async fn build(context: &Context, tag: &str, platform: Option<&str>, reporter: &Reporter) -> Result<Built> {
    let (_folder, folder) = private::folder()?;
    let dockerfile = match &context.inline {
        None => context.folder.join(&context.dockerfile).into_string(),
        Some(text) => {
            let path = folder.join("Dockerfile");
            std::fs::write(&path, text).map_err(|error| Error::failed(format!("writing the Dockerfile: {error}")))?;
            path.into_string()
        }
    };
    let settings = &context.settings;
    let way = Way::find(platform, settings.needs_buildx).await?;
    let mut arguments = way.arguments(platform);
    arguments.extend(["-t", tag, "-f", dockerfile.as_str()]);
    let given = context.given_arguments();
    for argument in &given {
        arguments.extend(["--build-arg", argument]);
    }
    if let Some(target) = &context.target {
        arguments.extend(["--target", target]);
    }
    arguments.extend(settings.options.iter().map(String::as_str));
    let folder = if context.folder.as_str().is_empty() { "." } else { context.folder.as_str() };
    arguments.push(folder);
    let hidden = context.hidden_arguments().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut environment: Vec<(String, String)> = hidden.chain(settings.environment.clone()).collect();
    if settings.needs_buildkit {
        environment.push(("DOCKER_BUILDKIT".into(), "1".into()));
    }
    let (success, status) = process::stream("docker", &arguments, &environment, |line| {
        reporter.tell(Event::Output { step: "build".into(), line });
    })
    .await?;
    if !success {
        return Err(Error::failed(format!(
            "the image does not build: docker build ended with {status}; nothing on the server changed"
        ))
        .hint("its last lines are above"));
    }
    let built = inspect(tag).await?;
    match platform {
        Some(platform) if built.platform != platform => Err(Error::failed(format!(
            "the image is built for {}, and the server is {platform}; nothing on the server changed",
            built.platform
        ))
        .hint("a FROM of the Dockerfile names a platform, or its base image is of another one")),
        _ => Ok(built),
    }
}

/// Which of Docker's builders it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way {
    buildx: bool,
    foreign: bool,
    cache: bool,
}

impl Way {
    /// What the platform asks for, and what this machine has. The cache is that of GitHub Actions, where a step before this
    /// one has handed on how to reach it, and where the builder can.
    async fn find(platform: Option<&str>, needs_buildx: bool) -> Result<Self> {
        let here = match std::env::consts::ARCH {
            "x86_64" => "linux/amd64",
            "aarch64" => "linux/arm64",
            other => other,
        };
        let foreign = platform.is_some_and(|platform| platform != here);
        let cache = process::has_variable("ACTIONS_RUNTIME_TOKEN")
            && (process::has_variable("ACTIONS_RESULTS_URL") || process::has_variable("ACTIONS_CACHE_URL"));
        if !foreign && !cache && !needs_buildx {
            return Ok(Self { buildx: false, foreign, cache });
        }
        let builder = process::run("docker", &["buildx", "inspect"], None).await?;
        if foreign && !builder.success {
            let platform = platform.unwrap_or_default();
            return Err(Error::failed(format!(
                "the server is {platform}, this machine builds for {here}, and there is no docker buildx; nothing was changed"
            ))
            .hint("install buildx and QEMU's emulation, or build there: [image] source = \"server\""));
        }
        if needs_buildx && !builder.success {
            return Err(Error::failed(
                "the build's additional contexts need docker buildx, which is not installed here; nothing was changed",
            )
            .hint("install Docker's plugin docker-buildx-plugin (Debian: docker-buildx)"));
        }
        let cache = cache && builder.success && builder.stdout.contains("docker-container");
        Ok(Self { buildx: foreign || cache || needs_buildx, foreign, cache })
    }

    fn arguments(self, platform: Option<&str>) -> Vec<&str> {
        let mut arguments = if self.buildx { vec!["buildx", "build", "--load"] } else { vec!["build", "--force-rm"] };
        if let (true, Some(platform)) = (self.foreign, platform) {
            arguments.extend(["--platform", platform]);
        }
        if self.cache {
            arguments.extend(["--cache-from", "type=gha", "--cache-to", "type=gha,mode=max"]);
        }
        arguments
    }
}

/// How many bytes the files of an image's upper layers have together: at least of so many layers. The Engine's history also has what made
/// no layer, as an empty one.
pub(super) async fn size_of_upper(built: &Built, layers: usize) -> Option<u64> {
    let arguments = ["history", "--human=false", "--no-trunc", "--format", "{{.Size}}", &built.id];
    let ended = process::run("docker", &arguments, None).await.ok().filter(|ended| ended.success)?;
    let mut left = layers;
    let mut bytes = 0_u64;
    for size in ended.stdout.lines() {
        if left == 0 {
            break;
        }
        let size: u64 = size.trim().parse().ok()?;
        bytes = bytes.saturating_add(size);
        left -= usize::from(size > 0);
    }
    Some(bytes)
}

/// An image that the local Engine has under that name.
pub async fn inspect(tag: &str) -> Result<Built> {
    let format = "{{.Id}}\n{{json .RootFS.Layers}}\n{{.Size}}\n{{.Os}}/{{.Architecture}}";
    let ended = process::run("docker", &["image", "inspect", "-f", format, tag], None).await?;
    let mut lines = ended.stdout.lines();
    match (ended.success, lines.next(), lines.next(), lines.next().and_then(|size| size.parse().ok()), lines.next()) {
        (true, Some(id), Some(layers), Some(size), Some(platform)) => {
            Ok(Built { id: id.to_owned(), layers: layers.to_owned(), size, platform: platform.to_owned() })
        }
        _ => Err(Error::failed(format!("the image {tag} was built, but cannot be looked at: {}", ended.stderr.trim()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buildx_builds_for_other_platforms_and_with_the_cache_of_a_workflow() {
        let way = |foreign, cache| Way { buildx: foreign || cache, foreign, cache }.arguments(Some("linux/arm64")).join(" ");
        assert_eq!(way(false, false), "build --force-rm");
        assert_eq!(way(true, false), "buildx build --load --platform linux/arm64");
        assert_eq!(way(false, true), "buildx build --load --cache-from type=gha --cache-to type=gha,mode=max");
    }
}
