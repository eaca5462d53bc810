//! The findings of every command.

use super::entry::{Entry, Kind};
use crate::{access, check, cost, doctor, findings::Rule, policy, uptake};

/// Each command's findings.
pub fn rules() -> Vec<(&'static str, &'static [Rule])> {
    vec![
        ("access", access::RULES),
        ("check", check::RULES),
        ("cost", cost::RULES),
        ("doctor", doctor::RULES),
        ("policy", policy::RULES),
        ("rotation", uptake::RULES),
    ]
}

pub(super) fn entries() -> impl Iterator<Item = Entry> {
    rules().into_iter().flat_map(|(command, rules)| rules.iter().map(move |rule| entry(command, rule)))
}

fn entry(command: &str, rule: &Rule) -> Entry {
    Entry {
        kind: Kind::Finding,
        names: vec![rule.id.to_owned()],
        command: Some(command.to_owned()),
        meaning: rule.title.to_owned(),
        facts: vec![
            ("Severity".to_owned(), rule.severity.as_str().to_owned()),
            ("What to do".to_owned(), rule.fix.to_owned()),
        ],
        page: rule.page(),
    }
}
