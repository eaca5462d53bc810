//! Projected service account tokens that the driver hands on.

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
    /// Read once: a mount looks at them several times.
    claims: OnceLock<Option<Claims>>,
    digest: OnceLock<TokenDigest>,
}

/// The three parts of a JWT in its compact form (RFC 7515, section 7.1).
pub struct Parts<'a> {
    header: &'a str,
    payload: &'a str,
    /// What the signature is over: header and payload, as they are written.
    pub signed: &'a str,
    /// The signature, in base64url.
    pub signature: &'a str,
}

impl Parts<'_> {
    /// The header's JSON.
    pub fn header(&self) -> Option<Vec<u8>> {
        BASE64URL_NOPAD.decode(self.header.as_bytes()).ok()
    }
}

/// What a token says of itself, whether or not it is true.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Claims {
    /// `system:serviceaccount:<namespace>:<name>`.
    #[serde(rename = "sub", default)]
    pub subject: String,
    /// Whom it is for; a single text in old tokens.
    #[serde(rename = "aud", default)]
    audience: Audience,
    /// Seconds since 1970 after which the token is void.
    #[serde(rename = "exp", default)]
    pub expires_at: u64,
    /// Seconds since 1970 before which it does not count yet.
    #[serde(rename = "nbf", default)]
    pub not_before: u64,
    /// What Kubernetes binds it to.
    #[serde(rename = "kubernetes.io", default)]
    pub bound_to: Binding,
}

impl Claims {
    /// Whether the token is for `audience`.
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

/// The objects that a token is bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Binding {
    /// The pod.
    #[serde(default)]
    pub pod: Option<BoundObject>,
    /// The service account.
    #[serde(default)]
    pub serviceaccount: Option<BoundObject>,
}

/// An object in a token's claims.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct BoundObject {
    /// Its uid.
    #[serde(default)]
    pub uid: String,
}

/// A SHA-256 of a token, to tell tokens apart without keeping them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl Token {
    /// Wraps the token.
    pub fn new(token: String) -> Self {
        Self { text: token.into(), claims: OnceLock::new(), digest: OnceLock::new() }
    }

    /// The token itself, for the one who sends it.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// The parts of the token; `None` when it has not exactly three.
    pub fn parts(&self) -> Option<Parts<'_>> {
        let (signed, signature) = self.expose().rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        (!payload.contains('.')).then_some(Parts { header, payload, signed, signature })
    }

    /// What the token says of itself; `None` when it is no JWT.
    pub fn claims(&self) -> Option<&Claims> {
        let read = || {
            let json = BASE64URL_NOPAD.decode(self.parts()?.payload.as_bytes()).ok()?;
            serde_json::from_slice(&json).ok()
        };
        self.claims.get_or_init(read).as_ref()
    }

    /// Tells this token from another.
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

/// Reads `csi.storage.k8s.io/serviceAccount.tokens`: JSON of audience to
/// `{token, expirationTimestamp}`. `None` when it is not of that form; the
/// reason is left out because it could quote a token.
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
