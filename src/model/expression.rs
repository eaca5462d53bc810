//! Taking one field out of a JSON secret: JMESPath expressions and literal keys.
//!
//! A plain path (names, quoted names, indexes) is walked over the secret's own
//! text, so that numbers keep their digits and objects their spelling. Anything
//! else is evaluated by the `jmespath` crate, whose numbers are 64-bit floats.
//! Both the expression and the JSON are hostile input.

use std::collections::HashMap;

use jmespath::{ErrorReason, Expression as JmesPath, ast::Ast};
use serde_json::value::RawValue;

use super::secret::SecretValue;

/// How much larger than the secret a computed result may become. Without a
/// bound, an expression of 1 KiB such as `[@,@]|[]|[@,@]|[]|…` fills any memory.
const MAX_GROWTH: f64 = 256.0;

/// Most operators and opening brackets of an expression. The `jmespath` crate
/// recurses once for each of them, in parsing, evaluating and dropping, and an
/// exhausted stack would end the process.
const MAX_OPERATORS: usize = 128;

/// Most steps of a plain path: each of them reads what is left of the text.
const MAX_STEPS: usize = 64;
/// Largest step of a slice; the `jmespath` crate overflows beyond 32 bits.
const MAX_SLICE_STEP: i32 = 1_000_000;

/// What to take out of a secret.
#[derive(Clone, Debug)]
pub struct Expression {
    text: String,
    literal: bool,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    Plain(Vec<Step>),
    Computed(JmesPath<'static>),
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Name(String),
    Index(i64),
}

/// Why an expression is refused before anything is fetched.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// Longer than the limit; longer ones could exhaust the parser's stack.
    #[error("has {bytes} bytes; {limit} are the most")]
    Long {
        /// Its length.
        bytes: usize,
        /// The most that is accepted.
        limit: usize,
    },
    /// So many operators that evaluating them could exhaust the stack.
    #[error(
        "has {0} operators and brackets, or steps; {MAX_OPERATORS}, and {MAX_STEPS} steps of a plain path, are the most"
    )]
    Deep(usize),
    /// Not JMESPath.
    #[error("is not a JMESPath expression: {0}")]
    Syntax(String),
    /// It can multiply its input.
    #[error("could make its result {MAX_GROWTH} times larger than the secret or more")]
    Growth,
}

/// Why nothing could be taken out of a secret. Never shows the secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtractError {
    /// The secret is binary, or not UTF-8.
    #[error("the value is not text, so it is not JSON")]
    NotText,
    /// The secret is not JSON.
    #[error("the value is not JSON (line {line}, column {column})")]
    NotJson {
        /// 1-based line in the value.
        line: usize,
        /// 1-based column in the value.
        column: usize,
    },
    /// A function of the expression got a type that it does not take.
    #[error("the expression {0:?} does not fit the value's types")]
    Evaluation(String),
}

impl Expression {
    /// Compiles a JMESPath expression of at most `limit` bytes.
    ///
    /// # Errors
    /// When it is too long, no JMESPath, or could blow up its input.
    pub fn jmes_path(text: &str, limit: usize) -> Result<Self, ExpressionError> {
        if text.len() > limit {
            return Err(ExpressionError::Long { bytes: text.len(), limit });
        }
        if let Some(steps) = plain_steps(text) {
            if steps.len() > MAX_STEPS {
                return Err(ExpressionError::Deep(steps.len()));
            }
            return Ok(Self { text: text.to_owned(), literal: false, way: Way::Plain(steps) });
        }
        let operators = text.chars().filter(|c| "([{!&.|<>=".contains(*c)).count();
        if operators > MAX_OPERATORS {
            return Err(ExpressionError::Deep(operators));
        }
        let compiled = jmespath::compile(text).map_err(|error| {
            let place = format!("{} at column {}", reason(&error.reason), error.column + 1);
            let bare = text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
            let hint = if bare {
                format!("; for a literal top-level key write key: {text} instead of path")
            } else {
                String::new()
            };
            ExpressionError::Syntax(place + &hint)
        })?;
        if growth(compiled.as_ast()) > MAX_GROWTH {
            return Err(ExpressionError::Growth);
        }
        Ok(Self { text: text.to_owned(), literal: false, way: Way::Computed(compiled) })
    }

