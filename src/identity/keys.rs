//! Caches the cluster's token-signing keys: when to read them again, which tokens
//! they have verified, and what to do while they cannot be read.

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

/// How often the keys are read again. A key that the cluster has removed stays
/// valid no longer than a pod's credentials do.
const REFRESH: Duration = Duration::from_secs(15 * 60);
/// How long the keys stay valid while they cannot be read again. Tokens come from
/// the same API server: while it is down, it issues no new ones, and the old ones
/// expire within a day. If only Latchkey cannot read the keys, AWS verifies tokens
/// after this time.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Minimum time between two reads, no matter how many tokens name unknown keys.
const PAUSE: Duration = Duration::from_secs(10);
/// How often the pause may double after failures.
const MAX_DOUBLINGS: u32 = 4;
/// Maximum number of verified tokens remembered. A node has a few hundred pods, and
/// each gets about one token per hour. Forged tokens are never added.
const MAX_VERIFIED: usize = 4096;

pub(super) struct Keys {
    cluster: Arc<Cluster>,
    state: Mutex<State>,
    /// Held while reading.
    turn: tokio::sync::Mutex<()>,
    warning: watch::Sender<Option<String>>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// The number of reads started, and the time of the last start.
    reads: u64,
    read_at: Option<Instant>,
    /// Whether the last read has not finished: it is running, or its mount was
    /// cancelled.
    open: bool,
    /// Consecutive failed reads.
    failures: u32,
    /// The state that was logged last.
    told: Option<Instead>,
}

struct Held {
    keys: Arc<KeySet>,
    /// The number of the read, and when it started.
    read: u64,
    read_at: Instant,
    /// Tokens that these keys have verified, with their expiry.
    verified: HashMap<TokenDigest, u64>,
}

/// What the cluster's keys say about a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The cluster signed it.
    Signed,
    /// Only AWS can decide.
    Unknown,
    /// The cluster did not sign it, for this reason.
    Refused(&'static str),
}

impl Keys {
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        Self {
            cluster,
            state: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            warning: watch::Sender::default(),
        }
    }

    /// A warning for the operator: why tokens cannot be verified properly, and the
    /// consequence. `None` while all is well.
    pub(super) fn warning(&self) -> watch::Receiver<Option<String>> {
        self.warning.subscribe()
    }

    /// When the keys held were read.
    pub(super) fn read_at(&self) -> Option<Instant> {
        self.state().held.as_ref().map(|held| held.read_at)
    }

    /// When the held keys were read, and how many of them can verify tokens; `None`
    /// while none are held, or they are too old.
    pub(super) fn held(&self) -> Option<(Instant, usize)> {
        let state = self.state();
        let held = state.held.as_ref().filter(|held| held.counts())?;
        Some((held.read_at, held.keys.usable()))
    }

    /// Checks whether the cluster signed the token. If the token names an unknown key,
    /// reads the keys again first: during a key rotation, the key is new.
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
        // Boxed, so that the future stays small for mounts that need no read.
        Box::pin(async {
            let _turn = self.turn.lock().await;
            // Another caller may have read the keys in the meantime.
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

    /// The verdict of the cached keys. `None` if a read that starts after the first
    /// `before` reads could change it.
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
            Signature::Bad => Some(Verdict::Refused("it was not signed by the cluster's key that it names")),
            Signature::UnknownKey if failing => Some(Verdict::Unknown),
            Signature::UnknownKey if read > before => Some(Verdict::Refused(
                "it names a key that is not among the cluster's keys: another cluster issued it, or it is forged",
            )),
            Signature::UnknownKey => None,
        }
    }

    /// Whether keys that are still valid have verified this same token.
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

    /// Reads the keys when they are due: at startup, after [`REFRESH`], and with
    /// increasing pauses while reads fail.
    pub(super) async fn keep_fresh(&self) {
        if !self.state().is_due() {
            return;
        }
        // If somebody else holds the turn, they are reading right now.
        let Ok(_turn) = self.turn.try_lock() else { return };
        self.read().await;
    }

    /// The caller must hold the turn.
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
                format!("the token-signing keys that Kubernetes serves are unusable: {problem}")
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

    /// Logs a change of state once, and not each failure in a row.
    fn tell(&self, trouble: Option<(String, Instead)>) {
        let instead = trouble.as_ref().map(|(_, instead)| *instead);
        let changed = std::mem::replace(&mut self.state().told, instead) != instead;
        let warning = trouble.map(|(problem, instead)| format!("{problem}; {}", instead.text()));
        match &warning {
            Some(warning) if changed => tracing::warn!("{warning}"),
            None if changed => tracing::info!("verifying pods' tokens with the cluster's keys again"),
            Some(_) | None => {}
        }
        self.warning.send_replace(warning);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const NONE_USABLE: &str = "none of the cluster's token-signing keys has a supported type (RSA, P-256, P-384)";

/// What happens while the keys cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instead {
    LastKnown,
    AwsJudges,
}

impl Instead {
    fn text(self) -> &'static str {
        match self {
            Self::LastKnown => "pods' tokens are still verified with the last known keys",
            Self::AwsJudges => {
                "Latchkey cannot verify pods' tokens itself: each new token costs a call to STS or the Pod Identity agent before its pod is served from the cache"
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
