//! Entries for a terminal.

use std::fmt::Write;

use super::{Entry, Kind};

/// Columns of a line.
const COLUMNS: usize = 100;
const INDENT: &str = "  ";

/// The entries in full.
pub fn text(entries: &[Entry]) -> String {
    let texts: Vec<String> = entries.iter().map(one).collect();
    texts.join("\n")
}

fn one(entry: &Entry) -> String {
    let mut text = format!("{} ({})\n", entry.name(), entry.title());
    let _ = writeln!(text, "{}", wrapped(&entry.meaning, INDENT, INDENT));
    let widest = entry.facts.iter().map(|(title, _)| title.chars().count()).max().unwrap_or(0);
    if widest > 0 {
        text.push('\n');
    }
    let below = " ".repeat(INDENT.len() + widest + INDENT.len());
    for (title, fact) in &entry.facts {
        let first = format!("{INDENT}{title:<widest$}{INDENT}");
        let _ = writeln!(text, "{}", wrapped(fact, &first, &below));
    }
    let _ = writeln!(text, "\n{INDENT}See docs/src/{}", entry.page);
    text
}

/// The names of every kind.
pub fn overview(entries: &[Entry]) -> String {
    let mut text = "latchkey explain NAME explains one of these.\n".to_owned();
    for kind in Kind::ALL {
        let mut names: Vec<&str> = Vec::new();
        for entry in entries.iter().filter(|entry| entry.kind == kind) {
            let name = entry.name();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if !names.is_empty() {
            let _ = writeln!(text, "\n{}:\n{}", heading(kind), wrapped(&names.join(", "), INDENT, INDENT));
        }
    }
    text
}

fn heading(kind: Kind) -> &'static str {
    match kind {
        Kind::Parameter => "Parameters of a SecretProviderClass",
        Kind::ObjectKey => "Keys of its objects",
        Kind::Flag => "Flags of latchkey serve",
        Kind::Option => "Options of the other commands",
        Kind::Variable => "Environment variables",
        Kind::ChartValue => "Values of the chart",
        Kind::Reason => "Reasons of failures",
        Kind::Code => "gRPC codes of failed mounts",
        Kind::Event => "Events on pods",
        Kind::Finding => "Findings",
        Kind::Metric => "Metrics",
        Kind::Alert => "Alerts",
        Kind::AuditField => "Fields of the audit log",
    }
}

/// The text in lines of at most 100 columns.
fn wrapped(text: &str, first: &str, below: &str) -> String {
    let mut lines = vec![first.to_owned()];
    let mut width = first.chars().count();
    let mut is_start = true;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if !is_start && width + 1 + length > COLUMNS {
            lines.push(below.to_owned());
            width = below.chars().count();
            is_start = true;
        }
        let Some(line) = lines.last_mut() else { break };
        if !is_start {
            line.push(' ');
            width += 1;
        }
        line.push_str(word);
        width += length;
        is_start = false;
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::{entries, find};
    use super::*;

    #[test]
    fn an_entry_is_a_name_a_meaning_facts_and_a_page() {
        let printed = text(&find(&entries(), "preferredAddressType").unwrap());
        assert_eq!(
            printed,
            "\
preferredAddressType (parameter of a SecretProviderClass)
  The address of the Pod Identity agent: ipv4, ipv6, or auto. auto tries both: IPv6 300 ms later, or
  as soon as IPv4 fails

  Default  auto
  Example  ipv6

  See docs/src/secretproviderclass.md#parameters
"
        );
    }

    #[test]
    fn everything_fits_a_hundred_columns() {
        let entries = entries();
        for line in overview(&entries).lines().chain(text(&entries).lines()) {
            let width = line.chars().count();
            assert!(width <= COLUMNS || !line.trim().contains(' '), "{width}: {line}");
        }
    }
}
