//! `latchkey status`: asks the provider on this node what it holds, and prints it.

use std::{io, path::Path, process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use tokio::{io::AsyncReadExt, net::UnixStream, time::timeout};

use super::output::print;
use crate::{
    cli::{StatusArgs, StatusForm},
    status::{Snapshot, Width, json, text},
};

/// The provider answers within five seconds, once it has a place for the connection.
const PATIENCE: Duration = Duration::from_secs(15);
/// Maximum size of an answer: far more than a node's memory for values allows.
const MAX_ANSWER: u64 = 256 << 20;
/// Columns that the text takes without `--wide`.
const COLUMNS: usize = 100;

pub(super) async fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let answer = match timeout(PATIENCE, ask(&args.socket)).await {
        Ok(answer) => answer?,
        Err(_) => bail!("no answer from {} within {} s", args.socket.display(), PATIENCE.as_secs()),
    };
    if answer.is_empty() {
        bail!(
            "the provider closed {} without an answer: it is stopping, or it is too busy, or it does not accept this user (only root and its own user may ask)",
            args.socket.display()
        );
    }
    let snapshot: Snapshot = serde_json::from_slice(&answer)
        .context("the answer is not the status of this version: use the `latchkey` of the same image")?;
    let snapshot = match &args.namespace {
        Some(namespace) => snapshot.only(namespace),
        None => snapshot,
    };
    let width = if args.wide { Width::Wide } else { Width::Columns(COLUMNS) };
    let printed = match args.output {
        StatusForm::Text => text(&snapshot, width),
        StatusForm::Json => json(&snapshot)?,
    };
    print(printed)?;
    Ok(ExitCode::SUCCESS)
}

/// The whole document.
async fn ask(socket: &Path) -> anyhow::Result<Vec<u8>> {
    let stream = UnixStream::connect(socket).await.map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                "run this command in Latchkey's container, or name the socket with --socket"
            }
            io::ErrorKind::PermissionDenied => "only root and the provider's own user may ask",
            _ => "check --socket",
        };
        anyhow::anyhow!("no Latchkey serves status at {}: {error}; {advice}", socket.display())
    })?;
    let mut answer = Vec::new();
    let read = stream.take(MAX_ANSWER).read_to_end(&mut answer).await;
    read.with_context(|| format!("the answer from {} ended early", socket.display()))?;
    Ok(answer)
}
