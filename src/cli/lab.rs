//! The subcommands that the image leaves out: `demo`, `emulator` and `bench`.

mod bench;

use std::path::PathBuf;

use clap::{Args, Subcommand};

pub(crate) use self::bench::BenchArgs;
use super::LogArgs;

/// Subcommands that need no cluster and no AWS account.
#[derive(Debug, Subcommand)]
pub(crate) enum LabCommand {
    /// See Latchkey work: an emulated AWS, a real provider, two pods, a rotation
    Demo,
    /// Run an emulated AWS (Secrets Manager, Parameter Store, STS, Pod Identity agent, SQS)
    Emulator(EmulatorArgs),
    /// Measure the speed, AWS calls, CPU and memory of a provider against an emulated AWS
    Bench(Box<BenchArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct EmulatorArgs {
    /// YAML file with the initial secrets, parameters, queues and roles
    #[arg(long, value_name = "FILE")]
    pub(crate) store: PathBuf,
    /// Address to listen on; use 0.0.0.0:4566 inside a cluster
    #[arg(long, default_value = "127.0.0.1:4566")]
    pub(crate) address: std::net::SocketAddr,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}
