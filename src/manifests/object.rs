//! One Kubernetes object of a manifest.

use serde::de::DeserializeOwned;
use serde_json::{Number, Value};

use crate::model::yaml::{Content, Node};

/// An object of any kind, with the places of all its parts.
#[derive(Clone, Debug)]
pub struct Object {
    /// The file, or `standard input`; empty in a live cluster.
    pub file: String,
    pub root: Node,
}

impl Object {
    /// An object as the Kubernetes API returns it, without what only the API server
    /// needs.
    pub fn of_json(object: &Value) -> Self {
        let mut root = node(object);
        if let Content::Map(entries) = &mut root.content
            && let Some((_, metadata)) = entries.iter_mut().find(|(key, _)| key == "metadata")
            && let Content::Map(entries) = &mut metadata.content
        {
            entries.retain(|(key, _)| key != "managedFields");
        }
        Self { file: String::new(), root }
    }

    pub fn kind(&self) -> String {
        text_at(&self.root, &["kind"]).unwrap_or_default()
    }

    pub fn api_version(&self) -> String {
        text_at(&self.root, &["apiVersion"]).unwrap_or_default()
    }

    pub fn name(&self) -> String {
        text_at(&self.root, &["metadata", "name"]).unwrap_or_default()
    }

    /// `None` if the manifest leaves it to whoever applies it.
    pub fn namespace(&self) -> Option<String> {
        text_at(&self.root, &["metadata", "namespace"]).filter(|namespace| !namespace.is_empty())
    }

    /// Reads the object as a type of the Kubernetes API. `None` if it does not have
    /// that form.
    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_value(json(&self.root)).ok()
    }
}

/// The value as JSON, as the Kubernetes API would receive it.
fn json(node: &Node) -> Value {
    match &node.content {
        Content::Null => Value::Null,
        Content::Scalar { text, boolean: true, .. } => Value::Bool(text == "true"),
        Content::Scalar { text, number: Some(_), .. } => {
            serde_json::from_str::<Number>(text).map_or_else(|_| text.as_str().into(), Value::Number)
        }
        Content::Scalar { text, .. } => text.as_str().into(),
        Content::List(items) => items.iter().map(json).collect(),
        Content::Map(entries) => entries.iter().map(|(key, node)| (key.clone(), json(node))).collect(),
    }
}

/// JSON as a node without a place.
fn node(value: &Value) -> Node {
    let scalar = |text: String, number: Option<String>, boolean| Content::Scalar { text, number, boolean };
    let content = match value {
        Value::Null => Content::Null,
        Value::Bool(value) => scalar(value.to_string(), None, true),
        Value::Number(number) => scalar(number.to_string(), Some(number.to_string()), false),
        Value::String(text) => scalar(text.clone(), None, false),
        Value::Array(items) => Content::List(items.iter().map(node).collect()),
        Value::Object(entries) => {
            Content::Map(entries.iter().map(|(key, value)| (key.clone(), node(value))).collect())
        }
    };
    Node { line: 0, column: 0, content }
}

/// The node at a path of keys.
pub fn at<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    path.iter().try_fold(node, |node, key| match &node.content {
        Content::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, node)| node),
        Content::Null | Content::Scalar { .. } | Content::List(_) => None,
    })
}

/// The scalar at a path of keys, as text.
pub fn text_at(node: &Node, path: &[&str]) -> Option<String> {
    text_of(at(node, path)?)
}

/// The items of the list at a key.
pub fn list_at<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    match at(node, &[key]).map(|node| &node.content) {
        Some(Content::List(items)) => items,
        _ => &[],
    }
}

pub fn text_of(node: &Node) -> Option<String> {
    match &node.content {
        Content::Scalar { text, .. } => Some(text.clone()),
        Content::Null => Some(String::new()),
        Content::List(_) | Content::Map(_) => None,
    }
}
