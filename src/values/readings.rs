//! What one read of a source gave, and what has been taken out of it since.

use std::{
    collections::VecDeque,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use crate::{
    backend::ReadResult,
    model::{arn::Region, object::PartsKey, secret::SecretValue},
};

/// Maximum number of sets of parts that are kept for one read: the number of classes
/// with different `jmesPath` entries that share a secret without computing them again.
const MAX_KEPT: usize = 8;
/// Largest set that is kept, in bytes.
const MAX_KEPT_BYTES: usize = 1 << 20;
/// Memory of a part in addition to its bytes.
const PART_BYTES: usize = 64;

/// The results of one read of a source, one for each of its references. Clones share
/// everything.
#[derive(Clone, Debug)]
pub struct Readings {
    results: Arc<[ReadResult]>,
    parts: Arc<Mutex<VecDeque<Kept>>>,
    /// When the read began.
    pub(super) read_at: Instant,
}

/// What an object makes of a value: the decoded whole, then its fields. `None`
/// where there is nothing to decode, or an optional field finds nothing.
pub type Parts = Arc<[Option<SecretValue>]>;

/// A set of parts of one of the results.
struct Kept {
    place: usize,
    key: PartsKey,
    parts: Parts,
}

/// What was read for one object: one of the results, and the parts kept with it.
#[derive(Clone, Debug)]
pub struct Found {
    readings: Readings,
    place: usize,
}

impl Deref for Readings {
    type Target = [ReadResult];

    fn deref(&self) -> &[ReadResult] {
        &self.results
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} parts of result {}", self.parts.len(), self.place)
    }
}

impl Readings {
    /// The results of a read that began at `read_at`.
    pub fn new(results: Vec<ReadResult>, read_at: Instant) -> Self {
        Self { results: results.into(), parts: Arc::default(), read_at }
    }

    pub fn results(&self) -> &Arc<[ReadResult]> {
        &self.results
    }

    /// One of the results; `place` is below their number.
    pub fn found(&self, place: usize) -> Found {
        Found { readings: self.clone(), place }
    }

    /// Takes over the parts of the same values, read before.
    pub(super) fn keep_parts_of(&mut self, before: &Self) {
        self.parts = Arc::clone(&before.parts);
    }

    /// The Region that served the values; `None` if all are absent.
    pub(super) fn giver(&self) -> Option<&Region> {
        self.iter().flatten().map(|reading| &reading.region).next()
    }

    /// Bytes of the values and of the parts kept with them.
    pub fn bytes(&self) -> usize {
        let values: usize = self.iter().flatten().map(|reading| reading.value.len()).sum();
        values + self.parts().iter().map(|kept| bytes_of(&kept.parts)).sum::<usize>()
    }

    /// Whether the other read gave the same values of the same versions.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter().zip(other.iter()).all(|pair| match pair {
                (Ok(one), Ok(other)) => one.version == other.version && one.value == other.value,
                (Err(_), Err(_)) => true,
                (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
            })
    }

    fn parts(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    pub fn result(&self) -> &ReadResult {
        &self.readings[self.place]
    }

    /// The parts that were taken out of this value in the same way before.
    pub fn parts(&self, key: &PartsKey) -> Option<Parts> {
        let kept = self.readings.parts();
        kept.iter()
            .find(|kept| kept.place == self.place && kept.key == *key)
            .map(|kept| Arc::clone(&kept.parts))
    }

    /// Keeps parts of this value as long as the value itself is kept.
    pub fn keep(&self, key: PartsKey, parts: &Parts) {
        if bytes_of(parts) > MAX_KEPT_BYTES {
            return;
        }
        let mut kept = self.readings.parts();
        kept.retain(|kept| kept.place != self.place || kept.key != key);
        if kept.len() >= MAX_KEPT {
            kept.pop_front();
        }
        kept.push_back(Kept { place: self.place, key, parts: Arc::clone(parts) });
    }
}

fn bytes_of(parts: &Parts) -> usize {
    parts.iter().map(|part| PART_BYTES + part.as_ref().map_or(0, SecretValue::len)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Reading;

    fn readings(value: &str) -> Readings {
        let reading = Reading {
            value: SecretValue::from(value.to_owned()),
            version: "v".to_owned(),
            arn: String::new(),
            region: Region::parse("us-east-1").unwrap(),
            request_id: None,
        };
        Readings::new(vec![Ok(reading.clone()), Ok(reading)], Instant::now())
    }

    fn parts(text: &str) -> Parts {
        [Some(SecretValue::from(text.to_owned())), None].into()
    }

    #[test]
    fn parts_are_found_only_by_their_own_result_and_key() {
        let readings = readings("value");
        readings.found(0).keep([1; 32], &parts("part"));
        assert_eq!(readings.found(0).parts(&[1; 32]), Some(parts("part")));
        assert_eq!(readings.found(1).parts(&[1; 32]), None);
        assert_eq!(readings.found(0).parts(&[2; 32]), None);
        assert_eq!(readings.bytes(), 2 * 5 + 4 + 2 * PART_BYTES);
    }

    #[test]
    fn the_oldest_parts_are_dropped_and_very_large_ones_are_not_kept() {
        let readings = readings("value");
        for key in 0..=u8::try_from(MAX_KEPT).unwrap() {
            readings.found(0).keep([key; 32], &parts("part"));
        }
        assert_eq!(readings.found(0).parts(&[0; 32]), None);
        assert!(readings.found(0).parts(&[1; 32]).is_some());
        readings.found(1).keep([99; 32], &parts(&"x".repeat(MAX_KEPT_BYTES)));
        assert_eq!(readings.found(1).parts(&[99; 32]), None);
    }

    #[test]
    fn the_same_values_read_again_keep_their_parts() {
        let (before, mut after) = (readings("value"), readings("value"));
        before.found(0).keep([1; 32], &parts("part"));
        after.keep_parts_of(&before);
        assert_eq!(after.found(0).parts(&[1; 32]), Some(parts("part")));
    }
}
