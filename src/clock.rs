//! Wall-clock time that moves with tokio's clock, so that a test that pauses
//! tokio's clock and advances it sees tokens and sessions expire.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// How far the machine's clock may differ before it is followed. Tokio's
/// clock stands still while a machine sleeps; a test with a paused clock never
/// takes this long in real time.
const SLEPT: Duration = Duration::from_secs(60);

/// A wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: SystemTime,
    since: Instant,
}

impl Clock {
    /// Starts at the machine's time.
    pub fn new() -> Self {
        Self { started: SystemTime::now(), since: Instant::now() }
    }

    /// The time now.
    pub fn now(&self) -> SystemTime {
        let moved = self.started + Instant::now().saturating_duration_since(self.since);
        let machine = SystemTime::now();
        let ahead = machine.duration_since(moved).is_ok_and(|ahead| ahead > SLEPT);
        // A test that advances tokio's clock is ahead of the machine; a machine
        // whose clock was set back is to be followed.
        let behind =
            !cfg!(feature = "emulator") && moved.duration_since(machine).is_ok_and(|behind| behind > SLEPT);
        if ahead || behind { machine } else { moved }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// Seconds since 1970, as a JWT and AWS's JSON write them; 0 before 1970.
pub fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
