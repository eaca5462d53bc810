//! Change notices from AWS's queue into pods, by real processes and a real API server:
//! how soon, what it costs, and what happens when parts of it fail. `tests/notices/run`
//! runs it.

#![cfg(test)]

mod change;
#[path = "../limits/chart.rs"]
#[allow(dead_code, reason = "made for tests/limits")]
mod chart;
mod cluster;
mod failures;
#[path = "../it/harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "made for tests/it, which uses all of it")]
mod harness;
mod node;
mod plan;
mod process;
mod scene;
mod verdict;
mod watch;

use std::{process::ExitCode, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    chart::Chart,
    failures::Failures,
    node::{Mode, Node},
    plan::Plan,
    scene::{ACCOUNTS, SECRETS, Scene},
    verdict::{Verdict, note},
    watch::{Nodes, watch},
};

/// How long the nodes settle before they are watched, besides two intervals.
const SETTLE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    let Some(plan) = Plan::read() else {
        println!("run by tests/notices/run, as root");
        return ExitCode::SUCCESS;
    };
    let chart = Chart::read();
    let scene = Scene::start(plan, chart.environment).await;
    let first = scene.broker("one").await;
    while scene.cluster.leader().await.is_none() {
        sleep(Duration::from_millis(100)).await;
    }
    let second = scene.broker("two").await;
    let nodes = Nodes {
        writes: Node::start(&scene, "provider-writes", Mode::ProviderWrites, true).await,
        serves: Node::start(&scene, "driver-writes", Mode::DriverWrites, true).await,
        polls: Node::start(&scene, "polling", Mode::ProviderWrites, false).await,
    };
    for node in [&nodes.writes, &nodes.serves, &nodes.polls] {
        let node = node.clone();
        tokio::spawn(async move { node.republish().await });
    }
    let (began, all) = (Instant::now(), (ACCOUNTS * SECRETS) as f64);
    let mut verdict = Verdict::default();
    let within = 3 * scene.plan.interval + Duration::from_secs(60);
    let covered = async { while nodes.writes.covered().await < all || nodes.serves.covered().await < all {} };
    let covered = tokio::time::timeout(within, covered).await.is_ok();
    verdict.must(
        covered,
        format!("both nodes' {all} values covered by notices after {:.0} s", began.elapsed().as_secs_f64()),
    );
    sleep(SETTLE).await;
    watch(&scene, &nodes, &first, &mut verdict).await;
    let mut failures =
        Failures { scene: &scene, nodes: &nodes, brokers: vec![first, second], memory: chart.memory };
    failures.play(&mut verdict).await;
    if verdict.failed() > 0 {
        let processes = [&nodes.writes, &nodes.serves, &nodes.polls].map(|node| &node.provider);
        for process in processes.into_iter().chain(&failures.brokers) {
            note(format!("the log of {} ends:\n{}", process.name, process.last_words()));
        }
    }
    println!("{} failed", verdict.failed());
    if verdict.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
