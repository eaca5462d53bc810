//! YAML as Go's `sigs.k8s.io/yaml` reads it into string fields: what users'
//! manifests rely on, with budgets, because pod authors write the text.
//!
//! A document becomes a tree of [`Node`]s. Every node knows its line, and a
//! scalar that stands unquoted knows how it was written, so that `0644` can be
//! told from `420` and a thirty-digit number keeps its digits.

use std::{collections::HashMap, fmt};

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::{
    Spanned,
    options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy},
};

/// Deepest nesting that is read; a SecretProviderClass needs 7. The parser and
/// this file recurse, and an exhausted stack would end the process: a debug build
/// takes up to 60 KiB a level, and a thread has 2 MiB.
const MAX_DEPTH: usize = 12;
/// Most nodes that are read, aliases expanded: 500 objects with every key that
/// there is have about 15,000.
const MAX_NODES: usize = 16_000;
/// Most bytes of scalars, aliases expanded: twice the longest text.
const MAX_SCALAR_BYTES: usize = 512 << 10;

/// A place in the document and what stands there.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// 1-based line of the document.
    pub line: u64,
    /// What stands there.
    pub content: Content,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Nothing, `~` or `null`.
    Null,
    /// A scalar as Go turns it into a string field.
    Scalar {
        /// The text that Go's decoder would hand on.
        text: String,
        /// The unquoted number's own spelling, such as `0644`.
        number: Option<String>,
    },
    /// A list.
    List(Vec<Node>),
    /// A mapping in document order; of equal keys only the last is kept.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// What a mapping holds under `key`, written in any case.
    pub(super) fn values_of(&self, key: &str) -> impl Iterator<Item = &Self> {
        let entries = match &self.content {
            Content::Map(entries) => entries.as_slice(),
            Content::Null | Content::Scalar { .. } | Content::List(_) => &[],
        };
        entries.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, node)| node)
    }

    /// The length of a scalar; everything else has none.
    pub(super) fn text_bytes(&self) -> usize {
        match &self.content {
            Content::Scalar { text, .. } => text.len(),
            Content::Null | Content::List(_) | Content::Map(_) => 0,
        }
    }
}

/// A document that cannot be read. The message holds a place, no content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct YamlError {
    /// 1-based line, 0 when the parser names none.
    pub line: u64,
    /// What the parser refused.
    pub problem: String,
}

/// Reads the first document of `text`; an empty one is `None`.
///
/// # Errors
/// The place where the text is no YAML, or where it passes a budget.
pub fn read(text: &str) -> Result<Option<Node>, YamlError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match read_in_place(text) {
        Some(node) => Ok(Some(node)),
        None => read_first(text),
    }
}

/// Reads a text of one document that is good and not empty, as nearly all are.
fn read_in_place(text: &str) -> Option<Node> {
    let raw = serde_yaml::from_str_with_options::<Spanned<Raw>>(text, options()).ok()?;
    let empty = matches!(raw.value, Raw::Null);
    (!empty).then(|| Resolver { text: text.chars().collect() }.node(raw))
}

/// Reads the first of any documents; slower, and with the last word.
fn read_first(text: &str) -> Result<Option<Node>, YamlError> {
    let mut bytes = text.as_bytes();
    let first = serde_yaml::read_with_options::<_, Spanned<Raw>>(&mut bytes, options()).next();
    match first {
        None => Ok(None),
        Some(Ok(raw)) => Ok(Some(Resolver { text: text.chars().collect() }.node(raw))),
        Some(Err(error)) => Err(YamlError {
            line: error.location().map_or(0, |location| location.line()),
            problem: error.to_string().lines().next().unwrap_or_default().to_owned(),
        }),
    }
}

fn options() -> serde_yaml::Options {
    serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_total_scalar_bytes: MAX_SCALAR_BYTES,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        legacy_octal_numbers: true,
        with_snippet: false,
    }
}

