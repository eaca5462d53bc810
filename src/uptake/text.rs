//! A report for people.

use std::{collections::BTreeMap, fmt::Write};

use super::{Circumstances, ObjectReport, Report, TargetSource, VersionReport, Waiting};
use crate::{
    clock::Time,
    table::{Table, escaped, grouped, span},
};

/// Waiting pods that a table names. JSON names all of them.
pub const NAMED: usize = 50;

/// What surrounds a report.
pub struct Shown<'a> {
    pub circumstances: &'a Circumstances,
    pub now: Time,
    /// As in "namespace shop".
    pub scope: &'a str,
    /// Columns of the terminal; `None` for a pipe.
    pub columns: Option<usize>,
    /// Whether every pod has the version that was waited for, in JSON.
    pub reached: Option<bool>,
}

/// The objects with their versions, and who waits.
pub fn table(report: &Report<'_>, shown: &Shown<'_>) -> String {
    let mut table = Table::new(["OBJECT", "VERSION", "LABEL", "PODS", "SINCE"]);
    for object in &report.objects {
        let name = object.object.to_string();
        if object.versions.is_empty() {
            table.row([name.clone(), "-".to_owned(), String::new(), "0".to_owned(), String::new()]);
        }
        for (index, version) in object.versions.iter().enumerate() {
            let name = if index == 0 { name.clone() } else { String::new() };
            table.row([
                name,
                version.version.to_owned(),
                label(object, version),
                grouped(version.holders.len()),
                since(version, shown.now),
            ]);
        }
    }
    let mut text = table.print(shown.columns, &[0, 1]);
    text.push_str(&notes(report, shown));
    text.push_str(&waiting(report, shown));
    text
}

/// One row for each pod and object.
pub fn wide(report: &Report<'_>, shown: &Shown<'_>) -> String {
    let mut table = Table::new(["NAMESPACE", "POD", "NODE", "OBJECT", "VERSION", "LABEL", "SINCE"]);
    for object in &report.objects {
        for version in &object.versions {
            for holder in &version.holders {
                let label = match holder.frozen {
                    Some(mount) => format!("older in container {}", mount.container),
                    None => label(object, version),
                };
                table.row([
                    holder.pod.namespace.to_string(),
                    holder.pod.name.to_string(),
                    holder.pod.node.as_deref().unwrap_or("-").to_owned(),
                    object.object.to_string(),
                    version.version.to_owned(),
                    label,
                    holder.since.map_or_else(String::new, |since| span(shown.now.since(since))),
                ]);
            }
        }
    }
    let mut text = table.print(None, &[]);
    text.push_str(&notes(report, shown));
    text.push_str(&waiting(report, shown));
    text
}

fn label(object: &ObjectReport<'_>, version: &VersionReport<'_>) -> String {
    if !version.stages.is_empty() {
        return version.stages.join(", ");
    }
    let target = object.target.as_ref().filter(|target| target.version == version.version);
    match target.map(|target| target.source) {
        Some(TargetSource::Newest) if object.versions.len() > 1 => "newest".to_owned(),
        Some(TargetSource::Given) => "wanted".to_owned(),
        _ => String::new(),
    }
}

/// `3m20s`, or the shortest and the longest: `3m20s to 2h5m`.
fn since(version: &VersionReport<'_>, now: Time) -> String {
    let times = || version.holders.iter().filter_map(|holder| holder.since);
    match (times().max(), times().min()) {
        (Some(newest), Some(oldest)) => {
            let (short, long) = (span(now.since(newest)), span(now.since(oldest)));
            if short == long { short } else { format!("{short} to {long}") }
        }
        _ => String::new(),
    }
}

