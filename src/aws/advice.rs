//! What AWS's answers mean, and what a person does about them: one table from its
//! codes and messages. AWS's own words decide; where they say nothing, whoever
//! shows the failure knows more than they do.

use super::{Denial, FailureKind};

/// What a person does about a failure, as far as AWS's words tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// They are known, and so is what to do.
    Known(&'static str),
    /// They tell which permission is missing, or who denies it.
    Denial(Denial),
}

/// An answer of AWS that is known. The first row that fits counts.
struct Row {
    /// One of these is the code; any code where there is none.
    codes: &'static [&'static str],
    /// All of these are in the message, in whatever case.
    says: &'static [&'static str],
    kind: FailureKind,
    /// Nothing where AWS's message says what to do, or whoever shows it knows more.
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
/// Codes of the services, and of KMS behind them.
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

const CLOCK: &str = "the clocks of this node and of AWS differ: correct the node's time (NTP)";

/// Codes of Secrets Manager, Systems Manager, STS and of AWS's front ends, with
/// the messages that tell more than they do:
/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html>,
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>,
/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html>.
const TABLE: &[Row] = &[
    row(
        THROTTLED,
        &[],
        FailureKind::Throttled,
        "AWS throttles the account; kubelet tries again. If it lasts, raise the quota of this API (of Parameter Store: its higher-throughput setting)",
    ),
    // Secrets and versions.
    row(
        NOT_FOUND,
        &["staging label: awscurrent"],
        FailureKind::NotFound,
        "the secret exists, but has no value yet: give it one (aws secretsmanager put-secret-value)",
    ),
    row(
        NOT_FOUND,
        &["staging label: awsprevious"],
        FailureKind::NotFound,
        "the secret exists, but has no AWSPREVIOUS: it gets one when its value changes for the first time",
    ),
    row(
        NOT_FOUND,
        &["staging label"],
        FailureKind::NotFound,
        "the secret exists, but no version of it has this label (aws secretsmanager list-secret-version-ids shows which have one)",
    ),
    row(
        NOT_FOUND,
        &["versionid"],
        FailureKind::NotFound,
        "the secret exists, but this version of it does not: AWS deletes old versions without a label (aws secretsmanager list-secret-version-ids shows the others)",
    ),
    silent(&["ResourceNotFoundException", "ParameterNotFound"], &[], FailureKind::NotFound),
    row(
        &["ParameterVersionNotFound", "ParameterVersionLabelNotFound"],
        &[],
        FailureKind::NotFound,
        "the parameter exists, but not this version or label (aws ssm get-parameter-history shows them)",
    ),
    row(
        &["InvalidRequestException"],
        &["deletion"],
        FailureKind::Unusable,
        "the secret is scheduled for deletion: restore it (aws secretsmanager restore-secret), or take it out of the class",
    ),
    row(
        &["InvalidRequestException"],
        &["deleted"],
        FailureKind::Unusable,
        "the secret is deleted: restore it while its recovery window lasts (aws secretsmanager restore-secret), or take it out of the class",
    ),
    row(
        &["InvalidRequestException", "InvalidParameterException"],
        &["versionstage", "versionid"],
        FailureKind::Invalid,
        "objectVersion and objectVersionLabel name different versions: give only one of them",
    ),
    // KMS, in the words of whoever asked it.
    row(
        KMS,
        &["access to kms is not allowed"],
        FailureKind::KmsDenied,
        "missing: kms:Decrypt on the KMS key that encrypts it, in the caller's policy or the key's (for a key of another account in both)",
    ),
    row(
        KMS,
        &["ciphertext refers to a customer master key"],
        FailureKind::KmsDenied,
        "missing: kms:Decrypt on the KMS key that encrypts it, or that key does not exist in this Region",
    ),
    row(
        KMS,
        &["kms", "pending deletion"],
        FailureKind::Unusable,
        "the KMS key that encrypts it is scheduled for deletion: cancel that (aws kms cancel-key-deletion) and enable the key (aws kms enable-key), before the value is lost",
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
        "the account has not enabled this service or Region: enable the Region (AWS console, Account, AWS Regions)",
    ),
    // The pod's token.
    row(
        BAD_TOKEN,
        &["couldn't retrieve verification key"],
        FailureKind::TokenUnverified,
        "STS did not get the key that signed the token from the cluster's OIDC issuer: if it lasts, check that <issuer>/.well-known/openid-configuration and its jwks_uri are public and hold the cluster's newest keys",
    ),
    row(
        &["IDPCommunicationError"],
        &[],
        FailureKind::Outage,
        "STS did not reach the cluster's OIDC issuer: if it lasts, check that <issuer>/.well-known/openid-configuration and its jwks_uri are public",
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
        "the cluster's OIDC issuer does not take the token: it has expired or was revoked. kubelet brings a new one when it tries again",
    ),
    row(
        EXPIRED,
        &["token expired"],
        FailureKind::TokenRefused,
        "the pod's token has expired; kubelet brings a new one when it tries again. If it lasts, compare the clocks of this node and of the API server",
    ),
    // The credentials, and how requests are signed with them.
    row(
        EXPIRED,
        &[],
        FailureKind::StaleCredentials,
        "new credentials are asked for with each try; if it lasts, correct the node's time (NTP). Your own credentials: sign in again",
    ),
    row(
        &["UnrecognizedClientException", "InvalidClientTokenId"],
        &[],
        FailureKind::StaleCredentials,
        "AWS does not know these credentials here: the account has not enabled this opt-in Region, or Region and credentials are of different partitions (China, GovCloud)",
    ),
    row(SIGNATURE, &["expired"], FailureKind::StaleCredentials, CLOCK),
    row(SIGNATURE, &["not yet current"], FailureKind::StaleCredentials, CLOCK),
    row(&["RequestExpired", "RequestTimeTooSkewed"], &[], FailureKind::StaleCredentials, CLOCK),
    row(
        SIGNATURE,
        &[],
        FailureKind::StaleCredentials,
        "the request was changed on its way, by a proxy that rewrites headers, or the endpoint is of another Region or service",
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
        "STS is off in this Region for the account: activate it (IAM console, Account settings, Security Token Service), enable the opt-in Region, or use another Region",
    ),
    row(
        &["PackedPolicyTooLarge", "PackedPolicyTooLargeException"],
        &[],
        FailureKind::Invalid,
        "the session's tags or policies are too large: shorten them (those of EKS Pod Identity go with disableSessionTags on the association)",
    ),
    row(
        &["ValidationError"],
        &["arn is invalid"],
        FailureKind::Invalid,
        "the role's ARN is wrong: correct the annotation eks.amazonaws.com/role-arn, or roleArn or assumeRoleArn of the class",
    ),
];

