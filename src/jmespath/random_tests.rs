//! Random expressions on random values: nothing panics, and the results equal those of
//! the `jmespath` crate wherever it follows the specification.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::{Document, Expression, Fuel, OutOfFuel, SearchError};

/// Values that contain something for the expressions below.
fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-3i64..9).prop_map(Json::from),
        prop_oneof![Just(0.5), Just(2.0), Just(-1.5)].prop_map(Json::from),
        "[ab0-9é]{0,3}".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            prop::collection::btree_map("[abc]", inner, 0..4)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

/// Mostly valid, deep expressions.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => "[abc]",
        1 => Just("@".to_owned()),
        1 => Just("*".to_owned()),
        1 => "'[ab]{0,2}'",
        1 => "`[0-3]`",
        1 => Just("`[1, 2]`".to_owned()),
        1 => Just("`\"a\"`".to_owned()),
        1 => Just("\"a\"".to_owned()),
    ];
    leaf.prop_recursive(5, 30, 3, |inner| {
        let binary = prop::sample::select(vec![" | ", " || ", " && ", " == ", " != ", " < ", " >= "]);
        let one = prop::sample::select(vec![
            "abs",
            "avg",
            "ceil",
            "floor",
            "keys",
            "length",
            "max",
            "merge",
            "min",
            "not_null",
            "reverse",
            "sort",
            "sum",
            "to_array",
            "to_number",
            "to_string",
            "type",
            "values",
        ]);
        let two =
            prop::sample::select(vec!["contains", "ends_with", "join", "starts_with", "merge", "not_null"]);
        let by = prop::sample::select(vec!["sort_by", "max_by", "min_by"]);
        let suffix = prop::sample::select(vec![
            ".a",
            ".b",
            "[0]",
            "[-1]",
            "[*]",
            "[]",
            "[1:]",
            "[::-1]",
            ".*",
            ".[a, b]",
            ".{a: b, c: a}",
            "[*].a",
            "[].b",
        ]);
        prop_oneof![
            4 => (inner.clone(), suffix).prop_map(|(a, b)| a + b),
            2 => (inner.clone(), binary, inner.clone()).prop_map(|(a, op, b)| a + op + &b),
            1 => inner.clone().prop_map(|a| format!("({a})")),
            1 => inner.clone().prop_map(|a| format!("!{a}")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{a: {a}, b: {b}}}")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[?{b}]")),
            2 => (one, inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            1 => (two, inner.clone(), inner.clone()).prop_map(|(f, a, b)| format!("{f}({a}, {b})")),
            1 => (by, inner.clone(), inner.clone()).prop_map(|(f, a, b)| format!("{f}({a}, &{b})")),
            1 => (inner.clone(), inner).prop_map(|(a, b)| format!("map(&{a}, {b})")),
        ]
    })
}

/// Numbers as floats, as both sides compare them.
fn floats(json: &Json) -> Json {
    match json {
        Json::Number(number) => Json::from(number.as_f64()),
        Json::Array(items) => items.iter().map(floats).collect(),
        Json::Object(members) => {
            Json::Object(members.iter().map(|(key, value)| (key.clone(), floats(value))).collect())
        }
        other => other.clone(),
    }
}

/// Known differences of the crate from the specification: it keeps a selection inside
/// its projection, parses numbers by its own rules, and has no average of an empty list.
fn differs(expression: &str) -> bool {
    ["to_number", "to_string", "}", ".[", "avg"].iter().any(|part| expression.contains(part))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn valid_expressions_agree_with_the_crate(expression in expression(), json in json()) {
        let text = json.to_string();
        let fuel = &mut Fuel::new(&|| false);
        let document = Document::parse(text.as_bytes(), fuel).unwrap();
        let ours = Expression::parse(&expression).ok().map(|compiled| compiled.search_json(&document, fuel));
        if let Some(Err(SearchError::Fuel(reason))) = ours {
            prop_assert_ne!(reason, OutOfFuel::Stopped);
            return Ok(());
        }
        let ours = ours.and_then(Result::ok).map(|json| floats(&serde_json::from_str(&json).unwrap()));
        if !differs(&expression) {
            let theirs = jmespath::compile(&expression).ok().and_then(|compiled| compiled.search(&json).ok());
            let theirs = theirs.map(|found| floats(&serde_json::to_value(&*found).unwrap()));
            prop_assert_eq!(ours, theirs, "{} on {}", expression, json);
        }
    }

    #[test]
    fn no_text_panics(expression in "[a-c\"'`@.*|&(){}\\[\\]:,0-9?!<>= \\\\é-]{0,60}", json in "\\PC{0,60}") {
        let fuel = &mut Fuel::new(&|| false);
        if let Ok(compiled) = Expression::parse(&expression) {
            for json in [json.as_str(), r#"{"a":[{"b":1},{"c":"x"}],"b":{"a":[]}}"#] {
                if let Ok(document) = Document::parse(json.as_bytes(), fuel) {
                    let _ = compiled.search(&document, fuel);
                }
            }
        }
    }

    #[test]
    fn json_is_read_as_serde_reads_it(text in "[\\[\\]{}\",:0-9eE.+\\\\untrlasf \\n-]{0,30}") {
        let ours = Document::parse(text.as_bytes(), &mut Fuel::new(&|| false)).is_ok();
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        // A lone surrogate is Go's U+FFFD and serde's error.
        if !text.contains("\\ud") {
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn every_value_survives(json in json()) {
        let text = json.to_string();
        let fuel = &mut Fuel::new(&|| false);
        let document = Document::parse(text.as_bytes(), fuel).unwrap();
        let own = Expression::parse("@").unwrap().search_json(&document, fuel).unwrap();
        prop_assert_eq!(&own, &text);
        if json.is_null() {
            // A multi-select on null is null.
            return Ok(());
        }
        let wrapped = Expression::parse("[@]").unwrap().search_json(&document, fuel).unwrap();
        prop_assert_eq!(wrapped, format!("[{text}]"));
        let again = Expression::parse("to_string([@])").unwrap().search(&document, fuel).unwrap().unwrap();
        let again: Json = serde_json::from_slice(&again).unwrap();
        prop_assert_eq!(floats(&again), floats(&serde_json::json!([json])));
    }
}
