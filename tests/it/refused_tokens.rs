//! A pod without a valid token of its own gets nothing: Unauthenticated.

use std::time::Duration;

use latchkey_emulator::Emulator;
use tonic::Code;

use crate::harness::{POD_IDENTITY, Pod, Request, SECRET, STS, World, assert_lacks, assert_says};

const HOUR: Duration = Duration::from_secs(3600);

/// Checks that the provider refuses the mount with these words and without a call to AWS.
async fn refused_unasked(world: &World, request: &Request, parts: &[&str]) {
    let status = world.refusal(request).await;
    assert_says(&status, Code::Unauthenticated, parts);
    assert_eq!(world.emulator.calls(), [], "{status}");
}

/// The pod of [`Request::new`].
fn token(emulator: &Emulator, service_account: &str, audience: &str, uid: &str, ttl: Duration) -> String {
    emulator.token("shop", service_account, audience, "web-1", uid, ttl)
}

#[tokio::test(start_paused = true)]
async fn a_missing_token_is_named_with_the_audiences_that_came() {
    let world = World::start().await;
    for (request, sent) in [
        (Request::new(SECRET).audiences(&[]), "it sent: none"),
        (Request::new(SECRET).audiences(&[POD_IDENTITY]), "it sent: pods.eks.amazonaws.com"),
    ] {
        let says = [r#"no token for audience "sts.amazonaws.com""#, sent, "tokenRequests"];
        refused_unasked(&world, &request, &says).await;
    }
    let request = Request::pod_identity(SECRET).audiences(&[STS]);
    let says = [r#"no token for audience "pods.eks.amazonaws.com""#, "it sent: sts.amazonaws.com"];
    refused_unasked(&world, &request, &says).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_the_pods_own_is_refused_before_any_call() {
    let world = World::start().await;
    let request = Request::new(SECRET);
    let uid = request.pod.uid.clone();
    let other_uid = Pod::numbered("shop", "web", 7).uid;
    for (token, says) in [
        (
            token(&world.emulator, "admin", STS, &uid, HOUR),
            r#"its subject is "system:serviceaccount:shop:admin", but the pod's is "system:serviceaccount:shop:web""#,
        ),
        (token(&world.emulator, "web", "vault", &uid, HOUR), "it is for another audience"),
        (token(&world.emulator, "web", STS, &other_uid, HOUR), "it is bound to a pod other than shop/web-1"),
        (token(&world.emulator, "web", STS, &uid, Duration::ZERO), "it expired"),
        ("hunter2".to_owned(), "it is not a JWT"),
        ("a.hunter2.b".to_owned(), "it is not a JWT"),
    ] {
        let request = request.clone().token(STS, &token);
        let status = world.refusal(&request).await;
        assert_lacks(status.message(), "hunter2");
        let refused = r#"the token for audience "sts.amazonaws.com" is refused"#;
        refused_unasked(&world, &request, &[refused, says]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_without_identity_is_told_what_to_add() {
    let world = World::start().await;
    let pod = || Pod::numbered("pay", "worker", 1);
    let request = Request::of_pod(pod(), SECRET).audiences(&[STS]);
    let says = [
        "service account pay/worker has no AWS identity",
        "annotate it with eks.amazonaws.com/role-arn",
        "set roleArn in the SecretProviderClass",
        "create an EKS Pod Identity association for it",
    ];
    refused_unasked(&world, &request, &says).await;
    let request = Request::of_pod(pod(), SECRET).parameter("usePodIdentity", "false");
    let says = ["service account pay/worker has no annotation eks.amazonaws.com/role-arn", "usePodIdentity"];
    refused_unasked(&world, &request, &says).await;
}
