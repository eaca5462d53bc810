//! The snapshot as text for a terminal: first whether all is well, then tables.

use std::{fmt::Write, time::Duration};

use super::{
    Snapshot, Time,
    snapshot::{Means, Notices, Pods, SocketState, State, Unit, Value, Version, Who, Writes},
    verdict::verdict,
};
use crate::{
    model::go_text::show_duration,
    table::{Table, escaped, span},
};

/// Namespaces that a line names, the largest first.
const MAX_NAMED: usize = 3;
/// Characters of a version in the narrow form: a UUID's first part.
const SHORT_VERSION: usize = 8;

/// How much of everything is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// Tables that fit into so many columns.
    Columns(usize),
    /// Every column, in full.
    Wide,
}

impl Width {
    fn columns(self) -> Option<usize> {
        match self {
            Self::Columns(columns) => Some(columns),
            Self::Wide => None,
        }
    }
}

/// The snapshot in tables.
pub fn text(snapshot: &Snapshot, width: Width) -> String {
    let sections = [
        ("PRINCIPALS", principals(snapshot, width)),
        ("VALUES", if width == Width::Wide { wide_values(snapshot) } else { values(snapshot, width) }),
        ("REFUSED BY AWS", denials(snapshot, width)),
        ("VOLUMES", volumes(snapshot, width)),
        ("MEMORY AND PLACES", shares(snapshot, width)),
    ];
    let mut text = format!("{}\n\n{}", escaped(&verdict(snapshot)), header(snapshot, width));
    for (title, table) in sections {
        if let Some(table) = table {
            text.push_str(&format!("\n{title}\n{table}"));
        }
    }
    text
}

