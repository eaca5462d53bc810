//! Determines the principal of a request's pod from its tokens and its class, and
//! whether the pod may use that principal's credentials and values.

use super::{Identity, IdentityError, Proof, keys::Verdict};
use crate::{
    aws::Effort,
    clock::unix_seconds,
    metrics::TokenCheck,
    model::{
        arn::{Regions, RoleArn},
        class::IdentityHints,
        principal::{Means, Principal},
        request::Pod,
        token::{POD_IDENTITY_AUDIENCE, STS_AUDIENCE, Tokens},
    },
};

/// What a pod brings to prove and choose its identity.
pub(super) struct Asking<'a> {
    pub(super) pod: &'a Pod,
    pub(super) hints: &'a IdentityHints,
    pub(super) tokens: &'a Tokens,
}

impl Identity {
    /// Returns the principal that the request's pod acts as, and the proof. The proof
    /// is worth nothing until it is admitted (`Identity::admit`).
    ///
    /// # Errors
    /// If the pod has no identity, or its token does not belong to it.
    pub async fn principal(
        &self,
        pod: &Pod,
        hints: &IdentityHints,
        tokens: Tokens,
    ) -> Result<(Principal, Proof), IdentityError> {
        let (role, proof) = self.role(&Asking { pod, hints, tokens: &tokens }).await?;
        let (namespace, service_account) = (pod.namespace.clone(), pod.service_account.clone());
        let means = match role {
            Some(role) => Means::Irsa { role },
            None => {
                let pod_uid = (!self.settings.share_pod_identity).then(|| pod.uid.clone());
                Means::PodIdentity { pod_uid }
            }
        };
        let assumed = hints.assumed_role.clone();
        let principal = Principal { namespace, service_account, means, assumed };
        if proof.verified {
            self.accepted.offer(&principal, &proof);
        }
        Ok((principal, proof))
    }

    /// The pod's token for `audience`, if it belongs to the pod and is not known to
    /// be forged.
    async fn proof(&self, asking: &Asking<'_>, audience: &'static str) -> Result<Proof, IdentityError> {
        let now = self.clock.now();
        let proof = Proof::of(asking, audience, now)?;
        let verdict = self.keys.check(&proof.token, unix_seconds(now)).await;
        self.aws.metrics().token_checks.count(match verdict {
            Verdict::Signed => TokenCheck::Signed,
            Verdict::Unknown => TokenCheck::Unknown,
            Verdict::Refused(_) => TokenCheck::Refused,
        });
        match verdict {
            Verdict::Signed => Ok(Proof { verified: true, ..proof }),
            Verdict::Unknown => Ok(proof),
            Verdict::Refused(problem) => {
                Err(IdentityError::TokenUnfit { audience, problem: problem.to_owned() })
            }
        }
    }

    /// Allows this proof to use its principal's credentials and values. If it is
    /// neither verified nor known to AWS, this asks AWS now.
    ///
    /// # Errors
    /// If STS or the agent refuses, or cannot be reached.
    pub(crate) async fn admit(
        &self,
        principal: &Principal,
        proof: &Proof,
        regions: &Regions,
    ) -> Result<(), IdentityError> {
        if !self.is_known(principal, proof) {
            self.session(principal, proof, regions, &Effort::MOUNT).await?;
        }
        Ok(())
    }

    /// Whether the proof is verified, or AWS has accepted this same token before.
    pub(crate) fn is_known(&self, principal: &Principal, proof: &Proof) -> bool {
        proof.verified || self.accepted.has(principal, proof)
    }

    /// The role and the proof for IRSA. No role means EKS Pod Identity; the proof is
    /// then for its agent.
    async fn role(&self, asking: &Asking<'_>) -> Result<(Option<RoleArn>, Proof), IdentityError> {
        if asking.hints.use_pod_identity == Some(true) {
            return Ok((None, self.proof(asking, POD_IDENTITY_AUDIENCE).await?));
        }
        if let Some(role) = &asking.hints.role_arn {
            tracing::debug!(pod = %asking.pod, %role, "using roleArn of the SecretProviderClass");
            return Ok((Some(role.clone()), self.proof(asking, STS_AUDIENCE).await?));
        }
        // Check the token before asking Kubernetes, so that a pod without a valid one
        // costs no call.
        let has_sts = asking.tokens.contains_key(STS_AUDIENCE);
        let has_pod_identity = asking.tokens.contains_key(POD_IDENTITY_AUDIENCE);
        let first = if has_pod_identity && !has_sts { POD_IDENTITY_AUDIENCE } else { STS_AUDIENCE };
        let proof = self.proof(asking, first).await?;
        // Only a successful read may lead to Pod Identity. A failed one never means
        // "no annotation".
        let pod = asking.pod;
        let annotated = self.roles.of(&pod.namespace, &pod.service_account, proof.account_uid()).await?;
        let account = || format!("{}/{}", pod.namespace, pod.service_account);
        let needed = match (&annotated, asking.hints.use_pod_identity) {
            (Some(_), _) => STS_AUDIENCE,
            (None, Some(_)) => return Err(IdentityError::NoRole(account())),
            (None, None) if has_pod_identity => POD_IDENTITY_AUDIENCE,
            (None, None) => return Err(IdentityError::NoIdentity(account())),
        };
        let proof = if needed == first { proof } else { self.proof(asking, needed).await? };
        Ok((annotated, proof))
    }
}
