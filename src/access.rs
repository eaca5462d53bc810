//! Who can read what: service account → role → secret.
//!
//! [`Graph::build`] joins what the classes ask for (`asks`) with what the roles allow
//! ([`Knowledge`], from AWS or from files that its command line prints). `judge` finds what is
//! shared, refused or granted too widely; `compromised` and `readers` answer one
//! question each. Where a policy leaves the answer open, the answer says on what it
//! depends.

mod asks;
mod graph;
mod judge;
mod knowledge;
mod print;
mod questions;
mod reach;
mod rules;
mod secret_id;
mod trust;
mod verdict;

pub use self::{
    graph::{Graph, Settings},
    judge::{Bounds, judge},
    knowledge::{Asking, Knowledge, KnowledgeError},
    print::{Report, blast_json, blast_table, html, json, mermaid, readers_json, readers_table, table},
    questions::{Blast, Question, Readers, compromised, readers},
    rules::RULES,
    secret_id::SecretId,
    verdict::Verdict,
};
