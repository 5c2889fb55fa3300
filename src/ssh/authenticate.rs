//! Logging in: what is offered to a server, and what its refusal probably means.

use camino::Utf8Path;
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode as _;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::ssh_key::{Certificate, Signature};
use russh::keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use russh::{AgentAuthError, MethodKind, Signer};

use crate::error::{Error, Result};
use crate::report::Asker;

use super::client::Client;
use super::identity::{Chosen, Offer};
use super::key::parse_key;
use super::settings::Hop;
use super::{Address, failure};

/// What a server came to say so far.
#[derive(Debug, Default)]
struct Tried {
    /// The keys that were offered.
    keys: Vec<PublicKey>,
    /// The ways to log in that it offers.
    methods: Vec<MethodKind>,
    /// Was a key accepted, and something else asked for as well?
    is_accepted: bool,
    /// What could not be offered, and why.
    notes: Vec<String>,
}

impl Tried {
    /// Is that the end of it?
    fn take(&mut self, result: AuthResult) -> bool {
        match result {
            AuthResult::Success => true,
            AuthResult::Failure { remaining_methods, partial_success } => {
                self.is_accepted |= partial_success;
                if !remaining_methods.is_empty() {
                    self.methods = remaining_methods.to_vec();
                }
                false
            }
        }
    }
}

/// Logs in at this hop.
pub(super) async fn authenticate(handle: &mut Handle<Client>, hop: &Hop, asker: &Asker) -> Result<()> {
    let mut tried = Tried::default();
    for offer in &hop.identity.offers {
        if offer_one(handle, hop, offer, asker, &mut tried).await? {
            return Ok(());
        }
        if handle.is_closed() || tried.is_accepted {
            break;
        }
    }
    // A network that knows its users (Tailscale) asks for nothing.
    if !handle.is_closed() && !tried.is_accepted {
        let nothing = handle.authenticate_none(&hop.address.user).await;
        if tried.take(nothing.map_err(|error| lost(hop, &error))?) {
            return Ok(());
        }
    }
    let wants = |method: MethodKind| tried.methods.contains(&method);
    if asker.is_there() && !handle.is_closed() && wants(MethodKind::KeyboardInteractive) && answers(handle, hop, asker).await? {
        return Ok(());
    }
    if asker.is_there() && hop.password && !handle.is_closed() && wants(MethodKind::Password) {
        let question = format!("Password of {}: ", hop.address);
        if let Some(password) = asker.ask(question, false).await {
            let result = handle.authenticate_password(&hop.address.user, password).await;
            if tried.take(result.map_err(|error| lost(hop, &error))?) {
                return Ok(());
            }
        }
    }
    Err(refused(hop, &tried, handle.is_closed(), asker.is_there()))
}

fn lost(hop: &Hop, error: &dyn std::fmt::Display) -> Error {
    failure::lost(&hop.address, "logging in", error)
}

async fn offer_one(handle: &mut Handle<Client>, hop: &Hop, offer: &Offer, asker: &Asker, tried: &mut Tried) -> Result<bool> {
    match offer {
        Offer::Key { key, certificates } => offer_key(handle, hop, key, certificates, tried).await,
        Offer::Locked { text, path, certificates, opened } => {
            // It is asked for once, and not on each connection.
            if let Some(key) = opened.get() {
                return offer_key(handle, hop, key, certificates, tried).await;
            }
            let passphrase = match asker.is_there() {
                true => asker.ask(format!("Passphrase of {path}: "), false).await,
                false => None,
            };
            match passphrase.map(|word| parse_key(text, path.as_str(), Some(&word))) {
                Some(Ok(key)) => offer_key(handle, hop, opened.get_or_init(|| key.into()), certificates, tried).await,
                Some(Err(_)) => {
                    tried.notes.push(format!("the passphrase does not open {path}"));
                    Ok(false)
                }
                None => {
                    tried.notes.push(format!("{path} was not offered: it has a passphrase, and nobody is there to type it"));
                    Ok(false)
                }
            }
        }
        Offer::Agent { socket, chosen } => offer_agent(handle, hop, socket, chosen, tried).await,
    }
}

