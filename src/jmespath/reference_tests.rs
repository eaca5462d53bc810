//! Expressions and their values according to go-jmespath, the library of AWS's
//! own provider: every function with every type, operators, slices, projections.

use super::{Document, Expression, Fuel, SearchError, Spelling, Value, evaluate::Evaluation, write};

/// The JSON that the table's expressions are evaluated on.
const GIVEN: &str = r#"{"s":"ab","t":"","d":"12.50","n":5,"z":-0.0,"f":1.5,"e":1e21,"h":1e-7,"b":true,"x":false,"u":null,"l":[3,1,2],"w":["b","a"],"m":[1,"a"],"k":[],"o":{"a":1},"q":{},"p":[{"n":"a","v":2,"r":[1,2]},{"n":"b","v":1,"r":[3]}]}"#;

/// Each line: an expression, a tab, and its result in Go, or `error`.
const TABLE: &str = include_str!("reference.tsv");

/// Intentional differences; docs/src/differences.md lists them.
const DIFFERENT: [(&str, &str); 7] = [
    ("avg(k)", "null"),
    ("avg(`[]`)", "null"),
    ("to_number('0x1p4')", "null"),
    ("to_number('inf')", "null"),
    ("to_number('nan')", "null"),
    ("n||nope(n)", "error"),
    ("`1e400`", "1e400"),
];

/// Expressions that go-jmespath accepts and Latchkey refuses.
const REFUSED: [&str; 6] = ["&n", "length(s,)", "[n,]", "contains(w s)", "[n n]", "{a:n b:n}"];

/// The result of an expression, formatted like Go.
fn value(expression: &str) -> Result<String, String> {
    let fuel = &mut Fuel::new(&|| false);
    let expression = Expression::parse(expression).map_err(|error| error.to_string())?;
    let document = Document::parse(GIVEN.as_bytes(), fuel).map_err(|error| error.to_string())?;
    let program = &*expression.0;
    let mut text = super::Text::default();
    Evaluation { program, fuel }
        .run(program.main, &Value::Element(document.root()))
        .and_then(|value| write::json(&value, Spelling::Go, &mut text, fuel).map_err(SearchError::from))
        .map_err(|error| error.to_string())?;
    Ok(text.finish().to_string())
}

#[test]
fn every_value_equals_that_of_awss_own_provider() {
    let mut wrong = Vec::new();
    for line in TABLE.lines() {
        let (expression, right) = line.split_once('\t').unwrap();
        let different = DIFFERENT.iter().find(|(other, _)| *other == expression);
        let refused = REFUSED.contains(&expression).then_some("error");
        let right = different.map(|(_, ours)| *ours).or(refused).unwrap_or(right);
        let value = value(expression);
        if value.as_deref().unwrap_or("error") != right {
            wrong.push(format!("{expression}: {value:?}, not {right}"));
        }
    }
    assert!(wrong.is_empty(), "{} values are wrong:\n{}", wrong.len(), wrong.join("\n"));
    let lines = TABLE.lines().count();
    assert!(lines >= 390, "the table has only {lines} lines");
}
