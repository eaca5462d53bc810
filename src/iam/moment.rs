//! Points in time as policies write them: ISO 8601, or seconds since 1970.
//!
//! <https://www.w3.org/TR/NOTE-datetime>

/// Seconds since 1970, and billionths of a second.
pub(super) type Moment = (i64, u32);

/// Returns `None` if `text` is neither `YYYY-MM-DD[Thh:mm[:ss[.s]](Z|±hh:mm)]` nor a number.
pub(super) fn parse(text: &str) -> Option<Moment> {
    if let Some((seconds, fraction)) = decimal(text) {
        return Some((seconds, fraction));
    }
    let (date, time) = match text.split_once(['T', 't']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next().unwrap_or("01"), parts.next().unwrap_or("01"));
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    let (year, month, day) = (number(year)?, number(month)?, number(day)?);
    if !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let days = days_before(year, month) + day - 1;
    let (seconds, fraction) = time.map_or(Some((0, 0)), time_of_day)?;
    Some((days * 86_400 + seconds, fraction))
}

fn time_of_day(text: &str) -> Option<Moment> {
    let zone = text.find(['Z', 'z', '+', '-']);
    let (clock, zone) = text.split_at(zone.unwrap_or(text.len()));
    let offset = match zone {
        "" | "Z" | "z" => 0,
        zone => {
            let (hours, minutes) = zone[1..].split_once(':')?;
            let seconds = number(hours)? * 3600 + number(minutes)? * 60;
            if zone.starts_with('-') { -seconds } else { seconds }
        }
    };
    let mut parts = clock.split(':');
    let (hour, minute) = (number(parts.next()?)?, number(parts.next()?)?);
    let (second, fraction) = parts.next().map_or(Some((0, 0)), decimal)?;
    let whole = parts.next().is_none() && hour < 24 && minute < 60 && (0..=60).contains(&second);
    whole.then_some((hour * 3600 + minute * 60 + second - offset, fraction))
}

/// A decimal number as whole seconds and billionths.
fn decimal(text: &str) -> Option<Moment> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() > 15 {
        return None;
    }
    let billionths: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    Some((whole.parse().ok()?, billionths.parse().ok()?))
}

fn number(text: &str) -> Option<i64> {
    (text.len() <= 4 && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the first of the month.
fn days_before(year: i64, month: i64) -> i64 {
    let leap_days = |year: i64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    years + (1..month).map(|month| days_in(year, month)).sum::<i64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_every_form_parse() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", (0, 0)),
            ("1970-01-02", (86_400, 0)),
            ("2024-02-29T12:30:15Z", (1_709_209_815, 0)),
            ("2024-02-29T12:30:15.25+02:00", (1_709_202_615, 250_000_000)),
            ("2000-03-01T00:00Z", (951_868_800, 0)),
            ("1969-12-31T23:59:59Z", (-1, 0)),
            ("1709209815", (1_709_209_815, 0)),
            ("1709209815.5", (1_709_209_815, 500_000_000)),
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
        for bad in ["", "soon", "2023-02-29", "2023-13-01", "2023-01-01T25:00Z", "2023-01-01T1", "-1", "1."] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
