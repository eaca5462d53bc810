//! What `latchkey access` can find.

use crate::findings::{Rule, Severity};

pub(super) const READ_DENIED: Rule = Rule {
    id: "read-denied",
    severity: Severity::Error,
    title: "A class asks for a secret that the role of its pods may not read; the mount fails.",
    fix: "Allow the role to read it (latchkey policy prints the statement), or remove the object from the class.",
};
pub(super) const READ_DEPENDS: Rule = Rule {
    id: "read-depends",
    severity: Severity::Note,
    title: "Whether the role may read what a class asks for depends on something that was not read.",
    fix: "Check that the pods' calls meet the condition, or read the missing policy with --aws, --iam or --secrets.",
};
pub(super) const ASSUME_DENIED: Rule = Rule {
    id: "assume-denied",
    severity: Severity::Error,
    title: "The trust policy of a role does not let its service account in; every mount fails.",
    fix: "Name the service account in the role's trust policy; latchkey policy prints one.",
};
pub(super) const ROLE_UNKNOWN: Rule = Rule {
    id: "role-unknown",
    severity: Severity::Note,
    title: "A role of a service account was not read, so nothing is known of what it allows.",
    fix: "Read the role's AWS account with --aws, or with --iam what aws iam get-account-authorization-details prints for it. If that was read, the role does not exist.",
};
pub(super) const ACCOUNT_WITHOUT_ROLE: Rule = Rule {
    id: "account-without-role",
    severity: Severity::Note,
    title: "Pods mount a class, and no file says as which role they read.",
    fix: "Annotate the service account with eks.amazonaws.com/role-arn, or add its Pod Identity association: what aws eks describe-pod-identity-association prints, with --iam.",
};
pub(super) const SECRET_SHARED: Rule = Rule {
    id: "secret-shared",
    severity: Severity::Warning,
    title: "Classes of more service accounts ask for a secret than should share one.",
    fix: "Give each owner a secret of its own, so that one leak does not reach the others and each can rotate alone.",
};
pub(super) const ACCOUNT_OVER_PREFIXES: Rule = Rule {
    id: "account-over-prefixes",
    severity: Severity::Warning,
    title: "One service account reads secrets of several business domains: of several prefixes of their names.",
    fix: "Split the workload's service accounts by domain, or allow several prefixes with --prefixes.",
};
pub(super) const ROLE_OVER_NAMESPACES: Rule = Rule {
    id: "role-over-namespaces",
    severity: Severity::Warning,
    title: "Service accounts of several namespaces act as one role, so each can read what the others can.",
    fix: "Give each namespace a role of its own.",
};
pub(super) const GRANT_UNUSED: Rule = Rule {
    id: "grant-unused",
    severity: Severity::Warning,
    title: "A role can read secrets that no class of its service accounts asks for.",
    fix: "Allow exactly what the classes ask for; latchkey policy prints the policy.",
};
pub(super) const TRUST_ANY_ACCOUNT: Rule = Rule {
    id: "trust-any-account",
    severity: Severity::Error,
    title: "A trust policy lets every service account of the cluster in.",
    fix: "Compare the token's sub with StringEquals and system:serviceaccount:NAMESPACE:NAME.",
};
pub(super) const TRUST_PATTERN: Rule = Rule {
    id: "trust-pattern",
    severity: Severity::Warning,
    title: "A trust policy lets service accounts in by a pattern, also those that are made tomorrow.",
    fix: "Name each service account with StringEquals.",
};
pub(super) const CLASS_UNUSED: Rule = Rule {
    id: "class-unused",
    severity: Severity::Note,
    title: "No pod mounts a class.",
    fix: "Delete the class, and what its role allows for it, unless a job mounts it from time to time.",
};
pub(super) const SECRET_UNREAD: Rule = Rule {
    id: "secret-unread",
    severity: Severity::Note,
    title: "AWS lists a secret that no mounted class asks for.",
    fix: "Delete it if nothing else reads it; CloudTrail and the date of its last read show that.",
};
pub(super) const SECRET_NOT_LISTED: Rule = Rule {
    id: "secret-not-listed",
    severity: Severity::Warning,
    title: "A class asks for a secret that AWS does not list in its account and Region.",
    fix: "Correct the name in the class, or create the secret. If the list was filtered, print all of it.",
};

/// All of them.
pub const RULES: &[Rule] = &[
    READ_DENIED,
    READ_DEPENDS,
    ASSUME_DENIED,
    ROLE_UNKNOWN,
    ACCOUNT_WITHOUT_ROLE,
    SECRET_SHARED,
    ACCOUNT_OVER_PREFIXES,
    ROLE_OVER_NAMESPACES,
    GRANT_UNUSED,
    TRUST_ANY_ACCOUNT,
    TRUST_PATTERN,
    CLASS_UNUSED,
    SECRET_UNREAD,
    SECRET_NOT_LISTED,
];
