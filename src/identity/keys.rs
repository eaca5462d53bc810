//! The cluster's token-signing keys, kept: when they are read again, which tokens
//! they have verified, and what is done while Kubernetes does not give them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::jwks::{Header, KeySet, Signature};
use crate::{
    cluster::Cluster,
    model::{
        message::causes,
        token::{Token, TokenDigest},
    },
};

/// After this time the keys are read again, so that one which the cluster has
/// taken away counts as long as a pod's credentials do, and no longer.
const REFRESH: Duration = Duration::from_secs(15 * 60);
/// How long keys still count while Kubernetes does not give newer ones. Tokens
/// come from the same API server: while all of it is down there are no new ones,
/// and the old ones live for a day at most. Where only Latchkey cannot read the
/// keys, AWS judges from then on.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Shortest time between two reads, however many tokens name unknown keys.
const PAUSE: Duration = Duration::from_secs(10);
/// Most doublings of the pause after failures.
const MAX_DOUBLINGS: u32 = 4;
/// Verified tokens that are remembered. A node has some hundred pods, with a new
/// token each in most of an hour; only true tokens get in here.
const MAX_VERIFIED: usize = 4096;

/// The cluster's keys.
pub(super) struct Keys {
    cluster: Arc<Cluster>,
    state: Mutex<State>,
    /// Held by the one who reads.
    turn: tokio::sync::Mutex<()>,
    warning: watch::Sender<Option<String>>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// Reads that have begun, and when the last one did.
    reads: u64,
    read_at: Option<Instant>,
    /// Whether the last one has not ended: it goes on, or its mount was given up.
    open: bool,
    /// Reads in a row that failed.
    failures: u32,
    /// What the log said last.
    told: Option<Instead>,
}

/// Keys as they were read.
struct Held {
    keys: Arc<KeySet>,
    /// The number of the read, and when it began.
    read: u64,
    read_at: Instant,
    /// Tokens that these keys have verified, and when they expire.
    verified: HashMap<TokenDigest, u64>,
}

/// What the cluster's keys say of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The cluster has signed it.
    Signed,
    /// Nobody but AWS can tell.
    Unknown,
    /// The cluster has not signed it; how that is known.
    Refused(&'static str),
}

