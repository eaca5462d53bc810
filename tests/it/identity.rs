//! A pod's identity in AWS: IRSA or EKS Pod Identity, and never a mixture.

use latchkey::identity::AgentSettings;
use latchkey_emulator::{Call, FaultKind};
use tokio::net::TcpListener;
use tonic::Code;

use crate::harness::{Behaviour, Pod, Request, SECRET, STS, WEB, WORKER, World, assert_says};

async fn world() -> World {
    let world = World::uncached().await;
    world.secret("shop/db", "x");
    world
}

fn reads(world: &World) -> Vec<Call> {
    world.emulator.calls().into_iter().filter(|call| call.operation == "GetSecretValue").collect()
}

#[tokio::test(start_paused = true)]
async fn irsa_uses_the_annotations_role_and_names_the_session_after_the_workload() {
    let world = world().await;
    world.mount(&Request::new(SECRET)).await;
    let read = &reads(&world)[0];
    assert_eq!(read.role.as_deref(), Some(WEB));
    let session = "arn:aws:sts::111122223333:assumed-role/web/latchkey-shop.web";
    assert_eq!(read.principal.as_deref(), Some(session));
    let calls = world.emulator.calls();
    assert_eq!(calls[0].operation, "AssumeRoleWithWebIdentity");
    assert_eq!(calls[0].targets, [WEB]);
    assert_eq!(world.kubernetes.reads(), ["/api/v1/namespaces/shop/serviceaccounts/web"]);
}

#[tokio::test(start_paused = true)]
async fn a_long_session_name_is_shortened_and_stays_distinct() {
    let world = world().await;
    let namespace = "n".repeat(63);
    let mut sessions = Vec::new();
    for account in ["first", "second"] {
        world.kubernetes.annotate(&namespace, account, WEB);
        world.emulator.set_trust(WEB, &[&format!("system:serviceaccount:{namespace}:{account}")]);
        world.mount(&Request::of_pod(Pod::numbered(&namespace, account, 5), SECRET)).await;
        let principal = reads(&world).pop().unwrap().principal.unwrap();
        sessions.push(principal.rsplit('/').next().unwrap().to_owned());
    }
    assert_eq!(sessions.iter().map(String::len).collect::<Vec<_>>(), [64, 64]);
    assert!(sessions[0].starts_with("latchkey-nnn"), "{}", sessions[0]);
    assert_ne!(sessions[0], sessions[1]);
}

