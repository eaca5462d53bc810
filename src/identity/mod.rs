//! Who is asking: from a pod's tokens to the principal it acts as, and to that
//! principal's AWS credentials.

mod accepted;
mod advice;
mod asking;
mod chain;
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

use self::{accepted::Accepted, keys::Keys, roles::Roles, sessions::Failed};
pub use self::{
    pod_identity::{AgentSettings, DEFAULT_AGENT_TIMEOUT},
    proof::Proof,
};
use crate::{
    aws::{Aws, AwsFailure, Effort, FailureKind},
    clock::{Clock, unix_seconds},
    cluster::{Cluster, ClusterError, ROLE_ANNOTATION},
    model::{
        arn::{Arn, Region, Regions},
        principal::Principal,
        token::POD_IDENTITY_AUDIENCE,
    },
    single_flight::Slots,
};

/// Credentials are renewed this long before they expire.
const RENEWAL_MARGIN: Duration = Duration::from_secs(60);

/// Connections to STS that are opened at the start: a pod needs one, and a few
/// pods may start at once.
const STS_CONNECTIONS_AHEAD: usize = 2;

/// How credentials are got and kept.
#[derive(Clone, Debug)]
pub struct IdentitySettings {
    /// The Pod Identity agent.
    pub agent: AgentSettings,
    /// Whether a service account's pods share Pod Identity credentials, and with
    /// them what was read.
    pub share_pod_identity: bool,
    /// How long credentials are used at most.
    pub max_credential_age: Duration,
    /// How long a service account's role is remembered.
    pub role_age: Duration,
    /// How long it is still believed while Kubernetes does not answer.
    pub max_stale: Duration,
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

/// Why there are no credentials.
#[derive(Clone, Debug, thiserror::Error)]
pub enum IdentityError {
    /// The driver handed on no token for the audience.
    #[error(
        "the driver sent no token for audience {audience:?} (it sent: {sent}): the CSIDriver object secrets-store.csi.k8s.io needs it among tokenRequests"
    )]
    TokenMissing {
        /// What was needed.
        audience: &'static str,
        /// The audiences that came.
        sent: String,
    },
    /// The token is not the pod's own, or not for AWS.
    #[error("the token for audience {audience:?} is refused: {problem}")]
    TokenUnfit {
        /// Whose token.
        audience: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Nothing says which role to take on.
    #[error(
        "service account {0} has no AWS identity: annotate it with {ROLE_ANNOTATION}, or set roleArn in the SecretProviderClass (the provider needs --allow-role-arn for it), or associate it with a role by EKS Pod Identity and add the audience {POD_IDENTITY_AUDIENCE} to the CSIDriver's tokenRequests"
    )]
    NoIdentity(String),
    /// `usePodIdentity: "false"` and no role.
    #[error(
        "service account {0} has no annotation {ROLE_ANNOTATION}, which IRSA needs (usePodIdentity is \"false\"); annotate it, or set roleArn in the SecretProviderClass (the provider needs --allow-role-arn for it)"
    )]
    NoRole(String),
    /// Kubernetes did not tell the role.
    #[error("the role of the pod's service account is not known")]
    Cluster(#[from] ClusterError),
    /// Nobody's token is valid any more; the next mount brings one.
    #[error("no token of the service account is valid any more; the next mount brings one")]
    NoToken,
    /// STS or the agent did not give credentials.
    #[error("no AWS credentials for {principal}: {failure}{advice}", advice = advice::of(principal, failure))]
    Refused {
        /// For whom.
        principal: Box<Principal>,
        /// What AWS answered.
        failure: Box<AwsFailure>,
    },
}

/// A principal's credentials.
#[derive(Clone, Debug)]
pub struct Session {
    /// What AWS calls are signed with.
    pub credentials: Credentials,
    /// The account, where the one who gave them told it.
    account: Option<String>,
    /// When they are renewed.
    usable_until: Instant,
}

