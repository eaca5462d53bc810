//! Numbers by chance, the same ones for the same seed: SplitMix64 by Sebastiano Vigna.

#[derive(Debug)]
pub(super) struct Chance {
    state: u64,
}

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// From 0 up to, but not including, 1.
    pub(super) fn part(&mut self) -> f64 {
        // The upper 53 bits are what an f64 holds exactly.
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// From `least` up to, but not including, `most`.
    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + ((most.saturating_sub(least)) as f64 * self.part()) as u64
    }

    /// The time until the next of events that come `rate` times a second, in seconds.
    pub(super) fn pause(&mut self, rate: f64) -> f64 {
        -(1.0 - self.part()).ln() / rate
    }

    fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_and_they_are_even() {
        let (mut one, mut other) = (Chance::new(7), Chance::new(7));
        let parts: Vec<f64> = (0..10_000).map(|_| one.part()).collect();
        assert!(parts.iter().all(|part| (0.0..1.0).contains(part) && *part == other.part()));
        let mean = parts.iter().sum::<f64>() / 10_000.0;
        assert!((0.48..0.52).contains(&mean), "{mean}");
        let pauses: f64 = (0..10_000).map(|_| one.pause(4.0)).sum();
        assert!((0.23..0.27).contains(&(pauses / 10_000.0)));
        assert_eq!(one.between(5, 5), 5);
    }
}
