//! Which service accounts have read which secrets and parameters since the log began.

use std::collections::{HashMap, HashSet, VecDeque};

use sha2::{Digest, Sha256};

use crate::model::request::Pod;

/// Maximum number of pairs, about 3 MiB.
pub(super) const MAX_PAIRS: usize = 1 << 16;

/// A service account and an object. Truncated SHA-256 digests: nobody finds two pairs
/// with the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    pub(super) namespace: [u8; 8],
    pub(super) pair: [u8; 16],
}

/// The known pairs. If there are too many, the namespace that has most loses its oldest
/// one, so that no namespace pushes out another's.
#[derive(Debug)]
pub(super) struct FirstSeen {
    namespaces: HashMap<[u8; 8], Known>,
    len: usize,
    max: usize,
}

#[derive(Debug, Default)]
struct Known {
    pairs: HashSet<[u8; 16]>,
    /// The same, the oldest first.
    order: VecDeque<[u8; 16]>,
}

impl Pair {
    pub(super) fn of(pod: &Pod, object: &str) -> Self {
        let mut digest = Sha256::new();
        for text in [&pod.namespace, &pod.service_account, object] {
            digest.update(text.len().to_be_bytes());
            digest.update(text);
        }
        Self { namespace: first(&Sha256::digest(&pod.namespace)), pair: first(&digest.finalize()) }
    }
}

impl Default for FirstSeen {
    fn default() -> Self {
        Self::new(MAX_PAIRS)
    }
}

impl FirstSeen {
    pub(super) fn new(max: usize) -> Self {
        Self { namespaces: HashMap::new(), len: 0, max }
    }

    pub(super) fn contains(&self, pair: &Pair) -> bool {
        self.namespaces.get(&pair.namespace).is_some_and(|known| known.pairs.contains(&pair.pair))
    }

    pub(super) fn insert(&mut self, pair: Pair) {
        if self.contains(&pair) {
            return;
        }
        if self.len >= self.max {
            self.forget_one();
        }
        let known = self.namespaces.entry(pair.namespace).or_default();
        known.pairs.insert(pair.pair);
        known.order.push_back(pair.pair);
        self.len += 1;
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All pairs; those of one namespace from the oldest to the newest.
    pub(super) fn pairs(&self) -> impl Iterator<Item = Pair> {
        self.namespaces
            .iter()
            .flat_map(|(namespace, known)| known.order.iter().map(|pair| (*namespace, *pair)))
            .map(|(namespace, pair)| Pair { namespace, pair })
    }

    fn forget_one(&mut self) {
        let most = self.namespaces.iter().max_by_key(|(_, known)| known.order.len());
        let Some(most) = most.map(|(namespace, _)| *namespace) else { return };
        let Some(known) = self.namespaces.get_mut(&most) else { return };
        if let Some(oldest) = known.order.pop_front() {
            known.pairs.remove(&oldest);
            self.len -= 1;
        }
        if known.order.is_empty() {
            self.namespaces.remove(&most);
        }
    }
}

fn first<const N: usize>(digest: &[u8]) -> [u8; N] {
    std::array::from_fn(|at| digest[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(namespace: &str, service_account: &str, object: &str) -> Pair {
        let [namespace, service_account] = [namespace, service_account].map(str::to_owned);
        Pair::of(&Pod { namespace, name: String::new(), uid: String::new(), service_account }, object)
    }

    #[test]
    fn pairs_differ_by_namespace_service_account_and_object() {
        let all = [pair("a", "bc", "d"), pair("ab", "c", "d"), pair("a", "b", "cd"), pair("a", "bc", "e")];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one));
        }
        assert_eq!(pair("a", "bc", "d"), all[0]);
    }

    #[test]
    fn a_namespace_with_many_pairs_pushes_out_only_its_own() {
        let mut seen = FirstSeen::new(100);
        let quiet: Vec<Pair> = (0..20).map(|number| pair("quiet", "web", &number.to_string())).collect();
        quiet.iter().for_each(|pair| seen.insert(*pair));
        let noisy: Vec<Pair> = (0..1000).map(|number| pair("noisy", "web", &number.to_string())).collect();
        noisy.iter().for_each(|pair| seen.insert(*pair));
        assert_eq!(seen.len(), 100);
        assert!(quiet.iter().all(|pair| seen.contains(pair)));
        assert!(noisy[920..].iter().all(|pair| seen.contains(pair)));
        assert!(!noisy[..920].iter().any(|pair| seen.contains(pair)));
        assert_eq!(seen.pairs().count(), 100);
    }
}
