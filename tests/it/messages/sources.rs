//! Every text in the sources that may reach a person.

use std::{collections::BTreeMap, fs, path::Path};

use super::{Table, Who};

/// Whose texts are no messages of the provider.
const OTHERS: [&str; 2] = ["demo.rs", "cli/lab"];
/// Fewer words are a name or a key.
const MIN_WORDS: usize = 3;

#[test]
fn the_texts_in_the_sources_match_the_table() {
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
        table.section(&path);
        for (cause, text) in texts {
            table.row(&cause, who_acts(&path), &text);
        }
    }
    table.compare("texts.md");
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let is_test = name.contains("/tests/") || name.ends_with("tests.rs");
        if is_test || OTHERS.contains(&name.as_str()) {
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

/// Who mostly acts on the texts of a file.
fn who_acts(path: &str) -> Who {
    let room = path.split('/').next().unwrap().trim_end_matches(".rs");
    match (room, path) {
        (_, "aws/advice.rs" | "aws/denial.rs" | "identity/advice.rs" | "shape/failed.rs") => Who::Account,
        (_, "aws/failure.rs") => Who::Nobody,
        ("model" | "jmespath" | "shape", _) | (_, "commands/mount.rs") => Who::Author,
        (_, file) if file.starts_with("commands/mount/") => Who::Author,
        ("backend" | "fetch" | "reading" | "rotation" | "values", _) => Who::Nobody,
        _ => Who::Operator,
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
            if !is_open {
                doc.clear();
            }
            doc.push_str(if is_open { " " } else { "" });
            doc.push_str(text);
            is_open = true;
            rest = &rest[line.len()..];
        } else if line.starts_with("//") {
            rest = &rest[line.len()..];
        } else if let Some((text, length)) = literal(rest) {
            is_open = false;
            if text.split(' ').filter(|word| word.chars().any(char::is_alphabetic)).count() >= MIN_WORDS {
                // The first sentence is enough.
                let cause = doc.split_once(". ").map_or(doc.as_str(), |(first, _)| first);
                texts.push((cause.trim_end_matches('.').replace('|', "\\|"), text.replace('\n', " ")));
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
