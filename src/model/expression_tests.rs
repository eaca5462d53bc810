use proptest::prelude::*;

use super::*;

fn extract(expression: &str, json: &str) -> Option<String> {
    Expression::jmes_path(expression, 1024)
        .unwrap()
        .extract(json.as_bytes())
        .unwrap()
        .map(|value| String::from_utf8(value.expose().to_vec()).unwrap())
}

const SECRET: &str = r#"{"user":"ann","port":5432,"price":1.10,"big":123456789012345678901234567890,
    "db-password":"p","nested":{"list":[{"a": 1,  "b":[ ]},null,"two"]},"nothing":null,"on":true,"q\"uote":"x",
    "user":"last"}"#;

#[test]
fn plain_paths_give_the_values_own_text() {
    for (path, text) in [
        ("user", "last"),
        ("port", "5432"),
        ("price", "1.10"),
        ("big", "123456789012345678901234567890"),
        ("\"db-password\"", "p"),
        ("nested.list[0]", "{\"a\": 1,  \"b\":[ ]}"),
        ("nested.list[-1]", "two"),
        ("nested.list[0].a", "1"),
        ("on", "true"),
        ("\"q\\\"uote\"", "x"),
    ] {
        assert_eq!(extract(path, SECRET).as_deref(), Some(text), "{path}");
    }
}

#[test]
fn missing_and_null_are_none() {
    for path in
        ["absent", "nothing", "nested.list[1]", "nested.list[9]", "user.x", "user[0]", "absent || nothing"]
    {
        assert_eq!(extract(path, SECRET), None, "{path}");
    }
}

#[test]
fn a_computed_result_prints_as_json() {
    assert_eq!(extract("join(':', [user, to_string(port)])", SECRET).as_deref(), Some("last:5432"));
    assert_eq!(extract("nested.list[*].a", SECRET).as_deref(), Some("[1]"));
    assert_eq!(extract("length(nested.list)", SECRET).as_deref(), Some("3"));
    assert_eq!(extract("{u: user, p: port}", SECRET).as_deref(), Some(r#"{"p":5432,"u":"last"}"#));
}

#[test]
fn a_literal_key_needs_no_quoting() {
    let value = Expression::key("db-password", 99).unwrap().extract(SECRET.as_bytes()).unwrap().unwrap();
    assert_eq!(value.expose(), b"p");
    assert!(Expression::key("nested.list", 99).unwrap().extract(SECRET.as_bytes()).unwrap().is_none());
}

#[test]
fn errors_never_quote_the_value() {
    let canary = "canary-4711";
    for bad in [canary.to_owned(), format!("{{\"a\": {canary}}}"), format!("{{\"a\":\"{canary}")] {
        for expression in ["a", "length(a)"] {
            let error = Expression::jmes_path(expression, 1024).unwrap().extract(bad.as_bytes()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(canary), "{error:?}");
        }
    }
    let error = Expression::jmes_path("abs(a)", 1024)
        .unwrap()
        .extract(format!("{{\"a\":\"{canary}\"}}").as_bytes())
        .unwrap_err();
    assert_eq!(error, ExtractError::Evaluation("abs(a)".to_owned()));
    assert_eq!(Expression::key("a", 99).unwrap().extract(&[0xff, 0xfe]).unwrap_err(), ExtractError::NotText);
}

#[test]
fn hostile_expressions_are_refused_before_anything_is_fetched() {
    let parse = |text: &str| Expression::jmes_path(text, 1024);
    assert!(matches!(parse(&"(".repeat(1025)), Err(ExpressionError::Long { bytes: 1025, limit: 1024 })));
    assert!(matches!(parse("a..b"), Err(ExpressionError::Syntax(_))));
    assert!(matches!(parse(""), Err(ExpressionError::Syntax(_))));
    assert!(matches!(parse("a["), Err(ExpressionError::Syntax(_))));
    let doubling = vec!["[@,@]|[]"; 20].join("|");
    assert_eq!(parse(&doubling).unwrap_err(), ExpressionError::Growth);
    let compared = format!("({}) == `1`", vec!["[@,@,@,@]|[]"; 14].join("|"));
    for hostile in [
        compared.as_str(),
        "!([@,@,@,@]|[]|[@,@,@,@]|[]|[@,@,@,@]|[]|[@,@,@,@]|[]|[@,@,@,@]|[])",
        "a[?[@,@,@,@]|[]|[@,@,@,@]|[]|[@,@,@,@]|[]|[@,@,@,@]|[]|[@,@,@,@]]",
        "join(a, b)",
        "join(join(a, b), c)",
        "a[1::2147483647]",
    ] {
        assert_eq!(parse(hostile).unwrap_err(), ExpressionError::Growth, "{hostile}");
    }
    assert!(parse("join(', ', hosts)").is_ok());
    assert!(matches!(parse(&vec!["a"; 65].join(".")), Err(ExpressionError::Deep(65))));
    assert!(matches!(Expression::key("abc", 2), Err(ExpressionError::Long { bytes: 3, limit: 2 })));
    let quoting = format!("{}@{}", "to_string([".repeat(8), "])".repeat(8));
    assert_eq!(parse(&quoting).unwrap_err(), ExpressionError::Growth);
    assert_eq!(parse(&"[".repeat(129)).unwrap_err(), ExpressionError::Deep(129));
    // The deepest that are accepted must not exhaust the stack.
    for (open, inner, close) in [
        ("[", "a", "]"),
        ("!", "a", ""),
        ("(", "a", ")"),
        ("&", "a", ""),
        ("a.", "*", ""),
        ("a|", "a", ""),
        ("not_null(", "a", ")"),
        ("a[?", "b", "]"),
        ("{a:", "b", "}"),
    ] {
        let count = MAX_OPERATORS / open.chars().filter(|c| "([{!&.|<>=".contains(*c)).count();
        if let Ok(expression) = parse(&format!("{}{inner}{}", open.repeat(count), close.repeat(count))) {
            let _ = expression.extract(br#"{"a":{"a":[]}}"#);
        }
    }
}

proptest! {
    #[test]
    fn no_expression_panics(text in "[a-c\"'`@.*|&(){}\\[\\]:,0-9 -]{0,60}", json in "\\PC{0,60}") {
        if let Ok(expression) = Expression::jmes_path(&text, 1024) {
            let _ = expression.extract(json.as_bytes());
            let _ = expression.extract(br#"{"a":[{"b":1},{"c":"x"}],"b":{"a":[]}}"#);
        }
    }

    #[test]
    fn a_string_is_written_verbatim(text in "\\PC{0,60}") {
        let json = serde_json::json!({ "k": text }).to_string();
        prop_assert_eq!(extract("k", &json), Some(text));
    }

    #[test]
    fn plain_paths_agree_with_jmespath(key in "[a-d]", index in -3i64..3) {
        let json = r#"{"a":["x","y"],"b":{"a":"z"},"c":"t","d":[["n"]]}"#;
        let path = format!("{key}[{index}]");
        let plain = extract(&path, json);
        // A trailing pipe keeps the path from being plain.
        let computed = extract(&format!("{path} | @"), json);
        prop_assert_eq!(plain, computed);
    }
}
