//! Findings as SARIF 2.1.0, which GitHub and others show as code scanning alerts:
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>

use serde_json::{Value, json};

use super::{FilePlace, Finding, ObjectName, Rule, Severity};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The findings as one SARIF log, indented.
pub fn sarif(findings: &[Finding]) -> String {
    let mut rules: Vec<&'static Rule> = findings.iter().map(|finding| finding.rule).collect();
    rules.sort_by_key(|rule| rule.id);
    rules.dedup();
    let results: Vec<Value> = findings.iter().map(|finding| result(finding, &rules)).collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "latchkey",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().copied().map(descriptor).collect::<Vec<Value>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    // Texts and numbers can always be written.
    serde_json::to_string_pretty(&log).unwrap_or_default() + "\n"
}

fn descriptor(rule: &Rule) -> Value {
    json!({
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "help": {"text": format!("{} ({})", rule.fix, rule.page())},
        "defaultConfiguration": {"level": level(rule.severity)},
    })
}

fn result(finding: &Finding, rules: &[&Rule]) -> Value {
    let text = match finding.fix() {
        "" => finding.message.clone(),
        fix => format!("{}. Fix: {fix}", finding.message.trim_end_matches('.')),
    };
    let mut result = json!({
        "ruleId": finding.rule.id,
        "level": level(finding.rule.severity),
        "message": {"text": text},
    });
    if let Ok(index) = rules.binary_search_by_key(&finding.rule.id, |rule| rule.id) {
        result["ruleIndex"] = index.into();
    }
    let mut location = json!({});
    if let Some(file) = &finding.place.file {
        location["physicalLocation"] = physical(file);
    }
    if let Some(ObjectName { kind, namespace, name }) = &finding.place.object {
        let full = format!("{kind} {namespace}/{name}");
        location["logicalLocations"] = json!([{"fullyQualifiedName": full, "kind": "resource"}]);
    }
    if location != json!({}) {
        result["locations"] = json!([location]);
    }
    result
}

fn physical(place: &FilePlace) -> Value {
    let mut physical = json!({"artifactLocation": {"uri": uri(&place.file)}});
    if place.line > 0 {
        let mut region = json!({"startLine": place.line});
        if place.column > 0 {
            region["startColumn"] = place.column.into();
        }
        physical["region"] = region;
    }
    physical
}

fn level(severity: Severity) -> &'static str {
    severity.as_str()
}

/// The path as a reference relative to where the command runs, or as a file's URL.
fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_relative_reference_or_a_files_url() {
        assert_eq!(uri("./a b/ä:%.yaml"), "a%20b/%C3%A4%3A%25.yaml");
        assert_eq!(uri("/x.yaml"), "file:///x.yaml");
        assert_eq!(uri("../x.yaml"), "../x.yaml");
    }
}
