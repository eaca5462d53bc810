//! The figures as a table for people and as JSON for programs.

use std::{
    io::{self, Write},
    path::Path,
};

use anyhow::Context;
use serde_json::json;

use super::{
    figures::{Measure, Row, millis, rows},
    scenario::Scenario,
    settings::{Settings, Subject},
    stage::Stage,
};

/// Prints figures as soon as they are measured, and keeps them for the JSON file.
pub(super) struct Report {
    rows: Vec<Row>,
    settings: serde_json::Value,
}

impl Report {
    /// Prints the conditions of the measurement.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(super) fn new(settings: &Settings, stage: &Stage) -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let (aws, kubernetes) = (millis(settings.latency), millis(settings.kubernetes_latency));
        let mut out = io::stdout().lock();
        writeln!(
            out,
            "{cores} cores, load {}; AWS answers after {aws} ms{}, Kubernetes after {kubernetes} ms.",
            load_average(),
            if settings.plain {
                " without TLS"
            } else {
                ", and a new TLS connection to it takes two such round trips"
            },
        )?;
        if let Subject::Running { socket, .. } = &settings.subject {
            writeln!(
                out,
                "Measuring the provider at {}. It must use the Pod Identity agent {}, the kubeconfig {} and \
                 the environment:",
                socket.display(),
                stage.aws.agent,
                stage.kubeconfig.display()
            )?;
            for (name, value) in stage.aws.environment() {
                writeln!(out, "{name}={}", value.display())?;
            }
        }
        writeln!(out, "\n{}", line(["SCENARIO", "FIGURE", "MEDIAN", "MIN", "MAX", "BAR", ""]))?;
        let settings = json!({
            "cores": cores,
            "tls": !settings.plain,
            "awsLatencyMilliseconds": aws,
            "kubernetesLatencyMilliseconds": kubernetes,
            "mountsAtOnce": settings.at_once,
            "intervalMilliseconds": millis(settings.interval),
        });
        Ok(Self { rows: Vec::new(), settings })
    }

    /// Prints a scenario's figures.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(super) fn add(&mut self, scenario: &'static str, repetitions: &[Vec<Measure>]) -> io::Result<()> {
        let rows = rows(scenario, repetitions);
        let mut out = io::stdout().lock();
        if rows.is_empty() {
            let why = "not measured: the provider already runs";
            writeln!(out, "{}", line([scenario, why, "", "", "", "", ""]))?;
        }
        for row in &rows {
            writeln!(out, "{}", text(row))?;
        }
        self.rows.extend(rows);
        out.flush()
    }

    /// Prints how many bars were met and missed, and writes the JSON file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn end(self, json: Option<&Path>) -> anyhow::Result<()> {
        let bars = self.rows.iter().filter_map(|row| row.met);
        let (met, missed): (Vec<bool>, Vec<bool>) = bars.partition(|met| *met);
        let load = load_average();
        writeln!(io::stdout(), "\n{} bars met, {} missed; load {load}.", met.len(), missed.len())?;
        let Some(path) = json else { return Ok(()) };
        let all = json!({ "settings": self.settings, "loadAverage": load, "figures": self.rows });
        let text = serde_json::to_string_pretty(&all)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Prints the scenarios.
///
/// # Errors
/// When standard output is closed.
pub(super) fn list() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for scenario in Scenario::ALL {
        writeln!(out, "{:<20}{}", scenario.name(), scenario.about())?;
    }
    out.flush()
}

fn text(row: &Row) -> String {
    let [median, min, max] = [row.median, row.min, row.max].map(|value| row.unit.text(value));
    let (min, max) = if row.values.len() > 1 { (min, max) } else { (String::new(), String::new()) };
    let bar = row.bar.map(|bar| bar.text(row.unit)).unwrap_or_default();
    let met = match row.met {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "",
    };
    line([row.scenario, &row.figure, &median, &min, &max, &bar, met])
}

fn line([scenario, figure, median, min, max, bar, met]: [&str; 7]) -> String {
    let line = format!("{scenario:<19} {figure:<53} {median:>10} {min:>10} {max:>10}  {bar:<12} {met}");
    line.trim_end().to_owned()
}

/// The first two load averages, which show whether the machine has other work too.
fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}
