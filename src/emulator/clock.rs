//! The emulator's one clock, which tests can move.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// How far the machine's clock may run ahead before the emulator follows it.
/// Tokio's clock stands still while a laptop sleeps; a test with a paused clock
/// never takes this long in real time.
const SLEPT: Duration = Duration::from_secs(60);

/// Wall-clock time that moves with tokio's clock: a test that pauses tokio's
/// clock and advances it sees tokens and sessions expire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    started: SystemTime,
    since: Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { started: SystemTime::now(), since: Instant::now() }
    }

    pub(super) fn now(&self) -> SystemTime {
        let moved = self.started + Instant::now().saturating_duration_since(self.since);
        match SystemTime::now() {
            machine if machine > moved + SLEPT => machine,
            _ => moved,
        }
    }
}

/// Seconds since 1970, as a JWT and AWS's JSON write them; 0 before 1970.
pub(super) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Seconds since 1970 with milliseconds, the form of a timestamp in JSON 1.1.
pub(super) fn json_timestamp(time: SystemTime) -> f64 {
    let millis = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    // Milliseconds since 1970 stay below 2^53 for another 280,000 years.
    #[allow(clippy::cast_precision_loss)]
    let millis = millis as f64;
    millis / 1000.0
}

/// `2026-11-21T09:45:00Z`, the form of a timestamp in STS's XML and the agent's JSON.
pub(super) fn iso_timestamp(time: SystemTime) -> String {
    let seconds = unix_seconds(time);
    let (days, second_of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_date(days);
    let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The Gregorian date of a day counted from 1970-01-01, by counting years from
/// 1 March 0000, so that the leap day is a year's last
/// (<https://howardhinnant.github.io/date_algorithms.html>).
fn civil_date(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_written_as_iso_8601() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_793_523_599, "2026-11-01T08:59:59Z"),
            (4_102_444_799, "2099-12-31T23:59:59Z"),
        ] {
            assert_eq!(iso_timestamp(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn advancing_tokios_clock_advances_the_emulators() {
        let clock = Clock::new();
        let before = clock.now();
        tokio::time::advance(Duration::from_secs(900)).await;
        assert_eq!(clock.now().duration_since(before).unwrap(), Duration::from_secs(900));
    }
}
