//! `latchkey bench`: how fast a provider mounts, what it asks of AWS and
//! Kubernetes for it, and what CPU and memory it takes.
//!
//! The provider is a process of its own, so that its CPU and memory are its
//! alone. This process plays everything else: the driver, AWS, Kubernetes.

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

/// What is measured, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which provider.
    pub subject: Subject,
    /// What is played, in this order.
    pub scenarios: Vec<Scenario>,
    /// How often each is played; `None` for its own number.
    pub repeat: Option<u32>,
    /// How long AWS takes for each answer, and for each round trip of a new
    /// TLS connection.
    pub latency: Duration,
    /// How long Kubernetes takes.
    pub kubernetes_latency: Duration,
    /// HTTP instead of HTTPS to AWS.
    pub plain: bool,
    /// Where Secrets Manager is served.
    pub aws_address: SocketAddr,
    /// Where STS is served.
    pub sts_address: SocketAddr,
    /// Where the Pod Identity agent is served.
    pub agent_address: SocketAddr,
    /// Where Kubernetes is served.
    pub kubernetes_address: SocketAddr,
    /// How many mounts the loop has under way.
    pub at_once: u32,
    /// How long the loop runs.
    pub loop_time: Duration,
    /// How long nothing happens before memory is read.
    pub idle_time: Duration,
    /// The provider's poll interval where rotation or an outage is played.
    pub interval: Duration,
    /// How many such intervals are played.
    pub intervals: u32,
    /// How many changes of a value are timed.
    pub changes: u32,
    /// Where the figures are written as JSON.
    pub json: Option<PathBuf>,
}

/// Plays the scenarios and prints their figures.
///
/// # Errors
/// When the provider does not serve or refuses a mount.
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
