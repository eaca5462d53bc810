//! The tokens of each principal that AWS has accepted, and those that the poller
//! uses.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use super::Proof;
use crate::model::{principal::Principal, token::TokenDigest};

/// Maximum number of accepted tokens remembered for one principal: more than a
/// node's pods use within a token's lifetime.
const MAX_ACCEPTED: usize = 1024;

#[derive(Default)]
pub(super) struct Accepted {
    known: Mutex<HashMap<Principal, Known>>,
}

struct Known {
    /// The accepted tokens, and when each expires.
    accepted: HashMap<TokenDigest, u64>,
    /// The accepted token that expires last.
    proof: Proof,
    /// A newer token that the cluster's keys have verified.
    verified: Option<Proof>,
    /// When the credentials run out; `None` once `run_out` has reported it.
    renew_at: Option<Instant>,
}

impl Accepted {
    /// Records that AWS returned credentials for this token, valid until `renew_at`.
    pub(super) fn accept(&self, principal: &Principal, proof: &Proof, renew_at: Instant, now: u64) {
        let mut all = self.known();
        all.retain(|_, known| known.newest().expires_at > now);
        let known = all.entry(principal.clone()).or_insert_with(|| Known {
            accepted: HashMap::new(),
            proof: proof.clone(),
            verified: None,
            renew_at: None,
        });
        known.renew_at = Some(renew_at);
        if proof.expires_at > known.proof.expires_at {
            known.proof = proof.clone();
        }
        if known.accepted.len() >= MAX_ACCEPTED {
            known.accepted.retain(|_, expires_at| *expires_at > now);
            if known.accepted.len() >= MAX_ACCEPTED {
                known.accepted.clear();
            }
        }
        known.accepted.insert(proof.token.digest(), proof.expires_at);
    }

    /// Whether AWS has accepted this same token for the principal.
    pub(super) fn has(&self, principal: &Principal, proof: &Proof) -> bool {
        self.known().get(principal).is_some_and(|known| known.accepted.contains_key(&proof.token.digest()))
    }

    /// Records a mount's token that the cluster's keys have verified.
    pub(super) fn offer(&self, principal: &Principal, proof: &Proof) {
        if let Some(known) = self.known().get_mut(principal)
            && proof.expires_at > known.newest().expires_at
        {
            known.verified = Some(proof.clone());
        }
    }

    /// The unexpired tokens: the newest first, the accepted one last.
    pub(super) fn tokens(&self, principal: &Principal, now: u64) -> Vec<Proof> {
        let known = self.known();
        let Some(known) = known.get(principal) else { return Vec::new() };
        let tokens = known.verified.iter().chain([&known.proof]);
        tokens.filter(|proof| proof.expires_at > now).cloned().collect()
    }

    /// The principals whose tokens the poller may use, and when the newest token of each
    /// expires, in seconds since 1970.
    pub(super) fn expiries(&self) -> Vec<(Principal, u64)> {
        let known = self.known();
        known.iter().map(|(principal, known)| (principal.clone(), known.newest().expires_at)).collect()
    }

    /// Drops an offered token that AWS does not accept.
    pub(super) fn refuse(&self, principal: &Principal, token: TokenDigest) {
        if let Some(known) = self.known().get_mut(principal) {
            known.verified.take_if(|proof| proof.token.digest() == token);
        }
    }

    /// The principals whose credentials have run out. Reports each only once.
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
    fn newest(&self) -> &Proof {
        self.verified.as_ref().unwrap_or(&self.proof)
    }
}
