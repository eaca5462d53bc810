//! Reads YAML like Go's `sigs.k8s.io/yaml` with string fields, because users'
//! manifests rely on that. Has budgets, because pod authors write the text.
//!
//! A document becomes a tree of [`Node`]s. Every node has its line, and an unquoted
//! number keeps its spelling, so that `0644` differs from `420` and a thirty-digit
//! number keeps its digits.

use std::{collections::HashMap, fmt};

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::{
    Spanned,
    options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy},
};

use super::go_text::{show_float, show_integer};

/// Maximum nesting; a SecretProviderClass needs 7. The parser and this file recurse,
/// and a stack overflow would end the process: a debug build uses up to 60 KiB per
/// level, and a thread has 2 MiB.
const MAX_DEPTH: usize = 12;
/// Maximum nesting of a manifest on the command line.
const MAX_MANIFEST_DEPTH: usize = 32;
/// Maximum number of nodes, with aliases expanded. 500 objects with every possible
/// key have about 15,000.
const MAX_NODES: usize = 16_000;
/// Maximum bytes of scalars, with aliases expanded: twice the longest text.
const MAX_SCALAR_BYTES: usize = 512 << 10;

#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// 1-based line in the document.
    pub line: u32,
    /// 1-based column, in characters.
    pub column: u32,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Empty, `~` or `null`.
    Null,
    /// A scalar, as Go converts it for a string field.
    Scalar {
        /// The text that Go's decoder returns.
        text: String,
        /// The spelling of an unquoted number, such as `0644`.
        number: Option<String>,
        /// Whether it is an unquoted boolean, such as `true` or `yes`.
        boolean: bool,
    },
    List(Vec<Node>),
    /// A mapping in document order. Of equal keys, only the last is kept.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The values of `key`, in upper or lower case, in a mapping.
    pub(crate) fn values_of(&self, key: &str) -> impl Iterator<Item = &Self> {
        let entries = match &self.content {
            Content::Map(entries) => entries.as_slice(),
            Content::Null | Content::Scalar { .. } | Content::List(_) => &[],
        };
        entries.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, node)| node)
    }

    /// The length of a scalar; 0 for everything else.
    pub(super) fn text_bytes(&self) -> usize {
        match &self.content {
            Content::Scalar { text, .. } => text.len(),
            Content::Null | Content::List(_) | Content::Map(_) => 0,
        }
    }
}

/// A document that cannot be parsed. The message contains a place and no content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct YamlError {
    /// 1-based; 0 if the parser reports none.
    pub line: u64,
    /// 1-based, in characters.
    pub column: u64,
    pub problem: String,
}

/// The first document of a text. Go's `yaml.Unmarshal` reads no more than that.
#[derive(Debug, PartialEq)]
pub struct Document {
    /// `None` for an empty document.
    pub root: Option<Node>,
    /// The 1-based line after the document's end, if there is text that is not read.
    pub lost: Option<u64>,
}

/// Reads one document of a trusted manifest of any kind, which starts after
/// `lines_before` lines of its file.
pub fn read_manifest(text: &str, lines_before: u32) -> Result<Option<Node>, YamlError> {
    let trusted = options(serde_yaml::budget! { max_depth: MAX_MANIFEST_DEPTH });
    let mut bytes = text.as_bytes();
    let first = serde_yaml::read_with_options::<_, Spanned<Raw>>(&mut bytes, trusted).next();
    let raw = first.transpose().map_err(|error| {
        let error = unreadable(&error, text);
        let line = if error.line == 0 { 0 } else { error.line + u64::from(lines_before) };
        YamlError { line, ..error }
    })?;
    let places = Places::Definitions { lines_before };
    Ok(raw.map(|raw| Resolver { text: text.chars().collect(), places }.node(raw)))
}

/// Reads the first document of `text`.
///
/// # Errors
/// The place where `text` is not YAML or exceeds a budget.
pub fn read(text: &str) -> Result<Document, YamlError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match read_in_place(text) {
        Some(node) => Ok(Document { root: Some(node), lost: None }),
        None => read_first(text),
    }
}

/// The 1-based line where `text` contains a template's `{{`.
pub fn template_line(text: &str) -> Option<usize> {
    text.lines().position(is_template).map(|index| index + 1)
}

/// Whether `text` contains an unrendered template. No name of a secret, parameter or
/// Region contains two braces.
pub(super) fn is_template(text: &str) -> bool {
    text.contains("{{")
}

/// Reads a text with one valid, non-empty document, as nearly all are.
fn read_in_place(text: &str) -> Option<Node> {
    let raw = serde_yaml::from_str_with_options::<Spanned<Raw>>(text, untrusted()).ok()?;
    let empty = matches!(raw.value, Raw::Null);
    (!empty).then(|| Resolver { text: text.chars().collect(), places: Places::Uses }.node(raw))
}