/// The snapshot as JSON. Characters that a terminal would not print as themselves are
/// escaped, which JSON allows anywhere in a text.
pub fn json(snapshot: &Snapshot) -> Result<String, serde_json::Error> {
    let mut text = String::new();
    for c in serde_json::to_string_pretty(snapshot)?.chars() {
        if c.is_ascii() || c.escape_debug().len() == 1 {
            text.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing into a String does not fail.
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    Ok(text + "\n")
}

fn polling(snapshot: &Snapshot) -> String {
    let told = match &snapshot.notices {
        None => "every value at its interval".to_owned(),
        Some(Notices { object, areas, .. }) if areas.is_empty() => {
            format!("every value at its interval; no notices from ConfigMap {object}")
        }
        Some(Notices { object, areas, values }) => {
            let areas = areas.join(", ");
            format!(
                "{values} of {} values rarely: notices from ConfigMap {object} cover {areas}",
                snapshot.values.len()
            )
        }
    };
    match snapshot.stretch {
        stretch if stretch > 1.0 => {
            format!("{told}; intervals up to {stretch:.1} times longer, because AWS throttles")
        }
        _ => told,
    }
}

fn header(snapshot: &Snapshot, width: Width) -> String {
    let mut lines = Table::new(["Latchkey", &about(snapshot)]);
    let socket = match snapshot.socket.state {
        SocketState::Starting => "not bound yet".to_owned(),
        SocketState::Ours => "serves the driver".to_owned(),
        SocketState::Succeeded => "taken over by a newer Latchkey".to_owned(),
        SocketState::Foreign => {
            format!("held by {}", snapshot.socket.held_by.as_deref().unwrap_or("another provider"))
        }
    };
    lines.row(["Socket".to_owned(), format!("{}: {socket}", snapshot.socket.path)]);
    let writes = match snapshot.writes {
        Writes::Driver => "the driver",
        Writes::Latchkey => "Latchkey",
    };
    lines.row(["Files".to_owned(), format!("written by {writes}")]);
    let Pods { fresh, stale, failing } = snapshot.pods;
    lines.row(["Mounts".to_owned(), format!("{fresh} fresh, {stale} stale, {failing} failing")]);
    lines.row(["Tokens".to_owned(), tokens(snapshot)]);
    lines.row(["Polling".to_owned(), polling(snapshot)]);
    for (number, calls) in snapshot.calls.iter().enumerate() {
        let to = match calls.to.as_str() {
            "aws" => "AWS",
            "podIdentityAgent" => "the Pod Identity agent",
            "serviceAccounts" => "Kubernetes",
            other => other,
        };
        let busy = calls.namespaces.iter();
        let busy = busy.map(|one| match one.waiting {
            0 => format!("{}: {} running", one.namespace, one.running),
            waiting => format!("{}: {} running, {waiting} waiting", one.namespace, one.running),
        });
        let busy = busy.collect();
        let busy = named(busy, width);
        let busy = if busy.is_empty() { busy } else { format!(" ({busy})") };
        let (running, waiting, max) = (calls.running, calls.waiting, calls.max);
        let label = if number == 0 { "Calls" } else { "" };
        lines.row([label.to_owned(), format!("{running} of {max} to {to}, {waiting} waiting{busy}")]);
    }
    lines.print(None, &[])
}

fn about(snapshot: &Snapshot) -> String {
    let Snapshot { version, taken_at, started_at, node, .. } = snapshot;
    let node = node.as_ref().map(|node| format!(" on node {}", escaped(node))).unwrap_or_default();
    format!("{}{node}, up {}", escaped(version), span(taken_at.since(*started_at)))
}

fn tokens(snapshot: &Snapshot) -> String {
    let keys = &snapshot.token_keys;
    let read = keys.read_at.map(|at| {
        let noun = if keys.usable == 1 { "key" } else { "keys" };
        let ago = span(snapshot.taken_at.since(at));
        format!("verified with {} {noun} of the cluster, read {ago} ago", keys.usable)
    });
    match (read, &keys.warning) {
        (Some(read), None) => read,
        (Some(read), Some(warning)) => format!("{read}; warning: {warning}"),
        (None, Some(warning)) => format!("warning: {warning}"),
        (None, None) => "the cluster's keys are not read yet".to_owned(),
    }
}

fn principals(snapshot: &Snapshot, width: Width) -> Option<String> {
    let mut table = Table::new(["SERVICE ACCOUNT", "IDENTITY", "CREDENTIALS", "TOKEN", "VALUES"]);
    for one in &snapshot.principals {
        let credentials = match (one.credentials_until, &one.refused) {
            (_, Some(reason)) => format!("refused: {reason}"),
            (Some(until), None) => left(snapshot, until),
            (None, None) => "none".to_owned(),
        };
        let token = one.token_until.map_or_else(|| "none".to_owned(), |until| left(snapshot, until));
        let (account, identity) = (account(&one.who), identity(&one.who));
        table.row([account, identity, credentials, token, one.values.to_string()]);
    }
    (!snapshot.principals.is_empty()).then(|| table.print(width.columns(), &[0, 1]))
}

fn values(snapshot: &Snapshot, width: Width) -> Option<String> {
    let mut table = Table::new(["SERVICE ACCOUNT", "VALUE", "VERSION", "STATE", "AGE", "NEXT POLL"]);
    for (value, version) in versions(snapshot) {
        table.row([
            account(&value.who),
            name(value, version),
            version.held.as_deref().map_or_else(|| "none".to_owned(), short),
            state(value),
            since(snapshot, value.read_at),
            next(snapshot, value.next_poll),
        ]);
    }
    (!snapshot.values.is_empty()).then(|| table.print(width.columns(), &[0, 1]))
}

fn wide_values(snapshot: &Snapshot) -> Option<String> {
    let titles = [
        "SERVICE ACCOUNT",
        "IDENTITY",
        "SERVICE",
        "VALUE",
        "REGION",
        "VERSION",
        "STATE",
        "OUTAGES",
        "AGE",
        "NEXT POLL",
        "INTERVAL",
        "LAST ASKED",
        "ARN",
    ];
    let mut table = Table::new(titles);
    for (value, version) in versions(snapshot) {
        let served_by = version.served_by.as_ref().filter(|served| **served != value.region);
        let region = [Some(&value.region), value.failover_region.as_ref()];
        let region = region.into_iter().flatten().cloned().collect::<Vec<_>>().join(",");
        table.row([
            account(&value.who),
            identity(&value.who),
            value.service.clone(),
            name(value, version),
            served_by.map_or_else(|| region.clone(), |served| format!("{region} (served by {served})")),
            held(version),
            state(value),
            value.outages.to_string(),
            since(snapshot, value.read_at),
            next(snapshot, value.next_poll),
            show_duration(Duration::from_secs(value.interval_seconds)),
            since(snapshot, Some(value.asked_at)),
            version.arn.clone().unwrap_or_default(),
        ]);
    }
    (!snapshot.values.is_empty()).then(|| table.print(None, &[]))
}

fn denials(snapshot: &Snapshot, width: Width) -> Option<String> {
    let mut table = Table::new(["SERVICE ACCOUNT", "IDENTITY", "VALUE", "REASON", "AGE"]);
    for one in &snapshot.denials {
        table.row([
            account(&one.who),
            identity(&one.who),
            one.id.clone().unwrap_or_else(|| "(no credentials)".to_owned()),
            one.reason.clone(),
            span(snapshot.taken_at.since(one.at)),
        ]);
    }
    (!snapshot.denials.is_empty()).then(|| table.print(width.columns(), &[0, 1, 2]))
}

fn volumes(snapshot: &Snapshot, width: Width) -> Option<String> {
    let mut table = Table::new(["POD", "CLASS", "VALUES", "MOUNTED"]);
    for one in &snapshot.volumes {
        let mounted = format!("{} ago", span(snapshot.taken_at.since(one.mounted_at)));
        let pod = format!("{}/{}", one.namespace, one.pod);
        table.row([pod, one.class.clone(), one.values.to_string(), mounted]);
    }
    (!snapshot.volumes.is_empty()).then(|| table.print(width.columns(), &[0, 1]))
}

fn shares(snapshot: &Snapshot, width: Width) -> Option<String> {
    let mut table = Table::new(["PART", "USED", "MAXIMUM", "BY NAMESPACE"]);
    for one in &snapshot.shares {
        let amount = |amount: usize| match one.unit {
            Unit::Bytes => size(amount),
            Unit::Mounts => amount.to_string(),
        };
        let namespaces = one.namespaces.iter().map(|share| {
            let waiting =
                if share.waiting > 0 { format!(" ({} waiting)", share.waiting) } else { String::new() };
            let namespace = if share.namespace.is_empty() { "(earlier process)" } else { &share.namespace };
            format!("{namespace} {}{waiting}", amount(share.used))
        });
        table.row([one.part.clone(), amount(one.used), amount(one.max), named(namespaces.collect(), width)]);
    }
    Some(table.print(width.columns(), &[3]))
}

/// Every version of every value.
fn versions(snapshot: &Snapshot) -> impl Iterator<Item = (&Value, &Version)> {
    snapshot.values.iter().flat_map(|value| value.versions.iter().map(move |version| (value, version)))
}

/// The first of many, and how many more there are.
fn named(mut all: Vec<String>, width: Width) -> String {
    let more = all.len().saturating_sub(MAX_NAMED);
    if width != Width::Wide && more > 0 {
        all.truncate(MAX_NAMED);
        all.push(format!("and {more} more"));
    }
    all.join(", ")
}

fn account(who: &Who) -> String {
    format!("{}/{}", who.namespace, who.service_account)
}

/// The role that reads.
fn identity(who: &Who) -> String {
    let pod = who.pod_uid.as_ref().map(|uid| format!(" of pod {uid}")).unwrap_or_default();
    match (&who.assumed_role, &who.role, who.means) {
        (Some(assumed), _, _) => format!("{assumed} (assumed)"),
        (None, Some(role), _) => role.clone(),
        (None, None, Means::PodIdentity) => format!("Pod Identity{pod}"),
        (None, None, Means::Irsa) => "IRSA".to_owned(),
    }
}

fn name(value: &Value, version: &Version) -> String {
    match &version.asked {
        Some(asked) => format!("{} ({asked})", value.id),
        None => value.id.clone(),
    }
}

/// A version in the narrow form.
fn short(version: &str) -> String {
    match version.char_indices().nth(SHORT_VERSION + 1) {
        Some(_) => version.chars().take(SHORT_VERSION).chain(['…']).collect(),
        None => version.to_owned(),
    }
}

fn held(version: &Version) -> String {
    match (&version.held, &version.missing) {
        (Some(held), _) => held.clone(),
        (None, Some(missing)) => format!("none: {missing}"),
        (None, None) => "none".to_owned(),
    }
}

fn state(value: &Value) -> String {
    let state = match value.state {
        State::Fresh => "fresh",
        State::Overdue => "overdue",
        State::WaitsForToken => "waits for a token",
        State::Stale => "stale",
        State::Expired => "expired",
        State::NeverRead => "never read",
    };
    match &value.failed {
        Some(reason) => format!("{state} ({reason})"),
        None => state.to_owned(),
    }
}

fn since(snapshot: &Snapshot, time: Option<Time>) -> String {
    time.map_or_else(|| "never".to_owned(), |time| span(snapshot.taken_at.since(time)))
}

fn next(snapshot: &Snapshot, time: Option<Time>) -> String {
    match time {
        None => "none".to_owned(),
        Some(time) if time <= snapshot.taken_at => "now".to_owned(),
        Some(time) => format!("in {}", span(time.since(snapshot.taken_at))),
    }
}

fn left(snapshot: &Snapshot, until: Time) -> String {
    match until.since(snapshot.taken_at) {
        Duration::ZERO => "expired".to_owned(),
        left => format!("for {}", span(left)),
    }
}

/// `512 B`, `1.5 KiB`, `30 MiB`.
fn size(bytes: usize) -> String {
    let (unit, name) = match bytes {
        0..1024 => return format!("{bytes} B"),
        1024..1_048_576 => (1024, "KiB"),
        _ => (1_048_576, "MiB"),
    };
    let tenths = bytes * 10 / unit;
    if tenths.is_multiple_of(10) || tenths >= 1000 {
        format!("{} {name}", tenths / 10)
    } else {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
