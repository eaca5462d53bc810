//! The texts of libraries and servers that are safe to repeat. An error of a library
//! may contain a whole request, a token or a configuration.

use std::{error::Error, io};

use super::message::visible;

/// Maximum size of a repeated text of a server.
const MAX_SAID_BYTES: usize = 600;
/// Minimum bytes after `eyJ`, the start of every JWT, for a text to count as one.
const MIN_TOKEN_BYTES: usize = 20;

/// Constant error messages about connections, from hyper, hyper-util and the AWS SDK.
const SAFE_MESSAGES: [&str; 13] = [
    "dns error",
    "tcp open error",
    "tcp connect error",
    "timeout",
    "connection closed before message completed",
    "connection error",
    "error reading a body from connection",
    "error writing a body to connection",
    "invalid HTTP version parsed",
    "invalid HTTP version parsed (found HTTP2 preface)",
    "invalid HTTP status-code parsed",
    "invalid HTTP header parsed",
    "message head is too large",
];
/// Prefixes of messages that are safe as a whole: from the resolver, a proxy's
/// tunnel, and rustls, which quotes only certificates.
const SAFE_PREFIXES: [&str; 5] = [
    "failed to lookup address information: ",
    "tunnel error: ",
    "invalid peer certificate: ",
    "received fatal alert: ",
    "peer is incompatible: ",
];

/// Why a connection or a read failed, from the parts of the error that contain no
/// input.
pub fn reason(error: &(dyn Error + 'static)) -> String {
    known_reason(error)
        .unwrap_or_else(|| "the reason is not shown, because it may contain secrets".to_owned())
}

/// Like [`reason`], but returns `None` if no part of the error is safe.
pub fn known_reason(error: &(dyn Error + 'static)) -> Option<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let system = error.downcast_ref::<io::Error>();
        if let Some(text) = system.map_or_else(|| known(error), said_by_system)
            && !texts.contains(&text)
        {
            texts.push(text);
        }
        // The inner error of an `io::Error` is not its source, but may have one.
        next = match system.and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    (!texts.is_empty()).then(|| texts.join(": "))
}

/// The message of the operating system; `None` if `error` only wraps another error.
fn said_by_system(error: &io::Error) -> Option<String> {
    match error.raw_os_error() {
        Some(number) => Some(io::Error::from_raw_os_error(number).to_string()),
        None => error.get_ref().is_none().then(|| error.kind().to_string()),
    }
}

fn known(error: &dyn Error) -> Option<String> {
    let text = error.to_string();
    let has_safe_prefix = || SAFE_PREFIXES.iter().any(|prefix| text.starts_with(prefix));
    (SAFE_MESSAGES.contains(&text.as_str()) || has_safe_prefix()).then(|| said(&text))
}

/// A server's text on one line, with bounded length, and with tokens removed.
pub fn said(text: &str) -> String {
    let (mut line, mut rest) = (String::new(), text.trim());
    while let Some(c) = rest.chars().next().filter(|_| line.len() < MAX_SAID_BYTES) {
        let length = match token(rest) {
            Some(length) => {
                line.push_str("<token>");
                length
            }
            None => {
                line.push(visible(c));
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    line.trim().to_owned()
}

/// The length of the complete or partial JWT that `text` starts with.
fn token(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("eyJ")?;
    let of_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let length = rest.find(|c| !of_token(c)).unwrap_or(rest.len());
    (length >= MIN_TOKEN_BYTES).then_some("eyJ".len() + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Says(&'static str, #[source] Option<Box<dyn Error + Send + Sync>>);

    #[test]
    fn a_foreign_reason_is_shown_only_in_known_words() {
        let refused = io::Error::from_raw_os_error(111);
        let error = Says(
            "POST https://x/?token=canary",
            Some(Box::new(Says("tcp connect error", Some(Box::new(refused))))),
        );
        assert_eq!(reason(&error), "tcp connect error: Connection refused (os error 111)");
        let certificate =
            io::Error::new(io::ErrorKind::InvalidData, Says("invalid peer certificate: UnknownIssuer", None));
        assert_eq!(
            reason(&Says("canary", Some(Box::new(certificate)))),
            "invalid peer certificate: UnknownIssuer"
        );
        let hidden = io::Error::other(Says("canary", Some(Box::new(Says("canary", None)))));
        assert_eq!(reason(&hidden), "the reason is not shown, because it may contain secrets");
        assert_eq!(reason(&io::Error::from(io::ErrorKind::UnexpectedEof)), "unexpected end of file");
    }

    #[test]
    fn a_servers_text_stays_on_one_line_and_repeats_no_token() {
        assert_eq!(said(" a\r\nb\u{1b}[0m "), "a  b [0m");
        assert_eq!(said(&"x".repeat(5000)).len(), 600);
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl";
        assert_eq!(said(&format!("denied for \"{token}\", sorry")), "denied for \"<token>\", sorry");
        assert_eq!(said(&token[..40]), "<token>");
        // The text is cut after the token is replaced.
        let late = format!("{} {token}", "x".repeat(590));
        assert!(!said(&late).contains("eyJ"), "{}", said(&late));
        assert_eq!(said("eyJohn"), "eyJohn");
    }
}
