use proptest::prelude::*;

use super::*;

fn value_of(yaml: &str) -> String {
    let node = read(yaml).unwrap().root.unwrap();
    let Content::Map(entries) = node.content else { panic!("no map: {yaml}") };
    match &entries.last().unwrap().1.content {
        Content::Null => String::new(),
        Content::Scalar { text, .. } => text.clone(),
        other => panic!("no scalar: {other:?}"),
    }
}

#[test]
fn unquoted_scalars_become_the_text_that_go_prints() {
    for (written, text) in [
        ("3", "3"),
        ("+7", "7"),
        ("0x1f", "31"),
        ("0o17", "15"),
        ("010", "8"),
        ("0b11", "3"),
        ("1_000", "1000"),
        ("0644", "420"),
        ("-5", "-5"),
        ("yes", "true"),
        ("No", "false"),
        ("ON", "true"),
        ("off", "false"),
        ("y", "true"),
        ("N", "false"),
        ("True", "true"),
        ("FALSE", "false"),
        ("1.0", "1"),
        ("1.10", "1.1"),
        ("1e6", "1e+06"),
        ("0.5", "0.5"),
        ("123456.0", "123456"),
        ("1234567.0", "1.234567e+06"),
        ("0.00001", "1e-05"),
        (".inf", "+Inf"),
        ("-.inf", "-Inf"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("2024-01-01", "2024-01-01"),
        ("12:30:00", "12:30:00"),
        ("1:30", "1:30"),
        ("~", ""),
        ("null", ""),
        ("", ""),
        ("'yes'", "yes"),
        ("\"0644\"", "0644"),
        ("\"1.0\"", "1.0"),
        ("plain text", "plain text"),
    ] {
        assert_eq!(value_of(&format!("k: {written}")), text, "{written}");
    }
}

#[test]
fn an_unquoted_number_keeps_its_spelling() {
    let node = read("a: 0644\nb: 420\nc: '0644'").unwrap().root.unwrap();
    let Content::Map(entries) = node.content else { panic!() };
    let numbers: Vec<_> = entries
        .iter()
        .map(|(_, node)| match &node.content {
            Content::Scalar { number, .. } => number.as_deref(),
            _ => None,
        })
        .collect();
    assert_eq!(numbers, [Some("0644"), Some("420"), None]);
    assert_eq!(entries[2].1.line, 3);
}

#[test]
fn duplicates_merges_and_byte_order_marks_are_read_as_in_go() {
    assert_eq!(value_of("k: a\nk: b"), "b");
    assert_eq!(value_of("\u{feff}k: a\r\n"), "a");
    assert_eq!(value_of("k: a\n---\nk: b"), "a");
    let node = read("- &base {x: '1'}\n- {<<: *base, y: '2'}").unwrap().root.unwrap();
    let Content::List(items) = node.content else { panic!() };
    let Content::Map(entries) = &items[1].content else { panic!() };
    let mut keys: Vec<_> = entries.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["x", "y"]);
    assert_eq!(read("").unwrap().root, None);
}

#[test]
fn a_merge_after_a_key_overrides_it() {
    for (own, text) in [
        ("{k: own, <<: {k: merged}}", "merged"),
        ("{<<: {k: merged}, k: own}", "own"),
        ("{<<: [{k: first}, {k: second}]}", "first"),
    ] {
        assert_eq!(value_of(own), text, "{own}");
    }
}

#[test]
fn bombs_and_garbage_are_errors_with_a_place() {
    let bomb = format!(
        "a: &a [{}]\n{}",
        "x,".repeat(50),
        (0..9)
            .map(|i| {
                let (new, old) = (char::from(b'b' + i), char::from(b'a' + i));
                format!("{new}: &{new} [{}]\n", format!("*{old},").repeat(20))
            })
            .collect::<String>()
    );
    read(&bomb).unwrap_err();
    read(&"[".repeat(10_000)).unwrap_err();
    assert_eq!(read("a: b\n c: d\n").unwrap_err().line, 2);
}

