//! How fast a node polls: intervals stretch while AWS throttles, and reads after change
//! notices are spread over time.
//!
//! Nodes do not talk to each other. Each sees the throttling of its own calls, and all of
//! them together settle at the quota. Nothing here has a clock or does I/O: time is what has
//! passed since any start, and randomness is a number from 0 to 1. The provider and
//! `latchkey simulate` run the same code.

mod spread;

use std::time::Duration;

pub use self::spread::Spread;

/// Throttled calls within this time count once: one overload throttles all calls in flight.
const BURST: Duration = Duration::from_secs(1);
/// The part of its rate that a node gives up for a throttled call. Small parts keep the nodes
/// close together: with halves, some node is always at a fraction of the others' rate.
const CUT: f64 = 0.03;
/// Throttled calls in a row, without an answered one between, that count as one each. The
/// next counts twice, and those after it three times: far above the quota, most calls are
/// throttled, and small parts would take too long.
const ALONE: u32 = 3;
const MAX_CUTS: u32 = 3;
/// The part of the full rate that an answered call gives back, times the stretch: what an
/// interval's polls give back does not depend on how long it is.
///
/// A fleet settles where about `STEP / (CUT × rate²)` of its polls are throttled. That
/// depends on nothing but the rate, so nodes with few values and nodes with many stretch alike.
const STEP: f64 = 0.000_05;
/// After so many answered calls without a throttled one, a call gives back twice as much,
/// after twice as many three times as much, and so on.
const RUN: f64 = 50.0;
/// Maximum stretch.
const MAX_STRETCH: f64 = 256.0;
/// Without a throttled call for this long, the next answered call ends the stretching.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60 * 60);
/// The stretching ends no earlier after a throttled call, so that a fleet just at its quota
/// does not start and stop all the time.
const QUIET: Duration = Duration::from_secs(5 * 60);
/// A throttled poll waits for this part of its interval, half more or less.
const RETRY: f64 = 1.0 / 24.0;
/// Minimum pause before a throttled poll is tried again.
const MIN_RETRY: Duration = Duration::from_secs(1);

/// How much longer intervals are than asked, for one service and Region. Throttled calls
/// stretch them by a factor; answered calls add to the rate until it is whole again.
///
/// The poller tells it of its own calls only: a burst of starting pods that AWS throttles says
/// nothing about what polls may use afterwards. The stretch counts when a poll comes due, not
/// only when it is planned. Otherwise the polls that are planned already would go on at the
/// old rate, and the nodes would stretch far too much meanwhile.
#[derive(Clone, Debug)]
pub struct Pacing {
    /// From `1 / MAX_STRETCH` to 1.
    rate: f64,
    /// The last throttled call that counted, and the last of all; `None` while nothing is
    /// stretched.
    throttled: Option<Throttled>,
    /// Calls in a row that were throttled, and that were answered. One of them is 0.
    throttled_run: u32,
    answered_run: u32,
}

#[derive(Clone, Copy, Debug)]
struct Throttled {
    counted: Duration,
    last: Duration,
}

impl Default for Pacing {
    fn default() -> Self {
        Self { rate: 1.0, throttled: None, throttled_run: 0, answered_run: 0 }
    }
}

impl Pacing {
    pub fn new() -> Self {
        Self::default()
    }

    /// AWS throttled a call. Many within one second count once. Returns whether the
    /// stretching begins with it.
    pub fn throttled(&mut self, now: Duration) -> bool {
        let began = self.throttled.is_none();
        self.answered_run = 0;
        self.throttled_run = self.throttled_run.saturating_add(1);
        match &mut self.throttled {
            Some(throttled) if now < throttled.counted + BURST => throttled.last = throttled.last.max(now),
            throttled => {
                *throttled = Some(Throttled { counted: now, last: now });
                let cuts = self.throttled_run.saturating_sub(ALONE - 1).clamp(1, MAX_CUTS);
                self.rate = (self.rate * (1.0 - CUT * f64::from(cuts))).max(1.0 / MAX_STRETCH);
            }
        }
        began
    }

    /// AWS answered a call. Returns whether the stretching ends with it.
    pub fn answered(&mut self, now: Duration) -> bool {
        let Some(throttled) = self.throttled else { return false };
        self.throttled_run = 0;
        self.answered_run = self.answered_run.saturating_add(1);
        let quiet = now.saturating_sub(throttled.last);
        let step = STEP * self.stretch() * (1.0 + f64::from(self.answered_run) / RUN);
        self.rate = if quiet >= FORGOTTEN_AFTER { 1.0 } else { (self.rate + step).min(1.0) };
        let ends = self.rate >= 1.0 && quiet >= QUIET;
        if ends {
            self.throttled = None;
        }
        ends
    }

    /// How many times longer intervals are than asked: 1.0 when nothing is stretched.
    pub fn stretch(&self) -> f64 {
        1.0 / self.rate
    }

    /// The interval as stretched: never beyond `max`, and never shorter than `asked`.
    pub fn interval(&self, asked: Duration, max: Duration) -> Duration {
        if self.rate >= 1.0 {
            return asked;
        }
        let seconds = asked.as_secs_f64() * self.stretch();
        Duration::try_from_secs_f64(seconds).unwrap_or(max).min(max).max(asked)
    }

    /// Pause before a throttled poll is tried again: a small part of its stretched interval.
    /// It does not grow. The interval does, and longer pauses would only make single values
    /// older than others.
    pub fn retry(&self, asked: Duration, max: Duration, random: f64) -> Duration {
        let part = RETRY * (0.5 + random.clamp(0.0, 1.0));
        self.interval(asked, max).mul_f64(part).max(MIN_RETRY.min(max))
    }
}

#[cfg(test)]
mod tests;