async fn offer_key(
    handle: &mut Handle<Client>,
    hop: &Hop,
    key: &PrivateKey,
    certificates: &[Certificate],
    tried: &mut Tried,
) -> Result<bool> {
    let user = &hop.address.user;
    let is_known = tried.keys.iter().any(|before| before.key_data() == key.public_key().key_data());
    let hash = rsa_hash(handle, &key.algorithm()).await;
    let with_hash = PrivateKeyWithHashAlg::new(std::sync::Arc::new(key.clone()), hash);
    for certificate in certificates.iter().filter(|one| one.public_key() == key.public_key().key_data()) {
        if certificate.valid_before_time().is_some_and(|end| end.elapsed().is_ok()) {
            tried.notes.push(format!("the certificate `{}` has expired", crate::text::printable(certificate.key_id())));
        }
        let mut signer = KeySigner(with_hash.clone());
        let result = handle.authenticate_certificate_with(user, certificate.clone(), hash, &mut signer).await;
        if tried.take(result.map_err(|error| lost(hop, &error))?) {
            return Ok(true);
        }
        if handle.is_closed() || tried.is_accepted {
            return Ok(false);
        }
    }
    // The agent may have offered it.
    if is_known {
        return Ok(false);
    }
    tried.keys.push(key.public_key().clone());
    Ok(tried.take(handle.authenticate_publickey(user, with_hash).await.map_err(|error| lost(hop, &error))?))
}

/// Offers the agent's keys. An agent that does not answer ends nothing: there may be other keys.
async fn offer_agent(
    handle: &mut Handle<Client>,
    hop: &Hop,
    socket: &Utf8Path,
    chosen: &[Chosen],
    tried: &mut Tried,
) -> Result<bool> {
    let identities = async {
        let mut agent = AgentClient::connect_uds(socket).await?;
        let identities = agent.request_identities().await?;
        Ok::<_, russh::keys::Error>((agent, identities))
    };
    let (mut agent, identities) = match identities.await {
        Ok(answer) => answer,
        Err(error) => {
            tried.notes.push(format!("the SSH agent at {socket} does not answer: {error}"));
            return Ok(false);
        }
    };
    let is_chosen = |identity: &AgentIdentity| chosen.is_empty() || chosen.iter().any(|one| one.is(&identity.public_key()));
    let mine: Vec<AgentIdentity> = identities.into_iter().filter(is_chosen).collect();
    if mine.is_empty() {
        let which = if chosen.is_empty() { "no keys" } else { "none of the keys that are asked for" };
        tried.notes.push(format!("the SSH agent at {socket} has {which} (`ssh-add -l` lists them)"));
    }
    for identity in mine {
        let user = &hop.address.user;
        let public = identity.public_key().into_owned();
        let hash = rsa_hash(handle, &public.algorithm()).await;
        let result = match identity {
            AgentIdentity::PublicKey { key, .. } => handle.authenticate_publickey_with(user, key, hash, &mut agent).await,
            AgentIdentity::Certificate { certificate, .. } => {
                handle.authenticate_certificate_with(user, certificate, hash, &mut agent).await
            }
        };
        // One that the agent did not sign with was not refused.
        if result.is_ok() || handle.is_closed() {
            tried.keys.push(public.clone());
        }
        match result {
            Ok(result) => {
                if tried.take(result) {
                    return Ok(true);
                }
            }
            Err(_) if handle.is_closed() => {}
            Err(error) => {
                let fingerprint = public.fingerprint(HashAlg::Sha256);
                tried.notes.push(format!("the SSH agent did not sign with the key {fingerprint}: {error}"));
            }
        }
        if handle.is_closed() || tried.is_accepted {
            return Ok(false);
        }
    }
    Ok(false)
}

/// Has a person answer what the server asks.
async fn answers(handle: &mut Handle<Client>, hop: &Hop, asker: &Asker) -> Result<bool> {
    let user = &hop.address.user;
    let mut said = handle.authenticate_keyboard_interactive_start(user, None).await.map_err(|error| lost(hop, &error))?;
    loop {
        let prompts = match said {
            KeyboardInteractiveAuthResponse::Success => return Ok(true),
            KeyboardInteractiveAuthResponse::Failure { .. } => return Ok(false),
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
        };
        let mut words = Vec::new();
        for prompt in prompts {
            // What a server says is shown without its control characters.
            let question = format!("{}: {}", hop.address, crate::text::printable(&prompt.prompt));
            let Some(answer) = asker.ask(question, prompt.echo).await else { return Ok(false) };
            words.push(answer);
        }
        said = handle.authenticate_keyboard_interactive_respond(words).await.map_err(|error| lost(hop, &error))?;
    }
}

async fn rsa_hash(handle: &Handle<Client>, algorithm: &Algorithm) -> Option<HashAlg> {
    // The question can cost a second, so it is asked for RSA keys only.
    if !matches!(algorithm, Algorithm::Rsa { .. }) {
        return None;
    }
    handle.best_supported_rsa_hash().await.ok().flatten().flatten().or(Some(HashAlg::Sha512))
}

