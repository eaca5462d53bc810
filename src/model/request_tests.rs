use std::time::Duration;

use super::*;
use crate::model::attributes::TOKENS_KEY;
use crate::model::object::Object;
use crate::model::reference::{Selector, Service};
use crate::model::region_patterns::RegionPatterns;
use crate::model::role_patterns::RolePatterns;

/// A request whose attributes are the given ones on top of a pod's.
fn parse_with(attributes: &[(&str, &str)], permission: &str, rules: &Rules) -> Result<Class, Invalid> {
    let mut all = serde_json::json!({
        "csi.storage.k8s.io/pod.name": "web-0",
        "csi.storage.k8s.io/pod.namespace": "shop",
        "csi.storage.k8s.io/pod.uid": "0b5e1b9e-9a54-4d5c-a0a5-1d8f0f5a0001",
        "csi.storage.k8s.io/serviceAccount.name": "web",
        "secretProviderClass": "aws",
        "region": "us-east-1",
        "objects": "",
    });
    for (key, value) in attributes {
        all[key] = serde_json::Value::String((*value).to_owned());
    }
    let raw = RawRequest {
        attributes: all.to_string(),
        secrets: "null".to_owned(),
        target_path: "/t".to_owned(),
        permission: permission.to_owned(),
    };
    MountRequest::parse(raw, rules).map(|(request, _)| request.class)
}

fn parse(attributes: &[(&str, &str)]) -> Result<Class, Invalid> {
    parse_with(attributes, "420", &Rules::default())
}

fn objects(yaml: &str) -> Result<Vec<Object>, Vec<String>> {
    parse(&[("objects", yaml)]).map(|request| request.objects.to_vec()).map_err(|error| error.mistakes)
}

fn file_names(attributes: &[(&str, &str)]) -> Vec<String> {
    let request = parse(attributes).unwrap();
    request.objects.iter().flat_map(Object::paths).map(|(path, _)| path.to_string()).collect()
}

#[test]
fn a_class_whose_name_is_none_is_refused_and_its_name_not_repeated_elsewhere() {
    for name in ["a\nb", "A", "a/b", &"x".repeat(300)] {
        let error = parse(&[("secretProviderClass", name)]).unwrap_err();
        assert_eq!(error.heading, "the mount request is invalid");
        assert!(error.mistakes[0].starts_with("secretProviderClass: "), "{error}");
        assert!(error.mistakes[0].len() < 260, "{error}");
    }
}

#[test]
fn file_names_are_those_of_awss_own_provider() {
    let named = "- {objectName: /a/b, objectType: ssmparameter}";
    assert_eq!(file_names(&[("objects", named)]), ["_a_b"]);
    assert_eq!(file_names(&[("objects", named), ("pathTranslation", "-")]), ["-a-b"]);
    assert_eq!(file_names(&[("objects", named), ("pathTranslation", "False")]), ["a/b"]);
    assert_eq!(file_names(&[("objects", named), ("pathTranslation", "fAlSe")]), ["a/b"]);
    let arn = "- objectName: arn:aws:secretsmanager:us-east-1:111122223333:secret:x/y-AbCdEf";
    assert_eq!(
        file_names(&[("objects", arn)]),
        ["arn:aws:secretsmanager:us-east-1:111122223333:secret:x_y-AbCdEf"]
    );
    let aliases = "- {objectName: a, objectType: secretsmanager, objectAlias: x/y, jmesPath: [{path: k, objectAlias: '\"k-k\"'}]}";
    assert_eq!(file_names(&[("objects", aliases)]), ["x_y", "\"k-k\""]);
}

#[test]
fn an_empty_list_mounts_nothing() {
    for empty in ["", "# nothing", "[]", "~", "---"] {
        assert!(objects(empty).unwrap().is_empty(), "{empty:?}");
    }
}

