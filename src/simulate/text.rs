//! The outcome for a terminal.

use std::fmt::Write;

use super::{Outcome, Scenario, ServiceOutcome, outcome::Summary};
use crate::table::{Table, grouped};

const CALLS: [&str; 8] =
    ["OPERATION", "QUOTA", "ASKED/S", "CALLS/S", "PEAK/S", "ANSWERED/S", "THROTTLED", "$ A DAY"];
const VALUES: [&str; 6] =
    ["OPERATION", "STRETCH", "LONGEST", "MEDIAN AGE", "OLDEST AT THE END", "OLDEST EVER"];
const TIMES: [&str; 5] = ["", "COUNT", "MEDIAN", "P99", "MAX"];

/// The outcome as tables.
pub fn text(outcome: &Outcome) -> String {
    let mut calls = Table::new(CALLS);
    let mut values = Table::new(VALUES);
    for service in &outcome.services {
        calls.row(of_calls(service));
        values.row(of_values(service));
    }
    let mut times = Table::new(TIMES);
    times.row(of_times("pod start until its values are read", outcome.mounts.served, &outcome.mounts.waits));
    if let Some(changes) = &outcome.changes {
        let count = u64::from(outcome.nodes) * changes.number as u64 - changes.not_served as u64;
        times.row(of_times("change until a node serves it", count, &changes.served));
    }
    let tables = [calls.print(None, &[]), values.print(None, &[]), times.print(None, &[])];
    format!("{}\n\n{}\n{}", premises(outcome), tables.join("\n"), remarks(outcome))
}

fn premises(outcome: &Outcome) -> String {
    let scenario = match outcome.scenario {
        Scenario::Steady => "steady",
        Scenario::Restart => "all nodes restart in the eleventh minute",
        Scenario::Outage => "AWS answers nothing from minute 10 to 20",
        Scenario::Change => "a secret that all nodes hold changes every 5 minutes",
    };
    format!(
        "{} nodes with {} principals each, {} h, {} change notices: {scenario}",
        grouped(outcome.nodes),
        grouped(outcome.accounts_per_node),
        outcome.hours,
        if outcome.notices { "with" } else { "without" }
    )
}

fn of_calls(service: &ServiceOutcome) -> [String; 8] {
    [
        service.operation.to_owned(),
        grouped(service.quota),
        rate(service.asked),
        rate(service.calls),
        grouped(service.peak),
        rate(service.answered),
        format!("{:.1} %", service.throttled_share * 100.0),
        format!("{:.2}", service.dollars_a_day),
    ]
}

fn of_values(service: &ServiceOutcome) -> [String; 6] {
    [
        service.operation.to_owned(),
        format!("{:.2}", service.stretch),
        format!("{:.2}", service.longest_stretch),
        seconds(service.ages.median),
        seconds(service.ages.oldest),
        seconds(service.ages.oldest_ever),
    ]
}

fn of_times(what: &str, count: u64, times: &Summary) -> [String; 5] {
    [what.to_owned(), grouped(count as f64), seconds(times.median), seconds(times.p99), seconds(times.max)]
}

fn remarks(outcome: &Outcome) -> String {
    let mounts = &outcome.mounts;
    let mut text = format!(
        "Mounts: {} started, {} waited because a call was throttled, {} failed for throttling.\n",
        grouped(mounts.started as f64),
        grouped(mounts.throttled as f64),
        grouped(mounts.failed_by_throttling as f64)
    );
    if mounts.failed_by_outage > 0 {
        let failed = grouped(mounts.failed_by_outage as f64);
        let _ = writeln!(text, "In the outage {failed} tries of mounts failed; kubelet repeats them.");
    }
    if mounts.started > mounts.served {
        let open = grouped((mounts.started - mounts.served) as f64);
        let _ = writeln!(text, "At the end {open} mounts were still waiting.");
    }
    if let Some(changes) = outcome.changes.as_ref().filter(|changes| changes.not_served > 0) {
        let late = grouped(changes.not_served as f64);
        let _ = writeln!(text, "At the end {late} reads of a change were still to come.");
    }
    text
}

/// Small rates have digits after the point.
fn rate(calls: f64) -> String {
    if calls < 100.0 { format!("{calls:.1}") } else { grouped(calls) }
}

fn seconds(seconds: f64) -> String {
    if seconds < 100.0 { format!("{seconds:.1} s") } else { format!("{} s", grouped(seconds)) }
}