/// Signs with a key of ours for its certificate, with the hash that the server takes.
struct KeySigner(PrivateKeyWithHashAlg);

impl Signer for KeySigner {
    type Error = AgentAuthError;

    async fn auth_sign(
        &mut self,
        _key: &AgentIdentity,
        _hash: Option<HashAlg>,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, Self::Error> {
        let signed: Result<Signature, _> = match (self.0.key_data(), self.0.algorithm()) {
            (KeypairData::Rsa(key), Algorithm::Rsa { hash }) => (key, hash).try_sign(&data),
            (key, _) => key.try_sign(&data),
        };
        let failed = |error: russh::keys::ssh_key::Error| AgentAuthError::Key(error.into());
        let bytes = signed.map_err(|error| failed(error.into()))?.encode_vec().map_err(|error| failed(error.into()))?;
        let length = u32::try_from(bytes.len()).unwrap_or_default();
        data.extend(length.to_be_bytes());
        data.extend(bytes);
        Ok(data)
    }
}

/// A server does not say why it refuses, so what it may be is listed, likeliest first.
fn refused(hop: &Hop, tried: &Tried, is_closed: bool, is_attended: bool) -> Error {
    let address = &hop.address;
    let methods: Vec<String> = tried.methods.iter().map(|method| <&str>::from(method).to_owned()).collect();
    let noted = |error: Error| tried.notes.iter().fold(error, |error, note| error.hint(note.clone()));
    if tried.is_accepted {
        return half_way(address, &methods.join(", "), is_attended);
    }
    if tried.keys.is_empty() {
        let looked = "ESTIBA_SSH_KEY is not set, the target names no `identity`, and neither the agent nor ~/.ssh has one";
        let why = if tried.notes.is_empty() { looked.to_owned() } else { tried.notes.join("; ") };
        return Error::failed(format!("{address}: there is no SSH key to log in with: {why}"))
            .hint("in a workflow: env ESTIBA_SSH_KEY: ${{ secrets.SSH_KEY }}; on a laptop: identity = \"~/.ssh/id_ed25519\"");
    }
    let count = tried.keys.len();
    if is_closed && count > 1 {
        return noted(
            Error::failed(format!("{address}: the server ended the connection after {count} keys: too many keys were offered"))
                .hint("identity = \"~/.ssh/NAME.pub\", or a key's fingerprint, chooses one of the agent's keys")
                .hint("a server takes six by default (MaxAuthTries)"),
        );
    }
    let shown: Vec<String> = tried.keys.iter().map(|key| key.fingerprint(HashAlg::Sha256).to_string()).collect();
    let shown = if count == 1 { format!("the key {}", shown[0]) } else { format!("the keys {}", shown.join(", ")) };
    if !methods.is_empty() && !tried.methods.contains(&MethodKind::PublicKey) {
        let error = Error::failed(format!(
            "{address}: the server takes no keys of the user {}; it offers {}",
            address.user,
            methods.join(", ")
        ));
        return noted(error.hint("`PubkeyAuthentication yes` in its sshd_config, for this user, lets keys in"));
    }
    let offers =
        if methods.is_empty() { "and ended the connection".to_owned() } else { format!("it offers {}", methods.join(", ")) };
    let mut error = Error::failed(format!("{address}: the server refused {shown} for the user {}; {offers}", address.user));
    error = tried.keys.iter().take(3).filter_map(|key| key.to_openssh().ok()).fold(error, |error, line| {
        error.hint(format!(
            "likeliest, the key is not known there: add this line to ~{}/.ssh/authorized_keys: {line}",
            address.user
        ))
    });
    if address.user == "root" {
        error = error.hint("or root may not log in (`PermitRootLogin no`): use another user, who may run docker");
    }
    noted(error.hint(format!(
        "or {} does not exist there, is locked or is not let in (AllowUsers), its home or .ssh may be written by others, or the \
         line in authorized_keys has a `from=` without this machine; the server's own log says which (`journalctl -u ssh`)",
        address.user
    )))
}

/// The server took the key, and asked for more.
fn half_way(address: &Address, asked: &str, is_attended: bool) -> Error {
    if is_attended {
        return Error::failed(format!(
            "{address}: the server accepted the key, and not the answer to what it asked then ({asked})"
        ))
        .hint("try again; a code is good for half a minute");
    }
    Error::failed(format!(
        "{address}: the server accepted the key and asks for a second factor as well ({asked}), which nobody is here to give"
    ))
    .hint(format!(
        "for a user who deploys without a person: `Match User {}` with `AuthenticationMethods publickey` in its sshd_config",
        address.user
    ))
}
