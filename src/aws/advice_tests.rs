//! Each of AWS's messages leads to matching advice.

use super::{object::absent_secret, *};

const SESSION: &str = "arn:aws:sts::111122223333:assumed-role/web/latchkey-shop.web";
const SECRET: &str = "arn:aws:secretsmanager:us-east-1:111122223333:secret:shop/db-AbCdEf";
const ACTION: &str = "secretsmanager:GetSecretValue";

fn kind_of(status: u16, code: Option<&str>, message: &str) -> FailureKind {
    judge(status, code, message).0
}

/// The advice for a denial of [`ACTION`].
fn told(reason: &str) -> String {
    let message =
        format!("User: {SESSION} is not authorized to perform: {ACTION} on resource: {SECRET} {reason}");
    told_of(&message)
}

fn told_of(message: &str) -> String {
    match judge(400, Some("AccessDeniedException"), message).1 {
        Some(Advice::Denial(denial)) => denial.told(ACTION, "arn:guess"),
        Some(Advice::Known(advice)) => advice.to_owned(),
        None => String::new(),
    }
}

#[test]
fn codes_mean_what_aws_documents() {
    for (status, code, message, kind) in [
        (500, Some("InternalServiceError"), "", FailureKind::Outage),
        (400, Some("ThrottlingException"), "Rate exceeded", FailureKind::Throttled),
        (429, Some("Whatever"), "", FailureKind::Throttled),
        (403, None, "<html>proxy</html>", FailureKind::Outage),
        (400, Some("AccessDeniedException"), "Access to KMS is not allowed", FailureKind::KmsDenied),
        (400, Some("AccessDeniedException"), "User: x is not authorized", FailureKind::Denied),
        (
            400,
            Some("ExpiredTokenException"),
            "The security token included in the request is expired",
            FailureKind::StaleCredentials,
        ),
        (
            400,
            Some("ExpiredTokenException"),
            "Token expired: current date/time 1 must be before the expiration date/time 0",
            FailureKind::TokenRefused,
        ),
        (
            400,
            Some("InvalidRequestException"),
            "You can't perform this operation on the secret because it was marked for deletion.",
            FailureKind::Unusable,
        ),
        (400, Some("InvalidRequestException"), "other", FailureKind::Invalid),
        (400, Some("ResourceNotFoundException"), "", FailureKind::NotFound),
        (
            400,
            Some("InvalidIdentityToken"),
            "Couldn't retrieve verification key from your identity provider,  please reference …",
            FailureKind::TokenUnverified,
        ),
        (400, Some("InvalidIdentityToken"), "Incorrect token audience", FailureKind::TokenRefused),
        (400, Some("IDPCommunicationError"), "", FailureKind::Outage),
        (403, Some("RegionDisabledException"), "STS is not activated in this region", FailureKind::Invalid),
        (400, Some("InvalidKeyId"), "… (Error Code: KMSInvalidStateException)", FailureKind::Unusable),
    ] {
        assert_eq!(kind_of(status, code, message), kind, "{code:?} {message}");
    }
}

#[test]
fn only_the_policy_that_aws_names_is_blamed() {
    for (policy, whose) in [
        ("identity-based policy", "an identity-based policy of role web"),
        ("resource-based policy", "the resource's own policy"),
        ("permissions boundary", "the permissions boundary of role web"),
        ("session policy", "the session policy (Latchkey sets none; a Pod Identity association may)"),
        ("service control policy", "a service control policy of the organization (ask its administrators)"),
        (
            "resource control policy",
            "a resource control policy of the organization that owns the resource (ask its administrators)",
        ),
        ("VPC endpoint policy", "the policy of the VPC endpoint that the call goes through"),
        ("role trust policy", "the trust policy of the role"),
    ] {
        let grant =
            if policy.starts_with("identity") { "" } else { "; granting it to the role does not help" };
        assert_eq!(
            told(&format!("because no {policy} allows the {ACTION} action")),
            format!("missing: {ACTION} on {SECRET} in {whose}{grant}")
        );
        // With and without the ARN of the policy, in either article.
        let arn = "arn:aws:organizations::111122223333:policy/o-1/service_control_policy/p-1";
        for denial in [format!("an {policy}"), format!("the {policy}"), format!("a {policy}: {arn}")] {
            assert_eq!(
                told(&format!("with an explicit deny in {denial}")),
                format!(
                    "denied: {whose} explicitly denies {ACTION} on {SECRET}; granting access elsewhere does not help, change that policy"
                )
            );
        }
    }
    let denied = told("with an explicit deny");
    assert!(denied.starts_with("denied: a policy explicitly denies"), "{denied}");
    assert_eq!(told(""), format!("missing: {ACTION} on {SECRET}"));
}

