//! The forms in which findings are printed.

use super::{Finding, github, json, markdown, sarif, summary, table};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For a terminal.
    Table,
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Workflow commands, which GitHub shows as annotations.
    Github,
    Markdown,
}

/// The findings in a form. `colours` are for a terminal.
pub fn print(findings: &[Finding], form: Form, colours: bool) -> String {
    match form {
        Form::Table => table(findings, colours) + &summary(findings) + "\n",
        Form::Json => json(findings),
        Form::Sarif => sarif(findings),
        Form::Github => github(findings),
        Form::Markdown => markdown(findings),
    }
}
