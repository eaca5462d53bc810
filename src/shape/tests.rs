use super::*;
use crate::{backend::Reading, model::objects::ObjectsText, values::Readings};

const CLASS: &str = r#"
- objectName: db
  objectType: secretsmanager
  jmesPath:
  - {path: user, objectAlias: user}
  - {path: length(rows), objectAlias: rows, optional: true}
- {objectName: raw, objectType: secretsmanager}
- {objectName: blob, objectType: secretsmanager, encoding: base64}"#;

fn objects(yaml: &str) -> Arc<Objects> {
    ObjectsText::example(yaml).objects()
}

fn read(value: &str) -> Readings {
    let reading = Reading {
        value: SecretValue::from(value.to_owned()),
        version: "v".to_owned(),
        arn: String::new(),
        region: crate::model::arn::Region::parse("us-east-1").unwrap(),
        request_id: None,
    };
    Readings::new(vec![Ok(reading)], Instant::now().into())
}

fn shaping(yaml: &str, readings: &[Readings], limit: usize) -> Shaping {
    let found = readings.iter().map(|readings| readings.found(0)).collect();
    let subject = Subject {
        namespace: "n".to_owned(),
        class: "n/c".to_owned(),
        who: "somebody".to_owned(),
        account: None,
    };
    Shaping::new(objects(yaml), found, subject, limit)
}

fn readings() -> Vec<Readings> {
    [r#"{"user": "u", "rows": [1, 2]}"#, "raw", "YmxvYg=="].map(read).into()
}

#[test]
fn the_same_values_are_shaped_once() {
    let readings = readings();
    let first = shaping(CLASS, &readings, 4096).finish().unwrap();
    assert!(first.computed);
    let texts: Vec<&[u8]> = first.files.iter().map(|file| file.contents.expose()).collect();
    assert_eq!(texts[1..], [&b"u"[..], b"2", b"raw", b"blob"]);
    let second = shaping(CLASS, &readings, 4096).finish().unwrap();
    assert!(!second.computed);
    assert_eq!(second.files, first.files);
}

#[test]
fn another_way_of_shaping_a_value_shares_nothing() {
    let readings = readings();
    shaping(CLASS, &readings, 4096).finish().unwrap();
    for (from, to) in [("path: user", "key: user"), ("length(rows)", "'rows[0]'"), ("base64", "base64url")] {
        let other = shaping(&CLASS.replace(from, to), &readings, 4096).finish().unwrap();
        assert!(other.computed, "{from} → {to}");
    }
}

#[test]
fn a_failure_is_not_kept() {
    let readings = readings();
    let class = CLASS.replace("path: user", "path: nobody");
    for _ in 0..2 {
        let error = shaping(&class, &readings, 4096).finish().unwrap_err();
        assert!(error.to_string().contains("finds nothing"), "{error}");
    }
    assert!(shaping(CLASS, &readings, 4096).finish().unwrap().computed);
}

#[test]
fn the_requested_memory_is_enough() {
    let readings = readings();
    assert_eq!(shaping(CLASS, &readings, 4096).max_bytes(), 4096);
    let first = shaping(CLASS, &readings, 4096).finish().unwrap();
    let known = shaping(CLASS, &readings, 4096).max_bytes();
    assert!((first.bytes()..4096).contains(&known), "{known} of {}", first.bytes());
}

#[test]
fn an_object_continues_where_the_last_step_ended() {
    let readings = readings();
    let mut under = shaping(CLASS, &readings, 4096);
    let past = Instant::now();
    let object = under.objects[0].clone();
    for fields in 1..=2 {
        under.shape(&object, &Stop::default(), past).unwrap();
        assert_eq!(under.taking.is_some(), fields == 1, "after {fields} fields");
    }
    assert_eq!(under.finish().unwrap().files.len(), 5);
}

#[test]
fn too_large_a_result_is_refused_before_the_rest_is_shaped() {
    let readings = readings();
    let error = shaping(CLASS, &readings, 100).finish().unwrap_err();
    assert!(matches!(error, NotShaped::Size(_)), "{error}");
}
