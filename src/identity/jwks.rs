//! A cluster's token-signing keys (a JSON Web Key Set, RFC 7517), and whether one of
//! them signed a token.

use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::{Deserialize, Deserializer, de::IgnoredAny};

use crate::model::token::{Parts, Token};

/// Maximum number of keys read. A cluster has two during a key rotation.
const MAX_KEYS: usize = 64;

const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

const ELLIPTIC: &[Algorithm] = &[Algorithm::ES256, Algorithm::ES384];

#[derive(Debug)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: String,
    /// `None` for an unsupported key.
    usable: Option<UsableKey>,
}

#[derive(Debug)]
struct UsableKey {
    /// The algorithms of this key, whatever a token claims.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// The result of checking a token's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signature {
    /// One of the keys signed it.
    Good,
    /// It names a key that is not in the set.
    UnknownKey,
    /// It names an unsupported key.
    UnusableKey,
    /// It was not signed by the key that it names.
    Bad,
}

/// The signature header of a token.
#[derive(Debug)]
pub(super) struct Header {
    algorithm: Algorithm,
    key: String,
}

impl Header {
    /// Parses the header. Tokens of every cluster have an algorithm with a public key,
    /// the key's id, and no extensions; anything else is an error.
    pub(super) fn of(token: &Token) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        struct Fields {
            alg: String,
            kid: Option<String>,
            /// Extensions that the reader must support; none is supported here.
            #[serde(rename = "crit", default, deserialize_with = "is_present")]
            has_extensions: bool,
        }
        let json = token.parts().and_then(|parts| parts.header()).ok_or("it is not a JWT")?;
        let fields: Fields =
            serde_json::from_slice(&json).map_err(|_| "its header is not the header of a signed token")?;
        if fields.has_extensions {
            return Err("its header has extensions (crit), which a cluster's tokens never have");
        }
        let algorithm = fields.alg.parse().ok().filter(|alg| RSA.contains(alg) || ELLIPTIC.contains(alg));
        let algorithm =
            algorithm.ok_or("its signature algorithm is not one that clusters use (RS, PS or ES)")?;
        let key = fields.kid.ok_or("it does not name the key that signed it (kid)")?;
        Ok(Self { algorithm, key })
    }
}

fn is_present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

impl KeySet {
    /// Parses a key set. Of an unsupported key, only the id is kept.
    ///
    /// # Errors
    /// If `json` is not a key set, or has no key with an id.
    pub(super) fn parse(json: &[u8]) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let set: Set = serde_json::from_slice(json).map_err(|_| "it is not a JSON Web Key Set")?;
        // Skip a malformed key: the others are still good.
        let keys = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        let keys: Vec<Key> =
            keys.take(MAX_KEYS).map(|jwk| Key { usable: jwk.usable(), id: jwk.kid }).collect();
        if keys.is_empty() { Err("it has no key") } else { Ok(Self(keys)) }
    }

    /// The number of supported keys.
    pub(super) fn usable(&self) -> usize {
        self.0.iter().filter(|key| key.usable.is_some()).count()
    }

    /// Checks whether the key that the token names signed it.
    pub(super) fn check(&self, token: &Token, header: &Header) -> Signature {
        let mut found = Signature::UnknownKey;
        for key in self.0.iter().filter(|key| key.id == header.key) {
            found = match &key.usable {
                None => Signature::UnusableKey,
                Some(key) if key.signed(token, header.algorithm) => return Signature::Good,
                Some(_) => Signature::Bad,
            };
        }
        found
    }
}

impl UsableKey {
    fn signed(&self, token: &Token, algorithm: Algorithm) -> bool {
        let verified = |parts: Parts<'_>| {
            crypto::verify(parts.signature, parts.signed.as_bytes(), &self.key, algorithm).unwrap_or(false)
        };
        self.algorithms.contains(&algorithm) && token.parts().is_some_and(verified)
    }
}

/// A key in the API server's format.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwk {
    fn usable(&self) -> Option<UsableKey> {
        if self.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let (fitting, key) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => (RSA, self.rsa()?),
            ("EC", Some("P-256")) => (&ELLIPTIC[..1], self.elliptic(32)?),
            ("EC", Some("P-384")) => (&ELLIPTIC[1..], self.elliptic(48)?),
            _ => return None,
        };
        let allowed = |algorithm: &&Algorithm| match &self.alg {
            None => true,
            Some(alg) => alg.parse().is_ok_and(|alg: Algorithm| alg == **algorithm),
        };
        let algorithms: Vec<Algorithm> = fitting.iter().filter(allowed).copied().collect();
        (!algorithms.is_empty()).then_some(UsableKey { algorithms, key })
    }

    /// aws-lc checks the size: 2048 to 8192 bits.
    fn rsa(&self) -> Option<DecodingKey> {
        let (n, e) = (number(self.n.as_deref()?)?, number(self.e.as_deref()?)?);
        Some(DecodingKey::from_rsa_raw_components(&n, &e))
    }

    /// A point with coordinates of `bytes` each. aws-lc checks that it is on the curve.
    fn elliptic(&self, bytes: usize) -> Option<DecodingKey> {
        let (x, y) = (self.x.as_deref()?, self.y.as_deref()?);
        let fits = |text: &str| decode(text).is_some_and(|number| number.len() == bytes);
        if fits(x) && fits(y) { DecodingKey::from_ec_components(x, y).ok() } else { None }
    }
}

/// Decodes a number without its leading zeros, which aws-lc rejects.
fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = decode(text)?;
    let start = bytes.iter().position(|byte| *byte != 0)?;
    Some(bytes[start..].to_vec())
}

fn decode(text: &str) -> Option<Vec<u8>> {
    data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).ok()
}

#[cfg(test)]
mod tests;