    /// A literal top-level key of at most `limit` bytes, whatever characters it has.
    ///
    /// # Errors
    /// When it is too long.
    pub fn key(name: &str, limit: usize) -> Result<Self, ExpressionError> {
        if name.len() > limit {
            return Err(ExpressionError::Long { bytes: name.len(), limit });
        }
        Ok(Self { text: name.to_owned(), literal: true, way: Way::Plain(vec![Step::Name(name.to_owned())]) })
    }

    /// The expression or key as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The memory that it takes, about: a compiled expression has at most a node
    /// for each byte of its text.
    pub fn bytes(&self) -> usize {
        const NODE: usize = 128;
        self.text.len() * (1 + NODE)
    }

    /// The key of a `jmesPath` entry that it was written under.
    pub fn kind(&self) -> &'static str {
        match self.way {
            Way::Plain(_) if self.literal => "key",
            Way::Plain(_) | Way::Computed(_) => "path",
        }
    }

    /// Takes the field out: a string verbatim, everything else as JSON; `None`
    /// when it is missing or null.
    ///
    /// # Errors
    /// When the value is no JSON or the expression does not fit it.
    pub fn extract(&self, value: &[u8]) -> Result<Option<SecretValue>, ExtractError> {
        let json = std::str::from_utf8(value).map_err(|_| ExtractError::NotText)?;
        match &self.way {
            Way::Plain(steps) => walk(json, steps),
            Way::Computed(expression) => self.compute(expression, json),
        }
    }

    fn compute(
        &self,
        expression: &JmesPath<'static>,
        json: &str,
    ) -> Result<Option<SecretValue>, ExtractError> {
        let data: jmespath::Variable = serde_json::from_str(json).map_err(not_json)?;
        // The reason is left out: it could quote a part of the value.
        let unfit = || ExtractError::Evaluation(self.text.clone());
        let found = expression.search(data).map_err(|_| unfit())?;
        if found.is_null() {
            return Ok(None);
        }
        if let Some(text) = found.as_string() {
            return Ok(Some(SecretValue::from(text.clone())));
        }
        serde_json::to_vec(&found).map(|json| Some(SecretValue::new(json))).map_err(|_| unfit())
    }
}

/// The steps of a path that has only names, quoted names and indexes.
fn plain_steps(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = text;
    let mut name_expected = !rest.starts_with('[');
    while name_expected || !rest.is_empty() {
        if name_expected {
            let end = name_end(rest)?;
            let (written, after) = rest.split_at(end);
            let name = if written.starts_with('"') {
                serde_json::from_str(written).ok()?
            } else {
                written.to_owned()
            };
            steps.push(Step::Name(name));
            (rest, name_expected) = (after, false);
        } else if let Some(after) = rest.strip_prefix('.') {
            (rest, name_expected) = (after, true);
        } else {
            let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
            let digits = index.strip_prefix('-').unwrap_or(index);
            if digits.is_empty() || digits.len() > 9 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            steps.push(Step::Index(index.parse().ok()?));
            rest = after;
        }
    }
    Some(steps)
}

/// Where the name at the start of `text` ends; `None` when there is no plain name.
fn name_end(text: &str) -> Option<usize> {
    if text.starts_with('"') {
        let mut escaped = false;
        return text.char_indices().skip(1).find_map(|(at, c)| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends.then_some(at + 1)
        });
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts_well.then_some(end)
}

