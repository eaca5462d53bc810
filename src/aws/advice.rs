//! What AWS's error codes and messages mean, and what a person should do about them, in
//! one table. If AWS's message gives no hint, the advice depends on what failed: an
//! object (`object`), or a principal's credentials (`principal`).

mod object;
mod principal;

pub(crate) use self::{object::about_object, principal::about_principal};
use super::{Denial, FailureKind};

/// What a person should do about a failure, as far as AWS's message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// What to do about a known message.
    Known(&'static str),
    /// The permission that is missing, or the policy that denies it.
    Denial(Denial),
}

/// A known error of AWS. The first row that matches counts.
struct Row {
    /// The code must be one of these; an empty list matches any code.
    codes: &'static [&'static str],
    /// The message must contain all of these, in lower or upper case.
    says: &'static [&'static str],
    kind: FailureKind,
    /// `None` if AWS's message says what to do, or if the code that shows the failure
    /// has better advice.
    advice: Option<&'static str>,
}

const fn row(
    codes: &'static [&'static str],
    says: &'static [&'static str],
    kind: FailureKind,
    advice: &'static str,
) -> Row {
    Row { codes, says, kind, advice: Some(advice) }
}

const fn silent(codes: &'static [&'static str], says: &'static [&'static str], kind: FailureKind) -> Row {
    Row { codes, says, kind, advice: None }
}

const DENIED: &[&str] =
    &["AccessDeniedException", "AccessDenied", "NotAuthorized", "KMSAccessDeniedException"];
const NOT_FOUND: &[&str] = &["ResourceNotFoundException"];
const THROTTLED: &[&str] = &[
    "ThrottlingException",
    "Throttling",
    "ThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "BandwidthLimitExceeded",
    "LimitExceededException",
];
const BAD_TOKEN: &[&str] = &["InvalidIdentityToken"];
const EXPIRED: &[&str] = &["ExpiredTokenException", "ExpiredToken"];
const SIGNATURE: &[&str] = &["InvalidSignatureException", "SignatureDoesNotMatch"];
/// Codes that mean a problem with KMS, from the services or from KMS itself.
const KMS: &[&str] = &[
    "AccessDeniedException",
    "AccessDenied",
    "DecryptionFailure",
    "InvalidKeyId",
    "InvalidRequestException",
    "DisabledException",
    "KMSAccessDeniedException",
    "KMSDisabledException",
    "KMSInvalidStateException",
    "KMSNotFoundException",
];

const CLOCK: &str = "the clocks of this node and AWS differ: correct the node's time (NTP)";

