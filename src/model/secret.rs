//! Values that cannot be printed.

use std::fmt;

use bytes::Bytes;
use zeroize::Zeroizing;

/// The bytes of a secret. Clones share one buffer, which is zeroized when the
/// last of them is dropped. Neither `Debug` nor any other formatting shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Bytes);

impl SecretValue {
    /// Takes the bytes over; no copy of them is left behind.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Bytes::from_owner(Zeroizing::new(bytes)))
    }

    /// The bytes, for the one who delivers or decodes them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The shared buffer itself, so that an answer can carry it without a copy.
    pub fn to_shared_bytes(&self) -> Bytes {
        self.0.clone()
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
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
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_value() {
        let value = SecretValue::from("canary-7f3a".to_owned());
        assert_eq!(format!("{value:?}"), "<redacted>");
        assert_eq!(format!("{:#?}", Some(&value)), "Some(\n    <redacted>,\n)");
    }
}
