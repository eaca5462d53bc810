//! AWS or the way to it fails: the answer is Internal, before the deadline, and never a
//! code that kubelet does not take for final.

use std::time::Duration;

use latchkey_emulator::{Emulator, Fault, FaultKind, Store};
use tokio::time::Instant;
use tonic::Code;

use crate::harness::{Behaviour, Request, World, assert_code, assert_lacks, assert_says, serve_emulator};

const OBJECTS: &str = "
- {objectName: shop/db, objectType: secretsmanager}
- {objectName: /shop/level, objectType: ssmparameter}";
/// Well under kubelet's two minutes.
const DEADLINE: Duration = Duration::from_secs(60);

fn outages() -> [FaultKind; 8] {
    [
        FaultKind::InternalError,
        FaultKind::Throttle,
        FaultKind::Reset,
        FaultKind::Hang,
        FaultKind::GarbageBody,
        FaultKind::TruncatedBody,
        FaultKind::Redirect("http://127.0.0.1:1/".to_owned()),
        FaultKind::Error { status: 503, code: "ServiceUnavailable".to_owned(), message: "later".to_owned() },
    ]
}

#[tokio::test(start_paused = true)]
async fn every_outage_of_every_service_is_internal_and_before_the_deadline() {
    let world = World::uncached().await;
    world.secret("shop/db", "hunter2");
    world.parameter("/shop/level", "info");
    for (operation, request, named) in [
        ("GetSecretValue", Request::new(OBJECTS), "secretsmanager:GetSecretValue in us-east-1 failed"),
        ("GetParameters", Request::new(OBJECTS), "ssm:GetParameters in us-east-1 failed"),
        (
            "PodIdentityCredentials",
            Request::pod_identity(OBJECTS),
            "Check that the eks-pod-identity-agent is running",
        ),
    ] {
        for kind in outages() {
            let fault = world.fault(operation, kind.clone());
            let started = Instant::now();
            let status = world.refusal(&request).await;
            assert_says(&status, Code::Internal, &[named]);
            assert!(started.elapsed() < DEADLINE, "{operation} {kind:?} took {:?}", started.elapsed());
            assert_lacks(status.message(), "hunter2");
            world.emulator.remove_fault(fault);
        }
    }
    world.mount(&Request::new(OBJECTS)).await;
    world.mount(&Request::pod_identity(OBJECTS)).await;
}