#[test]
fn keys_match_in_any_case_and_null_is_empty() {
    let objects = objects(
        "- {OBJECTNAME: a, ObjectType: secretsmanager, objectAlias: ~, jmesPath: , objectVersion: 3}",
    )
    .unwrap();
    assert_eq!(objects[0].reference.selector.version.as_deref(), Some("3"));
    assert!(objects[0].fields.is_empty());
    assert_eq!(objects[0].path.as_str(), "a");
}

#[test]
fn an_arn_tells_the_service_in_every_partition() {
    for (partition, region) in
        [("aws", "us-east-1"), ("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")]
    {
        for (resource, service) in
            [("secretsmanager", Service::SecretsManager), ("ssm", Service::ParameterStore)]
        {
            let yaml = format!("- objectName: arn:{partition}:{resource}:{region}:111122223333:parameter/x");
            let request = parse(&[("region", region), ("objects", &yaml)]).unwrap();
            assert_eq!(request.objects[0].reference.service, service);
        }
    }
}

#[test]
fn a_selector_in_the_name_becomes_the_selector() {
    for (name, id, version, label) in [
        ("/foo:3", "/foo", Some("3"), None),
        ("/foo:live", "/foo", None, Some("live")),
        (
            "arn:aws:ssm:us-east-1:111122223333:parameter/foo:3",
            "arn:aws:ssm:us-east-1:111122223333:parameter/foo",
            Some("3"),
            None,
        ),
        (
            "arn:aws:ssm:us-east-1:111122223333:parameter/foo",
            "arn:aws:ssm:us-east-1:111122223333:parameter/foo",
            None,
            None,
        ),
    ] {
        let objects = objects(&format!("- {{objectName: '{name}', objectType: ssmparameter}}")).unwrap();
        let selector = Selector { version: version.map(str::to_owned), label: label.map(str::to_owned) };
        assert_eq!(
            (objects[0].reference.id.as_str(), &objects[0].reference.selector),
            (id, &selector),
            "{name}"
        );
    }
    let twice = objects("- {objectName: '/foo:3', objectType: ssmparameter, objectVersion: 4}").unwrap_err();
    assert!(twice[0].contains("already selects"), "{twice:?}");
}

#[test]
fn modes_are_four_octal_digits_up_to_0777() {
    let mode = |text: &str| {
        objects(&format!("- {{objectName: a, objectType: secretsmanager, filePermission: {text}}}"))
            .map(|objects| objects[0].mode.bits())
    };
    assert_eq!(mode("'0400'"), Ok(0o400));
    assert_eq!(mode("0644"), Ok(0o644));
    assert_eq!(mode("''"), Ok(0o644));
    for bad in ["'7777'", "7777", "'644'", "420", "400", "0o644", "'0888'", "rw"] {
        assert!(mode(bad).is_err(), "{bad}");
    }
    assert!(parse_with(&[], "4095", &Rules::default()).is_err());
    assert!(parse_with(&[], "", &Rules::default()).is_err());
}

#[test]
fn all_mistakes_of_a_request_are_reported_together() {
    let error = parse_with(
        &[
            ("region", "evil.example/"),
            ("usePodIdentity", "perhaps"),
            ("pathTranslation", "__"),
            ("roleArn", "admin"),
            (
                "objects",
                "- objectName: a\n- objectType: secretsmanager\n- {objectName: b, objectType: ssm}\n- plain",
            ),
        ],
        "999999",
        &Rules { allow_role_arn: true, ..Rules::default() },
    )
    .unwrap_err();
    for place in [
        "region",
        "usePodIdentity",
        "pathTranslation",
        "roleArn",
        "permission",
        "objects[0] (line 1) \"a\"",
        "objects[1] (line 2)",
        "objects[2] (line 3) \"b\"",
        "objects[3] (line 4)",
    ] {
        assert!(error.mistakes.iter().any(|mistake| mistake.starts_with(place)), "{place}: {error}");
    }
    assert!(error.to_string().contains("SecretProviderClass shop/aws"), "{error}");
}

