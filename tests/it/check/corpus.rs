//! Files in `tests/check/corpus`, each with its findings beside it (`.findings`):
//! `LATCHKEY_WRITE_CORPUS=1` writes them. Files in `good` have none.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use latchkey::{
    check::{RULES, check},
    findings::{Severity, fail},
    manifests::{Folders, Found},
};

use super::{check_path, check_text, settings, told};

const WRITE: &str = "LATCHKEY_WRITE_CORPUS";
/// Notes that a good class may have.
const NOTES: [&str; 3] = ["aws-ignores-key", "role-not-seen", "class-not-mounted"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("tests/check/corpus").join(folder)).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|it| it != "findings")).collect();
    files.sort();
    files
}

#[test]
fn a_good_class_of_any_shape_has_no_finding() {
    let files = files("good");
    assert!(files.len() >= 30, "{}", files.len());
    for path in files {
        let findings = check_path(&path);
        assert_eq!(findings, [], "{}", path.display());
    }
}

#[test]
fn a_bad_class_of_any_shape_has_its_findings_and_no_others() {
    let mut found = BTreeSet::new();
    for path in files("bad") {
        let findings = check_path(&path);
        let (expected, told) = (path.with_extension("findings"), told(&findings));
        if std::env::var_os(WRITE).is_some() {
            fs::write(&expected, &told).unwrap();
        }
        let kept = fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(told, kept, "{}\n{findings:#?}", path.display());
        assert!(!findings.is_empty(), "{}", path.display());
        found.extend(findings.iter().map(|finding| finding.rule.id));
    }
    // A limit, and what only a live cluster or other tests have.
    let elsewhere = ["over-limit"];
    let missed: Vec<&str> = RULES
        .iter()
        .map(|rule| rule.id)
        .filter(|id| !found.contains(id) && !elsewhere.contains(id))
        .collect();
    assert_eq!(missed, [""; 0], "no file has these findings");
}

#[test]
fn every_rule_is_named_once_and_says_what_to_do() {
    let mut ids: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), RULES.len());
    for rule in RULES {
        assert!(rule.title.ends_with('.') && rule.fix.ends_with('.'), "{}", rule.id);
        assert!(rule.id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", rule.id);
    }
}

#[test]
fn the_examples_are_right() {
    let mut settings = settings();
    settings.rules.allow_role_arn = true;
    for entry in fs::read_dir(root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let found = latchkey::manifests::read([path.as_path()], Folders::Flat).unwrap();
        let mut findings = check(&found, &settings);
        let store = path.ends_with("store.yaml");
        findings.retain(|finding| {
            !NOTES.contains(&finding.rule.id) && (!store || fail(std::slice::from_ref(finding)))
        });
        assert_eq!(findings, [], "{}", path.display());
    }
    // The provider allows roleArn only if the operator says so.
    let role = check_path(&root().join("examples/secretproviderclass-role-arn.yaml"));
    assert!(role.iter().any(|finding| finding.rule.id == "not-allowed"), "{role:?}");
}

/// The YAML blocks of the book and of README.md.
#[test]
fn the_documentations_blocks_are_right() {
    let mut pages: Vec<PathBuf> =
        fs::read_dir(root().join("docs/src")).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.push(root().join("README.md"));
    let mut blocks = 0;
    for page in pages {
        let text = fs::read_to_string(&page).unwrap_or_default();
        for block in yaml_blocks(&text) {
            // Parameters alone, as the reference shows them.
            let is_class = block.contains("SecretProviderClass");
            let class = if is_class || !block.lines().any(|line| line == "objects: |") {
                block
            } else {
                let indented: Vec<String> = block.lines().map(|line| format!("    {line}")).collect();
                let head = "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: a}\nspec:\n  provider: aws\n  parameters:\n";
                format!("{head}{}\n", indented.join("\n"))
            };
            if !class.contains("kind: SecretProviderClass") {
                continue;
            }
            blocks += 1;
            let mut found = Found::default();
            found.read("block.yaml", &class);
            let mut settings = settings();
            settings.rules.allow_role_arn = true;
            let mut findings = check(&found, &settings);
            findings.retain(|finding| finding.rule.severity > Severity::Note);
            assert_eq!(findings, [], "{}\n{class}", page.display());
        }
    }
    assert!(blocks >= 2, "{blocks} blocks");
}

fn yaml_blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for line in text.lines() {
        let indentation = line.len() - line.trim_start().len();
        match &mut block {
            None if line.trim_start() == "```yaml" => block = Some((indentation, String::new())),
            None => {}
            Some(_) if line.trim() == "```" => blocks.extend(block.take().map(|(_, text)| text)),
            Some((indentation, text)) => {
                text.push_str(line.get(*indentation..).unwrap_or_default());
                text.push('\n');
            }
        }
    }
    blocks
}

#[test]
fn all_mistakes_of_a_class_are_found_not_only_those_that_fit_an_answer() {
    let objects: String = (0..400).map(|_| "      - {objectName: a}\n").collect();
    let text = format!(
        "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {{name: a}}\nspec:\n  provider: aws\n  parameters:\n    objects: |\n{objects}"
    );
    let findings = check_text(&text);
    let missing = findings.iter().filter(|finding| finding.rule.id == "missing-key");
    assert_eq!(missing.count(), 400);
    let last = findings.last().unwrap();
    assert_eq!(last.place.file.as_ref().unwrap().line, 407);
    assert!(last.message.starts_with("objects[399] (line 400) \"a\": objectType is missing"), "{last:?}");
}

#[test]
fn in_a_whole_cluster_a_class_that_was_not_read_does_not_exist() {
    let pod = "kind: Pod\nmetadata: {name: p, namespace: shop}\nspec: {serviceAccountName: p, containers: [], volumes: [{name: s, csi: {driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {secretProviderClass: gone}}}]}";
    let mut found = Found::default();
    found.read("", pod);
    let ids = |complete| {
        let findings = check(&found, &latchkey::check::Settings { complete, ..settings() });
        assert!(findings.iter().all(|finding| finding.place.file.is_none()), "{findings:?}");
        findings.iter().map(|finding| finding.rule.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(true), ["missing-class"]);
    assert_eq!(ids(false), ["class-not-given"]);
}
