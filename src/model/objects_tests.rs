//! What is wrong with the YAML of `objects`, as its author is told.

use super::*;

#[test]
fn two_spellings_of_one_key_are_refused_by_both_names() {
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
        assert!(
            mistakes.iter().any(|it| it.contains(says) && it.contains("the same key")),
            "{yaml}: {mistakes:?}"
        );
    }
    // Of equal keys the last one counts, as in AWS's own provider.
    let last = objects("- {objectName: a, objectName: b, objectType: secretsmanager}").unwrap();
    assert_eq!(last[0].reference.id, "b");
}

#[test]
fn what_is_lost_behind_the_list_and_templates_are_told() {
    let lost =
        "  - objectName: a\n    objectType: secretsmanager\n- objectName: b\n  objectType: secretsmanager\n";
    let request = parse(&[("objects", lost)]).unwrap();
    assert_eq!(request.objects.len(), 1);
    assert!(request.warnings[0].contains("nothing from line 3 on is mounted"), "{:?}", request.warnings);
    for (yaml, says) in [
        (
            "- objectName: a\n  {{- if .Values.x }}\n  objectType: secretsmanager",
            "line 2 holds {{: a template",
        ),
        ("- objectName: {{ .Values.name }}\n  objectType: secretsmanager", "line 1 holds {{: a template"),
        (
            "- objectName: \"{{ .Values.name }}\"\n  objectType: secretsmanager",
            "a template (of Helm) was not rendered",
        ),
    ] {
        let mistakes = objects(yaml).unwrap_err();
        assert!(mistakes[0].contains(says), "{mistakes:?}");
    }
    let alias = "- {objectName: a, objectType: secretsmanager, objectAlias: 'x-{{ env }}'}";
    let request = parse(&[("objects", alias)]).unwrap();
    assert!(request.warnings[0].contains("objectAlias \"x-{{ env }}\" holds {{"), "{:?}", request.warnings);
}

#[test]
fn a_file_name_from_a_block_scalar_says_how_to_write_it() {
    for block in ["|\n    db.json\n", ">\n    db.json\n"] {
        let yaml = format!("- objectName: a\n  objectType: secretsmanager\n  objectAlias: {block}");
        let mistakes = objects(&yaml).unwrap_err();
        assert!(
            mistakes[0].contains("control character") && mistakes[0].contains("after |-"),
            "{mistakes:?}"
        );
    }
}

#[test]
fn a_missing_list_is_a_mistake_and_an_empty_one_is_not() {
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
fn the_region_that_is_given_twice_and_the_name_that_lacks_a_type_are_named() {
    let error = parse(&[("failoverRegion", "us-east-1")]).unwrap_err().to_string();
    assert!(error.contains("failoverRegion: us-east-1 is also the primary Region"), "{error}");
    let error = parse(&[("failoverRegion", "{{ .Values.region }}")]).unwrap_err().to_string();
    assert!(error.contains("is not a Region's name: a template"), "{error}");
    let arn = "- objectName: arn:aws:secretsmanager:us-east-1:111122223333:secret:a-AbCdEf\n  objectAlias: a\n  failoverObject: {objectName: replica/a}";
    let error = parse(&[("failoverRegion", "us-west-2"), ("objects", arn)]).unwrap_err().to_string();
    assert!(error.contains("failoverObject \"replica/a\": objectType is missing"), "{error}");
}
