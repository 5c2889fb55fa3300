//! How a server tells people: for each channel a configuration of curl and what is sent, in the release's folder `alerts`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::artefact::Artefact;
use crate::config::{Alerts, Channel, Smtp};
use crate::server::alert_mark;

/// The files of the folder `alerts`: whether and how people are told. None where nobody is.
pub(super) fn files(alerts: &Alerts) -> BTreeMap<String, Artefact> {
    let mut files = BTreeMap::new();
    if !alerts.is_wanted() {
        return files;
    }
    let words: Vec<&str> = alerts.on.value.iter().map(|on| on.word()).collect();
    files.insert("alerts/on".into(), Artefact::text(format!("{}\n", words.join(" "))));
    for channel in &alerts.channels {
        let name = channel.name();
        let (curl, body) = match channel {
            Channel::Slack { url } => (post(url, "application/json", &[]), format!("{{\"text\": {}}}", alert_mark::SLACK)),
            Channel::Webhook { url, body, content_type, headers } => {
                (post(url, content_type, headers), filled(body, content_type))
            }
            Channel::Email { to, from, smtp } => (mail(to, from, smtp), message(to, from)),
        };
        files.insert(format!("alerts/{name}.curl"), Artefact::secret(curl));
        files.insert(format!("alerts/{name}.body"), Artefact::secret(body));
    }
    files
}

/// What every request of curl's has: quiet but for errors, ended in time, no pattern read into an address.
const COMMON: &str = "silent\nshow-error\nfail\ngloboff\nmax-time = 10\noutput = \"/dev/null\"\nwrite-out = \":%{http_code}\"\n";

fn post(url: &str, content_type: &str, headers: &[(String, String)]) -> String {
    let mut text = format!("{COMMON}proto = \"=http,https\"\nurl = {}\ndata-binary = \"@-\"\n", quoted(url));
    let _ = writeln!(text, "header = {}", quoted(&format!("Content-Type: {content_type}")));
    for (name, value) in headers {
        let _ = writeln!(text, "header = {}", quoted(&format!("{name}: {value}")));
    }
    text
}

fn mail(to: &[String], from: &str, smtp: &Smtp) -> String {
    let scheme = if smtp.is_tls { "smtps" } else { "smtp" };
    let mut text =
        format!("{COMMON}url = {}\nupload-file = \"-\"\ncrlf\n", quoted(&format!("{scheme}://{}:{}", smtp.host, smtp.port)));
    let _ = writeln!(text, "mail-from = {}", quoted(from));
    for address in to {
        let _ = writeln!(text, "mail-rcpt = {}", quoted(address));
    }
    if let Some((user, password)) = &smtp.login {
        let _ = writeln!(text, "user = {}", quoted(&format!("{user}:{password}")));
    }
    if !smtp.is_tls {
        // A password goes to another machine over TLS alone.
        text += if smtp.login.is_some() && !smtp.is_here() { "ssl-reqd\n" } else { "ssl\n" };
    }
    text
}

/// A text in a configuration of curl.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            '\t' => quoted += "\\t",
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

fn filled(body: &str, content_type: &str) -> String {
    let (title, text) = if content_type.contains("json") {
        (alert_mark::TITLE_JSON, alert_mark::TEXT_JSON)
    } else {
        (alert_mark::TITLE, alert_mark::TEXT)
    };
    body.replace("{title}", title).replace("{text}", text)
}

/// A message of RFC 5322. Its text is in base64, so that no line of it is too long or means something to a mail server.
fn message(to: &[String], from: &str) -> String {
    // curl writes the line ends that mail wants.
    format!(
        "From: {from}\nTo: {}\nSubject: {}\nDate: {}\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\
         Content-Transfer-Encoding: base64\n\n{}\n",
        to.join(", "),
        alert_mark::TITLE,
        alert_mark::DATE,
        alert_mark::TEXT_BASE64
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_curl_is_told_has_no_way_out_of_its_quotes() {
        let headers = [("X-Key".to_owned(), "a\"b\\c".to_owned())];
        let text = post("https://h/?a={b}&c=\"d\"", "text/plain", &headers);
        assert!(text.contains("url = \"https://h/?a={b}&c=\\\"d\\\"\"\n"), "{text}");
        assert!(text.contains("header = \"X-Key: a\\\"b\\\\c\"\n"), "{text}");
        let smtp = Smtp { host: "mail".into(), port: 587, is_tls: false, login: Some(("u".into(), "p\"".into())) };
        let text = mail(&["a@x".into(), "b@x".into()], "f@x", &smtp);
        assert!(text.contains("user = \"u:p\\\"\"\n") && text.ends_with("ssl-reqd\n"), "{text}");
        assert_eq!(text.matches("mail-rcpt").count(), 2);
        let here = Smtp { host: "127.0.0.1".into(), ..smtp };
        assert!(mail(&["a@x".into()], "f@x", &here).ends_with("ssl\n"));
    }
}