/// Follows `steps` over the text itself.
fn walk(json: &str, steps: &[Step]) -> Result<Option<SecretValue>, ExtractError> {
    let mut at: &RawValue = serde_json::from_str(json).map_err(not_json)?;
    for step in steps {
        let next = match step {
            // The last of equal keys wins, as in Go.
            Step::Name(name) if at.get().starts_with('{') => {
                let mut fields: HashMap<std::borrow::Cow<'_, str>, &RawValue> =
                    serde_json::from_str(at.get()).map_err(not_json)?;
                fields.remove(name.as_str())
            }
            Step::Index(index) if at.get().starts_with('[') => {
                let items: Vec<&RawValue> = serde_json::from_str(at.get()).map_err(not_json)?;
                let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
                let index = if *index < 0 { index + length } else { *index };
                usize::try_from(index).ok().and_then(|index| items.get(index).copied())
            }
            Step::Name(_) | Step::Index(_) => None,
        };
        let Some(next) = next else { return Ok(None) };
        at = next;
    }
    match at.get() {
        "null" => Ok(None),
        text if text.starts_with('"') => {
            serde_json::from_str::<String>(text).map(|text| Some(SecretValue::from(text))).map_err(not_json)
        }
        text => Ok(Some(SecretValue::from(text.to_owned()))),
    }
}

/// serde_json's own message may quote the text; its place may not.
fn not_json(error: serde_json::Error) -> ExtractError {
    ExtractError::NotJson { line: error.line(), column: error.column() }
}

fn reason(reason: &ErrorReason) -> String {
    match reason {
        ErrorReason::Parse(text) => text.clone(),
        ErrorReason::Runtime(error) => error.to_string(),
    }
}

/// An upper bound of the size of everything that is made on the way to a
/// result, over the input's size; infinite where there is none.
fn growth(ast: &Ast) -> f64 {
    let at_least_one = |size: f64| size.max(1.0);
    match ast {
        Ast::Identity { .. } | Ast::Field { .. } | Ast::Index { .. } => 1.0,
        Ast::Slice { step, .. } if step.unsigned_abs() > MAX_SLICE_STEP.unsigned_abs() => f64::INFINITY,
        Ast::Slice { .. } => 1.0,
        // Its result is small, but both sides are made in full.
        Ast::Comparison { lhs, rhs, .. } => at_least_one(growth(lhs) + growth(rhs)),
        Ast::Not { node, .. } => at_least_one(growth(node)),
        // A literal's size does not depend on the input, which may be one byte.
        Ast::Literal { value, .. } => at_least_one(value.to_string().len() as f64),
        Ast::Expref { ast, .. } | Ast::Flatten { node: ast, .. } | Ast::ObjectValues { node: ast, .. } => {
            growth(ast)
        }
        Ast::MultiList { elements, .. } => elements.iter().map(growth).sum(),
        Ast::MultiHash { elements, .. } => {
            elements.iter().map(|pair| growth(&pair.value) + pair.key.len() as f64).sum()
        }
        Ast::Condition { predicate, then, .. } => growth(predicate) + growth(then),
        Ast::And { lhs, rhs, .. } | Ast::Or { lhs, rhs, .. } => growth(lhs) + growth(rhs),
        Ast::Projection { lhs, rhs, .. } | Ast::Subexpr { lhs, rhs, .. } => growth(lhs) * growth(rhs),
        Ast::Function { name, args, .. } => at_least_one(function_growth(name, args)),
    }
}

fn function_growth(name: &str, args: &[Ast]) -> f64 {
    let sizes = args.iter().map(growth);
    match (name, args) {
        // A literal glue stands between all elements; one that comes from the
        // secret makes the result as large as the secret's square.
        ("join", [Ast::Literal { .. }, array]) => growth(&args[0]) * growth(array) + growth(array),
        ("join", _) => f64::INFINITY,
        // The mapped expression meets every element.
        ("map", _) => sizes.product(),
        // A control character becomes six characters, `\u0001`.
        ("to_string", _) => 6.0 * sizes.sum::<f64>(),
        _ => sizes.sum::<f64>(),
    }
}

#[cfg(test)]
#[path = "expression_tests.rs"]
mod tests;
