//! The values that this node has read: who may have them, how fresh they are, and
//! what happens to them when AWS fails or refuses.
//!
//! An entry belongs to one principal, so nothing read as one identity is ever served
//! to another. A value is zeroized when its last user is done.

mod denials;
mod entry;
mod notified;
mod paces;
mod reader;
mod readings;
mod refresh;
mod schedule;
mod table;
mod view;

use std::time::Duration;

pub use self::view::EntryState;
pub(crate) use self::view::EntryView;
pub use self::{
    entry::{Due, Entry, Lost, Origin, Served},
    paces::Stretching,
    reader::{NotRead, PodAsker, Read, Reader, Refreshed},
    readings::{Found, Parts, Readings},
    refresh::{Refresh, Settled},
    table::{Overview, Values},
};

/// How long values count.
#[derive(Clone, Debug)]
pub struct ValueSettings {
    /// Maximum age of a served value (`--rotation-poll-interval`).
    pub interval: Duration,
    /// Maximum age of a value while AWS throttles (`--max-refresh-interval`).
    pub max_interval: Duration,
    /// How often a value is read again while notices would tell of a change
    /// (`--notified-poll-interval`).
    pub notified_interval: Duration,
    /// Maximum age while AWS fails; zero serves none.
    pub max_stale: Duration,
    /// How long an entry stays that no mount asks for.
    pub idle_after: Duration,
    /// Maximum bytes of all entries.
    pub max_bytes: usize,
}

impl Default for ValueSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(2 * 60),
            max_interval: Duration::from_secs(60 * 60),
            notified_interval: Duration::from_secs(60 * 60),
            max_stale: Duration::from_secs(60 * 60),
            idle_after: Duration::from_secs(10 * 60),
            max_bytes: 32 << 20,
        }
    }
}
