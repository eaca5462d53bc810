//! Gets a principal's session: the service account's own session, or one of the
//! role that it assumes.

use tokio::time::Instant;

use super::{Fetched, Identity, IdentityError, Proof, RENEWAL_MARGIN, Session, chain, irsa, sts::Terms};
use crate::{
    aws::Effort,
    clock::unix_seconds,
    metrics::{CredentialKind, CredentialResult},
    model::{
        address_type::AddressType,
        arn::Regions,
        principal::{AssumedRole, Means, Principal},
        token::TokenDigest,
    },
    permits::{Permit, Urgency},
};

/// A failure, and the call that caused it.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    error: IdentityError,
    token: TokenDigest,
    regions: Regions,
    address_type: AddressType,
    urgency: Urgency,
}

impl Failed {
    pub(super) fn error(&self) -> &IdentityError {
        &self.error
    }
}

/// The session that a caller wants, and how to get it.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) principal: &'a Principal,
    pub(super) proof: &'a Proof,
    pub(super) regions: &'a Regions,
    pub(super) effort: &'a Effort,
}

impl Identity {
    /// Like [`Self::session`], but leaves the handling of denials to the caller.
    pub(super) async fn session_by(&self, wanted: Wanted<'_>) -> Result<Session, IdentityError> {
        let Some(role) = &wanted.principal.assumed else {
            return self.own_session(wanted).await;
        };
        // Boxed, as below: the futures that call STS are large and rarely needed.
        let fetch = |effort: Effort| {
            Box::pin(async move {
                let wanted = Wanted { effort: &effort, ..wanted };
                let mut result = self.assume(role, wanted).await;
                if let Err((Some(own), failure)) = &result
                    && failure.is_stale()
                {
                    self.discard(&wanted.principal.base(), own);
                    result = self.assume(role, wanted).await;
                }
                result.map_err(|(_, error)| error)
            })
        };
        self.shared_session(wanted, fetch).await
    }

    /// The service account's own session. All roles that it assumes share it.
    async fn own_session(&self, wanted: Wanted<'_>) -> Result<Session, IdentityError> {
        let Wanted { principal, proof, regions, .. } = wanted;
        let fetch = |effort: Effort| {
            Box::pin(async move {
                let fetched = match &principal.means {
                    Means::Irsa { role } => {
                        let (namespace, service_account) = principal.service_account();
                        let who = irsa::Who { namespace, service_account, role };
                        let age = self.settings.max_credential_age;
                        let terms = Terms { regions, effort: &effort, age };
                        irsa::assume(&self.sts, &who, &proof.token, terms).await
                    }
                    Means::PodIdentity { .. } => {
                        self.agent.credentials(&proof.token, proof.address_type, &regions.primary).await
                    }
                };
                let fetched = fetched.map_err(|failure| IdentityError::refused(principal, failure))?;
                Ok(self.session_of(fetched))
            })
        };
        self.shared_session(wanted, fetch).await
    }

    /// A session of the role that the service account assumes. It ends no later than
    /// the service account's own session, so that a revoked trust of either role takes
    /// effect within one credential age. An error includes the own session that was
    /// used.
    async fn assume(
        &self,
        role: &AssumedRole,
        wanted: Wanted<'_>,
    ) -> Result<Session, (Option<Session>, IdentityError)> {
        let Wanted { principal, regions, effort, .. } = wanted;
        let base = principal.base();
        let own = self.own_session(Wanted { principal: &base, ..wanted }).await;
        let own = own.map_err(|error| (None, error))?;
        let terms = Terms { regions, effort, age: self.settings.max_credential_age };
        match chain::assume(&self.sts, (principal, role), &own.credentials, terms).await {
            Ok(fetched) => {
                let session = self.session_of(fetched);
                Ok(Session { usable_until: session.usable_until.min(own.usable_until), ..session })
            }
            Err(failure) => Err((Some(own), IdentityError::refused(principal, failure))),
        }
    }

    /// The principal's session. One caller fetches it for all concurrent callers.
    async fn shared_session<F>(
        &self,
        wanted: Wanted<'_>,
        fetch: impl FnOnce(Effort) -> F,
    ) -> Result<Session, IdentityError>
    where
        F: Future<Output = Result<Session, IdentityError>>,
    {
        let Wanted { principal, proof, regions, effort } = wanted;
        let now = Instant::now();
        let (digest, urgency) = (proof.token.digest(), effort.urgency());
        let namespace = principal.service_account().0;
        let admit = || async {
            match (&principal.means, &principal.assumed) {
                (Means::PodIdentity { .. }, None) => {
                    self.agent.admit(urgency, namespace, proof.address_type).await
                }
                _ => self.aws.admit(effort, &regions.primary, namespace).await,
            }
        };
        // Callers with the same destination and effort share a failure that no token
        // caused. Any other failure concerns one token only. A poll tries once and a
        // mount more often, but both wait equally long for a response.
        let shared = |failed: &Failed| {
            let alike = failed.regions == *regions
                && failed.address_type == proof.address_type
                && (failed.urgency == urgency || urgency == Urgency::Poll || failed.error.is_time_out());
            alike && (failed.token == digest || failed.error.is_no_tokens_fault())
        };
        let fetch = async |permit: Permit| {
            self.sessions.sweep(|session| session.usable_until > now);
            let fetched = fetch(effort.within(permit)).await;
            self.count(principal, &fetched);
            let session = fetched.map_err(|error| Failed {
                error,
                token: digest,
                regions: regions.clone(),
                address_type: proof.address_type,
                urgency,
            })?;
            let now = unix_seconds(self.clock.now());
            self.accepted.accept(principal, proof, session.usable_until, now);
            Ok(session)
        };
        // A token that nobody has verified may not use another token's session.
        let usable = |session: &Session| session.usable_until > now && self.is_known(principal, proof);
        let session = self.sessions.get_or_fetch(principal, usable, shared, admit, fetch);
        session.await.map_err(|failed| failed.error)
    }

    fn count(&self, principal: &Principal, fetched: &Result<Session, IdentityError>) {
        let kind = match (&principal.means, &principal.assumed) {
            (_, Some(_)) => CredentialKind::AssumedRole,
            (Means::Irsa { .. }, None) => CredentialKind::Irsa,
            (Means::PodIdentity { .. }, None) => CredentialKind::PodIdentity,
        };
        let result = match fetched {
            Ok(_) => CredentialResult::Ok,
            Err(error) if error.is_outage() => CredentialResult::Failed,
            Err(_) => CredentialResult::Refused,
        };
        self.aws.metrics().credentials.count((kind, result));
    }

    fn session_of(&self, fetched: Fetched) -> Session {
        let now = Instant::now();
        let left = fetched.credentials.expiry().map_or(self.settings.max_credential_age, |expiry| {
            expiry.duration_since(self.clock.now()).unwrap_or_default().saturating_sub(RENEWAL_MARGIN)
        });
        Session {
            usable_until: now + left.min(self.settings.max_credential_age),
            credentials: fetched.credentials,
            account: fetched.account,
        }
    }
}
