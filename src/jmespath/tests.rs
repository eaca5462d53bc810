use super::*;

/// The result of an expression.
pub(super) fn found(expression: &str, json: &str) -> Option<String> {
    search(expression, json.as_bytes()).unwrap()
}

pub(super) fn search(expression: &str, json: &[u8]) -> Result<Option<String>, String> {
    let expression = Expression::parse(expression).map_err(|error| error.to_string())?;
    let document = Document::parse(json, &mut Fuel::new(&|| false)).map_err(|error| error.to_string())?;
    let found = expression.search(&document, &mut Fuel::new(&|| false)).map_err(|error| error.to_string())?;
    Ok(found.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()))
}

fn refused(expression: &str) -> String {
    Expression::parse(expression).unwrap_err().to_string()
}

const SHOP: &str = r#"{"quota":[3,1,2],"port":5432.0,"price":1.10,"long":123456789012345678901234567890,
    "users":[{"n":"a","s":"on"},{"n":"b","s":"off"}],"m":{"x":{"p":"1"}},"zip":"05","pad":" 5","text":"x",
    "none":[],"empty":{},"html":"<a&b>","spelled":{"b" : 1.0, "a":[ ]}}"#;

#[test]
fn to_string_writes_as_awss_own_provider_does() {
    for (expression, text) in [
        ("to_string(sum(quota))", "6"),
        ("to_string(avg(quota))", "2"),
        ("to_string(floor(port))", "5432"),
        ("to_string(ceil(port))", "5432"),
        ("to_string(abs(port))", "5432"),
        ("to_string(port)", "5432"),
        ("to_string(price)", "1.1"),
        ("to_string(long)", "1.2345678901234568e+29"),
        ("to_string(`1.0`)", "1"),
        ("to_string(to_number('5.0'))", "5"),
        ("to_string(to_number(zip))", "5"),
        ("to_string(length(text))", "1"),
        ("to_string(spelled)", r#"{"a":[],"b":1}"#),
        ("to_string([html])", r#"["\u003ca\u0026b\u003e"]"#),
        ("to_string(html)", "<a&b>"),
        ("to_string(missing)", "null"),
        ("to_string(users[?n=='z'])", "[]"),
        ("join(',', users[].to_string(@))", r#"{"n":"a","s":"on"},{"n":"b","s":"off"}"#),
    ] {
        assert_eq!(found(expression, SHOP).as_deref(), Some(text), "{expression}");
    }
}

#[test]
fn a_value_from_the_document_keeps_its_text() {
    for (expression, text) in [
        ("port", "5432.0"),
        ("price", "1.10"),
        ("long", "123456789012345678901234567890"),
        ("spelled", r#"{"b" : 1.0, "a":[ ]}"#),
        ("[price, html]", r#"[1.10,"<a&b>"]"#),
        ("{p: price, long: long}", r#"{"long":123456789012345678901234567890,"p":1.10}"#),
        ("max([price, port])", "5432.0"),
        ("sort(quota)", "[1,2,3]"),
        ("none", "[]"),
        ("not_null(missing, price)", "1.10"),
    ] {
        assert_eq!(found(expression, SHOP).as_deref(), Some(text), "{expression}");
    }
}

#[test]
fn computed_whole_numbers_have_no_fraction() {
    for (expression, text) in [
        ("sum(quota)", "6"),
        ("avg(quota)", "2"),
        ("floor(price)", "1"),
        ("abs(port)", "5432"),
        ("length(users)", "2"),
        ("[sum(quota), port]", "[6,5432.0]"),
    ] {
        assert_eq!(found(expression, SHOP).as_deref(), Some(text), "{expression}");
    }
}

#[test]
fn a_selection_after_a_multi_select_applies_to_its_result() {
    for (expression, text) in [
        ("users[].{q: n}[0].q", "a"),
        ("users[?s=='on'].{q: n}[0].q", "a"),
        ("users[*].{q: n, r: s}[1].r", "off"),
        ("users[].[n, s][1][0]", "b"),
        ("users[:1].{q: n}[0].q", "a"),
        ("m.*.{q: p}[0].q", "1"),
        ("m.{q: x}.q.p", "1"),
        ("users[].{q: n}[-1].q", "b"),
        ("users[].{q: n} | [0].q", "a"),
    ] {
        assert_eq!(found(expression, SHOP).as_deref(), Some(text), "{expression}");
    }
}

#[test]
fn null_and_empty_filters_and_projections_find_nothing() {
    for expression in [
        r#"users[?n=="b"].s"#,
        "users[?n=='z']",
        "users[*].missing",
        "users[].missing[]",
        "none[*]",
        "none[]",
        "empty.*",
        "quota[9:]",
        "users[?n=='z'] | @",
        "missing || users[?n=='z']",
        "(users[?n=='z'])",
        "reverse(users[?n=='z'])",
        "sort_by(users[?n=='z'], &n)",
        "map(&n, users[?n=='z'])",
        "missing",
        "missing.x",
        "text.x",
        "text[0]",
        "users.n",
        "quota[3]",
        "users[].{q: n}.q",
        "null",
        "max(none)",
        "avg(none)",
        "missing.{a: b}",
        "missing[0]",
        "'a' < 'b'",
    ] {
        assert_eq!(found(expression, SHOP), None, "{expression}");
    }
    // An empty value is found.
    for (expression, text) in
        [("none", "[]"), ("empty", "{}"), ("keys(empty)", "[]"), ("''", ""), ("`[]`", "[]")]
    {
        assert_eq!(found(expression, SHOP).as_deref(), Some(text), "{expression}");
    }
}

#[test]
fn the_last_of_equal_keys_wins() {
    let json = r#"{"a":1,"b":2,"\u0061":{"x":1},"a":3,"b":null}"#;
    assert_eq!(found("a", json).as_deref(), Some("3"));
    assert_eq!(found("b", json), None);
    assert_eq!(found("keys(@)", json).as_deref(), Some(r#"["a","b"]"#));
    assert_eq!(found("{a: `1`, b: `2`, a: `3`}", "{}").as_deref(), Some(r#"{"a":3,"b":2}"#));
    assert_eq!(found("merge(@, {a: 'x', c: 'y'})", json).as_deref(), Some(r#"{"a":"x","b":null,"c":"y"}"#));
}

#[test]
fn a_literal_key_is_looked_up_as_it_is() {
    let json = br#"{"a.b":"dotted","a":{"b":1},"n":null,"list":[ 1 ]}"#;
    let fuel = &mut Fuel::new(&|| false);
    let document = Document::parse(json, fuel).unwrap();
    let mut member =
        |key| document.member(key, fuel).unwrap().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
    assert_eq!(member("a.b").as_deref(), Some("dotted"));
    assert_eq!(member("list").as_deref(), Some("[ 1 ]"));
    assert_eq!(member("n"), None);
    assert_eq!(member("b"), None);
    let list = Document::parse(b"[1]", fuel).unwrap();
    assert_eq!(list.member("0", fuel).unwrap(), None);
}

#[test]
fn an_expression_that_can_never_succeed_is_refused_at_compile_time() {
    for (expression, says) in [
        ("", "expected a name or another value, but the expression ends, at the ^ in ^"),
        (
            "a.",
            "expected a name, * or a selection (as in a.b, a.* or a.[b, c]), but the expression ends, at the ^ in a.^",
        ),
        ("users[?n==].s", "expected a name or another value, found ], at the ^ in users[?n==^].s"),
        ("users[?n='b']", "use == to compare values, not =, at the ^ in users[?n^='b']"),
        (
            "db-password",
            "- has no meaning here (put a name that contains a dash in double quotes), at the ^ in db^-password",
        ),
        ("$.a", "$ is not supported: start the path with a name, at the ^ in ^$.a"),
        ("a b", "expected an operator or the end, found a name, at the ^ in a ^b"),
        ("a]", "] has no matching opening bracket, at the ^ in a^]"),
        ("größe", "this character must be in quotes, at the ^ in gr^öße"),
        (
            "`{a`",
            "a literal between backticks must be JSON (write a string as 'text' or `\"text\"`), at the ^ in ^`{a`",
        ),
        ("'a", "a string in single quotes is not closed: ' is missing, at the ^ in ^'a"),
        ("\"a", "a name in double quotes is not closed: \" is missing, at the ^ in ^\"a"),
        ("\"\\x\"", "a name in double quotes must be a JSON string"),
        ("a[1:2:0]", "the step of a slice must not be 0"),
        ("a[99999999999999999999]", "the number is too large"),
        ("&a", "an expression reference (&) is only allowed as an argument of"),
        ("[&a]", "an expression reference"),
        ("to_string(&a)", "to_string does not take an expression reference (&) here"),
        ("sort_by(a, b)", "argument 2 of sort_by must be an expression reference (&expression)"),
        ("lenght(a)", "there is no function lenght, at the ^ in ^lenght(a)"),
        ("length()", "length takes 1 argument, not 0"),
        ("join(a)", "join takes 2 arguments, not 1"),
        ("not_null()", "not_null takes at least 1 argument, not 0"),
        ("\"length\"(a)", "the name of a function must not be in quotes"),
        ("length(a,)", "expected a name or another value, found )"),
        ("length(a", "expected a comma or ), but the expression ends"),
        ("{a b}", "expected a colon, found a name"),
        ("a[b]", "expected an index, a slice or * (as in a[0], a[1:3] or a[*]), found a name"),
    ] {
        let error = refused(expression);
        assert!(error.starts_with(says), "{expression}: {error}");
    }
}

#[test]
fn a_type_error_of_a_function_names_types_and_no_value() {
    let canary = r#"{"a":"canary","l":["canary",1],"big":1e308}"#;
    for (expression, says) in [
        ("abs(a)", "argument 1 of abs must be a number; found string"),
        ("length(missing)", "argument 1 of length must be a string, an array or an object; found null"),
        ("join(',', l)", "argument 2 of join must be an array of strings; found number"),
        ("sort(l)", "argument 1 of sort must be an array of only numbers or only strings; found number"),
        ("sum(l)", "argument 1 of sum must be an array of numbers; found string"),
        (
            "sort_by(l, &@)",
            "argument 2 of sort_by must be an expression that returns only numbers or only strings; found number",
        ),
        ("map(&@, a)", "argument 2 of map must be an array; found string"),
        ("sum([big, big])", "the result of sum is too large for a number"),
    ] {
        assert_eq!(search(expression, canary.as_bytes()), Err(says.to_owned()), "{expression}");
    }
}

#[test]
fn a_compiled_expression_is_small() {
    for text in ["a", "a.b[0].c", &"[@,@]|[]|".repeat(110), &"`1`,".repeat(250), &"{a:b,c:d}|".repeat(100)] {
        let text = format!("[{}@]", text.trim_end_matches('|')).replace("|@]", "|@ ]");
        if let Ok(expression) = Expression::parse(&text) {
            let bytes = expression.bytes();
            assert!(bytes <= 16 * text.len() + 512, "{bytes} bytes for {} of text", text.len());
        }
    }
}
