//! Projected service account tokens: creates them as the API server does, and verifies
//! them as STS and EKS Auth do.

use std::{fmt, sync::Arc, time::Duration};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
    },
};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::ids::stable_uuid;

/// The `iss` of the emulator's own tokens.
pub const ISSUER: &str = "https://oidc.emulator.test";

/// Verifies the signatures of an issuer's tokens. The emulator signs with ES256, most real
/// clusters sign with RS256.
pub(crate) trait SignatureVerifier: Send + Sync {
    /// Whether `signature` is the issuer's signature of `signed` (`header.payload`), given
    /// the header's `alg` and `kid`.
    fn verify(&self, alg: &str, kid: Option<&str>, signed: &[u8], signature: &[u8]) -> bool;
}

/// The claims that STS and EKS Auth check.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    pub(super) sub: String,
    pub(super) aud: Audience,
    pub(super) exp: u64,
    #[serde(rename = "kubernetes.io", default)]
    pub(super) kubernetes: KubernetesClaims,
}

/// One audience or a list (RFC 7519).
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    pub(super) fn contains(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Several(several) => several.iter().any(|one| one == audience),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct KubernetesClaims {
    pub(super) pod: PodClaims,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PodClaims {
    pub(super) name: String,
    pub(super) uid: String,
}

impl Claims {
    /// Namespace and service account of `system:serviceaccount:namespace:name`.
    pub(super) fn service_account(&self) -> Option<(&str, &str)> {
        self.sub.strip_prefix("system:serviceaccount:")?.split_once(':')
    }
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenError {
    /// The token does not consist of three base64url parts, or they do not contain JSON.
    NotAJwt,
    /// The issuer is unknown.
    UnknownIssuer,
    /// The issuer did not sign it.
    Forged,
}

/// The issuers whose tokens are accepted.
#[derive(Clone)]
pub(super) struct Issuers(Vec<(String, Arc<dyn SignatureVerifier>)>);

impl fmt::Debug for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(issuer, _)| issuer)).finish()
    }
}

impl Issuers {
    pub(super) fn new(own: Signers) -> Self {
        Self(vec![(ISSUER.to_owned(), Arc::new(own))])
    }

    pub(super) fn trust(&mut self, issuer: String, verifier: Arc<dyn SignatureVerifier>) {
        self.0.retain(|(known, _)| *known != issuer);
        self.0.push((issuer, verifier));
    }

    /// The claims of a token that a known issuer signed. The caller must check expiry and
    /// audience, for which STS and EKS Auth have different errors.
    pub(super) fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        #[derive(Deserialize)]
        struct Header {
            alg: String,
            kid: Option<String>,
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::NotAJwt)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::NotAJwt)?;
        let header: Header = decode(header)?;
        let claims: Claims = decode(payload)?;
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).map_err(|_| TokenError::NotAJwt)?;
        let (_, verifier) =
            self.0.iter().find(|(issuer, _)| *issuer == claims.iss).ok_or(TokenError::UnknownIssuer)?;
        if !verifier.verify(&header.alg, header.kid.as_deref(), signed.as_bytes(), &signature) {
            return Err(TokenError::Forged);
        }
        Ok(claims)
    }
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, TokenError> {
    let bytes = BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| TokenError::NotAJwt)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::NotAJwt)
}

/// Accepts an issuer's tokens without verifying signatures, for a cluster on a laptop
/// whose keys the emulator does not have.
pub(super) struct Unchecked;

impl SignatureVerifier for Unchecked {
    fn verify(&self, _alg: &str, _kid: Option<&str>, _signed: &[u8], _signature: &[u8]) -> bool {
        true
    }
}

/// Signs the emulator's own tokens, as a cluster does.
#[derive(Clone)]
pub(super) struct Signer {
    /// `None` on a machine without randomness; then no signature is valid.
    key: Option<Arc<EcdsaKeyPair>>,
}

/// The emulator's keys, the newest first. The newest signs, all of them verify.
#[derive(Clone)]
pub(super) struct Signers(Vec<Signer>);

/// The subject and the audience of a token.
pub(super) struct TokenSubject<'a> {
    pub(super) namespace: &'a str,
    pub(super) service_account: &'a str,
    pub(super) audience: &'a str,
    pub(super) pod_name: &'a str,
    pub(super) pod_uid: &'a str,
}

impl Signer {
    pub(super) fn new() -> Self {
        Self { key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok().map(Arc::new) }
    }

    /// An uncompressed point as in SEC 1: a byte for the form, and two coordinates.
    fn public_key(&self) -> &[u8] {
        self.key.as_ref().map_or(&[], |key| key.public_key().as_ref())
    }

