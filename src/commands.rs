//! Runs the subcommands.

#[cfg(feature = "emulator")]
mod lab;
mod mount;
mod notices;
mod output;
mod status;
#[cfg(feature = "tools")]
mod tools;

use std::{io::Write, process::ExitCode};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    app::{self, Config},
    cli::{Cli, Command, Name, ServeArgs},
    telemetry,
};

/// Maximum number of worker threads. The provider mostly waits for the network.
const MAX_WORKERS: usize = 4;
/// Limit of open files: several times what connections and volumes need.
const MAX_DESCRIPTORS: u64 = 8192;

/// Runs the command. Errors are meant for people.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let workers = std::thread::available_parallelism().map_or(2, usize::from).min(MAX_WORKERS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .context("cannot start")?;
    runtime.block_on(async {
        match cli.command {
            Command::Serve(args) => serve(&args).await,
            Command::Mount(args) => mount::run(&args).await,
            Command::Status(args) => status::run(&args).await,
            Command::Notices(args) => notices::run(&args).await,
            #[cfg(feature = "tools")]
            Command::Tool(command) => tools::run(command).await,
            #[cfg(feature = "emulator")]
            Command::Lab(command) => lab::run(command).await,
        }
    })
}

/// Prints an error and all its causes to standard error.
pub fn report(name: Name, error: &anyhow::Error) {
    // If standard error is closed, nobody can read the message.
    let _ = writeln!(std::io::stderr(), "{}: {error:#}", name.as_str());
}

async fn serve(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let panics = telemetry::init(args.log().format(), args.log().level());
    protect_memory();
    allow_descriptors();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting");
    app::serve(Config { panics, ..args.config()? }, terminated()?).await?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Forbids core dumps, and ptrace by other processes of the same user, because the
/// process's memory contains secrets.
fn protect_memory() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    let protected = set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .and_then(|()| setrlimit(Resource::Core, no_core));
    if let Err(error) = protected {
        tracing::warn!("cannot protect the process's memory from core dumps: {error}");
    }
}

/// Raises the limit of open files. Container runtimes start a process with as few as
/// 1,024, for the sake of old programs, and allow it to raise the limit.
fn allow_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(MAX_DESCRIPTORS, |maximum| maximum.min(MAX_DESCRIPTORS));
    if current.is_some_and(|current| current < wanted) {
        let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
        if let Err(error) = raised {
            tracing::warn!(
                "cannot raise the limit of open files; it stays at {}: {error}",
                current.unwrap_or_default()
            );
        }
    }
}

/// Completes on SIGTERM or Ctrl-C.
fn terminated() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
