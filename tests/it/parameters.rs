//! Every parameter of a SecretProviderClass does what its documentation says.

use std::collections::BTreeMap;

use latchkey_emulator::ParameterType;
use serde_json::json;

use crate::harness::{Behaviour, FAILOVER, REGION, Request, SECRET, World};

#[tokio::test(start_paused = true)]
async fn a_secret_and_a_parameter_mount_under_their_translated_names() {
    let world = World::start().await;
    let version = world.secret("shop/db", "hunter2");
    world.parameter("/shop/level", "debug");
    world.parameter("/shop/level", "info");
    let request = Request::new(
        "- {objectName: shop/db, objectType: secretsmanager}\n\
         - {objectName: /shop/level, objectType: ssmparameter}",
    );
    let answer = world.mount(&request).await;
    assert_eq!(answer.paths(), ["_shop_level", "shop_db"]);
    answer.assert_texts([("shop_db", "hunter2"), ("_shop_level", "info")]);
    answer.assert_versions([("shop_db", &version), ("_shop_level", "2")]);
    answer.assert_modes([("shop_db", 0o644)]);
}

#[tokio::test(start_paused = true)]
async fn region_determines_where_to_read() {
    let world = World::start().await;
    world.emulator.put_secret(REGION, "shop/db", "east".to_owned());
    world.emulator.put_secret(FAILOVER, "shop/db", "west".to_owned());
    let answer = world.mount(&Request::new(SECRET).parameter("region", FAILOVER)).await;
    assert_eq!(answer.text("shop_db"), "west");
    assert_eq!(world.regions_of("GetSecretValue"), [FAILOVER]);
}

#[tokio::test(start_paused = true)]
async fn without_region_the_nodes_label_is_read_once() {
    let world = World::with(|config| {
        config.cluster.node_name = Some("node-1".to_owned());
        config.values.max_bytes = 0;
    })
    .await;
    world.kubernetes.add_node("node-1", &json!({ "topology.kubernetes.io/region": "eu-central-1" }));
    world.emulator.put_secret("eu-central-1", "shop/db", "central".to_owned());
    for _ in 0..2 {
        assert_eq!(world.mount(&Request::new(SECRET).without("region")).await.text("shop_db"), "central");
    }
    let reads = world.kubernetes.reads();
    assert_eq!(reads.iter().filter(|path| *path == "/api/v1/nodes/node-1").count(), 1);
    assert_eq!(world.regions_of("GetSecretValue"), ["eu-central-1", "eu-central-1"]);
}

#[tokio::test(start_paused = true)]
async fn the_operators_region_wins_over_the_nodes() {
    let world = World::with(|config| {
        config.rules.default_region = latchkey::model::arn::Region::parse(FAILOVER);
        config.cluster.node_name = Some("node-1".to_owned());
    });
    let world = world.await;
    world.emulator.put_secret(FAILOVER, "shop/db", "west".to_owned());
    let request = Request::new(SECRET).without("region");
    assert_eq!(world.mount(&request).await.text("shop_db"), "west");
    let reads = world.kubernetes.reads();
    assert!(!reads.iter().any(|path| path.contains("nodes")), "the node was read: {reads:?}");
}

