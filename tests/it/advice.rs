//! The advice in a message never contradicts AWS's own words. Each answer of AWS goes
//! through the real server.

use latchkey_emulator::{Emulator, Fault, FaultKind};
use tonic::Code;

use crate::harness::{ACCOUNT, REGION, Request, SECRET, WEB, World, assert_lacks, assert_says};

const PARAMETER: &str = "- {objectName: /shop/x, objectType: ssmparameter}";
const STS_CALL: &str = "AssumeRoleWithWebIdentity";
const STS_SENT: &str = "sts:AssumeRoleWithWebIdentity";
const SESSION: &str = "arn:aws:sts::111122223333:assumed-role/shop/x";

fn error(code: &str, message: &str) -> FaultKind {
    FaultKind::Error { status: 400, code: code.to_owned(), message: message.to_owned() }
}

/// The world in which `operation` always fails with this code and message.
async fn answering(operation: &str, code: &str, message: &str) -> World {
    let world = World::start().await;
    world.secret("shop/db", "v");
    world.parameter("/shop/x", "v");
    world.fault(operation, error(code, message));
    world
}

/// Checks that the refusal contains all of `says` and none of `never`.
async fn told(world: &World, request: &Request, code: Code, says: &[&str], never: &[&str]) {
    let status = world.refusal(request).await;
    assert_says(&status, code, says);
    for text in never {
        assert_lacks(status.message(), text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_without_the_requested_version_is_not_reported_as_misnamed() {
    let world = World::start().await;
    world.secret("shop/db", "v");
    let none = "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT";
    let empty = answering("GetSecretValue", "ResourceNotFoundException", none).await;
    let object =
        |more: &str| Request::new(&format!("- {{objectName: shop/db, objectType: secretsmanager{more}}}"));
    for (world, request, says) in [
        (&empty, object(""), "has no value yet"),
        (&world, object(", objectVersionLabel: AWSPREVIOUS"), "has no AWSPREVIOUS"),
        (&world, object(", objectVersionLabel: blue"), "no version of it has this label"),
        (
            &world,
            object(", objectVersion: 00000000-0000-4000-8000-000000000000"),
            "this version of it does not",
        ),
    ] {
        let never = ["random suffix", "check the name"];
        told(world, &request, Code::NotFound, &["; the secret exists, but", says], &never).await;
    }
}

#[tokio::test(start_paused = true)]
async fn advice_for_an_absent_object_fits_its_name() {
    let world = World::start().await;
    let arn = format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:shop/db-AbCdEf");
    for (object, says, never) in [
        (
            "{objectName: shop/db-AbCdEf, objectType: secretsmanager}".to_owned(),
            "without the random suffix",
            "leading",
        ),
        ("{objectName: shop/db, objectType: secretsmanager}".to_owned(), "check the name", "suffix"),
        (format!("{{objectName: '{arn}'}}"), "Region and account of this ARN", "without the"),
        (
            "{objectName: /shop/x, objectType: ssmparameter}".to_owned(),
            "including its leading slash",
            "suffix",
        ),
    ] {
        let request = Request::new(&format!("- {object}"));
        told(&world, &request, Code::NotFound, &[says], &[never]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_kms_names_kms() {
    let key = "arn:aws:kms:us-east-1:111122223333:key/0a1b";
    let named = format!(
        "User: {SESSION} is not authorized to perform: kms:Decrypt on resource: {key} because no identity-based policy allows the kms:Decrypt action"
    );
    let missing = format!("missing: kms:Decrypt on {key} in an identity-based policy of role shop;");
    for (operation, objects, code, message, status, says) in [
        (
            "GetParameters",
            PARAMETER,
            "AccessDeniedException",
            named.as_str(),
            Code::PermissionDenied,
            missing.as_str(),
        ),
        (
            "GetSecretValue",
            SECRET,
            "AccessDeniedException",
            named.as_str(),
            Code::PermissionDenied,
            missing.as_str(),
        ),
        (
            "GetParameters",
            PARAMETER,
            "AccessDeniedException",
            "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access. (Service: AWSKMS)",
            Code::PermissionDenied,
            "missing: kms:Decrypt on the KMS key that encrypts it, or the key does not exist",
        ),
        (
            "GetSecretValue",
            SECRET,
            "DecryptionFailure",
            "Secrets Manager can't decrypt the secret value: arn:aws:kms:us-east-1:111122223333:key/0a1b is disabled. (Service: AWSKMS; Status Code: 400; Error Code: DisabledException)",
            Code::FailedPrecondition,
            "the KMS key that encrypts it is disabled: enable it",
        ),
        (
            "GetParameters",
            PARAMETER,
            "InvalidKeyId",
            "arn:aws:kms:us-east-1:111122223333:key/0a1b is pending deletion. (Service: AWSKMS; Error Code: KMSInvalidStateException)",
            Code::FailedPrecondition,
            "scheduled for deletion: cancel the deletion",
        ),
    ] {
        let world = answering(operation, code, message).await;
        let never = ["missing: ssm:", "missing: secretsmanager:"];
        told(&world, &Request::new(objects), status, &[message, says], &never).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_message_blames_the_policy_that_aws_blames() {
    let arn = "arn:aws:secretsmanager:us-east-1:111122223333:secret:shop/db-AbCdEf";
    let action = "secretsmanager:GetSecretValue";
    let denied = format!("User: {SESSION} is not authorized to perform: {action} on resource: {arn}");
    for (policy, whose) in [
        ("VPC endpoint policy", "the policy of the VPC endpoint"),
        ("permissions boundary", "the permissions boundary of role shop"),
        ("session policy", "the session policy"),
        ("resource-based policy", "the resource's own policy"),
        ("service control policy", "a service control policy of the organization"),
        ("resource control policy", "a resource control policy of the organization"),
    ] {
        let message = format!("{denied} because no {policy} allows the {action} action");
        let world = answering("GetSecretValue", "AccessDeniedException", &message).await;
        let says =
            [&format!("missing: {action} on {arn} in {whose}"), "granting it to the role does not help"];
        told(&world, &Request::new(SECRET), Code::PermissionDenied, &says, &["identity-based"]).await;

        let message = format!("{denied} with an explicit deny in a {policy}");
        let world = answering("GetSecretValue", "AccessDeniedException", &message).await;
        let says = [&format!("denied: {whose}"), &format!("explicitly denies {action} on {arn}")[..]];
        told(&world, &Request::new(SECRET), Code::PermissionDenied, &says, &["missing:"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_explained_and_only_a_missing_provider_is_called_missing() {
    let provider = "has no IAM OIDC identity provider";
    for (code, message, status, says) in [
        (
            "ExpiredTokenException",
            "Token expired: current date/time 1 must be before the expiration date/time 0",
            Code::Unauthenticated,
            "the pod's token has expired",
        ),
        (
            "InvalidIdentityToken",
            "No OpenIDConnect provider found in your account for https://oidc.eks.us-east-1.amazonaws.com/id/1",
            Code::Unauthenticated,
            provider,
        ),
        (
            "InvalidIdentityToken",
            "Incorrect token audience",
            Code::Unauthenticated,
            "lacks the audience sts.amazonaws.com",
        ),
        (
            "InvalidIdentityToken",
            "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint",
            Code::Unauthenticated,
            "update the thumbprint",
        ),
        (
            "InvalidIdentityToken",
            "Couldn't retrieve verification key from your identity provider",
            Code::Unauthenticated,
            "jwks_uri are public",
        ),
        (
            "IDPCommunicationError",
            "the issuer did not answer",
            Code::Internal,
            "STS could not reach the cluster's OIDC issuer",
        ),
        ("IDPRejectedClaim", "rejected", Code::Unauthenticated, "expired or was revoked"),
        (
            "RegionDisabledException",
            "STS is not activated in this region for account:111122223333.",
            Code::InvalidArgument,
            "STS is not active in this Region",
        ),
        ("ValidationError", "Request ARN is invalid", Code::InvalidArgument, "the role's ARN is invalid"),
    ] {
        let world = answering(STS_CALL, code, message).await;
        let never: &[&str] =
            if says == provider { &[] } else { &["provider of the role's account", provider] };
        told(&world, &Request::new(SECRET), status, &[code, message, says], never).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_denial_by_an_organization_or_endpoint_does_not_blame_the_trust_policy() {
    for (reason, says) in [
        ("with an explicit deny in a service control policy", "denied: a service control policy"),
        (
            "because no VPC endpoint policy allows the sts:AssumeRoleWithWebIdentity action",
            "missing: sts:AssumeRoleWithWebIdentity on arn:aws:iam::111122223333:role/web in the policy of the VPC endpoint",
        ),
    ] {
        let message = format!("User: x is not authorized to perform: {STS_SENT} on resource: {WEB} {reason}");
        let world = answering(STS_CALL, "AccessDenied", &message).await;
        told(&world, &Request::new(SECRET), Code::PermissionDenied, &[says], &["must allow"]).await;
    }
    let message = format!(
        "User: x is not authorized to perform: {STS_SENT} on resource: {WEB} because no role trust policy allows the {STS_SENT} action"
    );
    let world = answering(STS_CALL, "AccessDenied", &message).await;
    told(&world, &Request::new(SECRET), Code::PermissionDenied, &["The trust policy of"], &[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_without_permission_for_eks_is_not_reported_as_a_missing_association() {
    let message = "(AccessDeniedException): User: arn:aws:sts::111122223333:assumed-role/node/i-1 is not authorized to perform: eks-auth:AssumeRoleForPodIdentity on resource: arn:aws:eks:us-east-1:111122223333:cluster/c because no identity-based policy allows the eks-auth:AssumeRoleForPodIdentity action";
    let world = answering("PodIdentityCredentials", "AccessDeniedException", message).await;
    let says = ["The role of this node, not the pod's", "AmazonEKSWorkerNodePolicy"];
    told(&world, &Request::pod_identity(SECRET), Code::PermissionDenied, &says, &["association for"]).await;
    let message = "(ExpiredTokenException): the token has expired";
    let world = answering("PodIdentityCredentials", "ExpiredTokenException", message).await;
    let says = ["EKS rejected the pod's token"];
    told(&world, &Request::pod_identity(SECRET), Code::Unauthenticated, &says, &["association", "OIDC"])
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_wrong_signature_clock_or_region_is_named() {
    for (code, message, status, says) in [
        (
            "InvalidSignatureException",
            "Signature expired: 20261127T010000Z is now earlier than 20261127T020000Z (20261127T020500Z - 5 min.)",
            Code::Unauthenticated,
            "correct the node's time",
        ),
        (
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided.",
            Code::Unauthenticated,
            "the request was changed in transit",
        ),
        (
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
            Code::Unauthenticated,
            "has not enabled this opt-in Region",
        ),
        ("OptInRequired", "You are not subscribed", Code::PermissionDenied, "enable the Region"),
        ("ThrottlingException", "Rate exceeded", Code::Internal, "raise the quota"),
    ] {
        let world = answering("GetSecretValue", code, message).await;
        told(&world, &Request::new(SECRET), status, &[code, message, says], &["missing:"]).await;
    }
}

/// Fails the next `times` STS calls.
fn meet(emulator: &Emulator, code: &str, message: &str, times: u32) {
    emulator.inject(Fault::new(error(code, message)).operation(STS_CALL).times(times));
}

#[tokio::test(start_paused = true)]
async fn a_temporary_sts_verification_failure_is_retried_as_by_awss_sdk_for_go() {
    let key = "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements";
    for (code, message) in [("InvalidIdentityToken", key), ("IDPCommunicationError", "no answer")] {
        for times in [1, 2] {
            let world = World::start().await;
            world.secret("shop/db", "v");
            meet(&world.emulator, code, message, times);
            assert_eq!(world.mount(&Request::new(SECRET)).await.text("shop_db"), "v", "{code}");
            assert_eq!(world.calls(STS_CALL), u64::from(times) + 1, "{code}");
        }
        let world = World::start().await;
        meet(&world.emulator, code, message, 100);
        world.refusal(&Request::new(SECRET)).await;
        assert_eq!(world.calls(STS_CALL), 3, "{code}: three attempts, and no more");
    }
}

#[tokio::test(start_paused = true)]
async fn a_permanent_sts_failure_is_not_retried() {
    for message in
        ["No OpenIDConnect provider found in your account for https://x", "Incorrect token audience"]
    {
        let world = World::start().await;
        world.secret("shop/db", "v");
        meet(&world.emulator, "InvalidIdentityToken", message, 1);
        assert_says(&world.refusal(&Request::new(SECRET)).await, Code::Unauthenticated, &[message]);
        assert_eq!(world.calls(STS_CALL), 1, "{message}");
    }
}
