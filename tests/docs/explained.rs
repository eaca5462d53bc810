//! `latchkey explain` knows every table of names in the book, and links to sections that exist.

use latchkey::explain::{PAGES, entries};

use crate::{links::book, markdown::Page, read};

/// First columns of tables that name things.
const NAMING: [&str; 8] = [
    "| Parameter |",
    "| Key |",
    "| Flag |",
    "| Option |",
    "| Variable |",
    "| Reason |",
    "| Code |",
    "| Metric |",
];

#[test]
fn every_page_with_a_table_of_names_is_a_part_of_the_program() {
    for page in book() {
        let text = read(&format!("docs/src/{page}"));
        let names = text.lines().any(|line| NAMING.iter().any(|title| line.starts_with(title)));
        assert!(
            !names || PAGES.iter().any(|(known, _)| *known == page),
            "add {page} to src/explain/pages.rs"
        );
    }
}

#[test]
fn every_entry_links_to_a_section() {
    for entry in entries() {
        let (page, anchor) = entry.page.split_once('#').expect("a section");
        let anchors = Page::parse(&read(&format!("docs/src/{page}"))).anchors;
        assert!(anchors.iter().any(|known| known == anchor), "{}: {}", entry.name(), entry.page);
    }
}