fn notes(report: &Report<'_>, shown: &Shown<'_>) -> String {
    let mut text = String::new();
    for object in &report.objects {
        let name = escaped(&object.object.to_string());
        if let Some(target) = &object.target
            && target.source != TargetSource::Newest
            && !object.versions.iter().any(|version| version.version == target.version)
        {
            let _ = writeln!(
                text,
                "No pod holds {} of {name}, the version that pods should hold.",
                escaped(&target.version)
            );
        }
        match &object.previous {
            Some((version, 0)) => {
                let _ = writeln!(
                    text,
                    "AWSPREVIOUS of {name} is free: no running pod in {} holds {}.",
                    shown.scope,
                    escaped(version)
                );
            }
            Some((version, pods)) => {
                let _ = writeln!(
                    text,
                    "AWSPREVIOUS of {name} is in use: {} in {} hold {}, or an older version.",
                    counted(*pods, "pod"),
                    shown.scope,
                    escaped(version)
                );
            }
            None => {}
        }
        if object.starting > 0 {
            let _ = writeln!(
                text,
                "{} not mounted {name} yet.",
                if object.starting == 1 {
                    "1 pod has".to_owned()
                } else {
                    format!("{} pods have", grouped(object.starting))
                }
            );
        }
        if let Some(problem) = &object.aws_problem {
            let _ =
                writeln!(text, "AWS does not say which version of {name} is current: {}", escaped(problem));
        }
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

fn waiting(report: &Report<'_>, shown: &Shown<'_>) -> String {
    let count = report.waiting().count();
    if count == 0 {
        return String::new();
    }
    let mut table = Table::new(["WAITING POD", "OBJECT", "HOLDS", "SINCE", "WHY"]);
    for (object, pod) in report.waiting().take(NAMED) {
        table.row(row(object, pod, shown));
    }
    let mut text = format!("\n{}", table.print(None, &[]));
    if count > NAMED {
        let _ = writeln!(text, "… and {} more; --output json names all", grouped(count - NAMED));
    }
    text
}

fn row(object: &ObjectReport<'_>, waiting: &Waiting<'_>, shown: &Shown<'_>) -> [String; 5] {
    let holder = waiting.holder;
    let reasons: Vec<String> = shown.circumstances.why(waiting).into_iter().map(|why| why.message).collect();
    let holds = match holder.frozen {
        Some(_) => format!("older than {}", waiting.version),
        None => waiting.version.to_owned(),
    };
    [
        format!("{}/{}", holder.pod.namespace, holder.pod.name),
        object.object.to_string(),
        holds,
        holder.since.map_or_else(String::new, |since| span(shown.now.since(since))),
        reasons.join("; "),
    ]
}

/// What each pod holds, to compare with a later report: `namespace/pod`, object, versions.
type Held = BTreeMap<(String, String), String>;

/// What each pod holds now, and a line for each pod whose version has changed since
/// `before`.
pub fn moves(report: &Report<'_>, before: Option<&Held>) -> (Held, Vec<String>) {
    let mut held = Held::new();
    for object in &report.objects {
        for version in &object.versions {
            for holder in &version.holders {
                let pod = format!("{}/{}", holder.pod.namespace, holder.pod.name);
                let stale = if holder.frozen.is_some() { " (older in a container with subPath)" } else { "" };
                held.insert((pod, object.object.to_string()), format!("{}{stale}", version.version));
            }
        }
    }
    let mut lines = Vec::new();
    if let Some(before) = before {
        for ((pod, object), version) in &held {
            match before.get(&(pod.clone(), object.clone())) {
                Some(old) if old == version => {}
                Some(old) => lines.push(format!("{pod}: {object}: {old} → {version}")),
                None => lines.push(format!("{pod}: {object}: → {version}")),
            }
        }
        for ((pod, object), old) in before {
            if !held.contains_key(&(pod.clone(), object.clone())) {
                lines.push(format!("{pod}: {object}: {old} → gone"));
            }
        }
    }
    (held, lines.into_iter().map(|line| escaped(&line)).collect())
}

/// `1 pod`, `1,234 pods`.
pub fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas_and_a_plural() {
        assert_eq!(counted(1, "pod"), "1 pod");
        assert_eq!(counted(12_345, "pod"), "12,345 pods");
    }
}
