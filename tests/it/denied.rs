//! Messages about what AWS denies, lacks or withholds contain all that a
//! person needs to act: PermissionDenied, NotFound, FailedPrecondition.

use tonic::Code;

use crate::harness::{ACCOUNT, REGION, Request, SECRET, WEB, WORKER, World, assert_lacks, assert_says};

/// The request id of the last call of an operation.
fn request_id(world: &World, operation: &str) -> String {
    let calls = world.emulator.calls();
    calls.into_iter().rfind(|call| call.operation == operation).unwrap().request_id
}

#[tokio::test(start_paused = true)]
async fn a_failure_names_its_cause() {
    let world = World::start().await;
    world.secret("shop/db", "hunter2");
    world.parameter("/shop/level", "info");
    world.emulator.clear_policy(WEB);
    let parameter = "- {objectName: /shop/level, objectType: ssmparameter}";
    let secret = world.emulator.secret_arn(REGION, "shop/db").unwrap();
    for (objects, operation, action, resource) in [
        (SECRET, "GetSecretValue", "secretsmanager:GetSecretValue", secret.strip_prefix("arn:aws:").unwrap()),
        (parameter, "GetParameters", "ssm:GetParameters", "ssm:us-east-1:111122223333:parameter/shop/level"),
    ] {
        let status = world.refusal(&Request::new(objects)).await;
        let missing =
            format!("missing: {action} on arn:aws:{resource} in an identity-based policy of role web");
        let says = [
            "1 of 1 objects of SecretProviderClass shop/class failed",
            "service account shop/web",
            WEB,
            &format!(
                "{action} in {REGION} failed: AccessDeniedException: User: arn:aws:sts::{ACCOUNT}:assumed-role/web/latchkey-shop.web is not authorized"
            ),
            &format!("(request id {})", request_id(&world, operation)),
            &missing,
            "nothing was changed in the pod",
        ];
        assert_says(&status, Code::PermissionDenied, &says);
    }
}

