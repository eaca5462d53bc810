//! Who is asking: from a pod's tokens to the principal it acts as, and to that
//! principal's AWS credentials.

mod irsa;
mod pod_identity;

use std::{sync::Arc, time::Duration};

use aws_credential_types::Credentials;
use tokio::time::Instant;

pub use pod_identity::{AgentSettings, DEFAULT_AGENT_TIMEOUT};

use crate::{
    aws::{Aws, AwsFailure, FailureKind},
    cache::Slots,
    cluster::{Cluster, ClusterError, ROLE_ANNOTATION},
    model::{
        arn::{Regions, RoleArn},
        principal::Principal,
        request::MountRequest,
        token::{POD_IDENTITY_AUDIENCE, STS_AUDIENCE, Token, TokenDigest},
    },
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
}

impl Default for IdentitySettings {
    fn default() -> Self {
        Self {
            agent: AgentSettings::default(),
            share_pod_identity: false,
            max_credential_age: Duration::from_secs(15 * 60),
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
    /// The account that the principal belongs to, where it is known.
    pub account: Option<String>,
    /// When they are renewed.
    usable_until: Instant,
}

/// Gives principals and their credentials.
pub struct Identity {
    aws: Arc<Aws>,
    cluster: Arc<Cluster>,
    settings: IdentitySettings,
    irsa: irsa::Irsa,
    agent: pod_identity::Agent,
    sessions: Slots<Principal, Session, Failed>,
}

/// A failure and the token that met it.
#[derive(Clone, Debug)]
struct Failed {
    error: IdentityError,
    token: TokenDigest,
}

impl Identity {
    /// Nothing is asked yet.
    pub fn new(aws: Arc<Aws>, cluster: Arc<Cluster>, settings: IdentitySettings) -> Self {
        let agent = pod_identity::Agent::new(&aws, &settings.agent);
        Self { aws, cluster, settings, irsa: irsa::Irsa::default(), agent, sessions: Slots::new() }
    }

    /// The principal that the request's pod acts as, and the token that proves it.
    ///
    /// # Errors
    /// When the pod has no identity, or its token is not its own.
    pub async fn principal(&self, request: &MountRequest) -> Result<(Principal, Token), IdentityError> {
        match self.role(request).await? {
            Some(role) => {
                let token = self.token(request, STS_AUDIENCE)?;
                let (namespace, service_account) = owner(request);
                Ok((Principal::Irsa { namespace, service_account, role }, token))
            }
            None => {
                let token = self.token(request, POD_IDENTITY_AUDIENCE)?;
                let (namespace, service_account) = owner(request);
                let pod_uid = (!self.settings.share_pod_identity).then(|| request.pod.uid.clone());
                Ok((Principal::PodIdentity { namespace, service_account, pod_uid }, token))
            }
        }
    }

    /// The role for IRSA; `None` means EKS Pod Identity.
    async fn role(&self, request: &MountRequest) -> Result<Option<RoleArn>, IdentityError> {
        if request.use_pod_identity == Some(true) {
            return Ok(None);
        }
        if let Some(role) = &request.role_arn {
            tracing::info!(pod = %request.pod, %role, "the role is the SecretProviderClass's roleArn");
            return Ok(Some(role.clone()));
        }
        let (namespace, account) = (&request.pod.namespace, &request.pod.service_account);
        // Only a successful read may lead to Pod Identity: a forbidden or failed
        // one never means "no annotation".
        let annotated = self.cluster.role_of(namespace, account).await?;
        match (annotated, request.use_pod_identity) {
            (Some(role), _) => Ok(Some(role)),
            (None, Some(_)) => Err(IdentityError::NoRole(format!("{namespace}/{account}"))),
            (None, None) if request.tokens.contains_key(POD_IDENTITY_AUDIENCE) => Ok(None),
            (None, None) => Err(IdentityError::NoIdentity(format!("{namespace}/{account}"))),
        }
    }

    /// The request's token for `audience`, if it is the pod's own. AWS verifies
    /// the signature; this keeps a token that a pod author smuggled in from
    /// standing for another service account.
    fn token(&self, request: &MountRequest, audience: &'static str) -> Result<Token, IdentityError> {
        let Some(token) = request.tokens.get(audience) else {
            let mut sent: Vec<&str> = request.tokens.keys().map(String::as_str).collect();
            sent.sort_unstable();
            let sent = if sent.is_empty() { "none".to_owned() } else { sent.join(", ") };
            return Err(IdentityError::TokenMissing { audience, sent });
        };
        let unfit = |problem: String| IdentityError::TokenUnfit { audience, problem };
        let claims = token.claims().ok_or_else(|| unfit("it is not a JWT".to_owned()))?;
        let pod = &request.pod;
        let expected = format!("system:serviceaccount:{}:{}", pod.namespace, pod.service_account);
        if claims.subject != expected {
            return Err(unfit(format!("its subject is {:?}, the pod's is {expected:?}", claims.subject)));
        }
        if !claims.is_for(audience) {
            return Err(unfit("it is for another audience".to_owned()));
        }
        if claims.bound_to.pod.as_ref().is_some_and(|bound| bound.uid != pod.uid) {
            return Err(unfit(format!("it is bound to another pod than {} (uid {})", pod, pod.uid)));
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        if claims.expires_at <= now.as_secs() {
            return Err(unfit(format!("it expired {} s ago", now.as_secs() - claims.expires_at)));
        }
        Ok(token.clone())
    }

    /// Credentials of `principal`: the ones it has, or new ones. Concurrent
    /// callers share one call to STS or the agent.
    ///
    /// # Errors
    /// What STS or the agent refused, or that they were not reached.
    pub async fn session(
        &self,
        principal: &Principal,
        token: &Token,
        request: &MountRequest,
        regions: &Regions,
    ) -> Result<Session, IdentityError> {
        let now = Instant::now();
        let digest = token.digest();
        // An outage met by one token would meet every other; a denial may be
        // the fault of that token alone.
        let shared = |failed: &Failed| failed.token == digest || failed.error.is_outage();
        let fetch = async || {
            self.sessions.sweep(|session| session.usable_until > now);
            let fetched = match principal {
                Principal::Irsa { namespace, service_account, role } => {
                    let who = irsa::Who { namespace, service_account, role };
                    self.irsa.assume(&self.aws, regions, &who, token, self.settings.max_credential_age).await
                }
                Principal::PodIdentity { .. } => {
                    self.agent.credentials(token, request.address_type, &regions.primary).await
                }
            };
            fetched.map(|fetched| self.session_of(fetched)).map_err(|failure| Failed {
                error: IdentityError::Refused {
                    principal: Box::new(principal.clone()),
                    failure: Box::new(failure),
                },
                token: digest,
            })
        };
        self.sessions
            .get_or_fetch(principal, |session| session.usable_until > now, shared, fetch)
            .await
            .map_err(|failed| failed.error)
    }

    /// Forgets credentials that AWS does not take any more.
    pub fn discard(&self, principal: &Principal, session: &Session) {
        let stale = session.credentials.access_key_id();
        self.sessions.forget(principal, |held| held.credentials.access_key_id() == stale);
    }

    fn session_of(&self, fetched: Fetched) -> Session {
        let now = Instant::now();
        let left = fetched.credentials.expiry().map_or(self.settings.max_credential_age, |expiry| {
            expiry
                .duration_since(std::time::SystemTime::now())
                .unwrap_or_default()
                .saturating_sub(RENEWAL_MARGIN)
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
    fn is_outage(&self) -> bool {
        matches!(self, Self::Refused { failure, .. } if failure.kind == FailureKind::Outage)
    }
}

/// What STS or the agent gave.
struct Fetched {
    credentials: Credentials,
    account: Option<String>,
}

fn owner(request: &MountRequest) -> (String, String) {
    (request.pod.namespace.clone(), request.pod.service_account.clone())
}
