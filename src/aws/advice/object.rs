//! What to do when an object cannot be read.

use super::Advice;
use crate::{
    aws::{AwsFailure, FailureKind},
    model::{
        iam,
        reference::{Reference, Service},
    },
};

/// The advice about `failure` to read `reference`, to append to its message; empty if
/// there is none. `account` is the AWS account of who reads, if it is known.
pub(crate) fn about_object(failure: &AwsFailure, reference: &Reference, account: Option<&str>) -> String {
    let resource = || iam::resource(reference, &failure.region, account);
    match (failure.advice.as_deref(), failure.kind) {
        (Some(Advice::Known(advice)), _) => format!("; {advice}"),
        (Some(Advice::Denial(denial)), _) => format!("; {}", denial.told(failure.operation, &resource())),
        (None, FailureKind::Denied) => format!("; missing: {} on {}", failure.operation, resource()),
        (None, FailureKind::KmsDenied) => "; missing: kms:Decrypt on the KMS key that encrypts it".to_owned(),
        (None, FailureKind::NotFound) => match reference.service {
            Service::SecretsManager => format!("; {}", absent_secret(&reference.id)),
            Service::ParameterStore => format!("; {ABSENT_PARAMETER}"),
        },
        (None, _) => String::new(),
    }
}

/// What to do about a secret that does not exist, depending on how it was named.
pub(super) fn absent_secret(id: &str) -> &'static str {
    if id.starts_with("arn:") {
        "the Region and account of this ARN have no such secret; also check the six characters at its end, which change when a secret is deleted and created again"
    } else if has_suffix(id) {
        "use either the secret's name without the random suffix of its ARN, or the full ARN, and check the Region and the account"
    } else {
        "check the name, the Region and the account; a secret in another account needs its full ARN"
    }
}

/// What to do about a parameter that does not exist.
const ABSENT_PARAMETER: &str = "check the name (including its leading slash, if it has one), the Region and the account; a parameter in another account needs its full ARN";

/// Whether a name ends like a secret's ARN: a hyphen and six letters or digits.
fn has_suffix(id: &str) -> bool {
    let suffix = id.rsplit_once('-').map(|(_, suffix)| suffix);
    suffix.is_some_and(|suffix| suffix.len() == 6 && suffix.bytes().all(|b| b.is_ascii_alphanumeric()))
}
