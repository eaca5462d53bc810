//! The tokens of each principal: those that AWS has accepted, and those that
//! serve the poller.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use super::Proof;
use crate::model::{principal::Principal, token::TokenDigest};

/// Tokens of one principal that are remembered as accepted: more than a node's
/// pods bring in a token's life.
const MAX_ACCEPTED: usize = 1024;

/// What is known of each principal that AWS has accepted once.
#[derive(Default)]
pub(super) struct Accepted {
    known: Mutex<HashMap<Principal, Known>>,
}

struct Known {
    /// The tokens that AWS has accepted, and when they expire.
    accepted: HashMap<TokenDigest, u64>,
    /// The one of them that lives longest.
    proof: Proof,
    /// A newer one that the cluster's keys have verified.
    verified: Option<Proof>,
    /// When the credentials run out; `None` once that was told.
    renew_at: Option<Instant>,
}

impl Accepted {
    /// AWS gave credentials, good until `renew_at`, for this token.
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

    /// Whether AWS has accepted this very token for the principal.
    pub(super) fn has(&self, principal: &Principal, proof: &Proof) -> bool {
        self.known().get(principal).is_some_and(|known| known.accepted.contains_key(&proof.token.digest()))
    }

    /// A mount brought this token, which the cluster's keys have verified.
    pub(super) fn offer(&self, principal: &Principal, proof: &Proof) {
        if let Some(known) = self.known().get_mut(principal)
            && proof.expires_at > known.newest().expires_at
        {
            known.verified = Some(proof.clone());
        }
    }

    /// The tokens that are still valid, the newest first and the accepted one last.
    pub(super) fn tokens(&self, principal: &Principal, now: u64) -> Vec<Proof> {
        let known = self.known();
        let Some(known) = known.get(principal) else { return Vec::new() };
        let tokens = known.verified.iter().chain([&known.proof]);
        tokens.filter(|proof| proof.expires_at > now).cloned().collect()
    }

    /// AWS does not accept the token that a mount offered.
    pub(super) fn refuse(&self, principal: &Principal, token: TokenDigest) {
        if let Some(known) = self.known().get_mut(principal) {
            known.verified.take_if(|proof| proof.token.digest() == token);
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
    fn newest(&self) -> &Proof {
        self.verified.as_ref().unwrap_or(&self.proof)
    }
}
