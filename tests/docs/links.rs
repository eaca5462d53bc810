//! Every relative link leads to a file, and every anchor to a heading.

use std::{collections::BTreeSet, path::Path};

use crate::{markdown::Page, read, root};

/// The pages outside of the book.
const OTHERS: [&str; 9] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "charts/latchkey/README.md",
    "examples/local/README.md",
    "tests/e2e/README.md",
    "docs/src/SUMMARY.md",
];

/// The pages of the book, by name.
pub(crate) fn book() -> BTreeSet<String> {
    let files = std::fs::read_dir(root().join("docs/src")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".md") && name != "SUMMARY.md").collect()
}

/// What is wrong with a link on a page.
fn mistake(page: &str, anchors: &[String], link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    if page.starts_with("docs/src/") && link.starts_with("..") && link.contains(".md") {
        return Some(format!("{page}: {link} is outside of the book, where mdBook would make it .html"));
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = Path::new(page).parent().unwrap_or(Path::new("")).join(path);
    let there = root().join(&target);
    let found = match (path.is_empty(), anchor.is_empty()) {
        (true, _) => anchors.iter().any(|known| known == anchor),
        (false, true) => there.exists(),
        (false, false) => std::fs::read_to_string(&there)
            .is_ok_and(|text| Page::parse(&text).anchors.iter().any(|known| known == anchor)),
    };
    (!found).then(|| format!("{page}: nothing is at {link}"))
}

#[test]
fn every_relative_link_and_anchor_leads_somewhere() {
    let pages = book().into_iter().map(|name| format!("docs/src/{name}"));
    let mut checked = 0;
    let mut mistakes = Vec::new();
    for page in pages.chain(OTHERS.map(str::to_owned)) {
        let parsed = Page::parse(&read(&page));
        checked += parsed.links.len();
        mistakes.extend(parsed.links.iter().filter_map(|link| mistake(&page, &parsed.anchors, link)));
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    assert!(checked > 100, "only {checked} links were found");
}

#[test]
fn a_link_to_nothing_is_found() {
    let anchors = ["limits".to_owned()];
    let found = |link| mistake("docs/src/limits.md", &anchors, link).is_some();
    for link in ["none.md", "#none", "limits.md#none", "../../none", "../../README.md"] {
        assert!(found(link), "{link}");
    }
    for link in ["memory.md", "#limits", "memory.md#concurrency", "../../examples", "https://jmespath.org"] {
        assert!(!found(link), "{link}");
    }
}

#[test]
fn the_summary_lists_every_page_once() {
    let mut listed = Page::parse(&read("docs/src/SUMMARY.md")).links;
    listed.sort();
    assert_eq!(listed, book().into_iter().collect::<Vec<_>>());
}
