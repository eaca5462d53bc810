//! Builds messages for people. They are on one line and have a maximum length, no
//! matter what a pod author or a server has put into them.

use std::{
    error::Error,
    fmt::{self, Write},
};

/// Maximum size of a message in the log. With JSON's escapes and the other fields,
/// the log line stays below 8 KiB.
pub const MAX_LOGGED_BYTES: usize = 6 << 10;

/// Maximum printed size of a quoted text of a pod author.
const MAX_QUOTED_BYTES: usize = 200;

/// Joins one of our own errors and its causes.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        // Some errors already repeat their cause in their own message.
        if !texts.iter().any(|known| known.ends_with(&text)) {
            texts.push(text);
        }
        next = error.source();
    }
    texts.join(": ")
}

/// A message for the log.
pub fn logged(message: &dyn fmt::Display) -> String {
    told(message, MAX_LOGGED_BYTES, " …")
}

/// A message of at most `max_bytes` on one line. A message that is too long is never
/// formatted as a whole: it stops early, and ends with `ending`.
pub fn told(message: &dyn fmt::Display, max_bytes: usize, ending: &str) -> String {
    let mut line = Line { text: String::new(), left: max_bytes.saturating_sub(ending.len()), cut: false };
    // The only possible error is our own, when the line is full.
    let _ = write!(line, "{message}");
    if line.cut {
        line.text.push_str(ending);
    }
    line.text
}

/// A pod author's text in quotes, with the escapes of Rust's `Debug`, shortened for
/// a message.
pub fn quoted(text: &str) -> Quoted<'_> {
    Quoted(text)
}

/// A text to print in quotes.
#[derive(Clone, Copy)]
pub struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        let mut left = MAX_QUOTED_BYTES;
        for c in self.0.chars() {
            let single_quote = c == '\'';
            let escaped = c.escape_debug();
            let bytes = if single_quote { 1 } else { escaped.clone().map(char::len_utf8).sum() };
            let Some(rest) = left.checked_sub(bytes) else {
                f.write_char('…')?;
                break;
            };
            left = rest;
            if single_quote { f.write_char(c)? } else { escaped.fmt(f)? }
        }
        f.write_char('"')
    }
}

/// Shortens `text` to at most `max_bytes`, between characters.
pub fn shortened(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

/// Replaces characters that end a line, control a terminal, change the text
/// direction or are invisible.
pub(super) fn visible(c: char) -> char {
    match c {
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' => ' ',
        // Direction marks, zero-width characters, line separators; below, tags.
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => ' ',
        '\u{e0000}'..='\u{e0fff}' => ' ',
        c if c.is_control() => ' ',
        c => c,
    }
}

/// Collects text until it is full.
struct Line {
    text: String,
    left: usize,
    cut: bool,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars().map(visible) {
            // These take two bytes in a JSON log.
            let bytes = if matches!(c, '"' | '\\') { 2 } else { c.len_utf8() };
            let Some(left) = self.left.checked_sub(bytes) else {
                self.cut = true;
                return Err(fmt::Error);
            };
            self.left = left;
            self.text.push(c);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{message}")]
    struct Link {
        message: &'static str,
        source: Option<Box<Link>>,
    }

    #[test]
    fn a_repeated_cause_is_shown_once() {
        let last = Link { message: "no such file", source: None };
        let middle = Link { message: "read failed: no such file", source: Some(Box::new(last)) };
        let first = Link { message: "cannot start", source: Some(Box::new(middle)) };
        assert_eq!(causes(&first), "cannot start: read failed: no such file");
    }

    #[test]
    fn a_long_name_is_cut_at_a_character_boundary() {
        assert_eq!(quoted("ä'\"\n").to_string(), r#""ä'\"\n""#);
        assert_eq!(quoted(&"ä".repeat(300)).to_string(), format!("\"{}…\"", "ä".repeat(100)));
        let escaped = quoted(&"\u{10fffe}".repeat(300)).to_string();
        assert!(escaped.len() <= 205, "{} bytes: {escaped}", escaped.len());
        assert!(escaped.ends_with("…\""), "{escaped}");
        assert_eq!(shortened("ää", 3), "ä");
        assert_eq!(shortened("ää", 4), "ää");
    }

    #[test]
    fn a_message_is_limited_while_it_is_written() {
        struct Endless;
        impl fmt::Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("ä\"")?;
                }
            }
        }
        let text = told(&Endless, 100, " …");
        assert!(text.ends_with(" …"), "{text}");
        assert!(text.len() <= 100, "{} bytes: {text}", text.len());
        assert!(serde_json::to_string(&text).unwrap().len() <= 102, "{text}");
        assert_eq!(told(&"short", 100, " …"), "short");
    }

    #[test]
    fn a_message_cannot_forge_a_line_or_reverse_its_direction() {
        let text = "a\r\nb\u{1b}[31mc\u{202e}d\u{2028}e\u{85}f\u{9b}g\u{200d}h\0i\u{e0041}j";
        assert_eq!(logged(&text), "a  b [31mc d e f g h i j");
    }
}
