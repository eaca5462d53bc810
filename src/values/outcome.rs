//! What one read of a source gave, and what has been taken out of it since.

use std::{
    collections::VecDeque,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    fetch::ObjectResult,
    model::{object::PartsKey, secret::SecretValue},
};

/// Sets of parts that are kept of one read: as many classes with different
/// `jmesPath` entries can share a secret without computing anything again.
const MAX_KEPT: usize = 8;
/// Most bytes of one set that is kept.
const MAX_KEPT_BYTES: usize = 1 << 20;
/// What a part costs beside its bytes.
const PART_BYTES: usize = 64;

/// Readings, or absences of optional objects. Clones share everything.
#[derive(Clone, Debug)]
pub struct Outcome {
    results: Arc<[ObjectResult]>,
    parts: Arc<Mutex<VecDeque<Kept>>>,
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

/// One of the results of an outcome.
#[derive(Clone, Debug)]
pub struct Found {
    outcome: Outcome,
    place: usize,
}

impl From<Vec<ObjectResult>> for Outcome {
    fn from(results: Vec<ObjectResult>) -> Self {
        Self { results: results.into(), parts: Arc::default() }
    }
}

impl Deref for Outcome {
    type Target = [ObjectResult];

    fn deref(&self) -> &[ObjectResult] {
        &self.results
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} parts of result {}", self.parts.len(), self.place)
    }
}

impl Outcome {
    /// The results themselves.
    pub fn results(&self) -> &Arc<[ObjectResult]> {
        &self.results
    }

    /// One of the results; `place` is below their number.
    pub fn found(&self, place: usize) -> Found {
        Found { outcome: self.clone(), place }
    }

    /// Takes over what was taken out of the same values, read before.
    pub(super) fn keep_parts_of(&mut self, before: &Self) {
        self.parts = Arc::clone(&before.parts);
    }

    /// Bytes of the values and of what was taken out of them.
    pub fn bytes(&self) -> usize {
        let values: usize = self.results.iter().flatten().map(|reading| reading.value.len()).sum();
        values + self.parts().iter().map(|kept| bytes_of(&kept.parts)).sum::<usize>()
    }

    fn parts(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    /// What became of the object.
    pub fn result(&self) -> &ObjectResult {
        &self.outcome.results[self.place]
    }

    /// What was taken out of this value before, in the same way.
    pub fn parts(&self, key: &PartsKey) -> Option<Parts> {
        let kept = self.outcome.parts();
        kept.iter()
            .find(|kept| kept.place == self.place && kept.key == *key)
            .map(|kept| Arc::clone(&kept.parts))
    }

    /// Keeps what was taken out of this value, as long as the value itself is kept.
    pub fn keep(&self, key: PartsKey, parts: &Parts) {
        if bytes_of(parts) > MAX_KEPT_BYTES {
            return;
        }
        let mut kept = self.outcome.parts();
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

    fn outcome(value: &str) -> Outcome {
        let reading = Reading {
            value: SecretValue::from(value.to_owned()),
            version: "v".to_owned(),
            arn: String::new(),
            region: crate::model::arn::Region::parse("us-east-1").unwrap(),
            request_id: None,
        };
        vec![Ok(reading.clone()), Ok(reading)].into()
    }

    fn parts(text: &str) -> Parts {
        [Some(SecretValue::from(text.to_owned())), None].into()
    }

    #[test]
    fn parts_are_found_only_by_their_own_result_and_key() {
        let outcome = outcome("value");
        outcome.found(0).keep([1; 32], &parts("part"));
        assert_eq!(outcome.found(0).parts(&[1; 32]), Some(parts("part")));
        assert_eq!(outcome.found(1).parts(&[1; 32]), None);
        assert_eq!(outcome.found(0).parts(&[2; 32]), None);
        assert_eq!(outcome.bytes(), 2 * 5 + 4 + 2 * PART_BYTES);
    }

    #[test]
    fn the_oldest_parts_are_dropped_and_very_large_ones_are_not_kept() {
        let outcome = outcome("value");
        for key in 0..=u8::try_from(MAX_KEPT).unwrap() {
            outcome.found(0).keep([key; 32], &parts("part"));
        }
        assert_eq!(outcome.found(0).parts(&[0; 32]), None);
        assert!(outcome.found(0).parts(&[1; 32]).is_some());
        outcome.found(1).keep([99; 32], &parts(&"x".repeat(MAX_KEPT_BYTES)));
        assert_eq!(outcome.found(1).parts(&[99; 32]), None);
    }

    #[test]
    fn the_same_values_read_again_keep_their_parts() {
        let (before, mut after) = (outcome("value"), outcome("value"));
        before.found(0).keep([1; 32], &parts("part"));
        after.keep_parts_of(&before);
        assert_eq!(after.found(0).parts(&[1; 32]), Some(parts("part")));
    }
}
