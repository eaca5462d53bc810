//! Identity: determines the principal that a pod acts as, from its tokens, and gets
//! that principal's AWS credentials.

mod accepted;
mod asking;
mod chain;
mod holdings;
mod irsa;
mod jwks;
mod keys;
mod pod_identity;
mod proof;
mod roles;
mod sessions;
mod sts;

use std::{sync::Arc, time::Duration};

use aws_credential_types::Credentials;
use tokio::{sync::watch, time::Instant};

use self::{
    accepted::Accepted,
    keys::Keys,
    roles::Roles,
    sessions::{Failed, Wanted},
};
pub use self::{
    pod_identity::{AgentSettings, DEFAULT_AGENT_TIMEOUT},
    proof::Proof,
    sts::sts_credential_life,
};
use crate::{
    aws::{Aws, AwsFailure, Effort, FailureKind, about_principal},
    clock::{Clock, unix_seconds},
    cluster::{Cluster, ClusterError, ROLE_ANNOTATION},
    model::{
        arn::{Arn, Region, Regions},
        principal::Principal,
        reason::Reason,
        token::POD_IDENTITY_AUDIENCE,
    },
    single_flight::Slots,
};

/// How long before their expiry credentials are renewed.
const RENEWAL_MARGIN: Duration = Duration::from_secs(60);

/// The number of connections to STS opened at startup. A pod needs one, and several
/// pods may start at once.
const STS_CONNECTIONS_AHEAD: usize = 2;

#[derive(Clone, Debug)]
pub struct IdentitySettings {
    pub agent: AgentSettings,
    /// Whether the pods of a service account share Pod Identity credentials and the
    /// values read with them.
    pub share_pod_identity: bool,
    /// Maximum age of credentials.
    pub max_credential_age: Duration,
    /// How long a service account's role is cached.
    pub(crate) role_age: Duration,
    /// How long a cached role is used while Kubernetes does not respond.
    pub(crate) max_stale: Duration,
    /// What tokens and credentials expire by.
    pub clock: Clock,
}

impl Default for IdentitySettings {
    fn default() -> Self {
        Self {
            agent: AgentSettings::default(),
            share_pod_identity: true,
            max_credential_age: Duration::from_secs(15 * 60),
            role_age: Duration::from_secs(2 * 60),
            max_stale: Duration::from_secs(60 * 60),
            clock: Clock::of_machine(),
        }
    }
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum IdentityError {
    /// `sent` lists the audiences of the tokens that arrived.
    #[error(
        "the driver sent no token for audience {audience:?} (it sent: {sent}): add this audience to tokenRequests of the CSIDriver object secrets-store.csi.k8s.io"
    )]
    TokenMissing { audience: &'static str, sent: String },
    /// The token does not belong to the pod, or is not meant for AWS.
    #[error("the token for audience {audience:?} is refused: {problem}")]
    TokenUnfit { audience: &'static str, problem: String },
    /// Nothing names a role.
    #[error(
        "service account {0} has no AWS identity: annotate it with {ROLE_ANNOTATION}, or set roleArn in the SecretProviderClass (requires --allow-role-arn), or create an EKS Pod Identity association for it and add the audience {POD_IDENTITY_AUDIENCE} to tokenRequests of the CSIDriver"
    )]
    NoIdentity(String),
    /// The class has `usePodIdentity: "false"`, and nothing names a role.
    #[error(
        "service account {0} has no annotation {ROLE_ANNOTATION}, which IRSA requires (usePodIdentity is \"false\"): add the annotation, or set roleArn in the SecretProviderClass (requires --allow-role-arn)"
    )]
    NoRole(String),
    /// The service account could not be read.
    #[error("cannot determine the role of the pod's service account")]
    Cluster(#[from] ClusterError),
    /// Only the poller gets this error.
    #[error("all tokens of the service account have expired; the next mount will send a new one")]
    NoToken,
    /// STS or the agent did not return credentials.
    #[error("no AWS credentials for {principal}: {failure}{advice}", advice = about_principal(principal, failure))]
    Refused { principal: Box<Principal>, failure: Box<AwsFailure> },
}

