//! The poller of each node, as `rotation` and `values` have it.

use std::time::Duration;

use super::{
    Micros, SECOND,
    fleet::{Next, Unit},
    world::{Answer, Event, World},
};

/// First pause after a poll that met an outage, and how often it doubles (`values/refresh.rs`).
const FIRST_RETRY: Micros = 10 * SECOND;
const MAX_DOUBLINGS: u8 = 5;

impl World<'_> {
    /// The interval that holds now, before it is stretched.
    pub(super) fn asked(&self) -> Duration {
        match self.settings.notified_poll_interval {
            Some(interval) if self.notices.flow => interval,
            _ => self.settings.interval,
        }
    }

    /// A unit's stretched interval.
    fn interval(&self, number: u32) -> Micros {
        let asked = self.asked();
        let pacing = &self.fleet.nodes[self.fleet.node(number)].pacing[self.fleet.service(number)];
        pacing.interval(asked, self.settings.max_refresh_interval).as_micros() as Micros
    }

    /// Polls a unit, or looks again later if it is not due yet: the stretching changes.
    pub(super) fn look(&mut self, number: u32) {
        let unit = self.fleet.units[number as usize];
        if unit.look_at != self.now || unit.read_at.is_none() {
            return;
        }
        if self.notices.flow && !unit.notified {
            return self.begin_notified(number);
        }
        let due = self.due(number, &unit);
        if due > self.now {
            return self.look_later(number, due);
        }
        let (node, service) = (self.fleet.node(number), self.fleet.service(number));
        let now = Duration::from_micros(self.now);
        match self.ask(service) {
            Answer::Answered => {
                self.fleet.nodes[node].pacing[service].answered(now);
                // The phase stays, as long as nothing was late.
                let on_time = unit.next != Next::Now && due + SECOND > self.now;
                self.read(number, if on_time { due } else { self.now });
                self.unit(number).next = Next::Interval;
                let due = self.due(number, &self.fleet.units[number as usize]);
                self.look_later(number, due);
            }
            Answer::Throttled => {
                let (asked, max) = (self.settings.interval, self.settings.max_refresh_interval);
                let random = self.chance.part();
                let pacing = &mut self.fleet.nodes[node].pacing[service];
                pacing.throttled(now);
                let pause = pacing.retry(asked, max, random).as_micros() as Micros;
                self.look_not_before(number, self.now + pause);
            }
            Answer::Failed => {
                let failures = unit.failures.saturating_add(1);
                self.unit(number).failures = failures;
                let pause = FIRST_RETRY << (failures.min(MAX_DOUBLINGS + 1) - 1);
                self.look_not_before(number, self.now + pause.min(self.interval(number)));
            }
        }
    }

    /// AWS answered a read of the unit; its interval began at `from`.
    pub(super) fn read(&mut self, number: u32, from: Micros) {
        let (now, service) = (self.now, self.fleet.service(number));
        let shared = self.fleet.is_shared(number);
        let unit = &mut self.fleet.units[number as usize];
        if let Some(before) = unit.read_at.replace(now) {
            self.tally.aged(service, now - before);
        }
        (unit.from, unit.failures) = (from, 0);
        if shared {
            self.notices.served(&mut unit.version, now);
        }
    }

    /// The first poll comes after a part of the interval that is the principal's own.
    pub(super) fn first_poll(&mut self, number: u32, phase: u8) {
        let notified = self.notices.flow;
        let unit = self.unit(number);
        (unit.next, unit.phase, unit.notified) = (Next::First, phase, notified);
        let due = self.due(number, &self.fleet.units[number as usize]);
        self.look_later(number, due);
    }

    /// Polls the unit at exactly that time.
    pub(super) fn poll_at(&mut self, number: u32, at: Micros) {
        let unit = self.unit(number);
        (unit.next, unit.look_at) = (Next::Now, at);
        self.agenda.add(at, Event::Poll(number));
    }

    /// Polls the unit then, if its interval has passed: it may be stretched more by then.
    fn look_not_before(&mut self, number: u32, at: Micros) {
        self.unit(number).look_at = at;
        self.agenda.add(at, Event::Poll(number));
    }

    /// The longer interval of notices begins, at any part of it: what is due within two
    /// minutes must not stay together for hours.
    fn begin_notified(&mut self, number: u32) {
        let phase = self.chance.between(0, 256) as u8;
        self.first_poll(number, phase);
    }

    /// Looks at the unit again when it is due, or after the interval as asked, because it may
    /// have become due meanwhile.
    fn look_later(&mut self, number: u32, due: Micros) {
        let at = due.min(self.now + self.asked().as_micros() as Micros).max(self.now);
        self.unit(number).look_at = at;
        self.agenda.add(at, Event::Poll(number));
    }

    fn due(&self, number: u32, unit: &Unit) -> Micros {
        match unit.next {
            Next::Interval => unit.from + self.interval(number),
            Next::First => unit.from + self.interval(number) * Micros::from(unit.phase) / 255,
            Next::Now => unit.look_at,
        }
    }

    fn unit(&mut self, number: u32) -> &mut Unit {
        &mut self.fleet.units[number as usize]
    }
}
