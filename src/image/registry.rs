//! An image that a registry has. The client asks for its digest, the server pulls exactly that.

use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;

use crate::config::Registered;
use crate::error::{Error, Result};

/// What a reference means now: its whole name, by digest. The registry is asked from here.
pub async fn look_up(image: &Registered) -> Result<String> {
    let reference = image.parse()?;
    let registry = reference.resolve_registry().to_owned();
    // As the Engine does it: a registry of the machine itself needs no certificate.
    let protocol = if is_loopback(&registry) { ClientProtocol::Http } else { ClientProtocol::Https };
    let client = Client::new(ClientConfig { protocol, ..ClientConfig::default() });
    let auth = match &image.login {
        Some((user, password)) => RegistryAuth::Basic(user.clone(), password.clone()),
        None => RegistryAuth::Anonymous,
    };
    let digest = client.fetch_manifest_digest(&reference, &auth).await.map_err(|error| {
        let hint = match &error {
            OciDistributionError::AuthenticationFailure(_) | OciDistributionError::UnauthorizedError { .. } => {
                "are [image] username and password those of somebody who may read it?"
            }
            OciDistributionError::ImageManifestNotFoundError(_) => "was it pushed? is the tag right?",
            _ => "is the registry's name right, and can it be reached from here?",
        };
        Error::failed(format!("asking the registry {registry} for {}: {error}; nothing was changed", image.reference)).hint(hint)
    })?;
    Ok(format!("{}/{}@{digest}", reference.registry(), reference.repository()))
}

fn is_loopback(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host == "localhost" || host.starts_with("127.")
}