/// A principal's credentials.
#[derive(Clone, Debug)]
pub struct Session {
    pub(crate) credentials: Credentials,
    /// The account id, if the Pod Identity agent returned it.
    account: Option<String>,
    /// When to renew the credentials.
    usable_until: Instant,
}

/// Determines principals, and caches their credentials.
pub struct Identity {
    aws: Arc<Aws>,
    settings: IdentitySettings,
    clock: Clock,
    keys: Keys,
    roles: Roles,
    sts: sts::Sts,
    agent: pod_identity::Agent,
    sessions: Slots<Principal, Session, Failed>,
    accepted: Accepted,
}

impl Identity {
    /// Does not use the network.
    pub fn new(aws: Arc<Aws>, cluster: Arc<Cluster>, settings: IdentitySettings) -> Self {
        Self {
            clock: settings.clock,
            keys: Keys::new(Arc::clone(&cluster)),
            roles: Roles::new(cluster, settings.role_age, settings.max_stale),
            sts: sts::Sts::new(Arc::clone(&aws)),
            agent: pod_identity::Agent::new(&aws, &settings.agent),
            sessions: Slots::new(),
            accepted: Accepted::default(),
            aws,
            settings,
        }
    }

    /// Returns the credentials of `principal`, cached or new. Concurrent callers share
    /// one call to STS or the agent.
    ///
    /// # Errors
    /// If STS or the agent refuses, or cannot be reached.
    pub(crate) async fn session(
        &self,
        principal: &Principal,
        proof: &Proof,
        regions: &Regions,
        effort: &Effort,
    ) -> Result<Session, IdentityError> {
        let session = self.session_by(Wanted { principal, proof, regions, effort }).await;
        if session.as_ref().is_err_and(IdentityError::is_denial) {
            self.forget(principal);
        }
        session
    }

    /// Returns credentials for a read without a mount. Uses the newest token that AWS
    /// accepts.
    ///
    /// # Errors
    /// [`IdentityError::NoToken`] if all tokens have expired; otherwise the error of STS
    /// or the agent.
    pub(crate) async fn session_for_polling(
        &self,
        principal: &Principal,
        regions: &Regions,
        effort: &Effort,
    ) -> Result<Session, IdentityError> {
        let mut tokens =
            self.accepted.tokens(principal, unix_seconds(self.clock.now())).into_iter().peekable();
        while let Some(proof) = tokens.next() {
            let last = tokens.peek().is_none();
            match self.session_by(Wanted { principal, proof: &proof, regions, effort }).await {
                Err(error) if !error.is_no_tokens_fault() && !last => {
                    // AWS may not know the new signing key yet. Try the token that it accepted
                    // before.
                    self.accepted.refuse(principal, proof.token.digest());
                }
                Err(error) if !error.is_outage() => {
                    self.forget(principal);
                    return Err(if error.is_denial() { error } else { IdentityError::NoToken });
                }
                session => return session,
            }
        }
        Err(IdentityError::NoToken)
    }

    /// Reads the cluster's token-signing keys again when they are due.
    pub(crate) async fn keep_keys_fresh(&self) {
        self.keys.keep_fresh().await;
    }

    /// Why pods' tokens cannot be verified properly; `None` while they are.
    pub(crate) fn key_warning(&self) -> watch::Receiver<Option<String>> {
        self.keys.warning()
    }

    /// When the cluster's keys were read last.
    pub(crate) fn keys_read_at(&self) -> Option<Instant> {
        self.keys.read_at()
    }

