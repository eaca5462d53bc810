//! The table of the chart's values: meanings from its schema, defaults and
//! order from its values.

use serde_json::Value;

use crate::{
    markdown::{cell, code},
    read,
};

/// Helm hands these down from a parent chart; nobody sets them here.
const OF_A_PARENT: [&str; 2] = ["global", "enabled"];
/// Longer defaults are shown in `values.yaml` only.
const LONGEST_DEFAULT: usize = 60;

struct Row {
    line: usize,
    name: String,
    default: String,
    meaning: String,
}

/// A table for each section of `values.yaml`.
pub(crate) fn table() -> String {
    let text = read("charts/latchkey/values.yaml");
    let mut rows = rows(&text);
    rows.sort_by_key(|row| row.line);
    let mut table = String::new();
    let mut section = "";
    for row in rows {
        let its = section_of(&text, row.line);
        if its != section {
            section = its;
            table.push_str(&format!("\n## {section}\n\n| Value | Default | Meaning |\n|---|---|---|\n"));
        }
        table.push_str(&format!("| `{}` | {} | {} |\n", row.name, row.default, row.meaning));
    }
    table.trim_start().to_owned()
}

fn rows(text: &str) -> Vec<Row> {
    let schema: Value = serde_json::from_str(&read("charts/latchkey/values.schema.json")).unwrap();
    let values: Value = serde_yaml::from_str(text).unwrap();
    let mut rows = Vec::new();
    for (name, property) in properties(&schema) {
        if OF_A_PARENT.contains(&name.as_str()) {
            continue;
        }
        let line = line_of(text, 0, &format!("{name}:"));
        let members = properties(property);
        if members.is_empty() {
            rows.push(row(line, name.clone(), &values[name], property));
        }
        for (member, property) in members {
            let line = line_of(text, line, &format!("  {member}:"));
            rows.push(row(line, format!("{name}.{member}"), &values[name][member], property));
        }
    }
    rows
}

fn properties(schema: &Value) -> Vec<(&String, &Value)> {
    schema["properties"].as_object().map(|properties| properties.iter().collect()).unwrap_or_default()
}

fn row(line: usize, name: String, default: &Value, property: &Value) -> Row {
    let meaning = property["description"].as_str().unwrap_or_else(|| panic!("{name} has no description"));
    let shown = match default {
        Value::Null => String::new(),
        Value::String(text) if text.is_empty() => String::new(),
        Value::String(text) => code(text),
        other if other.to_string().len() > LONGEST_DEFAULT => "see `values.yaml`".to_owned(),
        other => code(&other.to_string()),
    };
    Row { line, name, default: shown, meaning: cell(meaning) }
}

/// The first line from `from` on that begins with a key.
fn line_of(text: &str, from: usize, key: &str) -> usize {
    let found = text.lines().skip(from).position(|line| line.starts_with(key));
    from + found.unwrap_or_else(|| panic!("values.yaml lacks {key}"))
}

/// The title above a line: `# --- Title ---`.
fn section_of(text: &str, line: usize) -> &str {
    let above: Vec<&str> = text.lines().take(line).collect();
    let title = above.iter().rev().find_map(|line| line.strip_prefix("# --- "));
    title.expect("each value is in a section").trim_end_matches('-').trim_end()
}