/// Errors of Secrets Manager, Systems Manager, STS and AWS's front ends:
/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html>,
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>,
/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html>.
const TABLE: &[Row] = &[
    row(
        THROTTLED,
        &[],
        FailureKind::Throttled,
        "AWS is throttling the account; kubelet will retry. If this persists, raise the quota of this API (for Parameter Store: enable higher throughput)",
    ),
    // Secrets and versions.
    row(
        NOT_FOUND,
        &["staging label: awscurrent"],
        FailureKind::NotFound,
        "the secret exists, but it has no value yet: set one (aws secretsmanager put-secret-value)",
    ),
    row(
        NOT_FOUND,
        &["staging label: awsprevious"],
        FailureKind::NotFound,
        "the secret exists, but it has no AWSPREVIOUS version: it gets one when its value changes for the first time",
    ),
    row(
        NOT_FOUND,
        &["staging label"],
        FailureKind::NotFound,
        "the secret exists, but no version of it has this label: list its versions and labels (aws secretsmanager list-secret-version-ids)",
    ),
    row(
        NOT_FOUND,
        &["versionid"],
        FailureKind::NotFound,
        "the secret exists, but this version of it does not: AWS deletes old versions without a label. List the remaining versions (aws secretsmanager list-secret-version-ids)",
    ),
    silent(&["ResourceNotFoundException", "ParameterNotFound"], &[], FailureKind::NotFound),
    row(
        &["ParameterVersionNotFound", "ParameterVersionLabelNotFound"],
        &[],
        FailureKind::NotFound,
        "the parameter exists, but this version or label does not: list its versions and labels (aws ssm get-parameter-history)",
    ),
    row(
        &["InvalidRequestException"],
        &["deletion"],
        FailureKind::Unusable,
        "the secret is scheduled for deletion: restore it (aws secretsmanager restore-secret) or remove it from the class",
    ),
    row(
        &["InvalidRequestException"],
        &["deleted"],
        FailureKind::Unusable,
        "the secret is deleted: restore it within its recovery window (aws secretsmanager restore-secret) or remove it from the class",
    ),
    row(
        &["InvalidRequestException", "InvalidParameterException"],
        &["versionstage", "versionid"],
        FailureKind::Invalid,
        "objectVersion and objectVersionLabel name different versions: set only one of them",
    ),
    // KMS, as reported by the service that called it.
    row(
        KMS,
        &["access to kms is not allowed"],
        FailureKind::KmsDenied,
        "missing: kms:Decrypt on the KMS key that encrypts it, in the caller's policy or the key's policy (in both if the key belongs to another account)",
    ),
    row(
        KMS,
        &["ciphertext refers to a customer master key"],
        FailureKind::KmsDenied,
        "missing: kms:Decrypt on the KMS key that encrypts it, or the key does not exist in this Region",
    ),
    row(
        KMS,
        &["kms", "pending deletion"],
        FailureKind::Unusable,
        "the KMS key that encrypts it is scheduled for deletion: cancel the deletion (aws kms cancel-key-deletion) and enable the key (aws kms enable-key) before the value is lost",
    ),
    row(
        KMS,
        &["kms", "disabled"],
        FailureKind::Unusable,
        "the KMS key that encrypts it is disabled: enable it (aws kms enable-key)",
    ),
    silent(&["KMSAccessDeniedException"], &[], FailureKind::KmsDenied),
    row(
        &[
            "DecryptionFailure",
            "InvalidKeyId",
            "DisabledException",
            "KMSDisabledException",
            "KMSInvalidStateException",
            "KMSNotFoundException",
        ],
        &[],
        FailureKind::Unusable,
        "check the KMS key that encrypts it: it must exist in this Region and be enabled, and the caller needs kms:Decrypt",
    ),
    silent(DENIED, &[], FailureKind::Denied),
    row(
        &["OptInRequired"],
        &[],
        FailureKind::Denied,
        "this service or Region is not enabled for the account: enable the Region (AWS console, Account, AWS Regions)",
    ),
    // The pod's token.
    row(
        BAD_TOKEN,
        &["couldn't retrieve verification key"],
        FailureKind::TokenUnverified,
        "STS could not get the key that signed the token from the cluster's OIDC issuer: if this persists, check that <issuer>/.well-known/openid-configuration and its jwks_uri are public and contain the cluster's newest keys",
    ),
    row(
        &["IDPCommunicationError"],
        &[],
        FailureKind::Outage,
        "STS could not reach the cluster's OIDC issuer: if this persists, check that <issuer>/.well-known/openid-configuration and its jwks_uri are public",
    ),
    row(
        BAD_TOKEN,
        &["no openidconnect provider found"],
        FailureKind::TokenRefused,
        "the role's account has no IAM OIDC identity provider for this cluster's issuer: create one in that account (eksctl utils associate-iam-oidc-provider)",
    ),
    row(
        BAD_TOKEN,
        &["audience"],
        FailureKind::TokenRefused,
        "the IAM OIDC identity provider of this cluster lacks the audience sts.amazonaws.com: add it (aws iam add-client-id-to-open-id-connect-provider)",
    ),
    row(
        BAD_TOKEN,
        &["certificate"],
        FailureKind::TokenRefused,
        "the certificate of the cluster's OIDC issuer has changed: update the thumbprint of its IAM OIDC identity provider (aws iam update-open-id-connect-provider-thumbprint)",
    ),
    silent(BAD_TOKEN, &[], FailureKind::TokenRefused),
    row(
        &["IDPRejectedClaim"],
        &[],
        FailureKind::TokenRefused,
        "the cluster's OIDC issuer rejected the token: it has expired or was revoked. kubelet will send a new one when it retries",
    ),
    row(
        EXPIRED,
        &["token expired"],
        FailureKind::TokenRefused,
        "the pod's token has expired; kubelet will send a new one when it retries. If this persists, compare the clocks of this node and the API server",
    ),
    // The credentials and the signatures made with them.
    row(
        EXPIRED,
        &[],
        FailureKind::StaleCredentials,
        "each retry gets new credentials; if this persists, correct the node's time (NTP). If these are your own credentials, sign in again",
    ),
    row(
        &["UnrecognizedClientException", "InvalidClientTokenId"],
        &[],
        FailureKind::StaleCredentials,
        "AWS does not know these credentials in this Region: the account has not enabled this opt-in Region, or the Region and the credentials belong to different partitions (China, GovCloud)",
    ),
    row(SIGNATURE, &["expired"], FailureKind::StaleCredentials, CLOCK),
    row(SIGNATURE, &["not yet current"], FailureKind::StaleCredentials, CLOCK),
    row(&["RequestExpired", "RequestTimeTooSkewed"], &[], FailureKind::StaleCredentials, CLOCK),
    row(
        SIGNATURE,
        &[],
        FailureKind::StaleCredentials,
        "the request was changed in transit (by a proxy that rewrites headers), or the endpoint belongs to another Region or service",
    ),
    row(
        &["IncompleteSignature", "MissingAuthenticationToken", "MissingAuthenticationTokenException"],
        &[],
        FailureKind::StaleCredentials,
        "the request arrived without its signature: check the proxy or endpoint between Latchkey and AWS",
    ),
    // The role.
    row(
        &["RegionDisabledException"],
        &[],
        FailureKind::Invalid,
        "STS is not active in this Region for the account: activate it (IAM console, Account settings, Security Token Service), enable the opt-in Region, or use another Region",
    ),
    row(
        &["PackedPolicyTooLarge", "PackedPolicyTooLargeException"],
        &[],
        FailureKind::Invalid,
        "the session's tags or policies are too large: shorten them (disableSessionTags on the association removes the tags of EKS Pod Identity)",
    ),
    row(
        &["ValidationError"],
        &["arn is invalid"],
        FailureKind::Invalid,
        "the role's ARN is invalid: correct the annotation eks.amazonaws.com/role-arn, or roleArn or assumeRoleArn in the class",
    ),
];

