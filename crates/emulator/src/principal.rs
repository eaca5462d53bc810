//! Principals, their sessions, and the rules that stand in for IAM policies.

use std::time::SystemTime;

use super::arn::{matches_pattern, partition_of, role_parts};

/// The identity behind credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Principal {
    /// A session of a role. The role's rules decide what it may do.
    Role {
        role_arn: String,
        session_arn: String,
        /// Whether it has transitive session tags, which every role that it assumes
        /// inherits. Sessions of EKS Pod Identity have them.
        transitive_tags: bool,
    },
    /// A static key without a role: the administrator of an account.
    Administrator { account: String },
}

impl Principal {
    pub(super) fn account(&self) -> &str {
        match self {
            Self::Role { role_arn, .. } => role_parts(role_arn).map_or("", |(_, account, _)| account),
            Self::Administrator { account } => account,
        }
    }

    /// The ARN in errors and in CloudTrail.
    pub(super) fn arn(&self, region: &str) -> String {
        match self {
            Self::Role { session_arn, .. } => session_arn.clone(),
            Self::Administrator { account } => {
                format!("arn:{}:iam::{account}:user/administrator", partition_of(region))
            }
        }
    }

    pub(super) fn role_arn(&self) -> Option<&str> {
        match self {
            Self::Role { role_arn, .. } => Some(role_arn),
            Self::Administrator { .. } => None,
        }
    }
}

/// Credentials that the emulator has issued.
pub(super) struct Session {
    pub(super) token: String,
    pub(super) principal: Principal,
    pub(super) expires: SystemTime,
}

/// One statement of a role's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) deny: bool,
    pub(super) actions: Vec<String>,
    pub(super) resources: Vec<String>,
}

impl Rule {
    /// Whether it applies to this action on a resource with one of these names.
    pub(super) fn covers(&self, action: &str, candidates: &[String]) -> bool {
        let action = action.to_ascii_lowercase();
        self.actions.iter().any(|pattern| matches_pattern(&pattern.to_ascii_lowercase(), &action))
            && self
                .resources
                .iter()
                .any(|pattern| candidates.iter().any(|candidate| matches_pattern(pattern, candidate)))
    }
}