/// What the parser takes a scalar for, before Go's rules are applied.
enum Raw {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(String, Spanned<Raw>)>),
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML node")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Integer(value))
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Raw, E> {
        Ok(i128::try_from(value).map_or(Raw::Float(f64::INFINITY), Raw::Integer))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

/// Applies Go's rules to what the parser found.
struct Resolver {
    text: Vec<char>,
}

impl Resolver {
    fn node(&self, raw: Spanned<Raw>) -> Node {
        let span = raw.defined.span();
        let content = match raw.value {
            Raw::Null => Content::Null,
            Raw::Bool(value) => scalar(value.to_string()),
            Raw::Integer(value) => self.number(&span, |spelling| go_integer(value, spelling)),
            Raw::Float(value) => self.number(&span, |spelling| go_float(value, spelling)),
            Raw::Text(text) => self.text(&span, text),
            Raw::List(items) => Content::List(items.into_iter().map(|item| self.node(item)).collect()),
            Raw::Map(entries) => {
                let mut map = Mapping::default();
                for (key, value) in entries {
                    map.put(key, self.node(value));
                }
                Content::Map(map.entries)
            }
        };
        Node { line: raw.referenced.line(), content }
    }

    fn number(&self, span: &serde_yaml::Span, text: impl FnOnce(&str) -> String) -> Content {
        let spelling = self.spelling(span);
        Content::Scalar { text: text(&spelling), number: Some(spelling) }
    }

    /// Go resolves some words that the parser leaves as text; quoted text is
    /// never touched.
    fn text(&self, span: &serde_yaml::Span, text: String) -> Content {
        let plain = self.spelling(span) == text;
        let resolved = match (plain, text.to_ascii_lowercase().as_str()) {
            (true, "y" | "yes" | "on" | "true") => "true",
            (true, "n" | "no" | "off" | "false") => "false",
            (true, ".inf" | "+.inf") => "+Inf",
            (true, "-.inf") => "-Inf",
            (true, ".nan") => "NaN",
            _ => return scalar(text),
        };
        scalar(resolved.to_owned())
    }

    /// The source text of a scalar.
    fn spelling(&self, span: &serde_yaml::Span) -> String {
        let start = usize::try_from(span.offset()).unwrap_or(usize::MAX).min(self.text.len());
        let length = usize::try_from(span.len()).unwrap_or(0);
        let end = start.saturating_add(length).min(self.text.len());
        self.text[start..end].iter().collect::<String>().trim().to_owned()
    }
}

/// A mapping while it is read.
#[derive(Default)]
struct Mapping {
    entries: Vec<(String, Node)>,
    /// Where each key stands.
    places: HashMap<String, usize>,
}

impl Mapping {
    /// Puts an entry in as Go does: the last of equal keys wins, and a `<<`
    /// overrides what stands before it. In a list of merged mappings the first wins.
    fn put(&mut self, key: String, value: Node) {
        match (key.as_str(), value.content) {
            ("<<", Content::Map(entries)) => {
                for (key, value) in entries {
                    self.put(key, value);
                }
            }
            ("<<", Content::List(items)) => {
                for item in items.into_iter().rev() {
                    self.put("<<".to_owned(), item);
                }
            }
            (_, content) => {
                let node = Node { line: value.line, content };
                match self.places.get(&key) {
                    Some(place) => self.entries[*place].1 = node,
                    None => {
                        self.places.insert(key.clone(), self.entries.len());
                        self.entries.push((key, node));
                    }
                }
            }
        }
    }
}

fn scalar(text: String) -> Content {
    Content::Scalar { text, number: None }
}

/// Go prints any integer of 64 bits as decimal and keeps larger ones as written.
fn go_integer(value: i128, spelling: &str) -> String {
    if value >= i128::from(i64::MIN) && value <= i128::from(u64::MAX) {
        value.to_string()
    } else {
        spelling.to_owned()
    }
}

/// Go prints a float field's text with `FormatFloat(v, 'g', -1, 32)`; integers
/// that are too long for 64 bits are no floats to Go and stay as written.
fn go_float(value: f64, spelling: &str) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    if spelling.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | '_')) {
        return spelling.to_owned();
    }
    // f64 → f32 rounds to nearest, as Go's formatter does.
    let single = value as f32;
    let scientific = format!("{single:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // Go's shortest 'g' turns to an exponent below 1e-4 and from 1e6 on.
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:02}", exponent.abs())
    } else {
        format!("{single}")
    }
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
