//! Writes values as JSON.

use super::{
    document::{Element, Kind},
    fuel::{Fuel, OutOfFuel},
    text::Text,
    value::{List, Object, Value, View},
};

/// How to write parts of the document.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// With their original text.
    Own,
    /// Like Go's `json.Marshal`, which AWS's own provider uses for `to_string`: numbers
    /// as 64-bit floats, no spaces, sorted keys.
    Go,
}

/// A list or an object that is being written.
enum Part<'v, 'd> {
    List(List<'v, 'd>, usize),
    Object(Object<'v, 'd>, usize),
}

/// Appends `value` as JSON. Does not recurse, because a document may be nested 10,000
/// deep.
pub(super) fn json<'v, 'd>(
    value: &'v Value<'d>,
    spelling: Spelling,
    text: &mut Text,
    fuel: &mut Fuel<'_>,
) -> Result<(), OutOfFuel> {
    let mut open: Vec<Part<'v, 'd>> = Vec::new();
    if let Some(part) = begin(value, spelling, text, fuel)? {
        fuel.push(&mut open, part)?;
    }
    while let Some(part) = open.last_mut() {
        fuel.spend(1)?;
        let next = match part {
            Part::List(list, at) => {
                let next = list.at(*at);
                text.push(
                    if next.is_none() {
                        "]"
                    } else if *at > 0 {
                        ","
                    } else {
                        ""
                    },
                    fuel,
                )?;
                *at += 1;
                next
            }
            Part::Object(object, at) => {
                let next = object.at(*at);
                text.push(
                    if next.is_none() {
                        "}"
                    } else if *at > 0 {
                        ","
                    } else {
                        ""
                    },
                    fuel,
                )?;
                *at += 1;
                if let Some((key, _)) = &next {
                    string(key, text, fuel)?;
                    text.push(":", fuel)?;
                }
                next.map(|(_, value)| value)
            }
        };
        let inner = match next {
            None => {
                open.pop();
                None
            }
            Some(Item::Value(value)) => begin(value, spelling, text, fuel)?,
            Some(Item::Element(element)) => begin_element(element, spelling, text, fuel)?,
        };
        if let Some(part) = inner {
            fuel.push(&mut open, part)?;
        }
    }
    Ok(())
}

/// A reference to an element of a list or a member of an object.
enum Item<'v, 'd> {
    Value(&'v Value<'d>),
    Element(Element<'d>),
}

impl<'v, 'd> List<'v, 'd> {
    fn at(self, index: usize) -> Option<Item<'v, 'd>> {
        match self {
            Self::Element(element) => (index < element.len()).then(|| Item::Element(element.element(index))),
            Self::Values(values) => values.get(index).map(Item::Value),
        }
    }
}

impl<'v, 'd> Object<'v, 'd> {
    fn at(self, index: usize) -> Option<(&'d str, Item<'v, 'd>)> {
        match self {
            Self::Element(element) => (index < element.len()).then(|| {
                let (key, value) = element.member(index);
                (key, Item::Element(value))
            }),
            Self::Members(members) => members.get(index).map(|(key, value)| (*key, Item::Value(value))),
        }
    }
}

/// Writes a whole value, or the opening bracket of a list or an object.
fn begin<'v, 'd>(
    value: &'v Value<'d>,
    spelling: Spelling,
    text: &mut Text,
    fuel: &mut Fuel<'_>,
) -> Result<Option<Part<'v, 'd>>, OutOfFuel> {
    if let Value::Element(element) = value {
        return begin_element(*element, spelling, text, fuel);
    }
    match value.view() {
        View::Null => text.push("null", fuel)?,
        View::Bool(truth) => text.push(if truth { "true" } else { "false" }, fuel)?,
        View::Number(value) => number(value, text, fuel)?,
        View::String(content) => string(content, text, fuel)?,
        View::List(list) => {
            text.push("[", fuel)?;
            return Ok(Some(Part::List(list, 0)));
        }
        View::Object(object) => {
            text.push("{", fuel)?;
            return Ok(Some(Part::Object(object, 0)));
        }
    }
    Ok(None)
}

fn begin_element<'v, 'd>(
    element: Element<'d>,
    spelling: Spelling,
    text: &mut Text,
    fuel: &mut Fuel<'_>,
) -> Result<Option<Part<'v, 'd>>, OutOfFuel> {
    match element.kind() {
        _ if spelling == Spelling::Own => text.push(element.text(), fuel)?,
        Kind::Null | Kind::False | Kind::True => text.push(element.text(), fuel)?,
        Kind::Number if element.number().is_finite() => number(element.number(), text, fuel)?,
        // Go rejects a number that exceeds a float. Its digits are still right.
        Kind::Number => text.push(element.text(), fuel)?,
        Kind::Plain | Kind::Escaped => string(element.content(), text, fuel)?,
        Kind::List => {
            text.push("[", fuel)?;
            return Ok(Some(Part::List(List::Element(element), 0)));
        }
        Kind::Object => {
            text.push("{", fuel)?;
            return Ok(Some(Part::Object(Object::Element(element), 0)));
        }
    }
    Ok(None)
}

/// Formats a float like Go's encoding/json: with the fewest exact digits, and with an
/// exponent below 1e-6 and from 1e21.
fn number(value: f64, text: &mut Text, fuel: &mut Fuel<'_>) -> Result<(), OutOfFuel> {
    let size = value.abs();
    let written = if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let written = format!("{value:e}");
        // Rust does not write the plus sign.
        match written.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
            _ => written,
        }
    } else {
        value.to_string()
    };
    fuel.spend(8)?;
    text.push(&written, fuel)
}

/// Writes a string like Go's encoding/json, which escapes HTML characters.
pub(super) fn string(content: &str, text: &mut Text, fuel: &mut Fuel<'_>) -> Result<(), OutOfFuel> {
    text.push("\"", fuel)?;
    let mut copied = 0;
    for (at, c) in content.char_indices() {
        let escaped = match c {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '<' => "\\u003c",
            '>' => "\\u003e",
            '&' => "\\u0026",
            '\u{2028}' => "\\u2028",
            '\u{2029}' => "\\u2029",
            ..' ' => &format!("\\u{:04x}", u32::from(c)),
            _ => continue,
        };
        text.push(&content[copied..at], fuel)?;
        text.push(escaped, fuel)?;
        copied = at + c.len_utf8();
    }
    text.push(&content[copied..], fuel)?;
    text.push("\"", fuel)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &Value<'_>) -> String {
        let mut text = Text::default();
        json(value, Spelling::Go, &mut text, &mut Fuel::new(&|| false)).unwrap();
        text.finish().to_string()
    }

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        for (value, text) in [
            (6.0, "6"),
            (-0.0, "-0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (0.000_001, "0.000001"),
            (0.000_000_1, "1e-7"),
            (-2.5e-10, "-2.5e-10"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
        ] {
            assert_eq!(written(&Value::Number(value)), text, "{value}");
        }
    }

    #[test]
    fn strings_are_written_as_go_writes_them() {
        let text = "a\"\\/\u{8}\u{c}\n\r\t\u{0}\u{1f}\u{7f}<&>\u{2028}\u{2029}é😀";
        let go = "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\u{7f}\\u003c\\u0026\\u003e\\u2028\\u2029é😀\"";
        assert_eq!(written(&Value::Name(text)), go);
    }
}
