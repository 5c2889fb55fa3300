//! The way in: small, slow to trust, and never full.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION, SET_COOKIE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::page;
use super::push::{Delivery, read};
use super::queue::Taken;
use super::shared::Shared;
use super::signature::Proof;
use super::status::{State, tell};

/// The longest body; GitHub sends 25 MB at most, and a push of that size is none that a server should keep in memory.
const LONGEST: u64 = 5 << 20;
/// All bodies that are being read together have no more, in KiB.
const ALL_KIB: u32 = 24 << 10;
/// So many connections at once; one more waits.
const CONNECTIONS: usize = 2000;
/// How long a request's head may take, and its body.
const HEAD: Duration = Duration::from_secs(10);
const BODY: Duration = Duration::from_secs(20);

/// Takes connections, for ever.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let memory = Arc::new(Semaphore::new(ALL_KIB as usize));
    loop {
        let Ok(permit) = connections.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Out of descriptors: some are let go soon.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // An answer waits for no acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let (shared, memory) = (shared.clone(), memory.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let (shared, memory) = (shared.clone(), memory.clone());
                async move { Ok::<_, Infallible>(answer(request, &shared, &memory).await) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(32 << 10).max_headers(64);
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
            drop(permit);
        });
    }
}

/// The whole of a short text.
struct Text(Option<Bytes>);

impl hyper::body::Body for Text {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(self.0.take().map(|text| Ok(Frame::data(text))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |text| text.len() as u64))
    }
}

fn reply(status: StatusCode, text: impl Into<String>) -> Response<Text> {
    let mut response = Response::new(Text(Some(Bytes::from(text.into()))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

async fn answer(request: Request<Incoming>, shared: &Arc<Shared>, memory: &Semaphore) -> Response<Text> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz") => reply(StatusCode::OK, "ok\n"),
        (&Method::GET, "/metrics") => reply(StatusCode::OK, shared.metrics.text(shared.queue.lengths())),
        (&Method::POST, "/hook" | "/") => {
            let (result, response) = hook(request, shared, memory).await;
            shared.metrics.delivery(result);
            response
        }
        (_, path) if path == "/page" || path.starts_with("/page/") => show(request, shared, memory).await,
        (_, "/hook") => reply(StatusCode::METHOD_NOT_ALLOWED, "a webhook is POSTed\n"),
        _ => reply(StatusCode::NOT_FOUND, "nothing is here\n"),
    }
}

/// The page. It may load its own style sheet and nothing else, and stands in no other page.
async fn show(request: Request<Incoming>, shared: &Shared, memory: &Semaphore) -> Response<Text> {
    let Some(page) = &shared.page else { return reply(StatusCode::NOT_FOUND, "nothing is here\n") };
    let (head, body) = request.into_parts();
    let form = match timeout(BODY, whole(body, memory)).await {
        Ok(Read::Whole(body, _)) if body.len() < 4096 => body,
        _ => return reply(StatusCode::BAD_REQUEST, "this is no form of the page\n"),
    };
    let answer = page::answer(shared, page, &head.method, (head.uri.path(), head.uri.query()), &head.headers, &form).await;
    let mut response = reply(StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), answer.body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.kind));
    for (name, value) in [
        (
            "content-security-policy",
            "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Some(cookie) = answer.cookie.and_then(|cookie| HeaderValue::from_str(&cookie).ok()) {
        headers.insert(SET_COOKIE, cookie);
    }
    if let Some(location) = answer.location {
        headers.insert(LOCATION, HeaderValue::from_static(location));
    }
    response
}

/// A delivery: what it counts as, and the answer.
async fn hook(request: Request<Incoming>, shared: &Arc<Shared>, memory: &Semaphore) -> (&'static str, Response<Text>) {
    let refused = |text: &str| ("unsigned", reply(StatusCode::UNAUTHORIZED, text));
    let Some(proof) = Proof::of(request.headers()) else { return refused("the delivery is not signed\n") };
    let length = request.body().size_hint().exact().unwrap_or(LONGEST);
    if length > LONGEST {
        return ("too-large", reply(StatusCode::PAYLOAD_TOO_LARGE, "the delivery is longer than 5 MB\n"));
    }
    let (head, body) = request.into_parts();
    let (body, _room) = match timeout(BODY, whole(body, memory)).await {
        Ok(Read::Whole(body, room)) => (body, room),
        Ok(Read::NoRoom) => return ("no-room", reply(StatusCode::SERVICE_UNAVAILABLE, "too much is being delivered at once\n")),
        Ok(Read::CutShort) | Err(_) => {
            return ("cut-short", reply(StatusCode::BAD_REQUEST, "the delivery did not come whole within 20 s\n"));
        }
    };
    if !proof.fits(&shared.settings.secrets, &body) {
        return refused("the signature does not fit\n");
    }
    let settings = &shared.settings;
    let changes = |paths: &[&str]| settings.paths.is_empty() || paths.iter().any(|path| settings.paths.is_match(path));
    match read(&head.headers, &body, &settings.branch, settings.repository.as_deref(), changes) {
        Delivery::Wrong(why) => ("wrong", reply(StatusCode::BAD_REQUEST, format!("{why}\n"))),
        Delivery::Ignored(why) => ("ignored", reply(StatusCode::OK, format!("ignored: {why}\n"))),
        Delivery::Push(push) => match shared.queue.take(push.clone()) {
            Ok(Taken::Again) => ("again", reply(StatusCode::OK, "this delivery came before\n")),
            Ok(Taken::Waits(before)) => {
                let shared = shared.clone();
                let text = format!("{} waits to be deployed\n", push.commit);
                // Nobody waits for what the hoster's own API answers.
                tokio::spawn(async move {
                    if let Some(before) = before {
                        tell(&shared, &before, State::Failure, &format!("superseded by {}", push.commit)).await;
                    }
                });
                ("accepted", reply(StatusCode::ACCEPTED, text))
            }
            Err(error) => {
                shared.reporter.note(format!("the queue cannot be written: {error}"));
                ("unwritten", reply(StatusCode::SERVICE_UNAVAILABLE, "the queue cannot be written; deliver it again\n"))
            }
        },
    }
}

/// What reading a body came to.
enum Read<'a> {
    /// All of it, and its share of the memory for all bodies.
    Whole(Vec<u8>, Option<SemaphorePermit<'a>>),
    /// It is longer than it may be, or was cut off.
    CutShort,
    /// Other bodies have all the memory that there is for them.
    NoRoom,
}

/// The body, of at most the longest length. Memory is taken for what has come, and not for what somebody says that is to come.
async fn whole(mut body: Incoming, memory: &Semaphore) -> Read<'_> {
    let mut bytes = Vec::new();
    let mut room: Option<SemaphorePermit<'_>> = None;
    while let Some(frame) = std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context)).await {
        let Ok(frame) = frame else { return Read::CutShort };
        let Ok(data) = frame.into_data() else { continue };
        let needed = (bytes.len() + data.len()) / 1024 + 1;
        if needed as u64 > LONGEST / 1024 + 1 {
            return Read::CutShort;
        }
        let more = needed - room.as_ref().map_or(0, SemaphorePermit::num_permits);
        let Ok(more) = memory.try_acquire_many(u32::try_from(more).unwrap_or(ALL_KIB)) else { return Read::NoRoom };
        match &mut room {
            Some(room) => room.merge(more),
            None => room = Some(more),
        }
        bytes.extend_from_slice(&data);
    }
    Read::Whole(bytes, room)
}
