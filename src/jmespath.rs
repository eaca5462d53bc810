//! JMESPath: extracts a part of a JSON value. Both the expression and the value are
//! untrusted, so parsing has limits, and evaluation costs `Fuel`. The language
//! follows the specification (jmespath.org) and passes its compliance suite. The
//! output is the same as that of AWS's own provider, which is written in Go.

mod advice;
mod brackets;
mod calls;
mod compare;
mod document;
mod draft;
mod evaluate;
mod fuel;
mod functions;
mod json;
mod lexer;
mod parser;
mod program;
mod syntax;
mod text;
mod value;
mod write;

use std::{fmt, sync::Arc};

use zeroize::Zeroizing;

pub(crate) use self::{
    advice::Advice,
    document::{Document, DocumentError},
    fuel::{Fuel, OutOfFuel},
    syntax::SyntaxError,
};
use self::{
    evaluate::Evaluation,
    program::Program,
    text::Text,
    value::{Value, View},
    write::Spelling,
};

/// Maximum size of an expression: the tables of a program use 16-bit indexes.
const MAX_TEXT: usize = 65_535;

/// A compiled JMESPath expression. Clones share their memory.
#[derive(Clone)]
pub(crate) struct Expression(Arc<Program>);

/// Why an evaluation failed. Names types and places, never values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// `argument` counts from 1. `found` is a JMESPath type: of the argument, or of
    /// something in it.
    #[error("argument {argument} of {function} must be {expected}; found {found}")]
    Type { function: &'static str, argument: usize, expected: &'static str, found: &'static str },
    /// The result of a function exceeds a 64-bit float.
    #[error("the result of {0} is too large for a number")]
    Number(&'static str),
    #[error("evaluating it {0}")]
    Fuel(OutOfFuel),
}

impl From<OutOfFuel> for SearchError {
    fn from(reason: OutOfFuel) -> Self {
        Self::Fuel(reason)
    }
}

impl Expression {
    /// Compiles an expression. Already checks the names of functions, the number of
    /// their arguments, and which of these are expression references.
    ///
    /// # Errors
    /// If `text` is not JMESPath, or is nested too deeply.
    pub(crate) fn parse(text: &str) -> Result<Self, SyntaxError> {
        if text.len() > MAX_TEXT {
            return Err(SyntaxError::new(format!("it is longer than {MAX_TEXT} bytes"), text, 0));
        }
        parser::parse(text).map(|program| Self(Arc::new(program)))
    }

    /// The memory it uses.
    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// Evaluates the expression, and returns the contents of a file: a string as is,
    /// anything else as JSON. Parts of the document keep their own text; computed values
    /// are written as Go writes them. Returns `None` for null, and for an empty list from
    /// a filter or a projection.
    ///
    /// # Errors
    /// If a function gets an argument of the wrong type, or `fuel` runs out.
    pub(crate) fn search(
        &self,
        document: &Document<'_>,
        fuel: &mut Fuel<'_>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, SearchError> {
        let program = &*self.0;
        let value = Evaluation { program, fuel }.run(program.main, &Value::Element(document.root()))?;
        Ok(written(&value, fuel)?)
    }
}

#[cfg(test)]
impl Expression {
    /// The result as JSON, even a string or null.
    fn search_json(&self, document: &Document<'_>, fuel: &mut Fuel<'_>) -> Result<String, SearchError> {
        let program = &*self.0;
        let value = Evaluation { program, fuel }.run(program.main, &Value::Element(document.root()))?;
        let mut text = Text::default();
        write::json(&value, Spelling::Own, &mut text, fuel)?;
        Ok(text.finish().to_string())
    }
}

impl Document<'_> {
    /// Returns the value of a literal key of the outermost object, in the same form as
    /// [`Expression::search`].
    pub(crate) fn member(
        &self,
        key: &str,
        fuel: &mut Fuel<'_>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, OutOfFuel> {
        match Value::Element(self.root()).view() {
            View::Object(object) => match object.get(key, fuel)? {
                Some(value) => written(&value, fuel),
                None => Ok(None),
            },
            _ => Ok(None),
        }
    }
}

/// A result in the form of a file's contents.
fn written(value: &Value<'_>, fuel: &mut Fuel<'_>) -> Result<Option<Zeroizing<Vec<u8>>>, OutOfFuel> {
    let mut text = Text::default();
    match (value, value.view()) {
        (Value::NoneLeft, _) | (_, View::Null) => return Ok(None),
        (_, View::String(content)) => text.push(content, fuel)?,
        _ => write::json(value, Spelling::Own, &mut text, fuel)?,
    }
    Ok(Some(Zeroizing::new(std::mem::take(&mut *text.finish()).into_bytes())))
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expression").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod attack_tests;
#[cfg(test)]
mod compliance_tests;
#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod reference_tests;
#[cfg(test)]
mod tests;
