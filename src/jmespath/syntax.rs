//! The error for a text that is not a JMESPath expression: what is wrong, and where.
//! The messages do not use the jargon of parsers.

use std::fmt;

/// How much of the expression to show on either side of the position.
const SHOWN_CHARS: usize = 40;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}, at the ^ in {excerpt}")]
pub struct SyntaxError {
    problem: String,
    excerpt: String,
}

impl SyntaxError {
    /// `at` is a byte index in `text`.
    pub(super) fn new(problem: impl fmt::Display, text: &str, at: usize) -> Self {
        let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
        let start = before.char_indices().rev().nth(SHOWN_CHARS - 1).map_or(0, |(start, _)| start);
        let end = after.char_indices().nth(SHOWN_CHARS).map_or(after.len(), |(end, _)| end);
        let mut excerpt = String::new();
        excerpt.push_str(if start > 0 { "…" } else { "" });
        push_printable(&mut excerpt, &before[start..]);
        excerpt.push('^');
        push_printable(&mut excerpt, &after[..end]);
        excerpt.push_str(if end < after.len() { "…" } else { "" });
        Self { problem: problem.to_string(), excerpt }
    }
}

/// Appends `text` on one line.
fn push_printable(excerpt: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() {
            excerpt.extend(c.escape_default());
        } else {
            excerpt.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_marks_the_place_of_the_error() {
        let error = SyntaxError::new("expected a name", "a.\n.b", 3);
        assert_eq!(error.to_string(), r"expected a name, at the ^ in a.\n^.b");
        let at_the_end = SyntaxError::new("x", "abc", 3).to_string();
        assert!(at_the_end.ends_with("abc^"), "{at_the_end}");
    }

    #[test]
    fn a_long_expression_is_cut_on_both_sides() {
        let error = SyntaxError::new("x", &"ä".repeat(200), 200).to_string();
        assert_eq!(error, format!("x, at the ^ in …{0}^{0}…", "ä".repeat(40)));
    }
}