/// What an answer means, and what to do about it, where its words tell that.
pub(crate) fn judge(status: u16, code: Option<&str>, message: &str) -> (FailureKind, Option<Advice>) {
    let Some(code) = code else {
        // Answers without an AWS code come from something between us and AWS.
        let advice = match status {
            500.. => None,
            _ => Some(Advice::Known(
                "this is not AWS's answer: check the proxy, firewall or endpoint in between",
            )),
        };
        return (FailureKind::Outage, advice);
    };
    // Names in a denial are a pod author's, and must not be taken for AWS's words.
    if DENIED.contains(&code)
        && let Some(denial) = Denial::read(message)
    {
        let kind = if denial.is_of_kms() { FailureKind::KmsDenied } else { FailureKind::Denied };
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

/// What to do about a secret that is not there, from how it was named.
pub fn absent_secret(id: &str) -> &'static str {
    if id.starts_with("arn:") {
        "no such secret in the Region and account of this ARN; check also the six characters at its end, which a secret that is made anew gets anew"
    } else if has_suffix(id) {
        "use the secret's name without the random suffix of its ARN, or the full ARN, and check Region and account"
    } else {
        "check the name, the Region and the account; a secret of another account needs its full ARN"
    }
}

/// What to do about a parameter that is not there.
pub const ABSENT_PARAMETER: &str = "check the name (with its leading slash, if it has one), the Region and the account; a parameter of another account needs its full ARN";

/// Whether a name ends as a secret's ARN does: a hyphen and six letters or digits.
fn has_suffix(id: &str) -> bool {
    let suffix = id.rsplit_once('-').map(|(_, suffix)| suffix);
    suffix.is_some_and(|suffix| suffix.len() == 6 && suffix.bytes().all(|b| b.is_ascii_alphanumeric()))
}

#[cfg(test)]
#[path = "advice_tests.rs"]
mod tests;