impl Keys {
    /// Reads nothing yet.
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        Self {
            cluster,
            state: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            warning: watch::Sender::default(),
        }
    }

    /// What an operator should know: why tokens are not verified as they should
    /// be, and what that means. `None` while all is well.
    pub(super) fn warning(&self) -> watch::Receiver<Option<String>> {
        self.warning.subscribe()
    }

    /// Whether the cluster has signed the token. One that names an unknown key
    /// waits until the keys have been read again: in a rotation it is the newest.
    pub(super) async fn check(&self, token: &Token, now: u64) -> Verdict {
        if self.has_verified(token, now) {
            return Verdict::Signed;
        }
        let header = match Header::of(token) {
            Ok(header) => header,
            Err(problem) => return Verdict::Refused(problem),
        };
        let before = self.state().reads;
        if let Some(verdict) = self.look(token, &header, before, now) {
            return verdict;
        }
        // On the heap, so that a mount which needs no read stays small.
        Box::pin(async {
            let _turn = self.turn.lock().await;
            // Whoever had the turn before may have read what is needed.
            if let Some(verdict) = self.look(token, &header, before, now) {
                return verdict;
            }
            let next = self.state().read_at.map(|last| last + PAUSE);
            if let Some(next) = next {
                tokio::time::sleep_until(next).await;
            }
            self.read().await;
            self.look(token, &header, before, now).unwrap_or(Verdict::Unknown)
        })
        .await
    }

    /// What is known without a read; `None` when one more than those that had begun
    /// `before` may tell more.
    fn look(&self, token: &Token, header: &Header, before: u64, now: u64) -> Option<Verdict> {
        let (keys, read, failing) = {
            let state = self.state();
            let failing = state.failures > 0;
            let Some(held) = state.held.as_ref().filter(|held| held.counts()) else {
                return failing.then_some(Verdict::Unknown);
            };
            (Arc::clone(&held.keys), held.read, failing)
        };
        match keys.check(token, header) {
            Signature::Good => {
                self.remember(&keys, token, now);
                Some(Verdict::Signed)
            }
            Signature::UnusableKey => Some(Verdict::Unknown),
            Signature::Bad => Some(Verdict::Refused("the cluster's key that it names did not sign it")),
            Signature::UnknownKey if failing => Some(Verdict::Unknown),
            Signature::UnknownKey if read > before => Some(Verdict::Refused(
                "the key that it names is none of the cluster's: another cluster made it, or nobody who may",
            )),
            Signature::UnknownKey => None,
        }
    }

    /// Whether keys that still count have verified this very token.
    fn has_verified(&self, token: &Token, now: u64) -> bool {
        let state = self.state();
        let held = state.held.as_ref().filter(|held| held.counts());
        held.and_then(|held| held.verified.get(&token.digest())).is_some_and(|expires_at| *expires_at > now)
    }

    fn remember(&self, keys: &Arc<KeySet>, token: &Token, now: u64) {
        let mut state = self.state();
        let Some(held) = state.held.as_mut().filter(|held| Arc::ptr_eq(&held.keys, keys)) else { return };
        if held.verified.len() >= MAX_VERIFIED {
            held.verified.retain(|_, expires_at| *expires_at > now);
            if held.verified.len() >= MAX_VERIFIED {
                held.verified.clear();
            }
        }
        let expires_at = token.claims().map_or(0, |claims| claims.expires_at);
        held.verified.insert(token.digest(), expires_at);
    }

    /// Reads the keys when they are due: at the start, when they have become old,
    /// and less and less often while that fails.
    pub(super) async fn keep_fresh(&self) {
        if !self.state().is_due() {
            return;
        }
        // Whoever has the turn reads them just now.
        let Ok(_turn) = self.turn.try_lock() else { return };
        self.read().await;
    }

    /// The caller has the turn.
    async fn read(&self) {
        let began = Instant::now();
        let read = {
            let mut state = self.state();
            state.read_at = Some(began);
            state.open = true;
            state.reads += 1;
            state.reads
        };
        let answer = match self.cluster.token_keys().await {
            Ok(json) => KeySet::parse(&json).map_err(|problem| {
                format!("what Kubernetes serves as its token-signing keys cannot be used: {problem}")
            }),
            Err(error) => Err(causes(&error)),
        };
        let trouble = {
            let mut state = self.state();
            state.open = false;
            match answer {
                Ok(keys) => {
                    let usable = keys.usable();
                    state.failures = 0;
                    state.held =
                        Some(Held { keys: Arc::new(keys), read, read_at: began, verified: HashMap::new() });
                    (usable == 0).then(|| (NONE_USABLE.to_owned(), Instead::AwsJudges))
                }
                Err(problem) => {
                    state.failures = state.failures.saturating_add(1);
                    let known = state.held.as_ref().is_some_and(Held::counts);
                    Some((problem, if known { Instead::LastKnown } else { Instead::AwsJudges }))
                }
            }
        };
        self.tell(trouble);
    }

    /// Logs what has changed, once: not each failure of a series.
    fn tell(&self, trouble: Option<(String, Instead)>) {
        let instead = trouble.as_ref().map(|(_, instead)| *instead);
        let changed = std::mem::replace(&mut self.state().told, instead) != instead;
        let warning = trouble.map(|(problem, instead)| format!("{problem}; {}", instead.text()));
        match &warning {
            Some(warning) if changed => tracing::warn!("{warning}"),
            None if changed => tracing::info!("pods' tokens are verified with the cluster's keys again"),
            Some(_) | None => {}
        }
        self.warning.send_replace(warning);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const NONE_USABLE: &str =
    "none of the cluster's token-signing keys is of a kind that can be used here (RSA, P-256, P-384)";

/// What is done where the keys cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instead {
    LastKnown,
    AwsJudges,
}

impl Instead {
    fn text(self) -> &'static str {
        match self {
            Self::LastKnown => "pods' tokens are verified with the last known keys",
            Self::AwsJudges => {
                "pods' tokens are not verified here: each new one costs a call to STS or the Pod Identity agent before its pod is served from memory"
            }
        }
    }
}

impl Held {
    fn counts(&self) -> bool {
        self.read_at.elapsed() < MAX_AGE
    }
}

impl State {
    fn is_due(&self) -> bool {
        let Some(read_at) = self.read_at else { return true };
        let pause = match self.failures {
            0 if self.open => PAUSE,
            0 => REFRESH,
            failures => PAUSE * 2u32.pow((failures - 1).min(MAX_DOUBLINGS)),
        };
        read_at.elapsed() >= pause
    }
}
