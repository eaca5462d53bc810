//! Who is asking: from a pod's tokens to the principal it acts as, and to that
//! principal's AWS credentials.

mod accepted;
mod irsa;
mod pod_identity;
mod proof;
mod roles;

use std::{sync::Arc, time::Duration};

use aws_credential_types::Credentials;
use tokio::time::Instant;

use self::{accepted::Accepted, roles::Roles};
pub use self::{
    pod_identity::{AgentSettings, DEFAULT_AGENT_TIMEOUT},
    proof::Proof,
};
use crate::{
    aws::{Aws, AwsFailure, Effort, FailureKind},
    cache::Slots,
    clock::{Clock, unix_seconds},
    cluster::{Cluster, ClusterError, ROLE_ANNOTATION},
    model::{
        arn::{Arn, Regions, RoleArn},
        principal::Principal,
        request::{AddressType, MountRequest},
        token::{POD_IDENTITY_AUDIENCE, STS_AUDIENCE, TokenDigest},
    },
    permits::{Permit, Urgency},
};

/// Credentials are renewed this long before they expire.
const RENEWAL_MARGIN: Duration = Duration::from_secs(60);

/// How credentials are got and kept.
#[derive(Clone, Debug)]
pub struct IdentitySettings {
    /// The Pod Identity agent.
    pub agent: AgentSettings,
    /// Whether a service account's pods share Pod Identity credentials.
    pub share_pod_identity: bool,
    /// How long credentials are used at most.
    pub max_credential_age: Duration,
    /// How long a service account's role is remembered.
    pub role_age: Duration,
    /// How long it is still believed while Kubernetes does not answer.
    pub max_stale: Duration,
}

impl Default for IdentitySettings {
    fn default() -> Self {
        Self {
            agent: AgentSettings::default(),
            share_pod_identity: false,
            max_credential_age: Duration::from_secs(15 * 60),
            role_age: Duration::from_secs(2 * 60),
            max_stale: Duration::from_secs(60 * 60),
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
        "service account {0} has no AWS identity: annotate it with {ROLE_ANNOTATION}, or set roleArn in the SecretProviderClass, or associate it with a role by EKS Pod Identity and add the audience {POD_IDENTITY_AUDIENCE} to the CSIDriver's tokenRequests"
    )]
    NoIdentity(String),
    /// `usePodIdentity: "false"` and no role.
    #[error(
        "service account {0} has no annotation {ROLE_ANNOTATION}, which IRSA needs (usePodIdentity is \"false\"); annotate it, or set roleArn in the SecretProviderClass"
    )]
    NoRole(String),
    /// Kubernetes did not tell the role.
    #[error("the role of the pod's service account is not known")]
    Cluster(#[from] ClusterError),
    /// Nobody's token is valid any more; the next mount brings one.
    #[error("no token of the service account is valid any more; the next mount brings one")]
    NoToken,
    /// STS or the agent did not give credentials.
    #[error("no AWS credentials for {principal}: {failure}{advice}", advice = advice(principal, failure))]
    Refused {
        /// For whom.
        principal: Box<Principal>,
        /// What AWS answered.
        failure: Box<AwsFailure>,
    },
}

/// What to do about refused credentials.
fn advice(principal: &Principal, failure: &AwsFailure) -> String {
    let (namespace, account) = principal.service_account();
    match (principal, failure.kind) {
        (Principal::Irsa { role, .. }, FailureKind::Denied) => format!(
            ". The trust policy of {role} must allow sts:AssumeRoleWithWebIdentity to this cluster's OIDC provider with the condition \"<issuer>:sub\" = \"system:serviceaccount:{namespace}:{account}\"; also check that the role exists"
        ),
        (Principal::Irsa { .. }, FailureKind::TokenRefused) => {
            ". The cluster's OIDC issuer must be an IAM identity provider of the role's account, with audience sts.amazonaws.com".to_owned()
        }
        (Principal::PodIdentity { .. }, FailureKind::Denied | FailureKind::NotFound) => format!(
            ". A Pod Identity association for service account {namespace}/{account} must exist in this cluster, and its role must trust pods.eks.amazonaws.com with sts:AssumeRole and sts:TagSession"
        ),
        (Principal::PodIdentity { .. }, FailureKind::Outage) => {
            ". Is the eks-pod-identity-agent running on this node?".to_owned()
        }
        _ => String::new(),
    }
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
    roles: Roles,
    irsa: irsa::Irsa,
    agent: pod_identity::Agent,
    sessions: Slots<Principal, Session, Failed>,
    accepted: Accepted,
}

/// A failure and the token that met it.
#[derive(Clone, Debug)]
struct Failed {
    error: IdentityError,
    token: TokenDigest,
    regions: Regions,
    address_type: AddressType,
    urgency: Urgency,
}

