//! Findings as one JSON document.

use serde::Serialize;

use super::{FilePlace, Finding, ObjectName};

/// The version of the document's form. It grows when a field changes or goes.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    findings: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    id: &'static str,
    severity: &'static str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    file: Option<File<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<Object<'a>>,
    message: &'a str,
    fix: &'a str,
    page: String,
}

#[derive(Serialize)]
struct File<'a> {
    file: &'a str,
    line: u32,
    column: u32,
}

#[derive(Serialize)]
struct Object<'a> {
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
}

/// The findings as JSON, indented.
pub fn json(findings: &[Finding]) -> String {
    let entries = findings.iter().map(|finding| Entry {
        id: finding.rule.id,
        severity: finding.rule.severity.as_str(),
        file: finding.place.file.as_ref().map(|FilePlace { file, line, column }| File {
            file,
            line: *line,
            column: *column,
        }),
        object: finding.place.object.as_ref().map(|ObjectName { kind, namespace, name }| Object {
            kind,
            namespace,
            name,
        }),
        message: &finding.message,
        fix: finding.fix(),
        page: finding.rule.page(),
    });
    let document = Document { version: VERSION, findings: entries.collect() };
    // Texts and numbers can always be written.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}
