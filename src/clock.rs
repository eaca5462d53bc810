//! Wall-clock time, as tokens and sessions expire by it.

mod time;

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

pub use self::time::Time;

/// A wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock(Kind);

#[derive(Clone, Copy, Debug, Default)]
enum Kind {
    #[default]
    Machine,
    Tokio {
        started: SystemTime,
        since: Instant,
    },
}

impl Clock {
    /// The machine's clock, also after the machine has slept or its clock was set back.
    pub fn of_machine() -> Self {
        Self(Kind::Machine)
    }

    /// A clock that starts at the machine's time and moves only with tokio's clock: a
    /// test that pauses and advances tokio's clock sees tokens and sessions expire.
    pub fn of_tokio() -> Self {
        Self(Kind::Tokio { started: SystemTime::now(), since: Instant::now() })
    }

    /// This moment, to tell the wall clock's time of others by it.
    pub fn moment(&self) -> Moment {
        Moment { wall: self.now(), instant: Instant::now() }
    }

    /// The time now.
    pub fn now(&self) -> SystemTime {
        match self.0 {
            Kind::Machine => SystemTime::now(),
            Kind::Tokio { started, since } => started + Instant::now().saturating_duration_since(since),
        }
    }
}

/// The same moment by the wall clock and by tokio's clock.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub wall: SystemTime,
    instant: Instant,
}

impl Moment {
    /// The wall clock's time at another moment of tokio's clock.
    pub fn wall_of(&self, at: Instant) -> SystemTime {
        let wall = match at.checked_duration_since(self.instant) {
            Some(ahead) => self.wall.checked_add(ahead),
            None => self.wall.checked_sub(self.instant.duration_since(at)),
        };
        wall.unwrap_or(self.wall)
    }
}

/// Seconds since 1970, as a JWT and AWS's JSON write them; 0 before 1970.
pub fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The time as RFC 3339 in UTC with milliseconds; 1970 for earlier times.
pub fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:03}Z", date_and_time(since.as_secs()), since.subsec_millis())
}

/// The date and time in UTC, from seconds since 1970: `2026-02-03T04:05:06`.
pub(crate) fn date_and_time(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    // Days since 0000-03-01, in eras of 400 years; a year begins in March, so that the
    // leap day is its last one (Howard Hinnant, "chrono-compatible low-level date algorithms").
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_time_is_written_as_rfc_3339() {
        // As GNU date writes them.
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_001, "2000-03-01T00:00:00.001Z"),
            (1_735_689_599_000, "2024-12-31T23:59:59.000Z"),
            (1_767_225_600_050, "2026-01-01T00:00:00.050Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_millis(millis)), text);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_machines_clock_is_followed_when_it_is_set_back() {
        let clock = Clock::of_machine();
        let before = SystemTime::now();
        // For tokio an hour passes; the machine says that none has.
        tokio::time::advance(HOUR).await;
        let now = clock.now();
        let after = SystemTime::now();
        assert!((before..=after).contains(&now), "{now:?} is not from {before:?} to {after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_machines_clock_is_followed_after_the_machine_slept() {
        let clock = Clock::of_machine();
        let (before, tokios) = (clock.now(), Instant::now());
        // For tokio no time passes, as while a machine sleeps.
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(tokios.elapsed(), Duration::ZERO);
        assert!(clock.now().duration_since(before).unwrap() >= Duration::from_millis(20));
    }

    #[tokio::test(start_paused = true)]
    async fn tokios_clock_moves_when_it_is_advanced_and_only_then() {
        let clock = Clock::of_tokio();
        let before = clock.now();
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(clock.now(), before);
        tokio::time::advance(HOUR).await;
        assert_eq!(clock.now(), before + HOUR);
    }
}
