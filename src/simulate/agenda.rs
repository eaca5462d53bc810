//! What happens when: events in the order of their times. Millions of them wait at once, so
//! they lie in buckets of a tenth of a second, and only the bucket of now is sorted.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use super::Micros;

const BUCKET: Micros = 100_000;

/// Events and their times. Those of the same time come in the order of the events.
#[derive(Debug)]
pub(super) struct Agenda<E> {
    /// The events of the bucket that `begins` opens, and what was late for it.
    current: BinaryHeap<Reverse<(Micros, E)>>,
    /// Those of the buckets after it.
    later: VecDeque<Vec<(Micros, E)>>,
    begins: Micros,
}

impl<E: Ord> Agenda<E> {
    pub(super) fn from(begins: Micros) -> Self {
        Self { current: BinaryHeap::new(), later: VecDeque::new(), begins }
    }

    pub(super) fn add(&mut self, at: Micros, event: E) {
        let Some(ahead) = (at.saturating_sub(self.begins) / BUCKET).checked_sub(1) else {
            return self.current.push(Reverse((at, event)));
        };
        let ahead = ahead as usize;
        if self.later.len() <= ahead {
            self.later.resize_with(ahead + 1, Vec::new);
        }
        self.later[ahead].push((at, event));
    }

    /// The next event that comes before `end`.
    pub(super) fn next(&mut self, end: Micros) -> Option<(Micros, E)> {
        while self.current.is_empty() {
            if self.begins + BUCKET >= end {
                return None;
            }
            let bucket = self.later.pop_front()?;
            self.begins += BUCKET;
            self.current.extend(bucket.into_iter().map(Reverse));
        }
        if self.current.peek().is_some_and(|Reverse((at, _))| *at >= end) {
            return None;
        }
        self.current.pop().map(|Reverse(next)| next)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn events_come_in_the_order_of_their_times(
            events in proptest::collection::vec((0u64..3_000_000, 0u64..3_000_000), 1..300),
        ) {
            let (mut agenda, mut ends) = (Agenda::from(0), Vec::new());
            for (number, (at, _)) in events.iter().enumerate() {
                agenda.add(*at, number);
            }
            // Each event adds another one, later.
            let mut came = Vec::new();
            while let Some((at, number)) = agenda.next(Micros::MAX / 2) {
                came.push(at);
                if let Some((_, pause)) = events.get(number) {
                    agenda.add(at + pause, events.len() + number);
                    ends.push(at + pause);
                }
            }
            prop_assert!(came.is_sorted());
            prop_assert_eq!(came.len(), 2 * events.len());
        }
    }

    #[test]
    fn what_comes_after_the_end_does_not_come() {
        let mut agenda = Agenda::from(0);
        agenda.add(1_000_000, 'a');
        agenda.add(2_000_000, 'b');
        assert_eq!(agenda.next(2_000_000), Some((1_000_000, 'a')));
        assert_eq!(agenda.next(2_000_000), None);
    }
}