    /// Forty hexadecimal characters, because newer agents refuse any other key id.
    fn key_id(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(self.public_key())[..20])
    }

    /// The public key as a JSON Web Key.
    fn jwk(&self) -> serde_json::Value {
        let (x, y) = self.public_key().get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
        json!({
            "use": "sig",
            "kty": "EC",
            "kid": self.key_id(),
            "crv": "P-256",
            "alg": "ES256",
            "x": BASE64URL_NOPAD.encode(x),
            "y": BASE64URL_NOPAD.encode(y),
        })
    }

    /// A token with the claims of the API server's TokenRequest.
    pub(super) fn token(&self, of: &TokenSubject<'_>, now: u64, ttl: Duration) -> String {
        let (namespace, service_account) = (of.namespace, of.service_account);
        self.sign(&json!({
            "aud": [of.audience],
            "exp": now.saturating_add(ttl.as_secs()),
            "iat": now,
            "iss": ISSUER,
            "jti": stable_uuid(&[namespace, service_account, of.pod_uid, &now.to_string()]),
            "kubernetes.io": {
                "namespace": namespace,
                "node": { "name": "emulator", "uid": stable_uuid(&["node"]) },
                "pod": { "name": of.pod_name, "uid": of.pod_uid },
                "serviceaccount": {
                    "name": service_account,
                    "uid": stable_uuid(&[namespace, service_account]),
                },
            },
            "nbf": now,
            "sub": format!("system:serviceaccount:{namespace}:{service_account}"),
        }))
    }

    /// A signed token with these claims.
    pub(super) fn sign(&self, claims: &serde_json::Value) -> String {
        let header = json!({ "alg": "ES256", "kid": self.key_id() });
        let encode = |part: &serde_json::Value| BASE64URL_NOPAD.encode(part.to_string().as_bytes());
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let sign = |key: &Arc<EcdsaKeyPair>| key.sign(&SystemRandom::new(), signed.as_bytes()).ok();
        let signature = self.key.as_ref().and_then(sign);
        let signature = signature.as_ref().map_or(&[][..], AsRef::as_ref);
        format!("{signed}.{}", BASE64URL_NOPAD.encode(signature))
    }
}

impl Signers {
    pub(super) fn new() -> Self {
        Self(vec![Signer::new()])
    }

    /// The key that signs.
    pub(super) fn newest(&self) -> Signer {
        self.0.first().cloned().unwrap_or_else(Signer::new)
    }

    /// Signs with a new key from now on. The old keys still verify.
    pub(super) fn rotate(&mut self) {
        self.0.insert(0, Signer::new());
    }

    /// Removes all keys but the newest.
    pub(super) fn retire(&mut self) {
        self.0.truncate(1);
    }

    /// All public keys, as a cluster serves them at `/openid/v1/jwks`.
    pub(super) fn jwks(&self) -> String {
        let keys: Vec<_> = self.0.iter().map(Signer::jwk).collect();
        json!({ "keys": keys }).to_string()
    }
}

impl SignatureVerifier for Signers {
    fn verify(&self, alg: &str, kid: Option<&str>, signed: &[u8], signature: &[u8]) -> bool {
        let mut named = self.0.iter().filter(|signer| kid == Some(signer.key_id().as_str()));
        alg == "ES256"
            && named.any(|signer| {
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, signer.public_key());
                key.verify(signed, signature).is_ok()
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECT: TokenSubject<'_> = TokenSubject {
        namespace: "shop",
        service_account: "cart",
        audience: "sts.amazonaws.com",
        pod_name: "cart-1",
        pod_uid: "uid-1",
    };

    #[test]
    fn a_token_of_ones_own_is_accepted_with_its_claims() {
        let signers = Signers::new();
        let token = signers.newest().token(&SUBJECT, 1000, Duration::from_secs(600));
        let claims = Issuers::new(signers).verify(&token).unwrap();
        let (namespace, name) = claims.service_account().unwrap();
        assert_eq!(namespace, "shop");
        assert_eq!(name, "cart");
        assert!(claims.aud.contains("sts.amazonaws.com"), "it is for another audience");
        assert_eq!(claims.exp, 1600);
        assert_eq!(claims.kubernetes.pod.uid, "uid-1");
    }

    #[test]
    fn a_forged_token_is_refused() {
        let signers = Signers::new();
        let issuers = Issuers::new(signers.clone());
        let forged = Signer::new().token(&SUBJECT, 1000, Duration::from_secs(600));
        assert_eq!(issuers.verify(&forged).unwrap_err(), TokenError::Forged);

        let token = signers.newest().token(&SUBJECT, 1000, Duration::from_secs(600));
        let parts: Vec<&str> = token.split('.').collect();
        let other = signers.newest().token(&SUBJECT, 2000, Duration::from_secs(600));
        let other: Vec<&str> = other.split('.').collect();
        let spliced = [parts[0], other[1], parts[2]].join(".");
        assert_eq!(issuers.verify(&spliced).unwrap_err(), TokenError::Forged);

        let none = BASE64URL_NOPAD.encode(br#"{"alg":"none"}"#);
        let unsigned = format!("{none}.{}.", parts[1]);
        assert_eq!(issuers.verify(&unsigned).unwrap_err(), TokenError::Forged);
    }

    #[test]
    fn old_keys_are_accepted_until_they_are_retired() {
        let mut signers = Signers::new();
        let old = signers.newest().token(&SUBJECT, 1000, Duration::from_secs(600));
        signers.rotate();
        let new = signers.newest().token(&SUBJECT, 1000, Duration::from_secs(600));
        let verify = |signers: &Signers, token| Issuers::new(signers.clone()).verify(token);
        verify(&signers, &old).unwrap();
        verify(&signers, &new).unwrap();
        signers.retire();
        assert_eq!(verify(&signers, &old).unwrap_err(), TokenError::Forged);
        verify(&signers, &new).unwrap();
    }

    #[test]
    fn other_texts_and_issuers_are_refused() {
        let mut issuers = Issuers::new(Signers::new());
        for text in ["", "a", "a.b.c", "e30.e30.e30"] {
            assert_eq!(issuers.verify(text).unwrap_err(), TokenError::NotAJwt, "{text}");
        }
        let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        let elsewhere = format!(
            "{}.{}.{}",
            encode(r#"{"alg":"RS256","kid":"k"}"#),
            encode(r#"{"iss":"https://kubernetes","sub":"system:serviceaccount:a:b","aud":"x","exp":1}"#),
            encode("signature")
        );
        assert_eq!(issuers.verify(&elsewhere).unwrap_err(), TokenError::UnknownIssuer);
        issuers.trust("https://kubernetes".to_owned(), Arc::new(Unchecked));
        issuers.verify(&elsewhere).unwrap();
    }
}
