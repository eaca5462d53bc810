//! The report for a terminal: the summary first, then who reads what, then the findings.

use std::{collections::BTreeSet, fmt::Write};

use super::{Report, role_name};
use crate::{
    access::{
        asks::account_of,
        graph::{Graph, Route},
        verdict::{Verdict, count},
    },
    findings,
    table::{Table, escaped},
};

/// Columns that may become narrower.
const MAY_SHRINK: [usize; 2] = [0, 1];

/// The whole report. `columns` and `colours` are for a terminal.
pub fn table(report: &Report<'_>, columns: Option<usize>, colours: bool) -> String {
    let graph = report.graph;
    let mut text = summary(report);
    if !graph.routes.is_empty() {
        let mut table =
            Table::new(["SERVICE ACCOUNT", "ROLE", "ACCOUNT", "CLASSES", "ASKS FOR", "CAN ALSO READ"]);
        let mut routes: Vec<(usize, &Route)> = graph.routes.iter().enumerate().collect();
        routes.sort_by_key(|(_, route)| graph.accounts[route.account].full_name());
        for (index, route) in routes {
            table.row(row(graph, index, route));
        }
        let _ = write!(text, "\n{}", table.print(columns, &MAY_SHRINK));
    }
    if !report.findings.is_empty() {
        let _ = write!(text, "\n{}", findings::table(report.findings, colours));
    }
    let _ = writeln!(text, "\n{}", findings::summary(report.findings));
    text
}

fn summary(report: &Report<'_>) -> String {
    let graph = report.graph;
    let asked: BTreeSet<usize> = graph.asks.iter().map(|ask| ask.secret).collect();
    let known = graph.roles.iter().filter(|role| role.known).count();
    let mut text = format!(
        "{} with {} ask for {} in {}.\n",
        count(graph.accounts.len(), "service account"),
        count(graph.roles.len(), "role"),
        count(asked.len(), "secret"),
        match graph.classes.len() {
            1 => "1 class".to_owned(),
            number => count(number, "classe"),
        },
    );
    let invalid = graph.classes.iter().filter(|class| class.invalid).count();
    if invalid > 0 {
        let _ = writeln!(
            text,
            "{invalid} of the classes cannot be mounted and are left out; latchkey check says why."
        );
    }
    if graph.roles.is_empty() || known == 0 {
        text.push_str("What the roles allow is not known; add it with --iam.\n");
    } else if known < graph.roles.len() {
        let _ = writeln!(text, "What {known} of the roles allow is known.");
    }
    if !graph.assumptions.is_empty() {
        text.push_str("Taken for granted:\n");
        for assumption in &graph.assumptions {
            let _ = writeln!(text, "  {}", escaped(assumption));
        }
    }
    text
}

fn row(graph: &Graph, index: usize, route: &Route) -> [String; 6] {
    let role = graph.reader(route);
    let asks = || graph.asks.iter().filter(move |ask| ask.route == index);
    let classes: BTreeSet<usize> = asks().map(|ask| ask.class).collect();
    let secrets: BTreeSet<usize> = asks().map(|ask| ask.secret).collect();
    let denied = asks().filter(|ask| matches!(ask.read, Verdict::Denied(_))).count();
    let asked = match denied {
        0 => secrets.len().to_string(),
        denied => format!("{} ({denied} denied)", secrets.len()),
    };
    let reach = &graph.reach[index];
    let also = match (role.is_some_and(|role| role.known), reach.depends.len()) {
        (false, _) => "unknown".to_owned(),
        (true, 0) => reach.allowed.len().to_string(),
        (true, depends) => format!("{} ({depends} more depend)", reach.allowed.len()),
    };
    [
        graph.accounts[route.account].full_name(),
        role.map_or_else(|| "not known".to_owned(), |role| role_name(&role.arn).to_owned()),
        role.map_or_else(String::new, |role| account_of(&role.arn).to_owned()),
        classes.len().to_string(),
        asked,
        also,
    ]
}