#[tokio::test(start_paused = true)]
async fn path_translation_is_any_character_or_false() {
    let world = World::start().await;
    world.secret("shop/db", "x");
    world.parameter("/shop/level", "y");
    let objects = "- {objectName: shop/db, objectType: secretsmanager}\n\
                   - {objectName: /shop/level, objectType: ssmparameter, objectAlias: level/now}";
    for (translation, paths) in [
        (None, ["level_now", "shop_db"]),
        (Some("-"), ["level-now", "shop-db"]),
        (Some("False"), ["level/now", "shop/db"]),
        (Some("false"), ["level/now", "shop/db"]),
    ] {
        let mut request = Request::new(objects);
        request.parameters.extend(translation.map(|text| ("pathTranslation".to_owned(), text.to_owned())));
        assert_eq!(world.mount(&request).await.paths(), paths, "{translation:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_translation_a_parameters_path_becomes_folders() {
    let world = World::start().await;
    world.parameter("/shop/level", "y");
    let request = Request::new("- {objectName: /shop/level, objectType: ssmparameter}");
    let answer = world.mount(&request.parameter("pathTranslation", "False")).await;
    assert_eq!(answer.paths(), ["shop/level"]);
}

#[tokio::test(start_paused = true)]
async fn object_alias_names_the_file() {
    let world = World::start().await;
    world.secret("shop/db", "x");
    let objects = "- {objectName: shop/db, objectType: secretsmanager, objectAlias: database.txt}";
    let answer = world.mount(&Request::new(objects)).await;
    assert_eq!(answer.paths(), ["database.txt"]);
    assert_eq!(answer.versions.keys().collect::<Vec<_>>(), ["database.txt"]);
}

#[tokio::test(start_paused = true)]
async fn object_type_is_not_needed_with_an_arn() {
    let world = World::start().await;
    world.secret("shop/db", "secret");
    world.parameter("/shop/level", "parameter");
    let secret = world.emulator.secret_arn(REGION, "shop/db").unwrap();
    let objects = format!(
        "- {{objectName: '{secret}', objectAlias: a}}\n\
         - {{objectName: 'arn:aws:ssm:us-east-1:111122223333:parameter/shop/level', objectAlias: b}}"
    );
    let answer = world.mount(&Request::new(&objects)).await;
    answer.assert_texts([("a", "secret"), ("b", "parameter")]);
}

#[tokio::test(start_paused = true)]
async fn file_permission_of_an_object_and_of_an_entry_win_over_the_drivers() {
    let world = World::start().await;
    world.secret("shop/db", r#"{"user":"u","password":"p","host":"h"}"#);
    world.secret("shop/other", "x");
    let objects = r#"
- objectName: shop/db
  objectType: secretsmanager
  filePermission: "0440"
  jmesPath:
    - {path: user, objectAlias: user}
    - {path: password, objectAlias: password, filePermission: "0400"}
    - {path: host, objectAlias: host, filePermission: 0604}
- {objectName: shop/other, objectType: secretsmanager}
"#;
    let answer = world.mount(&Request::new(objects).permission("384")).await;
    answer.assert_modes([
        ("shop_db", 0o440),
        ("user", 0o440),
        ("password", 0o400),
        ("host", 0o604),
        ("shop_other", 0o600),
    ]);
}

#[tokio::test(start_paused = true)]
async fn a_secrets_requested_version_and_label_are_read() {
    let world = World::start().await;
    let first = world.secret("shop/db", "one");
    let second = world.secret("shop/db", "two");
    world.emulator.move_label(REGION, "shop/db", "blue", &first).unwrap();
    let objects = format!(
        "- {{objectName: shop/db, objectType: secretsmanager, objectAlias: pinned, objectVersion: {first}}}\n\
         - {{objectName: shop/db, objectType: secretsmanager, objectAlias: previous, objectVersionLabel: AWSPREVIOUS}}\n\
         - {{objectName: shop/db, objectType: secretsmanager, objectAlias: blue, objectVersionLabel: blue}}\n\
         - {{objectName: shop/db, objectType: secretsmanager, objectAlias: now}}\n\
         - {{objectName: shop/db, objectType: secretsmanager, objectAlias: both, objectVersion: {second}, objectVersionLabel: AWSCURRENT}}"
    );
    let answer = world.mount(&Request::new(&objects)).await;
    answer.assert_texts([
        ("pinned", "one"),
        ("previous", "one"),
        ("blue", "one"),
        ("now", "two"),
        ("both", "two"),
    ]);
    answer.assert_versions([("previous", &first), ("now", &second)]);
}

#[tokio::test(start_paused = true)]
async fn a_parameters_requested_version_and_label_are_read() {
    let world = World::start().await;
    for value in ["one", "two", "three"] {
        world.parameter("/shop/limit", value);
    }
    world.emulator.label_parameter(REGION, "/shop/limit", 2, "stable").unwrap();
    let objects = "
- {objectName: /shop/limit, objectType: ssmparameter, objectAlias: first, objectVersion: 1}
- {objectName: /shop/limit, objectType: ssmparameter, objectAlias: stable, objectVersionLabel: stable}
- {objectName: /shop/limit, objectType: ssmparameter, objectAlias: now}";
    let answer = world.mount(&Request::new(objects)).await;
    answer.assert_texts([("first", "one"), ("stable", "two"), ("now", "three")]);
    answer.assert_versions([("first", "1"), ("stable", "2"), ("now", "3")]);
}

#[tokio::test(start_paused = true)]
async fn secure_strings_and_string_lists_are_read_as_text() {
    let world = World::start().await;
    world.emulator.put_parameter(REGION, "/shop/token", ParameterType::SecureString, "plain text");
    world.emulator.put_parameter(REGION, "/shop/hosts", ParameterType::StringList, "a,b");
    let objects = "- {objectName: /shop/token, objectType: ssmparameter}\n\
                   - {objectName: /shop/hosts, objectType: ssmparameter}";
    let answer = world.mount(&Request::new(objects)).await;
    answer.assert_texts([("_shop_token", "plain text"), ("_shop_hosts", "a,b")]);
}

#[tokio::test(start_paused = true)]
async fn a_secret_referenced_as_a_parameter_is_mounted() {
    let world = World::start().await;
    world.secret("shop/db", "plain text");
    world.parameter("/shop/level", "info");
    let objects = "- {objectName: /aws/reference/secretsmanager/shop/db, objectType: ssmparameter}\n\
                   - {objectName: /shop/level, objectType: ssmparameter}";
    let answer = world.mount(&Request::new(objects)).await;
    answer.assert_texts([("_aws_reference_secretsmanager_shop_db", "plain text"), ("_shop_level", "info")]);
}

#[tokio::test(start_paused = true)]
async fn a_binary_secret_mounts_byte_by_byte() {
    let world = World::start().await;
    let bytes: Vec<u8> = (0..=255).collect();
    world.emulator.put_secret(REGION, "shop/db", bytes.clone());
    assert_eq!(world.mount(&Request::new(SECRET)).await.bytes("shop_db"), bytes);
}

#[tokio::test(start_paused = true)]
async fn an_absent_optional_object_is_skipped() {
    let world = World::start().await;
    world.secret("shop/db", "x");
    let objects = "
- {objectName: shop/db, objectType: secretsmanager}
- {objectName: shop/nothing, objectType: secretsmanager, optional: true}
- {objectName: /shop/nothing, objectType: ssmparameter, optional: true}
- {objectName: shop/db, objectType: secretsmanager, objectAlias: label, objectVersionLabel: none, optional: true}";
    assert_eq!(world.mount(&Request::new(objects)).await.paths(), ["shop_db"]);
}

#[tokio::test(start_paused = true)]
async fn a_class_without_files_mounts_with_a_version_that_the_driver_accepts() {
    let world = World::start().await;
    for objects in ["", "[]", "- {objectName: shop/nothing, objectType: secretsmanager, optional: true}"] {
        let answer = world.mount(&Request::new(objects)).await;
        assert_eq!(answer.paths(), [""; 0], "{objects:?}");
        assert_eq!(answer.versions.len(), 1, "{objects:?}: {:?}", answer.versions);
    }
}

#[tokio::test(start_paused = true)]
async fn encoding_decodes_the_whole_value() {
    let world = World::uncached().await;
    for (encoding, text) in [("base64", "AAH/+g=="), ("base64url", "AAH_-g"), ("hex", "0001fFfa")] {
        world.secret("shop/db", text);
        let objects = format!("- {{objectName: shop/db, objectType: secretsmanager, encoding: {encoding}}}");
        let answer = world.mount(&Request::new(&objects)).await;
        assert_eq!(answer.bytes("shop_db"), [0, 1, 255, 250], "{encoding}");
    }
}

#[tokio::test(start_paused = true)]
async fn role_arn_needs_no_kubernetes_and_wins_over_the_annotation() {
    const OTHER: &str = "arn:aws:iam::111122223333:role/other";
    let world = World::start().await;
    world.kubernetes.behave(Behaviour::Refuse(403));
    world.secret("shop/db", "x");
    world.emulator.set_trust(OTHER, &["system:serviceaccount:shop:web"]);
    world.emulator.allow(OTHER, "secretsmanager:GetSecretValue", "shop/db");
    world.mount(&Request::new(SECRET).parameter("roleArn", OTHER)).await;
    assert_eq!(world.kubernetes.reads(), Vec::<String>::new());
    let calls = world.emulator.calls();
    let read = calls.iter().find(|call| call.operation == "GetSecretValue").unwrap();
    assert_eq!(read.role.as_deref(), Some(OTHER));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_ignored_everywhere() {
    let world = World::start().await;
    world.secret("shop/db", r#"{"a":"1"}"#);
    let objects = "
- objectName: shop/db
  objectType: secretsmanager
  objectTypo: x
  jmesPath: [{path: a, objectAlias: a, pathTypo: x}]
  failoverObject: {objectTypo: x}";
    let answer = world.mount(&Request::new(objects).parameter("regionTypo", "x")).await;
    assert_eq!(answer.paths(), ["a", "shop_db"]);
}

#[tokio::test(start_paused = true)]
async fn yaml_that_works_with_gos_reader_works_here() {
    let world = World::start().await;
    for value in ["one", "two", "three"] {
        world.parameter("/shop/limit", value);
    }
    world.secret("yes", "a secret named true");
    world.secret("1.1", "a secret named by a float");
    let files: BTreeMap<&str, &str> = [
        // An unquoted number in a text field.
        ("- objectName: /shop/limit\n  objectType: ssmparameter\n  objectVersion: 2", "two"),
        // A key in another case, a null, a duplicate whose last wins.
        ("- objectname: /shop/limit\n  OBJECTTYPE: ssmparameter\n  objectAlias: ~", "three"),
        ("- objectName: x\n  objectName: /shop/limit\n  objectType: ssmparameter\n  jmesPath:", "three"),
        // A merge, a byte-order mark with CRLF, a second document.
        ("- &a {objectName: /shop/limit, objectType: ssmparameter, objectVersion: 1}\n- <<: *a\n  objectAlias: b", "one"),
        ("\u{feff}- objectName: /shop/limit\r\n  objectType: ssmparameter\r\n", "three"),
        ("- objectName: /shop/limit\n  objectType: ssmparameter\n---\n- nonsense", "three"),
        // JSON is YAML.
        (r#"[{"objectName": "/shop/limit", "objectType": "ssmparameter"}]"#, "three"),
    ]
    .into();
    for (yaml, value) in files {
        let answer = world.mount(&Request::new(yaml)).await;
        assert_eq!(answer.text("_shop_limit"), value, "{yaml}");
    }
    let answer = world.mount(&Request::new("- {objectName: 1.10, objectType: secretsmanager}")).await;
    assert_eq!(answer.text("1.1"), "a secret named by a float");
}