#[test]
fn files_that_collide_are_an_error_that_names_both() {
    for (yaml, names) in [
        (
            "- {objectName: a/b, objectType: secretsmanager}\n- {objectName: a_b, objectType: secretsmanager}",
            ["\"a/b\"", "\"a_b\""],
        ),
        (
            "- {objectName: a, objectType: secretsmanager, jmesPath: [{path: k, objectAlias: a}]}",
            ["\"a\"", "jmesPath \"k\""],
        ),
    ] {
        let mistakes = objects(yaml).unwrap_err();
        assert!(names.iter().all(|name| mistakes[0].contains(name)), "{mistakes:?}");
    }
    let nested =
        "- {objectName: a, objectType: secretsmanager}\n- {objectName: a/b, objectType: secretsmanager}";
    let error = parse(&[("pathTranslation", "False"), ("objects", nested)]).unwrap_err();
    assert!(error.to_string().contains("needs as a folder"), "{error}");
}

#[test]
fn no_name_or_alias_leaves_the_mount() {
    for hostile in ["..", "../x", "a/../../x", "/../x", "..data", "..2026/x", "a/..", "./x", "a//b"] {
        for entry in [
            format!("- {{objectName: '{hostile}', objectType: secretsmanager}}"),
            format!("- {{objectName: a, objectType: secretsmanager, objectAlias: '{hostile}'}}"),
            format!(
                "- {{objectName: a, objectType: secretsmanager, jmesPath: [{{path: k, objectAlias: '{hostile}'}}]}}"
            ),
        ] {
            let parsed = parse(&[("pathTranslation", "False"), ("objects", &entry)]);
            assert!(parsed.is_err(), "{entry}");
        }
    }
}

#[test]
fn failover_objects_follow_the_rules_of_awss_own_provider() {
    let class = |entry: &str| parse(&[("failoverRegion", "us-west-2"), ("objects", entry)]);
    let good = class("- {objectName: a, objectType: secretsmanager, objectAlias: x, failoverObject: {objectName: b, objectVersionLabel: L}}").unwrap();
    let failover = good.objects[0].failover.as_ref().unwrap();
    assert_eq!((failover.id.as_str(), failover.selector.label.as_deref()), ("b", Some("L")));
    for (entry, problem) in [
        ("- {objectName: a, objectType: secretsmanager, failoverObject: {objectName: b}}", "objectAlias"),
        (
            "- {objectName: a, objectType: secretsmanager, objectAlias: x, objectVersion: 1, failoverObject: {objectName: b}}",
            "objectVersion",
        ),
        (
            "- {objectName: a, objectType: secretsmanager, objectAlias: x, failoverObject: {objectName: 'arn:aws:secretsmanager:us-east-1:111122223333:secret:b'}}",
            "us-west-2",
        ),
        (
            "- {objectName: 'arn:aws:secretsmanager:us-east-1:111122223333:secret:a'}",
            "is of one Region: failoverRegion us-west-2 needs a failoverObject",
        ),
        (
            "- {objectName: 'arn:aws:secretsmanager:us-east-1:111122223333:secret:a', failoverObject: {objectVersionLabel: L}}",
            "is of one Region",
        ),
    ] {
        let error = class(entry).unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
    }
    let without_region = parse(&[(
        "objects",
        "- {objectName: a, objectType: secretsmanager, objectAlias: x, failoverObject: {objectName: b}}",
    )]);
    assert!(without_region.unwrap_err().to_string().contains("failoverRegion"));
    assert!(parse(&[("failoverRegion", "us-east-1")]).is_err());
}

