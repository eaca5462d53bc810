//! `latchkey rotation`: which pods hold which version of an object, and waiting until all
//! of them have the current one.

mod feed;
mod shown;
mod versions;
mod wait;
mod watch;

use std::process::ExitCode;

use anyhow::ensure;
use tokio::time::Instant;

use self::{
    feed::{Feed, Origin},
    shown::Printer,
};
use super::{amazon::Amazon, inputs::connect, output};
use crate::{
    cli::tools::rotation::RotationArgs,
    live::Progress,
    uptake::{AwsVersions, Report},
};

/// What to do without AWS credentials.
const WITHOUT: &str = "name the version with --version, or leave --aws out";

pub(super) async fn run(args: &RotationArgs) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let live = connect(&args.cluster).await?;
    let scope = live.scope(args.cluster.namespace.as_deref(), args.cluster.all_namespaces);
    let amazon = if args.aws || args.wait && args.version.is_none() {
        Some(Amazon::load(WITHOUT).await?)
    } else {
        None
    };
    let progress = Progress::of_cluster();
    let mut feed = Feed::start(&live, &scope, progress.clone());
    let (origin, ready) = tokio::join!(Origin::read(&live, &scope, &progress), feed.ready());
    let origin = origin?;
    ready?;
    drop(progress);

    let mut printer = Printer::new(args, origin, &scope);
    let known = printer.origin.catalog.named_or_held(args.name.as_deref(), &feed.fleet);
    if let Some(name) = &args.name {
        ensure!(known, printer.origin.catalog.not_found(name));
    }
    let mut aws = AwsVersions::default();
    if let Some(amazon) = &amazon {
        aws = versions::ask(amazon, &Report::new(&feed.fleet, &printer.question(&aws))).await?;
    }
    if args.wait {
        return wait::run(args, &live, feed, printer, amazon.as_ref(), aws, began).await;
    }
    if args.watch {
        return watch::run(&live, feed, printer, amazon.as_ref(), aws).await;
    }
    printer.read_events(&live, &feed.fleet, &aws).await;
    let report = Report::new(&feed.fleet, &printer.question(&aws));
    output::print(printer.print(&report, None))?;
    Ok(ExitCode::SUCCESS)
}
