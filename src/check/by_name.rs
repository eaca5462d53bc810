//! Things by their name. An estate has thousands, and thousands of others ask for one.

use std::collections::HashMap;

use super::same_namespace;

/// Things with a name in a namespace.
pub(super) struct ByName<T> {
    /// The namespace of each thing, and the thing, in the order of the manifests.
    named: HashMap<String, Vec<(String, T)>>,
}

impl<T> ByName<T> {
    /// `things` are their namespaces, names and themselves.
    pub(super) fn of(things: impl IntoIterator<Item = (String, String, T)>) -> Self {
        let mut named = HashMap::<String, Vec<(String, T)>>::new();
        for (namespace, name, thing) in things {
            named.entry(name).or_default().push((namespace, thing));
        }
        Self { named }
    }

    /// Those with the name, in any namespace.
    pub(super) fn anywhere(&self, name: &str) -> impl Iterator<Item = &T> {
        self.named.get(name).into_iter().flatten().map(|(_, thing)| thing)
    }

    /// Those with the name that may be in the namespace.
    pub(super) fn at(&self, namespace: &str, name: &str) -> impl Iterator<Item = &T> {
        let named = self.named.get(name).into_iter().flatten();
        named.filter(move |(its, _)| same_namespace(its, namespace)).map(|(_, thing)| thing)
    }
}
