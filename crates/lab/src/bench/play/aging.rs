//! Scenarios in which time passes. The provider's intervals are short, so that an hour
//! on a node takes half a minute here.

use std::time::{Duration, Instant};

use latchkey_emulator::{Fault, FaultKind};
use tokio::time::{MissedTickBehavior, interval};

use super::repetition::{CREDENTIAL_AGE_INTERVALS, READ, Repetition, STS};
use crate::{
    bench::{
        figures::{Bar, Measure, Unit, as_f64, millis, percentile_of},
        load::{Taken, all_at_once, in_turn, measured, mount},
        provider::Provider,
        stage::Plan,
    },
    protocol::{MountRequest, MountResponse},
};

/// How many service accounts the pods have; each has values of its own.
const ACCOUNTS: u32 = 11;
/// kubelet republishes about every 80 s, two thirds of the default interval of two
/// minutes.
const REPUBLISH_PER_INTERVAL: f64 = 2.0 / 3.0;
/// An outage of twenty minutes.
const OUTAGE_INTERVALS: u32 = 10;
/// How many intervals to wait before anything is counted.
const SETTLE_INTERVALS: u32 = 3;
/// How often to check whether a new value is served.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// A change that is not served after this many intervals is lost.
const PATIENCE_INTERVALS: u32 = 30;

