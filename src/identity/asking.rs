//! Determines the principal of a request's pod from its tokens and its class, and
//! whether the pod may use that principal's credentials and values.

use super::{Identity, IdentityError, Proof, keys::Verdict};
use crate::{
    aws::Effort,
    clock::unix_seconds,
    model::{
        arn::{Regions, RoleArn},
        principal::{Means, Principal},
        request::MountRequest,
        token::{POD_IDENTITY_AUDIENCE, STS_AUDIENCE},
    },
};

impl Identity {
    /// Returns the principal that the request's pod acts as, and the proof. The proof
    /// is worth nothing until it is [admitted](Self::admit).
    ///
    /// # Errors
    /// If the pod has no identity, or its token does not belong to it.
    pub async fn principal(&self, request: &MountRequest) -> Result<(Principal, Proof), IdentityError> {
        let (role, proof) = self.role(request).await?;
        let (namespace, service_account) =
            (request.pod.namespace.clone(), request.pod.service_account.clone());
        let means = match role {
            Some(role) => Means::Irsa { role },
            None => {
                let pod_uid = (!self.settings.share_pod_identity).then(|| request.pod.uid.clone());
                Means::PodIdentity { pod_uid }
            }
        };
        let assumed = request.assumed_role.clone();
        let principal = Principal { namespace, service_account, means, assumed };
        if proof.verified {
            self.accepted.offer(&principal, &proof);
        }
        Ok((principal, proof))
    }

    /// The request's token for `audience`, if it belongs to the pod and is not known to
    /// be forged.
    async fn proof(&self, request: &MountRequest, audience: &'static str) -> Result<Proof, IdentityError> {
        let now = self.clock.now();
        let proof = Proof::of(request, audience, now)?;
        match self.keys.check(&proof.token, unix_seconds(now)).await {
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
    pub async fn admit(
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
    pub fn is_known(&self, principal: &Principal, proof: &Proof) -> bool {
        proof.verified || self.accepted.has(principal, proof)
    }

    /// The role and the proof for IRSA. No role means EKS Pod Identity; the proof is
    /// then for its agent.
    async fn role(&self, request: &MountRequest) -> Result<(Option<RoleArn>, Proof), IdentityError> {
        if request.use_pod_identity == Some(true) {
            return Ok((None, self.proof(request, POD_IDENTITY_AUDIENCE).await?));
        }
        if let Some(role) = &request.role_arn {
            tracing::debug!(pod = %request.pod, %role, "using roleArn of the SecretProviderClass");
            return Ok((Some(role.clone()), self.proof(request, STS_AUDIENCE).await?));
        }
        // Check the token before asking Kubernetes, so that a pod without a valid one
        // costs no call.
        let has_sts = request.tokens.contains_key(STS_AUDIENCE);
        let has_pod_identity = request.tokens.contains_key(POD_IDENTITY_AUDIENCE);
        let first = if has_pod_identity && !has_sts { POD_IDENTITY_AUDIENCE } else { STS_AUDIENCE };
        let proof = self.proof(request, first).await?;
        // Only a successful read may lead to Pod Identity. A failed one never means
        // "no annotation".
        let pod = &request.pod;
        let annotated = self.roles.of(&pod.namespace, &pod.service_account, proof.account_uid()).await?;
        let account = || format!("{}/{}", request.pod.namespace, request.pod.service_account);
        let needed = match (&annotated, request.use_pod_identity) {
            (Some(_), _) => STS_AUDIENCE,
            (None, Some(_)) => return Err(IdentityError::NoRole(account())),
            (None, None) if has_pod_identity => POD_IDENTITY_AUDIENCE,
            (None, None) => return Err(IdentityError::NoIdentity(account())),
        };
        let proof = if needed == first { proof } else { self.proof(request, needed).await? };
        Ok((annotated, proof))
    }
}
