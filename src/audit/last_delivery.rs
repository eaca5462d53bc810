//! What each volume was given last, as a fingerprint: a republish of the same files is
//! no delivery.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::Delivery;
use crate::bounds::make_room_fairly;

/// Many times the pods of a node. A volume that is forgotten is reported once more.
const MAX_VOLUMES: usize = 8192;

#[derive(Debug, Default)]
pub(super) struct LastDeliveries {
    /// Its key is random, so nobody can make two deliveries look alike, or test a guess
    /// of a value.
    hasher: RandomState,
    volumes: Mutex<HashMap<u64, Last>>,
}

/// The last delivery to a volume. Values are only hashed, never kept.
#[derive(Clone, Copy, Debug)]
struct Last {
    namespace: u64,
    fingerprint: u64,
    seen_at: Instant,
}

/// A delivery that differs from the volume's last one.
pub(super) struct News<'a> {
    of: &'a LastDeliveries,
    volume: u64,
    last: Last,
}

impl LastDeliveries {
    /// `None` if the volume was given the same before.
    pub(super) fn news(&self, delivery: &Delivery<'_>) -> Option<News<'_>> {
        let volume = self.hasher.hash_one((delivery.target_path, &delivery.pod.uid));
        let namespace = self.hasher.hash_one(&delivery.pod.namespace);
        let last = Last { namespace, fingerprint: self.fingerprint(delivery), seen_at: Instant::now() };
        let mut volumes = self.volumes();
        match volumes.get_mut(&volume) {
            Some(known) if known.fingerprint == last.fingerprint => {
                known.seen_at = last.seen_at;
                None
            }
            Some(_) | None => Some(News { of: self, volume, last }),
        }
    }

    pub(super) fn drop_idle(&self, idle_after: Duration) {
        self.volumes().retain(|_, last| last.seen_at.elapsed() <= idle_after);
    }

    fn fingerprint(&self, delivery: &Delivery<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        (delivery.class, delivery.principal).hash(&mut hasher);
        for found in delivery.found {
            let reading = found.result().as_ref().ok();
            reading.map(|reading| (&reading.arn, &reading.version)).hash(&mut hasher);
        }
        for file in delivery.files {
            (&file.path, &file.version, file.contents.expose()).hash(&mut hasher);
        }
        hasher.finish()
    }

    fn volumes(&self) -> MutexGuard<'_, HashMap<u64, Last>> {
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl News<'_> {
    /// Makes it the volume's last delivery.
    pub(super) fn remember(self) {
        let mut volumes = self.of.volumes();
        if !volumes.contains_key(&self.volume) {
            make_room_fairly(&mut volumes, MAX_VOLUMES, |last| (last.namespace, last.seen_at));
        }
        volumes.insert(self.volume, self.last);
    }
}
