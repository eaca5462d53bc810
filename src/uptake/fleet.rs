//! The pods, and what each of them holds, kept up to date.

use std::collections::BTreeMap;

use super::{Holding, RunningPod};

/// Namespace and name.
type Key = (Box<str>, Box<str>);

/// What is known of the cluster's pods.
#[derive(Debug, Default)]
pub struct Fleet {
    pods: BTreeMap<Key, RunningPod>,
    /// By the name of the status object.
    holdings: BTreeMap<Key, Holding>,
}

impl Fleet {
    /// Replaces all pods.
    pub fn set_pods(&mut self, pods: Vec<RunningPod>) {
        self.pods = pods.into_iter().map(|pod| (key_of(&pod), pod)).collect();
    }

    pub fn put_pod(&mut self, pod: RunningPod) {
        self.pods.insert(key_of(&pod), pod);
    }

    pub fn remove_pod(&mut self, pod: &RunningPod) {
        self.pods.remove(&key_of(pod));
    }

    /// Replaces what all pods hold.
    pub fn set_holdings(&mut self, holdings: Vec<Holding>) {
        let before = std::mem::take(&mut self.holdings);
        for mut holding in holdings {
            let key = key_of_holding(&holding);
            if let Some(before) = before.get(&key) {
                keep_times(before, &mut holding);
            }
            self.holdings.insert(key, holding);
        }
    }

    pub fn put_holding(&mut self, mut holding: Holding) {
        let key = key_of_holding(&holding);
        if let Some(before) = self.holdings.get(&key) {
            keep_times(before, &mut holding);
        }
        self.holdings.insert(key, holding);
    }

    pub fn remove_holding(&mut self, holding: &Holding) {
        self.holdings.remove(&key_of_holding(holding));
    }

    pub fn pods(&self) -> impl Iterator<Item = &RunningPod> {
        self.pods.values()
    }

    /// What running pods hold. The status of a pod that was replaced by one of the same
    /// name is left out.
    pub fn held(&self) -> impl Iterator<Item = (&RunningPod, &Holding)> {
        self.holdings.values().filter_map(|holding| {
            let pod = self.pods.get(&(holding.namespace.clone(), holding.pod.clone()))?;
            (holding.pod_uid.is_empty() || holding.pod_uid == pod.uid).then_some((pod, holding))
        })
    }
}

fn key_of(pod: &RunningPod) -> Key {
    (pod.namespace.clone(), pod.name.clone())
}

fn key_of_holding(holding: &Holding) -> Key {
    (holding.namespace.clone(), holding.name.clone())
}

/// A write of the status says nothing about the files that it left as they were.
fn keep_times(before: &Holding, now: &mut Holding) {
    if before.pod_uid != now.pod_uid {
        return;
    }
    for file in &mut now.files {
        let same = before.files.iter().find(|known| known.id == file.id && known.version == file.version);
        if let Some(same) = same {
            file.since = same.since;
        }
    }
}
