//! Which part of a JSON secret becomes a file of its own: a JMESPath expression
//! or a literal key.

use std::sync::Arc;

use super::{message::shortened, secret::SecretValue};
use crate::jmespath::{self, Advice, Document, Fuel, SearchError, SyntaxError};

/// How much of an expression a message repeats.
const MAX_SHOWN_BYTES: usize = 200;

/// What to take out of a secret. Clones share it.
#[derive(Clone, Debug)]
pub struct Expression {
    text: Arc<str>,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    /// The text itself is a top-level key.
    Key,
    Path(jmespath::Expression),
}

/// Why an expression is refused before anything is fetched.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// Longer than the limit.
    #[error("has {bytes} bytes; the maximum is {limit}")]
    Long {
        /// Its length.
        bytes: usize,
        /// The most that is accepted.
        limit: usize,
    },
    /// Not JMESPath.
    #[error("is not a JMESPath expression: {0}")]
    Syntax(SyntaxError),
    /// Not JMESPath, but it could be a key.
    #[error("is not a JMESPath expression: {0}; for a literal top-level key write key: {1} instead of path")]
    Key(SyntaxError, String),
}

impl Expression {
    /// Compiles a JMESPath expression of at most `limit` bytes.
    ///
    /// # Errors
    /// When it is too long or no JMESPath.
    pub fn jmes_path(text: &str, limit: usize) -> Result<Self, ExpressionError> {
        check_length(text, limit)?;
        match jmespath::Expression::parse(text) {
            Ok(path) => Ok(Self { text: text.into(), way: Way::Path(path) }),
            Err(error) if looks_like_a_key(text) => {
                Err(ExpressionError::Key(error, shortened(text, MAX_SHOWN_BYTES).to_owned()))
            }
            Err(error) => Err(ExpressionError::Syntax(error)),
        }
    }

    /// A literal top-level key of at most `limit` bytes, whatever characters it has.
    ///
    /// # Errors
    /// When it is too long.
    pub fn key(name: &str, limit: usize) -> Result<Self, ExpressionError> {
        check_length(name, limit)?;
        Ok(Self { text: name.into(), way: Way::Key })
    }

    /// The expression or key as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The key of a `jmesPath` entry that it was written under.
    pub fn kind(&self) -> &'static str {
        match self.way {
            Way::Key => "key",
            Way::Path(_) => "path",
        }
    }

    /// Bytes of memory that it holds.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.text.len()
            + match &self.way {
                Way::Key => 0,
                Way::Path(path) => path.bytes(),
            }
    }

    /// Takes the field out: a string verbatim, everything else as JSON; `None`
    /// when nothing is found.
    ///
    /// # Errors
    /// When the expression does not fit the value, or `fuel` ends.
    pub fn extract(
        &self,
        document: &Document<'_>,
        fuel: &mut Fuel<'_>,
    ) -> Result<Option<SecretValue>, SearchError> {
        let found = match &self.way {
            Way::Key => document.member(&self.text, fuel)?,
            Way::Path(path) => path.search(document, fuel)?,
        };
        // Taken over, so that no copy is left to be wiped.
        Ok(found.map(|mut bytes| SecretValue::new(std::mem::take(&mut *bytes))))
    }
}

