//! Patterns with `*`, `?` and policy variables.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html>

use super::{
    context::{Context, Lookup},
    truth::Truth,
};

/// A text of a policy that is compared with one of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Token(Token),
    Variable { key: String, default: Option<String> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`
    One,
    /// `*`
    Any,
}

/// What a text of a policy may contain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Syntax {
    /// `*` and `?`
    pub(super) wildcards: bool,
    /// `${…}`, since version 2012-10-17 of the policy language.
    pub(super) variables: bool,
}

/// Why a pattern cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unresolved {
    /// The request does not have the variable's key, and there is no default.
    Missing(String),
    /// The value of the key is unknown, or it has several.
    Unknown(String),
}

impl Pattern {
    /// Returns `None` if a variable is not complete.
    pub(super) fn parse(text: &str, syntax: Syntax) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if let Some(inner) = rest.strip_prefix("${").filter(|_| syntax.variables) {
                let (inside, after) = inner.split_once('}')?;
                parts.push(variable(inside)?);
                rest = after;
                continue;
            }
            rest = &rest[first.len_utf8()..];
            parts.push(Part::Token(match first {
                '*' if syntax.wildcards => Token::Any,
                '?' if syntax.wildcards => Token::One,
                other => Token::Char(other),
            }));
        }
        Some(Self(parts))
    }

    /// Whether it matches any text.
    pub(super) fn is_anything(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|part| *part == Part::Token(Token::Any))
    }

    /// Whether it matches `text`. `fold` is applied to every character before comparing.
    pub(super) fn matches(
        &self,
        text: &str,
        context: &Context,
        fold: fn(char) -> char,
    ) -> Result<bool, Unresolved> {
        let tokens = self.resolved(context)?;
        Ok(matches(&tokens, text.chars(), fold))
    }

    /// As [`matches`](Self::matches), for an ARN: each of its six parts by itself.
    pub(super) fn matches_arn(&self, text: &str, context: &Context) -> Result<bool, Unresolved> {
        let tokens = self.resolved(context)?;
        let patterns: Vec<&[Token]> = tokens.splitn(6, |token| *token == Token::Char(':')).collect();
        let texts: Vec<&str> = text.splitn(6, ':').collect();
        // An incomplete ARN is compared as a text: `*` is the one that occurs.
        if patterns.len() < 6 {
            return Ok(matches(&tokens, text.chars(), |c| c));
        }
        Ok(texts.len() == 6
            && patterns.iter().zip(texts).all(|(pattern, text)| matches(pattern, text.chars(), |c| c)))
    }

    fn resolved(&self, context: &Context) -> Result<Vec<Token>, Unresolved> {
        let mut tokens = Vec::with_capacity(self.0.len());
        for part in &self.0 {
            match part {
                Part::Token(token) => tokens.push(*token),
                Part::Variable { key, default } => {
                    let value = match (context.get(key), default) {
                        (Lookup::Values([value]), _) => value.as_str(),
                        (Lookup::Absent, Some(default)) => default,
                        (Lookup::Absent, None) => return Err(Unresolved::Missing(key.clone())),
                        // AWS replaces no variable by several values.
                        (Lookup::Unknown | Lookup::Values(_), _) => {
                            return Err(Unresolved::Unknown(key.clone()));
                        }
                    };
                    // What a request brings is text, not a pattern.
                    tokens.extend(value.chars().map(Token::Char));
                }
            }
        }
        Ok(tokens)
    }
}

/// Whether one of `patterns` matches, when an unresolved one matches nothing.
pub(super) fn any_matches(
    patterns: &[Pattern],
    compare: impl Fn(&Pattern) -> Result<bool, Unresolved>,
) -> Truth {
    Truth::any(patterns.iter().map(|pattern| match compare(pattern) {
        Ok(matches) => matches.into(),
        Err(Unresolved::Missing(_)) => Truth::No,
        Err(Unresolved::Unknown(key)) => Truth::depends_on(&key),
    }))
}

/// Whether none of `patterns` matches. AWS does not document what an unresolved variable
/// excludes, so that the answer depends on it.
pub(super) fn none_matches(
    patterns: &[Pattern],
    compare: impl Fn(&Pattern) -> Result<bool, Unresolved>,
) -> Truth {
    Truth::all(patterns.iter().map(|pattern| match compare(pattern) {
        Ok(matches) => Truth::from(!matches),
        Err(Unresolved::Missing(key) | Unresolved::Unknown(key)) => Truth::depends_on(&key),
    }))
}

/// The inside of `${…}`: one of the characters `*`, `?`, `$`, or a key, with a default in
/// single quotes after a comma.
fn variable(inside: &str) -> Option<Part> {
    let literal = |c| Some(Part::Token(Token::Char(c)));
    match inside {
        "*" => return literal('*'),
        "?" => return literal('?'),
        "$" => return literal('$'),
        _ => {}
    }
    let (key, default) = match inside.split_once(',') {
        Some((key, default)) => {
            let default = default.trim().strip_prefix('\'')?.strip_suffix('\'')?;
            (key, Some(default.to_owned()))
        }
        None => (inside, None),
    };
    let key = key.trim();
    (!key.is_empty() && !key.contains(['$', '{', '*', '?']))
        .then(|| Part::Variable { key: key.to_owned(), default })
}

/// Compares in at most `pattern × text` steps, without recursion.
fn matches(pattern: &[Token], text: impl Iterator<Item = char>, fold: fn(char) -> char) -> bool {
    let text: Vec<char> = text.map(fold).collect();
    let (mut at, mut position) = (0, 0);
    // After the last `*`: where to continue in the pattern, and in the text.
    let mut retry: Option<(usize, usize)> = None;
    while position < text.len() {
        match pattern.get(at) {
            Some(Token::Any) => {
                at += 1;
                retry = Some((at, position));
            }
            Some(Token::One) => (at, position) = (at + 1, position + 1),
            Some(Token::Char(c)) if fold(*c) == text[position] => (at, position) = (at + 1, position + 1),
            Some(Token::Char(_)) | None => match &mut retry {
                Some((after, from)) => {
                    *from += 1;
                    (at, position) = (*after, *from);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|token| *token == Token::Any)
}

/// Whether everything that matches `inner` also matches `outer`: both are texts with `*`
/// and `?`. `false` may be wrong for an `inner` with several wildcards in a row.
pub fn covers(outer: &str, inner: &str) -> bool {
    let wild = Syntax { wildcards: true, variables: false };
    let tokens = |text| {
        let Pattern(parts) = Pattern::parse(text, wild).unwrap_or(Pattern(Vec::new()));
        parts.into_iter().filter_map(|part| match part {
            Part::Token(token) => Some(token),
            Part::Variable { .. } => None,
        })
    };
    let outer: Vec<Token> = tokens(outer).collect();
    // Private-use characters stand for the wildcards of `inner`: a `?` of `outer` covers a
    // `?`, and only a `*` covers a `*`.
    const ONE: char = '\u{f0000}';
    const ANY: char = '\u{f0001}';
    let inner: Vec<char> = tokens(inner)
        .map(|token| match token {
            Token::Char(c) => c,
            Token::One => ONE,
            Token::Any => ANY,
        })
        .collect();
    covers_tokens(&outer, &inner, ANY)
}

fn covers_tokens(outer: &[Token], inner: &[char], any: char) -> bool {
    let (mut at, mut position) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while position < inner.len() {
        let one = inner[position];
        match outer.get(at) {
            Some(Token::Any) => {
                at += 1;
                retry = Some((at, position));
            }
            Some(Token::One) if one != any => (at, position) = (at + 1, position + 1),
            Some(Token::Char(c)) if *c == one => (at, position) = (at + 1, position + 1),
            Some(Token::Char(_) | Token::One) | None => match &mut retry {
                Some((after, from)) => {
                    *from += 1;
                    (at, position) = (*after, *from);
                }
                None => return false,
            },
        }
    }
    outer[at..].iter().all(|token| *token == Token::Any)
}
