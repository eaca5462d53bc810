//! What came of it: counted while it runs, and put into one document at the end.

use serde::Serialize;

use super::{
    Micros, SECOND, Scenario, Settings,
    fleet::{PARAMETER_STORE, SECRETS_MANAGER},
    world::{Answer, World},
};
use crate::cost::Prices;

/// The version of the document's form. It grows when a field changes or goes.
const VERSION: u32 = 1;
const DAY_SECONDS: f64 = 86_400.0;

/// What a simulation has shown. Times are in seconds.
#[derive(Debug, Serialize)]
pub struct Outcome {
    pub version: u32,
    pub scenario: Scenario,
    pub nodes: u32,
    pub accounts_per_node: u32,
    pub hours: f64,
    pub seed: u64,
    pub notices: bool,
    /// Those of which the fleet reads something.
    pub services: Vec<ServiceOutcome>,
    pub mounts: Mounts,
    /// Of the scenario `change`.
    pub changes: Option<Changes>,
}

#[derive(Debug, Serialize)]
pub struct ServiceOutcome {
    pub operation: &'static str,
    pub quota: f64,
    /// Polls a second if nothing were stretched.
    pub asked: f64,
    /// Calls a second: all, the most in any second, and those that were answered.
    pub calls: f64,
    pub peak: f64,
    pub answered: f64,
    /// Throttled calls: their number, and their part of all.
    pub throttled: u64,
    pub throttled_share: f64,
    /// Of the answered calls.
    pub dollars_a_day: f64,
    /// How much longer intervals are than asked, at the end: on average, and on the node
    /// with the longest.
    pub stretch: f64,
    pub longest_stretch: f64,
    pub ages: Ages,
}

/// How old values are.
#[derive(Debug, Serialize)]
pub struct Ages {
    /// At the end.
    pub median: f64,
    pub oldest: f64,
    /// At any time.
    pub oldest_ever: f64,
}

#[derive(Debug, Serialize)]
pub struct Mounts {
    pub started: u64,
    pub served: u64,
    /// Served mounts of which a call was throttled, and tried again.
    pub throttled: u64,
    /// Tries that were not served within the deadline, because AWS throttled, and because
    /// it failed.
    pub failed_by_throttling: u64,
    pub failed_by_outage: u64,
    /// From the pod's start until its values were read, over all tries.
    pub waits: Summary,
}

#[derive(Debug, Serialize)]
pub struct Changes {
    pub number: usize,
    /// Times that a node has not read a change by the end.
    pub not_served: usize,
    /// From the change until a node serves it.
    pub served: Summary,
}

#[derive(Debug, Serialize)]
pub struct Summary {
    pub median: f64,
    pub p99: f64,
    pub max: f64,
}

/// Times, each counted.
#[derive(Debug, Default)]
pub(super) struct Waits {
    millis: Vec<u32>,
}

impl Waits {
    pub(super) fn add(&mut self, wait: Micros) {
        self.millis.push(u32::try_from(wait / 1000).unwrap_or(u32::MAX));
    }

    fn summary(&mut self) -> Summary {
        self.millis.sort_unstable();
        let at = |part: f64| {
            let place = (self.millis.len() as f64 * part).ceil() as usize;
            let millis = self.millis.get(place.saturating_sub(1)).copied().unwrap_or_default();
            f64::from(millis) / 1000.0
        };
        Summary { median: at(0.5), p99: at(0.99), max: at(1.0) }
    }
}

/// What is counted of a service.
#[derive(Debug, Default)]
struct Counted {
    answered: u64,
    throttled: u64,
    failed: u64,
    /// The second that runs, its calls, and the most of any second.
    second: Micros,
    in_second: u64,
    peak: u64,
    oldest: Micros,
}

#[derive(Debug)]
pub(super) struct Tally {
    began: Micros,
    services: [Counted; 2],
}

impl Tally {
    pub(super) fn new(began: Micros) -> Self {
        Self { began, services: Default::default() }
    }

    pub(super) fn called(&mut self, service: usize, now: Micros, answer: &Answer) {
        let second = (now - self.began) / SECOND;
        let counted = &mut self.services[service];
        if counted.second != second {
            (counted.second, counted.in_second) = (second, 0);
        }
        counted.in_second += 1;
        counted.peak = counted.peak.max(counted.in_second);
        *match answer {
            Answer::Answered => &mut counted.answered,
            Answer::Throttled => &mut counted.throttled,
            Answer::Failed => &mut counted.failed,
        } += 1;
    }

