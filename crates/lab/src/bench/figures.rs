//! Figures, and the bars that they are compared with.

use std::{fmt, time::Duration};

use serde::Serialize;

/// One figure of one repetition.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Measure {
    pub(super) figure: String,
    pub(super) unit: Unit,
    pub(super) value: f64,
    pub(super) bar: Option<Bar>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Unit {
    Milliseconds,
    /// 2²⁰ bytes.
    Mebibytes,
    Count,
    /// A number of things per second.
    PerSecond,
    /// A number of things for each of something else.
    Ratio,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Bar {
    AtMost(f64),
    AtLeast(f64),
    Exactly(f64),
}

/// A figure over all repetitions.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) scenario: &'static str,
    pub(super) figure: String,
    pub(super) unit: Unit,
    /// One value for each repetition.
    pub(super) values: Vec<f64>,
    pub(super) min: f64,
    pub(super) median: f64,
    pub(super) max: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bar: Option<Bar>,
    /// Whether the median meets the bar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) met: Option<bool>,
}

impl Measure {
    pub(super) fn new(figure: impl Into<String>, unit: Unit, value: f64) -> Self {
        Self { figure: figure.into(), unit, value, bar: None }
    }

    pub(super) fn time(figure: impl Into<String>, time: Duration) -> Self {
        Self::new(figure, Unit::Milliseconds, millis(time))
    }

    pub(super) fn count(figure: impl Into<String>, count: u64) -> Self {
        Self::new(figure, Unit::Count, as_f64(count))
    }

    pub(super) fn bar(mut self, bar: Bar) -> Self {
        self.bar = Some(bar);
        self
    }
}

impl Bar {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
            Self::Exactly(exact) => (value - exact).abs() < 1e-9,
        }
    }

    pub(super) fn text(self, unit: Unit) -> String {
        match self {
            Self::AtMost(most) => format!("≤ {}", unit.text(most)),
            Self::AtLeast(least) => format!("≥ {}", unit.text(least)),
            Self::Exactly(exact) => unit.text(exact),
        }
    }
}

impl Unit {
    /// A value with its significant digits.
    pub(super) fn text(self, value: f64) -> String {
        match self {
            Self::Count => format!("{value:.0}"),
            Self::Ratio => format!("{value:.2}"),
            Self::PerSecond => format!("{value:.0}/s"),
            Self::Mebibytes => format!("{value:.1} MiB"),
            Self::Milliseconds => format!("{} ms", Digits(value)),
        }
    }
}

/// Shows at least three significant digits.
struct Digits(f64);

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = match self.0 {
            value if value >= 100.0 => 0,
            value if value >= 10.0 => 1,
            value if value >= 1.0 => 2,
            _ => 3,
        };
        write!(f, "{:.decimals$}", self.0)
    }
}

/// Joins repetitions into one row for each figure, in the order in which the figures
/// first appear. A figure that a repetition lacks has fewer values.
pub(super) fn rows(scenario: &'static str, repetitions: &[Vec<Measure>]) -> Vec<Row> {
    let mut order: Vec<&Measure> = Vec::new();
    for measure in repetitions.iter().flatten() {
        if !order.iter().any(|known| known.figure == measure.figure) {
            order.push(measure);
        }
    }
    let row = |first: &Measure| {
        let of_figure = repetitions.iter().flatten().filter(|measure| measure.figure == first.figure);
        let values: Vec<f64> = of_figure.map(|measure| measure.value).collect();
        let median = percentile(&values, 50.0);
        Row {
            scenario,
            figure: first.figure.clone(),
            unit: first.unit,
            min: percentile(&values, 0.0),
            median,
            max: percentile(&values, 100.0),
            values,
            bar: first.bar,
            met: first.bar.map(|bar| bar.is_met_by(median)),
        }
    };
    order.into_iter().map(row).collect()
}

/// The smallest value that at least `percent` per cent of the values do not exceed
/// (nearest rank); 0 if there are no values.
pub(super) fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * as_f64(sorted.len() as u64)).ceil();
    // Ranks start at 1 and never exceed the number of values.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank is a small whole number"
    )]
    let at = (rank as usize).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}

pub(super) fn percentile_of(times: &[Duration], percent: f64) -> Duration {
    let seconds: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
    Duration::from_secs_f64(percentile(&seconds, percent))
}

pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[allow(clippy::cast_precision_loss, reason = "no count here comes near 2⁵³")]
pub(super) fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_nearest_rank() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        for (percent, expected) in [(0.0, 1.0), (1.0, 1.0), (50.0, 50.0), (99.0, 99.0), (100.0, 100.0)] {
            assert_eq!(percentile(&hundred, percent), expected, "{percent}");
        }
        assert_eq!(percentile(&[3.0, 1.0, 2.0], 50.0), 2.0);
        assert_eq!(percentile(&[4.0, 1.0], 50.0), 1.0);
        assert_eq!(percentile(&[7.0], 99.0), 7.0);
        assert_eq!(percentile(&[], 50.0), 0.0);
    }

    #[test]
    fn a_row_has_every_repetition_and_is_judged_by_the_median() {
        let repetition = |time: u64| {
            vec![
                Measure::time("mount", Duration::from_millis(time)).bar(Bar::AtMost(30.0)),
                Measure::count("AWS calls", 11).bar(Bar::Exactly(11.0)),
            ]
        };
        let rows = rows("cold", &[repetition(40), repetition(20), repetition(25)]);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].min, 20.0);
        assert_eq!(rows[0].median, 25.0);
        assert_eq!(rows[0].max, 40.0);
        assert_eq!(rows[0].met, Some(true));
        assert_eq!(rows[1].met, Some(true));
    }

    #[test]
    fn bars_are_met_or_missed() {
        for (bar, value, met) in [
            (Bar::AtMost(1.0), 1.0, true),
            (Bar::AtMost(1.0), 1.1, false),
            (Bar::AtLeast(1.0), 1.0, true),
            (Bar::AtLeast(1.0), 0.9, false),
            (Bar::Exactly(0.0), 0.0, true),
            (Bar::Exactly(0.0), 1.0, false),
        ] {
            assert_eq!(bar.is_met_by(value), met, "{bar:?} {value}");
        }
    }

    #[test]
    fn values_show_their_significant_digits() {
        assert_eq!(Unit::Milliseconds.text(0.1234), "0.123 ms");
        assert_eq!(Unit::Milliseconds.text(23.46), "23.5 ms");
        assert_eq!(Unit::Milliseconds.text(1234.5), "1234 ms");
        assert_eq!(Unit::Count.text(660.0), "660");
        assert_eq!(Bar::AtMost(25.0).text(Unit::Mebibytes), "≤ 25.0 MiB");
    }
}
