//! Reads after change notices: a notice reaches all nodes at once, and their reads must not
//! reach AWS at once.

use std::time::Duration;

/// Spreads reads after change notices: one node's reads of one service and Region are a window
/// apart on average, so that all nodes together stay within the rate that the window stands for.
#[derive(Clone, Debug, Default)]
pub struct Spread {
    /// Where the window of the latest read ends.
    taken_until: Duration,
}

impl Spread {
    /// When to make one more read, not before `now`. Each read has a window of its own, one
    /// after the other, and comes at a random point of it. The window of a quiet node's first
    /// read begins now.
    pub fn next(&mut self, now: Duration, window: Duration, random: f64) -> Duration {
        let begins = self.taken_until.max(now);
        self.taken_until = begins.saturating_add(window);
        begins.saturating_add(window.mul_f64(random.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_read_of_a_quiet_node_comes_at_a_random_point_of_its_window() {
        let window = Duration::from_secs(2);
        for (random, at) in [(0.0, 100.0), (0.25, 100.5), (1.0, 102.0)] {
            let next = Spread::default().next(Duration::from_secs(100), window, random);
            assert_eq!(next, Duration::from_secs_f64(at));
        }
    }

    #[test]
    fn a_window_of_nothing_means_now() {
        let mut spread = Spread::default();
        let now = Duration::from_secs(5);
        assert_eq!(spread.next(now, Duration::ZERO, 0.7), now);
        assert_eq!(spread.next(now, Duration::ZERO, 0.7), now);
    }

    #[test]
    fn a_quiet_time_is_not_saved_up() {
        let (window, mut spread) = (Duration::from_secs(10), Spread::default());
        spread.next(Duration::ZERO, window, 0.5);
        let later = Duration::from_secs(3600);
        assert!(spread.next(later, window, 0.0) >= later);
        assert!(spread.next(later, window, 0.0) >= later + window);
    }

    proptest! {
        #[test]
        fn reads_never_come_before_now_and_keep_the_average_rate(
            arrivals in proptest::collection::vec((0u64..5_000, 0.0f64..1.0), 1..200),
            window_millis in 1u64..10_000,
        ) {
            let (window, mut spread) = (Duration::from_millis(window_millis), Spread::default());
            let (mut now, mut reads) = (Duration::ZERO, Vec::new());
            for (pause, random) in arrivals {
                now += Duration::from_millis(pause);
                let at = spread.next(now, window, random);
                prop_assert!(at >= now);
                reads.push(at);
            }
            prop_assert!(reads.is_sorted());
            // In any time of k windows there are at most k + 2 reads.
            for (first, begins) in reads.iter().enumerate() {
                for (last, ends) in reads.iter().enumerate().skip(first) {
                    let windows = (*ends - *begins).as_secs_f64() / window.as_secs_f64();
                    prop_assert!((last - first + 1) as f64 <= windows + 2.0 + 1e-6);
                }
            }
        }

        #[test]
        fn a_burst_takes_as_many_windows_as_it_has_reads(reads in 1u32..500, random in 0.0f64..1.0) {
            let (window, mut spread) = (Duration::from_secs(2), Spread::default());
            let last = (0..reads).map(|_| spread.next(Duration::ZERO, window, random)).max().unwrap();
            prop_assert!(last <= window * reads);
            prop_assert!(last >= window * (reads - 1));
        }
    }
}
