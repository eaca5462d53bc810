//! The number of calls that a mount makes, in total and concurrently.

use std::{fmt::Write, time::Duration};

use futures_util::future::join_all;
use latchkey_emulator::{FaultKind, ParameterType};
use tonic::Code;

use crate::harness::{Pod, REGION, Request, WEB, World, assert_code, assert_lacks, assert_says};

/// `count` objects of one service, in AWS and in a class.
fn objects(world: &World, service: &str, count: usize) -> String {
    let mut objects = String::new();
    for number in 0..count {
        match service {
            "secretsmanager" => drop(world.secret(&format!("/many/{number}"), &format!("value {number}"))),
            _ => drop(world.parameter(&format!("/many/{number}"), &format!("value {number}"))),
        }
        writeln!(objects, "- {{objectName: /many/{number}, objectType: {service}}}").unwrap();
    }
    objects
}

#[tokio::test(start_paused = true)]
async fn ten_secrets_take_one_call_to_sts_and_ten_concurrent_reads() {
    let world = World::start().await;
    let objects = objects(&world, "secretsmanager", 10);
    world.emulator.set_delay(None, Duration::from_millis(100));
    let started = tokio::time::Instant::now();
    let answer = world.mount(&Request::new(&objects)).await;
    assert_eq!(answer.text("_many_7"), "value 7");
    let counts: Vec<(String, u64)> = world.emulator.call_counts().into_iter().collect();
    assert_eq!(counts, [("AssumeRoleWithWebIdentity".to_owned(), 1), ("GetSecretValue".to_owned(), 10)]);
    assert_eq!(world.emulator.max_calls_at_once(), 10);
    assert_eq!(started.elapsed().as_millis() / 100, 2, "one round for STS, one for all reads");
}

#[tokio::test(start_paused = true)]
async fn parameters_are_read_in_concurrent_tens() {
    for (count, calls) in [(1, 1), (10, 1), (11, 2), (20, 2), (21, 3)] {
        let world = World::start().await;
        let objects = objects(&world, "ssmparameter", count);
        world.emulator.set_delay(Some("GetParameters"), Duration::from_millis(100));
        let answer = world.mount(&Request::new(&objects)).await;
        assert_eq!(answer.paths().len(), count);
        for number in 0..count {
            assert_eq!(answer.text(&format!("_many_{number}")), format!("value {number}"));
        }
        assert_eq!(world.calls("GetParameters"), calls, "{count} parameters");
        let at_once = world.emulator.max_calls_at_once();
        assert_eq!(at_once, usize::try_from(calls).unwrap(), "calls at once for {count} parameters");
    }
}

#[tokio::test(start_paused = true)]
async fn one_namespace_makes_sixty_six_of_ninety_six_calls_at_once_in_one_region() {
    let world = World::start().await;
    let objects = objects(&world, "secretsmanager", 200);
    world.emulator.set_delay(Some("GetSecretValue"), Duration::from_millis(100));
    let lines: Vec<&str> = objects.lines().collect();
    let requests = lines.chunks(40).map(|part| Request::new(&part.join("\n")));
    let requests: Vec<Request> = requests.collect();
    for answer in join_all(requests.iter().map(|request| world.mount(request))).await {
        assert_eq!(answer.paths().len(), 40);
    }
    // The other places are reserved for its other Regions and for other namespaces.
    assert_eq!(world.emulator.max_calls_at_once(), 66);
    assert_eq!(world.calls("GetSecretValue"), 200);
}

#[tokio::test(start_paused = true)]
async fn many_pods_of_many_namespaces_stay_within_the_limit() {
    let world = World::with(|config| config.aws.max_calls = 8).await;
    let objects = objects(&world, "secretsmanager", 10);
    let parameters = world.emulator.put_parameter(REGION, "/shop/level", ParameterType::String, "info");
    assert_eq!(parameters, 1);
    let objects = format!("{objects}- {{objectName: /shop/level, objectType: ssmparameter}}\n");
    world.emulator.set_delay(None, Duration::from_millis(20));
    world.kubernetes.annotate("other", "web", WEB);
    world.emulator.set_trust(WEB, &["system:serviceaccount:shop:web", "system:serviceaccount:other:web"]);
    let pods = (0..10).flat_map(|number| {
        [Pod::numbered("shop", "web", number), Pod::numbered("other", "web", 100 + number)]
    });
    let requests: Vec<Request> = pods.map(|pod| Request::of_pod(pod, &objects)).collect();
    join_all(requests.iter().map(|request| world.mount(request))).await;
    // The last places are reserved for a third namespace.
    let at_once = world.emulator.max_calls_at_once();
    assert!((6..=8).contains(&at_once), "{at_once} calls at once");
}

