//! The scenarios, and the bars for their figures.

mod aging;

use std::time::{Duration, Instant};

use super::{
    Settings,
    figures::{Bar, Measure, Unit},
    load::{Taken, all_at_once, calls, connections, in_turn, measured, memory, mount, over_and_over},
    provider::Provider,
    stage::{Plan, Stage},
};

/// How many republishes the scenario warm measures.
const WARM_ROUNDS: u32 = 1000;
/// After this long, a process has finished the work of its start.
const SETTLE: Duration = Duration::from_millis(250);
const STS: &str = "AssumeRoleWithWebIdentity";
const AGENT: &str = "PodIdentityCredentials";
const READ: &str = "GetSecretValue";

/// A pattern of a node's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// The time from the start of the process to its first mount.
    Start,
    Cold,
    /// Republishes of one pod.
    Warm,
    /// All pods of a full node start at once, with one service account.
    StormOne,
    /// The same, but each pod has a service account of its own.
    StormMany,
    /// The same as `StormOne`, by EKS Pod Identity.
    StormPodIdentity,
    /// Republishes of a full node, without a pause.
    Loop,
    Rotation,
    Change,
    /// AWS fails for twenty minutes and recovers.
    Outage,
    /// The memory of an idle provider.
    Idle,
}

impl Scenario {
    pub const ALL: [Self; 11] = [
        Self::Start,
        Self::Cold,
        Self::Warm,
        Self::StormOne,
        Self::StormMany,
        Self::StormPodIdentity,
        Self::Loop,
        Self::Rotation,
        Self::Change,
        Self::Outage,
        Self::Idle,
    ];

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Cold => "cold",
            Self::Warm => "warm",
            Self::StormOne => "storm-one",
            Self::StormMany => "storm-many",
            Self::StormPodIdentity => "storm-pod-identity",
            Self::Loop => "loop",
            Self::Rotation => "rotation",
            Self::Change => "change",
            Self::Outage => "outage",
            Self::Idle => "idle",
        }
    }

    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Start => {
                "a new process: the time until it answers, and until it has served its first mount"
            }
            Self::Cold => {
                "a mount of 10 and of 50 secrets that nobody has read: the first mount of a process, and a later one"
            }
            Self::Warm => "1000 republishes of one pod with 10 secrets, one after the other",
            Self::StormOne => "110 pods of one service account start at once, 5 secrets each, IRSA",
            Self::StormMany => "110 pods of 110 service accounts start at once, 5 secrets each, IRSA",
            Self::StormPodIdentity => {
                "110 pods of one service account start at once, 5 secrets each, EKS Pod Identity"
            }
            Self::Loop => "110 pods of 110 service accounts, 5 secrets each, are republished without a pause",
            Self::Rotation => "an hour of polling and republishing (30 intervals): the calls to AWS",
            Self::Change => "a value changes: the time until pods get the new value",
            Self::Outage => {
                "every call to AWS fails for 10 intervals, then a value changes: which pods are served, and the recovery"
            }
            Self::Idle => "the memory of an idle provider: after its start, and after the mounts of 110 pods",
        }
    }

    /// How often it is played by default.
    pub(super) fn repetitions(self) -> u32 {
        match self {
            Self::Start | Self::Cold => 10,
            Self::Warm | Self::StormOne | Self::StormMany | Self::StormPodIdentity | Self::Loop => 5,
            Self::Rotation | Self::Change | Self::Outage | Self::Idle => 1,
        }
    }

    /// Plays it once.
    ///
    /// # Errors
    /// When the provider does not serve or refuses a mount.
    pub(super) async fn play(self, settings: &Settings, stage: &Stage) -> anyhow::Result<Vec<Measure>> {
        let play = Play { settings, stage };
        match self {
            Self::Start => play.start().await,
            Self::Cold => play.cold().await,
            Self::Warm => play.warm().await,
            Self::StormOne => play.storm_one().await,
            Self::StormMany => play.storm_many().await,
            Self::StormPodIdentity => play.storm_pod_identity().await,
            Self::Loop => play.republish_loop().await,
            Self::Rotation => play.rotation().await,
            Self::Change => play.change().await,
            Self::Outage => play.outage().await,
            Self::Idle => play.idle().await,
        }
    }
}

/// One repetition.
struct Play<'a> {
    settings: &'a Settings,
    stage: &'a Stage,
}

impl Play<'_> {
    async fn start(&self) -> anyhow::Result<Vec<Measure>> {
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

    async fn cold(&self) -> anyhow::Result<Vec<Measure>> {
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

    async fn warm(&self) -> anyhow::Result<Vec<Measure>> {
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

    async fn storm_one(&self) -> anyhow::Result<Vec<Measure>> {
        let taken = self.storm(Plan::full_node(1)).await?;
        let expected = calls(self.stage, &[(STS, 1), (READ, 5)], Bar::AtMost(1.0));
        Ok(storm_figures(&taken, Bar::AtMost(60.0), expected, connections(self.stage)))
    }

    async fn storm_many(&self) -> anyhow::Result<Vec<Measure>> {
        let taken = self.storm(Plan::full_node(110)).await?;
        let expected = calls(self.stage, &[(STS, 110), (READ, 550)], Bar::AtMost(110.0));
        Ok(storm_figures(&taken, Bar::AtMost(250.0), expected, connections(self.stage)))
    }

    async fn storm_pod_identity(&self) -> anyhow::Result<Vec<Measure>> {
        let taken = self.storm(Plan { pod_identity: true, ..Plan::full_node(1) }).await?;
        let expected = calls(self.stage, &[(AGENT, 1), (READ, 5)], Bar::Exactly(0.0));
        Ok(storm_figures(&taken, Bar::AtMost(60.0), expected, connections(self.stage)))
    }

    async fn storm(&self, plan: Plan) -> anyhow::Result<Taken> {
        let provider = self.start_settled().await?;
        let fleet = self.stage.fleet(plan);
        measured(self.stage, &provider, all_at_once(&provider.driver, &fleet.requests)).await
    }

    async fn start_settled(&self) -> anyhow::Result<Provider> {
        let provider = self.settings.subject.start(self.stage, &[]).await?;
        provider.name().await?;
        tokio::time::sleep(SETTLE).await;
        Ok(provider)
    }

    async fn republish_loop(&self) -> anyhow::Result<Vec<Measure>> {
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

    async fn idle(&self) -> anyhow::Result<Vec<Measure>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_is_found_by_its_name() {
        for scenario in Scenario::ALL {
            assert_eq!(Scenario::named(scenario.name()), Some(scenario));
            assert_ne!(scenario.about(), "", "{}", scenario.name());
            assert_ne!(scenario.repetitions(), 0, "{}", scenario.name());
        }
        assert_eq!(Scenario::named("nonsense"), None);
    }
}
