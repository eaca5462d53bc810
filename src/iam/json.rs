//! JSON with a limit of size and depth, in which no key occurs twice: of two equal keys IAM
//! takes none, and a parser that took the last would read another policy than the author.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use super::document::PolicyError;
use crate::model::message::quoted;

/// Maximum size of a text: far more than IAM's largest policy (20,480 characters for a
/// secret's, 32,768 for a key's), and enough for an answer with all policies of a role.
const MAX_BYTES: usize = 1 << 20;

/// A JSON value. Numbers and booleans of a policy count as their text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    /// A string, number or boolean.
    Text(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

impl Json {
    /// Parses a text; the maximum depth is 127.
    ///
    /// # Errors
    /// The line and column of the first problem.
    pub(super) fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_BYTES {
            let problem = format!("has {} bytes; the maximum is {MAX_BYTES}", text.len());
            return Err(PolicyError::new("the text", problem));
        }
        serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            let problem = match error.classify() {
                // The only errors of this kind are those of `Json` itself.
                Category::Data => error.to_string().split(" at line").next().unwrap_or_default().to_owned(),
                Category::Eof => "the text ends too early; is the file complete?".to_owned(),
                Category::Io | Category::Syntax => "this is not JSON".to_owned(),
            };
            PolicyError::new(place, problem)
        })
    }

    /// The value of a key, if this is an object that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            Self::Null | Self::Text(_) | Self::List(_) => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// The texts of a string, or of a list of strings, as IAM writes one or several.
    ///
    /// # Errors
    /// If it is anything else. `place` names it.
    pub(super) fn texts(&self, place: &str) -> Result<Vec<String>, PolicyError> {
        let wrong = || PolicyError::new(place, "must be a string or a list of strings");
        match self {
            Self::Text(text) => Ok(vec![text.clone()]),
            Self::List(items) => {
                items.iter().map(|item| item.text().map(str::to_owned).ok_or_else(wrong)).collect()
            }
            Self::Null | Self::Map(_) => Err(wrong()),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut map: Vec<(String, Json)> = Vec::new();
        let mut known = std::collections::HashSet::new();
        while let Some((key, value)) = entries.next_entry::<String, Json>()? {
            if !known.insert(key.clone()) {
                return Err(de::Error::custom(format!("the key {} occurs twice", quoted(&key))));
            }
            map.push((key, value));
        }
        Ok(Json::Map(map))
    }
}
