use std::time::Duration;

use super::*;
use crate::model::attributes::TOKENS_KEY;
use crate::model::region_patterns::RegionPatterns;
use crate::model::role_patterns::RolePatterns;

/// Parses a request with a pod's attributes and these.
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

#[test]
fn an_invalid_class_name_is_refused_and_quoted_only_once() {
    for name in ["a\nb", "A", "a/b", &"x".repeat(300)] {
        let error = parse(&[("secretProviderClass", name)]).unwrap_err();
        assert_eq!(error.heading, "the mount request is invalid", "{name:?}");
        assert!(error.mistakes[0].text.starts_with("secretProviderClass: "), "{error}");
        assert!(error.mistakes[0].text.len() < 260, "{error}");
    }
}

#[test]
fn the_permission_is_a_number_of_file_mode_bits() {
    for bad in ["4095", ""] {
        let error = parse_with(&[], bad, &Rules::default()).expect_err(bad);
        assert!(error.mistakes[0].text.starts_with("permission: "), "{bad:?}: {error}");
    }
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
        assert!(error.mistakes.iter().any(|mistake| mistake.text.starts_with(place)), "{place}: {error}");
    }
    assert!(error.to_string().contains("SecretProviderClass shop/aws"), "{error}");
}

#[test]
fn tokens_in_the_secrets_win_over_the_attributes() {
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
    // The tokens in volumeAttributes, which a pod's author can write, are not read then.
    assert_eq!(tokens("no JSON", &in_secrets), Ok(Some("second".to_owned())));
    let none = serde_json::json!({ TOKENS_KEY: "" }).to_string();
    for secrets in ["null", "", "{}", &none] {
        let read = tokens(r#"{"a":{"token":"first"}}"#, secrets);
        assert_eq!(read, Ok(Some("first".to_owned())), "secrets {secrets:?}");
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
    assert!(request.warnings[0].text.contains("regoin"), "{:?}", request.warnings);
    assert!(request.warnings[1].text.contains("objectAlas"), "{:?}", request.warnings);
}

#[test]
fn a_class_has_at_most_200_unknown_keys() {
    let unknown: Vec<String> = (0..201).map(|number| format!("key{number}")).collect();
    let unknown: Vec<(&str, &str)> = unknown.iter().map(|key| (key.as_str(), "x")).collect();
    parse(&unknown[..200]).unwrap();
    let error = parse(&unknown).unwrap_err();
    assert_eq!(error.mistakes[0].text, "parameters: have 201 unknown keys; the maximum is 200");
    assert!(error.warnings.is_empty(), "{error}");
}

#[test]
fn a_role_arn_is_refused_unless_the_operator_allows_it() {
    let role = [("roleArn", "arn:aws:iam::111122223333:role/x")];
    let error = parse(&role).unwrap_err();
    assert!(error.to_string().contains("without --allow-role-arn"), "{error}");
    let rules = Rules { allow_role_arn: true, ..Rules::default() };
    parse_with(&role, "420", &rules).unwrap();
}

#[test]
fn an_assumed_role_and_its_external_id_are_taken_only_as_given() {
    const ROLE: &str = "arn:aws:iam::222233334444:role/x";
    let assumed = |texts: &[(&str, &str)]| parse(texts).map(|request| request.identity.assumed_role);
    assert_eq!(assumed(&[]), Ok(None));
    assert_eq!(assumed(&[("assumeRoleArn", ""), ("assumeRoleExternalId", "")]), Ok(None));
    let both = assumed(&[("assumeRoleArn", ROLE), ("assumeRoleExternalId", "shop/1")]).unwrap().unwrap();
    assert_eq!(both.arn.as_str(), ROLE);
    assert_eq!(both.external_id.unwrap().as_str(), "shop/1");
    for (texts, problem) in [
        (
            [("assumeRoleArn", "reader"), ("assumeRoleExternalId", "ab")],
            "assumeRoleArn: \"reader\" is not arn:",
        ),
        (
            [("assumeRoleArn", ROLE), ("assumeRoleExternalId", "a b")],
            "assumeRoleExternalId: is not an external id",
        ),
        ([("assumeRoleArn", ""), ("assumeRoleExternalId", "ab")], "needs assumeRoleArn"),
    ] {
        let error = assumed(&texts).unwrap_err();
        assert_eq!(error.count, 1, "{error}");
        assert!(error.to_string().contains(problem), "{error}");
    }
}

#[test]
fn allowed_roles_apply_to_every_role_in_a_class() {
    let allowed_roles = RolePatterns::parse("arn:aws:iam::111122223333:role/shop-*").unwrap();
    let rules = Rules { allow_role_arn: true, allowed_roles, ..Rules::default() };
    for key in ["roleArn", "assumeRoleArn"] {
        parse_with(&[(key, "arn:aws:iam::111122223333:role/shop-web")], "420", &rules).expect(key);
        let error =
            parse_with(&[(key, "arn:aws:iam::222233334444:role/shop-web")], "420", &rules).expect_err(key);
        assert!(error.to_string().contains("--allowed-roles"), "{error}");
        assert!(error.mistakes[0].text.starts_with(&format!("{key}: ")), "{error}");
    }
}

#[test]
fn an_unknown_key_that_resembles_an_identity_key_is_a_mistake_that_suggests_the_known_key() {
    for (key, known) in [
        ("RoleArn", "roleArn"),
        ("assumerolearn", "assumeRoleArn"),
        ("externalId", "assumeRoleExternalId"),
        ("usePodidentity", "usePodIdentity"),
    ] {
        let error = parse(&[(key, "x")]).unwrap_err();
        assert!(error.mistakes[0].text.starts_with(&format!("{key:?}: ")), "{error}");
        assert!(error.mistakes[0].text.ends_with(&format!("did you mean {known}?")), "{error}");
        let empty = parse(&[(key, "")]);
        assert!(empty.is_ok(), "an empty {key} asks for nothing: {empty:?}");
        let objects = format!("- {{objectName: a, objectType: secretsmanager, {key}: x}}");
        let error = parse(&[("objects", &objects)]).expect_err(key);
        assert!(error.mistakes[0].text.starts_with("objects[0] (line 1) \"a\": "), "{key}: {error}");
    }
}

#[test]
fn a_region_from_the_node_is_checked_too() {
    let request = parse_with(
        &[("region", ""), ("objects", "- objectName: arn:aws:ssm:us-west-2:111122223333:parameter/x")],
        "420",
        &Rules::default(),
    )
    .unwrap();
    assert_eq!(request.region, None);
    let check =
        |region, rules: &Rules| request.check_region(&Region::parse(region).unwrap(), rules, String::new);
    check("us-west-2", &Rules::default()).unwrap();
    check("us-east-1", &Rules::default()).unwrap_err();
    let rules = Rules { allowed_regions: RegionPatterns::parse("eu-*").unwrap(), ..Rules::default() };
    let error = check("us-west-2", &rules).unwrap_err().to_string();
    assert!(error.contains("Region us-west-2 is not allowed here (--allowed-regions=eu-*)"), "{error}");
}

#[test]
fn every_region_of_a_class_must_be_allowed() {
    let rules = Rules { allowed_regions: RegionPatterns::parse("eu-*").unwrap(), ..Rules::default() };
    let assert_refused = |pairs: &[(&str, &str)], rules: &Rules, says: &str| {
        let error = parse_with(pairs, "420", rules).unwrap_err().to_string();
        assert!(error.contains("--allowed-regions=eu-*"), "{error}");
        assert!(error.contains(says), "{says:?} is not in {error}");
    };
    let objects = ("objects", "- {objectName: a, objectType: secretsmanager}");
    parse_with(&[("region", "eu-west-1"), objects], "420", &rules).unwrap();
    assert_refused(&[("region", "us-west-2"), objects], &rules, "region: Region us-west-2");
    let failover = [("region", "eu-west-1"), ("failoverRegion", "us-west-2"), objects];
    assert_refused(&failover, &rules, "failoverRegion: Region us-west-2");
    let rules = Rules { default_region: Region::parse("us-east-1"), ..rules };
    assert_refused(&[("region", ""), objects], &rules, "us-east-1");
    // An ARN must be in the class's Region.
    let arn = ("objects", "- objectName: arn:aws:ssm:us-west-2:111122223333:parameter/x");
    parse_with(&[("region", "eu-west-1"), arn], "420", &rules).unwrap_err();
}

#[test]
fn a_refresh_interval_must_be_within_the_operators_bounds() {
    let seconds = Duration::from_secs;
    let rules =
        Rules { min_refresh_interval: seconds(60), max_refresh_interval: seconds(600), ..Rules::default() };
    for good in ["1m", "10m"] {
        parse_with(&[("refreshInterval", good)], "420", &rules).expect(good);
    }
    for bad in ["59s", "601s"] {
        let error = parse_with(&[("refreshInterval", bad)], "420", &rules).expect_err(bad).to_string();
        let says = "between 1m (--min-refresh-interval) and 10m (--max-refresh-interval)";
        assert!(error.contains(says), "{error}");
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
