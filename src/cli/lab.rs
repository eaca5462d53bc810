//! The subcommands that the image leaves out: `demo`, `emulator` and `bench`.

mod bench;

use std::path::PathBuf;

use clap::{Args, Subcommand};

pub use self::bench::BenchArgs;
use super::LogArgs;

/// What needs no cluster and no AWS account.
#[derive(Debug, Subcommand)]
pub enum LabCommand {
    /// See it work: an emulated AWS, a real provider, two pods, a rotation
    Demo,
    /// Serve an emulated AWS (Secrets Manager, Parameter Store, STS, Pod Identity agent)
    Emulator(EmulatorArgs),
    /// Measure a provider's speed, AWS calls, CPU and memory against an emulated AWS
    Bench(Box<BenchArgs>),
}

/// `latchkey emulator`.
#[derive(Debug, Args)]
pub struct EmulatorArgs {
    /// The secrets, parameters and roles that exist at the start, a YAML file
    #[arg(long, value_name = "FILE")]
    pub store: PathBuf,
    /// Where to listen; use 0.0.0.0:4566 inside a cluster
    #[arg(long, default_value = "127.0.0.1:4566")]
    pub address: std::net::SocketAddr,
    /// Logs.
    #[command(flatten)]
    pub log: LogArgs,
}
