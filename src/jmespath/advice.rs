//! Why a plain path finds nothing although what it names is there: a key with
//! dots in it, or JSON within a string.

use super::{
    document::{Document, Element, Kind},
    fuel::{Fuel, OutOfFuel},
    value::{Value, View},
};

/// Names of a path that is looked into.
const MAX_NAMES: usize = 16;

/// How a document has what a path of names with dots does not find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// As one key of the outermost object.
    Key,
    /// Under this path.
    Path(String),
    /// Within the JSON that the string under this path holds.
    JsonText(String),
}

impl Document<'_> {
    /// How the document has what `path` does not find; `None` where it has not,
    /// where the path has more than names and dots, or `fuel` ends.
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

/// Follows all ways to read `names`, some of them joined to one by dots.
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
        // A text that holds no object or list holds nothing to be found.
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

/// A path of these names.
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