#[tokio::test(start_paused = true)]
async fn every_outage_of_sts_is_internal_and_before_the_deadline() {
    let world = World::start().await;
    world.secret("shop/db", "hunter2");
    world.parameter("/shop/level", "info");
    let sts_only = FaultKind::Error {
        status: 400,
        code: "IDPCommunicationError".to_owned(),
        message: "the issuer did not answer".to_owned(),
    };
    for kind in outages().into_iter().chain([sts_only]) {
        let fault = world.fault("AssumeRoleWithWebIdentity", kind.clone());
        let started = Instant::now();
        let status = world.refusal(&Request::new(OBJECTS)).await;
        let says = ["no AWS credentials for", "sts:AssumeRoleWithWebIdentity in us-east-1 failed"];
        assert_says(&status, Code::Internal, &says);
        assert!(started.elapsed() < DEADLINE, "{kind:?} took {:?}", started.elapsed());
        world.emulator.remove_fault(fault);
    }
    assert_eq!(world.calls("GetSecretValue"), 0);
    world.mount(&Request::new(OBJECTS)).await;
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_is_not_noticed() {
    let world = World::start().await;
    world.secret("shop/db", "x");
    world.parameter("/shop/level", "info");
    let mut pods = 100..;
    for operation in
        ["AssumeRoleWithWebIdentity", "PodIdentityCredentials", "GetSecretValue", "GetParameters"]
    {
        for kind in [FaultKind::InternalError, FaultKind::Throttle, FaultKind::Reset, FaultKind::Hang] {
            let mut request = Request::new(OBJECTS);
            // Cached credentials need neither STS nor the agent.
            match operation {
                "AssumeRoleWithWebIdentity" => world.emulator.expire_sessions(),
                "PodIdentityCredentials" => {
                    request = Request::pod_identity(OBJECTS).numbered(pods.next().unwrap());
                }
                _ => {}
            }
            let hangs = kind == FaultKind::Hang && operation == "PodIdentityCredentials";
            // Within the agent's ten seconds only one attempt may hang.
            let times = if hangs { 1 } else { 2 };
            world.emulator.inject(Fault::new(kind.clone()).operation(operation).times(times));
            let answer = world.try_mount(&request).await;
            answer.unwrap_or_else(|status| panic!("{operation} {kind:?}: {status}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_tried_exactly_three_times() {
    let world = World::start().await;
    world.secret("shop/db", "x");
    world.parameter("/shop/level", "info");
    world.fault("GetSecretValue", FaultKind::InternalError);
    world.refusal(&Request::new(OBJECTS)).await;
    world.assert_calls([("GetSecretValue", 3), ("GetParameters", 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_call_of_a_starting_pod_is_repeated_for_45_seconds() {
    let world = World::start().await;
    world.secret("shop/db", "x");
    world.parameter("/shop/level", "info");
    for operation in ["GetSecretValue", "GetParameters"] {
        let fault = Fault::new(FaultKind::Throttle).operation(operation);
        world.emulator.inject(fault.times(10));
    }
    world.mount(&Request::new(OBJECTS)).await;
    world.assert_calls([("GetSecretValue", 11), ("GetParameters", 11)]);

    let fault = world.fault("GetSecretValue", FaultKind::Throttle);
    let started = Instant::now();
    world.secret("shop/other", "x");
    let other = Request::new("- {objectName: shop/other, objectType: secretsmanager}").numbered(2);
    world.refusal(&other).await;
    let took = started.elapsed();
    assert!((38..=46).contains(&took.as_secs()), "{took:?}");
    world.emulator.remove_fault(fault);
    world.mount(&other).await;
}

#[tokio::test(start_paused = true)]
async fn a_hang_ends_at_the_mount_timeout_with_a_final_code() {
    let world = World::with(|config| config.mount_timeout = Duration::from_secs(5)).await;
    world.secret("shop/db", "x");
    world.parameter("/shop/level", "info");
    world.fault("GetSecretValue", FaultKind::Hang);
    let started = Instant::now();
    let status = world.refusal(&Request::new(OBJECTS)).await;
    assert_says(&status, Code::Internal, &["the mount was aborted after 5 s (--mount-timeout)"]);
    assert_eq!(started.elapsed().as_secs(), 5);
    // Its resources are free again.
    world.emulator.clear_faults();
    world.mount(&Request::new(OBJECTS)).await;
}

#[tokio::test(start_paused = true)]
async fn a_mount_ends_before_the_deadline_even_if_everything_hangs() {
    let world = World::start().await;
    world.secret("shop/db", "x");
    world.emulator.inject(Fault::new(FaultKind::Hang));
    for kubernetes in [Behaviour::Healthy, Behaviour::Hang] {
        world.kubernetes.behave(kubernetes);
        for request in [Request::new(OBJECTS), Request::pod_identity(OBJECTS)] {
            let started = Instant::now();
            let request = request.parameter("failoverRegion", "us-west-2");
            assert_code(&world.refusal(&request).await, Code::Internal);
            assert!(started.elapsed() <= DEADLINE, "{:?}", started.elapsed());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_agents_redirect_is_not_followed() {
    let world = World::start().await;
    let elsewhere = Emulator::new(Store::default());
    let url = serve_emulator(&elsewhere).await;
    world.fault("PodIdentityCredentials", FaultKind::Redirect(format!("{url}/v1/credentials")));
    assert_code(&world.refusal(&Request::pod_identity(OBJECTS)).await, Code::Internal);
    assert_eq!(elsewhere.calls(), [], "the token was sent to another place");
}

#[tokio::test(start_paused = true)]
async fn an_agent_error_without_an_aws_code_is_an_outage_and_not_a_denial() {
    let world = World::start().await;
    for status in [400, 403, 404, 500] {
        let fault = world.fault(
            "PodIdentityCredentials",
            FaultKind::Error {
                status,
                code: "Whatever".to_owned(),
                message: "forbidden by a proxy".to_owned(),
            },
        );
        let refusal = world.refusal(&Request::pod_identity(OBJECTS)).await;
        assert_says(&refusal, Code::Internal, &[&format!("HTTP {status}"), "forbidden by a proxy"]);
        world.emulator.remove_fault(fault);
    }
}
