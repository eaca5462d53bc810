//! Collects the mistakes in a class or a request, each with its place, up to a maximum
//! size.

use std::fmt;

use super::{message::told, rules::Limits, yaml::Node};

/// Maximum size of one mistake or warning.
const MAX_MISTAKE_BYTES: usize = 500;
/// A response has a third as many bytes of warnings as of mistakes.
const MISTAKES_PER_WARNING: usize = 3;

/// Collects mistakes and warnings, so that one response reports all of them.
#[derive(Debug)]
pub struct Mistakes {
    pub(super) found: Told,
    /// Things that are odd, but not wrong.
    pub(super) warnings: Told,
}

/// The first of many mistakes, and their number. The rest is only counted: the messages
/// must not become a thousand times as large as the manifest.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) count: usize,
    pub(super) first: Vec<Mistake>,
    left: usize,
}

/// A mistake or a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub kind: Kind,
    pub at: At,
    /// Place and problem.
    pub text: String,
}

/// What a mistake is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value without the right form.
    Invalid,
    Missing,
    /// A text that is not YAML.
    NotYaml,
    /// Keys that exclude each other.
    Contradicting,
    /// Two objects for one file.
    Colliding,
    /// A file name that could leave the volume, or that cannot exist.
    FileName,
    /// An ARN of another Region.
    OtherRegion,
    /// A template that was not rendered.
    Unrendered,
    /// Something that the operator forbids.
    Forbidden,
    TooLarge,
    /// An unknown key that looks as if it chose an identity.
    UnknownIdentity,
    /// Any other unknown key.
    Unknown(String),
    /// Text that is not read.
    Unread,
    /// A setting without effect.
    Ignored,
}

/// The part of a class that a mistake is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct At {
    /// The parameter.
    pub parameter: String,
    /// 1-based line in the parameter's text; 0 for the parameter as a whole.
    pub line: u32,
    /// 1-based column, in characters.
    pub column: u32,
}

/// Where a mistake is, and how messages name it.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    label: String,
    at: At,
}

impl From<&str> for Spot {
    /// A parameter.
    fn from(parameter: &str) -> Self {
        Self { label: parameter.to_owned(), at: At { parameter: parameter.to_owned(), line: 0, column: 0 } }
    }
}

impl From<&Self> for Spot {
    fn from(spot: &Self) -> Self {
        spot.clone()
    }
}

impl Spot {
    /// A node in the text of `objects`.
    pub(super) fn of_objects(node: &Node, label: String) -> Self {
        let at = At { parameter: "objects".to_owned(), line: node.line, column: node.column };
        Self { label, at }
    }

    /// The same place with another name.
    pub(super) fn named(&self, label: String) -> Self {
        Self { label, at: self.at.clone() }
    }

    /// The same name, at a node in the same text.
    pub(super) fn on(&self, node: &Node) -> Self {
        let at = At { line: node.line, column: node.column, ..self.at.clone() };
        Self { label: self.label.clone(), at }
    }

    /// The same name, at a line of the same text.
    pub(super) fn on_line(&self, line: u64, column: u64) -> Self {
        let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let at = At { line: number(line), column: number(column), ..self.at.clone() };
        Self { label: self.label.clone(), at }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

/// A class or a mount request that is invalid, with every mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// What is invalid.
    pub heading: String,
    /// How many mistakes there are.
    pub count: usize,
    /// All mistakes, or the first ones when there are many.
    pub mistakes: Vec<Mistake>,
    /// What is odd, and may be the reason: a misspelt key.
    pub warnings: Vec<Mistake>,
}

impl std::error::Error for Invalid {}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

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

impl Mistakes {
    /// Keeps the first mistakes, as the limits say.
    pub(super) fn within(limits: &Limits) -> Self {
        let warnings = limits.max_mistakes_bytes / MISTAKES_PER_WARNING;
        Self { found: Told::new(limits.max_mistakes_bytes), warnings: Told::new(warnings) }
    }

    /// Adds a value without the right form. Every mistake makes the request invalid.
    pub(super) fn add(&mut self, spot: impl Into<Spot>, problem: impl fmt::Display) {
        self.add_as(Kind::Invalid, spot, problem);
    }