#[tokio::test(start_paused = true)]
async fn hanging_calls_do_not_keep_their_places_forever() {
    let world = World::with(|config| config.aws.max_calls = 4).await;
    let objects = objects(&world, "secretsmanager", 4);
    let fault = world.fault("GetSecretValue", FaultKind::Hang);
    assert_code(&world.refusal(&Request::new(&objects)).await, Code::Internal);
    world.emulator.remove_fault(fault);
    world.mount(&Request::new(&objects)).await;
}

#[tokio::test(start_paused = true)]
async fn one_denied_parameter_among_ten_is_named_alone() {
    let world = World::start().await;
    let objects = objects(&world, "ssmparameter", 10);
    world.emulator.deny(WEB, "ssm:GetParameters", "/many/3");
    let status = world.refusal(&Request::new(&objects)).await;
    let says = [
        "1 of 10 objects",
        r#"Parameter Store "/many/3""#,
        "explicitly denies ssm:GetParameters on arn:aws:ssm:us-east-1:111122223333:parameter/many/3",
    ];
    assert_says(&status, Code::PermissionDenied, &says);
    for other in ["/many/0", "/many/2", "/many/4"] {
        assert_lacks(status.message(), &format!("{other:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_does_not_multiply_calls() {
    let world = World::start().await;
    let objects = objects(&world, "ssmparameter", 10);
    world.fault("GetParameters", FaultKind::InternalError);
    world.refusal(&Request::new(&objects)).await;
    assert_eq!(world.calls("GetParameters"), 3, "one call with its two retries");
}

#[tokio::test(start_paused = true)]
async fn two_versions_of_one_parameter_in_one_request_both_mount() {
    let world = World::start().await;
    for value in ["one", "two", "three"] {
        world.parameter("/shop/limit", value);
    }
    let objects = "
- {objectName: /shop/limit, objectType: ssmparameter, objectAlias: c, objectVersion: 1}
- {objectName: /shop/limit, objectType: ssmparameter, objectAlias: b, objectVersion: 2}
- {objectName: /shop/limit, objectType: ssmparameter, objectAlias: a}";
    let answer = world.mount(&Request::new(objects)).await;
    answer.assert_texts([("c", "one"), ("b", "two"), ("a", "three")]);
    assert_eq!(world.calls("GetParameters"), 1);
}

#[tokio::test(start_paused = true)]
async fn two_labels_of_one_parameter_both_mount() {
    let world = World::start().await;
    for value in ["one", "two", "three"] {
        world.parameter("/shop/limit", value);
    }
    for (version, label) in [(1, "stable"), (2, "canary"), (2, "also")] {
        world.emulator.label_parameter(REGION, "/shop/limit", version, label).unwrap();
    }
    let objects = "
- {objectName: /shop/limit, objectType: ssmparameter, objectAlias: stable, objectVersionLabel: stable}
- {objectName: /shop/limit, objectType: ssmparameter, objectAlias: canary, objectVersionLabel: canary}
- {objectName: /shop/limit, objectType: ssmparameter, objectAlias: also, objectVersionLabel: also}
- {objectName: /shop/limit, objectType: ssmparameter, objectAlias: second, objectVersion: 2}
- {objectName: /shop/limit, objectType: ssmparameter, objectAlias: now}";
    let answer = world.mount(&Request::new(objects)).await;
    answer.assert_texts([
        ("stable", "one"),
        ("canary", "two"),
        ("also", "two"),
        ("second", "two"),
        ("now", "three"),
    ]);
}

#[tokio::test(start_paused = true)]
async fn a_parameter_name_may_have_a_selector() {
    let world = World::start().await;
    for value in ["one", "two", "three"] {
        world.parameter("/foo", value);
    }
    world.emulator.label_parameter(REGION, "/foo", 2, "stable").unwrap();
    let arn = "arn:aws:ssm:us-east-1:111122223333:parameter/foo";
    let objects = format!(
        "
- {{objectName: '/foo:3', objectType: ssmparameter, objectAlias: third}}
- {{objectName: '/foo:stable', objectType: ssmparameter, objectAlias: stable}}
- {{objectName: '{arn}:1', objectAlias: first}}
- {{objectName: '{arn}', objectAlias: now}}"
    );
    let answer = world.mount(&Request::new(&objects)).await;
    answer.assert_texts([("third", "three"), ("stable", "two"), ("first", "one"), ("now", "three")]);
    for object in ["/foo:9", "/foo:none", ":3"] {
        let objects = format!("- {{objectName: '{object}', objectType: ssmparameter}}");
        let status = world.refusal(&Request::new(&objects)).await;
        let expected = [Code::NotFound, Code::InvalidArgument];
        assert!(expected.contains(&status.code()), "{object}: {status}");
    }
    world.mount(&Request::new(&objects)).await;
}