impl Identity {
    /// Nothing is asked yet.
    pub fn new(aws: Arc<Aws>, cluster: Arc<Cluster>, settings: IdentitySettings) -> Self {
        Self {
            clock: Clock::new(),
            roles: Roles::new(cluster, settings.role_age, settings.max_stale),
            irsa: irsa::Irsa::default(),
            agent: pod_identity::Agent::new(&aws, &settings.agent),
            sessions: Slots::new(),
            accepted: Accepted::default(),
            aws,
            settings,
        }
    }

    /// The principal that the request's pod acts as, and what proves it.
    ///
    /// # Errors
    /// When the pod has no identity, or its token is not its own.
    pub async fn principal(&self, request: &MountRequest) -> Result<(Principal, Proof), IdentityError> {
        let role = self.role(request).await?;
        let audience = if role.is_some() { STS_AUDIENCE } else { POD_IDENTITY_AUDIENCE };
        let proof = Proof::of(request, audience, self.clock.now())?;
        let (namespace, service_account) =
            (request.pod.namespace.clone(), request.pod.service_account.clone());
        let principal = match role {
            Some(role) => Principal::Irsa { namespace, service_account, role },
            None => {
                let pod_uid = (!self.settings.share_pod_identity).then(|| request.pod.uid.clone());
                Principal::PodIdentity { namespace, service_account, pod_uid }
            }
        };
        self.accepted.offer(&principal, &request.pod.uid, &proof);
        Ok((principal, proof))
    }

    /// The role for IRSA; `None` means EKS Pod Identity.
    async fn role(&self, request: &MountRequest) -> Result<Option<RoleArn>, IdentityError> {
        if request.use_pod_identity == Some(true) {
            return Ok(None);
        }
        if let Some(role) = &request.role_arn {
            tracing::debug!(pod = %request.pod, %role, "the role is the SecretProviderClass's roleArn");
            return Ok(Some(role.clone()));
        }
        // Only a successful read may lead to Pod Identity: a forbidden or failed
        // one never means "no annotation".
        let annotated = self.roles.of(request).await?;
        let account = || format!("{}/{}", request.pod.namespace, request.pod.service_account);
        match (annotated, request.use_pod_identity) {
            (Some(role), _) => Ok(Some(role)),
            (None, Some(_)) => Err(IdentityError::NoRole(account())),
            (None, None) if request.tokens.contains_key(POD_IDENTITY_AUDIENCE) => Ok(None),
            (None, None) => Err(IdentityError::NoIdentity(account())),
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

    /// As [`Self::session`]; a denial is left to the caller.
    async fn session_by(
        &self,
        principal: &Principal,
        proof: &Proof,
        regions: &Regions,
        effort: &Effort,
    ) -> Result<Session, IdentityError> {
        let now = Instant::now();
        let (digest, urgency) = (proof.token.digest(), effort.urgency());
        // An outage met by one token would meet every other that asks at the same
        // place as hard; a denial may be the fault of that token alone.
        let shared = |failed: &Failed| {
            let alike = failed.regions == *regions
                && failed.address_type == proof.address_type
                && (failed.urgency == urgency || urgency == Urgency::Poll);
            alike && (failed.token == digest || failed.error.is_outage())
        };
        let namespace = principal.service_account().0;
        let admit = || async {
            if principal.role().is_some() {
                return self.aws.admit(effort, &regions.primary, namespace).await;
            }
            self.agent.admit(urgency, namespace, proof.address_type).await
        };
        let fetch = async |permit: Permit| {
            self.sessions.sweep(|session| session.usable_until > now);
            let fetched = match principal {
                Principal::Irsa { namespace, service_account, role } => {
                    let who = irsa::Who { namespace, service_account, role };
                    let (age, effort) = (self.settings.max_credential_age, effort.within(permit));
                    self.irsa.assume(&self.aws, regions, &who, &proof.token, age, &effort).await
                }
                Principal::PodIdentity { .. } => {
                    self.agent.credentials(&proof.token, proof.address_type, &regions.primary).await
                }
            };
            fetched.map_err(|failure| Failed {
                error: IdentityError::Refused {
                    principal: Box::new(principal.clone()),
                    failure: Box::new(failure),
                },
                token: digest,
                regions: regions.clone(),
                address_type: proof.address_type,
                urgency,
            })
        };
        let fetch = async |permit: Permit| {
            let (session, now) = (self.session_of(fetch(permit).await?), unix_seconds(self.clock.now()));
            self.accepted.accept(principal, proof, session.usable_until, now);
            Ok(session)
        };
        let usable = |session: &Session| session.usable_until > now;
        let session = self.sessions.get_or_fetch(principal, usable, shared, admit, fetch);
        session.await.map_err(|failed| failed.error)
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
                Err(error) if !error.is_outage() && !last => {
                    // It may be forged. The token that was accepted before has the last word.
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

impl Session {
    /// A person's own credentials, for one command.
    pub fn of_caller(credentials: Credentials) -> Self {
        Self { account: None, usable_until: Instant::now(), credentials }
    }
}

impl IdentityError {
    /// Whether STS or the agent did not answer the question at all.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Refused { failure, .. } if failure.kind.is_outage())
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
