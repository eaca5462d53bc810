//! What the same pods would cost with another interval, or with AWS's own provider.

use std::time::Duration;

use super::{Calls, Operation, Settings, Totals, Usage, calls::of_cluster, dollars};
use crate::{backend::BATCH, model::go_text::show_duration};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Intervals that are worth comparing.
const INTERVALS: [u64; 6] = [30, 60, 120, 300, 900, 3600];
/// The default of `--notified-poll-interval`.
const NOTIFIED: Duration = Duration::from_secs(3600);

/// A way to run the same pods.
#[derive(Debug)]
pub struct Scenario {
    pub title: String,
    pub totals: Totals,
    pub dollars: f64,
}

impl Scenario {
    fn new(title: String, totals: Totals, settings: &Settings) -> Self {
        let dollars = totals.iter().map(|((operation, _), calls)| dollars::of(*operation, calls, settings));
        Self { title, dollars: dollars.sum(), totals }
    }

    pub fn calls(&self) -> f64 {
        self.totals.values().map(|calls| calls.calls).sum()
    }
}

/// The settings themselves, then what else there is.
pub fn scenarios(usage: &Usage, settings: &Settings) -> Vec<Scenario> {
    let with = |interval: Duration| Settings { interval, ..settings.clone() };
    let title = |interval| format!("--rotation-poll-interval={}", show_duration(interval));
    let now = Scenario::new(title(settings.interval), of_cluster(usage, settings), settings);
    let others = INTERVALS.map(Duration::from_secs).into_iter().filter(|other| *other != settings.interval);
    let others = others.map(|other| Scenario::new(title(other), of_cluster(usage, &with(other)), settings));
    let notified = Settings { interval: NOTIFIED, notices: true, ..settings.clone() };
    let title_of_notices = format!("change notices, and each value every {}", show_duration(NOTIFIED));
    let notices = Scenario::new(title_of_notices, of_cluster(usage, &notified), settings);
    let title = format!("AWS's own provider, each pod every {}", show_duration(settings.republish));
    let of_aws = Scenario::new(title, of_aws_provider(usage, settings), settings);
    std::iter::once(now).chain(others).chain([notices, of_aws]).collect()
}

/// AWS's own provider keeps nothing: each republish of each pod gets new credentials and
/// reads every object.
fn of_aws_provider(usage: &Usage, settings: &Settings) -> Totals {
    let mut totals = Totals::new();
    let republishes = DAY.as_secs_f64() / settings.republish.as_secs_f64();
    let pods = usage.pods().max(1) as f64;
    for mount in &usage.mounts {
        let starts = f64::from(settings.churn) * mount.pods as f64 / pods;
        let times = mount.pods as f64 * republishes + starts;
        let mut add = |operation, calls: usize, values: usize| {
            if calls > 0 {
                *totals.entry((operation, mount.regions.0.clone())).or_default() += Calls {
                    calls: calls as f64 * times,
                    values: values as f64 * times,
                    restart: (calls * mount.pods) as f64,
                };
            }
        };
        add(Operation::GetSecretValue, mount.secrets, mount.secrets);
        add(Operation::GetParameters, mount.parameters.div_ceil(BATCH), mount.parameters);
        add(own_credentials(mount), 1, 1);
    }
    totals
}

fn own_credentials(mount: &super::usage::Mount) -> Operation {
    use crate::model::principal::Means;
    match mount.principal.means {
        Means::Irsa { .. } => Operation::AssumeRoleWithWebIdentity,
        Means::PodIdentity { .. } => Operation::PodIdentityCredentials,
    }
}
