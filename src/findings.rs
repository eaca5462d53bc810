//! What a command found in manifests or in a cluster: each with an id, a place, a
//! sentence, and what to do.

mod form;
mod github;
mod json;
mod markdown;
mod sarif;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;

pub use self::{
    form::{Form, print},
    github::github,
    json::json,
    markdown::markdown,
    sarif::sarif,
    table::{summary, table},
};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know. Not a reason to fail a pipeline.
    Note,
    /// Works, and hurts sooner or later.
    Warning,
    /// Does not work, or is unsafe.
    Error,
}

/// A kind of finding.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Stable, in kebab-case.
    pub id: &'static str,
    pub severity: Severity,
    /// What it means, in one sentence.
    pub title: &'static str,
    /// What to do.
    pub fix: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub rule: &'static Rule,
    pub place: Place,
    /// What is wrong here.
    pub message: String,
    /// What to do here; empty for the rule's own advice.
    pub fix: String,
}

/// Where a finding is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub file: Option<FilePlace>,
    pub object: Option<ObjectName>,
}

/// A place in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePlace {
    pub file: String,
    /// 1-based.
    pub line: u32,
    /// 1-based, in characters.
    pub column: u32,
}

/// A Kubernetes object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    pub kind: String,
    /// Empty if it has none, or if the manifest does not name it.
    pub namespace: String,
    pub name: String,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Rule {
    /// The rule's section in the documentation, relative to `docs/src`.
    pub fn page(&self) -> String {
        format!("findings.md#{}", self.id)
    }
}

impl Finding {
    pub fn new(rule: &'static Rule, place: Place, message: String) -> Self {
        Self { rule, place, message, fix: String::new() }
    }

    /// With advice for this place, instead of the rule's.
    pub fn with_fix(self, fix: String) -> Self {
        Self { fix, ..self }
    }

    pub fn fix(&self) -> &str {
        if self.fix.is_empty() { self.rule.fix } else { &self.fix }
    }
}

impl fmt::Display for FilePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (0, _) => f.write_str(&self.file),
            (line, 0) => write!(f, "{}:{line}", self.file),
            (line, column) => write!(f, "{}:{line}:{column}", self.file),
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, &self.object) {
            (Some(file), Some(object)) => write!(f, "{file} ({object})"),
            (Some(file), None) => file.fmt(f),
            (None, Some(object)) => object.fmt(f),
            (None, None) => Ok(()),
        }
    }
}

/// In order of their places. Of equal findings, only one is kept.
pub fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    let key = |finding: &Finding| (finding.place.clone(), finding.rule.id, finding.message.clone());
    findings.sort_by_cached_key(key);
    findings.dedup();
    findings
}

/// Whether a pipeline should fail.
pub fn fail(findings: &[Finding]) -> bool {
    fail_at(findings, Severity::Warning)
}

/// Whether a pipeline should fail that accepts less than a severity.
pub fn fail_at(findings: &[Finding], severity: Severity) -> bool {
    findings.iter().any(|finding| finding.rule.severity >= severity)
}