impl Expression {
    /// What may help whoever wrote an expression that finds nothing. Tells of
    /// the document only whether it has what the expression names.
    pub fn advice(&self, document: &Document<'_>, fuel: &mut Fuel<'_>) -> Option<String> {
        let text = shortened(&self.text, MAX_SHOWN_BYTES);
        match (&self.way, document.advice(&self.text, fuel)) {
            (Way::Path(_), Some(Advice::Key)) if text.contains('.') => Some(format!(
                "the value has a key of that very name: write key: {text} instead of path, or quote it: '\"{text}\"'"
            )),
            (Way::Path(_), Some(Advice::Path(path))) if path != *self.text => {
                Some(format!("the value has it under another spelling: write path: '{path}'"))
            }
            (Way::Key, Some(Advice::Path(path))) => {
                Some(format!("the value has it within an object: write path: '{path}' instead of key"))
            }
            (_, Some(Advice::JsonText(path))) => Some(format!(
                "{path} is a text that holds JSON, and an expression cannot look into a text: store an object there, or mount {path} whole"
            )),
            (Way::Path(_), _) if compares_with_a_name(&self.text) => Some(
                "a text in an expression has single quotes; in double quotes it is the name of a key"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// Whether something is compared with a name in double quotes, which mostly
/// was meant to be a text.
fn compares_with_a_name(text: &str) -> bool {
    ["==", "!="]
        .iter()
        .any(|operator| text.split(operator).skip(1).any(|right| right.trim_start().starts_with('"')))
}

fn check_length(text: &str, limit: usize) -> Result<(), ExpressionError> {
    if text.len() > limit {
        return Err(ExpressionError::Long { bytes: text.len(), limit });
    }
    Ok(())
}

/// Names with dashes, dots, digits in front and the like; no operator but the dot.
fn looks_like_a_key(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ' ' | ':' | '+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extract(expression: &Expression, json: &str) -> Option<SecretValue> {
        let fuel = &mut Fuel::new(&|| false);
        let document = Document::parse(json.as_bytes(), fuel).unwrap();
        expression.extract(&document, fuel).unwrap()
    }

    #[test]
    fn a_path_is_followed_and_a_key_is_literal() {
        let json = r#"{"a.b":"dotted","a":{"b":"nested"}}"#;
        let found = |expression: Expression| extract(&expression, json).map(|value| value.expose().to_vec());
        assert_eq!(found(Expression::jmes_path("a.b", 99).unwrap()).as_deref(), Some(&b"nested"[..]));
        assert_eq!(found(Expression::key("a.b", 99).unwrap()).as_deref(), Some(&b"dotted"[..]));
        assert_eq!(found(Expression::key("b", 99).unwrap()), None);
    }

    #[test]
    fn an_expressions_length_is_limited() {
        Expression::jmes_path("abc", 3).unwrap();
        let long = ExpressionError::Long { bytes: 4, limit: 3 };
        assert_eq!(Expression::jmes_path("abcd", 3).unwrap_err(), long);
        assert_eq!(Expression::key("abcd", 3).unwrap_err(), long);
    }

    #[test]
    fn an_invalid_path_that_could_be_a_key_suggests_key() {
        for text in ["db-password", "2fa", "größe", "spring.datasource-url", "my key"] {
            let error = Expression::jmes_path(text, 99).unwrap_err().to_string();
            assert!(error.ends_with(&format!("write key: {text} instead of path")), "{error}");
        }
        let error = Expression::jmes_path("users[?n==].s", 99).unwrap_err().to_string();
        assert_eq!(
            error,
            "is not a JMESPath expression: a name or another value is expected instead of ], at the ^ in users[?n==^].s"
        );
    }

    #[test]
    fn an_expression_that_finds_nothing_suggests_where_the_value_is() {
        let advice = |expression: Expression, json: &str| {
            let fuel = &mut Fuel::new(&|| false);
            expression.advice(&Document::parse(json.as_bytes(), fuel).unwrap(), fuel).unwrap_or_default()
        };
        let path = |text: &str| Expression::jmes_path(text, 99).unwrap();
        let key = |text: &str| Expression::key(text, 99).unwrap();
        for (advice, says) in [
            (advice(path("a.b"), r#"{"a.b":1}"#), "write key: a.b instead of path, or quote it: '\"a.b\"'"),
            (advice(path("a.b.c"), r#"{"a":{"b.c":1}}"#), "write path: 'a.\"b.c\"'"),
            (advice(key("a.b"), r#"{"a":{"b":1}}"#), "write path: 'a.b' instead of key"),
            (advice(path("a.b"), r#"{"a":"{\"b\":1}"}"#), "a is a text that holds JSON"),
            (advice(path(r#"users[?n=="b"].s"#), "{}"), "a text in an expression has single quotes"),
        ] {
            assert!(advice.contains(says), "{says:?} is not in {advice:?}");
        }
        // Null, and an absent value.
        for (expression, json) in
            [(path("a.b"), r#"{"a":{"b":null}}"#), (key("a"), r#"{"a":null}"#), (path("x"), "{}")]
        {
            assert_eq!(advice(expression, json), "", "{json}");
        }
    }
}
