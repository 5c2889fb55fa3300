//! An image that a registry has. The client asks for its digest, the server pulls exactly that.

use std::io::Cursor;
use std::time::Duration;

use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::OciManifest;
use oci_client::secrets::RegistryAuth;

use crate::config::Registered;
use crate::error::{Error, Result};

use super::archive::platform_of;

/// The settings of an image are no larger, in bytes.
const CONFIG: usize = 4 << 20;

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
    let client = Client::new(ClientConfig {
        protocol,
        connect_timeout: Some(Duration::from_secs(20)),
        read_timeout: Some(Duration::from_secs(60)),
        ..ClientConfig::default()
    });
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
                // No more is taken in than it says, and no more than such settings have.
                let size = usize::try_from(manifest.config.size).ok().filter(|size| *size <= CONFIG);
                let mut config = vec![0; size.ok_or_else(|| too_large(manifest.config.size))?];
                client.pull_blob(&reference, &manifest.config, &mut Cursor::new(&mut config[..])).await?;
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

fn too_large(size: i64) -> OciDistributionError {
    OciDistributionError::GenericError(Some(format!(
        "the settings of the image have {size} bytes, and such have {CONFIG} at most"
    )))
}

fn is_loopback(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host == "localhost" || host.starts_with("127.")
}
