//! Some layers of an image out of the local Engine: it pushes to this process as to a registry, which says of all other
//! layers that it has them. `docker save` would write out every layer, whatever is needed of the image.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use camino::Utf8PathBuf;
use hyper::body::{Body, Incoming};
use hyper::header::{HeaderValue, LOCATION, RANGE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::private;
use crate::process;
use crate::render::{digest, digest_of};

use super::archive::{Archive, platform_of};
use super::build::Built;
use super::endpoint::{Piece, response, status};
use super::send::blocking;

/// An Engine that needs longer has to compress layers that it never pushed; `docker save` is sooner then. What it had
/// compressed by now is known the next time.
const PATIENCE: Duration = Duration::from_secs(8);
/// The ports that a system does not hand out by itself begin here: the Engine remembers layers by the registry's port.
const FIRST_PORT: u16 = 20_000;

/// Takes the layers from `from` on out of the local Engine, as an archive without those below. `None`: it cannot be had this
/// way, and `docker save` has to do.
pub(super) async fn take(built: &Built, tag: &str, from: usize) -> Option<Archive> {
    let (folder, path) = private::folder().ok()?;
    let (name, _) = tag.rsplit_once(':')?;
    let listener = listen(name).await?;
    let reference = format!("127.0.0.1:{}/estiba/{name}:push", listener.local_addr().ok()?.port());
    // In a classic store the image's id is its configuration's digest: it can be asked for at once.
    let state = State { absent: BTreeSet::from([built.id.clone()]), ..State::default() };
    let registry = Arc::new(Registry { folder: path.clone(), state: Mutex::new(state) });
    let serving = tokio::spawn(registry.clone().serve(listener));
    let pushed = timeout(PATIENCE, push(&registry, built, &reference, from)).await.ok().flatten();
    serving.abort();
    let opened = async {
        let Pushed { config, layers } = pushed?;
        let ids = built.layer_ids();
        let open = move || {
            let _folder = folder;
            Archive::partial(&path.join("parts"), &config, &ids, &layers)
        };
        blocking(open).await.ok()
    };
    // The tag goes, the image stays: it has another.
    let remove = ["image", "rm", &reference];
    tokio::join!(process::run("docker", &remove, None), opened).1
}

/// What came: the configuration's digest and file, and the file of each layer from the lowest that is needed on.
struct Pushed {
    config: (String, Utf8PathBuf),
    layers: Vec<Option<Utf8PathBuf>>,
}

async fn push(registry: &Registry, built: &Built, reference: &str, from: usize) -> Option<Pushed> {
    let docker = async |arguments: &[&str]| process::run("docker", arguments, None).await.is_ok_and(|ended| ended.success);
    // By its id: a tag may name another image by now.
    if !docker(&["tag", &built.id, reference]).await {
        return None;
    }
    // The second time, what it was told is there already and is not.
    for _ in 0..2 {
        if !docker(&["push", "-q", reference]).await {
            return None;
        }
        let mut state = registry.state();
        let manifest = state.image(built)?;
        let config = manifest["config"]["digest"].as_str()?;
        let digests: Vec<&str> = manifest["layers"].as_array()?.iter().filter_map(|layer| layer["digest"].as_str()).collect();
        if digests.len() != built.layer_ids().len() {
            return None;
        }
        let needed = digests.iter().skip(from).chain([&config]);
        let missing: BTreeSet<String> =
            needed.filter(|digest| !state.blobs.contains_key(**digest)).map(|digest| (*digest).to_owned()).collect();
        if missing.is_empty() {
            let file = |(at, digest): (usize, &&str)| state.blobs.get(*digest).filter(|_| at >= from).cloned();
            let config = (config.to_owned(), state.blobs.get(config)?.clone());
            return Some(Pushed { config, layers: digests.iter().enumerate().map(file).collect() });
        }
        state.absent.extend(missing);
    }
    None
}

/// Listens on the loopback, on the same port for the same project where it is free.
async fn listen(name: &str) -> Option<TcpListener> {
    let number = u16::from_str_radix(&digest(name.as_bytes())[..4], 16).unwrap_or(0);
    match TcpListener::bind(("127.0.0.1", FIRST_PORT + number % 10_000)).await {
        Ok(listener) => Some(listener),
        Err(_) => TcpListener::bind(("127.0.0.1", 0)).await.ok(),
    }
}

/// What the Engine pushes to.
struct Registry {
    folder: Utf8PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Digests that it has to send; all others are said to be there.
    absent: BTreeSet<String>,
    /// What has come, by digest.
    blobs: BTreeMap<String, Utf8PathBuf>,
    uploads: u32,
    /// By digest.
    manifests: BTreeMap<String, Value>,
    /// The digest of the one that came last: the image, or an index of what was built with it.
    last: String,
}

impl State {
    /// The image's manifest. The Engine says what it pushed: in a classic store the id is the configuration's digest, in a
    /// containerd store that of the manifest or of the index.
    fn image(&self, built: &Built) -> Option<Value> {
        let last = self.manifests.get(&self.last)?;
        let image = match last["manifests"].as_array() {
            Some(all) => {
                let of = |one: &&Value| platform_of(&one["platform"]).is_some_and(|platform| platform == built.platform);
                self.manifests.get(all.iter().find(of)?["digest"].as_str()?)?
            }
            None => last,
        };
        (self.last == built.id || image["config"]["digest"] == *built.id).then(|| image.clone())
    }
}

/// No manifest is larger.
const LARGEST_MANIFEST: usize = 4 * 1024 * 1024;

impl Registry {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let this = self.clone();
            let service = hyper::service::service_fn(move |request| {
                let this = this.clone();
                async move { Ok::<_, Infallible>(this.answer(request).await.unwrap_or_else(|| status(StatusCode::BAD_REQUEST))) }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    }

    /// After the OCI Distribution Specification; `None` is a request that is not of it.
    async fn answer(&self, request: Request<Incoming>) -> Option<Response<Piece>> {
        let path = request.uri().path().to_owned();
        let method = request.method().clone();
        if path == "/v2/" {
            return Some(status(StatusCode::OK));
        }
        if let Some((_, digest)) = path.split_once("/blobs/").filter(|(_, rest)| rest.starts_with("sha256:")) {
            let state = self.state();
            let there = state.blobs.contains_key(digest) || !state.absent.contains(digest);
            return Some(match method {
                Method::HEAD if there => response(StatusCode::OK, "application/octet-stream", 1, None, Piece::nothing()),
                _ => status(StatusCode::NOT_FOUND),
            });
        }
        if let Some((before, id)) = path.split_once("/blobs/uploads/") {
            if method == Method::POST {
                let id = {
                    let mut state = self.state();
                    state.uploads += 1;
                    state.uploads
                };
                File::create(self.upload(&id.to_string())?).ok()?;
                return located(StatusCode::ACCEPTED, &format!("{before}/blobs/uploads/{id}"), None);
            }
            let file = self.upload(id)?;
            let digest = request.uri().query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("digest=")));
            let digest = digest.map(|digest| digest.replace("%3A", ":"));
            let mut out = OpenOptions::new().append(true).open(&file).ok()?;
            each_frame(request.into_body(), |bytes| out.write_all(bytes).is_ok()).await?;
            let size = out.metadata().ok()?.len();
            let Some(digest) = digest.filter(|_| method == Method::PUT) else {
                return located(StatusCode::ACCEPTED, &path, Some(size));
            };
            let came = File::open(&file).ok()?;
            let found = blocking(move || Ok(digest_of(came))).await.ok()?.ok()?;
            if digest != format!("sha256:{found}") {
                return None;
            }
            self.state().blobs.insert(digest.clone(), file);
            return created(&format!("{before}/blobs/{digest}"), &digest);
        }
        if path.contains("/manifests/") && method == Method::PUT {
            let mut manifest = Vec::new();
            each_frame(request.into_body(), |bytes| {
                manifest.extend_from_slice(bytes);
                manifest.len() < LARGEST_MANIFEST
            })
            .await?;
            let digest = format!("sha256:{}", digest(&manifest));
            {
                let mut state = self.state();
                state.manifests.insert(digest.clone(), serde_json::from_slice(&manifest).ok()?);
                state.last.clone_from(&digest);
            }
            return created(&path, &digest);
        }
        Some(status(StatusCode::NOT_FOUND))
    }

    /// The file of an upload. Its id is a number that was given here.
    fn upload(&self, id: &str) -> Option<Utf8PathBuf> {
        let number: u32 = id.parse().ok()?;
        Some(self.folder.join(format!("upload.{number}")))
    }
}

fn located(code: StatusCode, at: &str, size: Option<u64>) -> Option<Response<Piece>> {
    let mut located = status(code);
    located.headers_mut().insert(LOCATION, HeaderValue::from_str(at).ok()?);
    if let Some(size) = size {
        located.headers_mut().insert(RANGE, HeaderValue::from_str(&format!("0-{}", size.saturating_sub(1))).ok()?);
    }
    Some(located)
}

/// What has come is there. An Engine with a containerd store wants to be told its digest.
fn created(at: &str, digest: &str) -> Option<Response<Piece>> {
    let mut created = located(StatusCode::CREATED, at, None)?;
    created.headers_mut().insert("docker-content-digest", HeaderValue::from_str(digest).ok()?);
    Some(created)
}

/// Reads a body to its end. `None`: it broke off, or `see` has had enough.
async fn each_frame(mut body: Incoming, mut see: impl FnMut(&[u8]) -> bool) -> Option<()> {
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        if let Ok(data) = frame.ok()?.into_data()
            && !see(&data)
        {
            return None;
        }
    }
    Some(())
}
