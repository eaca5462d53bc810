//! Prints the graph, the findings, and the answers to questions.

mod html;
mod json;
mod mermaid;
mod questions;
mod table;

pub use self::{
    html::html,
    json::json,
    mermaid::mermaid,
    questions::{blast_json, blast_table, readers_json, readers_table},
    table::table,
};
use super::Graph;
use crate::findings::Finding;

/// What is printed.
#[derive(Debug)]
pub struct Report<'a> {
    pub graph: &'a Graph,
    pub findings: &'a [Finding],
}

/// The name of a role without its account: the end of its ARN.
fn role_name(arn: &str) -> &str {
    arn.split_once(":role/").map_or(arn, |(_, name)| name)
}
