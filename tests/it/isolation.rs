//! No pod ever receives another pod's values, whatever runs concurrently.

use futures_util::future::join_all;
use latchkey_emulator::Fault;
use latchkey_emulator::FaultKind;

use crate::harness::{Pod, REGION, Request, WEB, World, assert_code};

/// A tenant: a service account with a role in an account of its own.
fn tenant(world: &World, number: usize, pod_identity: bool) -> (String, String) {
    let (namespace, service_account) = (format!("tenant-{number}"), "app".to_owned());
    let account = format!("{:012}", 300_000_000_000_usize + number);
    let role = format!("arn:aws:iam::{account}:role/app");
    let secret = format!("arn:aws:secretsmanager:{REGION}:{account}:secret:shop/db-AbCdEf");
    world.emulator.put_secret(REGION, &secret, format!("value of {number}"));
    world.emulator.allow(&role, "secretsmanager:GetSecretValue", "shop/db");
    if pod_identity {
        world.kubernetes.add_account(&namespace, &service_account);
        world.emulator.set_association(&namespace, &service_account, Some(&role));
    } else {
        world.kubernetes.annotate(&namespace, &service_account, &role);
        let subject = format!("system:serviceaccount:{namespace}:{service_account}");
        world.emulator.set_trust(&role, &[&subject]);
    }
    (namespace, service_account)
}

async fn mount_all(world: &World, tenants: &[(String, String)], pods_each: usize) {
    // The very same class for everyone.
    let objects = "- {objectName: shop/db, objectType: secretsmanager}";
    let requests: Vec<(usize, Request)> = (0..pods_each)
        .flat_map(|pod| tenants.iter().enumerate().map(move |(number, tenant)| (pod, number, tenant)))
        .map(|(pod, number, (namespace, account))| {
            let uid = u32::try_from(pod * 1000 + number).unwrap();
            (number, Request::of_pod(Pod::numbered(namespace, account, uid), objects))
        })
        .collect();
    let answers = join_all(requests.iter().map(|(_, request)| world.mount(request))).await;
    for ((number, _), answer) in requests.iter().zip(answers) {
        assert_eq!(answer.text("shop_db"), format!("value of {number}"), "a pod of tenant-{number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_identity_ever_gets_anothers_value() {
    let world = World::start().await;
    let tenants: Vec<_> = (0..30).map(|number| tenant(&world, number, number % 2 == 0)).collect();
    mount_all(&world, &tenants, 4).await;
    // Again with cached credentials, and with expired ones.
    mount_all(&world, &tenants, 4).await;
    world.emulator.expire_sessions();
    mount_all(&world, &tenants, 3).await;
}

#[tokio::test(start_paused = true)]
async fn no_identity_gets_anothers_value_while_calls_fail_and_are_retried() {
    let world = World::start().await;
    let tenants: Vec<_> = (0..20).map(|number| tenant(&world, number, number % 2 == 0)).collect();
    for kind in [FaultKind::InternalError, FaultKind::Reset, FaultKind::Hang] {
        world.emulator.inject(Fault::new(kind).times(10));
    }
    let objects = "- {objectName: shop/db, objectType: secretsmanager}";
    let requests: Vec<Request> = (0..100)
        .map(|number| {
            let (namespace, account) = &tenants[number % 20];
            Request::of_pod(Pod::numbered(namespace, account, u32::try_from(number).unwrap()), objects)
        })
        .collect();
    let answers = join_all(requests.iter().map(|request| world.try_mount(request))).await;
    let mut mounted = 0;
    for (number, answer) in answers.into_iter().enumerate() {
        if let Ok(answer) = answer {
            assert_eq!(answer.text("shop_db"), format!("value of {}", number % 20), "mount {number}");
            mounted += 1;
        }
    }
    assert!(mounted > 50, "only {mounted} mounts succeeded: the test shows little");
}

#[tokio::test(start_paused = true)]
async fn one_service_account_with_two_roles_reads_as_the_requested_role() {
    let world = World::start().await;
    let mut roles = Vec::new();
    for account in ["300000000001", "300000000002"] {
        let role = format!("arn:aws:iam::{account}:role/app");
        let secret = format!("arn:aws:secretsmanager:{REGION}:{account}:secret:shop/db-AbCdEf");
        world.emulator.put_secret(REGION, &secret, format!("value of {account}"));
        world.emulator.allow(&role, "secretsmanager:GetSecretValue", "shop/db");
        world.emulator.set_trust(&role, &["system:serviceaccount:shop:web"]);
        roles.push((role, format!("value of {account}")));
    }
    let requests: Vec<(Request, &str)> = (0..40)
        .map(|number| {
            let (role, value) = &roles[number % 2];
            let request = Request::new("- {objectName: shop/db, objectType: secretsmanager}");
            (request.parameter("roleArn", role), value.as_str())
        })
        .collect();
    let answers = join_all(requests.iter().map(|(request, _)| world.mount(request))).await;
    for ((_, value), answer) in requests.iter().zip(answers) {
        assert_eq!(answer.text("shop_db"), *value);
    }
    assert_eq!(world.calls("AssumeRoleWithWebIdentity"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_mounts_with_different_default_modes_do_not_mix() {
    let world = World::start().await;
    world.secret("shop/db", r#"{"a":"1"}"#);
    let objects =
        "- {objectName: shop/db, objectType: secretsmanager, jmesPath: [{path: a, objectAlias: a}]}";
    let modes: Vec<u32> = (0..100).map(|number| 0o400 + number % 0o100).collect();
    let requests: Vec<Request> =
        modes.iter().map(|mode| Request::new(objects).permission(&mode.to_string())).collect();
    let answers = join_all(requests.iter().map(|request| world.mount(request))).await;
    for (mode, answer) in modes.iter().zip(answers) {
        answer.assert_modes([("shop_db", *mode), ("a", *mode)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_of_another_account_needs_its_arn_and_both_policies() {
    let world = World::start().await;
    let secret = format!("arn:aws:secretsmanager:{REGION}:222233334444:secret:partner/api-XyZaBc");
    world.emulator.put_secret(REGION, &secret, "partner's".to_owned());
    let arn = world.emulator.secret_arn(REGION, &secret).unwrap();
    let request = Request::new(&format!("- {{objectName: '{arn}', objectAlias: api}}"));
    let status = world.refusal(&request).await;
    assert_code(&status, tonic::Code::PermissionDenied);
    world.emulator.set_resource_policy(REGION, &secret, &[WEB]).unwrap();
    assert_eq!(world.mount(&request).await.text("api"), "partner's");
}
