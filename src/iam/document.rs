//! A policy document.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>

use super::{json::Json, statement::Statement};
use crate::model::message::quoted;

/// The version of the policy language that has variables.
const WITH_VARIABLES: &str = "2012-10-17";
const VERSIONS: [&str; 2] = [WITH_VARIABLES, "2008-10-17"];
const KEYS: [&str; 3] = ["Version", "Id", "Statement"];

/// A policy, as it was read.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How to name it in a sentence; empty if it has no name.
    pub name: String,
    statements: Vec<Statement>,
}

/// A text that is not a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct PolicyError {
    /// Such as `Statement[2].Condition.StringEquals`, or `line 3, column 5`.
    pub place: String,
    pub problem: String,
}

impl PolicyError {
    pub(super) fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }

    pub(super) fn incomplete_variable(place: &str, text: &str) -> Self {
        let problem = format!("{} contains a ${{ that does not begin a complete variable", quoted(text));
        Self::new(place, problem)
    }
}

impl Policy {
    /// Reads one policy document.
    ///
    /// # Errors
    /// The place of the first problem.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        Self::of_json(String::new(), &Json::parse(text)?)
    }

    pub(super) fn of_json(name: String, document: &Json) -> Result<Self, PolicyError> {
        let Json::Map(entries) = document else {
            return Err(PolicyError::new("the document", "is not a policy: it must be an object"));
        };
        if let Some((key, _)) = entries.iter().find(|(key, _)| !KEYS.contains(&key.as_str())) {
            let problem = format!("{} is not an element of a policy", quoted(key));
            return Err(PolicyError::new("the document", problem));
        }
        let version = match document.get("Version").map(|version| version.text()) {
            None => VERSIONS[1],
            Some(Some(version)) if VERSIONS.contains(&version) => version,
            Some(_) => {
                return Err(PolicyError::new(
                    "Version",
                    format!("must be {:?} or {:?}", VERSIONS[0], VERSIONS[1]),
                ));
            }
        };
        let variables = version == WITH_VARIABLES;
        let statements = match document.get("Statement") {
            None => return Err(PolicyError::new("the document", "has no Statement")),
            Some(Json::List(statements)) => statements.as_slice(),
            Some(statement) => std::slice::from_ref(statement),
        };
        let statements = statements
            .iter()
            .enumerate()
            .map(|(index, statement)| Statement::parse(statement, &format!("Statement[{index}]"), variables))
            .collect::<Result<_, _>>()?;
        Ok(Self { name, statements })
    }

    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// Whether a statement names a principal: a trust policy, or the policy of a secret or
    /// key.
    pub fn names_principals(&self) -> bool {
        self.statements.iter().any(|statement| statement.principals.is_some())
    }

    /// Whether a statement names resources, as those of a trust policy do not.
    pub fn names_resources(&self) -> bool {
        self.statements.iter().any(Statement::has_resources)
    }
}
