//! The condition keys of a request: known, known to be absent, or unknown.

use std::collections::BTreeMap;

use super::truth::Truth;

/// What is known about the condition keys of a request. A key that nobody has set is
/// unknown, and what hangs on it [depends](super::Answer::Depends) on it.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// By the name in lower case. `None` is a key that the request does not have.
    keys: BTreeMap<String, Option<Vec<String>>>,
    /// Whether the request has no other keys.
    complete: bool,
}

/// The values of one key.
pub(super) enum Lookup<'a> {
    Unknown,
    Absent,
    Values(&'a [String]),
}

impl Context {
    /// Sets a key with one value.
    #[must_use]
    pub fn with(self, key: &str, value: &str) -> Self {
        self.with_all(key, [value])
    }

    /// Sets a key with any number of values.
    #[must_use]
    pub fn with_all<'v>(mut self, key: &str, values: impl IntoIterator<Item = &'v str>) -> Self {
        let values = values.into_iter().map(str::to_owned).collect();
        self.keys.insert(key.to_ascii_lowercase(), Some(values));
        self
    }

    /// Says that the request does not have this key.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.keys.insert(key.to_ascii_lowercase(), None);
        self
    }

    /// Says that the request has no keys but those set.
    #[must_use]
    pub fn complete(mut self) -> Self {
        self.complete = true;
        self
    }

    /// Sets a key unless something is known about it.
    pub(super) fn set_default(&mut self, key: &str, value: &str) {
        self.keys.entry(key.to_ascii_lowercase()).or_insert_with(|| Some(vec![value.to_owned()]));
    }

    pub(super) fn get(&self, key: &str) -> Lookup<'_> {
        match self.keys.get(&key.to_ascii_lowercase()) {
            Some(Some(values)) => Lookup::Values(values),
            Some(None) => Lookup::Absent,
            None if self.complete => Lookup::Absent,
            None => Lookup::Unknown,
        }
    }

    /// Whether the request has the key.
    pub(super) fn has(&self, key: &str) -> Truth {
        match self.get(key) {
            Lookup::Unknown => Truth::depends_on(key),
            Lookup::Absent => Truth::No,
            Lookup::Values(_) => Truth::Yes,
        }
    }
}
