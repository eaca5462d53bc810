//! Random JMESPath expressions, and JSON for them.

use serde_json::{Value, json};

use super::source::Random;

const NAMES: [&str; 8] = ["a", "b", "user", "password", "\"odd name\"", "list", "x1", "\"\\u0000\""];
const FUNCTIONS: [&str; 26] = [
    "abs",
    "avg",
    "ceil",
    "contains",
    "ends_with",
    "floor",
    "join",
    "keys",
    "length",
    "map",
    "max",
    "max_by",
    "merge",
    "min",
    "min_by",
    "not_null",
    "reverse",
    "sort",
    "sort_by",
    "starts_with",
    "sum",
    "to_array",
    "to_number",
    "to_string",
    "type",
    "values",
];
const OPERATORS: [&str; 10] = ["||", "&&", "==", "!=", "<", "<=", ">", ">=", "|", "."];
const LITERALS: [&str; 12] = [
    "'raw'",
    "''",
    "`1`",
    "`-0.0`",
    "`1e308`",
    "`null`",
    "`[1, 2]`",
    "`{\"a\": 1}`",
    "`\"x\"`",
    "@",
    "`true`",
    "`[]`",
];

/// Valid syntax with a random meaning.
pub(super) fn expression(random: &mut Random, depth: usize) -> String {
    if depth == 0 {
        return if random.one_in(2) { random.pick(&NAMES) } else { random.pick(&LITERALS) }.to_owned();
    }
    let inner = |random: &mut Random| expression(random, depth - 1);
    match random.below(12) {
        0 => format!("{}[{}]", inner(random), index(random)),
        1 => format!("{}[*].{}", inner(random), random.pick(&NAMES)),
        2 => format!("{}[]", inner(random)),
        3 => format!("{}[?{}]", inner(random), inner(random)),
        4 => format!("{}[{}:{}:{}]", inner(random), index(random), index(random), index(random)),
        5 => format!("[{}, {}]", inner(random), inner(random)),
        6 => format!("{{x: {}, y: {}}}", inner(random), inner(random)),
        7 => format!("!{}", inner(random)),
        8 => format!("({})", inner(random)),
        9 => {
            let arguments: Vec<String> = (0..random.below(4))
                .map(|_| format!("{}{}", if random.one_in(3) { "&" } else { "" }, inner(random)))
                .collect();
            format!("{}({})", random.pick(&FUNCTIONS), arguments.join(", "))
        }
        10 => format!("{}.*", inner(random)),
        _ => format!("{} {} {}", inner(random), random.pick(&OPERATORS), inner(random)),
    }
}

fn index(random: &mut Random) -> String {
    match random.below(8) {
        0 => random.pick(&["99999999999999999999", "-9223372036854775808", "2147483648", "0", ""]).to_owned(),
        _ => format!("{}{}", random.pick(&["", "-"]), random.below(4)),
    }
}

/// JSON in which the expressions may find something.
pub(super) fn json(random: &mut Random, depth: usize) -> String {
    value(random, depth).to_string()
}

fn value(random: &mut Random, depth: usize) -> Value {
    if depth == 0 {
        return random.pick(&[json_number, json_text, json_null])(random);
    }
    match random.below(3) {
        0 => (0..random.below(6)).map(|_| value(random, depth - 1)).collect(),
        _ => {
            let names = ["a", "b", "user", "password", "odd name", "list", "x1"];
            names
                .iter()
                .map(|&name| (name.to_owned(), value(random, depth - 1)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
    }
}

fn json_number(random: &mut Random) -> Value {
    json!(random.below(1000))
}

fn json_text(random: &mut Random) -> Value {
    json!(random.hostile())
}

fn json_null(_: &mut Random) -> Value {
    Value::Null
}
