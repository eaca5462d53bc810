//! Points in time as people read them: RFC 3339 in UTC, to the second.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{date_and_time, unix_seconds};

const DAY: u64 = 24 * 60 * 60;

/// Seconds since 1970. Prints and parses `2026-02-03T04:05:06Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(u64);

impl Time {
    pub fn of(time: SystemTime) -> Self {
        Self(unix_seconds(time))
    }

    pub fn of_unix(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Parses exactly what `Display` prints.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
        let time = Self(days_until(year, month, day)? * DAY + hour * 3600 + minute * 60 + second);
        // This also refuses the 31st of February and other separators.
        (time.to_string() == text).then_some(time)
    }

    /// The time from `earlier` to `self`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

/// Days from 1970 to the date in the Gregorian calendar
/// (<https://howardhinnant.github.io/date_algorithms.html>); `None` before 1970.
fn days_until(year: u64, month: u64, day: u64) -> Option<u64> {
    // The year begins in March, so that a leap day is its last day.
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    (year * 365 + year / 4 - year / 100 + year / 400 + day_of_year).checked_sub(719_468)
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}Z", date_and_time(self.0))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("expected a time in UTC, to the second"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_times_are_printed() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(Time(seconds).to_string(), text);
            assert_eq!(Time::parse(text), Some(Time(seconds)));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "2026-02-31T00:00:00Z", "2026-02-03 04:05:06Z", "2026-02-03T04:05:06+01:00", "ä"] {
            assert_eq!(Time::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_time_until_9999_survives(seconds in 0..253_402_300_800_u64) {
            prop_assert_eq!(Time::parse(&Time(seconds).to_string()), Some(Time(seconds)));
        }

        #[test]
        fn no_text_panics(text in ".{0,24}") {
            let _ = Time::parse(&text);
        }
    }
}
