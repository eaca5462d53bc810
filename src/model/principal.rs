//! Who credentials stand for.

use std::fmt;

use sha2::{Digest, Sha256};

use super::arn::RoleArn;

/// Longest role session name that STS accepts.
const MAX_SESSION_NAME: usize = 64;

/// The identity that AWS sees. Every cache is keyed by it, so nothing read as
/// one principal is ever served to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Principal {
    /// IAM Roles for Service Accounts: any pod of the service account.
    Irsa {
        /// The service account's namespace.
        namespace: String,
        /// The service account's name.
        service_account: String,
        /// The role that it takes on.
        role: RoleArn,
    },
    /// EKS Pod Identity. The agent does not tell the role.
    PodIdentity {
        /// The service account's namespace.
        namespace: String,
        /// The service account's name.
        service_account: String,
        /// The pod, whose uid is in the session tags and so may matter to a
        /// policy; `None` where the operator shares within a service account.
        pod_uid: Option<String>,
    },
}

impl Principal {
    /// The role, where it is known.
    pub fn role(&self) -> Option<&RoleArn> {
        match self {
            Self::Irsa { role, .. } => Some(role),
            Self::PodIdentity { .. } => None,
        }
    }

    /// The service account's namespace and name.
    pub fn service_account(&self) -> (&str, &str) {
        match self {
            Self::Irsa { namespace, service_account, .. }
            | Self::PodIdentity { namespace, service_account, .. } => (namespace, service_account),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Irsa { namespace, service_account, role } => {
                write!(f, "service account {namespace}/{service_account} with role {role}")
            }
            Self::PodIdentity { namespace, service_account, .. } => {
                write!(f, "service account {namespace}/{service_account} by EKS Pod Identity")
            }
        }
    }
}

/// `latchkey-<namespace>-<service account>`, so that CloudTrail names the
/// workload; what is too long is cut and gets a hash, to stay distinct.
pub fn role_session_name(namespace: &str, service_account: &str) -> String {
    let name = format!("latchkey-{namespace}-{service_account}");
    if name.len() <= MAX_SESSION_NAME {
        return name;
    }
    let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(&name)[..4]);
    let kept: String = name.chars().take(MAX_SESSION_NAME - hash.len() - 1).collect();
    format!("{kept}-{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_name_fits_and_stays_distinct() {
        assert_eq!(role_session_name("shop", "web"), "latchkey-shop-web");
        let (a, b) = (role_session_name(&"n".repeat(63), "a"), role_session_name(&"n".repeat(63), "b"));
        assert_eq!((a.len(), b.len()), (64, 64));
        assert_ne!(a, b);
        assert!(a.starts_with("latchkey-nnn"));
    }
}
