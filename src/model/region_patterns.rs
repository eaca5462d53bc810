//! The Regions that may be read (`--allowed-regions`).

use std::fmt;

use super::{arn::Region, role_patterns::regular_expression};

/// Maximum length of a pattern, and of the name of a Region.
const MAX_PATTERN_BYTES: usize = 32;

/// Patterns that match the whole name of a Region. `*` matches any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionPatterns(Vec<String>);

impl RegionPatterns {
    /// Parses comma-separated patterns. `Ok(None)` means that there are none, and every
    /// Region is allowed.
    ///
    /// # Errors
    /// If a pattern cannot match any Region, so that a typo does not silently forbid
    /// everything.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        let patterns = text.split(',').map(str::trim).filter(|pattern| !pattern.is_empty());
        let patterns: Vec<String> = patterns.map(str::to_owned).collect();
        let possible = |pattern: &String| {
            let of_regions = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'*');
            pattern.len() <= MAX_PATTERN_BYTES
                && pattern.bytes().all(of_regions)
                && (pattern.contains('*') || Region::parse(pattern).is_some())
        };
        match patterns.iter().find(|pattern| !possible(pattern)) {
            Some(pattern) => Err(format!(
                "{pattern:?} matches no Region; expected the name of a Region or a pattern such as eu-*"
            )),
            None if patterns.is_empty() => Ok(None),
            None => Ok(Some(Self(patterns))),
        }
    }

    /// A regular expression for the same Regions.
    pub fn regular_expression(&self) -> String {
        regular_expression(&self.0)
    }

    pub fn allow(&self, region: &Region) -> bool {
        self.0.iter().any(|pattern| matches(pattern, region.as_str()))
    }
}

impl fmt::Display for RegionPatterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// The first piece must start the text, the last must end it, and each piece in
/// between matches as early as possible.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some(at) = text.find(piece) else { return false };
        text = &text[at + piece.len()..];
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(patterns: &str, region: &str) -> bool {
        RegionPatterns::parse(patterns).unwrap().unwrap().allow(&Region::parse(region).unwrap())
    }

    #[test]
    fn a_pattern_must_match_the_whole_name() {
        let region = "eu-central-1";
        for good in [
            "eu-central-1",
            "eu-*",
            "*",
            "**",
            "*-1",
            "e*-*1",
            "*central*",
            "us-east-1, eu-*",
            "eu-c*l-1",
            "eu-central-1*",
        ] {
            assert!(allowed(good, region), "{good}");
        }
        for bad in ["eu-west-1", "us-*", "*-2", "eu-central-1*1", "*u-west*", "*eu-central-1-*", "eu-c*c*"] {
            assert!(!allowed(bad, region), "{bad}");
        }
    }

    #[test]
    fn a_pattern_that_can_match_no_region_is_a_mistake_and_no_pattern_allows_all() {
        assert_eq!(RegionPatterns::parse(""), Ok(None));
        assert_eq!(RegionPatterns::parse(" , "), Ok(None));
        for bad in ["EU-*", "eu", "eu-west", "eu-west-1.evil", "eu?west-1", "*.example"] {
            assert!(RegionPatterns::parse(bad).unwrap_err().contains("no Region"), "{bad}");
        }
    }
}
