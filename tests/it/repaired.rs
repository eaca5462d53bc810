//! A failure is not remembered: a repaired configuration works at the very
//! next mount.

use latchkey_emulator::{Fault, FaultKind};
use serde_json::json;
use tonic::Code;

use crate::harness::{Behaviour, Pod, Request, SECRET, WEB, WORKER, World, assert_code};

async fn world() -> World {
    let world = World::start().await;
    world.secret("shop/db", "x");
    world
}

/// A pod of a service account without any set-up.
fn request() -> Request {
    Request::of_pod(Pod::numbered("shop", "new", 1), SECRET)
}

/// Expects two failures, so that a remembered one would show; then the repair works
/// at once.
async fn repaired(world: &World, request: &Request, code: Code, repair: impl FnOnce(&World)) {
    for _ in 0..2 {
        let status = world.refusal(request).await;
        assert_code(&status, code);
    }
    repair(world);
    world.mount_at_once(request).await;
}

fn trust_new(world: &World) {
    world.emulator.set_trust(WEB, &["system:serviceaccount:shop:new"]);
}

#[tokio::test(start_paused = true)]
async fn an_added_annotation_works_at_once() {
    for pod_identity in [None, Some("false")] {
        let world = world().await;
        trust_new(&world);
        world.kubernetes.add_account("shop", "new");
        let (request, code) = match pod_identity {
            // A token for Pod Identity was sent, and the account has no association.
            None => (request(), Code::NotFound),
            Some(choice) => (request().parameter("usePodIdentity", choice), Code::Unauthenticated),
        };
        repaired(&world, &request, code, |world| world.kubernetes.annotate("shop", "new", WEB)).await;
        assert_eq!(world.calls("AssumeRoleWithWebIdentity"), 1, "usePodIdentity: {pod_identity:?}");
    }
    // With only the token for IRSA.
    let world = world().await;
    trust_new(&world);
    world.kubernetes.add_account("shop", "new");
    let request = request().audiences(&[crate::harness::STS]);
    repaired(&world, &request, Code::Unauthenticated, |world| world.kubernetes.annotate("shop", "new", WEB))
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_corrected_annotation_works_at_once() {
    let elsewhere = "arn:aws:iam::111122223333:role/elsewhere";
    for (wrong, code) in [
        ("", Code::Unauthenticated),
        ("role/web", Code::FailedPrecondition),
        ("arn:aws:iam::111122223333:user/web", Code::FailedPrecondition),
        // No such role, and one that does not trust the account.
        (elsewhere, Code::PermissionDenied),
        (WORKER, Code::PermissionDenied),
    ] {
        let world = world().await;
        trust_new(&world);
        world.kubernetes.annotate("shop", "new", wrong);
        let request = request().parameter("usePodIdentity", "false");
        repaired(&world, &request, code, |world| world.kubernetes.annotate("shop", "new", WEB)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_annotation_changed_to_a_permitted_role_works_at_once() {
    let world = world().await;
    trust_new(&world);
    let poor = "arn:aws:iam::111122223333:role/poor";
    world.emulator.set_trust(poor, &["system:serviceaccount:shop:new"]);
    world.kubernetes.annotate("shop", "new", poor);
    repaired(&world, &request(), Code::PermissionDenied, |world| {
        world.kubernetes.annotate("shop", "new", WEB);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_annotation_changed_to_an_account_with_the_provider_works_at_once() {
    let world = world().await;
    trust_new(&world);
    world.kubernetes.annotate("shop", "new", WORKER);
    let message = "No OpenIDConnect provider found in your account".to_owned();
    let kind = FaultKind::Error { status: 400, code: "InvalidIdentityToken".to_owned(), message };
    world.emulator.inject(Fault::new(kind).operation("AssumeRoleWithWebIdentity").times(2));
    repaired(&world, &request(), Code::Unauthenticated, |world| {
        world.kubernetes.annotate("shop", "new", WEB);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_added_trust_association_or_policy_works_at_once() {
    let world = world().await;
    world.kubernetes.annotate("shop", "new", WEB);
    repaired(&world, &request(), Code::PermissionDenied, trust_new).await;

    let request = request().parameter("usePodIdentity", "true");
    repaired(&world, &request, Code::NotFound, |world| {
        world.emulator.set_association("shop", "new", Some(WORKER));
    })
    .await;

    let poor = "arn:aws:iam::111122223333:role/poor";
    world.emulator.set_trust(poor, &["system:serviceaccount:shop:poor"]);
    world.kubernetes.annotate("shop", "poor", poor);
    let request = Request::of_pod(Pod::numbered("shop", "poor", 1), SECRET);
    repaired(&world, &request, Code::PermissionDenied, |world| {
        world.emulator.allow(poor, "secretsmanager:GetSecretValue", "*");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_new_service_account_or_kubernetes_permission_works_at_once() {
    let world = world().await;
    trust_new(&world);
    repaired(&world, &request(), Code::NotFound, |world| world.kubernetes.annotate("shop", "new", WEB)).await;

    let world = World::with_kubernetes(|kubernetes| kubernetes.behave(Behaviour::Refuse(403)), |_| {}).await;
    world.secret("shop/db", "x");
    repaired(&world, &Request::new(SECRET), Code::PermissionDenied, |world| {
        world.kubernetes.behave(Behaviour::Healthy);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_added_or_corrected_region_label_works_at_once() {
    let world = World::with(|config| config.cluster.node_name = Some("node-1".to_owned())).await;
    world.secret("shop/db", "x");
    let request = Request::new(SECRET).without("region");
    repaired(&world, &request, Code::NotFound, |world| {
        world.kubernetes.add_node("node-1", &json!({ "topology.kubernetes.io/region": "us-east-1" }));
    })
    .await;
    for wrong in [json!({}), json!({ "topology.kubernetes.io/region": "nowhere!" })] {
        let world = World::with(|config| config.cluster.node_name = Some("node-1".to_owned())).await;
        world.secret("shop/db", "x");
        world.kubernetes.add_node("node-1", &wrong);
        repaired(&world, &request, Code::FailedPrecondition, |world| {
            world.kubernetes.add_node("node-1", &json!({ "topology.kubernetes.io/region": "us-east-1" }));
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_written_or_corrected_kubeconfig_works_at_once() {
    let dead = r#"{"apiVersion":"v1","kind":"Config","clusters":[{"name":"c","cluster":{"server":"http://127.0.0.1:1"}}],"users":[],"contexts":[{"name":"c","context":{"cluster":"c","user":""}}],"current-context":"c"}"#;
    for wrong in [None, Some("no YAML: ["), Some("{}"), Some(dead)] {
        let world = World::with(|config| {
            let path = config.provider_volume.join("later");
            if let Some(wrong) = wrong {
                std::fs::write(&path, wrong).unwrap();
            }
            config.cluster.kubeconfig = Some(path);
        });
        let world = world.await;
        world.secret("shop/db", "x");
        repaired(&world, &Request::new(SECRET), Code::Internal, |world| {
            std::fs::copy(world.kubernetes.kubeconfig(), world.folder().join("later")).unwrap();
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_mount_does_not_forget_the_role_while_kubernetes_is_down() {
    let world = world().await;
    world.mount(&Request::new(SECRET)).await;
    let absent = Request::new("- {objectName: shop/none, objectType: secretsmanager}");
    assert_code(&world.refusal(&absent).await, Code::NotFound);
    world.kubernetes.behave(Behaviour::Refuse(500));
    world.mount_at_once(&Request::new(SECRET)).await;
}
