//! The `objects` of a class: what each entry means, and what is wrong with it.

use super::*;
use crate::model::object::Object;
use crate::model::reference::{Selector, Service};

fn objects(yaml: &str) -> Result<Vec<Object>, Vec<String>> {
    parse(&[("objects", yaml)])
        .map(|request| request.objects.to_vec())
        .map_err(|error| error.mistakes.into_iter().map(|mistake| mistake.text).collect())
}

fn file_names(attributes: &[(&str, &str)]) -> Vec<String> {
    let request = parse(attributes).unwrap();
    request.objects.iter().flat_map(Object::paths).map(|(path, _)| path.to_string()).collect()
}

#[test]
fn file_names_equal_those_of_awss_own_provider() {
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
        assert_eq!(objects(empty).unwrap().len(), 0, "{empty:?}");
    }
}

#[test]
fn keys_match_in_any_case_and_null_is_empty() {
    let objects = objects(
        "- {OBJECTNAME: a, ObjectType: secretsmanager, objectAlias: ~, jmesPath: , objectVersion: 3}",
    )
    .unwrap();
    assert_eq!(objects[0].reference.selector.version.as_deref(), Some("3"));
    assert_eq!(objects[0].fields.len(), 0, "{:?}", objects[0]);
    assert_eq!(objects[0].path.as_str(), "a");
}

#[test]
fn an_arn_determines_the_service_in_every_partition() {
    for (partition, region) in
        [("aws", "us-east-1"), ("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")]
    {
        for (resource, service) in
            [("secretsmanager", Service::SecretsManager), ("ssm", Service::ParameterStore)]
        {
            let yaml = format!("- objectName: arn:{partition}:{resource}:{region}:111122223333:parameter/x");
            let request = parse(&[("region", region), ("objects", &yaml)]).unwrap();
            assert_eq!(request.objects[0].reference.service, service, "{yaml}");
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
        assert_eq!(objects[0].reference.id, id, "the id in {name}");
        assert_eq!(objects[0].reference.selector, selector, "the selector in {name}");
    }
    let twice = objects("- {objectName: '/foo:3', objectType: ssmparameter, objectVersion: 4}").unwrap_err();
    assert!(twice[0].contains("already selects"), "{twice:?}");
}

#[test]
fn colliding_files_are_a_mistake_that_names_both() {
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
        for name in names {
            assert!(mistakes[0].contains(name), "{name} is not in {mistakes:?}");
        }
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
            parse(&[("pathTranslation", "False"), ("objects", &entry)]).expect_err(&entry);
        }
    }
}

#[test]
fn failover_objects_follow_the_rules_of_awss_own_provider() {
    let class = |entry: &str| parse(&[("failoverRegion", "us-west-2"), ("objects", entry)]);
    let good = class("- {objectName: a, objectType: secretsmanager, objectAlias: x, failoverObject: {objectName: b, objectVersionLabel: L}}").unwrap();
    let failover = good.objects[0].failover.as_ref().unwrap();
    assert_eq!(failover.id, "b");
    assert_eq!(failover.selector.label.as_deref(), Some("L"));
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
            "belongs to one Region: failoverRegion us-west-2 needs a failoverObject",
        ),
        (
            "- {objectName: 'arn:aws:secretsmanager:us-east-1:111122223333:secret:a', failoverObject: {objectVersionLabel: L}}",
            "belongs to one Region",
        ),
    ] {
        let error = class(entry).expect_err(entry);
        assert!(error.to_string().contains(problem), "{problem:?} is not in {error}");
    }
    let without_region = parse(&[(
        "objects",
        "- {objectName: a, objectType: secretsmanager, objectAlias: x, failoverObject: {objectName: b}}",
    )]);
    let error = without_region.unwrap_err().to_string();
    assert!(error.contains("failoverRegion"), "{error}");
    parse(&[("failoverRegion", "us-east-1")]).unwrap_err();
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
        mode(bad).expect_err(bad);
    }
}

#[test]
fn a_class_has_at_most_500_objects() {
    let many = "- {objectName: a, objectType: secretsmanager}\n".repeat(501);
    let mistakes = objects(&many).unwrap_err();
    assert!(mistakes[0].contains("501"), "{mistakes:?}");
}

#[test]
fn an_expression_has_at_most_1024_bytes() {
    let long = format!(
        "- {{objectName: a, objectType: secretsmanager, jmesPath: [{{path: {}, objectAlias: k}}]}}",
        "x".repeat(1025)
    );
    let mistakes = objects(&long).unwrap_err();
    assert!(mistakes[0].contains("1025"), "{mistakes:?}");
}

#[test]
fn versions_and_labels_of_one_object_are_limited_in_both_regions() {
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
        parse(20).expect(says);
        let error = parse(500).unwrap_err().to_string();
        assert!(
            error.contains(&format!("{says} is requested with 500 versions and labels; the maximum is 20")),
            "{error}"
        );
    }
}

