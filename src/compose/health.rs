//! What a healthcheck says about the address that the app answers on.

use yaml_serde::Value;

/// Port and path of an address on the container itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthUrl {
    /// The port, where the address names one.
    pub port: Option<u16>,
    /// The path, `/` where the address has none.
    pub path: String,
}

/// The first address of the container itself in a healthcheck's `test`.
pub fn health_url(test: &Value) -> Option<HealthUrl> {
    let text = match test {
        Value::String(text) => text.clone(),
        Value::Sequence(words) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        _ => return None,
    };
    ["localhost", "127.0.0.1", "0.0.0.0", "[::1]"].iter().find_map(|host| {
        // Without a scheme it is an address where a port follows, and none that a proxy is named by.
        let at = text.find(&format!("//{host}")).map(|at| at + 2).or_else(|| text.find(&format!(" {host}:")).map(|at| at + 1))?;
        let rest = &text[at + host.len()..];
        let end = rest.find(|c: char| c.is_whitespace() || "'\"`)|;&".contains(c)).unwrap_or(rest.len());
        let rest = &rest[..end];
        let (port, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = if path.is_empty() { "/" } else { path };
        Some(HealthUrl { port: port.strip_prefix(':').and_then(|port| port.parse().ok()), path: path.to_owned() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_usual_forms() {
        let found = |yaml: &str| health_url(&yaml_serde::from_str(yaml).unwrap());
        let expected = Some(HealthUrl { port: Some(8000), path: "/health/".into() });
        assert_eq!(found(r#"["CMD", "curl", "-f", "http://localhost:8000/health/"]"#), expected);
        assert_eq!(found("curl -f http://127.0.0.1:8000/health/ || exit 1"), expected);
        assert_eq!(found("[\"CMD\", \"python\", \"-c\", \"u.urlopen('http://localhost:8000/health/', timeout=3)\"]"), expected);
        assert_eq!(found("wget -q http://localhost"), Some(HealthUrl { port: None, path: "/".into() }));
        assert_eq!(found("curl -sf localhost:3000/up"), Some(HealthUrl { port: Some(3000), path: "/up".into() }));
        assert_eq!(found("curl --noproxy localhost x"), None);
        assert_eq!(found("pg_isready"), None);
    }
}