#[tokio::test(start_paused = true)]
async fn a_denied_arn_is_named_as_in_the_class() {
    let world = World::start().await;
    world.secret("shop/db", "x");
    world.emulator.clear_policy(WEB);
    let arn = world.emulator.secret_arn(REGION, "shop/db").unwrap();
    let status = world.refusal(&Request::new(&format!("- objectName: {arn}"))).await;
    let missing = format!("missing: secretsmanager:GetSecretValue on {arn}");
    assert_says(&status, Code::PermissionDenied, &[&missing]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_kms_asks_for_kms_decrypt() {
    let world = World::start().await;
    world.secret("shop/db", "x");
    world.emulator.set_kms_denied(REGION, "shop/db", WEB, true).unwrap();
    let status = world.refusal(&Request::new(SECRET)).await;
    let says =
        ["AccessDeniedException", "Access to KMS is not allowed", "missing: kms:Decrypt on the KMS key"];
    assert_says(&status, Code::PermissionDenied, &says);
}

#[tokio::test(start_paused = true)]
async fn a_role_that_does_not_trust_the_service_account_is_reported_with_the_policy_it_needs() {
    let world = World::start().await;
    world.emulator.set_trust(WEB, &[]);
    let status = world.refusal(&Request::new(SECRET)).await;
    let says = [
        "no AWS credentials for service account shop/web with role arn:aws:iam::111122223333:role/web",
        "sts:AssumeRoleWithWebIdentity in us-east-1 failed: AccessDenied",
        &format!("(request id {})", request_id(&world, "AssumeRoleWithWebIdentity")),
        r#"The trust policy of arn:aws:iam::111122223333:role/web must allow"#,
        r#""<issuer>:sub" = "system:serviceaccount:shop:web""#,
    ];
    assert_says(&status, Code::PermissionDenied, &says);
    assert_eq!(world.calls("AssumeRoleWithWebIdentity"), 1, "a denial is final: nothing is tried again");
}

#[tokio::test(start_paused = true)]
async fn a_denial_of_the_pod_identity_agent_asks_for_the_association() {
    let world = World::start().await;
    let advice = "A Pod Identity association for service account pay/worker must exist in this cluster";
    world.emulator.set_association("pay", "worker", Some("arn:aws:iam::111122223333:role/deleted"));
    let status = world.refusal(&Request::pod_identity(SECRET)).await;
    assert_says(&status, Code::PermissionDenied, &["AccessDeniedException", "EKS Pod Identity", advice]);
    world.emulator.set_association("pay", "worker", None);
    let status = world.refusal(&Request::pod_identity(SECRET)).await;
    assert_says(&status, Code::NotFound, &["ResourceNotFoundException", advice]);
}

#[tokio::test(start_paused = true)]
async fn a_denial_under_pod_identity_names_account_and_service_account() {
    let world = World::start().await;
    world.secret("shop/db", "x");
    world.emulator.clear_policy(WORKER);
    let status = world.refusal(&Request::pod_identity(SECRET)).await;
    let arn = world.emulator.secret_arn(REGION, "shop/db").unwrap();
    let says = [
        "service account pay/worker by EKS Pod Identity",
        &format!(
            "missing: secretsmanager:GetSecretValue on {arn} in an identity-based policy of role worker"
        ),
    ];
    assert_says(&status, Code::PermissionDenied, &says);
}

#[tokio::test(start_paused = true)]
async fn a_missing_object_or_version_is_not_found() {
    let world = World::start().await;
    world.secret("shop/db", "x");
    world.parameter("/shop/level", "info");
    for (object, says) in [
        ("objectName: shop/none, objectType: secretsmanager", r#"Secrets Manager "shop/none""#),
        (
            "objectName: shop/db, objectType: secretsmanager, objectVersion: 00000000-0000-4000-8000-000000000000",
            r#""shop/db version 00000000-0000-4000-8000-000000000000""#,
        ),
        (
            "objectName: shop/db, objectType: secretsmanager, objectVersionLabel: blue",
            r#""shop/db label blue""#,
        ),
        ("objectName: /shop/none, objectType: ssmparameter", r#"Parameter Store "/shop/none""#),
        ("objectName: /shop/level, objectType: ssmparameter, objectVersion: 9", r#""/shop/level version 9""#),
        (
            "objectName: /shop/level, objectType: ssmparameter, objectVersionLabel: blue",
            r#""/shop/level label blue""#,
        ),
    ] {
        let status = world.refusal(&Request::new(&format!("- {{{object}}}"))).await;
        assert_says(&status, Code::NotFound, &[says, "in us-east-1 failed", "(request id "]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_denied_object_is_never_optional() {
    let world = World::start().await;
    world.secret("shop/db", "x");
    world.emulator.deny(WEB, "secretsmanager:GetSecretValue", "shop/db");
    let objects = "- {objectName: shop/db, objectType: secretsmanager, optional: true}";
    assert_says(&world.refusal(&Request::new(objects)).await, Code::PermissionDenied, &["shop/db"]);
}

#[tokio::test(start_paused = true)]
async fn a_secret_scheduled_for_deletion_is_not_absent() {
    let world = World::start().await;
    world.secret("shop/db", "x");
    world.emulator.delete_secret(REGION, "shop/db").unwrap();
    let objects = "- {objectName: shop/db, objectType: secretsmanager, optional: true}";
    for objects in [SECRET, objects] {
        let status = world.refusal(&Request::new(objects)).await;
        assert_says(&status, Code::FailedPrecondition, &["InvalidRequestException", "deletion"]);
    }
    world.emulator.restore_secret(REGION, "shop/db").unwrap();
    world.mount(&Request::new(SECRET)).await;
}

#[tokio::test(start_paused = true)]
async fn a_wrongly_encoded_value_is_refused_without_showing_it() {
    let world = World::start().await;
    world.secret("shop/db", "hunter2!");
    for encoding in ["base64", "base64url", "hex"] {
        let objects = format!("- {{objectName: shop/db, objectType: secretsmanager, encoding: {encoding}}}");
        let status = world.refusal(&Request::new(&objects)).await;
        assert_says(&status, Code::FailedPrecondition, &[&format!("the value is not {encoding}")]);
        assert_lacks(status.message(), "hunter2");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_over_four_mebibytes_is_refused_with_the_size_of_each_file() {
    let world = World::start().await;
    let mut objects = String::new();
    for number in 0..64 {
        world.secret(&format!("shop/{number}"), &"x".repeat(65_536 - number));
        objects.push_str(&format!("- {{objectName: shop/{number}, objectType: secretsmanager}}\n"));
    }
    let status = world.refusal(&Request::new(&objects)).await;
    let says = [
        "more than the 4194304",
        "--max-call-recv-msg-size",
        r#""shop_0" 65536 bytes, "shop_1" 65535 bytes"#,
    ];
    assert_says(&status, Code::FailedPrecondition, &says);
    // An answer within our limit is within the driver's own limit.
    let fewer: String = objects.lines().take(63).flat_map(|line| [line, "\n"]).collect();
    assert_eq!(world.mount(&Request::new(&fewer)).await.paths().len(), 63);
}

#[tokio::test(start_paused = true)]
async fn every_failing_object_is_listed_and_the_most_actionable_gives_the_code() {
    let world = World::start().await;
    world.secret("shop/good", "x");
    world.secret("shop/denied", "x");
    world.secret("shop/deleted", "x");
    world.emulator.deny(WEB, "secretsmanager:GetSecretValue", "shop/denied");
    world.emulator.delete_secret(REGION, "shop/deleted").unwrap();
    let objects = "
- {objectName: shop/good, objectType: secretsmanager}
- {objectName: shop/none, objectType: secretsmanager}
- {objectName: shop/denied, objectType: secretsmanager}
- {objectName: shop/deleted, objectType: secretsmanager}
- {objectName: /shop/none, objectType: ssmparameter}
- {objectName: shop/good, objectType: secretsmanager, objectAlias: hex, encoding: hex}";
    let status = world.refusal(&Request::new(objects)).await;
    let says = [
        "5 of 6 objects of SecretProviderClass shop/class failed",
        r#"(1) Secrets Manager "shop/none""#,
        r#"(2) Secrets Manager "shop/denied""#,
        r#"(3) Secrets Manager "shop/deleted""#,
        r#"(4) Parameter Store "/shop/none""#,
        r#"(5) Secrets Manager "shop/good""#,
    ];
    assert_says(&status, Code::PermissionDenied, &says);
}
