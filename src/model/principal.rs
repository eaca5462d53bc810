//! The identity that credentials belong to.

use std::fmt;

use data_encoding::BASE32_DNSSEC;
use sha2::{Digest, Sha256};

use super::arn::RoleArn;

/// STS's maximum length of a role session name.
const MAX_SESSION_NAME: usize = 64;
/// How much of its SHA-256 a shortened name has. Finding two names with the same hash
/// takes 2^80 tries.
const HASH_BYTES: usize = 20;

/// The identity that AWS sees. It is the key of every cache, so nothing read as one
/// principal is ever served to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal {
    pub namespace: String,
    pub service_account: String,
    /// How the service account gets its own credentials.
    pub means: Means,
    /// The role to assume with these credentials. If set, everything is read as this
    /// role.
    pub assumed: Option<AssumedRole>,
}

/// How a service account's token becomes credentials.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Means {
    /// IAM Roles for Service Accounts. All pods of the service account share it.
    Irsa { role: RoleArn },
    /// EKS Pod Identity. The agent does not return the role.
    PodIdentity {
        /// Set with `--pod-identity-cache-scope=pod`, for policies that use the pod's uid
        /// in the session tags. `None` means that the service account's pods share.
        pod_uid: Option<String>,
    },
}

/// A role to assume with the service account's own credentials (`assumeRoleArn`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AssumedRole {
    pub arn: RoleArn,
    /// Set if the trust policy of the role requires it.
    pub external_id: Option<ExternalId>,
}

/// The external id of a trust policy (`sts:ExternalId`). AWS does not treat it as a
/// secret, but it is never shown.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExternalId(String);

impl Principal {
    /// The role that reads values, if it is known.
    pub fn role(&self) -> Option<&RoleArn> {
        match (&self.assumed, &self.means) {
            (Some(assumed), _) => Some(&assumed.arn),
            (None, Means::Irsa { role }) => Some(role),
            (None, Means::PodIdentity { .. }) => None,
        }
    }

    /// The namespace and name of the service account.
    pub fn service_account(&self) -> (&str, &str) {
        (&self.namespace, &self.service_account)
    }

    /// The memory of its texts. A pod author chooses some of them.
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

    /// The same service account, without the assumed role.
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
    /// Returns `None` unless `text` has 2 to 1224 letters, digits and `_+=,.@:/-`
    /// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>).
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b);
        ((2..=1224).contains(&text.len()) && text.bytes().all(allowed)).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ExternalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<external id>")
    }
}

/// `latchkey-<namespace>.<service account>`, so that CloudTrail names the workload.
/// The name is unique to the workload: a namespace contains no dot, so the first dot
/// ends it. A long name is shortened and ends with `=`, which Kubernetes names cannot
/// contain, and a hash that nobody can forge.
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
