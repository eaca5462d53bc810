//! `--watch`: a terminal is drawn again; a pipe gets a line for each change.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::{Duration, SystemTime},
};

use anyhow::Context;
use tokio::time::Instant;

use super::{Amazon, feed::Feed, shown::Printer, versions};
use crate::{
    cli::tools::rotation::RotationForm,
    clock::Time,
    live::Live,
    table::escaped,
    uptake::{AwsVersions, Report, json, moves},
};

/// How often ages are drawn again.
const REDRAWN: Duration = Duration::from_secs(5);
/// How often AWS is asked again, and Latchkey's events are read.
const ASKED: Duration = Duration::from_secs(30);

pub(super) async fn run(
    live: &Live,
    mut feed: Feed,
    mut printer: Printer<'_>,
    amazon: Option<&Amazon>,
    mut aws: AwsVersions,
) -> anyhow::Result<ExitCode> {
    let redraw = io::stdout().is_terminal() && printer.args.output != RotationForm::Json;
    let mut before = None;
    let mut asked = None;
    loop {
        if asked.is_none_or(|asked: Instant| asked.elapsed() >= ASKED) {
            if let Some(amazon) = amazon
                && asked.is_some()
            {
                aws = versions::ask(amazon, &Report::new(&feed.fleet, &printer.question(&aws))).await?;
            }
            printer.read_events(live, &feed.fleet, &aws).await;
            asked = Some(Instant::now());
        }
        let text = {
            let report = Report::new(&feed.fleet, &printer.question(&aws));
            let (held, lines) = moves(&report, before.as_ref());
            let first = before.is_none();
            before = Some(held);
            let now = Time::of(SystemTime::now());
            if redraw {
                let lost = feed
                    .lost
                    .as_ref()
                    .map_or_else(String::new, |error| format!("\n{}\n", escaped(&error.to_string())));
                screen(&format!("{now}\n\n{}{lost}", printer.print(&report, None)))
            } else if first || !lines.is_empty() {
                match printer.args.output {
                    RotationForm::Json => json(&report, &printer.shown(None), false),
                    _ if first => printer.print(&report, None),
                    _ => lines.iter().map(|line| format!("{now} {line}\n")).collect(),
                }
            } else {
                String::new()
            }
        };
        match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
            // The reader has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            written => written.context("cannot write to standard output")?,
        }
        feed.changed(Instant::now() + REDRAWN).await?;
    }
}

/// The text from the top of the screen, without flickering.
fn screen(text: &str) -> String {
    let lines = text.replace('\n', "\u{1b}[K\n");
    format!("\u{1b}[H{lines}\u{1b}[J")
}
