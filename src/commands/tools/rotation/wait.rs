//! `--wait`: until every running pod holds the current version.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::{bail, ensure};
use tokio::time::Instant;

use super::{Amazon, feed::Feed, shown::Printer, versions};
use crate::{
    cli::tools::rotation::{RotationArgs, RotationForm},
    commands::output,
    live::Live,
    table::{escaped, span},
    uptake::{AwsVersions, Object, Report, counted},
};

/// How often a pipe hears how far it is, at most.
const TOLD: Duration = Duration::from_secs(10);
/// How often AWS is asked again: it may have rotated once more.
const ASKED: Duration = Duration::from_secs(30);
/// How often a terminal does.
const REDRAWN: Duration = Duration::from_secs(1);
/// Waiting pods in one line.
const IN_LINE: usize = 3;
const CLEAR: &str = "\r\u{1b}[K";

pub(super) async fn run(
    args: &RotationArgs,
    live: &Live,
    mut feed: Feed,
    mut printer: Printer<'_>,
    amazon: Option<&Amazon>,
    mut aws: AwsVersions,
    began: Instant,
) -> anyhow::Result<ExitCode> {
    check(args, &Report::new(&feed.fleet, &printer.question(&aws)), &aws)?;
    let deadline = began + args.timeout;
    let mut line = Line::new();
    let mut asked = Instant::now();
    loop {
        if let Some(amazon) = amazon
            && asked.elapsed() >= ASKED
        {
            aws = versions::ask(amazon, &Report::new(&feed.fleet, &printer.question(&aws))).await?;
            asked = Instant::now();
        }
        let all_have_it = {
            let report = Report::new(&feed.fleet, &printer.question(&aws));
            let waiting = report.waiting().count();
            if waiting > 0 {
                line.show(&progress(&report, waiting, began.elapsed(), args.timeout));
            }
            waiting == 0
        };
        if all_have_it {
            // Another rotation may have begun meanwhile.
            let again = match amazon {
                Some(amazon) => {
                    let asked =
                        versions::ask(amazon, &Report::new(&feed.fleet, &printer.question(&aws))).await?;
                    check(args, &Report::new(&feed.fleet, &printer.question(&asked)), &asked)?;
                    aws = asked;
                    Report::new(&feed.fleet, &printer.question(&aws)).waiting().next().is_some()
                }
                None => false,
            };
            if !again {
                drop(line);
                let report = Report::new(&feed.fleet, &printer.question(&aws));
                output::print(reached(args, &printer, &report, began.elapsed()))?;
                return Ok(ExitCode::SUCCESS);
            }
            continue;
        }
        if Instant::now() >= deadline {
            break;
        }
        feed.changed(deadline.min(Instant::now() + line.pause())).await?;
    }
    drop(line);
    printer.read_events(live, &feed.fleet, &aws).await;
    let report = Report::new(&feed.fleet, &printer.question(&aws));
    let waiting = report.waiting().count();
    output::print(printer.print(&report, Some(false)))?;
    let lost =
        feed.lost.as_ref().map_or_else(String::new, |error| format!(". The last known state: {error}"));
    let _ = writeln!(
        io::stderr(),
        "latchkey: {} after {}: {}{lost}",
        if waiting == 1 { "1 pod still waits".to_owned() } else { format!("{waiting} pods still wait") },
        span(args.timeout),
        named(&report)
    );
    Ok(ExitCode::FAILURE)
}

/// Whether it is clear what to wait for.
fn check(args: &RotationArgs, report: &Report<'_>, aws: &AwsVersions) -> anyhow::Result<()> {
    let following: Vec<&Object> = report
        .objects
        .iter()
        .map(|report| &*report.object)
        .filter(|object| object.follows_rotation())
        .collect();
    let name = args.name.as_deref().unwrap_or_default();
    ensure!(
        !following.is_empty(),
        "classes mount {name} only with another version than the current one: no rotation reaches them"
    );
    if args.version.is_some() {
        let names: Vec<String> = following.iter().map(|object| object.to_string()).collect();
        ensure!(
            names.len() == 1,
            "{name} means {} objects, and --version belongs to one of them: {}",
            names.len(),
            names.join(", ")
        );
        return Ok(());
    }
    if let Some((object, problem)) = aws.problems().next() {
        bail!("cannot ask AWS for the current version of {object}: {problem}. Or name it with --version");
    }
    if let Some(unknown) = following.iter().find(|object| object.service.is_none()) {
        bail!("no class says which object {unknown} is of: name its version with --version");
    }
    Ok(())
}

fn reached(args: &RotationArgs, printer: &Printer<'_>, report: &Report<'_>, took: Duration) -> String {
    if args.output == RotationForm::Json {
        return printer.print(report, Some(true));
    }
    let mut text = String::new();
    for object in report.objects.iter().filter(|report| report.object.follows_rotation()) {
        let name = escaped(&object.object.to_string());
        let pods = object.versions.iter().map(|version| version.holders.len()).sum();
        let version = object.target.as_ref().map_or("", |target| &target.version);
        text.push_str(&match pods {
            0 => format!("No running pod in {} mounts {name}.\n", printer.scope),
            1 => format!(
                "The only running pod with {name} in {} holds {} (after {}).\n",
                printer.scope,
                escaped(version),
                span(took)
            ),
            pods => format!(
                "All {} with {name} in {} hold {} (after {}).\n",
                counted(pods, "running pod"),
                printer.scope,
                escaped(version),
                span(took)
            ),
        });
    }
    text
}

fn progress(report: &Report<'_>, waiting: usize, elapsed: Duration, timeout: Duration) -> String {
    format!(
        "{} of {} wait: {} ({} of {})",
        waiting,
        counted(report.pods(), "pod"),
        named(report),
        span(elapsed),
        span(timeout)
    )
}

fn named(report: &Report<'_>) -> String {
    let mut names: Vec<String> = report
        .waiting()
        .map(|(_, waiting)| format!("{}/{}", waiting.holder.pod.namespace, waiting.holder.pod.name))
        .take(IN_LINE + 1)
        .collect();
    names.dedup();
    if names.len() > IN_LINE {
        names[IN_LINE] = "…".to_owned();
    }
    names.join(", ")
}

/// How far it is, on standard error.
struct Line {
    terminal: bool,
    told: Option<(Instant, String)>,
}

impl Line {
    fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), told: None }
    }

    fn pause(&self) -> Duration {
        if self.terminal { REDRAWN } else { TOLD }
    }

    fn show(&mut self, text: &str) {
        if self.terminal {
            let _ = write!(io::stderr(), "{CLEAR}{}", escaped(text));
        } else if self.told.as_ref().is_none_or(|(at, _)| at.elapsed() >= TOLD) {
            let _ = writeln!(io::stderr(), "{}", escaped(text));
        } else {
            return;
        }
        self.told = Some((Instant::now(), text.to_owned()));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.terminal && self.told.is_some() {
            let _ = write!(io::stderr(), "{CLEAR}");
        }
    }
}
