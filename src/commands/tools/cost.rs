//! `latchkey cost`.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context;

use super::{
    inputs::estate,
    output::{colours, print},
};
use crate::{
    cli::tools::cost::{CostArgs, CostForm},
    cost::{Prices, Settings, Usage, findings, json, markdown, scenarios, table},
    findings::{self, fail},
    live::Progress,
};

pub(super) async fn run(args: &CostArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings {
        nodes: args.nodes,
        pods: args.pods,
        interval: args.interval,
        notices: false,
        churn: args.churn,
        region: args.region.clone(),
        customer_keys: args.customer_keys,
        higher_throughput: args.higher_throughput,
        republish: args.republish,
        prices: args.prices.as_deref().map(prices).transpose()?.unwrap_or_default(),
    };
    let estate = estate(&args.inputs).await?;
    let usage = Progress::during("Counting calls", || Usage::of(&estate, &settings));
    for skipped in &usage.skipped {
        writeln!(io::stderr(), "warning: not counted: {}: {}", skipped.place, skipped.problem)?;
    }
    let scenarios = scenarios(&usage, &settings);
    let found = scenarios.first().map(|now| findings(now, &settings)).unwrap_or_default();
    let told = if found.is_empty() { String::new() } else { findings::table(&found, colours()) };
    print(match args.output {
        CostForm::Table => table(&usage, &scenarios, &settings) + &told,
        CostForm::Json => json(&usage, &scenarios, &settings, &found),
        CostForm::Markdown => markdown(&usage, &scenarios, &settings),
    })?;
    Ok(if fail(&found) { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn prices(path: &Path) -> anyhow::Result<Prices> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Prices::parse(&text).map_err(|problem| anyhow::anyhow!("{}: {problem}", path.display()))
}
