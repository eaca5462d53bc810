//! Why a pod has no secrets, or no fresh ones: one closed list.

/// Everything that can go wrong. The gRPC code and the log field follow from it.
///
/// The order is that of urgency: of several failures, the first reason is the one that
/// most needs a person to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// IAM, a resource policy, or an organization's policy denies the read.
    Denied,
    /// The permission to use the KMS key is missing.
    KmsDenied,
    /// Kubernetes does not allow Latchkey to read what it needs.
    KubernetesForbidden,
    /// The driver sent no token for the audience.
    TokenMissing,
    /// The pod's token is not valid, or AWS does not accept it.
    TokenRefused,
    /// The service account has no AWS identity.
    NoIdentity,
    /// AWS does not accept the credentials, not even new ones.
    CredentialsRefused,
    /// There is no such secret, parameter, version, or role association.
    NotFound,
    /// Kubernetes has no such object.
    KubernetesNotFound,
    /// The secret exists and cannot be read now: scheduled for deletion, key disabled.
    Unusable,
    /// A value does not have the form that the class asks for.
    ValueMismatch,
    /// The files are larger than one mount may be.
    TooLarge,
    /// The service account's annotation is not the ARN of a role.
    BadAnnotation,
    /// Neither the class nor the operator nor the node names a Region.
    NoRegion,
    /// The pod's volume cannot be written.
    WriteFailed,
    /// The node's memory for volumes is used up.
    VolumesFull,
    /// The SecretProviderClass or the driver's request is invalid.
    InvalidRequest,
    /// AWS rejects the request as invalid.
    RejectedByAws,
    /// AWS throttles.
    Throttled,
    /// AWS, or the network between this node and AWS, fails.
    Outage,
    /// The Kubernetes API fails, or the client cannot be set up.
    KubernetesOutage,
    /// The namespace has more mounts running than it may.
    Busy,
    /// The mount took too long.
    Deadline,
    /// A bug in Latchkey.
    Bug,
}

impl Reason {
    pub const ALL: [Self; 24] = [
        Self::Denied,
        Self::KmsDenied,
        Self::KubernetesForbidden,
        Self::TokenMissing,
        Self::TokenRefused,
        Self::NoIdentity,
        Self::CredentialsRefused,
        Self::NotFound,
        Self::KubernetesNotFound,
        Self::Unusable,
        Self::ValueMismatch,
        Self::TooLarge,
        Self::BadAnnotation,
        Self::NoRegion,
        Self::WriteFailed,
        Self::VolumesFull,
        Self::InvalidRequest,
        Self::RejectedByAws,
        Self::Throttled,
        Self::Outage,
        Self::KubernetesOutage,
        Self::Busy,
        Self::Deadline,
        Self::Bug,
    ];

    /// The name in logs. It never changes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::KmsDenied => "kms_denied",
            Self::KubernetesForbidden => "kubernetes_forbidden",
            Self::TokenMissing => "token_missing",
            Self::TokenRefused => "token_refused",
            Self::NoIdentity => "no_identity",
            Self::CredentialsRefused => "credentials_refused",
            Self::NotFound => "not_found",
            Self::KubernetesNotFound => "kubernetes_not_found",
            Self::Unusable => "unusable",
            Self::ValueMismatch => "value_mismatch",
            Self::TooLarge => "too_large",
            Self::BadAnnotation => "bad_annotation",
            Self::NoRegion => "no_region",
            Self::WriteFailed => "write_failed",
            Self::VolumesFull => "volumes_full",
            Self::InvalidRequest => "invalid_request",
            Self::RejectedByAws => "rejected_by_aws",
            Self::Throttled => "throttled",
            Self::Outage => "outage",
            Self::KubernetesOutage => "kubernetes_outage",
            Self::Busy => "busy",
            Self::Deadline => "deadline",
            Self::Bug => "bug",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_is_listed_once_in_the_order_of_urgency() {
        assert!(Reason::ALL.is_sorted());
        let names: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        // The last variant, so that none behind it is left out.
        assert_eq!(Reason::Bug as usize + 1, Reason::ALL.len());
    }
}