#[test]
fn the_missing_permission_is_the_one_that_aws_names() {
    let user = format!("User: {SESSION} is not authorized to perform:");
    let key = "arn:aws:kms:us-east-1:111122223333:key/0a1b";
    let because = "because no identity-based policy allows the kms:Decrypt action";
    for (message, says) in [
        (format!("{user} kms:Decrypt on resource: {key} {because}"), format!("missing: kms:Decrypt on {key} in")),
        (format!("{user} kms:Decrypt on this resource {because}"), "missing: kms:Decrypt on the KMS key".to_owned()),
        (format!("{user} kms:Decrypt {because}"), "missing: kms:Decrypt on the KMS key".to_owned()),
        (format!("{user} {ACTION} on resource: \"{SECRET}\""), format!("missing: {ACTION} on {SECRET}")),
        // A policy cannot contain a name instead of an ARN.
        (format!("{user} {ACTION} on resource: shop/db"), format!("missing: {ACTION} on arn:guess")),
        (format!("{user} {ACTION} on resource: *"), format!("missing: {ACTION} on *")),
        (
            format!("{user} {ACTION} on resource: {}", SECRET.replace("111122223333", "222233334444")),
            "in both the caller's policy and the policy of the resource, because the resource belongs to another account".to_owned(),
        ),
        (
            format!(
                "{user} kms:Decrypt on resource: {key} because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access"
            ),
            format!("missing: kms:Decrypt on {key} in the policy of the KMS key, or it does not exist in this Region"),
        ),
        (
            "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access. (Service: AWSKMS)".to_owned(),
            "missing: kms:Decrypt".to_owned(),
        ),
    ] {
        let told = told_of(&message);
        assert!(told.contains(&says), "{message}\n{told}");
        let kms = message.contains("kms:") || message.contains("AWSKMS");
        let kind = if kms { FailureKind::KmsDenied } else { FailureKind::Denied };
        assert_eq!(kind_of(400, Some("AccessDeniedException"), &message), kind, "{message}");
    }
}

#[test]
fn a_long_or_misleading_name_does_not_change_the_advice() {
    let name = "x".repeat(1000);
    let message = |resource: &str| {
        format!(
            "User: {SESSION} is not authorized to perform: ssm:GetParameters on resource: {resource} because no session policy allows the ssm:GetParameters action"
        )
    };
    let long = format!("arn:aws:ssm:us-east-1:111122223333:parameter/{name}");
    let advice = told_of(&message(&long));
    let says = format!("missing: ssm:GetParameters on {long} in the session");
    assert!(advice.starts_with(&says), "{advice}");
    let named = "arn:aws:ssm:us-east-1:111122223333:parameter/kms/disabled/explicit-deny/vpc-endpoint-policy";
    let advice = told_of(&message(named));
    assert!(advice.contains("in the session policy"), "{advice}");
}

#[test]
fn an_existing_secret_is_not_reported_as_misnamed() {
    let of = |message: &str| match judge(400, Some("ResourceNotFoundException"), message).1 {
        Some(Advice::Known(advice)) => advice,
        other => panic!("{other:?}"),
    };
    let value = "Secrets Manager can't find the specified secret value for";
    for (end, says) in [
        ("staging label: AWSCURRENT", "has no value yet"),
        ("staging label: AWSPREVIOUS", "has no AWSPREVIOUS version"),
        ("staging label: blue", "no version of it has this label"),
        ("VersionId: 1-2", "this version of it does not"),
    ] {
        let advice = of(&format!("{value} {end}"));
        assert!(advice.starts_with("the secret exists"), "{advice}");
        assert!(advice.contains(says), "{says:?} is not in {advice}");
    }
    let (kind, advice) =
        judge(400, Some("ResourceNotFoundException"), "Secrets Manager can't find the specified secret.");
    assert_eq!(kind, FailureKind::NotFound);
    assert_eq!(advice, None);
}

#[test]
fn advice_for_a_missing_secret_fits_its_name() {
    for (id, says) in [
        ("shop/db-AbCdEf", "without the random suffix"),
        ("shop/db", "check the name"),
        (SECRET, "of this ARN"),
    ] {
        let advice = absent_secret(id);
        assert!(advice.contains(says), "{id}: {says:?} is not in {advice}");
    }
    let advice = absent_secret("shop/db");
    assert!(advice.starts_with("check the name"), "{advice}");
}