#[tokio::test(start_paused = true)]
async fn pod_identity_is_used_on_request() {
    let world = world().await;
    world.kubernetes.behave(Behaviour::Refuse(403));
    world.mount(&Request::pod_identity(SECRET)).await;
    assert_eq!(reads(&world)[0].role.as_deref(), Some(WORKER));
    assert_eq!(world.calls("AssumeRoleWithWebIdentity"), 0);
    assert_eq!(world.kubernetes.reads(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn pod_identity_wins_over_an_annotation_only_on_request() {
    let world = world().await;
    world.emulator.set_association("shop", "web", Some(WORKER));
    world.mount(&Request::new(SECRET)).await;
    world.mount(&Request::new(SECRET).parameter("usePodIdentity", "false")).await;
    world.mount(&Request::new(SECRET).parameter("usePodIdentity", "true")).await;
    let roles: Vec<_> = reads(&world).into_iter().filter_map(|call| call.role).collect();
    assert_eq!(roles, [WEB, WEB, WORKER]);
}

#[tokio::test(start_paused = true)]
async fn pod_identity_is_used_if_the_service_account_has_no_role() {
    let world = world().await;
    world.mount(&Request::of_pod(Pod::numbered("pay", "worker", 3), SECRET)).await;
    assert_eq!(reads(&world)[0].role.as_deref(), Some(WORKER));
    assert_eq!(world.kubernetes.reads(), ["/api/v1/namespaces/pay/serviceaccounts/worker"]);
}

#[tokio::test(start_paused = true)]
#[allow(non_snake_case, reason = "ServiceAccount is the object's own name")]
async fn forbidden_or_failing_ServiceAccount_reads_never_turn_into_Pod_Identity() {
    let world = world().await;
    // It has an association, so Pod Identity would work.
    let request = Request::of_pod(Pod::numbered("pay", "worker", 3), SECRET);
    for (behaviour, code, says) in [
        (
            Behaviour::Refuse(403),
            Code::PermissionDenied,
            "Kubernetes does not allow Latchkey's own service account",
        ),
        (Behaviour::Refuse(404), Code::NotFound, "Kubernetes has no such object"),
        (Behaviour::Refuse(401), Code::Internal, "the Kubernetes API failed"),
        (Behaviour::Refuse(500), Code::Internal, "the Kubernetes API failed"),
        (Behaviour::Refuse(503), Code::Internal, "the Kubernetes API failed"),
        (Behaviour::Hang, Code::Internal, "the Kubernetes API failed"),
        (Behaviour::Garbage, Code::Internal, "the Kubernetes API failed"),
    ] {
        world.kubernetes.behave(behaviour);
        let status = world.refusal(&request).await;
        assert_says(&status, code, &[says, "get service account pay/worker"]);
        assert_eq!(world.emulator.calls(), [], "{behaviour:?}");
    }
    world.kubernetes.behave(Behaviour::Healthy);
    world.mount(&request).await;
}

#[tokio::test(start_paused = true)]
async fn an_invalid_annotation_is_an_error_and_never_pod_identity() {
    let world = world().await;
    world.kubernetes.annotate("pay", "worker", "role/worker");
    let request = Request::of_pod(Pod::numbered("pay", "worker", 3), SECRET);
    let says = ["eks.amazonaws.com/role-arn of service account pay/worker", r#""role/worker""#];
    assert_says(&world.refusal(&request).await, Code::FailedPrecondition, &says);
    assert_eq!(world.emulator.calls(), []);
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_kubernetes_leaves_role_arn_and_pod_identity_working() {
    let world = World::with(|config| {
        let kubeconfig = config.provider_volume.join("no-such-file");
        config.cluster.kubeconfig = Some(kubeconfig);
    });
    let world = world.await;
    world.secret("shop/db", "x");
    world.mount(&Request::new(SECRET).parameter("roleArn", WEB)).await;
    world.mount(&Request::pod_identity(SECRET)).await;
    let status = world.refusal(&Request::new(SECRET)).await;
    assert_says(
        &status,
        Code::Internal,
        &["cannot set up a Kubernetes client to get service account shop/web"],
    );
}

#[tokio::test(start_paused = true)]
async fn tokens_are_read_from_the_secrets_if_the_attributes_have_none() {
    let world = world().await;
    world.mount(&Request::new(SECRET).tokens_in_secrets()).await;
    world.mount(&Request::pod_identity(SECRET).tokens_in_secrets()).await;
}

#[tokio::test(start_paused = true)]
async fn each_identity_needs_only_its_own_audience() {
    let world = world().await;
    world.mount(&Request::new(SECRET).audiences(&[STS])).await;
    world.mount(&Request::pod_identity(SECRET).audiences(&[crate::harness::POD_IDENTITY])).await;
}

/// The URL of a port that is closed.
async fn dead_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}/v1/credentials", listener.local_addr().unwrap())
}

/// The URL of a port that accepts connections and never answers.
async fn silent_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/credentials", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            open.push(connection);
        }
    });
    url
}

/// A world whose agent does not work on IPv4.
async fn world_without_ipv4(ipv4: String) -> World {
    let world = World::with(|config| {
        let agent = AgentSettings { ipv4, ..config.identity.agent.clone() };
        config.identity.agent = agent;
    });
    let world = world.await;
    world.secret("shop/db", "x");
    world
}

#[tokio::test(start_paused = true)]
async fn ipv6_agent_is_reached_when_ipv4_is_dead() {
    let world = world_without_ipv4(dead_url().await).await;
    world.mount(&Request::pod_identity(SECRET)).await;
}

