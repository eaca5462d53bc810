//! The tokens that serve the poller: what AWS has accepted, and what a newer
//! mount offers.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use super::Proof;
use crate::model::{principal::Principal, token::TokenDigest};

/// Pods of one principal whose tokens are kept. Of one pod only the last is,
/// so that a pod with forged ones does not crowd out the others.
const MAX_OFFERS: usize = 4;

/// What is known of each principal that AWS has accepted once.
#[derive(Default)]
pub(super) struct Accepted {
    known: Mutex<HashMap<Principal, Known>>,
}

struct Known {
    /// The newest token that AWS has accepted.
    proof: Proof,
    /// The tokens that mounts brought since, by pod uid, the last one first. They
    /// may be forged: none takes the accepted one's place before AWS has
    /// accepted it, too.
    offered: Vec<(String, Proof)>,
    /// When the credentials run out; `None` once that was told.
    renew_at: Option<Instant>,
}

impl Accepted {
    /// AWS gave credentials, good until `renew_at`, for this token.
    pub(super) fn accept(&self, principal: &Principal, proof: &Proof, renew_at: Instant, now: u64) {
        let mut known = self.known();
        known.retain(|_, known| known.expires_at() > now);
        let renew_at = Some(renew_at);
        match known.get_mut(principal) {
            Some(known) => {
                known.renew_at = renew_at;
                if proof.expires_at > known.proof.expires_at {
                    known.proof = proof.clone();
                }
            }
            None => {
                let new = Known { proof: proof.clone(), offered: Vec::new(), renew_at };
                known.insert(principal.clone(), new);
            }
        }
    }

    /// A pod's mount brought this token.
    pub(super) fn offer(&self, principal: &Principal, pod_uid: &str, proof: &Proof) {
        if let Some(known) = self.known().get_mut(principal)
            && proof.expires_at > known.proof.expires_at
        {
            known.offered.retain(|(pod, _)| pod != pod_uid);
            known.offered.truncate(MAX_OFFERS - 1);
            known.offered.insert(0, (pod_uid.to_owned(), proof.clone()));
        }
    }

    /// The tokens that are still valid, the newest first and the accepted one last.
    pub(super) fn tokens(&self, principal: &Principal, now: u64) -> Vec<Proof> {
        let known = self.known();
        let Some(known) = known.get(principal) else { return Vec::new() };
        let newer = known.offered.iter().map(|(_, proof)| proof);
        let newer = newer.filter(|proof| proof.expires_at > known.proof.expires_at);
        let tokens = newer.chain([&known.proof]);
        tokens.filter(|proof| proof.expires_at > now).cloned().collect()
    }

    /// AWS does not accept what a mount offered.
    pub(super) fn refuse(&self, principal: &Principal, token: TokenDigest) {
        if let Some(known) = self.known().get_mut(principal) {
            known.offered.retain(|(_, offered)| offered.token.digest() != token);
        }
    }

    /// The principals whose credentials have run out; each is told once.
    pub(super) fn run_out(&self, now: Instant) -> Vec<Principal> {
        let mut known = self.known();
        let run_out = known.iter_mut().filter_map(|(principal, known)| {
            known.renew_at.take_if(|at| *at <= now).map(|_| principal.clone())
        });
        run_out.collect()
    }

    pub(super) fn forget(&self, principal: &Principal) {
        self.known().remove(principal);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Principal, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn expires_at(&self) -> u64 {
        let offered = self.offered.iter().map(|(_, proof)| proof.expires_at);
        offered.fold(self.proof.expires_at, u64::max)
    }
}
