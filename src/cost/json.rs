//! The estimate as one JSON document.

use serde::Serialize;
use serde_json::Value;

use super::{Scenario, Settings, Usage, dollars};
use crate::findings::Finding;

/// The version of the document's form. It grows when a field changes or goes.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    classes: usize,
    pods: usize,
    principals: usize,
    nodes: usize,
    nodes_assumed: bool,
    secrets: usize,
    parameters: usize,
    secrets_dollars_a_month: f64,
    scenarios: Vec<Estimated<'a>>,
    skipped: Vec<NotCounted<'a>>,
    findings: Value,
}

#[derive(Serialize)]
struct Estimated<'a> {
    title: &'a str,
    calls_a_day: f64,
    dollars_a_day: f64,
    operations: Vec<OfOperation>,
}

#[derive(Serialize)]
struct OfOperation {
    service: &'static str,
    operation: &'static str,
    region: Option<String>,
    calls_a_day: f64,
    values_a_day: f64,
    dollars_a_day: f64,
    quota_a_second: Option<f64>,
    calls_of_a_restart: f64,
}

#[derive(Serialize)]
struct NotCounted<'a> {
    place: String,
    problem: &'a str,
}

/// The estimate as JSON, indented. The first scenario is that of the settings.
pub fn json(usage: &Usage, scenarios: &[Scenario], settings: &Settings, findings: &[Finding]) -> String {
    let (secrets, parameters) = usage.objects();
    let skipped = usage.skipped.iter();
    let document = Document {
        version: VERSION,
        classes: usage.classes,
        pods: usage.pods(),
        principals: usage.principals(),
        nodes: usage.cluster_nodes,
        nodes_assumed: usage.nodes_assumed,
        secrets,
        parameters,
        secrets_dollars_a_month: rounded(settings.prices.secret_month * secrets as f64),
        scenarios: scenarios.iter().map(|scenario| estimated(scenario, settings)).collect(),
        skipped: skipped.map(|it| NotCounted { place: it.place.to_string(), problem: &it.problem }).collect(),
        findings: of_findings(findings),
    };
    // Texts and numbers can always be written.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

fn estimated<'a>(scenario: &'a Scenario, settings: &Settings) -> Estimated<'a> {
    let operations = scenario.totals.iter().map(|((operation, region), calls)| OfOperation {
        service: operation.service(),
        operation: operation.as_str(),
        region: region.as_ref().map(ToString::to_string),
        calls_a_day: rounded(calls.calls),
        values_a_day: rounded(calls.values),
        dollars_a_day: rounded(dollars::of(*operation, calls, settings)),
        quota_a_second: settings.prices.quota(*operation, settings.higher_throughput),
        calls_of_a_restart: rounded(calls.restart),
    });
    Estimated {
        title: &scenario.title,
        calls_a_day: rounded(scenario.calls()),
        dollars_a_day: rounded(scenario.dollars),
        operations: operations.collect(),
    }
}

/// The findings, in the form that every command gives them.
fn of_findings(findings: &[Finding]) -> Value {
    let document: Value = serde_json::from_str(&crate::findings::json(findings)).unwrap_or_default();
    document.get("findings").cloned().unwrap_or_default()
}

/// Without digits that only floating point has made.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}
