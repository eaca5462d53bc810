use proptest::prelude::*;

use super::*;

const ASKED: Duration = Duration::from_secs(120);
const MAX: Duration = Duration::from_secs(3600);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Throttled once a second, `times` times, from the start on.
fn overloaded(times: u64) -> Pacing {
    let mut pacing = Pacing::new();
    (0..times).for_each(|second| {
        pacing.throttled(seconds(second));
    });
    pacing
}

/// Answers until the stretching ends, one every `pause`; returns their number.
fn recover(pacing: &mut Pacing, mut now: Duration, pause: Duration) -> u32 {
    for number in 1..100_000 {
        now += pause;
        if pacing.answered(now) {
            return number;
        }
    }
    panic!("it never ends: {pacing:?}");
}

#[test]
fn nothing_is_stretched_without_throttling() {
    let mut pacing = Pacing::new();
    assert!(!pacing.answered(seconds(1)));
    assert_eq!(pacing.stretch(), 1.0);
    assert_eq!(pacing.interval(ASKED, MAX), ASKED);
}

#[test]
fn many_throttled_calls_of_a_burst_count_once() {
    let mut once = Pacing::new();
    assert!(once.throttled(seconds(10)));
    let mut burst = Pacing::new();
    assert!(burst.throttled(seconds(10)));
    for millis in 10_000..11_000 {
        assert!(!burst.throttled(Duration::from_millis(millis)));
    }
    assert_eq!(burst.stretch(), once.stretch());
    burst.throttled(seconds(11));
    assert!(burst.stretch() > once.stretch());
}

#[test]
fn the_beginning_and_the_end_are_told_once_each() {
    let mut pacing = Pacing::new();
    assert!(pacing.throttled(seconds(1)));
    assert!(!pacing.throttled(seconds(5)));
    recover(&mut pacing, seconds(5), seconds(1));
    assert_eq!(pacing.stretch(), 1.0);
    assert!(!pacing.answered(seconds(100_000)));
    assert!(pacing.throttled(seconds(100_001)));
}

#[test]
fn a_fleet_at_its_quota_does_not_start_and_stop_all_the_time() {
    let mut pacing = Pacing::new();
    let (mut begins, mut ends) = (0, 0);
    for second in 0..3600 {
        begins += u32::from(second % 200 == 0 && pacing.throttled(seconds(second)));
        ends += u32::from(pacing.answered(seconds(second)));
    }
    assert_eq!((begins, ends), (1, 0));
}

#[test]
fn a_longer_overload_stretches_more() {
    let stretches: Vec<f64> = [1, 2, 10, 20, 50].map(|times| overloaded(times).stretch()).to_vec();
    assert!(stretches.is_sorted(), "{stretches:?}");
    assert!(overloaded(14).stretch() > 2.0, "a quarter of a minute halves the rate");
    assert!(overloaded(1_000).stretch() <= MAX_STRETCH);
}

#[test]
fn throttled_calls_in_a_row_count_more_and_so_do_answered_ones() {
    // As many throttled calls, with answered ones between them.
    let mut mixed = Pacing::new();
    for second in 0..20 {
        mixed.throttled(seconds(second));
        mixed.answered(seconds(second));
    }
    assert!(overloaded(20).stretch() > 2.0 * mixed.stretch());
    let mut pacing = overloaded(20);
    let mut gain = |answers| {
        let before = pacing.rate;
        for _ in 0..answers {
            pacing.answered(seconds(30));
        }
        pacing.rate - before
    };
    let first = gain(50);
    gain(50);
    assert!(gain(50) > first);
}

#[test]
fn answers_bring_it_back_and_so_does_a_quiet_hour() {
    let mut pacing = overloaded(1_000);
    let answers = recover(&mut pacing, seconds(1_000), seconds(1));
    assert!(answers <= 1_000, "{answers} answers");
    // A node that asks little is not held back by its few answers.
    let mut pacing = overloaded(1_000);
    assert_eq!(recover(&mut pacing, seconds(1_000), seconds(3_600)), 1);
}

#[test]
fn a_throttled_poll_waits_for_a_part_of_its_interval() {
    let pacing = Pacing::new();
    assert_eq!(pacing.retry(ASKED, MAX, 0.0), Duration::from_millis(2_500));
    assert_eq!(pacing.retry(ASKED, MAX, 1.0), Duration::from_millis(7_500));
    assert_eq!(pacing.retry(seconds(1), MAX, 0.5), seconds(1));
    assert!(overloaded(50).retry(ASKED, MAX, 0.5) > pacing.retry(ASKED, MAX, 0.5));
}

#[test]
fn the_maximum_holds_even_if_it_is_shorter_than_asked() {
    let pacing = overloaded(10);
    assert_eq!(pacing.interval(ASKED, seconds(60)), ASKED);
    assert_eq!(pacing.interval(Duration::MAX, seconds(60)), Duration::MAX);
    assert_eq!(pacing.interval(Duration::ZERO, seconds(60)), Duration::ZERO);
}

proptest! {
    #[test]
    fn an_interval_is_never_beyond_max_nor_below_asked(
        calls in proptest::collection::vec((any::<bool>(), 0u64..10_000), 0..500),
        asked in 1u64..10_000,
        max in 1u64..10_000,
        random in 0.0f64..1.0,
    ) {
        let (mut pacing, mut now) = (Pacing::new(), Duration::ZERO);
        for (throttled, pause) in calls {
            now += Duration::from_millis(pause);
            let before = pacing.stretch();
            if throttled {
                pacing.throttled(now);
                prop_assert!(pacing.stretch() >= before);
            } else {
                pacing.answered(now);
                prop_assert!(pacing.stretch() <= before);
            }
            prop_assert!((1.0..=MAX_STRETCH + 1e-9).contains(&pacing.stretch()));
            let (asked, max) = (seconds(asked), seconds(max));
            let interval = pacing.interval(asked, max);
            prop_assert!(interval >= asked && interval <= max.max(asked));
            let retry = pacing.retry(asked, max, random);
            prop_assert!(retry <= interval.max(MIN_RETRY));
            prop_assert!(!retry.is_zero());
        }
    }

    #[test]
    fn whatever_happened_it_recovers_fully(
        calls in proptest::collection::vec((any::<bool>(), 0u64..10_000), 0..500),
        pause in 1u64..1_000,
    ) {
        let (mut pacing, mut now) = (Pacing::new(), Duration::ZERO);
        pacing.throttled(now);
        for (throttled, pause) in calls {
            now += Duration::from_millis(pause);
                if throttled { pacing.throttled(now); } else { pacing.answered(now); }
        }
        pacing.throttled(now + BURST);
        recover(&mut pacing, now + BURST, seconds(pause));
        prop_assert_eq!(pacing.stretch(), 1.0);
        prop_assert_eq!(pacing.interval(ASKED, MAX), ASKED);
    }

    #[test]
    fn time_that_goes_back_harms_nothing(times in proptest::collection::vec(0u64..1_000, 1..100)) {
        let mut pacing = Pacing::new();
        for time in times {
            pacing.throttled(seconds(time));
            pacing.answered(seconds(time / 2));
            prop_assert!(pacing.stretch() >= 1.0);
        }
    }
}
