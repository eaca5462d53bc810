//! Errors and foreign texts as a person reads them.

use std::error::Error;

/// Longest part of a foreign text that is repeated.
const MAX_CHARS: usize = 600;

/// Longest part of a pod author's text that is quoted.
const MAX_QUOTED_CHARS: usize = 200;

/// An error and its causes, joined once.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        // Some errors repeat their cause in their own message.
        if !texts.iter().any(|known| known.ends_with(&text)) {
            texts.push(text);
        }
        next = error.source();
    }
    texts.join(": ")
}

/// A foreign text on one line and of bounded length.
pub fn printable(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(MAX_CHARS).collect::<String>().trim().to_owned()
}

/// A text that a pod author wrote, cut to what a message needs of it.
pub fn shortened(text: &str) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(MAX_QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
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
    fn a_cause_that_is_repeated_stands_once() {
        let last = Link { message: "no such file", source: None };
        let middle = Link { message: "read failed: no such file", source: Some(Box::new(last)) };
        let first = Link { message: "cannot start", source: Some(Box::new(middle)) };
        assert_eq!(causes(&first), "cannot start: read failed: no such file");
    }

    #[test]
    fn a_long_name_is_cut_where_a_character_ends() {
        assert_eq!(shortened("ä"), "ä");
        assert_eq!(shortened(&"ä".repeat(300)), "ä".repeat(200) + "…");
    }

    #[test]
    fn a_foreign_text_stays_on_one_line() {
        assert_eq!(printable(" a\r\nb\u{1b}[0m "), "a  b [0m");
        assert_eq!(printable(&"x".repeat(5000)).len(), 600);
    }
}
