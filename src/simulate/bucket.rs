//! A quota of AWS as a token bucket: it fills at the quota, and holds one second of it.

use super::Micros;

#[derive(Debug)]
pub(super) struct Bucket {
    /// Calls a second, and the most that the bucket holds.
    quota: f64,
    tokens: f64,
    filled_at: Micros,
}

impl Bucket {
    pub(super) fn new(quota: f64) -> Self {
        Self { quota, tokens: quota.max(1.0), filled_at: 0 }
    }

    /// Whether a call at `now` is answered; it is throttled otherwise. A throttled call takes
    /// nothing.
    pub(super) fn answers(&mut self, now: Micros) -> bool {
        let seconds = now.saturating_sub(self.filled_at) as f64 / 1e6;
        self.filled_at = now;
        self.tokens = (self.tokens + seconds * self.quota).min(self.quota.max(1.0));
        let answers = self.tokens >= 1.0;
        if answers {
            self.tokens -= 1.0;
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_the_quota_and_a_second_of_it_at_once() {
        let mut bucket = Bucket::new(40.0);
        let answered = |bucket: &mut Bucket, now| (0..1_000).filter(|_| bucket.answers(now)).count();
        assert_eq!(answered(&mut bucket, 0), 40);
        assert_eq!(answered(&mut bucket, 500_000), 20);
        assert_eq!(answered(&mut bucket, 60_000_000), 40);
    }
}
