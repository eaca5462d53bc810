//! The plan as Terraform, in the layout of `terraform fmt`.

use std::fmt::Write;

use serde_json::Value;

use super::{
    names::{Unique, numbered},
    plan::{AccountPlan, RolePlan},
};

/// The order in which people write the parts of a policy.
const ORDER: [&str; 8] =
    ["Version", "Statement", "Sid", "Effect", "Principal", "Action", "Resource", "Condition"];

/// All plans as one configuration.
pub fn terraform(plans: &[AccountPlan]) -> String {
    let mut text = String::from("# Made by latchkey policy from SecretProviderClasses.\n");
    let mut names = Unique::default();
    let mut roles: Vec<(&RolePlan, String)> = Vec::new();
    for plan in plans {
        let _ = write!(text, "\n# Service account {}/{}\n", plan.namespace, plan.name);
        for note in &plan.notes {
            let _ = writeln!(text, "# Note: {note}");
        }
        for role in &plan.roles {
            add_role(&mut text, role, &mut names, &mut roles);
        }
    }
    text
}

/// `roles`: those that have a resource, with its name.
fn add_role<'a>(
    text: &mut String,
    role: &'a RolePlan,
    names: &mut Unique,
    roles: &mut Vec<(&'a RolePlan, String)>,
) {
    if let Some(arn) = &role.arn {
        let _ = write!(
            text,
            "\n# Role {arn}: apply this in account {}.\n",
            role.account.as_deref().unwrap_or("?")
        );
    }
    let label = names.take(label(&role.policy_name));
    let mut role_name = quoted(&role.name);
    let same = |other: &&RolePlan| role.arn.is_some() && other.arn == role.arn;
    if let Some((_, label)) = roles.iter().find(|(other, _)| same(other)) {
        role_name = format!("aws_iam_role.{label}.name");
    } else if let Some(trust) = &role.trust {
        let document = serde_json::to_value(trust).unwrap_or_default();
        let _ = write!(
            text,
            "\nresource \"aws_iam_role\" \"{label}\" {{\n  name = {role_name}\n{}\n  assume_role_policy = jsonencode({})\n}}\n",
            role.path().map(|path| format!("  path = {}\n", quoted(&path))).unwrap_or_default(),
            value(&document, 1)
        );
        role_name = format!("aws_iam_role.{label}.name");
        roles.push((role, label.clone()));
    }
    for (index, policy) in role.policies.iter().enumerate() {
        let count = role.policies.len();
        let name = quoted(&numbered(&role.policy_name, index, count));
        let label = numbered(&label, index, count).replace('-', "_");
        let document = serde_json::to_value(policy).unwrap_or_default();
        let _ = write!(
            text,
            "\nresource \"aws_iam_policy\" \"{label}\" {{\n  name = {name}\n\n  policy = jsonencode({})\n}}\n",
            value(&document, 1)
        );
        if role.trust.is_some() || role.arn.is_some() {
            let _ = write!(
                text,
                "\nresource \"aws_iam_role_policy_attachment\" \"{label}\" {{\n  role       = {role_name}\n  policy_arn = aws_iam_policy.{label}.arn\n}}\n"
            );
        }
    }
}

/// A name of a resource: letters, digits and `_`.
fn label(name: &str) -> String {
    let name = name.strip_prefix("latchkey-").unwrap_or(name);
    let label: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if label.starts_with(|c: char| c.is_ascii_digit()) { format!("_{label}") } else { label }
}

/// An HCL expression. `depth` is the indentation of the line that it begins in.
fn value(json: &Value, depth: usize) -> String {
    let (inside, end) = ("  ".repeat(depth + 1), "  ".repeat(depth));
    match json {
        Value::String(text) => quoted(text),
        Value::Array(items) if items.is_empty() => "[]".to_owned(),
        Value::Array(items) => {
            let items: String =
                items.iter().map(|item| format!("{inside}{},\n", value(item, depth + 1))).collect();
            format!("[\n{items}{end}]")
        }
        Value::Object(entries) => {
            let mut entries: Vec<(&String, &Value)> = entries.iter().collect();
            entries.sort_by_key(|(name, _)| ORDER.iter().position(|known| known == name));
            let entries: Vec<(String, String)> =
                entries.into_iter().map(|(name, json)| (key(name), value(json, depth + 1))).collect();
            let mut text = String::from("{\n");
            for (index, (name, value)) in entries.iter().enumerate() {
                let width = if value.contains('\n') { name.len() } else { aligned(&entries, index) };
                let _ = writeln!(text, "{inside}{name:<width$} = {value}");
            }
            text + &end + "}"
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => json.to_string(),
    }
}

/// The width of the names of neighbouring entries that take one line.
fn aligned(entries: &[(String, String)], index: usize) -> usize {
    let short = |entry: &&(String, String)| !entry.1.contains('\n');
    let before = entries[..index].iter().rev().take_while(short);
    let after = entries[index..].iter().take_while(short);
    before.chain(after).map(|(name, _)| name.len()).max().unwrap_or(0)
}

fn key(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric());
    if plain { name.to_owned() } else { quoted(name) }
}

/// A string literal. `${` and `%{` would begin a template.
fn quoted(text: &str) -> String {
    let json = Value::from(text).to_string();
    json.replace("${", "$${").replace("%{", "%%{")
}