/// Reads the first of any number of documents. Slower, but its result is final.
fn read_first(text: &str) -> Result<Document, YamlError> {
    let mut bytes = text.as_bytes();
    let mut documents = serde_yaml::read_with_options::<_, Spanned<Raw>>(&mut bytes, untrusted());
    let Some(first) = documents.next() else { return Ok(Document { root: None, lost: None }) };
    let first = first.map_err(|error| unreadable(&error, text))?;
    // If a list continues with less indentation, it has ended, and the rest is not a
    // valid document. In that case, this is an error at that place.
    let lost = documents.next().and_then(|next| match next {
        Ok(raw) => Some(raw.defined.line()),
        Err(error) => error.location().map(|location| location.line()),
    });
    let root = Resolver { text: text.chars().collect(), places: Places::Uses }.node(first);
    Ok(Document { root: Some(root), lost })
}

fn unreadable(error: &serde_yaml::Error, text: &str) -> YamlError {
    let (line, column) = error.location().map_or((0, 0), |place| (place.line(), place.column()));
    let message = error.to_string();
    let message = message.lines().next().unwrap_or_default();
    if message.contains("tab")
        && let Some(line) = indented_by_tab(text, line)
    {
        let problem = "this line is indented by a tab; YAML allows only spaces".to_owned();
        return YamlError { line, column: 1, problem };
    }
    let place = format!(" at line {line}, column {column}");
    YamlError { line, column, problem: message.strip_suffix(&place).unwrap_or(message).to_owned() }
}

/// The first line indented by a tab, starting at the 1-based line `from`: the parser
/// reports it at the end of the previous line.
fn indented_by_tab(text: &str, from: u64) -> Option<u64> {
    let indented = |line: &str| {
        let content = line.trim_start_matches([' ', '\t']);
        !content.trim().is_empty() && line[..line.len() - content.len()].contains('\t')
    };
    let lines = (1..).zip(text.lines()).skip_while(|(number, _)| *number < from);
    lines.filter(|(_, line)| indented(line)).map(|(number, _)| number).next()
}

fn untrusted() -> serde_yaml::Options {
    options(serde_yaml::budget! {
        max_depth: MAX_DEPTH,
        max_nodes: MAX_NODES,
        max_total_scalar_bytes: MAX_SCALAR_BYTES,
    })
}

fn options(budget: Option<serde_yaml::Budget>) -> serde_yaml::Options {
    serde_yaml::options! {
        budget: budget,
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        legacy_octal_numbers: true,
        with_snippet: false,
    }
}

/// The parser's types, before Go's rules are applied.
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

/// Applies Go's rules to the parser's result.
struct Resolver {
    text: Vec<char>,
    places: Places,
}

/// The place of a node that is reached by an alias: the alias, or the definition.
enum Places {
    Uses,
    Definitions { lines_before: u32 },
}

impl Resolver {
    fn node(&self, raw: Spanned<Raw>) -> Node {
        let span = raw.defined.span();
        let content = match raw.value {
            Raw::Null => Content::Null,
            Raw::Bool(value) => boolean(value),
            Raw::Integer(value) => self.number(&span, |spelling| show_integer(value, spelling)),
            Raw::Float(value) => self.number(&span, |spelling| show_float(value, spelling)),
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
        let place = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let (lines_before, at) = match self.places {
            Places::Uses => (0, raw.referenced),
            Places::Definitions { lines_before } => (lines_before, raw.defined),
        };
        Node { line: place(at.line()).saturating_add(lines_before), column: place(at.column()), content }
    }

    fn number(&self, span: &serde_yaml::Span, text: impl FnOnce(&str) -> String) -> Content {
        let spelling = self.spelling(span);
        Content::Scalar { text: text(&spelling), number: Some(spelling), boolean: false }
    }

    /// Go resolves some words that the parser leaves as text. Quoted text stays as it
    /// is.
    fn text(&self, span: &serde_yaml::Span, text: String) -> Content {
        let plain = self.spelling(span) == text;
        let resolved = match (plain, text.to_ascii_lowercase().as_str()) {
            (true, "y" | "yes" | "on" | "true") => return boolean(true),
            (true, "n" | "no" | "off" | "false") => return boolean(false),
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

/// A mapping while it is being read.
#[derive(Default)]
struct Mapping {
    entries: Vec<(String, Node)>,
    /// The index of each key.
    places: HashMap<String, usize>,
}

impl Mapping {
    /// Adds an entry as Go does: the last of equal keys wins, and `<<` overrides the
    /// entries before it. In a list of merged mappings, the first wins.
    fn put(&mut self, key: String, value: Node) {
        let Node { line, column, content } = value;
        match content {
            Content::Map(entries) if key == "<<" => {
                entries.into_iter().for_each(|(key, value)| self.put(key, value));
            }
            Content::List(items) if key == "<<" => {
                items.into_iter().rev().for_each(|item| self.put("<<".to_owned(), item));
            }
            content => {
                let node = Node { line, column, content };
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

fn boolean(value: bool) -> Content {
    Content::Scalar { text: value.to_string(), number: None, boolean: true }
}

fn scalar(text: String) -> Content {
    Content::Scalar { text, number: None, boolean: false }
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
