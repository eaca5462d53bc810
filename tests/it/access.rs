//! `latchkey access` on made-up estates.

#![cfg(feature = "tools")]

mod estate;

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Output},
    time::Instant,
};

use serde_json::Value;

use self::estate::{Expected, Made, Size};
use crate::harness::{assert_contains, assert_lacks};

const SEED: u64 = 13;
const SIZE: Size = Size { namespaces: 20, accounts: 80, classes: 300, secrets: 500, pods: 0 };

fn access(folder: &Path, args: &[&str]) -> Output {
    let mut latchkey = Command::new(env!("CARGO_BIN_EXE_latchkey"));
    latchkey.env_clear().current_dir(folder).arg("access");
    latchkey.args(args).output().unwrap()
}

const FILES: [&str; 5] = ["manifests", "--iam", "iam.json", "--secrets", "secrets.json"];

fn stdout(output: &Output) -> String {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The findings: the rule and the object of each.
fn found(document: &str) -> Expected {
    let document: Value = serde_json::from_str(document).unwrap();
    let findings = document["findings"].as_array().unwrap().iter().map(|finding| {
        let object = &finding["object"];
        let (namespace, name) = (object["namespace"].as_str().unwrap(), object["name"].as_str().unwrap());
        let name = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
        (finding["id"].as_str().unwrap().to_owned(), name)
    });
    findings.collect()
}

#[test]
fn an_estate_in_order_has_no_finding() {
    let folder = tempfile::tempdir().unwrap();
    Made::in_order(SEED, SIZE).write(folder.path());
    let output = access(folder.path(), &[&FILES[..], &["-o", "json"]].concat());
    assert_eq!(found(&stdout(&output)), Expected::new());
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn planted_mistakes_are_found_and_nothing_else() {
    let mut rules = BTreeSet::new();
    for seed in SEED..SEED + 4 {
        let folder = tempfile::tempdir().unwrap();
        let made = Made::with_mistakes(seed, SIZE, 3);
        made.write(folder.path());
        let output = access(folder.path(), &[&FILES[..], &["-o", "json"]].concat());
        let found = found(&stdout(&output));
        let missed: Vec<_> = made.expected.difference(&found).collect();
        let invented: Vec<_> = found.difference(&made.expected).collect();
        assert!(
            missed.is_empty() && invented.is_empty(),
            "seed {seed}: missed {missed:#?}, invented {invented:#?}"
        );
        assert_eq!(output.status.code(), Some(1));
        rules.extend(found.into_iter().map(|(rule, _)| rule));
    }
    let all = latchkey::access::RULES.iter().map(|rule| rule.id.to_owned());
    assert_eq!(rules, all.collect(), "each rule is planted");
}

/// Writes the estate that tests/access/run opens in a browser.
#[test]
fn the_estate_is_written_where_a_browser_finds_it() {
    let Ok(folder) = std::env::var("LATCHKEY_ACCESS_ESTATE") else { return };
    Made::with_mistakes(SEED, SIZE, 3).write(Path::new(&folder));
}

/// Ten thousand pods and a thousand classes, within five seconds. Debug builds only print
/// how long they took.
#[test]
fn a_large_estate_is_answered_within_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let size = Size { namespaces: 60, accounts: 300, classes: 1000, secrets: 2000, pods: 10_000 };
    Made::in_order(SEED, size).write(folder.path());
    let began = Instant::now();
    let output = access(folder.path(), &FILES);
    let took = began.elapsed();
    assert_contains(
        &stdout(&output),
        "300 service accounts with 300 roles ask for 2,000 secrets in 1,000 classes.",
    );
    println!("{took:.1?}");
    assert!(cfg!(debug_assertions) || took.as_secs() < 5, "{took:?}");
}

#[test]
fn hostile_names_stay_names_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let manifests = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: "</script><b>\"'", namespace: shop, annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::111122223333:role/\"><img src=x>\e[2J"}}
"#;
    std::fs::create_dir(folder.path().join("manifests")).unwrap();
    std::fs::write(folder.path().join("manifests/a.yaml"), manifests).unwrap();
    let page = stdout(&access(folder.path(), &["manifests", "-o", "html"]));
    assert_lacks(&page, "<img");
    assert_lacks(&page, "</script><b>");
    let flowchart = stdout(&access(folder.path(), &["manifests", "-o", "mermaid"]));
    assert_lacks(&flowchart, "<img");
    let table = stdout(&access(folder.path(), &["manifests"]));
    assert_lacks(&table, "\u{1b}");
}
