//! Collects the mistakes in a class or a request, up to a maximum size.

use std::fmt;

use super::message::told;

/// Maximum size of one mistake or warning.
const MAX_MISTAKE_BYTES: usize = 500;
/// Maximum total size of the mistakes, and of the warnings, in one response.
const MAX_MISTAKES_BYTES: usize = 3000;
const MAX_WARNINGS_BYTES: usize = 1000;

/// Collects mistakes and warnings, so that one response reports all of them.
#[derive(Debug)]
pub struct Mistakes {
    pub(super) found: Told,
    /// Things that are odd, but not wrong.
    pub(super) warnings: Told,
}

/// The first of many texts, and their number. The rest is only counted: the messages
/// must not become a thousand times as large as the manifest.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) count: usize,
    pub(super) texts: Vec<String>,
    left: usize,
}

/// A class or a mount request that is invalid, with every mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// What is invalid.
    pub heading: String,
    /// How many mistakes there are.
    pub count: usize,
    /// Place and problem of each, or of the first ones when there are many.
    pub mistakes: Vec<String>,
    /// What is odd, and may be the reason: a misspelt key.
    pub warnings: Vec<String>,
}

impl std::error::Error for Invalid {}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.heading)?;
        match self.mistakes.as_slice() {
            [only] => write!(f, ": {only}")?,
            many => {
                write!(f, ", {} mistakes:", self.count)?;
                for (number, mistake) in many.iter().enumerate() {
                    let separator = if number == 0 { "" } else { ";" };
                    write!(f, "{separator} ({}) {mistake}", number + 1)?;
                }
                match self.count.saturating_sub(many.len()) {
                    0 => {}
                    more => write!(f, " and {more} more")?,
                }
            }
        }
        self.warnings.iter().try_for_each(|warning| write!(f, "; also {warning}"))
    }
}

impl Default for Mistakes {
    fn default() -> Self {
        Self { found: Told::new(MAX_MISTAKES_BYTES), warnings: Told::new(MAX_WARNINGS_BYTES) }
    }
}

impl Mistakes {
    /// Adds a mistake, which makes the request invalid.
    pub fn add(&mut self, place: &str, problem: impl fmt::Display) {
        self.found.push(format_args!("{place}: {problem}"));
    }

    pub(super) fn any(&self) -> bool {
        self.found.count > 0
    }

    /// Returns the warnings, or an error that starts with `heading`.
    pub(super) fn check(self, heading: impl FnOnce() -> String) -> Result<Vec<String>, Invalid> {
        let warnings = self.warnings.into_texts();
        match self.found.count {
            0 => Ok(warnings),
            count => Err(Invalid { heading: heading(), count, mistakes: self.found.texts, warnings }),
        }
    }

    /// Adds all mistakes and warnings of `others`.
    pub(super) fn append(&mut self, others: Self) {
        self.found.append(others.found);
        self.warnings.append(others.warnings);
    }

    /// Adds a warning about something that is odd, but not wrong.
    pub fn warn(&mut self, warning: impl fmt::Display) {
        self.warnings.push(format_args!("{warning}"));
    }
}

impl Told {
    fn new(max_bytes: usize) -> Self {
        Self { count: 0, texts: Vec::new(), left: max_bytes }
    }

    fn push(&mut self, text: fmt::Arguments<'_>) {
        self.count += 1;
        if self.left == 0 {
            return;
        }
        let text = told(&text, MAX_MISTAKE_BYTES, "…");
        match self.left.checked_sub(text.len()) {
            Some(left) => {
                self.left = left;
                self.texts.push(text);
            }
            // Do not add a shorter one later: keep the first ones.
            None => self.left = 0,
        }
    }

    fn append(&mut self, others: Self) {
        self.count += others.count - others.texts.len();
        others.texts.iter().for_each(|text| self.push(format_args!("{text}")));
    }

    /// The texts; the last one counts the rest.
    pub(super) fn into_texts(mut self) -> Vec<String> {
        match self.count - self.texts.len() {
            0 => {}
            more => self.texts.push(format!("and {more} more")),
        }
        self.texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_and_long_mistakes_are_counted_and_cut() {
        let mut mistakes = Mistakes::default();
        mistakes.add("objects", "x".repeat(1 << 20));
        for number in 0..1000 {
            mistakes.add("objects", format!("{number} \u{202e}{}", "ü".repeat(100)));
            mistakes.warn(format!("unknown {number}"));
        }
        assert_eq!(mistakes.found.count, 1001);
        let found = mistakes.found.into_texts();
        assert!(found.concat().len() <= MAX_MISTAKES_BYTES + 20, "{found:?}");
        assert_eq!(found[0].len(), MAX_MISTAKE_BYTES, "{}", found[0]);
        assert!(found[0].ends_with("x…"), "{}", found[0]);
        assert!(found[1].starts_with("objects: 0  ü"), "{}", found[1]);
        let told = found.len() - 1;
        assert_eq!(found[told], format!("and {} more", 1001 - told));
        let warnings = mistakes.warnings.into_texts();
        assert!(warnings.concat().len() <= MAX_WARNINGS_BYTES + 20, "{warnings:?}");
        assert!(warnings[warnings.len() - 1].starts_with("and "), "{warnings:?}");
    }
}
