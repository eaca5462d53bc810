//! Identifiers in AWS's formats.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use data_encoding::{BASE32_NOPAD, BASE64, HEXLOWER};
use sha2::{Digest, Sha256};

/// A source of identifiers that differ between emulators. They protect only emulated
/// secrets, so the standard library's random hash seed is enough.
#[derive(Debug)]
pub(super) struct Ids {
    seed: [u8; 32],
    count: AtomicU64,
}

impl Ids {
    pub(super) fn new() -> Self {
        let mut hasher = Sha256::new();
        for _ in 0..4 {
            hasher.update(RandomState::new().build_hasher().finish().to_be_bytes());
        }
        hasher.update(std::process::id().to_be_bytes());
        Self { seed: hasher.finalize().into(), count: AtomicU64::new(0) }
    }

    fn next(&self) -> [u8; 32] {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        Sha256::new().chain_update(self.seed).chain_update(count.to_be_bytes()).finalize().into()
    }

    /// A request id or version id.
    pub(super) fn uuid(&self) -> String {
        uuid_from(&self.next())
    }

    /// The access key of a session, `ASIA…`.
    pub(super) fn access_key(&self) -> String {
        format!("ASIA{}", &BASE32_NOPAD.encode(&self.next())[..16])
    }

    /// A secret access key of forty characters, as AWS's have.
    pub(super) fn secret_key(&self) -> String {
        BASE64.encode(&self.next())[..40].to_owned()
    }

    /// A session token. Like AWS's, it is longer than one block.
    pub(super) fn session_token(&self) -> String {
        let mut bytes = Vec::with_capacity(96);
        for _ in 0..3 {
            bytes.extend_from_slice(&self.next());
        }
        format!("IQoJb3JpZ2luX2Vj{}", BASE64.encode(&bytes))
    }
}

/// A UUID that depends only on the parts, so that an emulator has the same version ids
/// when it starts again from the same store.
pub(super) fn stable_uuid(parts: &[&str]) -> String {
    uuid_from(&digest(parts))
}

/// The six characters at the end of a secret's ARN, which depend only on the parts.
pub(super) fn stable_suffix(parts: &[&str]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    digest(parts)[..6].iter().map(|byte| char::from(LETTERS[usize::from(*byte) % 52])).collect()
}

/// The unique id of a role, `AROA…`.
pub(super) fn role_id(arn: &str) -> String {
    format!("AROA{}", &BASE32_NOPAD.encode(&digest(&[arn]))[..17])
}

fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    hasher.finalize().into()
}

/// Sixteen of the bytes as a version 4 UUID.
fn uuid_from(bytes: &[u8; 32]) -> String {
    let mut bytes: [u8; 32] = *bytes;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = HEXLOWER.encode(&bytes[..16]);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_look_like_awss_and_are_unique() {
        let ids = Ids::new();
        assert_eq!(ids.access_key().len(), 20);
        assert_eq!(ids.secret_key().len(), 40);
        let (first, second) = (ids.uuid(), ids.uuid());
        assert_eq!(first.len(), 36);
        assert_ne!(first, second);
        assert_ne!(Ids::new().uuid(), first);
        assert_eq!(role_id("arn:aws:iam::1:role/a").len(), 21);
        assert_eq!(stable_suffix(&["a"]), stable_suffix(&["a"]));
    }
}
