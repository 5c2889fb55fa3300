//! What stands in an alert's body for the words of the alert: the server's `lib/alerts.sh` puts them there.

/// The title as a JSON string.
pub const TITLE_JSON: &str = "@@title-json@@";
/// The text as a JSON string.
pub const TEXT_JSON: &str = "@@text-json@@";
/// The text as a JSON string, with the signs that mean something to Slack written out.
pub const SLACK: &str = "@@text-slack@@";
/// The title as it is.
pub const TITLE: &str = "@@title@@";
/// The text as it is.
pub const TEXT: &str = "@@text@@";
/// The text in base64.
pub const TEXT_BASE64: &str = "@@text-base64@@";
/// The time as mail writes it.
pub const DATE: &str = "@@date@@";

/// All of them.
#[cfg(test)]
pub(super) const ALL: [&str; 7] = [TITLE_JSON, TEXT_JSON, SLACK, TITLE, TEXT, TEXT_BASE64, DATE];
