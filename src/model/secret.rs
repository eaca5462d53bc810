//! Values that cannot be printed.

use std::fmt;

use bytes::Bytes;
use zeroize::{Zeroize, Zeroizing};

/// The bytes of a secret. Clones share one buffer, which is zeroized when the last
/// clone is dropped. No formatting shows it, not even `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Bytes);

impl SecretValue {
    /// Takes ownership of the bytes, without leaving a copy.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self::owned_by(bytes)
    }

    /// Zeroizes `owner` when the last clone is dropped.
    fn owned_by(owner: impl Zeroize + AsRef<[u8]> + Send + 'static) -> Self {
        Self(Bytes::from_owner(Zeroizing::new(owner)))
    }

    /// The bytes. Only for delivery and decoding.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The shared buffer itself, so that a response can carry it without a copy.
    pub fn to_shared_bytes(&self) -> Bytes {
        self.0.clone()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for SecretValue {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A buffer that records its contents when it is wiped.
    struct Observed {
        buffer: Vec<u8>,
        seen: Arc<Mutex<Option<Vec<u8>>>>,
    }

    impl AsRef<[u8]> for Observed {
        fn as_ref(&self) -> &[u8] {
            &self.buffer
        }
    }

    impl Zeroize for Observed {
        fn zeroize(&mut self) {
            self.buffer.as_mut_slice().zeroize();
            *self.seen.lock().unwrap() = Some(self.buffer.clone());
        }
    }

    #[test]
    fn the_buffer_is_wiped_only_when_the_last_clone_is_dropped() {
        let seen = Arc::default();
        let observed = Observed { buffer: b"canary".to_vec(), seen: Arc::clone(&seen) };
        let value = SecretValue::owned_by(observed);
        let (clone, shared) = (value.clone(), value.to_shared_bytes());
        drop(value);
        let part = shared.slice(1..3);
        drop(shared);
        assert_eq!(*seen.lock().unwrap(), None);
        assert_eq!(clone.expose(), b"canary");
        assert_eq!(part[..], b"an"[..]);
        drop(part);
        drop(clone);
        assert_eq!(seen.lock().unwrap().as_deref(), Some(&[0; 6][..]));
    }

    #[test]
    fn the_bytes_are_moved_and_not_copied() {
        let bytes = b"canary".to_vec();
        let at = bytes.as_ptr();
        let value = SecretValue::new(bytes);
        assert_eq!(value.expose().as_ptr(), at);
        assert_eq!(value.to_shared_bytes().as_ptr(), at);
    }

    #[test]
    fn debug_shows_nothing_of_the_value() {
        let value = SecretValue::from("canary-7f3a".to_owned());
        assert_eq!(format!("{value:?}"), "<redacted>");
        assert_eq!(format!("{:#?}", Some(&value)), "Some(\n    <redacted>,\n)");
    }
}
