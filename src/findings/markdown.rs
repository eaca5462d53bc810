//! Findings as a table in Markdown, for a comment or a job's summary.

use super::{Finding, summary};
use crate::table::escaped;

/// The findings, and how many there are.
pub fn markdown(findings: &[Finding]) -> String {
    let mut text = format!("**{}**\n", summary(findings));
    if !findings.is_empty() {
        text.push_str("\n| severity | place | finding | fix |\n|---|---|---|---|\n");
    }
    for finding in findings {
        let severity = finding.rule.severity.as_str();
        let place = cell(&finding.place.to_string());
        let (message, fix) = (cell(&finding.message), cell(finding.fix()));
        text.push_str(&format!("| {severity} | {place} | `{}`: {message} | {fix} |\n", finding.rule.id));
    }
    text
}

/// A text without a meaning in Markdown or HTML.
fn cell(text: &str) -> String {
    let mut cell = String::new();
    for character in escaped(text).chars() {
        match character {
            '<' => cell.push_str("&lt;"),
            '&' => cell.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '@' => {
                cell.push('\\');
                cell.push(character);
            }
            _ => cell.push(character),
        }
    }
    cell
}
