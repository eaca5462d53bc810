//! The answer to "may this role do that?".

use std::collections::BTreeSet;

use crate::{iam::Answer, table::grouped};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    /// On condition keys, or on policies that were not read.
    Depends(BTreeSet<String>),
    /// Why.
    Denied(String),
    /// The role's policies were not read.
    Unknown,
}

impl Verdict {
    pub(super) fn depends_on(what: impl Into<String>) -> Self {
        Self::Depends(BTreeSet::from([what.into()]))
    }

    /// Both must be allowed.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (denied @ Self::Denied(_), _) | (_, denied @ Self::Denied(_)) => denied,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Depends(mut on), Self::Depends(more)) => {
                on.extend(more);
                Self::Depends(on)
            }
            (Self::Allowed, other) | (other, Self::Allowed) => other,
        }
    }

    /// One of them suffices.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Allowed, _) | (_, Self::Allowed) => Self::Allowed,
            (Self::Depends(mut on), Self::Depends(more)) => {
                on.extend(more);
                Self::Depends(on)
            }
            (depends @ Self::Depends(_), _) | (_, depends @ Self::Depends(_)) => depends,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (denied, Self::Denied(_)) => denied,
        }
    }

    /// One word, as JSON has it.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Depends(_) => "depends",
            Self::Denied(_) => "denied",
            Self::Unknown => "unknown",
        }
    }

    /// In a table's cell.
    pub(super) fn cell(&self) -> String {
        match self {
            Self::Allowed => "yes".to_owned(),
            Self::Depends(on) => format!("depends on {}", joined(on)),
            Self::Denied(_) => "no".to_owned(),
            Self::Unknown => "unknown".to_owned(),
        }
    }
}

impl From<Answer> for Verdict {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Allowed => Self::Allowed,
            Answer::Depends(on) => Self::Depends(on),
            Answer::Denied(denial) => Self::Denied(denial.to_string()),
        }
    }
}

/// `a, b and c`.
pub(super) fn joined<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<T> = texts.into_iter().collect();
    match texts.split_last() {
        None => String::new(),
        Some((last, [])) => last.as_ref().to_owned(),
        Some((last, rest)) => {
            let rest: Vec<&str> = rest.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", rest.join(", "), last.as_ref())
        }
    }
}

/// The first few of them, and how many more there are.
pub(super) fn some<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 5;
    let mut texts: Vec<String> = texts.into_iter().map(|text| text.as_ref().to_owned()).collect();
    // One more takes no more space than saying so.
    if texts.len() > SHOWN + 1 {
        let more = texts.len() - SHOWN;
        texts.truncate(SHOWN);
        texts.push(format!("{more} more"));
    }
    joined(texts)
}

/// `1 secret`, `2 secrets`.
pub(super) fn count(number: usize, thing: &str) -> String {
    let grouped = grouped(number);
    format!("{grouped} {thing}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_wins_over_what_is_open_and_an_allowance_over_both() {
        let denied = Verdict::Denied("x".to_owned());
        let depends = Verdict::depends_on("aws:SourceVpce");
        assert_eq!(depends.clone().and(denied.clone()), denied);
        assert_eq!(depends.clone().and(Verdict::Allowed), depends);
        assert_eq!(depends.clone().or(denied.clone()), depends);
        assert_eq!(depends.or(Verdict::Allowed), Verdict::Allowed);
        assert_eq!(Verdict::Unknown.and(denied.clone()), denied);
        assert_eq!(Verdict::Unknown.or(denied), Verdict::Unknown);
    }

    #[test]
    fn long_lists_are_cut_and_counted() {
        assert_eq!(some(["a"]), "a");
        assert_eq!(some(["a", "b", "c", "d", "e", "f"]), "a, b, c, d, e and f");
        assert_eq!(some(["a", "b", "c", "d", "e", "f", "g"]), "a, b, c, d, e and 2 more");
        assert_eq!(count(1_234_567, "secret"), "1,234,567 secrets");
        assert_eq!(count(1, "secret"), "1 secret");
    }
}
