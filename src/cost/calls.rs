//! How many calls the provider makes, and when.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::AddAssign,
    time::Duration,
};

use super::{
    Settings, Usage,
    usage::{Mount, Places},
};
use crate::{
    backend::BATCH,
    identity::{IdentitySettings, sts_credential_life},
    model::{
        arn::Region,
        principal::{Means, Principal},
        reference::Service,
        source::Source,
    },
    values::ValueSettings,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A call of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    GetSecretValue,
    GetParameters,
    AssumeRoleWithWebIdentity,
    AssumeRole,
    /// To the node's Pod Identity agent, which asks EKS.
    PodIdentityCredentials,
}

/// How often an operation is called.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Calls {
    /// Calls in a day.
    pub calls: f64,
    /// Values in their answers: up to ten for a call of GetParameters.
    pub values: f64,
    /// Calls when all pods of the cluster start at once.
    pub restart: f64,
}

/// Calls by operation and Region. The Region is `None` where neither a class nor the
/// settings name one.
pub type Totals = BTreeMap<(Operation, Option<Region>), Calls>;

impl Operation {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GetSecretValue => "GetSecretValue",
            Self::GetParameters => "GetParameters",
            Self::AssumeRoleWithWebIdentity => "AssumeRoleWithWebIdentity",
            Self::AssumeRole => "AssumeRole",
            Self::PodIdentityCredentials => "PodIdentityCredentials",
        }
    }

    pub const fn service(self) -> &'static str {
        match self {
            Self::GetSecretValue => "Secrets Manager",
            Self::GetParameters => "Parameter Store",
            Self::AssumeRoleWithWebIdentity | Self::AssumeRole => "STS",
            Self::PodIdentityCredentials => "Pod Identity agent",
        }
    }
}

impl AddAssign for Calls {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.values += other.values;
        self.restart += other.restart;
    }
}

impl Calls {
    fn times(self, factor: f64) -> Self {
        Self { calls: self.calls * factor, values: self.values * factor, restart: self.restart * factor }
    }
}

/// A day of the whole cluster.
pub(super) fn of_cluster(usage: &Usage, settings: &Settings) -> Totals {
    let mut totals = Totals::new();
    for node in usage.nodes.values() {
        for mounts in node.values() {
            let mounts: Vec<&Mount> = mounts.iter().map(|number| &usage.mounts[*number]).collect();
            of_values(&mounts, settings, &mut totals);
        }
        of_credentials(node.keys(), usage, &mut totals);
    }
    of_churn(usage, settings, &mut totals);
    totals
}

fn add(totals: &mut Totals, operation: Operation, region: &Option<Region>, calls: Calls) {
    *totals.entry((operation, region.clone())).or_default() += calls;
}

/// What one principal reads on one node.
fn of_values(mounts: &[&Mount], settings: &Settings, totals: &mut Totals) {
    // If several classes share a value, the shortest interval counts.
    let mut intervals: BTreeMap<(&Source, &Places), Duration> = BTreeMap::new();
    for mount in mounts {
        let own = mount.interval.filter(|_| !settings.notices);
        let interval = own.unwrap_or(settings.interval);
        for source in &mount.sources {
            let known = intervals.entry((source, &mount.regions)).or_insert(interval);
            *known = interval.min(*known);
        }
    }
    let mut seen = BTreeSet::new();
    for mount in mounts {
        let region = &mount.regions.0;
        // Parameters that were mounted together are read together, ten at a time.
        let mut parameters: BTreeMap<Duration, usize> = BTreeMap::new();
        for source in &mount.sources {
            let key = (source, &mount.regions);
            if !seen.insert(key) {
                continue;
            }
            let interval = intervals.get(&key).copied().unwrap_or(settings.interval);
            match source.service() {
                Service::ParameterStore => *parameters.entry(interval).or_default() += 1,
                Service::SecretsManager => {
                    let reads = reads(source) as f64;
                    let a_day = reads * times_a_day(interval);
                    let calls = Calls { calls: a_day, values: a_day, restart: reads };
                    add(totals, Operation::GetSecretValue, region, calls);
                }
            }
        }
        let together = parameters.values().sum::<usize>().div_ceil(BATCH) as f64;
        for (interval, count) in &parameters {
            let polls = times_a_day(*interval);
            let calls = Calls {
                calls: count.div_ceil(BATCH) as f64 * polls,
                values: *count as f64 * polls,
                restart: 0.0,
            };
            add(totals, Operation::GetParameters, region, calls);
        }
        if !parameters.is_empty() {
            let restart = Calls { restart: together, ..Calls::default() };
            add(totals, Operation::GetParameters, region, restart);
        }
    }
}

/// Several labels of a secret are read so that they belong to one moment: one label, the
/// others, and the first again.
fn reads(source: &Source) -> usize {
    match source.primary.len() {
        1 => 1,
        labels => labels + 1,
    }
}

fn times_a_day(interval: Duration) -> f64 {
    DAY.as_secs_f64() / interval.as_secs_f64()
}

/// The principals' credentials on one node. Roles that one service account assumes share its
/// own credentials.
fn of_credentials<'a>(principals: impl Iterator<Item = &'a Principal>, usage: &Usage, totals: &mut Totals) {
    let age = IdentitySettings::default().max_credential_age;
    let renewed = |life| Calls { calls: times_a_day(life), values: times_a_day(life), restart: 1.0 };
    let (by_sts, by_agent) = (renewed(sts_credential_life(age)), renewed(age));
    let mut own = BTreeSet::new();
    for principal in principals {
        let region = region_of(principal, usage);
        if own.insert(principal.base()) {
            match principal.means {
                Means::Irsa { .. } => add(totals, Operation::AssumeRoleWithWebIdentity, &region, by_sts),
                Means::PodIdentity { .. } => {
                    add(totals, Operation::PodIdentityCredentials, &region, by_agent)
                }
            }
        }
        if principal.assumed.is_some() {
            add(totals, Operation::AssumeRole, &region, by_sts);
        }
    }
}

/// The Region whose STS a principal asks: that of its first mount.
fn region_of(principal: &Principal, usage: &Usage) -> Option<Region> {
    let mount = usage.mounts.iter().find(|mount| mount.principal == *principal);
    mount.and_then(|mount| mount.regions.0.clone())
}

/// Pods that start on a node that does not know their principal read everything there. After
/// they have ended, the values are polled until they are idle.
fn of_churn(usage: &Usage, settings: &Settings, totals: &mut Totals) {
    let pods = usage.pods() as f64;
    if settings.churn == 0 || pods == 0.0 {
        return;
    }
    let idle = ValueSettings::default().idle_after.as_secs_f64() / DAY.as_secs_f64();
    for mount in &usage.mounts {
        let starts = f64::from(settings.churn) * mount.pods as f64 / pods;
        let known = usage.nodes_of(&mount.principal) as f64 / usage.cluster_nodes as f64;
        let cold = starts * (1.0 - known.min(1.0));
        let mut once = Totals::new();
        of_values(&[mount], settings, &mut once);
        of_credentials(std::iter::once(&mount.principal), usage, &mut once);
        for ((operation, region), calls) in once {
            let values = if calls.calls > 0.0 { calls.values / calls.calls } else { 1.0 };
            let first = Calls { calls: calls.restart, values: calls.restart * values, restart: 0.0 };
            let mut extra = Calls { restart: 0.0, ..calls.times(idle) };
            extra += first;
            add(totals, operation, &region, extra.times(cold));
        }
    }
}
