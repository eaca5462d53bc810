//! Entries as one JSON document.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Entry;

/// The version of the document's form. It grows when a field changes or goes.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    entries: Vec<Explained<'a>>,
}

#[derive(Serialize)]
struct Explained<'a> {
    name: &'a str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a str>,
    meaning: &'a str,
    facts: BTreeMap<String, &'a str>,
    page: &'a str,
}

/// The entries as JSON, indented.
pub fn json(entries: &[Entry]) -> String {
    let explained = entries.iter().map(|entry| Explained {
        name: entry.name(),
        kind: entry.kind.as_str(),
        command: entry.command.as_deref(),
        meaning: &entry.meaning,
        facts: entry.facts.iter().map(|(title, fact)| (key(title), fact.as_str())).collect(),
        page: &entry.page,
    });
    let document = Document { version: VERSION, entries: explained.collect() };
    // Texts can always be written.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

/// A column's title as a key.
fn key(title: &str) -> String {
    title.to_lowercase().replace(' ', "_")
}
