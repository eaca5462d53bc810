//! Expressions that try to exhaust memory, time or the stack.

use std::fmt::Write;

use super::{Document, Expression, Fuel, OutOfFuel, SearchError, parser::MAX_NESTING};

/// The maximum size of a value in Secrets Manager.
const SECRET: usize = 65_536;

/// The worst values of 64 KiB.
fn documents() -> Vec<(&'static str, String)> {
    let fill = |unit: &str| unit.repeat((SECRET - 2) / unit.len());
    let list = |unit: &str| format!("[{}]", fill(unit).trim_end_matches(','));
    let mut keys = String::new();
    for number in 0..6000 {
        write!(keys, "\"{number:x}\":1,").unwrap();
    }
    vec![
        ("numbers", list("1,")),
        ("lists", list("[],")),
        ("long", format!("\"{}\"", fill("x"))),
        ("escapes", format!("\"{}\"", fill("\\u0001"))),
        ("deep", format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))),
        ("keys", format!("{{{}}}", keys.trim_end_matches(','))),
        ("pair", format!("[\"{}\",\"\"]", "x".repeat(SECRET - 8))),
    ]
}

/// Expressions of 1 KiB that multiply their input.
fn attacks() -> Vec<String> {
    let repeated = |unit: &str, most: usize| unit.repeat(most / unit.len());
    let list = |inner: &str| format!("[{}]", repeated(inner, 1000).trim_end_matches(','));
    let nested = |open: &str, inner: &str, close: &str| {
        let depth = (1000 - inner.len()) / (open.len() + close.len());
        let depth = depth.min(MAX_NESTING - 1);
        format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
    };
    let many = list("@,");
    let mut attacks = vec![
        format!("length({many}|[])"),
        format!("length({many}|[]|[@,@,@,@,@]|[])"),
        format!("sort({many}|[])"),
        format!("max({many}|[])"),
        format!("sum({many}|[])"),
        format!("{many}|sort_by(@, &to_string(@))"),
        format!("{many}|join(@[0], @)"),
        format!("join(@, {many})"),
        format!("{many}|[?@=={many}]"),
        format!("{many}=={many}"),
        format!("{many}[].length(@)"),
        format!("{many}[].reverse(@)"),
        format!("{many}[].to_string(@)"),
        format!("{many}[*].*"),
        format!("merge({})", repeated("@,", 900).trim_end_matches(',')),
        format!("not_null({})", repeated("to_string(@),", 900).trim_end_matches(',')),
        repeated("[@,@]|[]|", 1000) + "@",
        repeated("[@,@]|", 1000) + "@",
        repeated("[@,@]|", 500) + "to_string(@)",
        repeated("map(&[@,@],@)|", 1000) + "@",
        repeated("@[]|", 1000) + "@",
        repeated("@==@|", 900) + "@",
        repeated("[@==@]|", 900) + "@",
        repeated("to_string(@)|", 900) + "@",
        repeated("to_string([@])|", 900) + "@",
        repeated("@[::-1]|", 900) + "@",
        repeated("@[:]|", 900) + "@",
        repeated("@[*]|", 900) + "@",
        repeated("sort(@)|", 900) + "@",
        repeated("keys(@)&&", 900) + "@",
        repeated("values(@)&&", 900) + "@",
        repeated("reverse(@)|", 900) + "@",
        repeated("contains(@,@)||", 900) + "@",
        repeated("contains(@,`[1]`)||", 900) + "@",
        repeated("a.", 1000) + "a",
        repeated("a[0]", 1000),
        repeated("@.*|", 900) + "@",
        repeated("*.", 120) + "a",
        repeated("[]", 1000),
        repeated("a||", 900) + "a",
        repeated("a&&", 900) + "a",
        repeated("a==", 900) + "a",
        repeated("!", 120) + "a",
        "@[?@[?@[?@]]]".to_owned(),
        "map(&map(&map(&map(&@,@),@),@),[@,@,@,@])".to_owned(),
        "@[].[@,@,@,@][].[@,@,@,@][].[@,@,@,@][].[@,@,@,@][]".to_owned(),
        "[?contains(@, to_string(@))]".to_owned(),
        format!("{{{}a:@}}", repeated("a:@,", 900)),
    ];
    // References to the whole value, nested.
    for inner in ["@", "[@]", "to_string(@)"] {
        for (open, close) in [
            ("[", "]"),
            ("(", ")"),
            ("!", ""),
            ("{a:", "}"),
            ("@[?", "]"),
            ("map(&", ",@)"),
            ("sort_by(@,&", ")"),
            ("max_by(@,&", ")"),
            ("not_null(", ")"),
            ("to_string([", "])"),
            ("to_array(", ")"),
            ("length(", ")"),
            ("merge(", ")"),
            ("[*].", ""),
            ("@|[*][?", "]"),
        ] {
            attacks.push(nested(open, inner, close));
        }
    }
    for glue in ["[@,@,@,@,@,@,@,@,@,@]", "@"] {
        attacks.push(format!("{many}|[].{glue}|[]"));
        attacks.push(format!("{many}[?@ || {glue}]"));
        attacks.push(format!("@[?@[?@=={glue}]]"));
    }
    attacks
}

