//! Recent events, so that a repetition is counted in the event that exists.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::{Event, Kind};
use crate::model::reason::Reason;

/// A repetition within this time is counted, as kube and client-go do.
const WINDOW: Duration = Duration::from_secs(6 * 60);
/// Maximum number of remembered events.
const MAX_SERIES: usize = 256;

/// Events with the same pod, class, kind and reason.
#[derive(Default)]
pub(super) struct Series(HashMap<Key, Known>);

#[derive(PartialEq, Eq, Hash)]
struct Key {
    uid: String,
    class: String,
    kind: Kind,
    reason: Option<Reason>,
}

struct Known {
    name: String,
    count: u32,
    at: Instant,
}

impl Series {
    /// Returns the name of the recent event that `event` repeats, and its new count.
    pub(super) fn next(&self, event: &Event) -> Option<(String, u32)> {
        let known = self.0.get(&Key::of(event)).filter(|known| known.at.elapsed() < WINDOW)?;
        Some((known.name.clone(), known.count.saturating_add(1)))
    }

    /// Remembers that the event with this name has this count now.
    pub(super) fn put(&mut self, event: &Event, name: String, count: u32) {
        self.0.retain(|_, known| known.at.elapsed() < WINDOW);
        let key = Key::of(event);
        // The repetition of an event that is not remembered becomes another event.
        if self.0.len() < MAX_SERIES || self.0.contains_key(&key) {
            self.0.insert(key, Known { name, count, at: Instant::now() });
        }
    }
}

impl Key {
    fn of(event: &Event) -> Self {
        let Event { pod, class, kind, reason, .. } = event;
        Self { uid: pod.uid.clone(), class: class.clone(), kind: *kind, reason: *reason }
    }
}
