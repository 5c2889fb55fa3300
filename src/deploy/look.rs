//! The look at a site from outside: does the site answer at its own address as it should?

use std::time::Duration;

use jiff::Timestamp;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::Target;
use crate::error::{Error, Result};

/// Of a page, this much is looked at.
const PAGE: usize = 1 << 20;
/// A certificate that ends within this many days is worth a warning.
const DAYS: i64 = 14;

/// What one look from outside saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// All is as it should be; what is worth saying of it.
    Good(Option<String>),
    /// Why it is not.
    Bad(String),
}

/// Looks at a target's url.
#[derive(Debug)]
pub(super) struct Look<'a> {
    url: &'a str,
    contains: Option<&'a str>,
    now: Timestamp,
    client: reqwest::Client,
}

impl<'a> Look<'a> {
    /// `None` where the target has no url. A certificate's days are counted from `now`.
    pub(super) fn of(target: &'a Target, now: Timestamp) -> Result<Option<Self>> {
        let Some(url) = target.url.as_deref() else { return Ok(None) };
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .user_agent(concat!("estiba/", env!("CARGO_PKG_VERSION")))
            .tls_info(true)
            // Each look is a connection of its own, as a new visitor's is.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| Error::failed(format!("cannot look at {url}: {error}")))?;
        Ok(Some(Self { url, contains: target.url_contains.as_deref(), now, client }))
    }

    /// One look. `release` is the one that should answer; an answer that names its release must name that one.
    pub(super) async fn take(&self, release: &str) -> Seen {
        let url = self.url;
        let response = match self.client.get(url).send().await {
            Ok(response) => response,
            Err(error) => return Seen::Bad(format!("{url}: {}", chain(&error))),
        };
        let status = response.status();
        if !status.is_success() {
            return Seen::Bad(format!("{url} answers {status}"));
        }
        let named = response.headers().get("x-estiba-release").and_then(|value| value.to_str().ok()).map(str::to_owned);
        if let Some(named) = named.filter(|named| named != release) {
            return Seen::Bad(format!("{url} is answered by release {named}, not {release}"));
        }
        let days =
            response.extensions().get::<reqwest::tls::TlsInfo>().and_then(|tls| days_left(tls.peer_certificate()?, self.now));
        let body = match beginning(response).await {
            Ok(body) => body,
            Err(error) => return Seen::Bad(format!("{url}: its answer was cut short: {}", chain(&error))),
        };
        if let Some(text) = self.contains.filter(|text| !body.contains(*text)) {
            return Seen::Bad(format!("{url} answers without `{text}` in its body"));
        }
        let note = days.filter(|days| *days < DAYS).map(|days| format!("the certificate of {url} ends in {days} days"));
        Seen::Good(note)
    }
}

/// The first megabyte of the page: it may be a page without an end.
async fn beginning(mut response: reqwest::Response) -> reqwest::Result<String> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        body.extend_from_slice(&piece);
        if body.len() >= PAGE {
            body.truncate(PAGE);
            break;
        }
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Days until the certificate ends.
fn days_left(certificate: &[u8], now: Timestamp) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let left = certificate.validity().not_after.timestamp() - now.as_second();
    (left >= 0).then_some(left / (24 * 60 * 60))
}

/// An error with its causes: the outermost alone says little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn of_a_page_without_an_end_the_beginning_is_read() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_buf(&mut Vec::new()).await.unwrap();
            let mut sent = 0_usize;
            let mut piece = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
            while stream.write_all(&piece).await.is_ok() {
                sent += piece.len();
                piece = vec![b'x'; 65_536];
            }
            sent
        });
        let response =
            reqwest::Client::builder().no_proxy().build().unwrap().get(format!("http://{address}/")).send().await.unwrap();
        let page = beginning(response).await.unwrap();
        assert_eq!(page.len(), PAGE);
        assert!(server.await.unwrap() < 64 * PAGE);
    }
}
