//! The tokens that serve the poller: what AWS has accepted, and what a newer
//! mount offers.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use super::Proof;
use crate::model::{principal::Principal, token::TokenDigest};

/// What is known of each principal that AWS has accepted once.
#[derive(Default)]
pub(super) struct Accepted {
    known: Mutex<HashMap<Principal, Known>>,
}

struct Known {
    /// The newest token that AWS has accepted.
    proof: Proof,
    /// The last token that a mount brought since. It may be forged: it never
    /// takes the accepted one's place before AWS has accepted it, too.
    offered: Option<Proof>,
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
                let new = Known { proof: proof.clone(), offered: None, renew_at };
                known.insert(principal.clone(), new);
            }
        }
    }

    /// A mount brought this token.
    pub(super) fn offer(&self, principal: &Principal, proof: &Proof) {
        if let Some(known) = self.known().get_mut(principal)
            && proof.expires_at > known.proof.expires_at
        {
            known.offered = Some(proof.clone());
        }
    }

    /// The tokens that are still valid, the newest first and the accepted one last.
    pub(super) fn tokens(&self, principal: &Principal, now: u64) -> Vec<Proof> {
        let known = self.known();
        let Some(known) = known.get(principal) else { return Vec::new() };
        let tokens = known.offered.iter().chain([&known.proof]);
        tokens.filter(|proof| proof.expires_at > now).cloned().collect()
    }

    /// AWS does not accept what a mount offered.
    pub(super) fn refuse(&self, principal: &Principal, token: TokenDigest) {
        if let Some(known) = self.known().get_mut(principal) {
            known.offered.take_if(|offered| offered.token.digest() == token);
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
        self.offered.as_ref().map_or(0, |offered| offered.expires_at).max(self.proof.expires_at)
    }
}
