//! Wall-clock time, as tokens and sessions expire by it.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// A wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock(Kind);

#[derive(Clone, Copy, Debug, Default)]
enum Kind {
    #[default]
    Machine,
    Tokio {
        started: SystemTime,
        since: Instant,
    },
}

impl Clock {
    /// The machine's clock, also after the machine has slept or its clock was set back.
    pub fn of_machine() -> Self {
        Self(Kind::Machine)
    }

    /// A clock that starts at the machine's time and moves only with tokio's clock: a
    /// test that pauses and advances tokio's clock sees tokens and sessions expire.
    pub fn of_tokio() -> Self {
        Self(Kind::Tokio { started: SystemTime::now(), since: Instant::now() })
    }

    /// The time now.
    pub fn now(&self) -> SystemTime {
        match self.0 {
            Kind::Machine => SystemTime::now(),
            Kind::Tokio { started, since } => started + Instant::now().saturating_duration_since(since),
        }
    }
}

/// Seconds since 1970, as a JWT and AWS's JSON write them; 0 before 1970.
pub fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn the_machines_clock_is_followed_when_it_is_set_back() {
        let clock = Clock::of_machine();
        let before = SystemTime::now();
        // For tokio an hour passes; the machine says that none has.
        tokio::time::advance(HOUR).await;
        let now = clock.now();
        let after = SystemTime::now();
        assert!((before..=after).contains(&now), "{now:?} is not from {before:?} to {after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_machines_clock_is_followed_after_the_machine_slept() {
        let clock = Clock::of_machine();
        let (before, tokios) = (clock.now(), Instant::now());
        // For tokio no time passes, as while a machine sleeps.
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(tokios.elapsed(), Duration::ZERO);
        assert!(clock.now().duration_since(before).unwrap() >= Duration::from_millis(20));
    }

    #[tokio::test(start_paused = true)]
    async fn tokios_clock_moves_when_it_is_advanced_and_only_then() {
        let clock = Clock::of_tokio();
        let before = clock.now();
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(clock.now(), before);
        tokio::time::advance(HOUR).await;
        assert_eq!(clock.now(), before + HOUR);
    }
}