impl Repetition<'_> {
    pub(super) async fn rotation(&self) -> anyhow::Result<Vec<Measure>> {
        let provider = self.start_with_short_intervals().await?;
        let fleet = self.stage.fleet(Plan::full_node(ACCOUNTS));
        all_at_once(&provider.driver, &fleet.requests).await?;
        self.republish(&provider, &fleet.requests, SETTLE_INTERVALS).await?;
        let intervals = self.settings.intervals;
        let mounts = self.republish(&provider, &fleet.requests, intervals);
        let taken = measured(self.stage, &provider, mounts).await?;

        let (made, _) = self.stage.aws_calls();
        let per = |count: u64, of: u32| as_f64(count) / f64::from(of);
        let of = |operation: &str| made.get(operation).copied().unwrap_or(0);
        let values = ACCOUNTS * 5;
        let lives = f64::from(intervals) / CREDENTIAL_AGE_INTERVALS;
        let ratio = |figure, value| Measure::new(figure, Unit::Ratio, value);
        let mut measures = vec![
            ratio("reads of a value in an interval", per(of(READ), values * intervals))
                .bar(Bar::AtMost(1.05)),
            ratio("STS calls of a service account in 15 minutes", per(of(STS), ACCOUNTS) / lives)
                .bar(Bar::AtMost(1.25)),
            ratio(
                "Kubernetes calls of a service account in an interval",
                per(self.stage.kubernetes.reads(), ACCOUNTS * intervals),
            )
            .bar(Bar::AtMost(1.0)),
            Measure::count("mounts", taken.times.len() as u64),
        ];
        measures.extend(taken.percentiles());
        measures.extend(taken.cpu.map(|cpu| {
            Measure::new("CPU of an interval", Unit::Milliseconds, millis(cpu) / f64::from(intervals))
        }));
        measures.extend(taken.memory(None));
        Ok(measures)
    }

    pub(super) async fn change(&self) -> anyhow::Result<Vec<Measure>> {
        let provider = self.start_with_short_intervals().await?;
        let fleet = self.stage.fleet(Plan { pods: 2 * ACCOUNTS, ..Plan::full_node(ACCOUNTS) });
        all_at_once(&provider.driver, &fleet.requests).await?;
        self.republish(&provider, &fleet.requests, SETTLE_INTERVALS).await?;
        let (mut pods, mut last) = (Vec::new(), Vec::new());
        for change in 1..=self.settings.changes {
            // Steps of the golden ratio spread evenly over the phases of the interval.
            let phase = (f64::from(change) * 0.618_034).fract();
            tokio::time::sleep(self.settings.interval.mul_f64(phase)).await;
            let version = self.stage.put(&fleet.secrets[0], change);
            let times = self.until_served(&provider, &fleet.requests, &version).await?;
            last.extend(times.iter().max());
            pods.extend(times);
        }
        let bar = Bar::AtMost(millis(self.settings.interval + 10 * self.settings.latency));
        Ok(vec![
            Measure::count("changes", u64::from(self.settings.changes)),
            Measure::time("until a pod is served it, p50", percentile_of(&pods, 50.0)),
            Measure::time("until a pod is served it, p99", percentile_of(&pods, 99.0)),
            Measure::time("until every pod is served it, p50", percentile_of(&last, 50.0)),
            Measure::time("until every pod is served it, longest", percentile_of(&last, 100.0)).bar(bar),
        ])
    }

    pub(super) async fn outage(&self) -> anyhow::Result<Vec<Measure>> {
        let provider = self.start_with_short_intervals().await?;
        let plan = Plan::full_node(ACCOUNTS);
        let fleet = self.stage.fleet(Plan { pods: plan.pods * 2, ..plan });
        let (running, newcomers) = fleet.requests.split_at(plan.pods as usize);
        all_at_once(&provider.driver, running).await?;
        self.republish(&provider, running, SETTLE_INTERVALS).await?;

        self.stage.emulator.inject(Fault::new(FaultKind::InternalError));
        let mounts = self.republish(&provider, running, OUTAGE_INTERVALS);
        let taken: Taken = measured(self.stage, &provider, mounts).await?;
        let (_, calls) = self.stage.aws_calls();
        let started = all_at_once(&provider.driver, newcomers).await?;
        self.stage.emulator.clear_faults();
        let version = self.stage.put(&fleet.secrets[0], 1);
        let times = self.until_served(&provider, running, &version).await?;

        let mut measures =
            vec![Measure::count("republishes served while AWS failed", taken.times.len() as u64)];
        measures.extend(taken.percentiles());
        let values = ACCOUNTS * 5 * OUTAGE_INTERVALS;
        measures.extend([
            Measure::count("new pods served while AWS failed", started.len() as u64)
                .bar(Bar::Exactly(as_f64(newcomers.len() as u64))),
            Measure::new(
                "AWS calls for a value in an interval",
                Unit::Ratio,
                as_f64(calls) / f64::from(values),
            ),
            Measure::time("recovered: a new value is served to every pod", percentile_of(&times, 100.0))
                .bar(Bar::AtMost(millis(self.settings.interval + 10 * self.settings.latency))),
        ]);
        Ok(measures)
    }

    /// Republishes every pod in turn, as kubelet does, for some intervals.
    async fn republish(
        &self,
        provider: &Provider,
        requests: &[MountRequest],
        intervals: u32,
    ) -> anyhow::Result<Vec<Duration>> {
        let until = Instant::now() + self.settings.interval * intervals;
        let mut round = interval(self.settings.interval.mul_f64(REPUBLISH_PER_INTERVAL));
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut times = Vec::new();
        while Instant::now() < until {
            round.tick().await;
            times.extend(in_turn(&provider.driver, requests, 1).await?);
        }
        Ok(times)
    }

    /// Measures how long each pod waits until it gets the version.
    async fn until_served(
        &self,
        provider: &Provider,
        requests: &[MountRequest],
        version: &str,
    ) -> anyhow::Result<Vec<Duration>> {
        let started = Instant::now();
        let mut waiting: Vec<&MountRequest> = requests.iter().collect();
        let mut times = Vec::with_capacity(requests.len());
        while !waiting.is_empty() {
            let mut still = Vec::with_capacity(waiting.len());
            for request in waiting {
                if has(&mount(&provider.driver, request).await?, version) {
                    times.push(started.elapsed());
                } else {
                    still.push(request);
                }
            }
            waiting = still;
            anyhow::ensure!(
                started.elapsed() < self.settings.interval * PATIENCE_INTERVALS,
                "a changed value is not served after {PATIENCE_INTERVALS} intervals"
            );
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok(times)
    }
}

fn has(answer: &MountResponse, version: &str) -> bool {
    answer.object_version.iter().any(|entry| entry.version == version)
}
