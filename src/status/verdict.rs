//! The first line of the status: whether all is well and, if not, what is wrong.

use std::collections::BTreeSet;

use super::snapshot::{Pods, Snapshot, SocketState, State, Value};

/// Everything that is wrong, the most urgent first; or that all is well.
pub(super) fn verdict(snapshot: &Snapshot) -> String {
    let problems: Vec<String> = [
        socket(snapshot),
        failing(snapshot),
        denials(snapshot),
        outage(snapshot, State::Expired, "too old to be served"),
        outage(snapshot, State::Stale, "stale"),
        count(snapshot, State::WaitsForToken).map(|(count, be)| {
            let waits = if be == "is" { "waits" } else { "wait" };
            format!("{count} {waits} for a token, which the next mount brings")
        }),
        count(snapshot, State::Overdue).map(|(count, be)| format!("{count} {be} overdue: a read is late")),
        snapshot
            .token_keys
            .warning
            .as_ref()
            .map(|_| "pods' tokens are not verified as they should be".to_owned()),
    ]
    .into_iter()
    .flatten()
    .collect();
    if problems.is_empty() { well(snapshot) } else { problems.join("; ") }
}

fn well(snapshot: &Snapshot) -> String {
    if snapshot.values.is_empty() {
        return "All is well: this node holds no values".to_owned();
    }
    let principals = snapshot.principals.iter().filter(|one| one.values > 0).count();
    let (values, principals) = (plural(snapshot.values.len(), "value"), plural(principals, "principal"));
    let unread = snapshot.values.iter().filter(|value| value.state == State::NeverRead).count();
    let fresh =
        if unread == 0 { "all fresh".to_owned() } else { format!("{unread} being read for the first time") };
    format!("All is well: {values} for {principals}, {fresh}")
}

fn socket(snapshot: &Snapshot) -> Option<String> {
    match snapshot.socket.state {
        SocketState::Ours => None,
        SocketState::Starting => Some("the driver's socket is not bound yet".to_owned()),
        SocketState::Succeeded => Some("a newer Latchkey has taken over the driver's socket".to_owned()),
        SocketState::Foreign => Some("another provider holds the driver's socket".to_owned()),
    }
}

fn failing(snapshot: &Snapshot) -> Option<String> {
    let Pods { fresh, stale, failing } = snapshot.pods;
    let be = if failing == 1 { "fails" } else { "fail" };
    (failing > 0).then(|| format!("{failing} of {} {be}", plural(fresh + stale + failing, "mount")))
}

fn denials(snapshot: &Snapshot) -> Option<String> {
    let denials = &snapshot.denials;
    let reasons = denials.iter().map(|denial| denial.reason.as_str());
    (!denials.is_empty())
        .then(|| format!("AWS refuses {} ({})", plural(denials.len(), "read"), distinct(reasons)))
}

fn outage(snapshot: &Snapshot, state: State, is: &str) -> Option<String> {
    let (count, be) = count(snapshot, state)?;
    let reasons = of(snapshot, state).filter_map(|value| value.failed.as_deref());
    Some(format!("{count} {be} {is}: AWS fails ({})", distinct(reasons)))
}

/// How many of the values are in this state, and the verb for them.
fn count(snapshot: &Snapshot, state: State) -> Option<(String, &'static str)> {
    let count = of(snapshot, state).count();
    let be = if count == 1 { "is" } else { "are" };
    (count > 0).then(|| (format!("{count} of {}", plural(snapshot.values.len(), "value")), be))
}

fn of(snapshot: &Snapshot, state: State) -> impl Iterator<Item = &Value> {
    snapshot.values.iter().filter(move |value| value.state == state)
}

fn distinct<'a>(reasons: impl Iterator<Item = &'a str>) -> String {
    reasons.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
