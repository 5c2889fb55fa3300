//! An image that a registry has. The client asks for its digest, the server pulls exactly that.

use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::OciManifest;
use oci_client::secrets::RegistryAuth;
use serde_json::Value;

use crate::config::Registered;
use crate::error::{Error, Result};

/// What a reference means now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookedUp {
    /// Its whole name, by digest.
    pub reference: String,
    /// What it runs on, as `linux/amd64`; several where it is an index.
    pub platforms: Vec<String>,
}

/// Asks the registry, from here, which image it is and what it runs on.
pub async fn look_up(image: &Registered) -> Result<LookedUp> {
    let reference = image.parse()?;
    let registry = reference.resolve_registry().to_owned();
    // As the Engine does it: a registry of the machine itself needs no certificate.
    let protocol = if is_loopback(&registry) { ClientProtocol::Http } else { ClientProtocol::Https };
    let client = Client::new(ClientConfig { protocol, ..ClientConfig::default() });
    let auth = match &image.login {
        Some((user, password)) => RegistryAuth::Basic(user.clone(), password.clone()),
        None => RegistryAuth::Anonymous,
    };
    let asked = async {
        let (manifest, digest) = client.pull_manifest(&reference, &auth).await?;
        let platforms = match manifest {
            OciManifest::ImageIndex(index) => {
                let platforms = index.manifests.iter().filter_map(|entry| serde_json::to_value(entry.platform.as_ref()?).ok());
                platforms.filter_map(|platform| platform_of(&platform)).collect()
            }
            OciManifest::Image(manifest) => {
                let mut config = Vec::new();
                client.pull_blob(&reference, &manifest.config, &mut config).await?;
                serde_json::from_slice(&config).ok().as_ref().and_then(platform_of).into_iter().collect()
            }
        };
        Ok((digest, platforms))
    };
    let (digest, platforms): (String, Vec<String>) = asked.await.map_err(|error: OciDistributionError| {
        let hint = match &error {
            OciDistributionError::AuthenticationFailure(_) | OciDistributionError::UnauthorizedError { .. } => {
                "are [image] username and password those of somebody who may read it?"
            }
            OciDistributionError::ImageManifestNotFoundError(_) => "was it pushed? is the tag right?",
            _ => "is the registry's name right, and can it be reached from here?",
        };
        Error::failed(format!("asking the registry {registry} for {}: {error}; nothing was changed", image.reference)).hint(hint)
    })?;
    Ok(LookedUp { reference: format!("{}/{}@{digest}", reference.registry(), reference.repository()), platforms })
}

/// The words of an image's configuration, or of an index. What is no image, a build's attestation say, is unknown.
fn platform_of(described: &Value) -> Option<String> {
    let word = |key: &str| described[key].as_str().filter(|word| *word != "unknown");
    Some(format!("{}/{}", word("os")?, word("architecture")?))
}

fn is_loopback(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host == "localhost" || host.starts_with("127.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_tells_its_platforms_and_an_attestation_is_none() {
        let of = |text: &str| platform_of(&serde_json::from_str(text).unwrap());
        assert_eq!(of(r#"{"architecture":"arm64","os":"linux","variant":"v8"}"#).as_deref(), Some("linux/arm64"));
        assert_eq!(of(r#"{"architecture":"unknown","os":"unknown"}"#), None);
    }
}
