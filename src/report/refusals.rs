//! Refusals in the log. Each is logged at once. kubelet tries again, so repetitions are
//! counted and logged at growing intervals. No namespace fills the log, or keeps
//! another namespace's refusals out of it.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::bounds::{ByteBudget, make_room};

/// Time from a refusal to the first line about its repetitions, and the longest time
/// between two lines. It doubles from line to line.
const FIRST_INTERVAL: Duration = Duration::from_secs(60);
const LONGEST_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Refusals remembered for each namespace, and the number of namespaces.
const MAX_REFUSALS: usize = 64;
const MAX_NAMESPACES: usize = 256;

/// Recent refusals.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// The author of a text cannot choose its hash.
    hasher: RandomState,
    namespaces: Mutex<HashMap<u64, Namespace>>,
}

/// What was not logged before a refusal. It is printed behind the refusal's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Untold {
    /// Repetitions of the same refusal, and for how long.
    repeated: u64,
    since: Duration,
    /// Other refusals of a namespace that had logged too much.
    dropped: u64,
}

#[derive(Debug)]
struct Namespace {
    known: HashMap<u64, Known>,
    budget: ByteBudget,
    seen_at: Instant,
}

#[derive(Debug)]
struct Known {
    told_at: Instant,
    /// How long repetitions are only counted.
    interval: Duration,
    repeated: u64,
}

impl Refusals {
    /// `None` if `text`, which refuses `subject` (a class, a caller) in `namespace`, is
    /// only counted now.
    pub(super) fn tell(&self, namespace: &str, subject: &str, text: &str) -> Option<Untold> {
        let now = Instant::now();
        let refusal = self.fingerprint(subject, text);
        let namespace = self.hasher.hash_one(namespace);
        let mut namespaces = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        if !namespaces.contains_key(&namespace) {
            make_room(&mut namespaces, MAX_NAMESPACES, |namespace| namespace.seen_at);
        }
        let namespace = namespaces.entry(namespace).or_insert_with(|| Namespace::new(now));
        namespace.tell(refusal, text.len(), now)
    }

    /// The same for repetitions of a refusal, whose bare numbers and request ids differ.
    fn fingerprint(&self, subject: &str, text: &str) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        subject.hash(&mut hasher);
        let mut after_id = false;
        for word in text.split_whitespace() {
            let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
            if !after_id && !word.bytes().all(|b| b.is_ascii_digit()) {
                word.hash(&mut hasher);
            }
            after_id = bare.eq_ignore_ascii_case("id");
        }
        hasher.finish()
    }
}

impl Namespace {
    fn new(now: Instant) -> Self {
        Self { known: HashMap::new(), budget: ByteBudget::new(now), seen_at: now }
    }

    fn tell(&mut self, refusal: u64, bytes: usize, now: Instant) -> Option<Untold> {
        self.seen_at = now;
        let known = self.known.get_mut(&refusal);
        if let Some(known) = known
            && now.duration_since(known.told_at) < known.interval
        {
            known.repeated += 1;
            return None;
        }
        let dropped = self.budget.pay(bytes, now)?;
        make_room(&mut self.known, MAX_REFUSALS, |known| known.told_at);
        let new = Known { told_at: now, interval: FIRST_INTERVAL, repeated: 0 };
        let before = self.known.insert(refusal, new);
        let mut untold = Untold { dropped, ..Untold::default() };
        if let Some(before) = before {
            untold.repeated = before.repeated;
            untold.since = now.duration_since(before.told_at);
            // A refusal that comes back after a long time is new.
            if untold.since < before.interval * 2
                && let Some(known) = self.known.get_mut(&refusal)
            {
                known.interval = (before.interval * 2).min(LONGEST_INTERVAL);
            }
        }
        Some(untold)
    }
}

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.repeated > 0 {
            let minutes = self.since.as_secs().div_ceil(60);
            let times = if self.repeated == 1 { "time" } else { "times" };
            write!(f, " (repeated {} {times} in {minutes} min)", self.repeated)?;
        }
        if self.dropped > 0 {
            write!(
                f,
                " ({} refusals of this namespace were not logged: it had logged too much)",
                self.dropped
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn minutes(count: u64) {
        tokio::time::advance(Duration::from_secs(count * 60)).await;
    }

    fn told(refusals: &Refusals, text: &str) -> Option<String> {
        refusals.tell("shop", "class", text).map(|untold| untold.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn a_repetition_is_counted_and_logged_at_growing_intervals() {
        let refusals = Refusals::default();
        assert_eq!(told(&refusals, "denied (request id 1a-2b)").as_deref(), Some(""));
        let mut told_at = Vec::new();
        for minute in 1..=40 {
            minutes(1).await;
            // Another attempt has another request id.
            if let Some(again) = told(&refusals, &format!("denied (request id {minute}c-d)")) {
                told_at.push((minute, again));
            }
        }
        let expected = [
            (1, ""),
            (3, " (repeated 1 time in 2 min)"),
            (7, " (repeated 3 times in 4 min)"),
            (15, " (repeated 7 times in 8 min)"),
            (31, " (repeated 15 times in 16 min)"),
        ];
        assert_eq!(told_at, expected.map(|(minute, text)| (minute, text.to_owned())));
    }

    #[tokio::test(start_paused = true)]
    async fn another_text_or_class_is_logged_at_once_and_an_old_one_counts_as_new() {
        let refusals = Refusals::default();
        assert!(told(&refusals, "it expired 5 s ago").is_some());
        assert!(told(&refusals, "it expired 65 s ago").is_none());
        assert!(told(&refusals, "objects[1]: wrong").is_some());
        assert!(told(&refusals, "objects[2]: wrong").is_some());
        assert!(refusals.tell("shop", "other", "objects[2]: wrong").is_some());
        minutes(600).await;
        assert!(told(&refusals, "objects[1]: wrong").is_some());
        minutes(1).await;
        // The interval begins anew.
        assert!(told(&refusals, "objects[1]: wrong").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_noisy_namespace_is_limited_and_silences_nobody_else() {
        let refusals = Refusals::default();
        let long = "x".repeat(6000);
        let mut bytes = 0;
        for number in 0..100_000 {
            let text = format!("{long}{number}");
            if refusals.tell("noisy", "class", &text).is_some() {
                bytes += text.len();
            }
            if number % 100 == 0 {
                tokio::time::advance(Duration::from_secs(1)).await;
            }
        }
        assert!(bytes < (64 << 10) + 1001 * 64, "{bytes} bytes of log");
        assert_eq!(told(&refusals, "denied").as_deref(), Some(""));
        minutes(60).await;
        let untold = refusals.tell("noisy", "class", "other").unwrap();
        assert_ne!(untold.dropped, 0);
        assert!(untold.to_string().contains("were not logged"), "{untold}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_remembered_refusals_is_limited() {
        let refusals = Refusals::default();
        for number in 0..10_000 {
            refusals.tell(&format!("namespace-{number}"), "class", "denied");
            refusals.tell("shop", "class", &format!("denied x{number}"));
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        let namespaces = refusals.namespaces.lock().unwrap();
        assert_eq!(namespaces.len(), MAX_NAMESPACES);
        for (name, namespace) in namespaces.iter() {
            let known = namespace.known.len();
            assert!(known <= MAX_REFUSALS, "{known} refusals of {name}; the maximum is {MAX_REFUSALS}");
        }
    }
}
