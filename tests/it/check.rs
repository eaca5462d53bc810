//! `latchkey check` on classes of the shapes that people write.

#![cfg(feature = "tools")]

mod corpus;
mod hostile;
mod same_words;

use std::path::Path;

use latchkey::{
    check::{Settings, check},
    findings::Finding,
    manifests::{self, Folders, Found},
    model::rules::Rules,
};

fn settings() -> Settings {
    Settings { rules: Rules::default(), namespace: String::new(), complete: false }
}

fn check_text(text: &str) -> Vec<Finding> {
    let mut found = Found::default();
    found.read("a.yaml", text);
    check(&found, &settings())
}

fn check_path(path: &Path) -> Vec<Finding> {
    check(&manifests::read([path], Folders::Recursive).unwrap(), &settings())
}

/// One line for each finding: place, severity, rule.
fn told(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let place = finding.place.file.clone().unwrap_or_default();
        let (severity, id) = (finding.rule.severity.as_str(), finding.rule.id);
        format!("{}:{} {severity} {id}\n", place.line, place.column)
    };
    findings.iter().map(line).collect()
}
