//! What this node holds of identities, for people: credentials, tokens and the cluster's
//! keys, by name and time only.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::Identity;
use crate::{
    model::{principal::Principal, reason::Reason},
    permits::Load,
};

/// What is held of a principal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holding {
    /// When its credentials are renewed; `None` if none are held.
    pub(crate) credentials_until: Option<Instant>,
    /// Why the last attempt to get credentials failed.
    pub(crate) refused: Option<Reason>,
    /// When the newest token that the poller may use expires, in seconds since 1970.
    pub(crate) token_until: Option<u64>,
}

/// The cluster's token-signing keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TokenKeys {
    /// When they were read; `None` while none are held.
    pub(crate) read_at: Option<Instant>,
    /// How many can verify tokens.
    pub(crate) usable: usize,
    /// Why tokens cannot be verified properly, and the consequence.
    pub(crate) warning: Option<String>,
}

impl Identity {
    /// What is held of each principal.
    pub(crate) fn holdings(&self) -> BTreeMap<Principal, Holding> {
        let now = Instant::now();
        let sessions = self.sessions.look(|principal, session, failed| {
            let until = session.map(|session| session.usable_until).filter(|until| *until > now);
            let refused = failed.map(|failed| failed.error().reason());
            (principal.clone(), Holding { credentials_until: until, refused, token_until: None })
        });
        let mut holdings: BTreeMap<Principal, Holding> = sessions.into_iter().collect();
        for (principal, expires_at) in self.accepted.expiries() {
            holdings.entry(principal).or_default().token_until = Some(expires_at);
        }
        holdings
    }

    /// What verifies pods' tokens.
    pub(crate) fn token_keys(&self) -> TokenKeys {
        let held = self.keys.held();
        TokenKeys {
            read_at: held.map(|(read_at, _)| read_at),
            usable: held.map_or(0, |(_, usable)| usable),
            warning: self.keys.warning().borrow().clone(),
        }
    }

    /// Calls to the Pod Identity agent.
    pub(crate) fn agent_calls(&self) -> Load {
        self.agent.calls()
    }

    /// Reads of ServiceAccounts.
    pub(crate) fn account_reads(&self) -> Load {
        self.roles.calls()
    }
}
