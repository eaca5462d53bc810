//! Who credentials stand for.

use std::fmt;

use data_encoding::BASE32_DNSSEC;
use sha2::{Digest, Sha256};

use super::arn::RoleArn;

/// Longest role session name that STS accepts.
const MAX_SESSION_NAME: usize = 64;
/// What a cut name has of its SHA-256: two names of the same hash take 2^80 tries.
const HASH_BYTES: usize = 20;

/// The identity that AWS sees. Every cache is keyed by it, so nothing read as
/// one principal is ever served to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal {
    /// The service account's namespace.
    pub namespace: String,
    /// The service account's name.
    pub service_account: String,
    /// How the service account gets its own credentials.
    pub means: Means,
    /// The role that these credentials take on; everything is read as that one.
    pub assumed: Option<AssumedRole>,
}

/// How a service account's token becomes credentials.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Means {
    /// IAM Roles for Service Accounts: any pod of the service account.
    Irsa {
        /// The role that the service account takes on.
        role: RoleArn,
    },
    /// EKS Pod Identity. The agent does not tell the role.
    PodIdentity {
        /// The pod, whose uid is in the session tags and so may matter to a
        /// policy, where the operator says that it does
        /// (`--pod-identity-cache-scope=pod`). `None`: the service account's pods
        /// share.
        pod_uid: Option<String>,
    },
}

/// A role that is taken on with the service account's own credentials
/// (`assumeRoleArn`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AssumedRole {
    /// The role.
    pub arn: RoleArn,
    /// What the role's trust policy may ask for.
    pub external_id: Option<ExternalId>,
}

/// An external id of a trust policy (`sts:ExternalId`). AWS counts it among the
/// things that need no secrecy; it is shown nowhere all the same.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExternalId(String);

impl Principal {
    /// The role that values are read as, where it is known.
    pub fn role(&self) -> Option<&RoleArn> {
        match (&self.assumed, &self.means) {
            (Some(assumed), _) => Some(&assumed.arn),
            (None, Means::Irsa { role }) => Some(role),
            (None, Means::PodIdentity { .. }) => None,
        }
    }

    /// The service account's namespace and name.
    pub fn service_account(&self) -> (&str, &str) {
        (&self.namespace, &self.service_account)
    }

    /// The memory that its texts take: a pod author chooses the roles' and the
    /// external id's.
    pub fn bytes(&self) -> usize {
        let own = match &self.means {
            Means::Irsa { role } => role.as_str().len(),
            Means::PodIdentity { pod_uid } => pod_uid.as_ref().map_or(0, String::len),
        };
        let assumed = self.assumed.as_ref().map_or(0, |assumed| {
            assumed.arn.as_str().len() + assumed.external_id.as_ref().map_or(0, |id| id.as_str().len())
        });
        self.namespace.len() + self.service_account.len() + own + assumed
    }

    /// The same service account with its own credentials.
    pub fn base(&self) -> Self {
        Self { assumed: None, ..self.clone() }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "service account {}/{}", self.namespace, self.service_account)?;
        match &self.means {
            Means::Irsa { role } => write!(f, " with role {role}")?,
            Means::PodIdentity { .. } => f.write_str(" by EKS Pod Identity")?,
        }
        match &self.assumed {
            Some(assumed) => write!(f, " as role {} (assumeRoleArn)", assumed.arn),
            None => Ok(()),
        }
    }
}

impl ExternalId {
    /// `None` unless `text` has 2 to 1224 letters, digits and `_ + = , . @ : / -`
    /// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>).
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b);
        ((2..=1224).contains(&text.len()) && text.bytes().all(allowed)).then(|| Self(text.to_owned()))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ExternalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<external id>")
    }
}

/// `latchkey-<namespace>.<service account>`, so that CloudTrail names the
/// workload. No two workloads share a name: a namespace holds no dot, so that
/// the first one ends it; what is too long is cut, and gets `=`, which no name of
/// Kubernetes holds, and a hash that nobody can aim at.
pub fn role_session_name(namespace: &str, service_account: &str) -> String {
    let name = format!("latchkey-{namespace}.{service_account}");
    if name.len() <= MAX_SESSION_NAME {
        return name;
    }
    let hash = BASE32_DNSSEC.encode(&Sha256::digest(&name)[..HASH_BYTES]);
    let kept: String = name.chars().take(MAX_SESSION_NAME - hash.len() - 1).collect();
    format!("{kept}={hash}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_session_name_contains_the_workload_and_fits() {
        assert_eq!(role_session_name("shop", "web"), "latchkey-shop.web");
        assert_ne!(role_session_name("a-b", "c"), role_session_name("a", "b-c"));
        let (a, b) = (role_session_name(&"n".repeat(63), "a"), role_session_name(&"n".repeat(63), "b"));
        for name in [&a, &b] {
            assert_eq!(name.len(), 64, "{name}");
        }
        assert_ne!(a, b);
        assert!(a.starts_with("latchkey-nnn"), "{a}");
        // The longest name that is kept, and the shortest one that is cut.
        assert_eq!(role_session_name("n", &"s".repeat(53)), format!("latchkey-n.{}", "s".repeat(53)));
        let cut = role_session_name("n", &"s".repeat(54));
        assert!(cut.contains('='), "{cut}");
    }

    /// Names that Kubernetes allows, of namespaces and service accounts.
    fn accounts() -> impl Strategy<Value = (String, String)> {
        ("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "[a-z0-9]([a-z0-9.-]{0,120}[a-z0-9])?")
    }

    proptest! {
        #[test]
        fn no_two_workloads_share_a_session_name(one in accounts(), other in accounts()) {
            let names = [&one, &other].map(|(namespace, account)| role_session_name(namespace, account));
            for name in &names {
                prop_assert!((2..=64).contains(&name.len()), "{name}");
                prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c)), "{name}");
            }
            prop_assert_eq!(one == other, names[0] == names[1]);
        }

        /// No Kubernetes name contains `=`, so no workload's name can equal another's
        /// shortened name.
        #[test]
        fn only_a_shortened_name_contains_the_mark((namespace, account) in accounts()) {
            let whole = format!("latchkey-{namespace}.{account}");
            let name = role_session_name(&namespace, &account);
            prop_assert_eq!(name.contains('='), whole.len() > 64);
            prop_assert!(name == whole || name.contains('='), "{name} of {whole}");
        }
    }

    #[test]
    fn an_external_id_is_what_sts_accepts() {
        for good in ["ab", "shop-and-partner", "A1_+=,.@:/-", &"x".repeat(1224)] {
            assert!(ExternalId::parse(good).is_some(), "{good}");
        }
        for bad in ["", "a", "a b", "a\n", "ä-id", "a*", &"x".repeat(1225)] {
            assert!(ExternalId::parse(bad).is_none(), "{bad}");
        }
    }
}
