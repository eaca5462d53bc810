//! The emulator's time, and timestamps as AWS writes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_smithy_types::{DateTime, date_time::Format};
use tokio::time::Instant;

/// The unit of AWS's recovery windows and of `LastAccessedDate`.
pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// How far the machine's clock may be ahead before it is followed. Tokio's clock
/// stands still while a machine sleeps; a test that pauses it never takes this long.
const SLEPT: Duration = Duration::from_secs(60);

/// A wall clock that moves with tokio's clock, also with one that a test advances.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    started: SystemTime,
    since: Instant,
}

impl Clock {
    /// Starts at the machine's time.
    pub(super) fn new() -> Self {
        Self { started: SystemTime::now(), since: Instant::now() }
    }

    pub(super) fn now(&self) -> SystemTime {
        let moved = self.started + Instant::now().saturating_duration_since(self.since);
        let machine = SystemTime::now();
        let slept = machine.duration_since(moved).is_ok_and(|ahead| ahead > SLEPT);
        if slept { machine } else { moved }
    }
}

/// Seconds since 1970, as a JWT writes them; 0 before 1970.
pub(super) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Milliseconds since 1970, as SQS writes them; 0 before 1970.
pub(super) fn unix_milliseconds(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis())
}

/// Seconds since 1970 with milliseconds, the form of a timestamp in JSON 1.1.
pub(super) fn json_timestamp(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_secs_f64() * 1000.0).trunc() / 1000.0
}

/// `2026-11-21T09:45:00Z`, the form of a timestamp in STS's XML and the agent's JSON.
pub(super) fn iso_timestamp(time: SystemTime) -> String {
    let seconds = i64::try_from(unix_seconds(time)).unwrap_or(i64::MAX);
    DateTime::from_secs(seconds).fmt(Format::DateTime).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_written_as_iso_8601() {
        assert_eq!(iso_timestamp(UNIX_EPOCH), "1970-01-01T00:00:00Z");
        let leap_day = UNIX_EPOCH + Duration::from_secs(1_709_210_096);
        assert_eq!(iso_timestamp(leap_day), "2024-02-29T12:34:56Z");
    }

    #[tokio::test(start_paused = true)]
    async fn time_moves_with_a_clock_that_a_test_advances() {
        let clock = Clock::new();
        let before = clock.now();
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(clock.now(), before + Duration::from_secs(3600));
    }
}
