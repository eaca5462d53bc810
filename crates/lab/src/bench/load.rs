//! Mounts in the patterns of a node's life, and their cost.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use latchkey_emulator::Connections;
use tokio::task::JoinSet;

use super::{
    figures::{Bar, Measure, Unit, as_f64, millis, percentile_of},
    provider::Provider,
    stage::Stage,
    usage::Usage,
};
use crate::{
    driver::Driver,
    protocol::{MountRequest, MountResponse},
};

/// What a number of mounts cost.
pub(super) struct Taken {
    /// The time of each mount, as its caller saw it.
    pub(super) times: Vec<Duration>,
    /// From the first request to the last answer.
    pub(super) elapsed: Duration,
    pub(super) cpu: Option<Duration>,
    pub(super) usage: Option<Usage>,
}

/// Mounts once.
///
/// # Errors
/// The provider's refusal.
pub(super) async fn mount(driver: &Driver, request: &MountRequest) -> anyhow::Result<MountResponse> {
    driver
        .clone()
        .mount(request.clone())
        .await
        .map_err(|status| anyhow::anyhow!("a mount failed: {:?}: {}", status.code(), status.message()))
}

/// Runs `work`, which returns the time of each mount, and measures the provider before
/// and after.
///
/// # Errors
/// The errors of `work`.
pub(super) async fn measured(
    stage: &Stage,
    provider: &Provider,
    work: impl Future<Output = anyhow::Result<Vec<Duration>>>,
) -> anyhow::Result<Taken> {
    stage.reset_calls();
    let before = provider.usage()?;
    let started = Instant::now();
    let times = work.await?;
    let elapsed = started.elapsed();
    let usage = provider.usage()?;
    let cpu = usage.zip(before).map(|(after, before)| after.cpu.saturating_sub(before.cpu));
    Ok(Taken { times, elapsed, cpu, usage })
}

/// Mounts for every pod at once, as after a node's start.
///
/// # Errors
/// The first refusal.
pub(super) async fn all_at_once(driver: &Driver, requests: &[MountRequest]) -> anyhow::Result<Vec<Duration>> {
    let mut mounts = JoinSet::new();
    for request in requests {
        let (driver, request) = (driver.clone(), request.clone());
        mounts.spawn(async move { timed(&driver, &request).await });
    }
    let mut times = Vec::with_capacity(requests.len());
    while let Some(ended) = mounts.join_next().await {
        times.push(ended.context("the task of a mount panicked")??);
    }
    Ok(times)
}

/// Mounts for one pod after the other, `rounds` times.
///
/// # Errors
/// The first refusal.
pub(super) async fn in_turn(
    driver: &Driver,
    requests: &[MountRequest],
    rounds: u32,
) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    for _ in 0..rounds {
        for request in requests {
            times.push(timed(driver, request).await?);
        }
    }
    Ok(times)
}

/// Mounts for all pods again and again, `at_once` at a time, until the time is over.
///
/// # Errors
/// The first refusal.
pub(super) async fn over_and_over(
    driver: &Driver,
    requests: &[MountRequest],
    at_once: u32,
    time: Duration,
) -> anyhow::Result<Vec<Duration>> {
    let requests: Arc<[MountRequest]> = requests.into();
    let until = Instant::now() + time;
    let mut workers = JoinSet::new();
    for worker in 0..at_once as usize {
        let (driver, requests) = (driver.clone(), Arc::clone(&requests));
        workers.spawn(async move {
            let mut times = Vec::new();
            let own = requests.iter().skip(worker % requests.len()).step_by(at_once as usize);
            for request in own.cycle() {
                if Instant::now() >= until {
                    break;
                }
                times.push(timed(&driver, request).await?);
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(ended) = workers.join_next().await {
        times.extend(ended.context("a task of the loop panicked")??);
    }
    Ok(times)
}

async fn timed(driver: &Driver, request: &MountRequest) -> anyhow::Result<Duration> {
    let started = Instant::now();
    mount(driver, request).await?;
    Ok(started.elapsed())
}

impl Taken {
    pub(super) fn percentiles(&self) -> [Measure; 2] {
        [50.0, 99.0]
            .map(|percent| Measure::time(format!("mount p{percent:.0}"), percentile_of(&self.times, percent)))
    }

    pub(super) fn rate(&self) -> f64 {
        as_f64(self.times.len() as u64) / self.elapsed.as_secs_f64()
    }

    pub(super) fn cpu_of_a_mount(&self) -> Option<Measure> {
        let mounts = as_f64(self.times.len() as u64);
        self.cpu.map(|cpu| Measure::new("CPU a mount", Unit::Milliseconds, millis(cpu) / mounts))
    }

    /// The provider's memory: its peak and its latest value.
    pub(super) fn memory(&self, bar: Option<Bar>) -> Vec<Measure> {
        let Some(usage) = self.usage else { return Vec::new() };
        let peak = Measure { bar, ..Measure::new("memory, peak RSS", Unit::Mebibytes, usage.peak_rss) };
        std::iter::once(peak).chain(memory(&usage)).collect()
    }
}

/// The current memory of a process.
pub(super) fn memory(usage: &Usage) -> Vec<Measure> {
    let rss = Measure::new("memory, RSS", Unit::Mebibytes, usage.rss);
    let pss = usage.pss.map(|pss| Measure::new("memory, PSS", Unit::Mebibytes, pss));
    std::iter::once(rss).chain(pss).collect()
}

/// The connections to AWS that the provider has opened since its start.
pub(super) fn connections(stage: &Stage) -> Vec<Measure> {
    let Connections { opened, full_handshakes, resumed_handshakes } = stage.connections();
    vec![
        Measure::count("connections to AWS since the start", opened),
        Measure::count("TLS handshakes, full", full_handshakes),
        Measure::count("TLS handshakes, resumed", resumed_handshakes),
    ]
}

/// The calls since the last reset: to AWS by operation, with their bars, and to
/// Kubernetes.
pub(super) fn calls(stage: &Stage, expected: &[(&str, u64)], kubernetes: Bar) -> Vec<Measure> {
    let (made, sum) = stage.aws_calls();
    let mut measures = Vec::new();
    for (operation, count) in expected {
        let made = made.get(*operation).copied().unwrap_or(0);
        measures.push(Measure::count(*operation, made).bar(Bar::Exactly(as_f64(*count))));
    }
    let all = expected.iter().map(|(_, count)| count).sum();
    measures.push(Measure::count("AWS calls", sum).bar(Bar::Exactly(as_f64(all))));
    measures.push(Measure::count("Kubernetes calls", stage.kubernetes.reads()).bar(kubernetes));
    measures
}
