//! The sections of the book's page of findings.

use std::fmt::Write;

use latchkey::explain::rules;

/// A section for each finding, by command.
pub(crate) fn sections() -> String {
    let mut text = String::new();
    for (command, rules) in rules() {
        let _ = writeln!(text, "\n## latchkey {command}");
        for rule in rules {
            let severity = rule.severity.as_str();
            let _ = writeln!(
                text,
                "\n### {}\n\n**{}{}.** {}.\n\n{}.",
                rule.id,
                severity[..1].to_uppercase(),
                &severity[1..],
                rule.title.trim_end_matches('.'),
                rule.fix.trim_end_matches('.')
            );
        }
    }
    text.trim_start().to_owned()
}

#[test]
fn ids_are_unique_and_in_kebab_case() {
    let mut known = std::collections::BTreeSet::new();
    for rule in rules().into_iter().flat_map(|(_, rules)| rules) {
        let kebab = rule.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        assert!(kebab && known.insert(rule.id), "{}", rule.id);
        assert!(!rule.title.is_empty() && !rule.fix.is_empty(), "{}", rule.id);
    }
}
