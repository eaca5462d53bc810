//! Timestamps as AWS writes them.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_smithy_types::{DateTime, date_time::Format};

use crate::clock::unix_seconds;

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
    use std::time::Duration;

    use super::*;

    #[test]
    fn timestamps_are_written_as_iso_8601() {
        assert_eq!(iso_timestamp(UNIX_EPOCH), "1970-01-01T00:00:00Z");
        let leap_day = UNIX_EPOCH + Duration::from_secs(1_709_210_096);
        assert_eq!(iso_timestamp(leap_day), "2024-02-29T12:34:56Z");
    }
}
