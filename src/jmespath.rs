//! JMESPath: takes a part out of a JSON value. Both the expression and the
//! value are hostile input, so parsing them is bounded, and evaluating costs
//! [`Fuel`]. The language is that of the specification (jmespath.org), held to
//! it by its compliance suite; results are written as AWS's own provider writes
//! them, a program in Go.

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

pub use self::{
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

/// Longest text of an expression, in bytes: the program's tables count in 16 bits.
const MAX_TEXT: usize = 65_535;

/// A compiled JMESPath expression. Clones share it.
#[derive(Clone)]
pub struct Expression(Arc<Program>);

/// Why an expression gives no result. Names types and places, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// A function got something that it does not take.
    #[error("{function} takes {expected} as argument {argument}, and gets: {found}")]
    Type {
        /// The function.
        function: &'static str,
        /// Which of its arguments, counted from 1.
        argument: usize,
        /// What it takes.
        expected: &'static str,
        /// The JMESPath type of what is there.
        found: &'static str,
    },
    /// A function's result is beyond a 64-bit float.
    #[error("the result of {0} is too large for a number")]
    Number(&'static str),
    /// Too expensive, or stopped.
    #[error("evaluating it {0}")]
    Fuel(OutOfFuel),
}

impl From<OutOfFuel> for SearchError {
    fn from(reason: OutOfFuel) -> Self {
        Self::Fuel(reason)
    }
}

impl Expression {
    /// Compiles an expression. Functions, the number of their arguments and
    /// which of them are expression references are checked here already.
    ///
    /// # Errors
    /// When it is no JMESPath, or nested too deep.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        if text.len() > MAX_TEXT {
            return Err(SyntaxError::new(format!("it is longer than {MAX_TEXT} bytes"), text, 0));
        }
        parser::parse(text).map(|program| Self(Arc::new(program)))
    }

    /// Bytes of memory that it holds.
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// What the expression finds in `document`, as a file holds it: a string
    /// verbatim, everything else as JSON. What comes from the document as it is
    /// keeps its own text; what is computed is written as Go writes it. `None`
    /// for null, and for the empty list that a filter or a projection leaves.
    ///
    /// # Errors
    /// When a function gets what it does not take, or `fuel` ends.
    pub fn search(
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
    /// The result as JSON, a string and null too.
    fn search_json(&self, document: &Document<'_>, fuel: &mut Fuel<'_>) -> Result<String, SearchError> {
        let program = &*self.0;
        let value = Evaluation { program, fuel }.run(program.main, &Value::Element(document.root()))?;
        let mut text = Text::default();
        write::json(&value, Spelling::Own, &mut text, fuel)?;
        Ok(text.finish().to_string())
    }
}

impl Document<'_> {
    /// The value of a literal key of the outermost object, as
    /// [`Expression::search`] gives results.
    ///
    /// # Errors
    /// When `fuel` ends.
    pub fn member(&self, key: &str, fuel: &mut Fuel<'_>) -> Result<Option<Zeroizing<Vec<u8>>>, OutOfFuel> {
        match Value::Element(self.root()).view() {
            View::Object(object) => match object.get(key, fuel)? {
                Some(value) => written(&value, fuel),
                None => Ok(None),
            },
            _ => Ok(None),
        }
    }
}

/// A result as a file holds it.
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
