//! Kubernetes' and HTTP's points in time, as seconds since 1970.

use k8s_openapi::jiff::{Timestamp, fmt::rfc2822};

/// Parses RFC 3339, as in `2026-01-02T03:04:05.678901Z`.
pub fn of_kubernetes(text: &str) -> Option<f64> {
    let time: Timestamp = text.parse().ok()?;
    Some(time.as_duration().as_secs_f64())
}

/// Parses a Date header, as in `Fri, 02 Jan 2026 03:04:05 GMT`.
pub fn of_http(text: &str) -> Option<f64> {
    let time = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(time.as_duration().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_the_same_time() {
        assert_eq!(of_kubernetes("2026-01-02T03:04:05.500000Z"), Some(1_767_323_045.5));
        assert_eq!(of_http("Fri, 02 Jan 2026 03:04:05 GMT"), Some(1_767_323_045.0));
        assert_eq!(of_kubernetes("yesterday").or(of_http("")), None);
    }
}
