//! Parses and prints booleans, durations and numbers like Go's standard library, for
//! compatibility with flags and parameters of AWS's own provider.

use std::time::Duration;

/// Go's `strconv.ParseBool`.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Go's `time.ParseDuration`, without negative durations: `250ms`, `1h30m`, `1.5s`,
/// `0`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value: f64 = rest[..number].parse().ok()?;
        rest = &rest[number..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        seconds += value
            * match &rest[..unit] {
                "ns" => 1e-9,
                "us" | "µs" | "μs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// The shortest text that [`parse_duration`] can read: `1h`, `1m30s`, `250ms`.
pub fn show_duration(duration: Duration) -> String {
    let (seconds, millis) = (duration.as_secs(), duration.subsec_millis());
    let mut text = String::new();
    for (unit, amount) in
        [("h", seconds / 3600), ("m", seconds / 60 % 60), ("s", seconds % 60), ("ms", millis.into())]
    {
        if amount > 0 {
            text.push_str(&format!("{amount}{unit}"));
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Go prints 64-bit integers in decimal, and keeps the spelling of larger ones.
pub(super) fn show_integer(value: i128, spelling: &str) -> String {
    if value >= i128::from(i64::MIN) && value <= i128::from(u64::MAX) {
        value.to_string()
    } else {
        spelling.to_owned()
    }
}

/// Go prints floats with `FormatFloat(v, 'g', -1, 32)`. Integers of more than 64 bits
/// are not floats in Go, and keep their spelling.
pub(super) fn show_float(value: f64, spelling: &str) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    if spelling.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | '_')) {
        return spelling.to_owned();
    }
    // f64 → f32 rounds to nearest, as Go's formatter does.
    let single = value as f32;
    let scientific = format!("{single:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // Go's 'g' uses an exponent below 1e-4 and from 1e6.
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:02}", exponent.abs())
    } else {
        format!("{single}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_in_go() {
        for (text, millis) in [
            ("250ms", 250),
            ("2s", 2000),
            ("1h30m", 5_400_000),
            ("1.5s", 1500),
            ("0", 0),
            (".5s", 500),
            ("1m0.5s", 60_500),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "5", "s", "-1s", "1x", "1 s", "1.2.3s", "."] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_shown_duration_reads_back_as_the_same() {
        for millis in [0, 250, 1000, 61_000, 120_000, 3_600_000, 5_430_001] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&show_duration(duration)), Some(duration), "{duration:?}");
        }
    }
}
