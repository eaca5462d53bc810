//! Runs the commands for people.

mod access;
mod amazon;
mod check;
mod cost;
mod doctor;
mod explain;
mod inputs;
mod policy;
mod reference;
mod rotation;
mod simulate;

use std::process::ExitCode;

use super::output;
use crate::cli::tools::ToolCommand;

pub(super) async fn run(command: ToolCommand) -> anyhow::Result<ExitCode> {
    match command {
        ToolCommand::Check(args) => check::run(&args).await,
        ToolCommand::Policy(args) => policy::run(&args).await,
        ToolCommand::Access(args) => access::run(&args).await,
        ToolCommand::Rotation(args) => rotation::run(&args).await,
        ToolCommand::Cost(args) => cost::run(&args).await,
        ToolCommand::Simulate(args) => simulate::run(&args),
        ToolCommand::Doctor(args) => doctor::run(&args).await,
        ToolCommand::Explain(args) => explain::run(&args),
        ToolCommand::Completions(args) => reference::completions(&args),
        ToolCommand::Man(args) => reference::man(&args),
    }
}
