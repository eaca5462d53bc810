//! Projected service account tokens from the driver.

use std::{collections::HashMap, fmt, sync::OnceLock};

use data_encoding::BASE64URL_NOPAD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The audience of tokens for STS (IRSA).
pub const STS_AUDIENCE: &str = "sts.amazonaws.com";
/// The audience of tokens for the EKS Pod Identity agent.
pub const POD_IDENTITY_AUDIENCE: &str = "pods.eks.amazonaws.com";

/// The tokens of one request by audience.
pub type Tokens = HashMap<String, Token>;

/// A service account token. It cannot be printed.
#[derive(Clone)]
pub struct Token {
    text: SecretString,
    /// Cached, because a mount reads them several times.
    claims: OnceLock<Option<Claims>>,
    digest: OnceLock<TokenDigest>,
}

/// The three parts of a JWT in compact form (RFC 7515, section 7.1).
pub struct Parts<'a> {
    header: &'a str,
    payload: &'a str,
    /// The signed text: header and payload, still encoded.
    pub signed: &'a str,
    /// In base64url.
    pub signature: &'a str,
}

impl Parts<'_> {
    /// The decoded JSON of the header.
    pub fn header(&self) -> Option<Vec<u8>> {
        BASE64URL_NOPAD.decode(self.header.as_bytes()).ok()
    }
}

/// The claims of a token. They are not verified.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Claims {
    /// `system:serviceaccount:<namespace>:<name>`.
    #[serde(rename = "sub", default)]
    pub subject: String,
    /// A single string in old tokens.
    #[serde(rename = "aud", default)]
    audience: Audience,
    /// When the token expires, in seconds since 1970.
    #[serde(rename = "exp", default)]
    pub expires_at: u64,
    /// When the token becomes valid, in seconds since 1970.
    #[serde(rename = "nbf", default)]
    pub not_before: u64,
    #[serde(rename = "kubernetes.io", default)]
    pub bound_to: Binding,
}

impl Claims {
    pub fn is_for(&self, audience: &str) -> bool {
        match &self.audience {
            Audience::One(one) => one == audience,
            Audience::Many(many) => many.iter().any(|one| one == audience),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Default for Audience {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

/// The objects to which Kubernetes binds a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Binding {
    #[serde(default)]
    pub pod: Option<BoundObject>,
    #[serde(default)]
    pub serviceaccount: Option<BoundObject>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct BoundObject {
    #[serde(default)]
    pub uid: String,
}

/// The SHA-256 of a token, to compare tokens without keeping them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl Token {
    pub fn new(token: String) -> Self {
        Self { text: token.into(), claims: OnceLock::new(), digest: OnceLock::new() }
    }

    /// The token itself. Only for sending and verifying it.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// The parts of the token; `None` unless there are exactly three.
    pub fn parts(&self) -> Option<Parts<'_>> {
        let (signed, signature) = self.expose().rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        (!payload.contains('.')).then_some(Parts { header, payload, signed, signature })
    }

    /// The claims; `None` if the token is not a JWT.
    pub fn claims(&self) -> Option<&Claims> {
        let read = || {
            let json = BASE64URL_NOPAD.decode(self.parts()?.payload.as_bytes()).ok()?;
            serde_json::from_slice(&json).ok()
        };
        self.claims.get_or_init(read).as_ref()
    }

    pub fn digest(&self) -> TokenDigest {
        *self.digest.get_or_init(|| TokenDigest(Sha256::digest(self.expose()).into()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

/// Parses `csi.storage.k8s.io/serviceAccount.tokens`, a JSON object of audience to
/// `{token, expirationTimestamp}`. Returns `None` for anything else, without a
/// reason, because the reason could quote a token.
pub fn parse_tokens(json: &str) -> Option<Tokens> {
    #[derive(Deserialize)]
    struct Entry {
        #[serde(default)]
        token: String,
    }
    let entries: Option<HashMap<String, Entry>> = serde_json::from_str(json).ok()?;
    let entries = entries.unwrap_or_default().into_iter();
    Some(
        entries
            .filter(|(_, entry)| !entry.token.is_empty())
            .map(|(audience, entry)| (audience, Token::new(entry.token)))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_cannot_be_printed() {
        let tokens = parse_tokens(r#"{"a":{"token":"canary"}}"#).unwrap();
        assert_eq!(format!("{tokens:?}"), r#"{"a": <redacted>}"#);
        assert_eq!(format!("{:?}", tokens["a"].digest()), "<redacted>");
    }

    #[test]
    fn claims_are_read_without_verifying() {
        let payload = BASE64URL_NOPAD.encode(
            br#"{"sub":"system:serviceaccount:ns:sa","exp":7,"kubernetes.io":{"pod":{"name":"p","uid":"u"}},"aud":["x"]}"#,
        );
        let token = Token::new(format!("e30.{payload}.sig"));
        let claims = token.claims().unwrap();
        assert_eq!(claims.subject, "system:serviceaccount:ns:sa");
        assert_eq!(claims.expires_at, 7);
        assert!(claims.is_for("x"), "it is not for its own audience");
        assert!(!claims.is_for("y"), "it is for another audience");
        assert_eq!(claims.bound_to.pod.as_ref().unwrap().uid, "u");
        for bad in ["", "x", "a.b.c", "a.e30", "..", "a.!!!.c", "a.e30.b.c", "a.e30=.c"] {
            assert_eq!(Token::new(bad.to_owned()).claims(), None, "{bad}");
        }
        assert_eq!(Token::new("nonsense".to_owned()).claims(), None);
    }

    #[test]
    fn malformed_tokens_are_refused_without_quoting_them() {
        for bad in ["", "x", "[]", r#"{"a":"token"}"#, r#"{"a":{"token":7}}"#] {
            assert!(parse_tokens(bad).is_none(), "{bad}");
        }
        for none in ["null", r#"{"a":{"token":""}}"#] {
            assert_eq!(parse_tokens(none).unwrap().len(), 0, "{none}");
        }
    }
}
