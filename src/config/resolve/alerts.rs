//! Who is told of what.

use percent_encoding::percent_decode_str;

use crate::error::{Error, Result};
use crate::text::fill;

use super::super::resolved::{Alerts, Channel, Setting, Smtp, Watch};
use super::super::shape::{AlertOn, EmailSection, WebhookSection};
use super::super::{Project, Seconds};

/// What stands for an address that only stands in for a secret.
const NOWHERE: &str = "https://stand-in.invalid/";

/// The channels by which people are told. Their addresses are filled in here and not with the rest of deploy.toml, so that whoever only
/// looks at a target needs none of these secrets.
pub(super) fn resolve(project: &Project) -> Result<Alerts> {
    let section = &project.loaded.config.alerts;
    let on = Setting::or_default(section.on.clone(), vec![AlertOn::Failed, AlertOn::RolledBack, AlertOn::Recovered]);
    let mut alerts = Alerts { on, channels: Vec::new(), secrets: Vec::new() };
    if project.to_look {
        return Ok(alerts);
    }
    let mut secrets = Vec::new();
    let mut reader = Reader { project, secrets: &mut secrets };
    if let Some(url) = &section.slack
        && let Some(url) = reader.address("slack", url)?
    {
        alerts.channels.push(Channel::Slack { url });
    }
    if let Some(webhook) = &section.webhook {
        alerts.channels.extend(reader.webhook(webhook)?);
    }
    if let Some(email) = &section.email {
        alerts.channels.extend(reader.email(email)?);
    }
    secrets.retain(|secret| secret.len() >= 4);
    alerts.secrets = secrets;
    Ok(alerts)
}

/// What the server looks at by itself, where it does.
pub(super) fn watch(project: &Project) -> Result<Option<Watch>> {
    let config = &project.loaded.config;
    let source = project.loaded.source();
    let Some(section) = &config.watch else { return Ok(None) };
    let alerts = &config.alerts;
    let metrics = Setting::or_default(section.metrics, false);
    let has_channel = alerts.slack.is_some() || alerts.webhook.is_some() || alerts.email.is_some();
    if !has_channel && !metrics.value {
        return Err(source
            .error_near("[watch]", "[watch] has nobody to tell")
            .hint("[alerts] slack = \"${SLACK_WEBHOOK_URL}\", or webhook, or email; or [watch] metrics = true"));
    }
    if section.every.is_some_and(|every| every < Seconds(5)) {
        return Err(source.error_near("every", "[watch] every is shorter than 5s").hint("every = \"30s\""));
    }
    if section.disk_percent.is_some_and(|percent| !(1..=100).contains(&percent)) {
        return Err(source.error_near("disk-percent", "[watch] disk-percent is no percentage").hint("disk-percent = 90"));
    }
    Ok(Some(Watch {
        every: Setting::or_default(section.every, Seconds(30)),
        disk_percent: Setting::or_default(section.disk_percent, 90),
        certificate_days: Setting::or_default(section.certificate_days, 14),
        backup_age: Setting::or_default(section.backup_age, Seconds(26 * 3600)),
        tell: Setting::or_default(section.tell, true),
        metrics,
    }))
}

