//! The look at a site from outside: does the site answer at its own address as it should?

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use crate::config::Target;
use crate::error::{Error, Result};
use crate::text::printable;

/// Of a page, this much is looked at.
const PAGE: usize = 1 << 20;
/// A certificate that ends within this many days is worth a warning: Let's Encrypt's are renewed 30 days before.
const DAYS: i64 = 21;
/// The name in the certificate that the stack of `init` serves until the real one is there.
const STAND_IN: &str = "estiba stand-in";

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
    /// Statuses that are good beside those of success.
    accept: &'a [u16],
    now: Timestamp,
    client: reqwest::Client,
    /// One that takes any certificate, to tell what is wrong with it.
    lenient: reqwest::Client,
}

impl<'a> Look<'a> {
    /// `None` where the target has no url. A certificate's days are counted from `now`.
    pub(super) fn of(target: &'a Target, accept: &'a [u16], now: Timestamp) -> Result<Option<Self>> {
        let Some(url) = target.url.as_deref() else { return Ok(None) };
        let failed = |error| Error::failed(format!("cannot look at {url}: {error}"));
        let client = builder().build().map_err(failed)?;
        let lenient = builder().danger_accept_invalid_certs(true).build().map_err(failed)?;
        Ok(Some(Self { url, contains: target.url_contains.as_deref(), accept, now, client, lenient }))
    }

    /// The site's answer behind the stand-in certificate. `None` where that is not what it has.
    async fn with_stand_in(&self) -> Option<reqwest::Response> {
        let response = self.lenient.get(self.url).send().await.ok()?;
        Certificate::of(&response, self.now)?.stand_in.then_some(response)
    }

    /// One look. `release` is the one that should answer; an answer that names its release must name that one.
    pub(super) async fn take(&self, release: &str) -> Seen {
        let url = self.url;
        let (response, stands_in) = match self.client.get(url).send().await {
            Ok(response) => (response, false),
            Err(error) => match self.with_stand_in().await {
                Some(response) => (response, true),
                None => return Seen::Bad(format!("{url}: {}", chain(&error))),
            },
        };
        let status = response.status();
        if !status.is_success() && !self.accept.contains(&status.as_u16()) {
            return Seen::Bad(format!(
                "{url} answers {status}; if that is meant: [health] accept = [{}], or set the target's url to a page that is there",
                status.as_u16()
            ));
        }
        let named = response.headers().get("x-estiba-release").and_then(|value| value.to_str().ok()).map(str::to_owned);
        if let Some(named) = named.filter(|named| named != release) {
            return Seen::Bad(format!("{url} is answered by release {named}, not {release}"));
        }
        let days = Certificate::of(&response, self.now).map(|certificate| certificate.days);
        let body = match beginning(response).await {
            Ok(body) => body,
            Err(error) => return Seen::Bad(format!("{url}: its answer was cut short: {}", chain(&error))),
        };
        if let Some(text) = self.contains.filter(|text| !body.contains(*text)) {
            return Seen::Bad(format!("{url} answers without `{text}` in its body"));
        }
        if stands_in {
            return Seen::Good(Some(format!(
                "{url} has the stand-in certificate, which browsers refuse, until the first real one is there: `estiba logs --service certificates` says how far that is"
            )));
        }
        let note = days.filter(|days| *days < DAYS).map(|days| format!("the certificate of {url} ends in {days} days"));
        Seen::Good(note)
    }
}

/// What every look is made with.
fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .user_agent(concat!("estiba/", env!("CARGO_PKG_VERSION")))
        .tls_info(true)
        // Each look is a connection of its own, as a new visitor's is.
        .pool_max_idle_per_host(0)
}

/// The certificate that a site answers with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// Whole days until it ends, fewer than 0 where it has.
    pub days: i64,
    /// When it ends, UTC.
    pub until: String,
    /// Who signed it.
    pub issuer: String,
    /// Is it the one that the stack of `init` serves until the real one is there?
    pub stand_in: bool,
    /// Why programs do not trust it; `None` where they do.
    pub refused: Option<String>,
}

impl Certificate {
    /// The certificate of a target's url. `None` where it has no https url, or nobody answers there.
    pub async fn look(target: &Target, now: Timestamp) -> Option<Self> {
        target.url.as_deref().filter(|url| url.starts_with("https://"))?;
        let look = Look::of(target, &[], now).ok()??;
        let (strict, lenient) = tokio::join!(look.client.head(look.url).send(), look.lenient.head(look.url).send());
        let response = lenient.ok()?;
        let refused = strict.err().filter(reqwest::Error::is_connect).map(|error| chain(&error));
        Some(Self { refused, ..Self::of(&response, now)? })
    }

    fn of(response: &reqwest::Response, now: Timestamp) -> Option<Self> {
        Self::read(response.extensions().get::<reqwest::tls::TlsInfo>()?.peer_certificate()?, now)
    }

    fn read(certificate: &[u8], now: Timestamp) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let end = Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()?;
        let name = |name: &X509Name<'_>| printable(&name.to_string());
        let names = |text: &X509Name<'_>| text.iter_common_name().any(|name| name.as_str() == Ok(STAND_IN));
        Some(Self {
            days: (end.as_second() - now.as_second()).div_euclid(24 * 60 * 60),
            until: end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            issuer: name(certificate.issuer()),
            stand_in: names(certificate.subject()),
            refused: None,
        })
    }

    /// Does it end soon, or do programs refuse it? The stand-in of a stack that waits for its first one is none of that.
    pub(super) fn is_worth_a_warning(&self) -> bool {
        !self.stand_in && (self.days < DAYS || self.refused.is_some())
    }

    /// In one line, as `status` has it.
    pub fn in_words(&self) -> String {
        let end =
            if self.days < 0 { format!("ended on {}", self.until) } else { format!("{} days, until {}", self.days, self.until) };
        match (&self.refused, self.stand_in) {
            (_, true) => "the stack's stand-in, which browsers refuse, until the first real one is there".into(),
            (Some(why), _) => format!("{end}, by {}; programs refuse it: {why}", self.issuer),
            (None, _) if self.days < DAYS => format!("{end}, by {}; it should have been renewed", self.issuer),
            (None, _) => format!("{end}, by {}", self.issuer),
        }
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
