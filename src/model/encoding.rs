//! Decodes a value before it is written.

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};

use super::secret::SecretValue;

/// How a value is encoded in AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 4648, section 4; padding and line breaks are optional.
    Base64,
    /// RFC 4648, section 5; padding and line breaks are optional.
    Base64Url,
    /// Two digits per byte, in upper or lower case.
    Hex,
}

impl Encoding {
    /// Parses the parameter `encoding`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "base64" => Some(Self::Base64),
            "base64url" => Some(Self::Base64Url),
            "hex" => Some(Self::Hex),
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
            Self::Hex => "hex",
        }
    }

    /// Decodes `value`; returns `None` if it has another encoding.
    pub fn decode(self, value: &SecretValue) -> Option<SecretValue> {
        let text: zeroize::Zeroizing<Vec<u8>> =
            value.expose().iter().copied().filter(|b| !b.is_ascii_whitespace()).collect::<Vec<_>>().into();
        let unpadded = {
            let padding = text.iter().rev().take_while(|b| **b == b'=').count();
            &text[..text.len() - padding.min(2)]
        };
        let decoded = match self {
            Self::Base64 => BASE64_NOPAD.decode(unpadded),
            Self::Base64Url => BASE64URL_NOPAD.decode(unpadded),
            Self::Hex => HEXLOWER_PERMISSIVE.decode(&text),
        };
        decoded.ok().map(SecretValue::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(encoding: Encoding, text: &str) -> Option<Vec<u8>> {
        encoding.decode(&SecretValue::from(text.to_owned())).map(|value| value.expose().to_vec())
    }

    #[test]
    fn padding_and_line_breaks_do_not_matter() {
        for text in ["AAH/+g==", "AAH/+g", "AAH/\r\n+g==\n"] {
            assert_eq!(decode(Encoding::Base64, text).unwrap(), [0, 1, 255, 250], "{text:?}");
        }
        assert_eq!(decode(Encoding::Base64Url, "AAH_-g").unwrap(), [0, 1, 255, 250]);
        assert_eq!(decode(Encoding::Hex, "00 01fFfa").unwrap(), [0, 1, 255, 250]);
    }

    #[test]
    fn text_that_is_not_encoded_is_refused() {
        for (encoding, text) in [
            (Encoding::Base64, "AAH_-g=="),
            (Encoding::Base64, "A"),
            (Encoding::Base64, "AA=A"),
            (Encoding::Base64, "AA===="),
            (Encoding::Base64Url, "AAH/+g"),
            (Encoding::Hex, "abc"),
            (Encoding::Hex, "zz"),
        ] {
            assert_eq!(decode(encoding, text), None, "{text:?}");
        }
    }
}
