//! How the last mount of each pod's volume ended, so that a change is told once.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    bounds::make_room_fairly,
    model::{reason::Reason, request::Pod},
};

/// Volumes that are remembered. A node has a few hundred.
const MAX_VOLUMES: usize = 4096;

/// The last results of mounts, by volume that was mounted.
#[derive(Debug, Default)]
pub(super) struct Pods {
    hasher: RandomState,
    volumes: Mutex<HashMap<u64, Volume>>,
}

/// What a pod has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// Values as fresh as they should be.
    Fresh,
    /// Last known good values, because AWS fails.
    Stale,
    /// AWS denies what the pod has mounted before.
    AccessLost,
    /// The files are from an earlier mount, for another reason.
    Outdated,
}

#[derive(Debug)]
struct Volume {
    namespace: u64,
    health: Health,
    seen_at: Instant,
}

impl Health {
    /// What a failed mount means for a pod that was mounted before.
    pub(super) fn of_failure(reason: Reason) -> Self {
        match reason {
            Reason::Denied
            | Reason::KmsDenied
            | Reason::TokenRefused
            | Reason::NoIdentity
            | Reason::CredentialsRefused
            | Reason::NotFound
            | Reason::Unusable => Self::AccessLost,
            Reason::KubernetesForbidden
            | Reason::TokenMissing
            | Reason::KubernetesNotFound
            | Reason::ValueMismatch
            | Reason::TooLarge
            | Reason::BadAnnotation
            | Reason::NoRegion
            | Reason::WriteFailed
            | Reason::VolumesFull
            | Reason::InvalidRequest
            | Reason::RejectedByAws
            | Reason::Throttled
            | Reason::Outage
            | Reason::KubernetesOutage
            | Reason::Busy
            | Reason::Deadline
            | Reason::Bug => Self::Outdated,
        }
    }
}

impl Pods {
    /// Remembers how a mount ended. Returns the health if it is news to the pod's owner.
    pub(super) fn saw(&self, pod: &Pod, target_path: &Path, health: Health) -> Option<Health> {
        let key = self.hasher.hash_one((&pod.uid, target_path));
        let (now, namespace) = (Instant::now(), self.hasher.hash_one(&pod.namespace));
        let mut volumes = self.volumes();
        if let Some(volume) = volumes.get_mut(&key) {
            let before = std::mem::replace(&mut volume.health, health);
            volume.seen_at = now;
            return (before != health).then_some(health);
        }
        if !matches!(health, Health::Fresh | Health::Stale) {
            // Before a first success, kubelet tells why the pod does not start.
            return None;
        }
        make_room_fairly(&mut volumes, MAX_VOLUMES, |volume| (volume.namespace, volume.seen_at));
        volumes.insert(key, Volume { namespace, health, seen_at: now });
        // A pod that starts with stale values has reason to know.
        (health == Health::Stale).then_some(health)
    }

    /// Forgets volumes that nobody has mounted for so long.
    pub(super) fn drop_idle(&self, idle_after: Duration) {
        self.volumes().retain(|_, volume| volume.seen_at.elapsed() <= idle_after);
    }

    /// Volumes that are fresh, stale, or failing.
    pub(super) fn count(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for volume in self.volumes().values() {
            let state = match volume.health {
                Health::Fresh => 0,
                Health::Stale => 1,
                Health::AccessLost | Health::Outdated => 2,
            };
            counts[state] += 1;
        }
        counts
    }

    fn volumes(&self) -> MutexGuard<'_, HashMap<u64, Volume>> {
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOLUME: &str = "/var/lib/kubelet/pods/1/volumes/kubernetes.io~csi/secrets/mount";

    fn pod(namespace: &str, uid: usize) -> Pod {
        Pod {
            namespace: namespace.to_owned(),
            name: "web".to_owned(),
            uid: uid.to_string(),
            service_account: "web".to_owned(),
        }
    }

    #[tokio::test]
    async fn each_change_is_told_once() {
        let (pods, pod) = (Pods::default(), pod("shop", 1));
        let told: Vec<Option<Health>> = [
            Health::Fresh,
            Health::Fresh,
            Health::Stale,
            Health::Stale,
            Health::AccessLost,
            Health::AccessLost,
            Health::Outdated,
            Health::Fresh,
        ]
        .map(|health| pods.saw(&pod, Path::new(VOLUME), health))
        .to_vec();
        let told: Vec<Health> = told.into_iter().flatten().collect();
        assert_eq!(told, [Health::Stale, Health::AccessLost, Health::Outdated, Health::Fresh]);
    }

    #[tokio::test]
    async fn two_volumes_of_a_pod_are_told_apart() {
        let (pods, pod) = (Pods::default(), pod("shop", 1));
        let [good, bad] = ["/good", "/bad"].map(Path::new);
        assert_eq!([pods.saw(&pod, good, Health::Fresh), pods.saw(&pod, bad, Health::Fresh)], [None, None]);
        assert_eq!(pods.saw(&pod, bad, Health::Outdated), Some(Health::Outdated));
        for _ in 0..3 {
            assert_eq!(pods.saw(&pod, good, Health::Fresh), None);
            assert_eq!(pods.saw(&pod, bad, Health::Outdated), None);
        }
        assert_eq!(pods.count(), [1, 0, 1]);
    }

    #[tokio::test]
    async fn a_pod_that_never_started_is_kubelets_to_tell() {
        let (pods, pod) = (Pods::default(), pod("shop", 1));
        assert_eq!(pods.saw(&pod, Path::new(VOLUME), Health::AccessLost), None);
        assert_eq!(pods.saw(&pod, Path::new(VOLUME), Health::Outdated), None);
        assert_eq!(pods.count(), [0, 0, 0]);
        assert_eq!(pods.saw(&pod, Path::new(VOLUME), Health::Fresh), None);
        assert_eq!(pods.saw(&pod, Path::new(VOLUME), Health::AccessLost), Some(Health::AccessLost));
        assert_eq!(pods.count(), [0, 0, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn volumes_are_bounded_and_the_largest_namespace_gives_way() {
        let pods = Pods::default();
        assert_eq!(pods.saw(&pod("shop", 1), Path::new(VOLUME), Health::Fresh), None);
        for uid in 0..MAX_VOLUMES + 10 {
            pods.saw(&pod("evil", uid), Path::new(VOLUME), Health::Fresh);
        }
        let [held, ..] = pods.count();
        assert!((MAX_VOLUMES / 16 * 15..=MAX_VOLUMES).contains(&held), "{held} volumes");
        assert_eq!(pods.saw(&pod("shop", 1), Path::new(VOLUME), Health::Stale), Some(Health::Stale));
        tokio::time::advance(Duration::from_secs(60)).await;
        pods.saw(&pod("shop", 2), Path::new(VOLUME), Health::Fresh);
        pods.drop_idle(Duration::from_secs(30));
        assert_eq!(pods.count(), [1, 0, 0]);
    }
}
