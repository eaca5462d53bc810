//! What is made once for each Region, or for each of another kind of key that
//! pod authors choose.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

use crate::model::arn::Region;

/// One client for each Region asked for.
pub type PerRegion<C> = Few<Region, C>;

/// Most that is kept of one kind; whoever uses what is dropped keeps it.
const MAX_KEPT: usize = 64;

/// One value for each key asked for.
#[derive(Debug)]
pub struct Few<K, C> {
    made: Mutex<HashMap<K, C>>,
}

impl<K: Clone + Eq + Hash, C: Clone> Few<K, C> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { made: Mutex::new(HashMap::new()) }
    }

    /// The key's value, made by `make` when there is none.
    pub fn get<Q>(&self, key: &Q, make: impl FnOnce() -> C) -> C
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = made.get(key) {
            return value.clone();
        }
        if made.len() >= MAX_KEPT {
            made.clear();
        }
        made.entry(key.to_owned()).or_insert_with(make).clone()
    }
}

impl<K: Clone + Eq + Hash, C: Clone> Default for Few<K, C> {
    fn default() -> Self {
        Self::new()
    }
}
