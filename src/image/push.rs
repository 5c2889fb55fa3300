//! Some layers of an image out of the local Engine: it pushes to this process as to a registry, which says of all other
//! layers that it has them. `docker save` would write out every layer, whatever is needed of the image.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use hyper::body::{Body, Incoming};
use hyper::header::{HeaderValue, LOCATION, RANGE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::digest::{sha256, sha256_of};
use crate::private;
use crate::process;

use super::archive::{Archive, platform_of};
use super::build::Built;
use super::endpoint::{Piece, refusal, response, status};
use super::login::Login;
use super::task::blocking;

/// No push takes longer.
const LONGEST: Duration = Duration::from_secs(600);
/// The ports that a system does not hand out by itself begin here: the Engine remembers layers by the registry's port.
const FIRST_PORT: u16 = 20_000;
/// What an image's layers, packed, may come to beyond its size unpacked.
const SPARE_BYTES: u64 = 64 * 1024 * 1024;
/// Layers that are so small together are packed soon, needed or not.
const SMALL: u64 = 1024 * 1024;

/// A push that goes on by itself.
#[derive(Debug)]
pub(super) struct Pushing {
    task: JoinHandle<Option<Archive>>,
    stop: Arc<Notify>,
    received: watch::Receiver<u64>,
    /// What came of it, once that has been asked for.
    over: bool,
}

impl Pushing {
    /// Begins to take the layers from `from` on out of the local Engine.
    pub(super) fn begin(built: Built, tag: String, from: usize) -> Self {
        let (stop, received) = (Arc::new(Notify::new()), watch::Sender::new(0));
        let task = tokio::spawn(take(built, tag, from, received.clone(), stop.clone()));
        Self { task, stop, received: received.subscribe(), over: false }
    }

    /// Waits until more has come than so many bytes of files can be: the Engine is packing layers that nobody needs, since it never
    /// pushed them before.
    pub(super) fn more_than(&self, bytes: u64) -> impl Future<Output = ()> + use<> {
        let mut received = self.received.clone();
        async move {
            if received.wait_for(|count| *count > bytes.saturating_add(SMALL)).await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// The image without the layers below. `None`: it cannot be had this way, and `docker save` has to do.
    pub(super) async fn archive(&mut self) -> Option<Archive> {
        if self.over {
            return None;
        }
        let archive = (&mut self.task).await.ok().flatten();
        self.over = true;
        archive
    }

    /// Waits until the Engine has packed all that it was asked for.
    pub(super) async fn ended(&mut self) {
        self.archive().await;
    }

    /// Ends it, and takes away what it put into the Engine.
    pub(super) async fn stop(mut self) {
        self.stop.notify_one();
        self.ended().await;
    }
}

async fn take(built: Built, tag: String, from: usize, received: watch::Sender<u64>, stop: Arc<Notify>) -> Option<Archive> {
    let engine = engine_of_this_machine().await?;
    let (folder, path) = private::folder().ok()?;
    let (name, _) = tag.rsplit_once(':')?;
    let listener = listen(name).await?;
    let registry_name = listener.local_addr().ok()?.to_string();
    let reference = format!("{registry_name}/estiba/{name}:push");
    let login = Login::new();
    let docker = Docker::let_in(&path, engine, &registry_name, &login)?;
    // In a classic store the image's id is its configuration's digest: it can be asked for at once.
    let state = State { absent: BTreeSet::from([built.id.clone()]), ..State::default() };
    let bound = built.size.saturating_add(SPARE_BYTES);
    let registry = Arc::new(Registry { folder: path.clone(), login, bound, received, state: Mutex::new(state) });
    let serving = tokio::spawn(registry.clone().serve(listener));
    let pushed = tokio::select! {
        pushed = timeout(LONGEST, push(&docker, &registry, &built, &reference, from)) => pushed.ok().flatten(),
        () = stop.notified() => None,
    };
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

/// Where the local Engine is, if it is a process of this machine: of another one, or of a virtual machine or a namespace with a
/// loopback of its own, it would push to whoever listens there.
async fn engine_of_this_machine() -> Option<String> {
    let here = |file: &str| std::fs::read_to_string(file).map(|text| text.trim().to_owned()).ok();
    let context = ["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"];
    let info = ["info", "--format", "{{.Name}}\n{{.KernelVersion}}\n{{.SecurityOptions}}"];
    let (context, info) = tokio::join!(process::run("docker", &context, None), process::run("docker", &info, None));
    let (context, info) = (context.ok()?.stdout.trim().to_owned(), info.ok()?.stdout);
    let mut lines = info.lines();
    let same = lines.next() == here("/proc/sys/kernel/hostname").as_deref()
        && lines.next() == here("/proc/sys/kernel/osrelease").as_deref()
        && lines.next().is_some_and(|options| !options.contains("name=rootless"));
    (same && context.starts_with("unix://")).then_some(context)
}

/// The `docker` program, with a login to the endpoint of this transfer.
struct Docker {
    engine: String,
    folder: Utf8PathBuf,
}

impl Docker {
    /// The login stands in a folder of its own, which nobody else reads: the user's own `config.json` stays as it is.
    fn let_in(folder: &Utf8Path, engine: String, registry: &str, login: &Login) -> Option<Self> {
        let folder = folder.join("docker");
        std::fs::create_dir(&folder).ok()?;
        let config = serde_json::json!({ "auths": { registry: { "auth": login.encoded() } } });
        private::create(&folder.join("config.json")).ok()?.write_all(config.to_string().as_bytes()).ok()?;
        Some(Self { engine, folder })
    }

    async fn succeeds(&self, arguments: &[&str]) -> bool {
        let arguments = [&["--config", self.folder.as_str(), "--host", self.engine.as_str()], arguments].concat();
        process::run("docker", &arguments, None).await.is_ok_and(|ended| ended.success)
    }
}

async fn push(docker: &Docker, registry: &Registry, built: &Built, reference: &str, from: usize) -> Option<Pushed> {
    // By its id: a tag may name another image by now.
    if !docker.succeeds(&["tag", &built.id, reference]).await {
        return None;
    }
    // The second time, what it was told is there already and is not.
    for _ in 0..2 {
        if !docker.succeeds(&["push", "-q", reference]).await {
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
    let number = u16::from_str_radix(&sha256(name.as_bytes())[..4], 16).unwrap_or(0);
    match TcpListener::bind(("127.0.0.1", FIRST_PORT + number % 10_000)).await {
        Ok(listener) => Some(listener),
        Err(_) => TcpListener::bind(("127.0.0.1", 0)).await.ok(),
    }
}

/// What the Engine pushes to.
struct Registry {
    folder: Utf8PathBuf,
    login: Login,
    /// No more bytes are taken.
    bound: u64,
    /// Bytes that came in uploads.
    received: watch::Sender<u64>,
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
        if !self.login.lets_in(&request) {
            return Some(refusal());
        }
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
            return self.receive(request, before, id).await;
        }
        if path.contains("/manifests/") && method == Method::PUT {
            let mut manifest = Vec::new();
            each_frame(request.into_body(), |bytes| {
                manifest.extend_from_slice(bytes);
                manifest.len() < LARGEST_MANIFEST
            })
            .await?;
            let digest = format!("sha256:{}", sha256(&manifest));
            {
                let mut state = self.state();
                state.manifests.insert(digest.clone(), serde_json::from_slice(&manifest).ok()?);
                state.last.clone_from(&digest);
            }
            return created(&path, &digest);
        }
        Some(status(StatusCode::NOT_FOUND))
    }

    /// A blob on its way: the place for one is asked for, or a piece of it comes, or its end.
    async fn receive(&self, request: Request<Incoming>, before: &str, id: &str) -> Option<Response<Piece>> {
        let path = request.uri().path().to_owned();
        let method = request.method().clone();
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
        each_frame(request.into_body(), |bytes| self.has_room(bytes.len()) && out.write_all(bytes).is_ok()).await?;
        let size = out.metadata().ok()?.len();
        let Some(digest) = digest.filter(|_| method == Method::PUT) else {
            return located(StatusCode::ACCEPTED, &path, Some(size));
        };
        let came = File::open(&file).ok()?;
        let found = blocking(move || Ok(sha256_of(came))).await.ok()?.ok()?;
        if digest != format!("sha256:{found}") {
            return None;
        }
        self.state().blobs.insert(digest.clone(), file);
        created(&format!("{before}/blobs/{digest}"), &digest)
    }

    /// May so many bytes more come?
    fn has_room(&self, count: usize) -> bool {
        self.received.send_modify(|received| *received = received.saturating_add(count as u64));
        *self.received.borrow() <= self.bound
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// The status of the answer to a request with that header and body.
    async fn ask(address: std::net::SocketAddr, request: &str, authorization: &str, body: &[u8]) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let length = body.len();
        let head =
            format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{authorization}Content-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        // It may be refused before all of it is sent.
        let _ = stream.write_all(body).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap_or("none").to_owned()
    }

    #[tokio::test]
    async fn only_the_engine_that_was_asked_may_push_and_no_more_than_the_image() {
        let (_folder, folder) = private::folder().unwrap();
        let login = Login::new();
        let (right, wrong) = (login.encoded(), Login::new().encoded());
        let received = watch::Sender::new(0);
        let seen = received.subscribe();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let registry = Arc::new(Registry { folder: folder.clone(), login, bound: 1000, received, state: Mutex::default() });
        tokio::spawn(registry.serve(listener));
        let uploads = || std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>();
        for header in [String::new(), format!("Authorization: Basic {wrong}\r\n"), format!("Authorization: {right}\r\n")] {
            for request in ["GET /v2/", "POST /v2/a/blobs/uploads/", "PUT /v2/a/manifests/push"] {
                assert_eq!(ask(address, request, &header, b"{}").await, "401", "{request} {header}");
            }
        }
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        let header = format!("Authorization: Basic {right}\r\n");
        assert_eq!(ask(address, "GET /v2/", &header, b"").await, "200");
        assert_eq!(ask(address, "POST /v2/a/blobs/uploads/", &header, b"").await, "202");
        assert_eq!(ask(address, "PATCH /v2/a/blobs/uploads/1", &header, &[0; 600]).await, "202");
        assert_eq!(ask(address, "PATCH /v2/a/blobs/uploads/1", &header, &[0; 600]).await, "400");
        assert!(uploads() <= 1000, "{}", uploads());
        assert!(*seen.borrow() > 1000, "what came is told");
    }
}
