//! Failures as a monitoring system sees them: a real Prometheus scrapes real providers,
//! each with a failure of its own, and evaluates the chart's alerts. `tests/seen/run`
//! runs it.

#![cfg(test)]

#[path = "../it/broker/api.rs"]
#[allow(dead_code, reason = "made for tests/it, which uses all of it")]
mod api;
mod failures;
#[path = "../it/harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "made for tests/it, which uses all of it")]
mod harness;
mod notices;
mod prometheus;
#[path = "../it/broker/scene.rs"]
#[allow(dead_code, reason = "made for tests/it, which uses all of it")]
mod scene;

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    failures::{Case, Stage},
    notices::Sender,
    prometheus::{Prometheus, Target},
};

/// The folder with the program `prometheus`, and the file with the alerts. The script
/// makes both known.
const PROGRAMS: &str = "LATCHKEY_SEEN_PROGRAMS";
const RULES: &str = "LATCHKEY_SEEN_RULES";
/// The dashboard's queries, as JSON.
const PANELS: &str = "LATCHKEY_SEEN_PANELS";
/// The first scrape comes five seconds after the start, and some alerts need several.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the alerts must stay as they are expected.
const STEADY: Duration = Duration::from_secs(4);

#[tokio::main]
async fn main() -> ExitCode {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let (Some(programs), Some(rules)) = (variable(PROGRAMS), variable(RULES)) else {
        println!("run by tests/seen/run");
        return ExitCode::SUCCESS;
    };
    let mut cases = Vec::new();
    for case in failures::all() {
        cases.push(case.start().await);
    }
    let listener = cases.iter().find(|case| case.name == notices::CASE).unwrap();
    let sender = Sender::start(listener.world.kubernetes.clone()).await;
    let target = |case: &Case| Target { job: "latchkey", name: case.name, address: case.address() };
    let mut targets: Vec<_> = cases.iter().map(target).collect();
    targets.push(Target { job: "latchkey-notices", name: notices::CASE, address: sender.address() });
    let prometheus = Prometheus::start(&programs, &rules, &targets).await;
    let mut failed = usize::from(!prometheus::is_clean(&programs, &cases[0].text().await));
    // What only worked mounts shows nothing, and every increase needs a scrape before it.
    for case in &cases {
        case.play(Stage::Before).await;
    }
    prometheus.scraped_twice(&targets).await;
    failed += judge(&prometheus, &cases, |_| &[]).await;
    sender.fail();
    for case in &cases {
        case.play(Stage::Failure).await;
    }
    failed += judge(&prometheus, &cases, |case| case.alerts).await;
    sender.heal();
    for case in &cases {
        case.play(Stage::Healed).await;
    }
    let healed: Vec<_> = cases.into_iter().filter(|case| case.heals).collect();
    failed += judge(&prometheus, &healed, |case| case.alerts_after).await;
    failed += prometheus.panels_without_data(&std::env::var(PANELS).unwrap()).await;
    println!("{failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Waits until each case's alerts are exactly those expected, and stay so. Returns the
/// number of cases that were wrong at the end.
async fn judge(
    prometheus: &Prometheus,
    cases: &[Case],
    expected: impl Fn(&Case) -> &'static [&'static str],
) -> usize {
    let started = Instant::now();
    let mut steady_since = None;
    loop {
        let firing = prometheus.firing().await;
        let wrong: Vec<(&Case, BTreeSet<String>)> = cases
            .iter()
            .filter_map(|case| {
                let fires = firing.get(case.name).cloned().unwrap_or_default();
                let expected: BTreeSet<String> =
                    expected(case).iter().map(|name| (*name).to_owned()).collect();
                (fires != expected).then_some((case, fires))
            })
            .collect();
        if wrong.is_empty() {
            let since = *steady_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= STEADY {
                println!("{} cases as expected after {:.1?}", cases.len(), started.elapsed());
                return 0;
            }
        } else {
            steady_since = None;
            if started.elapsed() > PATIENCE {
                for (case, fires) in &wrong {
                    println!("FAILED {}: {fires:?} fire, and not {:?}", case.name, expected(case));
                    println!("    {}", case.shown().await);
                }
                return wrong.len();
            }
        }
        sleep(Duration::from_millis(500)).await;
    }
}
