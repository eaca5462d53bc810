//! How many bytes of denials each namespace may still write. A pod that is refused is
//! tried again forever; it must not fill the disk.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
};

use tokio::time::Instant;

use crate::bounds::{ByteBudget, make_room};

const MAX_NAMESPACES: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Denials {
    hasher: RandomState,
    namespaces: Mutex<HashMap<u64, Namespace>>,
}

#[derive(Debug)]
struct Namespace {
    budget: ByteBudget,
    seen_at: Instant,
}

impl Denials {
    /// Pays for a line of `bytes`. Returns how many were not written before it; `None`
    /// if this one must not be written.
    pub(super) fn pay(&self, namespace: &str, bytes: usize) -> Option<u64> {
        let now = Instant::now();
        let key = self.hasher.hash_one(namespace);
        let mut namespaces = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        if !namespaces.contains_key(&key) {
            make_room(&mut namespaces, MAX_NAMESPACES, |known| known.seen_at);
        }
        let new = || Namespace { budget: ByteBudget::new(now), seen_at: now };
        let known = namespaces.entry(key).or_insert_with(new);
        known.seen_at = now;
        known.budget.pay(bytes, now)
    }
}
