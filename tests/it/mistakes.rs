//! All mistakes in a manifest are reported at once, before any call to
//! AWS: InvalidArgument.

use latchkey::model::{role_patterns::RolePatterns, rules::Rules};
use tonic::Code;

use crate::harness::{REGION, Request, World, assert_lacks, assert_says};

/// Ten mistakes in one text.
pub(crate) const MANY: &str = "
- {objectType: secretsmanager}
- {objectName: a, objectType: secretmanager}
- objectName: b
  objectType: secretsmanager
  filePermission: 'rw-r--r--'
  encoding: base32
  optional: perhaps
  jmesPath:
  - {path: 'a[', objectAlias: x}
  - {path: a, key: b, objectAlias: y}
  - {objectAlias: z}
  - {path: a}
- {objectName: c, objectType: ssmparameter, objectVersion: 1, objectVersionLabel: l}";

/// Checks that the mount is refused with these words and without a call to AWS.
async fn refused(world: &World, request: &Request, parts: &[&str]) {
    let status = world.refusal(request).await;
    assert_says(&status, Code::InvalidArgument, parts);
    assert_eq!(world.emulator.calls(), [], "{status}");
}

#[tokio::test(start_paused = true)]
async fn all_mistakes_are_in_one_answer_with_their_places() {
    let world = World::start().await;
    let request = Request::new(MANY)
        .parameter("region", "Frankfurt")
        .parameter("pathTranslation", "__")
        .parameter("usePodIdentity", "maybe")
        .parameter("roleArn", "role/web")
        .permission("four");
    refused(
        &world,
        &request,
        &[
            "SecretProviderClass shop/class",
            "15 mistakes",
            r#"region: "Frankfurt" is not the name of a Region"#,
            r#"pathTranslation: "__" is neither a single character nor "False""#,
            r#"usePodIdentity: "maybe" is neither "true" nor "false""#,
            r#"roleArn: "role/web" is not arn:<partition>:iam::<account>:role/<name>"#,
            r#"permission: "four" is not a file mode"#,
            "objects[0] (line 2): objectName is missing",
            r#"objects[1] (line 3) "a": objectType "secretmanager" is neither secretsmanager nor ssmparameter"#,
            r#"objects[2] (line 4) "b": filePermission "rw-r--r--" is not four octal digits"#,
            r#"encoding "base32" is not base64, base64url or hex"#,
            r#"optional "perhaps" is neither true nor false"#,
            r#"objects[2] (line 4) "b" jmesPath[0] (line 10): path is not a JMESPath expression"#,
            "jmesPath[1] (line 11): set either path or key, not both",
            "jmesPath[2] (line 12): path (a JMESPath expression) or key (a literal top-level key) is missing",
            "jmesPath[3] (line 13): objectAlias is missing",
            r#"objects[3] (line 14) "c": a parameter can have objectVersion or objectVersionLabel, not both"#,
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn objects_must_be_a_list_of_valid_entries() {
    let world = World::start().await;
    for (objects, says) in [
        ("objectName: a", "must be a list"),
        ("- a", "objects[0] (line 1): must be a mapping"),
        ("- [", "objects: is not YAML"),
        ("- {objectName: [a], objectType: secretsmanager}", "objectName must be a string"),
        ("- {objectName: a, objectType: secretsmanager, jmesPath: {path: a}}", "jmesPath must be a list"),
        ("- {objectName: a}", "objectType is missing"),
        ("- {objectName: \"a\\nb\", objectType: secretsmanager}", "no control characters"),
    ] {
        refused(&world, &Request::new(objects), &[says]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_arn_must_agree_with_type_and_region() {
    let world = World::start().await;
    for (object, says) in [
        (
            "{objectName: 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:a-AbCdEf'}",
            r#"the ARN belongs to Region "eu-west-1", but the object is read from Region us-east-1"#,
        ),
        (
            "{objectName: 'arn:aws:ssm:us-east-1:111122223333:parameter/a', objectType: secretsmanager}",
            r#"objectType "secretsmanager" does not match the service of the ARN"#,
        ),
        ("{objectName: 'arn:aws:s3:us-east-1:111122223333:x'}", r#"the ARN belongs to service "s3""#),
        ("{objectName: 'arn:aws:ssm', objectType: ssmparameter}", "is not a complete ARN"),
    ] {
        refused(&world, &Request::new(&format!("- {object}")), &[says]).await;
    }
}

/// A class that was mounted before is not parsed again, but everything that
/// determines its objects still applies.
#[tokio::test(start_paused = true)]
async fn the_same_objects_are_checked_again_in_another_region() {
    let world = World::start().await;
    world.secret("shop/db", "value");
    let name = world.emulator.secret_arn(REGION, "shop/db").unwrap();
    let request = Request::new(&format!("- {{objectName: '{name}', objectAlias: db}}"));
    for _ in 0..2 {
        assert_eq!(world.mount(&request).await.text("db"), "value");
    }
    let elsewhere = request.clone().parameter("region", "eu-west-1");
    let status = world.refusal(&elsewhere).await;
    let says = ["the ARN belongs to Region \"us-east-1\", but the object is read from Region eu-west-1"];
    assert_says(&status, Code::InvalidArgument, &says);
    assert_eq!(world.mount(&request).await.text("db"), "value");
}

#[tokio::test(start_paused = true)]
async fn colliding_files_are_refused_and_both_are_named() {
    let world = World::start().await;
    let twice = "
- {objectName: shop/db, objectType: secretsmanager}
- {objectName: shop_db, objectType: secretsmanager}";
    refused(&world, &Request::new(twice), &[r#""shop/db" and "shop_db" both mount the file "shop_db""#])
        .await;
    let field = "- {objectName: a, objectType: secretsmanager, jmesPath: [{path: x, objectAlias: a}]}";
    refused(&world, &Request::new(field), &[r#"jmesPath "x" of "a" both mount the file "a""#]).await;
    let folder = "
- {objectName: db, objectType: secretsmanager}
- {objectName: db/password, objectType: secretsmanager}";
    let request = Request::new(folder).parameter("pathTranslation", "False");
    refused(&world, &request, &[r#"mounts the file "db", which "db/password" needs as a folder"#]).await;
}

#[tokio::test(start_paused = true)]
#[allow(non_snake_case, reason = "objectAlias and jmesPath are the parameters' own names")]
async fn traversal_through_objectAlias_and_jmesPath_alias_is_refused() {
    let world = World::start().await;
    world.secret("shop/db", r#"{"a":"1"}"#);
    let long = "x".repeat(256);
    for alias in ["../x", "..", "a/../../x", "/etc/passwd/..", "..data", "a//b", "./a", "a/", &long] {
        for objects in [
            format!("- {{objectName: shop/db, objectType: secretsmanager, objectAlias: '{alias}'}}"),
            format!(
                "- {{objectName: shop/db, objectType: secretsmanager, jmesPath: [{{path: a, objectAlias: '{alias}'}}]}}"
            ),
            format!("- {{objectName: '{alias}', objectType: secretsmanager}}"),
        ] {
            let request = Request::new(&objects).parameter("pathTranslation", "False");
            refused(&world, &request, &["results in the file name"]).await;
        }
    }
    for escape in ["../x", "../../../../etc/cron.d/x", ".."] {
        let objects = format!("- {{objectName: '{escape}', objectType: secretsmanager}}");
        // Translated, `../x` is the harmless file `.._x`, a name that the driver reserves.
        refused(&world, &Request::new(&objects), &["results in the file name"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn mode_7777_is_refused() {
    let world = World::start().await;
    for (mode, says) in [
        ("'7777'", "sets bits beyond 0777"),
        ("'4755'", "sets bits beyond 0777"),
        ("'1777'", "sets bits beyond 0777"),
        ("'0888'", "is not four octal digits"),
        ("'644'", "is not four octal digits"),
        ("420", "is not four octal digits"),
        ("-1", "is not four octal digits"),
    ] {
        for objects in [
            format!("- {{objectName: a, objectType: secretsmanager, filePermission: {mode}}}"),
            format!(
                "- {{objectName: a, objectType: secretsmanager, jmesPath: [{{path: a, objectAlias: b, filePermission: {mode}}}]}}"
            ),
        ] {
            refused(&world, &Request::new(&objects), &["filePermission", says]).await;
        }
    }
    for permission in ["4095", "512", "-1", "\"420\"", ""] {
        let request = Request::new("- {objectName: a, objectType: secretsmanager}").permission(permission);
        refused(&world, &request, &["permission", "is not a file mode"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_impossible_failover_object_is_refused() {
    let world = World::start().await;
    let class =
        |object: &str| Request::new(&format!("- {{objectName: a, objectType: secretsmanager, {object}}}"));
    let both = |object: &str| class(object).parameter("failoverRegion", "us-west-2");
    for (request, says) in [
        (both("failoverObject: {objectName: b}"), "the object needs an objectAlias"),
        (class("objectAlias: x, failoverObject: {objectName: b}"), "the class has no failoverRegion"),
        (
            both("objectAlias: x, objectVersion: v1, failoverObject: {objectName: b, objectVersion: v2}"),
            "objectVersion must be the same for both Regions",
        ),
        (class("objectAlias: x").parameter("failoverRegion", REGION), "us-east-1 is also the primary Region"),
        (
            class("objectAlias: x").parameter("failoverRegion", "moon"),
            r#""moon" is not the name of a Region"#,
        ),
    ] {
        refused(&world, &request, &[says]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn limits_on_files_and_expressions_hold() {
    let world = World::with(|config| config.rules.limits.max_objects = 2).await;
    let three = "- {objectName: a, objectType: secretsmanager}\n".repeat(3);
    refused(
        &world,
        &Request::new(&three),
        &["has 3 files, including jmesPath entries; the maximum is 2 (--max-objects)"],
    )
    .await;
    let expression = "a".repeat(1025);
    let long = format!(
        "- {{objectName: a, objectType: secretsmanager, jmesPath: [{{path: {expression}, objectAlias: b}}]}}"
    );
    refused(&world, &Request::new(&long), &["path has 1025 bytes; the maximum is 1024"]).await;
    let deep = format!(
        "- {{objectName: a, objectType: secretsmanager, jmesPath: [{{path: '{}a{}', objectAlias: b}}]}}",
        "(".repeat(400),
        ")".repeat(400)
    );
    refused(&world, &Request::new(&deep), &["the expression is nested more than 128 deep"]).await;
}

#[tokio::test(start_paused = true)]
async fn role_arn_is_refused_by_default() {
    let world = World::with(|config| config.rules = Rules::default()).await;
    let request = Request::new("- {objectName: a, objectType: secretsmanager}")
        .parameter("roleArn", "arn:aws:iam::111122223333:role/web");
    let says = "roleArn: is not allowed, because the provider runs without --allow-role-arn";
    refused(&world, &request, &[says]).await;
}

#[tokio::test(start_paused = true)]
async fn a_role_that_no_allowed_pattern_matches_is_refused() {
    let world = World::with(|config| {
        config.rules.allowed_roles = RolePatterns::parse("arn:aws:iam::111122223333:role/w*").unwrap();
    });
    let world = world.await;
    world.secret("shop/db", "x");
    let request = Request::new("- {objectName: shop/db, objectType: secretsmanager}");
    // They do not apply to the annotation's role.
    world.emulator.set_trust("arn:aws:iam::111122223333:role/own", &["system:serviceaccount:shop:web"]);
    world.emulator.allow("arn:aws:iam::111122223333:role/own", "secretsmanager:GetSecretValue", "*");
    world.kubernetes.annotate("shop", "web", "arn:aws:iam::111122223333:role/own");
    world.mount(&request).await;
    world.mount(&request.clone().parameter("roleArn", "arn:aws:iam::111122223333:role/web")).await;
    world.emulator.reset_calls();
    for key in ["roleArn", "assumeRoleArn"] {
        let request = request.clone().parameter(key, "arn:aws:iam::222233334444:role/web");
        let says = format!(
            "{key}: arn:aws:iam::222233334444:role/web is not among the roles that the provider allows (--allowed-roles)"
        );
        refused(&world, &request, &[&says]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_that_resembles_an_identity_key_is_refused() {
    let world = World::start().await;
    world.secret("a", "x");
    for (key, says) in [
        ("assumerolearn", r#""assumerolearn": this key is unknown"#),
        ("assume_role_arn", "did you mean assumeRoleArn?"),
        ("ExternalId", "did you mean assumeRoleExternalId?"),
        ("UsePodIdentity", "did you mean usePodIdentity?"),
        ("iamRole", "the parameters of a class that choose an identity are roleArn, assumeRoleArn"),
    ] {
        let request = Request::new("- {objectName: a, objectType: secretsmanager}").parameter(key, "x");
        refused(&world, &request, &[says]).await;
        let in_object = format!("- {{objectName: a, objectType: secretsmanager, {key}: x}}");
        refused(&world, &Request::new(&in_object), &["objects[0] (line 1)", key]).await;
    }
    let harmless = Request::new("- {objectName: a, objectType: secretsmanager}");
    world.mount(&harmless.parameter("Region", "eu-central-1").parameter("vaultAddress", "x")).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_without_the_pods_name_and_uid_is_refused() {
    let world = World::start().await;
    let mut request = Request::new("");
    request.pod.uid.clear();
    request.pod.namespace = "../kube-system".to_owned();
    request.target_path.clear();
    refused(
        &world,
        &request,
        &[
            "csi.storage.k8s.io/pod.uid: is missing: the CSIDriver object needs podInfoOnMount: true",
            r#"csi.storage.k8s.io/pod.namespace: "../kube-system" is not a Kubernetes name"#,
            "target_path: is missing",
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_request_is_refused_without_quoting_it() {
    let world = World::start().await;
    let mut message = Request::new("").message(&world.emulator);
    message.attributes = r#"{"csi.storage.k8s.io/serviceAccount.tokens": {"hunter2": 1}}"#.to_owned();
    let status = world.driver.mount(message).await.unwrap_err();
    assert_says(&status, Code::InvalidArgument, &["attributes: is not a JSON object of strings (column 45)"]);
    assert_lacks(status.message(), "hunter2");
    let status = world.refusal(&Request::new("").raw_tokens("hunter2")).await;
    assert_says(&status, Code::InvalidArgument, &["serviceAccount.tokens: is not a JSON object of audience"]);
    assert_lacks(status.message(), "hunter2");
}

#[tokio::test(start_paused = true)]
async fn many_mistakes_are_counted_and_fit_an_answer() {
    let world = World::start().await;
    let objects = "- {objectName: a}\n".repeat(100);
    let status = world.refusal(&Request::new(&objects)).await;
    assert_says(&status, Code::InvalidArgument, &["100 mistakes", "and 72 more"]);
    let wide = format!("- {{objectName: '{}', objectType: x, objectAlias: a}}\n", "ü".repeat(900)).repeat(20);
    let status = world.refusal(&Request::new(&wide)).await;
    assert_says(&status, Code::InvalidArgument, &["20 mistakes", "and 10 more"]);
}