    /// When the next credentials end.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let now = Instant::now();
        let ends = self.sessions.look(|_, session, _| session.map(|session| session.usable_until));
        ends.into_iter().flatten().filter(|end| *end > now).min()
    }

    /// Call this when a mount of the service account fails. Somebody may be fixing its
    /// annotation, so the next mount reads it again.
    pub(crate) fn doubt(&self, namespace: &str, service_account: &str) {
        self.roles.doubt(namespace, service_account);
    }

    /// The principals whose credentials have run out since the last call. The poller
    /// renews them, so that it notices a revoked trust even if it reads rarely.
    pub(crate) fn run_out(&self) -> Vec<Principal> {
        self.accepted.run_out(Instant::now())
    }

    /// The principal's AWS account id, if it is known.
    pub(crate) fn account(&self, principal: &Principal) -> Option<String> {
        match principal.role().and_then(|role| Arn::parse(role.as_str())) {
            Some(arn) => Some(arn.account.to_owned()),
            None => self.sessions.held(principal)?.account,
        }
    }

    /// Opens connections to STS in `region`, so that the first mounts do not wait for
    /// them.
    pub(crate) async fn connect_ahead(&self, region: &Region) {
        self.sts.connect_ahead(region, STS_CONNECTIONS_AHEAD).await;
    }

    /// Forgets credentials that AWS no longer accepts.
    pub(crate) fn discard(&self, principal: &Principal, session: &Session) {
        let stale = session.credentials.access_key_id();
        self.sessions.forget(principal, |held| held.credentials.access_key_id() == stale);
    }

    /// Forgets the principal's credentials and tokens, because STS or the agent denied
    /// it, or because it was idle for a long time.
    pub(crate) fn forget(&self, principal: &Principal) {
        self.sessions.forget(principal, |_| true);
        self.accepted.forget(principal);
    }
}

impl Session {
    /// A user's own credentials, for one command.
    pub fn of_caller(credentials: Credentials) -> Self {
        Self { account: None, usable_until: Instant::now(), credentials }
    }
}

impl IdentityError {
    pub fn reason(&self) -> Reason {
        match self {
            Self::TokenMissing { .. } => Reason::TokenMissing,
            Self::TokenUnfit { .. } | Self::NoToken => Reason::TokenRefused,
            Self::NoIdentity(_) | Self::NoRole(_) => Reason::NoIdentity,
            Self::Cluster(error) => error.reason(),
            Self::Refused { failure, .. } => failure.kind.reason(),
        }
    }

    fn refused(principal: &Principal, failure: AwsFailure) -> Self {
        Self::Refused { principal: Box::new(principal.clone()), failure: Box::new(failure) }
    }

    /// Whether STS or the agent gave no real answer.
    pub(crate) fn is_outage(&self) -> bool {
        matches!(self, Self::Refused { failure, .. } if failure.kind.is_outage())
    }

    /// Whether every other token of the principal would fail as well: in an outage, or
    /// if the role cannot be assumed although the service account's own credentials
    /// work.
    pub(crate) fn is_no_tokens_fault(&self) -> bool {
        let Self::Refused { principal, failure } = self else { return false };
        // STS may know the signing key of another token.
        let of_token = failure.kind == FailureKind::TokenUnverified;
        !of_token && (principal.assumed.is_some() || failure.kind.is_outage())
    }

    /// Whether STS rejected the credentials that signed the call.
    fn is_stale(&self) -> bool {
        matches!(self, Self::Refused { failure, .. } if failure.kind == FailureKind::StaleCredentials)
    }

    /// Whether STS or the agent did not respond in time.
    fn is_time_out(&self) -> bool {
        matches!(self, Self::Refused { failure, .. } if failure.kind == FailureKind::TimedOut)
    }

    /// Whether STS or the agent is throttling.
    pub(crate) fn is_throttled(&self) -> bool {
        matches!(self, Self::Refused { failure, .. } if failure.kind == FailureKind::Throttled)
    }

    /// Whether STS or the agent denied the principal itself, not only a token.
    pub(crate) fn is_denial(&self) -> bool {
        let denied =
            |kind| matches!(kind, FailureKind::Denied | FailureKind::KmsDenied | FailureKind::NotFound);
        matches!(self, Self::Refused { failure, .. } if denied(failure.kind))
    }
}

/// The response of STS or the agent.
struct Fetched {
    credentials: Credentials,
    account: Option<String>,
}
