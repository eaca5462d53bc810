//! Explains why a plain path finds nothing although its target exists: because of a
//! key with dots, or JSON inside a string.

use super::{
    document::{Document, Element, Kind},
    fuel::{Fuel, OutOfFuel},
    value::{Value, View},
};

/// Maximum number of names in an explained path.
const MAX_NAMES: usize = 16;

/// Where the document has what a dotted path does not find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// In one key of the outermost object.
    Key,
    /// At this path.
    Path(String),
    /// Inside the JSON in the string at this path.
    JsonText(String),
}

impl Document<'_> {
    /// Finds the target of `path` elsewhere in the document. Returns `None` if it does
    /// not exist, if the path has more than names and dots, or if `fuel` runs out.
    pub fn advice(&self, path: &str, fuel: &mut Fuel<'_>) -> Option<Advice> {
        let names: Vec<&str> = path.split('.').collect();
        let plain = |name: &&str| {
            !name.is_empty()
                && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | ':' | ' '))
        };
        if names.len() > MAX_NAMES || !names.iter().all(plain) {
            return None;
        }
        find(self.root(), &names, &mut Vec::new(), fuel).ok().flatten()
    }
}

/// Tries all ways to join some of `names` by dots.
fn find(
    element: Element<'_>,
    names: &[&str],
    before: &mut Vec<String>,
    fuel: &mut Fuel<'_>,
) -> Result<Option<Advice>, OutOfFuel> {
    if names.is_empty() {
        let whole_key = before.len() == 1;
        return Ok(Some(if whole_key { Advice::Key } else { Advice::Path(spelled(before)) }));
    }
    if let Kind::Plain | Kind::Escaped = element.kind() {
        // A string without an object or list contains no target.
        let text = element.content();
        if before.is_empty() || !text.trim_start().starts_with(['{', '[']) {
            return Ok(None);
        }
        let Ok(inner) = Document::parse(text.as_bytes(), fuel) else { return Ok(None) };
        let there = find(inner.root(), names, &mut Vec::new(), fuel)?.is_some();
        return Ok(there.then(|| Advice::JsonText(spelled(before))));
    }
    let value = Value::Element(element);
    let View::Object(object) = value.view() else { return Ok(None) };
    for count in 1..=names.len() {
        let name = names[..count].join(".");
        let Some(Value::Element(inner)) = object.get(&name, fuel)? else { continue };
        before.push(name);
        let found = find(inner, &names[count..], before, fuel)?;
        if found.is_some() {
            return Ok(found);
        }
        before.pop();
    }
    Ok(None)
}

/// The path of `names`, with quotes where they are needed.
fn spelled(names: &[String]) -> String {
    let bare = |name: &str| {
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    let quoted = names.iter().map(|name| if bare(name) { name.clone() } else { format!("\"{name}\"") });
    quoted.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(path: &str, json: &str) -> Option<Advice> {
        let fuel = &mut Fuel::new(&|| false);
        Document::parse(json.as_bytes(), fuel).unwrap().advice(path, fuel)
    }

    #[test]
    fn a_key_with_dots_is_found_at_any_depth() {
        let path = |path: &str| Some(Advice::Path(path.to_owned()));
        assert_eq!(
            advice("spring.datasource.password", r#"{"spring.datasource.password":"x"}"#),
            Some(Advice::Key)
        );
        assert_eq!(advice("db.spring.url", r#"{"db":{"spring.url":"x"}}"#), path(r#"db."spring.url""#));
        assert_eq!(advice("a.b.c.d", r#"{"a":{"x":1},"a.b":{"c.d":"x"}}"#), path(r#""a.b"."c.d""#));
        assert_eq!(advice("a.b", r#"{"a":{"b":"x"}}"#), path("a.b"));
        assert_eq!(advice("a.b", r#"{"a":{"c":"x"}}"#), None);
        assert_eq!(advice("a.b[0]", r#"{"a.b[0]":"x"}"#), None);
        assert_eq!(advice(&["a"; 17].join("."), "{}"), None);
    }

    #[test]
    fn json_inside_a_string_is_reported() {
        let text = r#"{"config":"{\"user\":{\"name\":\"x\"}}","words":"user.name"}"#;
        assert_eq!(advice("config.user.name", text), Some(Advice::JsonText("config".to_owned())));
        assert_eq!(advice("config.other", text), None);
        assert_eq!(advice("words.user", text), None);
    }
}
