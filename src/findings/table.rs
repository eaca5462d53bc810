//! Findings for a terminal: the place, then what is wrong and what to do.

use std::fmt::Write;

use super::{Finding, Severity};
use crate::table::escaped;

/// The findings as text. `colours` are for a terminal.
pub fn table(findings: &[Finding], colours: bool) -> String {
    let mut text = String::new();
    for finding in findings {
        let severity = finding.rule.severity;
        let (begin, end) = if colours { (colour(severity), "\u{1b}[0m") } else { ("", "") };
        let place = escaped(&finding.place.to_string());
        let _ = write!(
            text,
            "{place}\n  {begin}{}{end} [{}] {}\n",
            severity.as_str(),
            finding.rule.id,
            escaped(&finding.message)
        );
        let fix = finding.fix();
        if !fix.is_empty() {
            let _ = writeln!(text, "  fix: {}", escaped(fix));
        }
    }
    text
}

/// How many there are of each severity, such as `2 errors, 1 warning`.
pub fn summary(findings: &[Finding]) -> String {
    let counts = [Severity::Error, Severity::Warning, Severity::Note].map(|severity| {
        let count = findings.iter().filter(|finding| finding.rule.severity == severity).count();
        let plural = if count == 1 { "" } else { "s" };
        (count, format!("{count} {}{plural}", severity.as_str()))
    });
    let told: Vec<String> =
        counts.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text).collect();
    if told.is_empty() { "nothing found".to_owned() } else { told.join(", ") }
}

fn colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "\u{1b}[31m",
        Severity::Warning => "\u{1b}[33m",
        Severity::Note => "\u{1b}[36m",
    }
}