/// Classifies an error of AWS, and adds advice if its message allows any.
pub(crate) fn judge(status: u16, code: Option<&str>, message: &str) -> (FailureKind, Option<Advice>) {
    let Some(code) = code else {
        // A response without an AWS code comes from something between us and AWS.
        let advice = match status {
            500.. => None,
            _ => Some(Advice::Known(
                "this response is not from AWS: check the proxy, firewall or endpoint in between",
            )),
        };
        return (FailureKind::Outage, advice);
    };
    // Parse denials first: they contain names that pod authors choose, and the table
    // must not mistake those for AWS's words.
    if DENIED.contains(&code)
        && let Some(denial) = Denial::read(message)
    {
        let kind = if denial.is_kms() { FailureKind::KmsDenied } else { FailureKind::Denied };
        return (kind, Some(Advice::Denial(denial)));
    }
    let text = message.to_ascii_lowercase();
    let fits = |row: &&Row| {
        (row.codes.is_empty() || row.codes.contains(&code)) && row.says.iter().all(|part| text.contains(part))
    };
    match TABLE.iter().find(fits) {
        Some(row) => (row.kind, row.advice.map(Advice::Known)),
        None if status == 429 => (FailureKind::Throttled, None),
        None if status >= 500 => (FailureKind::Outage, None),
        None => (FailureKind::Invalid, None),
    }
}

#[cfg(test)]
#[path = "advice_tests.rs"]
mod tests;
