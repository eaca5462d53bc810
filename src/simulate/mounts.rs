//! Starting pods. A mount reads all values of its principal at once. It does not wait for
//! pacing: a throttled call is tried again, at the SDK's pauses, for as long as the provider does.

use std::collections::VecDeque;

use super::{
    Micros, SECOND,
    outcome::Waits,
    world::{Answer, Event, World},
};

/// How long a call is repeated (`backend.rs`).
const PATIENCE: Micros = 45 * SECOND;
/// The SDK's standard retries, with the provider's settings (`aws.rs`).
const FIRST_BACKOFF: Micros = 250_000;
const MAX_BACKOFF: Micros = 3 * SECOND;
/// kubelet's pauses before it tries a failed mount again.
const FIRST_AGAIN: Micros = SECOND / 2;
const LAST_AGAIN: Micros = 122 * SECOND;
/// Calls of a node at once.
const PLACES: usize = 96;

/// One call of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Call {
    mount: u32,
    /// The number of the unit within the principal.
    unit: u16,
    /// How often it was throttled, or failed, in this try of the mount.
    tried: u8,
}

#[derive(Debug)]
struct Mount {
    node: u32,
    principal: u32,
    began: Micros,
    /// When this try began.
    try_began: Micros,
    /// Calls of this try that have not ended.
    open: u16,
    /// Whether a call of this try was given up.
    lost: bool,
    /// Whether the last refusal was the outage's.
    outage: bool,
    tries: u8,
    throttled: bool,
}

/// Mounts that run, and what became of the others.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    running: Vec<Mount>,
    free: VecDeque<u32>,
    pub(super) started: u64,
    /// Mounts of which a call was throttled.
    pub(super) throttled: u64,
    /// Tries that failed for throttling, and in the outage.
    pub(super) failed_throttled: u64,
    pub(super) failed_outage: u64,
    pub(super) served: Waits,
}

impl World<'_> {
    /// A pod starts with any principal, which is new to the node.
    pub(super) fn start_pod(&mut self, node: u32) {
        let principal = self.chance.between(0, self.settings.accounts_per_node.into()) as u32;
        self.start_mount(node, principal);
        self.next_start(node);
    }

    /// The node has lost all values, and all of its pods start.
    pub(super) fn restart(&mut self, node: u32) {
        self.fleet.nodes[node as usize].pacing = Default::default();
        for principal in 0..self.settings.accounts_per_node {
            self.start_mount(node, principal);
        }
    }

    fn start_mount(&mut self, node: u32, principal: u32) {
        let units = self.fleet.principal(node, principal);
        let units = &mut self.fleet.units[units.start as usize..units.end as usize];
        if units.is_empty() || units.iter().any(|unit| unit.read_at.is_none()) {
            // Another mount reads the same values; this one takes them from it.
            return;
        }
        units.iter_mut().for_each(|unit| unit.read_at = None);
        let mount = Mount {
            node,
            principal,
            began: self.now,
            try_began: self.now,
            open: 0,
            lost: false,
            outage: false,
            tries: 0,
            throttled: false,
        };
        let running = &mut self.mounts.running;
        let number = match self.mounts.free.pop_front() {
            Some(free) => {
                running[free as usize] = mount;
                free
            }
            None => {
                running.push(mount);
                running.len() as u32 - 1
            }
        };
        self.mounts.started += 1;
        self.mount_again(number);
    }

    /// Begins a try: calls for everything that is missing.
    pub(super) fn mount_again(&mut self, number: u32) {
        let mount = &mut self.mounts.running[number as usize];
        (mount.try_began, mount.lost, mount.outage) = (self.now, false, false);
        let node = mount.node as usize;
        let units = self.fleet.principal(mount.node, mount.principal);
        let missing = |unit: &u32| self.fleet.units[*unit as usize].read_at.is_none();
        let calls: Vec<Call> = units
            .clone()
            .filter(missing)
            .map(|unit| Call { mount: number, unit: (unit - units.start) as u16, tried: 0 })
            .collect();
        mount.open = calls.len() as u16;
        self.fleet.nodes[node].waiting.extend(calls);
        self.admit(node);
    }

    /// Starts calls while there are places.
    fn admit(&mut self, number: usize) {
        loop {
            let node = &mut self.fleet.nodes[number];
            if node.running >= PLACES {
                return;
            }
            let Some(call) = node.waiting.pop_front() else { return };
            node.running += 1;
            self.agenda.add(self.now, Event::Call(call));
        }
    }

    /// A call reaches AWS.
    pub(super) fn call(&mut self, call: Call) {
        let mount = &self.mounts.running[call.mount as usize];
        let (node, deadline) = (mount.node as usize, mount.try_began + PATIENCE);
        if self.now >= deadline {
            return self.ended(call, node, false);
        }
        let unit = self.fleet.principal(mount.node, mount.principal).start + u32::from(call.unit);
        let answer = self.ask(self.fleet.service(unit));
        let mount = &mut self.mounts.running[call.mount as usize];
        match answer {
            Answer::Answered => {
                self.read(unit, self.now);
                return self.ended(call, node, true);
            }
            Answer::Throttled => (mount.throttled, mount.outage) = (true, false),
            Answer::Failed => mount.outage = true,
        }
        let backoff = MAX_BACKOFF.min(FIRST_BACKOFF << call.tried.min(8));
        let pause = self.chance.between(0, backoff);
        let again = Call { tried: call.tried.saturating_add(1), ..call };
        self.agenda.add((self.now + pause).min(deadline), Event::Call(again));
    }

    /// A call has its answer, or is given up.
    fn ended(&mut self, call: Call, node: usize, answered: bool) {
        let mount = &mut self.mounts.running[call.mount as usize];
        mount.open -= 1;
        mount.lost |= !answered;
        if mount.open == 0 {
            if mount.lost {
                self.fail(call.mount);
            } else {
                self.serve(call.mount);
            }
        }
        self.fleet.nodes[node].running -= 1;
        self.admit(node);
    }

    /// kubelet tries again, at growing pauses.
    fn fail(&mut self, number: u32) {
        let mount = &mut self.mounts.running[number as usize];
        let failed = match mount.outage {
            true => &mut self.mounts.failed_outage,
            false => &mut self.mounts.failed_throttled,
        };
        *failed += 1;
        let pause = LAST_AGAIN.min(FIRST_AGAIN << mount.tries.min(20));
        mount.tries = mount.tries.saturating_add(1);
        self.agenda.add(self.now + pause, Event::Again(number));
    }

    fn serve(&mut self, number: u32) {
        let mount = &self.mounts.running[number as usize];
        self.mounts.throttled += u64::from(mount.throttled);
        self.mounts.served.add(self.now - mount.began);
        let units = self.fleet.principal(mount.node, mount.principal);
        self.mounts.free.push_back(number);
        // Between a half and one interval, the same for all values of the principal.
        let phase = self.chance.between(128, 256) as u8;
        units.for_each(|unit| self.first_poll(unit, phase));
    }
}
