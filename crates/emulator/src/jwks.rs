//! The keys of a real cluster's token issuer, which verify RS256 signatures. Its API
//! server serves them (`kubectl get --raw /openid/v1/jwks`).

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;

use super::tokens::SignatureVerifier;

/// The RSA keys of a JSON Web Key Set (RFC 7517).
#[derive(Clone, Debug)]
pub(super) struct Jwks(Vec<RsaKey>);

#[derive(Clone, Debug)]
struct RsaKey {
    id: Option<String>,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl Jwks {
    /// Reads a key set. Ignores keys that are not RSA keys.
    ///
    /// # Errors
    /// When the text is not a key set or has no RSA key.
    pub(super) fn from_json(text: &str) -> Result<Self, String> {
        let set: KeySet =
            serde_json::from_str(text).map_err(|error| format!("is no JSON Web Key Set: {error}"))?;
        let usable = |key: &Key| key.kty == "RSA" && key.alg.as_deref().is_none_or(|alg| alg == "RS256");
        let keys: Vec<RsaKey> =
            set.keys.into_iter().filter(usable).map(RsaKey::new).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err("has no RSA key for RS256".to_owned());
        }
        Ok(Self(keys))
    }
}

impl RsaKey {
    fn new(key: Key) -> Result<Self, String> {
        let number = |name: &str, text: Option<String>| {
            let bytes = BASE64URL_NOPAD.decode(text.unwrap_or_default().as_bytes()).unwrap_or_default();
            // Leading zeros are not part of a number, and AWS-LC refuses them.
            let digits = bytes.iter().position(|byte| *byte != 0).map(|at| bytes[at..].to_vec());
            let id = key.kid.as_deref().unwrap_or("without id");
            digits.ok_or_else(|| format!("has the key {id}, whose {name} is not base64url of a number"))
        };
        Ok(Self { modulus: number("n", key.n)?, exponent: number("e", key.e)?, id: key.kid.clone() })
    }
}

impl SignatureVerifier for Jwks {
    fn verify(&self, alg: &str, kid: Option<&str>, signed: &[u8], signature: &[u8]) -> bool {
        // If a token names its key, only that key counts.
        let asked = |key: &&RsaKey| kid.is_none() || key.id.as_deref() == kid;
        alg == "RS256"
            && self.0.iter().filter(asked).any(|key| {
                RsaPublicKeyComponents { n: &key.modulus, e: &key.exponent }
                    .verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
                    .is_ok()
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // OpenSSL made the key and the signatures, as a second opinion to AWS-LC's.
    const KEYS: &str = include_str!("jwks/keys.json");
    const SIGNED: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6Im9uZSJ9.eyJpc3MiOiJodHRwczovL2NsdXN0ZXIifQ";
    const SIGNATURE: &str = include_str!("jwks/signature");

    fn signature() -> Vec<u8> {
        BASE64URL_NOPAD.decode(SIGNATURE.trim().as_bytes()).unwrap()
    }

    fn verifies(alg: &str, kid: Option<&str>, signed: &str, signature: &[u8]) -> bool {
        Jwks::from_json(KEYS).unwrap().verify(alg, kid, signed.as_bytes(), signature)
    }

    #[test]
    fn a_signature_by_the_named_key_is_accepted() {
        assert!(verifies("RS256", Some("one"), SIGNED, &signature()));
        assert!(verifies("RS256", None, SIGNED, &signature()));
    }

    #[test]
    fn a_different_text_key_algorithm_or_signature_is_refused() {
        let signature = signature();
        let mut bent = signature.clone();
        bent[7] ^= 1;
        let other_text = SIGNED.replace("fQ", "fR");
        for (what, alg, kid, signed, signature) in [
            ("another text", "RS256", "one", other_text.as_str(), &signature[..]),
            ("the other key of the set", "RS256", "two", SIGNED, &signature),
            ("a key that is not in the set", "RS256", "three", SIGNED, &signature),
            ("another algorithm", "RS512", "one", SIGNED, &signature),
            ("no algorithm", "none", "one", SIGNED, &[]),
            ("a changed signature", "RS256", "one", SIGNED, &bent),
            ("no signature", "RS256", "one", SIGNED, &[]),
        ] {
            assert!(!verifies(alg, Some(kid), signed, signature), "{what} is accepted");
        }
    }

    #[test]
    fn an_invalid_key_set_is_refused_with_the_reason() {
        for (text, expected) in [
            ("nonsense", "is no JSON Web Key Set"),
            (r#"{"keys": []}"#, "has no RSA key"),
            (r#"{"keys": [{"kty": "EC", "kid": "k"}]}"#, "has no RSA key"),
            (r#"{"keys": [{"kty": "RSA", "alg": "RS512", "n": "AQAB", "e": "AQAB"}]}"#, "has no RSA key"),
            (r#"{"keys": [{"kty": "RSA", "kid": "k", "n": "%", "e": "AQAB"}]}"#, "the key k, whose n"),
            (r#"{"keys": [{"kty": "RSA", "kid": "k", "n": "AQAB"}]}"#, "the key k, whose e"),
        ] {
            let error = Jwks::from_json(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
