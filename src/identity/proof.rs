//! The token that proves a pod's service account, and the checks of its claims.
//! `keys` checks its signature.

use std::time::SystemTime;

use super::{IdentityError, asking::Asking};
use crate::{
    clock::unix_seconds,
    model::{
        address_type::AddressType,
        message::{quoted, shortened},
        token::Token,
    },
};

/// Maximum size of a token; kubelet's are about 1 KiB.
const MAX_TOKEN_BYTES: usize = 16 << 10;

/// Maximum number of audiences in a message; a cluster requests two or three.
const MAX_SHOWN: usize = 5;
/// How far the API server's clock may be ahead of ours, in seconds.
const SKEW: u64 = 60;

/// A pod's own token, and the agent's address type that the class prefers.
#[derive(Clone, Debug)]
pub struct Proof {
    pub(super) token: Token,
    /// Whether the cluster's keys have verified it. Otherwise, it is worth nothing
    /// until AWS accepts it.
    pub(super) verified: bool,
    pub(super) address_type: AddressType,
    /// Seconds since 1970.
    pub(super) expires_at: u64,
}

impl Proof {
    /// Returns the request's token for `audience`, if its claims match the pod. The
    /// issuer is not compared: the keys belong to one cluster, which may rename its
    /// issuer while its tokens stay valid.
    ///
    /// # Errors
    /// If there is no such token, or it has expired, or it belongs to another pod.
    pub(super) fn of(
        asking: &Asking<'_>,
        audience: &'static str,
        now: SystemTime,
    ) -> Result<Self, IdentityError> {
        let Some(token) = asking.tokens.get(audience) else {
            let mut sent: Vec<&str> = asking.tokens.keys().map(String::as_str).collect();
            sent.sort_unstable();
            let more = sent.len().saturating_sub(MAX_SHOWN);
            let mut sent: Vec<String> =
                sent.iter().take(MAX_SHOWN).map(|audience| shortened(audience, 100).to_owned()).collect();
            if more > 0 {
                sent.push(format!("and {more} more"));
            }
            let sent = if sent.is_empty() { "none".to_owned() } else { sent.join(", ") };
            return Err(IdentityError::TokenMissing { audience, sent });
        };
        let unfit = |problem: String| Err(IdentityError::TokenUnfit { audience, problem });
        let text = token.expose();
        if text.len() > MAX_TOKEN_BYTES || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return unfit(
                "it is not a Kubernetes token: it is too long or has unprintable characters".to_owned(),
            );
        }
        let Some(claims) = token.claims() else { return unfit("it is not a JWT".to_owned()) };
        let pod = asking.pod;
        let expected = format!("system:serviceaccount:{}:{}", pod.namespace, pod.service_account);
        if claims.subject != expected {
            return unfit(format!(
                "its subject is {}, but the pod's is {}",
                quoted(&claims.subject),
                quoted(&expected)
            ));
        }
        if !claims.is_for(audience) {
            return unfit("it is for another audience".to_owned());
        }
        // kubelet binds every token for a CSI driver to the pod.
        match &claims.bound_to.pod {
            None => return unfit("it is not bound to a pod".to_owned()),
            Some(bound) if bound.uid != pod.uid => {
                return unfit(format!("it is bound to a pod other than {pod} (uid {})", pod.uid));
            }
            Some(_) => {}
        }
        let now = unix_seconds(now);
        if claims.expires_at <= now {
            return unfit(format!(
                "it expired {} s ago; kubelet will send a new one when it retries. If this persists, compare the clocks of this node and the API server",
                now - claims.expires_at
            ));
        }
        if claims.not_before > now.saturating_add(SKEW) {
            return unfit(format!(
                "it is not valid for another {} s (nbf): the clocks of this node and the API server differ",
                claims.not_before - now
            ));
        }
        Ok(Self {
            token: token.clone(),
            verified: false,
            address_type: asking.hints.address_type,
            expires_at: claims.expires_at,
        })
    }

    /// The uid of the pod's service account in the token.
    pub(super) fn account_uid(&self) -> Option<&str> {
        let account = self.token.claims()?.bound_to.serviceaccount.as_ref()?;
        Some(&account.uid)
    }
}
