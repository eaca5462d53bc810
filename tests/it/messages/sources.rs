//! Every text of the program that may reach a person, as it stands in the sources.

use std::{collections::BTreeMap, fs, path::Path};

use super::Table;

/// Rooms whose texts are no messages of the provider.
const OTHERS: [&str; 4] = ["emulator", "demo", "bench", "driver"];
/// Fewer words are a name or a key.
const MIN_WORDS: usize = 3;

#[test]
fn every_text_of_the_sources_is_as_it_was() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeMap::new();
    collect(&root, &root, &mut files);
    let mut table = Table::new(
        "Texts in the sources",
        "Every literal of three words and more, with the item that it stands in. `LATCHKEY_WRITE_MESSAGES=1 cargo test --test it messages` writes this file.",
    );
    for (path, text) in files {
        let texts = texts(&text);
        if texts.is_empty() {
            continue;
        }
        table.0.push_str(&format!("\n## {path}\n\n| cause | text |\n|---|---|\n"));
        for (cause, text) in texts {
            table.0.push_str(&format!("| {cause} | {} |\n", text.replace('|', "\\|")));
        }
    }
    table.compare("texts.md");
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let is_test = name.contains("/tests/") || name.ends_with("tests.rs");
        let room = name.split('/').next().unwrap().trim_end_matches(".rs");
        if is_test || OTHERS.contains(&room) {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, files);
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(&path).unwrap();
            files.insert(name, text.split("\n#[cfg(test)]\n").next().unwrap().to_owned());
        }
    }
}

/// The texts of a file, each with its cause: the documentation of the item or
/// variant that it stands in.
fn texts(source: &str) -> Vec<(String, String)> {
    let (mut texts, mut doc, mut is_open) = (Vec::new(), String::new(), false);
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
        if let Some(text) = line.strip_prefix("/// ") {
            // Only the first sentence's line; more of it would make the table wide.
            if !is_open {
                doc = text.trim_end_matches('.').replace('|', "\\|");
            }
            is_open = true;
            rest = &rest[line.len()..];
        } else if line.starts_with("//") {
            rest = &rest[line.len()..];
        } else if let Some((text, length)) = literal(rest) {
            is_open = false;
            if text.split(' ').filter(|word| word.chars().any(char::is_alphabetic)).count() >= MIN_WORDS {
                texts.push((doc.clone(), text.replace('\n', " ")));
            }
            rest = &rest[length..];
        } else {
            is_open &= c.is_whitespace();
            rest = &rest[c.len_utf8()..];
        }
    }
    texts
}

/// The literal that `rest` starts with: its text, and its length in the source.
fn literal(rest: &str) -> Option<(&str, usize)> {
    // A character may be a quote.
    for character in ["'\"'", "'\\\"'", "'\\''"] {
        if rest.starts_with(character) {
            return Some(("", character.len()));
        }
    }
    if let Some(raw) = rest.strip_prefix("r#\"") {
        let end = raw.find("\"#")?;
        return Some((&raw[..end], end + 5));
    }
    let text = rest.strip_prefix('"')?;
    let mut at = 0;
    while !text[at..].starts_with('"') {
        let c = text[at..].chars().next()?;
        at += c.len_utf8();
        if c == '\\' {
            at += text[at..].chars().next()?.len_utf8();
        }
    }
    Some((&text[..at], at + 2))
}
