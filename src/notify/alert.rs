//! Alerts that this machine sends: of what went wrong before a server began, and of what a server cannot send by itself.

use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use serde_json::json;

use crate::config::{Channel, Smtp};
use crate::error::{Error, Result};

/// What people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// In one line.
    pub title: String,
    /// All of it, the title included.
    pub text: String,
}

/// How long the longest text is, in characters: the rest is in the log of whoever deployed.
const LONGEST: usize = 1900;

impl Alert {
    /// An alert of these lines below its title.
    pub fn new(title: String, lines: &[String]) -> Self {
        let text = std::iter::once(&title).chain(lines).map(String::as_str).collect::<Vec<_>>().join("\n");
        let plain = |c: &char| !c.is_control() || *c == '\n' || *c == '\t';
        Self { text: text.chars().filter(plain).take(LONGEST).collect(), title }
    }

    /// Sends it by that channel, once, within that time.
    pub async fn send(&self, channel: &Channel, limit: Duration) -> Result<()> {
        let sent = async {
            match channel {
                Channel::Slack { url } => {
                    post(url, "application/json", &[], json!({ "text": for_slack(&self.text) }).to_string()).await
                }
                Channel::Webhook { url, body, content_type, headers } => {
                    post(url, content_type, headers, self.filled(body, content_type)).await
                }
                Channel::Email { to, from, smtp } => self.mail(to, from, smtp).await,
            }
        };
        match tokio::time::timeout(limit, sent).await {
            Ok(sent) => sent,
            Err(_) => Err(Error::failed(format!("no answer within {} s", limit.as_secs_f32()))),
        }
    }

    fn filled(&self, body: &str, content_type: &str) -> String {
        let value = |text: &str| if content_type.contains("json") { json!(text).to_string() } else { text.to_owned() };
        // In one pass: what the text says is not filled in again.
        let mut filled = String::new();
        let mut rest = body;
        while let Some(at) = rest.find("{t") {
            filled.push_str(&rest[..at]);
            rest = &rest[at..];
            let (mark, text) = [("{title}", &self.title), ("{text}", &self.text)]
                .into_iter()
                .find(|(mark, _)| rest.starts_with(mark))
                .map_or(("{t", None), |(mark, text)| (mark, Some(text)));
            match text {
                Some(text) => filled.push_str(&value(text)),
                None => filled.push_str(mark),
            }
            rest = &rest[mark.len()..];
        }
        filled + rest
    }

    async fn mail(&self, to: &[String], from: &str, smtp: &Smtp) -> Result<()> {
        let wrong = |error: &dyn std::fmt::Display| Error::failed(format!("the mail server {}: {error}", smtp.host));
        let mailbox = |address: &str| address.parse::<lettre::message::Mailbox>().map_err(|error| wrong(&error));
        let mut message = Message::builder().from(mailbox(from)?).subject(&self.title).header(ContentType::TEXT_PLAIN);
        for address in to {
            message = message.to(mailbox(address)?);
        }
        let message = message.body(self.text.clone()).map_err(|error| wrong(&error))?;
        let parameters = TlsParameters::new(smtp.host.clone()).map_err(|error| wrong(&error))?;
        let tls = match (smtp.is_tls, &smtp.login) {
            (true, _) => Tls::Wrapper(parameters),
            (false, Some(_)) if !smtp.is_here() => Tls::Required(parameters),
            _ => Tls::Opportunistic(parameters),
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host).port(smtp.port).tls(tls);
        if let Some((user, password)) = &smtp.login {
            transport = transport.credentials(Credentials::new(user.clone(), password.clone()));
        }
        transport.build().send(message).await.map(drop).map_err(|error| wrong(&error))
    }
}

/// Signs that mean something to Slack, written out.
fn for_slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

async fn post(url: &str, content_type: &str, headers: &[(String, String)], body: String) -> Result<()> {
    // The address is a secret: of an error only what happened is told.
    let told = |error: reqwest::Error| {
        let error = error.without_url();
        let causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
        Error::failed(causes.last().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}")))
    };
    let client = reqwest::Client::builder()
        .user_agent(concat!("estiba/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(told)?;
    let mut request = client.post(url).header("Content-Type", content_type).body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let status = request.send().await.map_err(told)?.status();
    if status.is_success() { Ok(()) } else { Err(Error::failed(format!("it answers {status}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_filled_once_and_in_its_own_way() {
        let alert = Alert::new("a {text} & \"b\"".into(), &["<c>\u{1b}[0m".into()]);
        assert_eq!(alert.text, "a {text} & \"b\"\n<c>[0m");
        assert_eq!(alert.filled("{\"t\": {title}, {tt}}", "application/json"), "{\"t\": \"a {text} & \\\"b\\\"\", {tt}}");
        assert_eq!(alert.filled("{title}|{text}", "text/plain"), format!("{}|{}", alert.title, alert.text));
        assert_eq!(for_slack("a & <b>"), "a &amp; &lt;b&gt;");
    }
}
