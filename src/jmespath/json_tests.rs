use super::*;

fn parsed(json: &[u8]) -> Result<(), DocumentError> {
    Document::parse(json, &mut Fuel::new(&|| false)).map(drop)
}

/// The contents of a file for a string in a list.
fn string(json: &[u8]) -> String {
    let fuel = &mut Fuel::new(&|| false);
    let document = Document::parse(json, fuel).unwrap();
    document.root().element(0).content().to_owned()
}

#[test]
fn json_that_go_accepts_is_accepted() {
    for json in [
        "null",
        " true ",
        "-0",
        "0.5e+10",
        "1E400",
        "\"\"",
        "[]",
        "[ ]",
        "{}",
        "{ }",
        "\t\r\n[1 , 2]\n",
        r#"{"":{"a":[[],{}]}}"#,
        "\"\u{7f}\u{2028}\"",
        r#""\"\\\/\b\f\n\r\t\u00e9""#,
    ] {
        assert_eq!(parsed(json.as_bytes()), Ok(()), "{json}");
    }
}

#[test]
fn json_that_go_refuses_is_refused_with_its_place_and_without_its_text() {
    for (json, line, column) in [
        ("", 1, 1),
        ("canary", 1, 1),
        ("nul", 1, 4),
        ("[1,]", 1, 4),
        ("[1 2]", 1, 4),
        ("{\"a\":1,}", 1, 8),
        ("{\"a\" 1}", 1, 6),
        ("{a:1}", 1, 2),
        ("[1}", 1, 3),
        ("[", 1, 2),
        ("{\n\"é\": x}", 2, 6),
        ("01", 1, 2),
        ("+1", 1, 1),
        ("1.", 1, 3),
        (".5", 1, 1),
        ("1e", 1, 3),
        ("- 1", 1, 2),
        ("\"a", 1, 3),
        ("\"\n\"", 1, 2),
        ("\"\\x\"", 1, 3),
        ("\"\\u12g4\"", 1, 6),
        ("1 2", 1, 3),
        ("\u{feff}{}", 1, 1),
        ("[1]\u{a0}", 1, 4),
        ("NaN", 1, 1),
        ("'a'", 1, 1),
    ] {
        assert_eq!(parsed(json.as_bytes()), Err(DocumentError::NotJson { line, column }), "{json}");
    }
}

#[test]
fn bytes_that_are_not_utf_8_become_replacement_characters_as_in_go() {
    assert_eq!(string(b"[\"caf\xe9\"]"), "caf\u{fffd}");
    // One for each byte.
    assert_eq!(string(b"[\"\xe2\x82\"]"), "\u{fffd}\u{fffd}");
    assert_eq!(string(b"[\"\xed\xa0\x80\"]"), "\u{fffd}\u{fffd}\u{fffd}");
    assert_eq!(parsed(b"[\"a\"]\xff"), Err(DocumentError::NotJson { line: 1, column: 6 }));
}

#[test]
fn a_lone_surrogate_becomes_a_replacement_character_as_in_go() {
    assert_eq!(string(br#"["\ud83d\ude00"]"#), "😀");
    assert_eq!(string(br#"["\ud800"]"#), "\u{fffd}");
    assert_eq!(string(br#"["\ud800x"]"#), "\u{fffd}x");
    assert_eq!(string(br#"["\ud800\u0041"]"#), "\u{fffd}A");
    assert_eq!(string(br#"["\ud800\ud83d\ude00"]"#), "\u{fffd}😀");
    assert_eq!(string(br#"["\udc00\ud800"]"#), "\u{fffd}\u{fffd}");
}

#[test]
fn nesting_has_the_same_limit_as_in_go() {
    let nested = |open: &str, close: &str, depth: usize| open.repeat(depth) + "1" + &close.repeat(depth);
    assert_eq!(parsed(nested("[", "]", MAX_DEPTH).as_bytes()), Ok(()));
    assert_eq!(parsed(nested("{\"\":", "}", MAX_DEPTH).as_bytes()), Ok(()));
    assert_eq!(parsed(nested("[", "]", MAX_DEPTH + 1).as_bytes()), Err(DocumentError::Deep));
    assert_eq!(parsed("[{\"\":".repeat(16_000).as_bytes()), Err(DocumentError::Deep));
}
