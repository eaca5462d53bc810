//! Bounds of what others can make Latchkey write or remember: a budget of bytes for a
//! namespace's lines, and tables that forget their oldest entries.

use std::{collections::HashMap, hash::Hash, time::Duration};

use tokio::time::Instant;

/// Bytes that may be written at once, and what is regained each second: 5 MiB a day.
const BURST_BYTES: u64 = 64 << 10;
const BYTES_PER_SECOND: u64 = 64;

/// What one namespace may still write.
#[derive(Debug)]
pub(crate) struct ByteBudget {
    bytes_left: u64,
    filled_at: Instant,
    refused: u64,
}

impl ByteBudget {
    pub(crate) fn new(now: Instant) -> Self {
        Self { bytes_left: BURST_BYTES, filled_at: now, refused: 0 }
    }

    /// Pays for a line. Returns how many lines were refused since the last one that was
    /// paid for; `None` refuses this one.
    pub(crate) fn pay(&mut self, bytes: usize, now: Instant) -> Option<u64> {
        let seconds = now.duration_since(self.filled_at).as_secs();
        self.filled_at += Duration::from_secs(seconds);
        let filled = self.bytes_left.saturating_add(seconds.saturating_mul(BYTES_PER_SECOND));
        self.bytes_left = filled.min(BURST_BYTES);
        match self.bytes_left.checked_sub(u64::try_from(bytes).unwrap_or(u64::MAX)) {
            Some(left) => {
                self.bytes_left = left;
                Some(std::mem::take(&mut self.refused))
            }
            None => {
                self.refused += 1;
                None
            }
        }
    }
}

/// Forgets the oldest entry if there are `max` already.
pub(crate) fn make_room<K: Copy + Eq + Hash, V>(
    table: &mut HashMap<K, V>,
    max: usize,
    at: impl Fn(&V) -> Instant,
) {
    if table.len() >= max
        && let Some(oldest) = table.iter().min_by_key(|(_, entry)| at(entry)).map(|(key, _)| *key)
    {
        table.remove(&oldest);
    }
}

/// Forgets the oldest entries of the namespace that has most, if there are `max` already:
/// no namespace pushes out another's. It forgets a sixteenth at once, because it looks at
/// the whole table.
pub(crate) fn make_room_fairly<K: Copy + Eq + Hash, V>(
    table: &mut HashMap<K, V>,
    max: usize,
    namespace_and_at: impl Fn(&V) -> (u64, Instant),
) {
    if table.len() < max {
        return;
    }
    let mut namespaces: HashMap<u64, Vec<(Instant, K)>> = HashMap::new();
    for (key, entry) in table.iter() {
        let (namespace, at) = namespace_and_at(entry);
        namespaces.entry(namespace).or_default().push((at, *key));
    }
    let mut most = namespaces.into_values().max_by_key(Vec::len).unwrap_or_default();
    most.sort_unstable_by_key(|(at, _)| *at);
    for (_, key) in most.into_iter().take((max / 16).max(1)) {
        table.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_followed_by_a_slow_stream_and_refusals_are_counted() {
        let mut budget = ByteBudget::new(Instant::now());
        let mut pay = |bytes| budget.pay(bytes, Instant::now());
        assert_eq!(pay(64 << 10), Some(0));
        assert_eq!((pay(1), pay(1)), (None, None));
        tokio::time::advance(Duration::from_millis(2500)).await;
        assert_eq!(pay(129), None);
        assert_eq!(pay(128), Some(3));
        tokio::time::advance(Duration::from_secs(1 << 40)).await;
        assert_eq!(pay((64 << 10) + 1), None);
        assert_eq!(pay(64 << 10), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_entry_of_the_largest_namespace_makes_room() {
        let mut table = HashMap::from([("quiet", (1, Instant::now()))]);
        for name in ["a", "b", "c"] {
            tokio::time::advance(Duration::from_secs(1)).await;
            make_room_fairly(&mut table, 3, |entry| *entry);
            table.insert(name, (2, Instant::now()));
        }
        let mut names: Vec<&str> = table.into_keys().collect();
        names.sort_unstable();
        assert_eq!(names, ["b", "c", "quiet"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_entry_makes_room() {
        let mut table = HashMap::new();
        for name in 0..3 {
            make_room(&mut table, 2, |at| *at);
            table.insert(name, Instant::now());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let mut names: Vec<i32> = table.into_keys().collect();
        names.sort_unstable();
        assert_eq!(names, [1, 2]);
    }
}
