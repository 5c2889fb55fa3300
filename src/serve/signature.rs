//! Is a delivery from whom it says? Compared in constant time.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What a delivery brings as proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proof {
    /// HMAC-SHA256 of the body, in hexadecimal: GitHub and Gitea.
    Signature(String),
    /// The secret itself: GitLab.
    Token(String),
}

impl Proof {
    /// The proof among these headers, if there is one.
    pub(super) fn of(headers: &hyper::HeaderMap) -> Option<Self> {
        let get = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(signature) = get("x-hub-signature-256") {
            return Some(Self::Signature(signature.strip_prefix("sha256=")?.to_owned()));
        }
        get("x-gitea-signature")
            .map(|signature| Self::Signature(signature.to_owned()))
            .or_else(|| get("x-gitlab-token").map(|token| Self::Token(token.to_owned())))
    }

    /// Does it fit one of the secrets? All are tried, so that the time tells nothing.
    pub(super) fn fits(&self, secrets: &[String], body: &[u8]) -> bool {
        let fits = |secret: &String| match self {
            Self::Signature(signature) => {
                let mut mac = keyed(secret.as_bytes());
                mac.update(body);
                unhex(signature).is_some_and(|bytes| mac.verify_slice(&bytes).is_ok())
            }
            Self::Token(token) => is_same(token, secret),
        };
        secrets.iter().fold(false, |found, secret| fits(secret) | found)
    }
}

/// Are both the same text? What is compared is made of both, so that the time tells neither their length nor where they differ.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let mut mac = keyed(b"estiba");
    mac.update(one.as_bytes());
    let mut wanted = keyed(b"estiba");
    wanted.update(other.as_bytes());
    mac.verify_slice(&wanted.finalize().into_bytes()).is_ok()
}

fn keyed(secret: &[u8]) -> Hmac<Sha256> {
    // A key of any length is one.
    Hmac::new_from_slice(secret).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::try_from(digit(*pair.first()?)? * 16 + digit(*pair.get(1)?)?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn githubs_documented_example_fits_and_nothing_like_it() {
        // https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
        let secret = String::from("It's a Secret to Everybody");
        let signature = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let fits = |signature: &str, secrets: &[String], body: &[u8]| Proof::Signature(signature.into()).fits(secrets, body);
        assert!(fits(signature, std::slice::from_ref(&secret), b"Hello, World!"));
        assert!(fits(signature, &["new".into(), secret.clone()], b"Hello, World!"), "either of two secrets");
        for (signature, secret, body) in [
            (signature, "It's a Secret to everybody", &b"Hello, World!"[..]),
            (signature, &secret, b"Hello, World"),
            (&signature[..62], &secret, b"Hello, World!"),
            (&signature[..63], &secret, b"Hello, World!"),
            ("", &secret, b"Hello, World!"),
            ("zz", &secret, b"Hello, World!"),
            (&"00".repeat(32), &secret, b"Hello, World!"),
        ] {
            assert!(!fits(signature, &[secret.to_owned()], body), "{signature}");
        }
        assert!(Proof::Token("a secret".into()).fits(&["a secret".into()], b""));
        assert!(!Proof::Token("a secre".into()).fits(&["a secret".into()], b""));
    }

    #[test]
    fn the_proof_is_found_in_each_hosters_header() {
        let of = |name: &'static str, value: &str| {
            let mut headers = hyper::HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            Proof::of(&headers)
        };
        assert_eq!(of("x-hub-signature-256", "sha256=ab"), Some(Proof::Signature("ab".into())));
        assert_eq!(of("x-hub-signature-256", "sha1=ab"), None);
        assert_eq!(of("x-gitea-signature", "ab"), Some(Proof::Signature("ab".into())));
        assert_eq!(of("x-gitlab-token", "ab"), Some(Proof::Token("ab".into())));
        assert_eq!(of("x-hub-signature", "sha1=ab"), None, "SHA-1 is no proof");
    }
}
