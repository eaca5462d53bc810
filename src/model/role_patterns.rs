//! The roles that SecretProviderClasses may name (`--allowed-roles`).

use super::arn::RoleArn;

/// Maximum length of a pattern, and of an ARN.
const MAX_PATTERN_BYTES: usize = 2048;

/// Patterns that match the whole ARN of a role. `*` matches any text, even an empty
/// one; `?` matches one character. Patterns are case-sensitive, as in IAM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolePatterns(Vec<String>);

impl RolePatterns {
    /// Parses comma-separated patterns. `Ok(None)` means that there are none.
    ///
    /// # Errors
    /// If a pattern cannot match any role, so that a typo does not silently forbid
    /// everything.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        let patterns = text.split(',').map(str::trim).filter(|pattern| !pattern.is_empty());
        let patterns: Vec<String> = patterns.map(str::to_owned).collect();
        let possible = |pattern: &String| {
            let start = pattern.find(['*', '?']).unwrap_or(pattern.len()).min("arn:".len());
            pattern.len() <= MAX_PATTERN_BYTES
                && pattern.bytes().all(|b| b.is_ascii_graphic())
                && pattern[..start] == "arn:"[..start]
        };
        match patterns.iter().find(|pattern| !possible(pattern)) {
            Some(pattern) => Err(format!(
                "{pattern:?} matches no role; a pattern must match the whole ARN, such as arn:aws:iam::111122223333:role/shop-*"
            )),
            None if patterns.is_empty() => Ok(None),
            None => Ok(Some(Self(patterns))),
        }
    }

    /// A regular expression for the same ARNs, without a quote.
    pub fn regular_expression(&self) -> String {
        regular_expression(&self.0)
    }

    pub fn allow(&self, role: &RoleArn) -> bool {
        self.0.iter().any(|pattern| matches(pattern.as_bytes(), role.as_str().as_bytes()))
    }
}

/// A regular expression (RE2) for whole texts that match one of the patterns.
pub(super) fn regular_expression(patterns: &[String]) -> String {
    let mut expression = String::from("^(?:");
    for (index, pattern) in patterns.iter().enumerate() {
        expression.push_str(if index > 0 { "|" } else { "" });
        for character in pattern.chars() {
            match character {
                '*' => expression.push_str(".*"),
                '?' => expression.push('.'),
                '\'' => expression.push_str("\\x27"),
                c if c.is_ascii_alphanumeric() || matches!(c, ':' | '/' | '-' | '_' | '@' | ',' | '=') => {
                    expression.push(c);
                }
                c => expression.extend(['\\', c]),
            }
        }
    }
    expression + ")$"
}

/// Takes at most pattern × text steps, because only the last `*` is tried again.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // The position of the last star, and the end of the text it matches.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, reach)) => {
                    star = Some((at, reach + 1));
                    p = at + 1;
                    t = reach + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(patterns: &str, role: &str) -> bool {
        RolePatterns::parse(patterns).unwrap().unwrap().allow(&RoleArn::parse(role).unwrap())
    }

    #[test]
    fn a_pattern_must_match_the_whole_arn() {
        let role = "arn:aws:iam::111122223333:role/shop-web";
        for good in [
            role,
            "arn:aws:iam::111122223333:role/shop-*",
            "arn:aws:iam::111122223333:role/shop-w?b",
            "arn:*:role/*web",
            "*",
            "***",
            "a*:role/shop-web*",
            "arn:aws:iam::222233334444:role/*, arn:aws:iam::111122223333:role/*",
        ] {
            assert!(allowed(good, role), "{good}");
        }
        for bad in [
            "arn:aws:iam::111122223333:role/shop",
            "arn:aws:iam::111122223333:role/shop-we",
            "arn:aws:iam::111122223333:role/shop-web?",
            "arn:aws:iam::111122223333:role/Shop-*",
            "arn:aws:iam::2*",
            "arn:aws:iam::111122223333:role/?",
        ] {
            assert!(!allowed(bad, role), "{bad}");
        }
    }

    #[test]
    fn a_pattern_that_can_match_no_role_is_a_mistake_and_no_pattern_allows_all() {
        assert_eq!(RolePatterns::parse(""), Ok(None));
        assert_eq!(RolePatterns::parse(" , "), Ok(None));
        for bad in ["shop-*", "role/shop", "arn:aws:iam::111122223333:role/a b", "ARN:*"] {
            let error = RolePatterns::parse(bad).expect_err(bad);
            assert!(error.contains("whole ARN"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_pattern_with_many_stars_is_matched_in_bounded_time() {
        let role = format!("arn:aws:iam::111122223333:role/{}", "a".repeat(2000));
        let pattern = format!("arn:*{}b", "a*".repeat(1000));
        assert!(!allowed(&pattern, &role), "a role without b matches");
    }
}
