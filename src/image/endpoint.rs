//! One image as a registry would serve it: read-only, by digest, after the OCI Distribution Specification.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::login::Login;
use super::oci::{MANIFEST, Oci};

/// What is served.
pub(super) struct Endpoint {
    /// The repository's name.
    pub(super) repository: String,
    /// Who may ask: the repository's name is no secret, since it stands in the arguments of a program of the server.
    pub(super) login: Login,
    /// The image.
    pub(super) image: Arc<Oci>,
    /// The digests of blobs that were asked for.
    pub(super) asked: Mutex<BTreeSet<String>>,
    /// Hears of each piece of a blob that goes out.
    pub(super) told: Box<dyn Fn(u64) + Send + Sync>,
}

impl Endpoint {
    /// Serves one connection to its end.
    pub(super) async fn serve(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let service = hyper::service::service_fn(move |request| {
            let this = self.clone();
            async move { Ok::<_, Infallible>(this.answer(&request)) }
        });
        // An engine that hangs up in the middle says why by itself.
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    fn answer<B>(self: &Arc<Self>, request: &Request<B>) -> Response<Piece> {
        let head = request.method() == Method::HEAD;
        if !head && request.method() != Method::GET {
            return status(StatusCode::METHOD_NOT_ALLOWED);
        }
        if !self.login.lets_in(request) {
            return refusal();
        }
        let path = request.uri().path();
        if path == "/v2/" {
            return status(StatusCode::OK);
        }
        let Some(path) = path.strip_prefix("/v2/").and_then(|path| path.strip_prefix(self.repository.as_str())) else {
            return status(StatusCode::NOT_FOUND);
        };
        if path.strip_prefix("/manifests/") == Some(self.image.digest.as_str()) {
            let body = if head { Piece::nothing() } else { Piece::Text(Some(self.image.manifest.clone())) };
            return response(StatusCode::OK, MANIFEST, self.image.manifest.len() as u64, None, body);
        }
        let blob = path.strip_prefix("/blobs/").and_then(|digest| self.image.blobs.get_key_value(digest));
        let Some((digest, file)) = blob else { return status(StatusCode::NOT_FOUND) };
        let Ok(size) = file.metadata().map(|found| found.len()) else { return status(StatusCode::INTERNAL_SERVER_ERROR) };
        let range = request.headers().get(RANGE).and_then(|range| range.to_str().ok());
        let Some((start, end)) = bounds(range, size) else { return status(StatusCode::RANGE_NOT_SATISFIABLE) };
        let body = if head {
            Piece::nothing()
        } else {
            self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(digest.clone());
            Piece::File { endpoint: self.clone(), file: file.clone(), at: start, end }
        };
        let code = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        let range = range.map(|_| format!("bytes {start}-{}/{size}", end.saturating_sub(1)));
        response(code, "application/octet-stream", end - start, range, body)
    }
}

/// From which byte to before which, of a blob of that size. `None`: there is no such part.
fn bounds(range: Option<&str>, size: u64) -> Option<(u64, u64)> {
    let Some(range) = range else { return Some((0, size)) };
    let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
    let start = start.parse().ok().filter(|start| *start < size)?;
    let end = if end.is_empty() { size } else { end.parse::<u64>().ok()?.saturating_add(1).min(size) };
    (start < end).then_some((start, end))
}

/// The answer to a request that does not bring its login.
pub(super) fn refusal() -> Response<Piece> {
    let mut response = status(StatusCode::UNAUTHORIZED);
    response.headers_mut().insert(WWW_AUTHENTICATE, hyper::header::HeaderValue::from_static("Basic realm=\"estiba\""));
    response
}

pub(super) fn status(code: StatusCode) -> Response<Piece> {
    response(code, "application/json", 0, None, Piece::nothing())
}

pub(super) fn response(code: StatusCode, kind: &'static str, length: u64, range: Option<String>, body: Piece) -> Response<Piece> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(ACCEPT_RANGES, hyper::header::HeaderValue::from_static("bytes"));
    headers.insert("docker-distribution-api-version", hyper::header::HeaderValue::from_static("registry/2.0"));
    if let Some(range) = range.and_then(|range| range.parse().ok()) {
        headers.insert(CONTENT_RANGE, range);
    }
    response
}

/// A response's body.
pub(super) enum Piece {
    Text(Option<Bytes>),
    File { endpoint: Arc<Endpoint>, file: Arc<File>, at: u64, end: u64 },
}

impl Piece {
    pub(super) const fn nothing() -> Self {
        Self::Text(None)
    }
}

const PIECE: u64 = 256 * 1024;

impl Body for Piece {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let frame = match &mut *self {
            Self::Text(text) => text.take().map(|text| Ok(Frame::data(text))),
            Self::File { at, end, .. } if at == end => None,
            // Small reads of a file that was written a moment ago: the kernel has it in memory.
            Self::File { endpoint, file, at, end } => {
                let mut piece = vec![0; usize::try_from((*end - *at).min(PIECE)).unwrap_or(0)];
                match file.read_exact_at(&mut piece, *at) {
                    Ok(()) => {
                        *at += piece.len() as u64;
                        (endpoint.told)(piece.len() as u64);
                        Some(Ok(Frame::data(piece.into())))
                    }
                    Err(error) => Some(Err(error)),
                }
            }
        };
        Poll::Ready(frame)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Text(text) => text.as_ref().map_or(0, |text| text.len() as u64),
            Self::File { at, end, .. } => end - at,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hyper::header::AUTHORIZATION;

