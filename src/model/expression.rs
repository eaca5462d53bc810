//! Selects a field of a JSON secret, by a JMESPath expression or a literal key.

use std::sync::Arc;

use super::{message::shortened, secret::SecretValue};
use crate::jmespath::{self, Advice, Document, Fuel, SearchError, SyntaxError};

/// Maximum size of an expression in a message.
const MAX_SHOWN_BYTES: usize = 200;

/// A selected field. Clones share their memory.
#[derive(Clone, Debug)]
pub struct Expression {
    text: Arc<str>,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// The text is a top-level key.
    Key,
    Path(jmespath::Expression),
}

/// Why an expression is rejected before anything is fetched.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    #[error("has {bytes} bytes; the maximum is {limit}")]
    Long { bytes: usize, limit: usize },
    #[error("is not a JMESPath expression: {0}")]
    Syntax(SyntaxError),
    /// Not a JMESPath expression, but it could be a key.
    #[error("is not a JMESPath expression: {0}; for a literal top-level key, write key: {1} instead of path")]
    Key(SyntaxError, String),
}

impl Expression {
    /// Compiles a JMESPath expression of at most `limit` bytes.
    pub fn jmes_path(text: &str, limit: usize) -> Result<Self, ExpressionError> {
        check_length(text, limit)?;
        match jmespath::Expression::parse(text) {
            Ok(path) => Ok(Self { text: text.into(), kind: Kind::Path(path) }),
            Err(error) if looks_like_a_key(text) => {
                Err(ExpressionError::Key(error, shortened(text, MAX_SHOWN_BYTES).to_owned()))
            }
            Err(error) => Err(ExpressionError::Syntax(error)),
        }
    }

    /// A literal top-level key of at most `limit` bytes, with any characters.
    pub fn key(name: &str, limit: usize) -> Result<Self, ExpressionError> {
        check_length(name, limit)?;
        Ok(Self { text: name.into(), kind: Kind::Key })
    }

    /// The original expression or key.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name in the `jmesPath` entry: `key` or `path`.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Key => "key",
            Kind::Path(_) => "path",
        }
    }

    /// The memory it uses.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.text.len()
            + match &self.kind {
                Kind::Key => 0,
                Kind::Path(path) => path.bytes(),
            }
    }

    /// Extracts the field: a string as is, anything else as JSON. Returns `None` if the
    /// field does not exist.
    ///
    /// # Errors
    /// If the expression does not fit the value, or `fuel` runs out.
    pub fn extract(
        &self,
        document: &Document<'_>,
        fuel: &mut Fuel<'_>,
    ) -> Result<Option<SecretValue>, SearchError> {
        let found = match &self.kind {
            Kind::Key => document.member(&self.text, fuel)?,
            Kind::Path(path) => path.search(document, fuel)?,
        };
        // Move the bytes, so that no copy needs to be wiped.
        Ok(found.map(|mut bytes| SecretValue::new(std::mem::take(&mut *bytes))))
    }
}

impl Expression {
    /// Advice about an expression that finds nothing. Reveals nothing about the document
    /// except whether it contains what the expression names.
    pub fn advice(&self, document: &Document<'_>, fuel: &mut Fuel<'_>) -> Option<String> {
        let text = shortened(&self.text, MAX_SHOWN_BYTES);
        match (&self.kind, document.advice(&self.text, fuel)) {
            (Kind::Path(_), Some(Advice::Key)) if text.contains('.') => Some(format!(
                "the value has a key with exactly this name: write key: {text} instead of path, or quote the name: '\"{text}\"'"
            )),
            (Kind::Path(_), Some(Advice::Path(path))) if path != *self.text => {
                Some(format!("the value has it in a different spelling: write path: '{path}'"))
            }
            (Kind::Key, Some(Advice::Path(path))) => {
                Some(format!("the value has it inside an object: write path: '{path}' instead of key"))
            }
            (_, Some(Advice::JsonText(path))) => Some(format!(
                "{path} is a string that contains JSON, and expressions cannot look into strings: store an object instead, or mount {path} as a whole"
            )),
            (Kind::Path(_), _) if compares_with_a_name(&self.text) => Some(
                "use single quotes for a string in an expression; double quotes mean the name of a key"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// Whether the expression compares something with a name in double quotes, which
/// was probably meant to be a string.
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

/// Whether `text` could be a key: names with dashes, dots or leading digits, and no
/// operator except the dot.
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
            "is not a JMESPath expression: expected a name or another value, found ], at the ^ in users[?n==^].s"
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
            (
                advice(path("a.b"), r#"{"a.b":1}"#),
                "write key: a.b instead of path, or quote the name: '\"a.b\"'",
            ),
            (advice(path("a.b.c"), r#"{"a":{"b.c":1}}"#), "write path: 'a.\"b.c\"'"),
            (advice(key("a.b"), r#"{"a":{"b":1}}"#), "write path: 'a.b' instead of key"),
            (advice(path("a.b"), r#"{"a":"{\"b\":1}"}"#), "a is a string that contains JSON"),
            (advice(path(r#"users[?n=="b"].s"#), "{}"), "use single quotes for a string in an expression"),
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
