//! Changes of the shared secret, and the way of a notice from AWS to the nodes.

use std::time::Duration;

use super::{
    Micros, SECOND,
    outcome::Waits,
    world::{Event, World},
};

/// EventBridge and the queue, from the change to the broker's hands.
const DELIVERY: (Micros, Micros) = (400_000, 1_600_000);
/// The broker waits at most that long for more changes.
const BATCH: Micros = SECOND;
/// From the write to a node's own look at it, through the API server's watch.
const WATCH: (Micros, Micros) = (50_000, 500_000);
/// Bytes a second that the broker lets the API server send to all nodes.
const WATCH_RATE: f64 = 20e6;
/// Bytes of the object without changes, and of a change.
const OBJECT_BYTES: usize = 300;
const CHANGE_BYTES: usize = 250;
/// Changes that the object still names.
const KEPT_CHANGES: usize = 1;
/// Nodes count notices as stopped this long after the last heartbeat.
const FLOWS_FOR: Micros = 60 * SECOND;
const HEARTBEAT: Micros = 20 * SECOND;

#[derive(Debug)]
pub(super) struct Notices {
    pub(super) flow: bool,
    /// When each change of the shared secret happened, the first one first.
    pub(super) changes: Vec<Micros>,
    /// How long until each node served each of them.
    pub(super) served: Waits,
}

impl Notices {
    pub(super) fn new(flow: bool) -> Self {
        Self { flow, changes: Vec::new(), served: Waits::default() }
    }

    /// A node has read the shared secret, of which it held a version before.
    pub(super) fn served(&mut self, version: &mut u16, now: Micros) {
        let seen = self.changes.iter().skip(usize::from(*version));
        seen.for_each(|changed| self.served.add(now - changed));
        *version = self.changes.len() as u16;
    }
}

impl World<'_> {
    /// The shared secret changes.
    pub(super) fn change(&mut self) {
        self.notices.changes.push(self.now);
        if !self.notices.flow {
            return;
        }
        let bytes = (OBJECT_BYTES + KEPT_CHANGES * CHANGE_BYTES) as f64;
        // The write before this one may be as recent as the pause between two writes.
        let pause = (f64::from(self.settings.nodes) * bytes / WATCH_RATE * SECOND as f64) as Micros;
        let delivered = self.now + self.chance.between(DELIVERY.0, DELIVERY.1);
        let written = delivered + self.chance.between(0, BATCH.max(pause));
        for node in 0..self.settings.nodes {
            let at = written + self.chance.between(WATCH.0, WATCH.1);
            self.agenda.add(at, Event::Notice(node));
        }
    }

    /// A node sees the notice, and reads the secret within its window.
    pub(super) fn notice(&mut self, node: u32) {
        let unit = self.fleet.shared(node);
        if self.fleet.units[unit as usize].read_at.is_none() {
            return;
        }
        let service = self.fleet.service(unit);
        let window = self.window(service);
        let random = self.chance.part();
        let spread = &mut self.fleet.nodes[node as usize].spread[service];
        let at = spread.next(Duration::from_micros(self.now), window, random);
        self.poll_at(unit, at.as_micros() as Micros);
    }

    /// Nodes divided by half the quota.
    fn window(&self, service: usize) -> Duration {
        let quotas = [self.settings.secrets_manager_quota, self.settings.parameter_store_quota];
        Duration::from_secs_f64(f64::from(self.settings.nodes) / (quotas[service] / 2.0))
    }

    /// In an outage, the queue gives nothing either.
    pub(super) fn plan_silence(&mut self, begins: Micros, ends: Micros) {
        if self.notices.flow {
            self.agenda.add(begins + FLOWS_FOR, Event::NoticesStop);
            self.agenda.add(ends + HEARTBEAT, Event::NoticesFlow);
        }
    }

    /// Each value is back at its normal interval within one.
    pub(super) fn notices_stop(&mut self) {
        self.notices.flow = false;
        let interval = self.settings.interval.as_micros() as Micros;
        for number in 0..self.fleet.units.len() as u32 {
            let unit = &mut self.fleet.units[number as usize];
            unit.notified = false;
            let latest = self.now + interval;
            if unit.read_at.is_some() && unit.look_at > latest {
                let at = self.now + self.chance.between(0, interval);
                self.poll_at(number, at);
            }
        }
    }
}
