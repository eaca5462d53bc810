//! `latchkey bench`: measures how fast a provider mounts, how many calls to AWS and
//! Kubernetes it makes, and how much CPU and memory it uses.
//!
//! The provider runs in a process of its own, so that its CPU and memory can be told
//! apart. This process plays everything else: the driver, AWS and Kubernetes.

mod figures;
mod kubernetes;
mod load;
mod provider;
mod report;
mod scenarios;
mod stage;
mod usage;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

pub use self::{provider::Subject, scenarios::Scenario};
use self::{report::Report, stage::Stage};

/// What to measure, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    pub subject: Subject,
    /// What to play, in this order.
    pub scenarios: Vec<Scenario>,
    /// How often to play each scenario; `None` for the scenario's own number.
    pub repeat: Option<u32>,
    /// How long AWS takes to answer, and how long each round trip of a new TLS
    /// connection takes.
    pub latency: Duration,
    /// How long Kubernetes takes to answer.
    pub kubernetes_latency: Duration,
    /// Use HTTP instead of HTTPS to reach AWS.
    pub plain: bool,
    /// The address of Secrets Manager.
    pub aws_address: SocketAddr,
    pub sts_address: SocketAddr,
    pub agent_address: SocketAddr,
    pub kubernetes_address: SocketAddr,
    /// How many mounts the loop keeps running at once.
    pub at_once: u32,
    pub loop_time: Duration,
    /// How long to wait before the memory of an idle provider is read.
    pub idle_time: Duration,
    /// The provider's poll interval in the scenarios rotation, change and outage.
    pub interval: Duration,
    /// How many intervals the scenario rotation lasts.
    pub intervals: u32,
    /// How many changes of a value to time.
    pub changes: u32,
    /// Where to write the figures as JSON.
    pub json: Option<PathBuf>,
}

/// Plays the scenarios and prints their figures.
///
/// # Errors
/// When the provider does not answer or refuses a mount.
pub async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    let stage = Stage::start(&settings).await?;
    let mut report = Report::new(&settings, &stage)?;
    for scenario in &settings.scenarios {
        let repeat = settings.repeat.unwrap_or_else(|| scenario.repetitions());
        let mut repetitions = Vec::new();
        for _ in 0..repeat.max(1) {
            repetitions.push(scenario.play(&settings, &stage).await?);
        }
        report.add(scenario.name(), &repetitions)?;
    }
    report.end(settings.json.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the scenarios.
///
/// # Errors
/// When standard output is closed.
pub fn list() -> anyhow::Result<ExitCode> {
    report::list()?;
    Ok(ExitCode::SUCCESS)
}