struct Reader<'a> {
    project: &'a Project,
    secrets: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn wrong(&self, near: &str, message: impl Into<String>) -> Error {
        self.project.loaded.source().error_near(near, message.into())
    }

    /// The text, filled in; nothing where it comes to nothing.
    fn filled(&mut self, text: &str) -> Result<Option<String>> {
        let mut used = Vec::new();
        let filled = fill(self.project.loaded.source(), text, self.project.offered(), &mut used)?;
        self.secrets.extend(used.iter().filter_map(|name| self.project.environment.get(name)).cloned());
        if filled.contains(['\n', '\r', '\0']) {
            return Err(self.wrong(text, format!("[alerts]: what `{text}` comes to is not one line")));
        }
        Ok((!filled.is_empty()).then_some(filled))
    }

    fn stands_in(&self, text: &str) -> bool {
        self.project.stand_ins.iter().any(|stand_in| text.contains(stand_in.as_str()))
    }

    /// An http or https address.
    fn address(&mut self, key: &str, written: &str) -> Result<Option<String>> {
        let Some(url) = self.filled(written)? else { return Ok(None) };
        if self.stands_in(&url) {
            return Ok(Some(NOWHERE.into()));
        }
        let is_good = reqwest::Url::parse(&url).is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        if !is_good {
            return Err(self
                .wrong(written, format!("[alerts] {key} is not an http or https address"))
                .hint("its value is not shown; is the variable the whole address?"));
        }
        Ok(Some(url))
    }

    fn webhook(&mut self, section: &WebhookSection) -> Result<Option<Channel>> {
        let Some(url) = self.address("webhook url", &section.url)? else { return Ok(None) };
        let content_type = section.content_type.clone().unwrap_or_else(|| "application/json".into());
        let default = if content_type.contains("json") { "{\"title\": {title}, \"text\": {text}}" } else { "{text}" };
        let body = section.body.clone().unwrap_or_else(|| default.into());
        if !body.contains("{text}") && !body.contains("{title}") {
            return Err(self
                .wrong(&body, "[alerts] webhook body says nothing: `{text}` is missing in it")
                .hint("body = '{\"content\": {text}}'"));
        }
        if content_type.contains("json") {
            let tried = body.replace("{title}", "\"\"").replace("{text}", "\"\"");
            if let Err(error) = serde_json::from_str::<serde_json::Value>(&tried) {
                return Err(self
                    .wrong(&body, format!("[alerts] webhook body is no JSON: {error}"))
                    .hint("{title} and {text} stand for whole JSON strings: {\"content\": {text}}"));
            }
        }
        let mut headers = Vec::new();
        for (name, value) in &section.headers {
            let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if !is_name || content_type.contains(['\n', '\r']) {
                return Err(self.wrong(name, format!("[alerts] webhook: `{name}` is no name of a header")));
            }
            headers.extend(self.filled(value)?.map(|value| (name.clone(), value)));
        }
        Ok(Some(Channel::Webhook { url, body, content_type, headers }))
    }

    fn email(&mut self, section: &EmailSection) -> Result<Option<Channel>> {
        let Some(smtp) = self.filled(&section.smtp)? else { return Ok(None) };
        let smtp = if self.stands_in(&smtp) { "smtp://stand-in.invalid".to_owned() } else { smtp };
        let smtp = smtp_server(&smtp).ok_or_else(|| {
            self.wrong(&section.smtp, "[alerts] email smtp is not the address of a mail server")
                .hint("smtp = \"${SMTP_URL}\", which is smtp://user:password@host:587 or smtps://user:password@host")
        })?;
        let Some(first) = section.to.first() else {
            return Err(self.wrong("to", "[alerts] email goes to nobody").hint("to = [\"ops@example.com\"]"));
        };
        let from = section.from.clone().unwrap_or_else(|| first.clone());
        for address in section.to.iter().chain([&from]) {
            let is_plain = address.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
            if !is_plain || !address.bytes().all(|b| b.is_ascii_alphanumeric() || b"@._+-=".contains(&b)) {
                return Err(self
                    .wrong(address, format!("[alerts] email: `{address}` is not a plain address"))
                    .hint("ops@example.com, without a name"));
            }
        }
        Ok(Some(Channel::Email { to: section.to.clone(), from, smtp }))
    }
}

/// Reads `smtp://user:password@host:port` and `smtps://…`.
fn smtp_server(text: &str) -> Option<Smtp> {
    let url = reqwest::Url::parse(text).ok()?;
    let is_tls = match url.scheme() {
        "smtp" => false,
        "smtps" => true,
        _ => return None,
    };
    let host = url.host_str().filter(|host| !host.is_empty())?.to_owned();
    let login = match (url.username(), url.password()) {
        ("", _) => None,
        (user, password) => Some((decoded(user)?, decoded(password.unwrap_or_default())?)),
    };
    let default = match (is_tls, &login) {
        (true, _) => 465,
        (false, Some(_)) => 587,
        (false, None) => 25,
    };
    Some(Smtp { host, port: url.port().unwrap_or(default), is_tls, login })
}

/// What `%40` and the like stand for; nothing where it is no text of one line.
fn decoded(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    (!text.contains(['\n', '\r', '\0'])).then(|| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_mail_server_is_taken_apart() {
        let read = |text: &str| smtp_server(text).map(|smtp| (smtp.host, smtp.port, smtp.is_tls, smtp.login));
        let login = Some(("me@x.org".to_owned(), "p:w/d".to_owned()));
        assert_eq!(read("smtp://me%40x.org:p%3Aw%2Fd@mail.x.org"), Some(("mail.x.org".into(), 587, false, login)));
        assert_eq!(read("smtps://u:p@mail:2465").map(|read| (read.1, read.2)), Some((2465, true)));
        assert_eq!(read("smtp://127.0.0.1:2525"), Some(("127.0.0.1".into(), 2525, false, None)));
        assert_eq!(read("smtp://mail"), Some(("mail".into(), 25, false, None)));
        for wrong in ["mail:25", "http://mail", "smtp://", "smtp://u:%ff@h", "smtp://u:%0a@h"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