    /// Adds a mistake of any kind.
    pub(super) fn add_as(&mut self, kind: Kind, spot: impl Into<Spot>, problem: impl fmt::Display) {
        let Spot { label, at } = spot.into();
        self.found.push(kind, at, format_args!("{label}: {problem}"));
    }

    pub(super) fn any(&self) -> bool {
        self.found.count > 0
    }

    /// Returns the warnings, or an error that starts with `heading`.
    pub(super) fn check(self, heading: impl FnOnce() -> String) -> Result<Vec<Mistake>, Invalid> {
        let warnings = self.warnings.into_mistakes();
        match self.found.count {
            0 => Ok(warnings),
            count => Err(Invalid { heading: heading(), count, mistakes: self.found.first, warnings }),
        }
    }

    /// Adds all mistakes and warnings of `others`.
    pub(super) fn append(&mut self, others: Self) {
        self.found.append(others.found);
        self.warnings.append(others.warnings);
    }

    /// Adds a warning about something that is odd, but not wrong. The text names the
    /// place.
    pub(super) fn warn(&mut self, kind: Kind, spot: impl Into<Spot>, warning: impl fmt::Display) {
        self.warnings.push(kind, spot.into().at, format_args!("{warning}"));
    }

    /// Adds a warning that was made before.
    pub(super) fn warn_again(&mut self, warning: &Mistake) {
        let Mistake { kind, at, text } = warning;
        self.warnings.push(kind.clone(), at.clone(), format_args!("{text}"));
    }
}

impl Told {
    fn new(max_bytes: usize) -> Self {
        Self { count: 0, first: Vec::new(), left: max_bytes }
    }

    fn push(&mut self, kind: Kind, at: At, text: fmt::Arguments<'_>) {
        self.count += 1;
        if self.left == 0 {
            return;
        }
        let text = told(&text, MAX_MISTAKE_BYTES, "…");
        match self.left.checked_sub(text.len()) {
            Some(left) => {
                self.left = left;
                self.first.push(Mistake { kind, at, text });
            }
            // Do not add a shorter one later: keep the first ones.
            None => self.left = 0,
        }
    }

    fn append(&mut self, others: Self) {
        self.count += others.count - others.first.len();
        others.first.into_iter().for_each(|Mistake { kind, at, text }| {
            self.push(kind, at, format_args!("{text}"));
        });
    }

    /// The mistakes; the last one counts the rest.
    pub(super) fn into_mistakes(mut self) -> Vec<Mistake> {
        match self.count - self.first.len() {
            0 => {}
            more => {
                let text = format!("and {more} more");
                self.first.push(Mistake { kind: Kind::TooLarge, at: At::default(), text });
            }
        }
        self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(told: Told) -> Vec<String> {
        told.into_mistakes().into_iter().map(|mistake| mistake.text).collect()
    }

    #[test]
    fn many_and_long_mistakes_are_counted_and_cut() {
        let limits = Limits::default();
        let mut mistakes = Mistakes::within(&limits);
        mistakes.add("objects", "x".repeat(1 << 20));
        for number in 0..1000 {
            mistakes.add("objects", format!("{number} \u{202e}{}", "ü".repeat(100)));
            mistakes.warn(Kind::Ignored, "objects", format!("unknown {number}"));
        }
        assert_eq!(mistakes.found.count, 1001);
        let found = texts(mistakes.found);
        assert!(found.concat().len() <= limits.max_mistakes_bytes + 20, "{found:?}");
        assert_eq!(found[0].len(), MAX_MISTAKE_BYTES, "{}", found[0]);
        assert!(found[0].ends_with("x…"), "{}", found[0]);
        assert!(found[1].starts_with("objects: 0  ü"), "{}", found[1]);
        let told = found.len() - 1;
        assert_eq!(found[told], format!("and {} more", 1001 - told));
        let warnings = texts(mistakes.warnings);
        assert!(
            warnings.concat().len() <= limits.max_mistakes_bytes / MISTAKES_PER_WARNING + 20,
            "{warnings:?}"
        );
        assert!(warnings[warnings.len() - 1].starts_with("and "), "{warnings:?}");
    }
}
