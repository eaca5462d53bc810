//! Who may know whom: the tables of rooms and of crates in ARCHITECTURE.md, held against the
//! sources.
//!
//! A rule that is in the way is changed there, in the open, with its reason.

#![cfg(test)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const ARCHITECTURE: &str = include_str!("../ARCHITECTURE.md");
/// Stands for every room, in rows of rooms that only wire others.
const ANY: &str = "*";

/// Rooms (modules right below `src/`), and the rooms that each may use.
fn rooms() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    rows("| room | what it does | knows |", |names, cells| (names, cells[2]))
}

/// Crates (a trailing `*` is any ending), and the rooms that may name them.
fn crates() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    rows("| crate | rooms |", |names, cells| (names, cells[1]))
}

/// The rows below a table's head: each name of the first cell, with the names of another.
fn rows(
    head: &str,
    pick: fn(&'static str, &[&'static str]) -> (&'static str, &'static str),
) -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let (_, table) = ARCHITECTURE.split_once(head).unwrap_or_else(|| panic!("no table {head:?}"));
    let mut found = BTreeMap::new();
    for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let (names, values) = pick(cells[0], &cells);
        for name in quoted(names) {
            let before = found.insert(name, quoted(values));
            assert!(before.is_none(), "`{name}` has two rows below {head:?}");
        }
    }
    assert!(!found.is_empty(), "no rows below {head:?}");
    found
}

