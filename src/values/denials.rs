//! The latest reads that AWS refused, for people: who was refused what, why, and when.
//! Nothing is decided by them.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use crate::model::{principal::Principal, reason::Reason};

/// Maximum number of denials that are remembered, for all namespaces together.
const MAX_DENIALS: usize = 64;

/// A principal that was refused a secret or parameter.
#[derive(Clone, Debug)]
pub(crate) struct Denial {
    pub(crate) principal: Principal,
    /// The id, as the class names it; `None` if the principal got no credentials.
    pub(crate) id: Option<String>,
    pub(crate) reason: Reason,
    pub(crate) at: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Denials(Mutex<Vec<Denial>>);

impl Denials {
    /// Remembers a denial, instead of an earlier one of the same principal and id.
    pub(super) fn note(&self, denial: Denial) {
        let mut denials = self.denials();
        denials.retain(|known| known.principal != denial.principal || known.id != denial.id);
        if denials.len() >= MAX_DENIALS {
            drop_oldest_of_the_largest(&mut denials);
        }
        denials.push(denial);
    }

    /// Forgets a denial that is over: the principal has read this id.
    pub(super) fn clear(&self, principal: &Principal, id: &str) {
        let over = |known: &Denial| {
            known.principal == *principal && known.id.as_deref().is_none_or(|known| known == id)
        };
        self.denials().retain(|known| !over(known));
    }

    /// The denials since `since`, the oldest first.
    pub(super) fn since(&self, since: Option<Instant>) -> Vec<Denial> {
        let denials = self.denials();
        denials.iter().filter(|denial| since.is_none_or(|since| denial.at >= since)).cloned().collect()
    }

    fn denials(&self) -> MutexGuard<'_, Vec<Denial>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No namespace's denials push out another's.
fn drop_oldest_of_the_largest(denials: &mut Vec<Denial>) {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for denial in denials.iter() {
        *counts.entry(&denial.principal.namespace).or_default() += 1;
    }
    let largest = counts.into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| name.to_owned());
    let oldest = denials.iter().position(|denial| Some(&denial.principal.namespace) == largest.as_ref());
    if let Some(oldest) = oldest {
        denials.remove(oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::principal::Means;

    fn denial(namespace: &str, id: Option<&str>) -> Denial {
        let principal = Principal {
            namespace: namespace.to_owned(),
            service_account: "web".to_owned(),
            means: Means::PodIdentity { pod_uid: None },
            assumed: None,
        };
        Denial { principal, id: id.map(str::to_owned), reason: Reason::Denied, at: Instant::now() }
    }

    #[test]
    fn a_denial_is_over_when_the_same_principal_reads_the_same_id() {
        let denials = Denials::default();
        for denial in [denial("shop", Some("a")), denial("shop", Some("b")), denial("shop", None)] {
            denials.note(denial);
        }
        denials.note(denial("pay", Some("a")));
        denials.clear(&denial("shop", None).principal, "a");
        let left: Vec<_> =
            denials.since(None).into_iter().map(|one| (one.principal.namespace, one.id)).collect();
        assert_eq!(
            left,
            [("shop".to_owned(), Some("b".to_owned())), ("pay".to_owned(), Some("a".to_owned()))]
        );
    }

    #[test]
    fn many_denials_of_one_namespace_do_not_push_out_anothers() {
        let denials = Denials::default();
        denials.note(denial("modest", Some("a")));
        for number in 0..2 * MAX_DENIALS {
            denials.note(denial("greedy", Some(&number.to_string())));
        }
        let all = denials.since(None);
        assert_eq!(all.len(), MAX_DENIALS);
        assert!(all.iter().any(|denial| denial.principal.namespace == "modest"));
    }
}
