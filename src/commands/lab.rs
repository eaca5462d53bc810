//! `latchkey demo`, `latchkey emulator` and `latchkey bench`.

use std::process::ExitCode;

use anyhow::Context;
use latchkey_emulator::{Emulator, Store};
use latchkey_lab::bench;

use super::terminated;
use crate::{
    cli::lab::{BenchArgs, EmulatorArgs, LabCommand},
    demo, telemetry,
};

/// Carries one of them out.
pub(super) async fn run(command: LabCommand) -> anyhow::Result<ExitCode> {
    match command {
        LabCommand::Demo => demo::run().await,
        LabCommand::Emulator(args) => emulate(&args).await,
        LabCommand::Bench(args) => measure(&args).await,
    }
}

async fn emulate(args: &EmulatorArgs) -> anyhow::Result<ExitCode> {
    let _panics = telemetry::init(args.log.format(), args.log.level());
    let store = Store::from_file(&args.store)
        .with_context(|| format!("cannot use {} as a store", args.store.display()))?;
    let listener = tokio::net::TcpListener::bind(args.address)
        .await
        .with_context(|| format!("cannot listen on {} (--address)", args.address))?;
    let address = listener.local_addr()?;
    tracing::info!("emulating AWS: export AWS_ENDPOINT_URL=http://{address}");
    Emulator::new(store).serve(listener, terminated()?).await?;
    Ok(ExitCode::SUCCESS)
}

async fn measure(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    if args.list() {
        return bench::list();
    }
    tokio::select! {
        code = bench::run(args.settings()) => code,
        // A provider that the bench has started ends with it.
        () = terminated()? => anyhow::bail!("stopped before the end"),
    }
}
