//! The graph as a Mermaid flowchart, for a page of a wiki or a pull request.

use std::{collections::BTreeSet, fmt::Write};

use super::{Report, role_name};
use crate::access::verdict::Verdict;

/// The flowchart. Dashed: allowed, but not asked for. Crossed: asked for, but denied.
pub fn mermaid(report: &Report<'_>) -> String {
    let graph = report.graph;
    let mut text = "flowchart LR\n".to_owned();
    let (mut roles, mut secrets) = (BTreeSet::new(), BTreeSet::new());
    let (mut accounts, mut edges) = (BTreeSet::new(), BTreeSet::new());
    for (index, route) in graph.routes.iter().enumerate() {
        accounts.insert(route.account);
        let mut before = format!("a{}", route.account);
        for role in &route.roles {
            roles.insert(*role);
            edges.insert(format!("  {before} --> r{role}\n"));
            before = format!("r{role}");
        }
        for ask in graph.asks.iter().filter(|ask| ask.route == index) {
            secrets.insert(ask.secret);
            let arrow = if matches!(ask.read, Verdict::Denied(_)) { "--x" } else { "-->" };
            edges.insert(format!("  {before} {arrow} s{}\n", ask.secret));
        }
        for secret in &graph.reach[index].allowed {
            secrets.insert(*secret);
            edges.insert(format!("  {before} -.-> s{secret}\n"));
        }
    }
    for account in accounts {
        let _ = writeln!(text, "  a{account}([{}])", label(&graph.accounts[account].full_name()));
    }
    for role in roles {
        let _ = writeln!(text, "  r{role}[{}]", label(role_name(&graph.roles[role].arn)));
    }
    for secret in secrets {
        let _ = writeln!(text, "  s{secret}[({})]", label(&graph.secrets[secret].id.name));
    }
    edges.iter().for_each(|edge| text.push_str(edge));
    text
}

/// A name in quotes. Mermaid knows no other escapes than HTML's numbers after a #.
fn label(name: &str) -> String {
    let mut quoted = String::from('"');
    for c in name.chars() {
        if c.is_alphanumeric() || "/-_.:+=@ ".contains(c) {
            quoted.push(c);
        } else {
            let _ = write!(quoted, "#{};", u32::from(c));
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(label("shop/db-1"), "\"shop/db-1\"");
        assert_eq!(label("a\"]\n<b>"), "\"a#34;#93;#10;#60;b#62;\"");
    }
}