/// Gives principals and their credentials.
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
    /// Nothing is asked yet.
    pub fn new(aws: Arc<Aws>, cluster: Arc<Cluster>, settings: IdentitySettings) -> Self {
        Self {
            clock: settings.clock,
            keys: Keys::new(Arc::clone(&cluster)),
            roles: Roles::new(cluster, settings.role_age, settings.max_stale),
            sts: sts::Sts::default(),
            agent: pod_identity::Agent::new(&aws, &settings.agent),
            sessions: Slots::new(),
            accepted: Accepted::default(),
            aws,
            settings,
        }
    }

    /// Credentials of `principal`: the ones it has, or new ones. Concurrent
    /// callers share one call to STS or the agent.
    ///
    /// # Errors
    /// What STS or the agent refused, or that they were not reached.
    pub async fn session(
        &self,
        principal: &Principal,
        proof: &Proof,
        regions: &Regions,
        effort: &Effort,
    ) -> Result<Session, IdentityError> {
        let session = self.session_by(principal, proof, regions, effort).await;
        if session.as_ref().is_err_and(IdentityError::is_denial) {
            self.forget(principal);
        }
        session
    }

    /// Credentials for reading without a pod that asks: with the newest token
    /// that AWS accepts.
    ///
    /// # Errors
    /// [`IdentityError::NoToken`] when none is valid any more, or what STS or the
    /// agent said.
    pub async fn session_for_polling(
        &self,
        principal: &Principal,
        regions: &Regions,
        effort: &Effort,
    ) -> Result<Session, IdentityError> {
        let mut tokens =
            self.accepted.tokens(principal, unix_seconds(self.clock.now())).into_iter().peekable();
        while let Some(proof) = tokens.next() {
            let last = tokens.peek().is_none();
            match self.session_by(principal, &proof, regions, effort).await {
                Err(error) if !error.is_no_tokens_fault() && !last => {
                    // AWS may not know the key that signed it yet. The token that it has
                    // accepted before has the last word.
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

    /// Reads the cluster's token-signing keys when they are due.
    pub async fn keep_keys_fresh(&self) {
        self.keys.keep_fresh().await;
    }

    /// Why pods' tokens are not verified as they should be; `None` while they are.
    pub fn key_warning(&self) -> watch::Receiver<Option<String>> {
        self.keys.warning()
    }

    /// A mount of the service account failed. Its annotation may be what a person
    /// repairs now: the next mount reads it again.
    pub fn doubt(&self, namespace: &str, service_account: &str) {
        self.roles.doubt(namespace, service_account);
    }

    /// The principals whose credentials have run out since the last call. Who
    /// renews them then sees a revoked trust in time, however rarely is read.
    pub fn run_out(&self) -> Vec<Principal> {
        self.accepted.run_out(Instant::now())
    }

    /// The AWS account that the principal belongs to, where it is known.
    pub fn account(&self, principal: &Principal) -> Option<String> {
        match principal.role().and_then(|role| Arn::parse(role.as_str())) {
            Some(arn) => Some(arn.account.to_owned()),
            None => self.sessions.held(principal)?.account,
        }
    }

    /// Opens connections to the Region's STS, so that the first mounts do not wait for them.
    pub async fn connect_ahead(&self, region: &Region) {
        self.sts.connect_ahead(&self.aws, region, STS_CONNECTIONS_AHEAD).await;
    }

    /// Forgets credentials that AWS does not take any more.
    pub fn discard(&self, principal: &Principal, session: &Session) {
        let stale = session.credentials.access_key_id();
        self.sessions.forget(principal, |held| held.credentials.access_key_id() == stale);
    }

    /// Forgets all that the principal has: STS or the agent denied it, or nobody
    /// has asked for it for long.
    pub fn forget(&self, principal: &Principal) {
        self.sessions.forget(principal, |_| true);
        self.accepted.forget(principal);
    }
}

impl Session {
    /// A person's own credentials, for one command.
    pub fn of_caller(credentials: Credentials) -> Self {
        Self { account: None, usable_until: Instant::now(), credentials }
    }
}

impl IdentityError {
    fn refused(principal: &Principal, failure: AwsFailure) -> Self {
        Self::Refused { principal: Box::new(principal.clone()), failure: Box::new(failure) }
    }

    /// Whether STS or the agent did not answer the question at all.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Refused { failure, .. } if failure.kind.is_outage())
    }

    /// Whether it would meet every other token of the principal as well: an outage,
    /// or a role that is not given although the service account's own credentials
    /// are good.
    pub fn is_no_tokens_fault(&self) -> bool {
        let Self::Refused { principal, failure } = self else { return false };
        // STS may know the key of another token.
        let of_token = failure.kind == FailureKind::TokenUnverified;
        !of_token && (principal.assumed.is_some() || failure.kind.is_outage())
    }

    /// Whether STS does not take the credentials that it was asked with.
    fn is_stale(&self) -> bool {
        matches!(self, Self::Refused { failure, .. } if failure.kind == FailureKind::StaleCredentials)
    }

    /// Whether STS or the agent throttles.
    pub fn is_throttled(&self) -> bool {
        matches!(self, Self::Refused { failure, .. } if failure.kind == FailureKind::Throttled)
    }

    /// Whether STS or the agent refused the principal itself, not only a token.
    pub fn is_denial(&self) -> bool {
        let denied =
            |kind| matches!(kind, FailureKind::Denied | FailureKind::KmsDenied | FailureKind::NotFound);
        matches!(self, Self::Refused { failure, .. } if denied(failure.kind))
    }
}

/// What STS or the agent gave.
struct Fetched {
    credentials: Credentials,
    account: Option<String>,
}
