//! The book's table of reasons is complete, and names the codes that they become.

use latchkey::{model::reason::Reason, server::grpc::code_of};

use crate::read;

#[test]
fn the_table_of_reasons_is_that_of_the_program() {
    let page = read("docs/src/errors.md");
    let (_, table) =
        page.split_once("| Reason | Code | Means |\n|---|---|---|\n").expect("the table of reasons");
    let rows: Vec<String> = table
        .lines()
        .take_while(|line| line.starts_with('|'))
        .map(|row| row.split('|').skip(1).take(2).map(str::trim).collect::<Vec<_>>().join(" "))
        .collect();
    let reasons = Reason::ALL.map(|reason| format!("`{}` `{:?}`", reason.as_str(), code_of(reason)));
    assert_eq!(rows, reasons);
}
