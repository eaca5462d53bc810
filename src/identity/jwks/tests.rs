//! Keys and signatures of every kind, by AWS-LC and by OpenSSL.

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
        RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
    },
};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::*;

fn encoded(part: &Value) -> String {
    BASE64URL_NOPAD.encode(part.to_string().as_bytes())
}

/// A token with this header, signed by `sign`.
fn token(header: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Token {
    let signed = format!("{}.{}", encoded(header), encoded(&json!({ "sub": "x" })));
    let signature = sign(signed.as_bytes());
    Token::new(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
}

/// The keys' verdict on a token with a valid header.
fn check(keys: &Value, token: &Token) -> Signature {
    let keys = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
    keys.check(token, &Header::of(token).unwrap())
}

fn rsa_key(key: &RsaKeyPair) -> Value {
    let public = key.public_key();
    json!({
        "kty": "RSA",
        "kid": "k",
        "n": BASE64URL_NOPAD.encode(public.modulus().big_endian_without_leading_zero()),
        "e": BASE64URL_NOPAD.encode(public.exponent().big_endian_without_leading_zero()),
    })
}

fn rsa_signed(key: &RsaKeyPair, alg: &str, padding: &'static dyn RsaEncoding) -> Token {
    token(&json!({ "alg": alg, "kid": "k" }), |signed| {
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(padding, &SystemRandom::new(), signed, &mut signature).unwrap();
        signature
    })
}

#[test]
fn an_rsa_signature_counts_only_for_its_keys_algorithm() {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let all: [(&str, &'static dyn RsaEncoding); 6] = [
        ("RS256", &RSA_PKCS1_SHA256),
        ("RS384", &RSA_PKCS1_SHA384),
        ("RS512", &RSA_PKCS1_SHA512),
        ("PS256", &RSA_PSS_SHA256),
        ("PS384", &RSA_PSS_SHA384),
        ("PS512", &RSA_PSS_SHA512),
    ];
    for (alg, padding) in all {
        let mut jwk = rsa_key(&key);
        assert_eq!(check(&json!([jwk]), &rsa_signed(&key, alg, padding)), Signature::Good, "{alg}");
        // A signature of a different kind than the header claims.
        let (_, other) = all.into_iter().find(|(other, _)| *other != alg).unwrap();
        assert_eq!(check(&json!([jwk]), &rsa_signed(&key, alg, other)), Signature::Bad, "{alg}");
        // The key's own restriction of its use.
        for (named, _) in all {
            jwk["alg"] = json!(named);
            let expected = if named == alg { Signature::Good } else { Signature::Bad };
            assert_eq!(check(&json!([jwk]), &rsa_signed(&key, alg, padding)), expected, "{alg} {named}");
        }
        jwk["alg"] = json!("HS256");
        assert_eq!(check(&json!([jwk]), &rsa_signed(&key, alg, padding)), Signature::UnusableKey);
    }
    // Leading zeros are not part of a number.
    let mut jwk = rsa_key(&key);
    jwk["e"] = json!("AAABAAE");
    assert_eq!(check(&json!([jwk]), &rsa_signed(&key, "RS256", &RSA_PKCS1_SHA256)), Signature::Good);
    // A key for encryption.
    jwk["use"] = json!("enc");
    assert_eq!(check(&json!([jwk]), &rsa_signed(&key, "RS256", &RSA_PKCS1_SHA256)), Signature::UnusableKey);
}

#[test]
fn an_ecdsa_signature_counts_only_for_its_keys_curve() {
    let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let (x, y) = key.public_key().as_ref()[1..].split_at(48);
    let jwk = |curve: &str| {
        let (x, y) = (BASE64URL_NOPAD.encode(x), BASE64URL_NOPAD.encode(y));
        json!([{ "kty": "EC", "kid": "k", "crv": curve, "x": x, "y": y }])
    };
    let signed = |alg: &str| {
        token(&json!({ "alg": alg, "kid": "k" }), |signed| {
            key.sign(&SystemRandom::new(), signed).unwrap().as_ref().to_vec()
        })
    };
    assert_eq!(check(&jwk("P-384"), &signed("ES384")), Signature::Good);
    assert_eq!(check(&jwk("P-384"), &signed("ES256")), Signature::Bad);
    assert_eq!(check(&jwk("P-384"), &signed("RS256")), Signature::Bad);
    for curve in ["P-256", "P-521", "secp256k1", ""] {
        assert_eq!(check(&jwk(curve), &signed("ES384")), Signature::UnusableKey, "{curve}");
    }
}

#[test]
fn a_weak_key_verifies_nothing() {
    // 1024 bits, and an exponent of one, with which every text is its own signature.
    let n = BASE64URL_NOPAD.encode(&[0xff; 128]);
    let one = token(&json!({ "alg": "RS256", "kid": "k" }), <[u8]>::to_vec);
    for (n, e) in [(n.as_str(), "AQAB"), (&BASE64URL_NOPAD.encode(&[0xff; 256]), "AQ"), ("AQAB", "AQAB")] {
        let keys = json!([{ "kty": "RSA", "kid": "k", "n": n, "e": e }]);
        assert_eq!(check(&keys, &one), Signature::Bad, "{n} {e}");
    }
}

#[test]
fn a_signature_made_by_openssl_is_accepted() {
    let keys = include_bytes!("../../../crates/emulator/src/jwks/keys.json");
    let signed = "eyJhbGciOiJSUzI1NiIsImtpZCI6Im9uZSJ9.eyJpc3MiOiJodHRwczovL2NsdXN0ZXIifQ";
    let signature = include_str!("../../../crates/emulator/src/jwks/signature").trim();
    let keys = KeySet::parse(keys).unwrap();
    for (number, (token, expected)) in [
        (format!("{signed}.{signature}"), Signature::Good),
        (format!("{}.{signature}", signed.replace("fQ", "fR")), Signature::Bad),
        (format!("{signed}."), Signature::Bad),
        (format!("{signed}.{}", &signature[4..]), Signature::Bad),
    ]
    .into_iter()
    .enumerate()
    {
        let token = Token::new(token);
        assert_eq!(keys.check(&token, &Header::of(&token).unwrap()), expected, "case {number}");
    }
}

#[test]
fn a_set_without_a_key_is_refused() {
    for text in ["", "nonsense", "[]", "{}", r#"{"keys": {}}"#, r#"{"keys": []}"#, r#"{"keys": [1, {}]}"#] {
        assert!(KeySet::parse(text.as_bytes()).is_err(), "{text}");
    }
    let many: Vec<Value> = (0..1000).map(|id| json!({ "kty": "EC", "kid": id.to_string() })).collect();
    let set = KeySet::parse(json!({ "keys": many }).to_string().as_bytes()).unwrap();
    assert_eq!(set.0.len(), MAX_KEYS);
    assert_eq!(set.usable(), 0);
}