/// Runs every attack on every document.
fn every(mut each: impl FnMut(&str, &str, Result<usize, SearchError>)) {
    for (name, json) in documents() {
        let document = match Document::parse(json.as_bytes(), &mut Fuel::new(&|| false)) {
            Ok(document) => document,
            Err(error) => panic!("{name}: {error}"),
        };
        for attack in attacks() {
            if let Ok(expression) = Expression::parse(&attack) {
                let found = expression.search(&document, &mut Fuel::new(&|| false));
                each(name, &attack, found.map(|found| found.map_or(0, |found| found.len())));
            }
        }
    }
}

#[test]
fn no_attack_exceeds_its_fuel() {
    let mut out_of_fuel = 0;
    every(|name, attack, result| match result {
        Ok(bytes) => assert!(bytes <= 4 << 20, "{name}: {attack} made {bytes} bytes"),
        Err(SearchError::Fuel(OutOfFuel::Steps | OutOfFuel::Memory)) => out_of_fuel += 1,
        Err(SearchError::Fuel(OutOfFuel::Stopped)) => panic!("nobody stopped {attack}"),
        Err(SearchError::Type { .. } | SearchError::Number(_)) => {}
    });
    assert!(out_of_fuel > 50, "only {out_of_fuel} ran out of fuel");
}

#[test]
fn the_known_attack_is_refused() {
    let json = format!("[{}1]", "1,".repeat(32_000));
    let document = Document::parse(json.as_bytes(), &mut Fuel::new(&|| false)).unwrap();
    let attack = format!("length([{}@]|[])", "@,".repeat(250));
    let found = Expression::parse(&attack).unwrap().search(&document, &mut Fuel::new(&|| false));
    assert_eq!(found.unwrap_err(), SearchError::Fuel(OutOfFuel::Memory));
}

#[test]
fn an_evaluation_can_be_stopped_from_outside() {
    let stop = std::cell::Cell::new(false);
    let json = format!("[{}1]", "1,".repeat(32_000));
    let asked = std::cell::Cell::new(0);
    let stops = || {
        asked.set(asked.get() + 1);
        stop.get() || asked.get() > 2
    };
    let document = Document::parse(json.as_bytes(), &mut Fuel::new(&|| false)).unwrap();
    let search =
        Expression::parse("map(&to_string(@), @)").unwrap().search(&document, &mut Fuel::new(&stops));
    assert_eq!(search.unwrap_err(), SearchError::Fuel(OutOfFuel::Stopped));
    stop.set(true);
    let stopped = Document::parse(json.as_bytes(), &mut Fuel::new(&stops));
    assert!(stopped.is_err(), "the document was read to its end");
}

#[test]
fn the_deepest_expressions_fit_the_stack() {
    // Less than the 2 MiB of the program's threads.
    let thread = std::thread::Builder::new().stack_size(3 << 19).spawn(|| {
        every(|_, _, _| {});
        for unit in
            ["(", "[", "!", "{a:", "a[?", "[?", "map(&", "not_null(", "*.", "[*]", "[]", "a.", "a|", "&"]
        {
            let deep = unit.repeat(1024 / unit.len());
            for text in [deep.clone(), deep.clone() + "a", deep.clone() + "*"] {
                let _ = Expression::parse(&text);
            }
        }
    });
    thread.unwrap().join().unwrap();
}