#[tokio::test(start_paused = true)]
async fn ipv6_agent_is_reached_at_once_when_ipv4_hangs() {
    let world = world_without_ipv4(silent_url().await).await;
    let started = tokio::time::Instant::now();
    world.mount(&Request::pod_identity(SECRET)).await;
    assert!(started.elapsed().as_secs() < 2, "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn preferred_address_type_uses_only_that_address() {
    let dead = dead_url().await;
    let world = world_without_ipv4(dead.clone()).await;
    let ask = |address_type: &str, number| {
        Request::pod_identity(SECRET).parameter("preferredAddressType", address_type).numbered(number)
    };
    let status = world.refusal(&ask("ipv4", 10)).await;
    assert_says(&status, Code::Internal, &[&dead]);
    assert_eq!(world.calls("PodIdentityCredentials"), 0);
    // The case does not matter, and any other value means both, as in AWS's own provider.
    for (address_type, number) in [("ipv6", 11), ("IPv6", 12), ("auto", 13), ("", 14), ("ipv5", 15)] {
        world.mount(&ask(address_type, number)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn if_no_address_of_the_agent_answers_both_are_named() {
    let (ipv4, ipv6) = (dead_url().await, dead_url().await);
    let agent = AgentSettings { ipv4: ipv4.clone(), ipv6: ipv6.clone(), ..AgentSettings::default() };
    let world = World::with(|config| config.identity.agent = agent).await;
    let status = world.refusal(&Request::pod_identity(SECRET)).await;
    assert_says(&status, Code::Internal, &[&ipv4, &ipv6, "Check that the eks-pod-identity-agent is running"]);
}

#[tokio::test(start_paused = true)]
async fn a_denial_on_one_address_is_final() {
    let world = world().await;
    world.emulator.set_association("pay", "worker", None);
    world.refusal(&Request::pod_identity(SECRET)).await;
    assert_eq!(world.calls("PodIdentityCredentials"), 1);
}

#[tokio::test(start_paused = true)]
async fn roles_of_other_partitions_are_assumed_in_their_regions() {
    let world = world().await;
    for (region, partition) in [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")] {
        let role = format!("arn:{partition}:iam::111122223333:role/web");
        world.kubernetes.annotate("shop", "web", &role);
        world.emulator.set_trust(&role, &["system:serviceaccount:shop:web"]);
        world.emulator.allow(&role, "secretsmanager:GetSecretValue", "*");
        world.emulator.put_secret(region, "shop/db", region.to_owned());
        let request = Request::new(SECRET).parameter("region", region);
        assert_eq!(world.mount(&request).await.text("shop_db"), region, "by name");
        let arn = world.emulator.secret_arn(region, "shop/db").unwrap();
        assert!(arn.starts_with(&format!("arn:{partition}:secretsmanager:{region}:")), "{arn}");
        let by_arn = Request::new(&format!("- {{objectName: '{arn}', objectAlias: a}}"));
        assert_eq!(world.mount(&by_arn.parameter("region", region)).await.text("a"), region, "by ARN");
    }
}

#[tokio::test(start_paused = true)]
async fn missing_permissions_name_arns_of_the_regions_partition() {
    let world = world().await;
    for (region, partition) in [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")] {
        world.emulator.put_secret(region, "shop/db", "x".to_owned());
        world.emulator.clear_policy(WEB);
        for (object, missing) in [
            ("objectName: shop/db, objectType: secretsmanager", "secret:shop/db-"),
            ("objectName: /shop/level, objectType: ssmparameter", "parameter/shop/level"),
        ] {
            let request = Request::new(&format!("- {{{object}}}")).parameter("region", region);
            let status = world.refusal(&request).await;
            let arn = format!("on arn:{partition}:");
            assert_says(
                &status,
                Code::PermissionDenied,
                &[&arn, &format!(":{region}:111122223333:{missing}")],
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sts_is_called_in_the_failover_region_only_in_an_outage() {
    let world = world().await;
    let request = Request::new(SECRET).parameter("failoverRegion", "us-west-2");
    // Both Regions have the same address here; the first three attempts are in the primary Region.
    let fault = latchkey_emulator::Fault::new(FaultKind::InternalError);
    world.emulator.inject(fault.operation("AssumeRoleWithWebIdentity").times(3));
    world.mount(&request).await;
    assert_eq!(world.calls("AssumeRoleWithWebIdentity"), 4);
    world.emulator.expire_sessions();
    world.emulator.set_trust(WEB, &[]);
    world.refusal(&request).await;
    assert_eq!(world.calls("AssumeRoleWithWebIdentity"), 5);
}
