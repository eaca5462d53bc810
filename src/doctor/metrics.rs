//! The few metrics of Latchkey that say how it is.

/// A scrape, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sample {
    pub(super) version: String,
    /// `ours`, `foreign`, …
    pub(super) socket: String,
    /// Whether the cluster's token-signing keys were ever read.
    pub(super) has_keys: bool,
    /// Volumes of running pods by the result of their last mount.
    pub(super) failing: u64,
    pub(super) stale: u64,
    /// Accounts and Regions whose change notices it hears.
    pub(super) notice_areas: u64,
    pub(super) changes_untold: u64,
}

impl Sample {
    /// Whether the driver's calls arrive at it.
    pub(super) fn serves(&self) -> bool {
        self.socket == "ours"
    }

    /// Reads Prometheus' text form.
    pub(super) fn parse(text: &str) -> Self {
        let mut sample = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let label = |wanted: &str| labels.split_once(&format!("{wanted}=\""))?.1.split('"').next();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            let count = value.parse::<f64>().unwrap_or_default() as u64;
            match (name, label("state")) {
                ("latchkey_build_info", _) => {
                    sample.version = label("version").unwrap_or_default().to_owned()
                }
                ("latchkey_socket", Some(state)) if count == 1 => sample.socket = state.to_owned(),
                ("latchkey_token_keys_read_timestamp_seconds", _) => sample.has_keys = true,
                ("latchkey_pods", Some("failing")) => sample.failing = count,
                ("latchkey_pods", Some("stale")) => sample.stale = count,
                ("latchkey_change_notice_areas", _) => sample.notice_areas = count,
                ("latchkey_changes_untold_total", _) => sample.changes_untold = count,
                _ => {}
            }
        }
        sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Format, Metrics, Now};

    #[test]
    fn what_latchkey_serves_is_read() {
        let now = Now {
            pods: [5, 2, 3],
            socket: "foreign",
            keys_read: Some(1.0),
            notice_areas: 4,
            ..Now::default()
        };
        for format in [Format::Prometheus, Format::OpenMetrics] {
            let metrics = Metrics::default();
            metrics.changes_untold.inc();
            let sample = Sample::parse(&metrics.render(format, &now));
            let expected = Sample {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                socket: "foreign".to_owned(),
                has_keys: true,
                failing: 3,
                stale: 2,
                notice_areas: 4,
                changes_untold: 1,
            };
            assert_eq!(sample, expected, "{format:?}");
        }
    }
}