/// The words in backquotes.
fn quoted(cell: &'static str) -> BTreeSet<&'static str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Rooms that only compute, or only block, and the crates that they must not name.
const PURE: [(&str, &[&str]); 4] =
    [("jmespath", IMPURE), ("model", IMPURE), ("shape", &["tokio"]), ("writer", &["tokio"])];
const IMPURE: &[&str] = &[
    "tokio",
    "tonic",
    "kube",
    "k8s_openapi",
    "axum",
    "http",
    "hyper_util",
    "rustix",
    "tracing",
    "clap",
    "aws_*",
];

/// The most lines of a file.
const MAX_LINES: usize = 400;

/// Files that are longer: how long, and why.
const LONG_FILES: &[(&str, usize, &str)] = &[];

/// The packages beside the provider's. Cargo says whom they know; how they are
/// written is looked at here.
const OTHER_CRATES: [&str; 2] = ["crates/emulator", "crates/lab"];

/// One source file without comments, literals and its unit tests.
struct Source {
    /// Relative to the repository.
    path: String,
    /// The module right below `src/`.
    room: String,
    /// Words and punctuation of the code.
    tokens: Vec<String>,
    lines: usize,
}

/// The sources of the provider.
fn sources() -> Vec<Source> {
    sources_of("")
}

/// The sources of the provider and of the packages beside it.
fn all_sources() -> Vec<Source> {
    let others = OTHER_CRATES.into_iter().flat_map(sources_of);
    sources().into_iter().chain(others).collect()
}

fn sources_of(package: &str) -> Vec<Source> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = repository.join(package).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    assert!(files.len() > 10, "only {} files were found in {}", files.len(), root.display());
    files
        .into_iter()
        .map(|file| {
            let path = file.strip_prefix(repository).unwrap().to_str().unwrap().to_owned();
            let text = fs::read_to_string(&file).unwrap();
            let in_src = file.strip_prefix(&root).unwrap().to_str().unwrap();
            let room = in_src.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
            let code = text.split("\n#[cfg(test)]\n").next().unwrap();
            Source { tokens: tokens(code), room, lines: text.lines().count(), path }
        })
        .filter(|source| !is_test(&source.path))
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn is_test(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("/tests/")
}

/// Words and punctuation, `::` as one; no comments, no literals.
fn tokens(code: &str) -> Vec<String> {
    let chars: Vec<char> = code.chars().collect();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while let Some(&c) = chars.get(at) {
        let next = chars.get(at + 1).copied();
        let rest = &chars[at..];
        if c == '/' && next == Some('/') {
            at += rest.iter().position(|c| *c == '\n').unwrap_or(rest.len());
        } else if let Some(length) = raw_string(rest) {
            at += length;
        } else if c == '"' {
            at += string(rest);
        } else if c == '\'' && (next == Some('\\') || chars.get(at + 2) == Some(&'\'')) {
            let escaped = usize::from(next == Some('\\'));
            at += 2 + escaped + rest[2 + escaped..].iter().position(|c| *c == '\'').unwrap_or(0) + 1;
        } else if c.is_alphanumeric() || c == '_' {
            let length = rest.iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
            tokens.push(rest[..length].iter().collect());
            at += length;
        } else if c == ':' && next == Some(':') {
            tokens.push("::".to_owned());
            at += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            at += 1;
        }
    }
    tokens
}

/// Length of the string literal that `rest` starts with.
fn string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// Length of the raw string literal that `rest` starts with, if it does.
fn raw_string(rest: &[char]) -> Option<usize> {
    let body = rest.strip_prefix(&['b']).unwrap_or(rest).strip_prefix(&['r'])?;
    let hashes = body.iter().take_while(|c| **c == '#').count();
    if body.get(hashes) != Some(&'"') {
        return None;
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let start = rest.len() - body.len() + hashes + 1;
    let length = rest[start..].windows(end.len()).position(|window| window == end)?;
    Some(start + length + end.len())
}

/// The rooms that a file names by `crate::room` or `crate::{room, …}`.
fn rooms_used(source: &Source) -> BTreeSet<&str> {
    let tokens: Vec<&str> = source.tokens.iter().map(String::as_str).collect();
    let mut used = BTreeSet::new();
    for at in 0..tokens.len() {
        // The binary names the library by its name.
        let of_crate = tokens[at] == "crate" || source.room == "main" && tokens[at] == "latchkey";
        if !of_crate || tokens.get(at + 1) != Some(&"::") {
            continue;
        }
        if tokens.get(at + 2) != Some(&"{") {
            used.extend(tokens.get(at + 2));
            continue;
        }
        let mut depth = 0;
        for (before, token) in tokens[at + 2..].iter().zip(&tokens[at + 3..]) {
            match *before {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if depth == 1 && matches!(*before, "{" | ",") && *token != "}" {
                used.insert(*token);
            }
        }
    }
    used.remove("self");
    used
}

/// Whether a file names a crate: `name::…`, not as a part of a longer path.
fn names_crate(source: &Source, name: &str) -> Option<String> {
    let tokens = &source.tokens;
    let found = (0..tokens.len()).find(|&at| {
        let fits = match name.strip_suffix('*') {
            Some(prefix) => tokens[at].starts_with(prefix),
            None => tokens[at] == name,
        };
        let starts = at == 0 || tokens[at - 1] != "::";
        let of_crate =
            tokens.get(at + 1).is_some_and(|next| next == "::") || at > 0 && tokens[at - 1] == "use";
        fits && starts && of_crate
    });
    found.map(|at| tokens[at].clone())
}

/// All problems in one message.
fn assert_none(problems: &[String], advice: &str) {
    assert!(problems.is_empty(), "\n{}\n\n{advice}\n", problems.join("\n"));
}

#[test]
fn every_room_knows_only_the_rooms_of_its_row() {
    let rooms = rooms();
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| source.room != "lib") {
        let Some(may) = rooms.get(source.room.as_str()) else {
            problems.push(format!("{}: ARCHITECTURE.md has no row for `{}`", source.path, source.room));
            continue;
        };
        for used in rooms_used(source) {
            // Only rooms count; `crate::Item` of the root does not.
            if used != source.room && rooms.contains_key(used) && !may.contains(ANY) && !may.contains(used) {
                problems.push(format!("{}: `{}` must not use `crate::{used}`", source.path, source.room));
            }
        }
    }
    assert_none(
        &problems,
        "Move what is needed to a room that both may use, or change the table with a reason.",
    );
}

#[test]
fn every_row_is_true() {
    let sources = sources();
    let mut problems = Vec::new();
    for (room, may) in rooms() {
        let used: BTreeSet<&str> =
            sources.iter().filter(|source| source.room == room).flat_map(rooms_used).collect();
        if !sources.iter().any(|source| source.room == room) {
            problems.push(format!("`{room}` is no room"));
        }
        let unused = may.iter().filter(|other| **other != ANY && !used.contains(*other));
        problems.extend(unused.map(|other| format!("`{room}` does not use `{other}`")));
    }
    for (name, rooms) in crates() {
        for room in rooms {
            let mut of_room = sources.iter().filter(|source| source.room == room);
            if !of_room.any(|source| names_crate(source, name).is_some()) {
                problems.push(format!("`{room}` does not name `{name}`"));
            }
        }
    }
    assert_none(&problems, "Take it out of ARCHITECTURE.md.");
}

#[test]
fn no_two_rooms_need_each_other() {
    let mut left = rooms();
    left.retain(|_, may| !may.contains(ANY));
    loop {
        let free: Vec<&str> = left.iter().filter(|(_, may)| may.is_empty()).map(|(room, _)| *room).collect();
        if free.is_empty() {
            break;
        }
        left.retain(|room, _| !free.contains(room));
        left.values_mut().for_each(|may| may.retain(|room| !free.contains(room)));
    }
    assert!(left.is_empty(), "these rooms form a circle: {left:?}");
}

#[test]
fn foreign_crates_stay_in_their_rooms() {
    let mut problems = Vec::new();
    let crates = crates();
    for source in sources() {
        for (name, rooms) in &crates {
            if let Some(found) = names_crate(&source, name)
                && !rooms.contains(source.room.as_str())
            {
                problems.push(format!("{}: `{found}` belongs to {rooms:?}", source.path));
            }
        }
        for (_, impure) in PURE.iter().filter(|(room, _)| *room == source.room) {
            let named = impure.iter().filter_map(|name| names_crate(&source, name));
            let problem = |name| format!("{}: `{}` must not name `{name}`", source.path, source.room);
            problems.extend(named.map(problem));
        }
    }
    assert_none(
        &problems,
        "Wrap what is needed in the room that owns the crate, or change the table with a reason.",
    );
}

#[test]
fn nothing_unwraps_and_nothing_is_unsafe() {
    let mut problems = Vec::new();
    for source in all_sources() {
        for pair in source.tokens.windows(3) {
            let called = pair[0] == "." && pair[2] == "(";
            if called && matches!(pair[1].as_str(), "unwrap" | "expect") {
                problems.push(format!("{}: .{}(…) ends the node's provider", source.path, pair[1]));
            }
        }
        if source.tokens.iter().any(|token| token == "unsafe") {
            problems.push(format!("{}: unsafe", source.path));
        }
    }
    assert_none(
        &problems,
        "Return an error that names the object; a mutex is locked by `unwrap_or_else(PoisonError::into_inner)`.",
    );
}

#[test]
fn files_stay_short() {
    let mut problems = Vec::new();
    let sources = all_sources();
    for source in &sources {
        let listed = LONG_FILES.iter().find(|(path, _, _)| *path == source.path);
        let most = listed.map_or(MAX_LINES, |(_, lines, _)| *lines);
        if source.lines > most {
            problems.push(format!("{}: {} lines; the maximum is {most}", source.path, source.lines));
        }
    }
    for (path, _, _) in LONG_FILES {
        if !sources.iter().any(|source| source.path == *path && source.lines > MAX_LINES) {
            problems.push(format!("{path} is not long any more: take it out of LONG_FILES"));
        }
    }
    assert_none(
        &problems,
        "Split by what the parts are about, or list the file in LONG_FILES with a reason.",
    );
}

#[test]
fn the_reader_of_sources_finds_rooms_crates_and_calls() {
    let source = |room: &str, code: &str| Source {
        path: format!("{room}.rs"),
        room: room.to_owned(),
        tokens: tokens(code),
        lines: 1,
    };
    let code = "use crate::{aws::{Aws, cluster::x}, model::arn, self};\nfn f() { crate::writer::go(\"crate::mount\") } // crate::grpc\n";
    let rooms = source("x", code);
    assert_eq!(rooms_used(&rooms).into_iter().collect::<Vec<_>>(), ["aws", "model", "writer"]);
    let named =
        source("x", r##"use aws_sdk_sts::Client; let a = r#"kube::x"#; let b = '"'; x::tonic::y(); "##);
    assert_eq!(names_crate(&named, "aws_*").as_deref(), Some("aws_sdk_sts"));
    assert_eq!(names_crate(&named, "kube"), None, "a literal counts as code");
    assert_eq!(names_crate(&named, "tonic"), None, "a part of a longer path counts as a crate");
    assert_eq!(names_crate(&source("x", "use kube::Client;"), "kube").as_deref(), Some("kube"));
    let unwraps = source("x", "let a = b.unwrap();").tokens;
    assert!(unwraps.windows(2).any(|pair| pair == [".", "unwrap"]), "{unwraps:?}");
}