#[test]
fn two_spellings_of_one_key_are_a_mistake_that_names_both() {
    for (yaml, says) in [
        (
            "- objectName: a\n  objectname: b\n  objectType: secretsmanager",
            "objectName (line 1) and objectname (line 2)",
        ),
        (
            "- OBJECTTYPE: ssmparameter\n  objectName: a\n  objecttype: secretsmanager",
            "OBJECTTYPE (line 1) and objecttype (line 3)",
        ),
        (
            "- objectName: a\n  objectType: secretsmanager\n  jmespath: []\n  jmesPath: []",
            "jmespath (line 3) and jmesPath (line 4)",
        ),
        (
            "- objectName: a\n  objectType: secretsmanager\n  jmesPath:\n  - {path: a, Path: b, objectAlias: c}",
            "path (line 4) and Path (line 4)",
        ),
        ("- &o {objectname: a}\n- {<<: *o, objectName: b, objectType: secretsmanager}", "are the same key"),
    ] {
        let mistakes = objects(yaml).unwrap_err();
        let same: Vec<_> = mistakes.iter().filter(|it| it.contains("the same key")).collect();
        assert!(same.iter().any(|it| it.contains(says)), "{says:?} is not in {same:?} of {yaml}");
    }
    // The last of two equal keys applies, as in AWS's own provider.
    let last = objects("- {objectName: a, objectName: b, objectType: secretsmanager}").unwrap();
    assert_eq!(last[0].reference.id, "b");
}

#[test]
fn entries_after_the_end_of_the_list_are_a_warning() {
    let lost =
        "  - objectName: a\n    objectType: secretsmanager\n- objectName: b\n  objectType: secretsmanager\n";
    let request = parse(&[("objects", lost)]).unwrap();
    assert_eq!(request.objects.len(), 1);
    assert!(request.warnings[0].text.contains("nothing from line 3 on is mounted"), "{:?}", request.warnings);
}

#[test]
fn a_template_that_was_not_rendered_is_a_mistake_or_in_an_alias_a_warning() {
    for (yaml, says) in [
        (
            "- objectName: a\n  {{- if .Values.x }}\n  objectType: secretsmanager",
            "line 2 contains {{: a (Helm) template",
        ),
        (
            "- objectName: {{ .Values.name }}\n  objectType: secretsmanager",
            "line 1 contains {{: a (Helm) template",
        ),
        (
            "- objectName: \"{{ .Values.name }}\"\n  objectType: secretsmanager",
            "a (Helm) template was not rendered",
        ),
    ] {
        let mistakes = objects(yaml).unwrap_err();
        assert!(mistakes[0].contains(says), "{says:?} is not in {mistakes:?}");
    }
    let alias = "- {objectName: a, objectType: secretsmanager, objectAlias: 'x-{{ env }}'}";
    let request = parse(&[("objects", alias)]).unwrap();
    assert!(
        request.warnings[0].text.contains("objectAlias \"x-{{ env }}\" contains {{"),
        "{:?}",
        request.warnings
    );
}

#[test]
fn a_file_name_from_a_block_scalar_says_how_to_write_it() {
    for block in ["|\n    db.json\n", ">\n    db.json\n"] {
        let yaml = format!("- objectName: a\n  objectType: secretsmanager\n  objectAlias: {block}");
        let mistakes = objects(&yaml).unwrap_err();
        assert!(mistakes[0].contains("control character"), "{mistakes:?}");
        assert!(mistakes[0].contains("use |- instead of | or >"), "{mistakes:?}");
    }
}

#[test]
fn a_missing_list_is_a_mistake() {
    let attributes = serde_json::json!({
        "csi.storage.k8s.io/pod.name": "web-0",
        "csi.storage.k8s.io/pod.namespace": "shop",
        "csi.storage.k8s.io/pod.uid": "0b5e1b9e-9a54-4d5c-a0a5-1d8f0f5a0001",
        "csi.storage.k8s.io/serviceAccount.name": "web",
        "Objects": "[]",
    });
    let raw = RawRequest {
        attributes: attributes.to_string(),
        secrets: String::new(),
        target_path: "/t".to_owned(),
        permission: "420".to_owned(),
    };
    let error = MountRequest::parse(raw, &Rules::default()).unwrap_err().to_string();
    assert!(error.contains("objects: is missing"), "{error}");
    assert!(error.contains("unknown parameter \"Objects\" is ignored"), "{error}");
}

#[test]
fn a_failover_region_must_be_another_region() {
    let error = parse(&[("failoverRegion", "us-east-1")]).unwrap_err().to_string();
    assert!(error.contains("failoverRegion: us-east-1 is also the primary Region"), "{error}");
    let error = parse(&[("failoverRegion", "{{ .Values.region }}")]).unwrap_err().to_string();
    assert!(error.contains("is not the name of a Region: a (Helm) template"), "{error}");
}

#[test]
fn a_failover_object_named_without_an_arn_needs_a_type() {
    let arn = "- objectName: arn:aws:secretsmanager:us-east-1:111122223333:secret:a-AbCdEf\n  objectAlias: a\n  failoverObject: {objectName: replica/a}";
    let error = parse(&[("failoverRegion", "us-west-2"), ("objects", arn)]).unwrap_err().to_string();
    assert!(error.contains("failoverObject \"replica/a\": objectType is missing"), "{error}");
}
