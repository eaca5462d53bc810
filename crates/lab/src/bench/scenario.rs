//! The scenarios: their names, what each plays, and how often.

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
    /// Prometheus reads the metrics.
    Scrape,
}

impl Scenario {
    pub const ALL: [Self; 12] = [
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
        Self::Scrape,
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
            Self::Scrape => "scrape",
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
            Self::Scrape => "Prometheus reads the metrics of a node that holds 1,000 values",
        }
    }

    /// How often it is played by default.
    pub(super) fn repetitions(self) -> u32 {
        match self {
            Self::Start | Self::Cold => 10,
            Self::Warm | Self::StormOne | Self::StormMany | Self::StormPodIdentity | Self::Loop => 5,
            Self::Rotation | Self::Change | Self::Outage | Self::Idle | Self::Scrape => 1,
        }
    }
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