    /// A value reached that age before it was read again.
    pub(super) fn aged(&mut self, service: usize, age: Micros) {
        let counted = &mut self.services[service];
        counted.oldest = counted.oldest.max(age);
    }
}

/// The outcome as JSON, indented.
pub fn json(outcome: &Outcome) -> String {
    // Texts and numbers can always be written.
    serde_json::to_string_pretty(outcome).unwrap_or_default() + "\n"
}

impl World<'_> {
    pub(super) fn outcome(mut self, prices: &Prices) -> Outcome {
        let settings = self.settings;
        let services = [(SECRETS_MANAGER, settings.values), (PARAMETER_STORE, settings.parameters)];
        let read = services.into_iter().filter(|(_, values)| *values > 0);
        let services = read.map(|(service, _)| self.service(service, prices)).collect();
        let changes = (settings.scenario == Scenario::Change).then(|| self.changes());
        let mounts = &mut self.mounts;
        Outcome {
            version: VERSION,
            scenario: settings.scenario,
            nodes: settings.nodes,
            accounts_per_node: settings.accounts_per_node,
            hours: settings.length.as_secs_f64() / 3600.0,
            seed: settings.seed,
            notices: settings.notified_poll_interval.is_some(),
            services,
            mounts: Mounts {
                started: mounts.started,
                served: mounts.served.millis.len() as u64,
                throttled: mounts.throttled,
                failed_by_throttling: mounts.failed_throttled,
                failed_by_outage: mounts.failed_outage,
                waits: mounts.served.summary(),
            },
            changes,
        }
    }

    fn service(&self, service: usize, prices: &Prices) -> ServiceOutcome {
        let (settings, counted) = (self.settings, &self.tally.services[service]);
        let a_second = |calls: u64| calls as f64 / settings.length.as_secs_f64();
        let calls = counted.answered + counted.throttled + counted.failed;
        let stretches = self.fleet.nodes.iter().map(|node| node.pacing[service].stretch());
        ServiceOutcome {
            operation: ["GetSecretValue", "GetParameters"][service],
            quota: [settings.secrets_manager_quota, settings.parameter_store_quota][service],
            asked: settings.asked()[service],
            calls: a_second(calls),
            peak: counted.peak as f64,
            answered: a_second(counted.answered),
            throttled: counted.throttled,
            throttled_share: counted.throttled as f64 / (calls.max(1)) as f64,
            dollars_a_day: a_second(counted.answered) * DAY_SECONDS * price(service, settings, prices),
            stretch: stretches.clone().sum::<f64>() / self.fleet.nodes.len() as f64,
            longest_stretch: stretches.fold(1.0, f64::max),
            ages: self.ages(service),
        }
    }

    fn ages(&self, service: usize) -> Ages {
        let units = self.fleet.units.iter().zip(0..);
        let units = units.filter(|(_, number)| self.fleet.service(*number) == service);
        let ages = units.filter_map(|(unit, _)| Some(self.now - unit.read_at?));
        let mut waits = Waits::default();
        ages.for_each(|age| waits.add(age));
        let Summary { median, max, .. } = waits.summary();
        let before = self.tally.services[service].oldest as f64 / SECOND as f64;
        Ages { median, oldest: max, oldest_ever: max.max(before) }
    }

    fn changes(&mut self) -> Changes {
        let number = self.notices.changes.len();
        let held = (0..self.settings.nodes).map(|node| self.fleet.shared(node));
        let held = held.map(|unit| usize::from(self.fleet.units[unit as usize].version));
        let not_served = held.map(|version| number - version).sum();
        Changes { number, not_served, served: self.notices.served.summary() }
    }
}

/// Dollars for a call.
fn price(service: usize, settings: &Settings, prices: &Prices) -> f64 {
    let ten_thousand = match service {
        SECRETS_MANAGER => prices.secrets_manager_calls,
        // Standard parameters are free with the default throughput.
        _ if settings.parameter_store_quota <= prices.get_parameters_quota => 0.0,
        _ => {
            let calls = settings.parameters.div_ceil(super::PARAMETERS_AT_ONCE);
            prices.parameter_interactions * f64::from(settings.parameters) / f64::from(calls)
        }
    };
    ten_thousand / 10_000.0
}