    use super::*;

    fn endpoint() -> Arc<Endpoint> {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, b"0123456789").unwrap();
        Arc::new(Endpoint {
            repository: "word/shop".into(),
            login: Login { password: "secret".into() },
            image: Arc::new(Oci {
                digest: "sha256:m".into(),
                manifest: Bytes::from_static(b"{}"),
                blobs: BTreeMap::from([("sha256:b".to_owned(), Arc::new(file))]),
                layers: vec!["sha256:b".into()],
            }),
            asked: Mutex::default(),
            told: Box::new(|_| {}),
        })
    }

    async fn ask(endpoint: &Arc<Endpoint>, method: &str, path: &str, range: Option<&str>) -> (u16, Vec<u8>) {
        let mut request = Request::builder().method(method).uri(path).header(AUTHORIZATION, "Basic ZXN0aWJhOnNlY3JldA==");
        if let Some(range) = range {
            request = request.header(RANGE, range);
        }
        let response = endpoint.answer(&request.body(()).unwrap());
        let code = response.status().as_u16();
        let mut body = Box::pin(response.into_body());
        let mut bytes = Vec::new();
        while let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await {
            bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
        (code, bytes)
    }

    #[tokio::test]
    async fn blobs_are_read_by_digest_whole_or_in_part_by_whoever_has_the_password() {
        let endpoint = endpoint();
        for header in [None, Some("Basic ZXN0aWJhOndyb25n"), Some("Basic secret"), Some("")] {
            for path in ["/v2/", "/v2/word/shop/manifests/sha256:m", "/v2/word/shop/blobs/sha256:b"] {
                let mut request = Request::builder().uri(path);
                if let Some(header) = header {
                    request = request.header(AUTHORIZATION, header);
                }
                assert_eq!(endpoint.answer(&request.body(()).unwrap()).status(), 401, "{path} {header:?}");
            }
        }
        assert_eq!(ask(&endpoint, "GET", "/v2/", None).await.0, 200);
        assert_eq!(ask(&endpoint, "GET", "/v2/word/shop/manifests/sha256:m", None).await, (200, b"{}".to_vec()));
        assert_eq!(ask(&endpoint, "GET", "/v2/word/shop/manifests/latest", None).await.0, 404);
        assert_eq!(ask(&endpoint, "GET", "/v2/shop/manifests/sha256:m", None).await.0, 404);
        assert_eq!(ask(&endpoint, "HEAD", "/v2/word/shop/blobs/sha256:b", None).await, (200, Vec::new()));
        assert!(endpoint.asked.lock().unwrap().is_empty());
        assert_eq!(ask(&endpoint, "GET", "/v2/word/shop/blobs/sha256:b", None).await, (200, b"0123456789".to_vec()));
        assert_eq!(ask(&endpoint, "GET", "/v2/word/shop/blobs/sha256:b", Some("bytes=7-")).await, (206, b"789".to_vec()));
        assert_eq!(ask(&endpoint, "GET", "/v2/word/shop/blobs/sha256:b", Some("bytes=2-3")).await, (206, b"23".to_vec()));
        assert_eq!(ask(&endpoint, "GET", "/v2/word/shop/blobs/sha256:b", Some("bytes=10-")).await.0, 416);
        assert_eq!(ask(&endpoint, "GET", "/v2/word/shop/blobs/../../etc/passwd", None).await.0, 404);
        assert_eq!(ask(&endpoint, "PUT", "/v2/word/shop/manifests/sha256:m", None).await.0, 405);
        assert_eq!(endpoint.asked.lock().unwrap().len(), 1);
    }
}
