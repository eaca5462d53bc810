//! Each alert of the chart has its section among the runbooks, and each metric that an alert or the dashboard reads
//! is in the reference.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{read, root};

/// The alerts of the chart's rules.
fn alerts() -> Vec<Value> {
    let folder = root().join("charts/latchkey/rules");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files
        .flat_map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            serde_yaml::from_str::<Vec<Value>>(&text).unwrap()
        })
        .collect()
}

/// The words of a text that begin with one of these.
fn words<'a>(text: &'a str, beginnings: &'a [&str]) -> impl Iterator<Item = String> + 'a {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| beginnings.iter().any(|beginning| word.starts_with(beginning)))
        .map(str::to_owned)
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let page = read("docs/src/alerts.md");
    let sections: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("## Latchkey")).collect();
    let rules = alerts();
    let names: BTreeSet<&str> =
        rules.iter().map(|rule| rule["alert"].as_str().unwrap().strip_prefix("Latchkey").unwrap()).collect();
    assert_eq!(sections, names);
    let values: Value = serde_yaml::from_str(&read("charts/latchkey/values.yaml")).unwrap();
    let set = values["prometheusRule"]["alerts"].as_object().unwrap();
    assert_eq!(set.keys().map(|name| &name["Latchkey".len()..]).collect::<BTreeSet<_>>(), names);
    for name in names {
        let (_, section) = page.split_once(&format!("\n## Latchkey{name}\n")).unwrap();
        let section = section.split("\n## ").next().unwrap();
        for part in ["**What it means.**", "**How to see it.**", "**What to do.**", "\n```"] {
            assert!(section.contains(part), "Latchkey{name} lacks {part}");
        }
    }
}

#[test]
fn every_metric_that_is_read_is_in_the_reference() {
    let pages = ["docs/src/metrics.md", "docs/src/change-notices.md"].map(read);
    let known: BTreeSet<String> = pages
        .iter()
        .flat_map(|page| page.lines())
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(str::to_owned)
        .collect();
    let texts = alerts().iter().map(|rule| rule["expr"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let panels = read("charts/latchkey/dashboards/latchkey.json");
    let runbooks = read("docs/src/alerts.md");
    let queries = panels.lines().filter(|line| line.contains("\"expr\":")).map(str::to_owned);
    let shown =
        runbooks.split("```promql\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    let beginnings = ["latchkey_", "process_", "node_publish", "rotation_reconcile"];
    let mut used = BTreeSet::new();
    for text in texts.into_iter().chain(queries).chain(shown) {
        used.extend(words(&text, &beginnings));
    }
    assert!(used.len() > 40, "only {} metrics were found", used.len());
    let parts = ["_bucket", "_count", "_sum"];
    let whole =
        |name: &String| parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name).to_owned();
    let unknown: Vec<&String> = used.iter().filter(|name| !known.contains(&whole(name))).collect();
    assert!(unknown.is_empty(), "the reference lacks {unknown:?}");
}
