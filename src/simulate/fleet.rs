//! The nodes and what they hold.

use std::collections::VecDeque;

use super::{Micros, PARAMETERS_AT_ONCE, Settings, mounts::Call};
use crate::pacing::{Pacing, Spread};

/// The services, as places in arrays.
pub(super) const SECRETS_MANAGER: usize = 0;
pub(super) const PARAMETER_STORE: usize = 1;

/// What one call reads: a secret, or up to ten parameters of a principal.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unit {
    /// When its last answered read began; `None` before the first.
    pub(super) read_at: Option<Micros>,
    /// When its current interval began, if it was not throttled or failed since.
    pub(super) from: Micros,
    /// When its next poll is looked at. An event of another time is out of date.
    pub(super) look_at: Micros,
    /// Consecutive polls that met the outage.
    pub(super) failures: u8,
    pub(super) next: Next,
    /// Part of the interval, of 255, for the first poll after the first read.
    pub(super) phase: u8,
    /// The change that it holds, of a shared secret.
    pub(super) version: u16,
    /// Whether its interval is that of notices.
    pub(super) notified: bool,
}

/// Why a unit is polled next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Next {
    /// Its interval has passed.
    #[default]
    Interval,
    /// The first poll after its first read: a part of the interval has passed.
    First,
    /// At exactly this time: a notice came, or a poll is tried again.
    Now,
}

#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) pacing: [Pacing; 2],
    pub(super) spread: [Spread; 2],
    /// Calls of mounts that run.
    pub(super) running: usize,
    /// Calls of mounts that wait for a place.
    pub(super) waiting: VecDeque<Call>,
}

/// All nodes and all units. A unit's number says its node, its principal and its service.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) nodes: Vec<Node>,
    pub(super) units: Vec<Unit>,
    /// Units of a principal, and how many of them are secrets.
    pub(super) of_principal: u32,
    secrets: u32,
    principals: u32,
}

impl Fleet {
    pub(super) fn new(settings: &Settings) -> Self {
        let of_principal = settings.values + settings.parameters.div_ceil(PARAMETERS_AT_ONCE);
        let units = settings.nodes as usize * settings.accounts_per_node as usize * of_principal as usize;
        let mut nodes = Vec::new();
        nodes.resize_with(settings.nodes as usize, Node::default);
        Self {
            nodes,
            units: vec![Unit::default(); units],
            of_principal,
            secrets: settings.values,
            principals: settings.accounts_per_node,
        }
    }

    pub(super) fn service(&self, unit: u32) -> usize {
        if unit % self.of_principal < self.secrets { SECRETS_MANAGER } else { PARAMETER_STORE }
    }

    pub(super) fn node(&self, unit: u32) -> usize {
        (unit / (self.of_principal * self.principals)) as usize
    }

    /// The units of a principal of a node.
    pub(super) fn principal(&self, node: u32, principal: u32) -> std::ops::Range<u32> {
        let first = (node * self.principals + principal) * self.of_principal;
        first..first + self.of_principal
    }

    /// The unit that all nodes hold once.
    pub(super) fn shared(&self, node: u32) -> u32 {
        self.principal(node, 0).start
    }

    pub(super) fn is_shared(&self, unit: u32) -> bool {
        unit.is_multiple_of(self.of_principal * self.principals)
    }
}
