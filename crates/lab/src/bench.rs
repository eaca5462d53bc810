//! `latchkey bench`: measures how fast a provider mounts, how many calls to AWS and
//! Kubernetes it makes, and how much CPU and memory it uses.
//!
//! The provider runs in a process of its own, so that its CPU and memory can be told
//! apart. This process plays everything else: the driver, AWS and Kubernetes.

mod figures;
mod kubernetes;
mod load;
mod play;
mod provider;
mod report;
mod scenario;
mod settings;
mod stage;
mod usage;

use std::process::ExitCode;

use self::{report::Report, stage::Stage};
pub use self::{
    scenario::Scenario,
    settings::{Settings, Subject},
};

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
            repetitions.push(play::play(*scenario, &settings, &stage).await?);
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