#[test]
fn the_deepest_nesting_fits_half_of_a_threads_stack() {
    let attack = || {
        for levels in [8, 11, 12, 13, 64, 1000, 40_000] {
            let block = |opening: &str| {
                (0..levels.min(400))
                    .map(|level| format!("{}{opening}\n", " ".repeat(level)))
                    .collect::<String>()
            };
            let by_alias = (1..levels.min(900))
                .map(|level| format!("- &a{level} {{k: *a{}}}\n", level - 1))
                .collect::<String>();
            let by_merge = (1..levels.min(900))
                .map(|level| format!("- &a{level} {{<<: [*a{}, *a0]}}\n", level - 1))
                .collect::<String>();
            for text in [
                "[".repeat(levels),
                "{a: ".repeat(levels),
                "{? ".repeat(levels),
                "- ".repeat(levels),
                "? ".repeat(levels),
                "[{<<: ".repeat(levels),
                "!!seq [".repeat(levels),
                "&a [".repeat(levels),
                "[".repeat(levels) + &"]".repeat(levels),
                "{a: ".repeat(levels) + &"}".repeat(levels),
                "{<<: ".repeat(levels) + &"}".repeat(levels),
                "{<<: [".repeat(levels) + &"]}".repeat(levels),
                block("a:"),
                block("-"),
                block("? a\n:"),
                format!("- &a0 {{k: x}}\n{by_alias}"),
                format!("- &a0 {{k: x}}\n{by_merge}"),
                format!("- &a [{}*a", "[".repeat(levels)),
            ] {
                let _ = read(&text);
            }
        }
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(attack).unwrap().join().unwrap();
    // Nesting up to the limit is accepted.
    let deep = "[".repeat(MAX_DEPTH - 1) + &"]".repeat(MAX_DEPTH - 1);
    read(&deep).unwrap();
    read(&("[".repeat(MAX_DEPTH + 1) + &"]".repeat(MAX_DEPTH + 1))).unwrap_err();
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = read(&text);
    }

    #[test]
    fn both_ways_of_reading_agree(
        lines in prop::collection::vec(
            "( {0,4}|- |  - |- \\{|\\[)([a-cé]|on|<<|0644|1e3|\"ü x\"|'y'|\\*n|&n x|~|!!str 7|\\|)(: |:\n|, |\\}|\\]| #é)?([a-c]|no|0x1f|.5|\"\\\\u00e4\"|\\*n|>|\\{|\\[|---|\\.\\.\\.)?(\\}|\\])?",
            0..8,
        )
    ) {
        let text = lines.join("\n");
        if let Some(node) = read_in_place(&text) {
            prop_assert_eq!(read_first(&text), Ok(Document { root: Some(node), lost: None }), "{:?}", text);
        }
    }

    #[test]
    fn quoted_text_is_never_changed(text in "[a-zA-Z0-9 ._:/+-]{0,30}") {
        prop_assert_eq!(value_of(&format!("k: \"{text}\"")), text);
    }
}

#[test]
fn an_error_names_its_line_and_column() {
    for (text, place) in [
        ("- a: b\n   c: d\n", "line 2, column 5: mapping values"),
        ("- a: b\r\n   c: d\r\n", "line 2, column 5: mapping values"),
        ("- a: ü\n- b: ü: c\n", "line 2, column 7: mapping values"),
        ("- a: shop/db\n\tb: c\n", "line 2, column 1: this line is indented by a tab"),
        ("- a: shop/db\r\n\tb: c\r\n", "line 2, column 1: this line is indented by a tab"),
        ("- a: b\n  c: d\n  \te: f\n", "line 3, column 1: this line is indented by a tab"),
        ("- a: b\n\n# more\n\t- c: d\n", "line 4, column 1: this line is indented by a tab"),
        ("\u{feff}- a: b: c\n", "line 1, column 7: mapping values"),
        ("- a: @x\n", "line 1, column 6: unexpected character"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.starts_with(place), "{text:?}: {error}");
        assert!(error.matches("line").count() <= 2, "{text:?} names two places: {error}");
    }
}

#[test]
fn text_after_the_first_document_is_reported() {
    for (text, lost) in [
        ("  - a: 1\n    b: 2\n- a: 3\n  b: 4\n", Some(3)),
        ("  - a: 1\r\n  - b: 2\r\n - a: 3\r\n", Some(3)),
        ("- a: 1\n---\n- a: 2\n", Some(3)),
        ("- a: 1\n...\n\n- a: 2\n", Some(4)),
        ("- a: 1\n---\n{{ bad\n", Some(3)),
        ("- a: 1\n---\n", None),
        ("---\n- a: 1\n---\n# nothing\n", None),
        ("# a class\n---\n- a: 1\n...\n", None),
    ] {
        let document = read(text).unwrap();
        assert!(document.root.is_some(), "{text:?}");
        assert_eq!(document.lost, lost, "{text:?}");
    }
}

#[test]
fn a_manifest_may_be_deeper_than_a_class() {
    let deep = "{a: ".repeat(20) + "c" + &"}".repeat(20);
    assert!(read_manifest(&deep, 0).unwrap().is_some(), "{deep}");
    read_manifest(&"[".repeat(10_000), 0).unwrap_err();
}
