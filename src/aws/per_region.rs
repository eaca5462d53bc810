//! Keeps one client for each Region. Pod authors choose Regions, so the number is
//! limited.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::model::arn::Region;

/// Maximum number of clients kept for one service. A client is only configuration:
/// all of them share the connections of one HTTPS client, and creating one costs no
/// call.
const MAX_KEPT: usize = 64;

/// The most recently used clients.
#[derive(Debug)]
pub struct PerRegion<C> {
    made: Mutex<Made<C>>,
}

#[derive(Debug)]
struct Made<C> {
    clients: HashMap<Region, (u64, C)>,
    /// Counts calls of `get`, to find the client that was used least recently.
    uses: u64,
}

impl<C: Clone> PerRegion<C> {
    /// The Region's client; `make` creates a missing one.
    pub(crate) fn get(&self, region: &Region, make: impl FnOnce() -> C) -> C {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.uses += 1;
        let now = made.uses;
        if let Some((used, client)) = made.clients.get_mut(region) {
            *used = now;
            return client.clone();
        }
        if made.clients.len() >= MAX_KEPT {
            let oldest = made.clients.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(oldest) = oldest.map(|(region, _)| region.clone()) {
                made.clients.remove(&oldest);
            }
        }
        let client = make();
        made.clients.insert(region.clone(), (now, client.clone()));
        client
    }
}

impl<C> Default for PerRegion<C> {
    fn default() -> Self {
        Self { made: Mutex::new(Made { clients: HashMap::new(), uses: 0 }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_client_is_dropped() {
        let clients = PerRegion::default();
        let region = |number: usize| Region::parse(&format!("us-east-{number}")).unwrap();
        let kept = |number| clients.get(&region(number), || 0) == 1;
        clients.get(&region(0), || 1);
        for number in 1..1000 {
            clients.get(&region(number), || 1);
            assert!(kept(0), "after {number} others");
        }
        assert!(kept(999), "the newest client was dropped");
        assert!(!kept(500), "an old client was kept");
        assert_eq!(clients.made.lock().unwrap().clients.len(), MAX_KEPT);
    }
}
