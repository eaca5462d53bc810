//! Who asks AWS for values, where, and how hard.

use std::fmt;

use crate::{
    aws::Effort,
    identity::{Identity, IdentityError, Proof, Session},
    model::{arn::Regions, principal::Principal},
};

/// On whose behalf values are read, and where.
pub struct Asker<'a> {
    pub who: Who<'a>,
    pub regions: &'a Regions,
    pub effort: Effort,
}

/// Whose credentials are used.
pub enum Who<'a> {
    /// A pod's principal.
    Pod {
        /// Gives its credentials.
        identity: &'a Identity,
        principal: &'a Principal,
        /// The pod's proof of it; `None` when the rotation poller reads.
        proof: Option<&'a Proof>,
    },
    /// The person who runs the command.
    Caller(&'a Session),
}

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod { principal, .. } => principal.fmt(f),
            Self::Caller(_) => f.write_str("your own AWS credentials"),
        }
    }
}

impl Asker<'_> {
    pub(super) async fn session(&self) -> Result<Session, IdentityError> {
        match self.who {
            Who::Caller(session) => Ok(session.clone()),
            Who::Pod { identity, principal, proof: Some(proof) } => {
                identity.session(principal, proof, self.regions, &self.effort).await
            }
            Who::Pod { identity, principal, proof: None } => {
                identity.session_for_polling(principal, self.regions, &self.effort).await
            }
        }
    }

    /// The namespace that the calls count for.
    pub(super) fn namespace(&self) -> &str {
        match self.who {
            Who::Pod { principal, .. } => principal.service_account().0,
            Who::Caller(_) => "",
        }
    }

    pub(super) fn discard(&self, session: &Session) {
        if let Who::Pod { identity, principal, .. } = self.who {
            identity.discard(principal, session);
        }
    }
}
