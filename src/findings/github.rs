//! Findings as GitHub's workflow commands, which become annotations:
//! <https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions>

use super::{Finding, Severity};

/// One command on a line of its own for each finding.
pub fn github(findings: &[Finding]) -> String {
    findings.iter().map(|finding| command(finding) + "\n").collect()
}

fn command(finding: &Finding) -> String {
    let command = match finding.rule.severity {
        Severity::Note => "notice",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let mut properties = Vec::new();
    if let Some(place) = &finding.place.file {
        properties.push(format!("file={}", property(place.file.strip_prefix("./").unwrap_or(&place.file))));
        if place.line > 0 {
            properties.push(format!("line={}", place.line));
        }
        if place.line > 0 && place.column > 0 {
            properties.push(format!("col={}", place.column));
        }
    }
    properties.push(format!("title={}", property(&format!("latchkey: {}", finding.rule.id))));
    let object = finding.place.object.as_ref().map_or_else(String::new, |object| format!("{object}: "));
    let fix = match finding.fix() {
        "" => String::new(),
        fix => format!("\nFix: {fix}"),
    };
    let message = message(&format!("{object}{}{fix}", finding.message));
    format!("::{command} {}::{message}", properties.join(","))
}

fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}