#[test]
fn kubelets_tokens_among_the_secrets_win_over_the_attributes() {
    let tokens = |attributes: &str, secrets: &str| {
        let mut texts = serde_json::json!({
            "csi.storage.k8s.io/pod.name": "p", "csi.storage.k8s.io/pod.namespace": "n",
            "csi.storage.k8s.io/pod.uid": "u", "csi.storage.k8s.io/serviceAccount.name": "s",
            "objects": "",
        });
        if !attributes.is_empty() {
            texts[TOKENS_KEY] = attributes.into();
        }
        let raw = RawRequest {
            attributes: texts.to_string(),
            secrets: secrets.to_owned(),
            target_path: "/t".into(),
            permission: "420".into(),
        };
        MountRequest::parse(raw, &Rules::default())
            .map(|(_, tokens)| tokens.get("a").map(|token| token.expose().to_owned()))
    };
    let in_secrets = serde_json::json!({ TOKENS_KEY: r#"{"a":{"token":"second"}}"# }).to_string();
    assert_eq!(tokens(r#"{"a":{"token":"first"}}"#, &in_secrets), Ok(Some("second".to_owned())));
    assert_eq!(tokens("", &in_secrets), Ok(Some("second".to_owned())));
    // What a pod author wrote into volumeAttributes is not even read then.
    assert_eq!(tokens("no JSON", &in_secrets), Ok(Some("second".to_owned())));
    let none = serde_json::json!({ TOKENS_KEY: "" }).to_string();
    for secrets in ["null", "", "{}", &none] {
        assert_eq!(tokens(r#"{"a":{"token":"first"}}"#, secrets), Ok(Some("first".to_owned())));
    }
    assert_eq!(tokens("", "null"), Ok(None));
    assert_eq!(tokens("", ""), Ok(None));
}

#[test]
fn no_mistake_quotes_a_token() {
    let canary = "canary-token-1";
    for attributes in [
        format!("{{\"{TOKENS_KEY}\": {canary}"),
        format!("{{\"{TOKENS_KEY}\": \"{canary}\"}}"),
        format!("{{\"x\": {{\"token\": \"{canary}\"}}}}"),
        canary.to_owned(),
    ] {
        for secrets in [attributes.clone(), "null".to_owned()] {
            let raw = RawRequest {
                attributes: attributes.clone(),
                secrets,
                target_path: String::new(),
                permission: "x".into(),
            };
            let error = MountRequest::parse(raw, &Rules::default()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(canary), "{error:?}");
        }
    }
}

#[test]
fn unknown_keys_are_warnings() {
    let request = parse(&[
        ("regoin", "x"),
        ("objects", "- {objectName: a, objectType: secretsmanager, objectAlas: b}"),
    ])
    .unwrap();
    assert_eq!(request.warnings.len(), 2, "{:?}", request.warnings);
    assert!(request.warnings[0].contains("regoin") && request.warnings[1].contains("objectAlas"));
}

#[test]
fn limits_are_held() {
    let unknown: Vec<String> = (0..201).map(|number| format!("key{number}")).collect();
    let unknown: Vec<(&str, &str)> = unknown.iter().map(|key| (key.as_str(), "x")).collect();
    assert!(parse(&unknown[..200]).is_ok());
    let error = parse(&unknown).unwrap_err();
    assert_eq!(error.mistakes, ["parameters: have 201 keys that are unknown here; the maximum is 200"]);
    assert!(error.warnings.is_empty());

    let many = "- {objectName: a, objectType: secretsmanager}\n".repeat(501);
    assert!(objects(&many).unwrap_err()[0].contains("501"));
    let long = format!(
        "- {{objectName: a, objectType: secretsmanager, jmesPath: [{{path: {}, objectAlias: k}}]}}",
        "x".repeat(1025)
    );
    assert!(objects(&long).unwrap_err()[0].contains("1025"));
}

#[test]
fn a_role_arn_is_refused_unless_the_operator_allows_it() {
    let role = [("roleArn", "arn:aws:iam::111122223333:role/x")];
    let error = parse(&role).unwrap_err();
    assert!(error.to_string().contains("without --allow-role-arn"), "{error}");
    let rules = Rules { allow_role_arn: true, ..Rules::default() };
    assert!(parse_with(&role, "420", &rules).is_ok());
}

#[test]
fn an_assumed_role_comes_with_its_external_id_and_neither_is_guessed() {
    const ROLE: &str = "arn:aws:iam::222233334444:role/x";
    let assumed = |texts: &[(&str, &str)]| parse(texts).map(|request| request.identity.assumed_role);
    assert_eq!(assumed(&[]), Ok(None));
    assert_eq!(assumed(&[("assumeRoleArn", ""), ("assumeRoleExternalId", "")]), Ok(None));
    let both = assumed(&[("assumeRoleArn", ROLE), ("assumeRoleExternalId", "shop/1")]).unwrap().unwrap();
    assert_eq!((both.arn.as_str(), both.external_id.unwrap().as_str()), (ROLE, "shop/1"));
    for (texts, problem) in [
        (
            [("assumeRoleArn", "reader"), ("assumeRoleExternalId", "ab")],
            "assumeRoleArn: \"reader\" is not arn:",
        ),
        (
            [("assumeRoleArn", ROLE), ("assumeRoleExternalId", "a b")],
            "assumeRoleExternalId: is no external id",
        ),
        ([("assumeRoleArn", ""), ("assumeRoleExternalId", "ab")], "needs assumeRoleArn"),
    ] {
        let error = assumed(&texts).unwrap_err();
        assert_eq!(error.count, 1, "{error}");
        assert!(error.to_string().contains(problem), "{error}");
    }
}

#[test]
fn allowed_roles_bind_every_role_that_a_class_names() {
    let allowed_roles = RolePatterns::parse("arn:aws:iam::111122223333:role/shop-*").unwrap();
    let rules = Rules { allow_role_arn: true, allowed_roles, ..Rules::default() };
    for key in ["roleArn", "assumeRoleArn"] {
        assert!(parse_with(&[(key, "arn:aws:iam::111122223333:role/shop-web")], "420", &rules).is_ok());
        let error =
            parse_with(&[(key, "arn:aws:iam::222233334444:role/shop-web")], "420", &rules).unwrap_err();
        assert!(error.to_string().contains("--allowed-roles"), "{error}");
        assert!(error.mistakes[0].starts_with(&format!("{key}: ")), "{error}");
    }
}

#[test]
fn an_unknown_key_that_looks_like_an_identity_is_a_mistake_and_names_the_one_that_was_meant() {
    for (key, known) in [
        ("RoleArn", "roleArn"),
        ("assumerolearn", "assumeRoleArn"),
        ("externalId", "assumeRoleExternalId"),
        ("usePodidentity", "usePodIdentity"),
    ] {
        let error = parse(&[(key, "x")]).unwrap_err();
        assert!(error.mistakes[0].starts_with(&format!("{key:?}: ")), "{error}");
        assert!(error.mistakes[0].ends_with(&format!("did you mean {known}?")), "{error}");
        assert!(parse(&[(key, "")]).is_ok(), "an empty parameter asks for nothing");
        let objects = format!("- {{objectName: a, objectType: secretsmanager, {key}: x}}");
        let error = parse(&[("objects", &objects)]).unwrap_err();
        assert!(error.mistakes[0].starts_with("objects[0] (line 1) \"a\": "), "{error}");
    }
}

#[test]
fn a_region_learnt_later_is_checked_too() {
    let request = parse_with(
        &[("region", ""), ("objects", "- objectName: arn:aws:ssm:us-west-2:111122223333:parameter/x")],
        "420",
        &Rules::default(),
    )
    .unwrap();
    assert_eq!(request.region, None);
    let check =
        |region, rules: &Rules| request.check_region(&Region::parse(region).unwrap(), rules, String::new);
    assert!(check("us-west-2", &Rules::default()).is_ok());
    assert!(check("us-east-1", &Rules::default()).is_err());
    let rules = Rules { allowed_regions: RegionPatterns::parse("eu-*").unwrap(), ..Rules::default() };
    let error = check("us-west-2", &rules).unwrap_err().to_string();
    assert!(error.contains("Region us-west-2 is not allowed here (--allowed-regions=eu-*)"), "{error}");
}

#[test]
fn only_allowed_regions_are_read_from_whoever_names_them() {
    let rules = Rules { allowed_regions: RegionPatterns::parse("eu-*").unwrap(), ..Rules::default() };
    let refused = |pairs: &[(&str, &str)], rules: &Rules| {
        let error = parse_with(pairs, "420", rules).unwrap_err().to_string();
        assert!(error.contains("--allowed-regions=eu-*"), "{error}");
        error
    };
    let objects = ("objects", "- {objectName: a, objectType: secretsmanager}");
    assert!(parse_with(&[("region", "eu-west-1"), objects], "420", &rules).is_ok());
    assert!(refused(&[("region", "us-west-2"), objects], &rules).contains("region: Region us-west-2"));
    let failover = [("region", "eu-west-1"), ("failoverRegion", "us-west-2"), objects];
    assert!(refused(&failover, &rules).contains("failoverRegion: Region us-west-2"));
    let rules = Rules { default_region: Region::parse("us-east-1"), ..rules };
    refused(&[("region", ""), objects], &rules);
    // An ARN is of the Region that is asked.
    let arn = ("objects", "- objectName: arn:aws:ssm:us-west-2:111122223333:parameter/x");
    assert!(parse_with(&[("region", "eu-west-1"), arn], "420", &rules).is_err());
}

#[test]
fn a_refresh_interval_is_within_the_operators_bounds() {
    let seconds = Duration::from_secs;
    let rules =
        Rules { min_refresh_interval: seconds(60), max_refresh_interval: seconds(600), ..Rules::default() };
    for good in ["1m", "10m"] {
        assert!(parse_with(&[("refreshInterval", good)], "420", &rules).is_ok(), "{good}");
    }
    for bad in ["59s", "601s"] {
        let error = parse_with(&[("refreshInterval", bad)], "420", &rules).unwrap_err().to_string();
        let says = "between 1m (--min-refresh-interval) and 10m (--max-refresh-interval)";
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn versions_and_labels_of_one_object_are_bounded_in_both_regions() {
    let object = |number: usize, rest: &str| {
        format!("- {{objectType: secretsmanager, objectAlias: a{number}, {rest}}}\n")
    };
    let label = |n: usize| object(n, &format!("objectName: db, objectVersionLabel: l{n}"));
    let failover_label =
        |n: usize| object(n, &format!("objectName: db, failoverObject: {{objectVersionLabel: l{n}}}"));
    let replica = |n: usize| {
        object(
            n,
            &format!("objectName: db{n}, failoverObject: {{objectName: replica, objectVersionLabel: l{n}}}"),
        )
    };
    let parameter =
        |n: usize| format!("- {{objectType: ssmparameter, objectAlias: a{n}, objectName: 'db:{n}'}}\n");
    let rows: [(&dyn Fn(usize) -> String, &str); 4] = [
        (&label, "objects: \"db\""),
        (&failover_label, "objects: \"db\""),
        (&replica, "failoverObject: \"replica\""),
        (&parameter, "objects: \"db\""),
    ];
    for (row, says) in rows {
        let class = |count| (0..count).map(row).collect::<String>();
        let parse = |count| parse(&[("failoverRegion", "us-west-2"), ("objects", &class(count))]);
        assert!(parse(20).is_ok(), "{says}");
        let error = parse(500).unwrap_err().to_string();
        assert!(
            error.contains(&format!("{says} is asked for in 500 versions and labels; the maximum is 20")),
            "{error}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn no_request_panics(attributes in "\\PC{0,80}", objects in "\\PC{0,120}", permission in "\\PC{0,8}") {
        let raw = RawRequest { attributes, secrets: String::new(), target_path: String::new(), permission };
        let _ = MountRequest::parse(raw, &Rules::default());
        let _ = parse(&[("objects", &objects)]);
    }
}

#[path = "objects_tests.rs"]
mod of_objects;
