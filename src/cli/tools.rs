//! The commands for people, on their own machines and in pipelines.

pub(crate) mod access;
pub(crate) mod check;
pub(crate) mod complete;
pub(crate) mod cost;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod inputs;
pub(crate) mod policy;
pub(crate) mod reference;
pub(crate) mod rotation;
pub(crate) mod simulate;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum ToolCommand {
    /// Find what is wrong with SecretProviderClasses and with pods that mount them
    Check(Box<check::CheckArgs>),
    /// Print the least IAM policies for service accounts, or compare given ones
    Policy(Box<policy::PolicyArgs>),
    /// Show who can read which secret: service accounts, their roles, what these allow
    Access(Box<access::AccessArgs>),
    /// Show which pods hold which version of a secret, and wait until all have the current one
    Rotation(Box<rotation::RotationArgs>),
    /// Estimate the calls and dollars a day of SecretProviderClasses, against AWS's quotas
    Cost(Box<cost::CostArgs>),
    /// Simulate a fleet against AWS's quotas: calls, throttling, age of values, time until a change arrives
    Simulate(simulate::SimulateArgs),
    /// Look at a live cluster, and say what is wrong with the driver, Latchkey, nodes and pods
    Doctor(doctor::DoctorArgs),
    /// Explain a parameter, flag, reason, finding, metric or alert
    Explain(explain::ExplainArgs),
    /// Print the completions of a shell
    Completions(reference::CompletionsArgs),
    /// Write a man page for each command into a folder
    Man(reference::ManArgs),
}
