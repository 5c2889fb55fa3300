//! Building the image on this machine.

use crate::error::{Error, Result};
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
}

impl Built {
    /// The digests of its layers, lowest first.
    pub fn layer_ids(&self) -> Vec<String> {
        serde_json::from_str(&self.layers).unwrap_or_default()
    }
}

/// Builds the image and tags it; each line of the build is an output of step `build`.
///
/// A build that fails is a failure (exit 1): nothing was dialled for it or changed.
pub async fn build(context: &Context, tag: &str, reporter: &Reporter) -> Result<Built> {
    let dockerfile = context.folder.join(&context.dockerfile);
    let mut arguments = vec!["build", "--force-rm", "-t", tag, "-f", dockerfile.as_str()];
    let names: Vec<&String> = context.arguments.keys().collect();
    for name in names {
        arguments.extend(["--build-arg", name]);
    }
    if let Some(target) = &context.target {
        arguments.extend(["--target", target]);
    }
    let folder = if context.folder.as_str().is_empty() { "." } else { context.folder.as_str() };
    arguments.push(folder);
    let environment: Vec<(String, String)> = context.arguments.clone().into_iter().collect();
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
    inspect(tag).await
}

async fn inspect(tag: &str) -> Result<Built> {
    let format = "{{.Id}}\n{{json .RootFS.Layers}}\n{{.Size}}";
    let ended = process::run("docker", &["image", "inspect", "-f", format, tag], None).await?;
    let mut lines = ended.stdout.lines();
    match (ended.success, lines.next(), lines.next(), lines.next().and_then(|size| size.parse().ok())) {
        (true, Some(id), Some(layers), Some(size)) => Ok(Built { id: id.to_owned(), layers: layers.to_owned(), size }),
        _ => Err(Error::failed(format!("the image {tag} was built, but cannot be looked at: {}", ended.stderr.trim()))),
    }
}
