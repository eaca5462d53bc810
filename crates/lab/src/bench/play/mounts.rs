//! Scenarios of mounts, republishes and idle memory, and the bars for their figures.

use std::time::{Duration, Instant};

use super::repetition::{AGENT, READ, Repetition, STS};
use crate::bench::{
    figures::{Bar, Measure, Unit},
    load::{Taken, all_at_once, calls, connections, in_turn, measured, memory, mount, over_and_over},
    settings::Settings,
    stage::Plan,
};

/// How many republishes the scenario warm measures.
const WARM_ROUNDS: u32 = 1000;

impl Repetition<'_> {
    pub(super) async fn start(&self) -> anyhow::Result<Vec<Measure>> {
        if !self.settings.subject.is_started_anew() {
            // A process that already runs has no start to measure.
            return Ok(Vec::new());
        }
        let fleet = self.stage.fleet(Plan::of_secrets(1));
        let started = Instant::now();
        let provider = self.settings.subject.start(self.stage, &[]).await?;
        provider.name().await?;
        let serves = started.elapsed();
        let mounted = in_turn(&provider.driver, &fleet.requests, 1).await?;
        let first = started.elapsed();
        Ok(vec![
            Measure::time("until it answers", serves),
            Measure::time("until its first mount is served", first).bar(Bar::AtMost(60.0)),
            Measure::time("that mount", mounted.into_iter().sum()),
        ])
    }

    pub(super) async fn cold(&self) -> anyhow::Result<Vec<Measure>> {
        let mut measures = Vec::new();
        for (secrets, most) in [(10, 32.0), (50, 70.0)] {
            let provider = self.start_settled().await?;
            for when in ["first", "later"] {
                let fleet = self.stage.fleet(Plan::of_secrets(secrets));
                let mounts = in_turn(&provider.driver, &fleet.requests, 1);
                let taken = measured(self.stage, &provider, mounts).await?;
                let mut figures = vec![Measure::time("mount", taken.elapsed).bar(Bar::AtMost(most))];
                let expected = [(STS, 1), (READ, u64::from(secrets))];
                figures.extend(calls(self.stage, &expected, Bar::AtMost(1.0)));
                measures.extend(figures.into_iter().map(|mut measure| {
                    measure.figure = format!("{secrets} secrets, {when}: {}", measure.figure);
                    measure
                }));
            }
        }
        Ok(measures)
    }

    pub(super) async fn warm(&self) -> anyhow::Result<Vec<Measure>> {
        let provider = self.settings.subject.start(self.stage, &[]).await?;
        let fleet = self.stage.fleet(Plan::of_secrets(10));
        mount(&provider.driver, &fleet.requests[0]).await?;
        let mounts = in_turn(&provider.driver, &fleet.requests, WARM_ROUNDS);
        let taken = measured(self.stage, &provider, mounts).await?;
        let [half, most] = taken.percentiles();
        let mut measures = vec![half.bar(Bar::AtMost(0.5)), most];
        measures.extend(calls(self.stage, &[], Bar::Exactly(0.0)));
        measures.extend(taken.cpu_of_a_mount());
        Ok(measures)
    }

    pub(super) async fn storm_one(&self) -> anyhow::Result<Vec<Measure>> {
        let taken = self.storm(Plan::full_node(1)).await?;
        let expected = calls(self.stage, &[(STS, 1), (READ, 5)], Bar::AtMost(1.0));
        Ok(storm_figures(&taken, Bar::AtMost(60.0), expected, connections(self.stage)))
    }

    pub(super) async fn storm_many(&self) -> anyhow::Result<Vec<Measure>> {
        let taken = self.storm(Plan::full_node(110)).await?;
        let expected = calls(self.stage, &[(STS, 110), (READ, 550)], Bar::AtMost(110.0));
        Ok(storm_figures(&taken, Bar::AtMost(250.0), expected, connections(self.stage)))
    }

    pub(super) async fn storm_pod_identity(&self) -> anyhow::Result<Vec<Measure>> {
        let taken = self.storm(Plan { pod_identity: true, ..Plan::full_node(1) }).await?;
        let expected = calls(self.stage, &[(AGENT, 1), (READ, 5)], Bar::Exactly(0.0));
        Ok(storm_figures(&taken, Bar::AtMost(60.0), expected, connections(self.stage)))
    }

    async fn storm(&self, plan: Plan) -> anyhow::Result<Taken> {
        let provider = self.start_settled().await?;
        let fleet = self.stage.fleet(plan);
        measured(self.stage, &provider, all_at_once(&provider.driver, &fleet.requests)).await
    }

    pub(super) async fn republish_loop(&self) -> anyhow::Result<Vec<Measure>> {
        let provider = self.settings.subject.start(self.stage, &[]).await?;
        let fleet = self.stage.fleet(Plan::full_node(110));
        all_at_once(&provider.driver, &fleet.requests).await?;
        let Settings { at_once, loop_time, .. } = *self.settings;
        let mounts = over_and_over(&provider.driver, &fleet.requests, at_once, loop_time);
        let taken = measured(self.stage, &provider, mounts).await?;
        let rate = Measure::new("mounts", Unit::PerSecond, taken.rate()).bar(Bar::AtLeast(10_000.0));
        let mut measures = vec![rate];
        measures.extend(taken.percentiles());
        measures.extend(taken.cpu_of_a_mount().map(|cpu| cpu.bar(Bar::AtMost(0.1))));
        measures.extend(calls(self.stage, &[], Bar::Exactly(0.0)));
        measures.extend(taken.memory(None));
        Ok(measures)
    }

    pub(super) async fn idle(&self) -> anyhow::Result<Vec<Measure>> {
        let provider = self.settings.subject.start(self.stage, &[]).await?;
        let before = provider.usage()?;
        tokio::time::sleep(self.settings.idle_time).await;
        let Some((usage, before)) = provider.usage()?.zip(before) else { return Ok(Vec::new()) };
        let after = |what: &str, usage| {
            let what = what.to_owned();
            memory(usage).into_iter().map(move |mut measure| {
                measure.figure = format!("after {what}: {}", measure.figure);
                measure
            })
        };
        let mut measures: Vec<Measure> = after("the start", &usage).collect();
        if let Some(rss) = measures.first_mut() {
            rss.bar = Some(Bar::AtMost(12.0));
        }
        let cpu: Duration = usage.cpu.saturating_sub(before.cpu);
        let share = cpu.as_secs_f64() / self.settings.idle_time.as_secs_f64();
        measures.push(Measure::new("CPU a second", Unit::Milliseconds, share * 1000.0));

        let fleet = self.stage.fleet(Plan::full_node(110));
        all_at_once(&provider.driver, &fleet.requests).await?;
        tokio::time::sleep(self.settings.idle_time).await;
        if let Some(usage) = provider.usage()? {
            measures.extend(after("110 pods", &usage));
        }
        Ok(measures)
    }
}

fn storm_figures(taken: &Taken, done: Bar, calls: Vec<Measure>, connections: Vec<Measure>) -> Vec<Measure> {
    let mut measures = vec![Measure::time("all mounted", taken.elapsed).bar(done)];
    measures.extend(taken.percentiles());
    measures.extend(calls);
    measures.extend(connections);
    measures.extend(taken.cpu.map(|cpu| Measure::time("CPU", cpu)));
    measures.extend(taken.memory(Some(Bar::AtMost(25.0))));
    measures
}
