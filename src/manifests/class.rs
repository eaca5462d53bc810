//! One SecretProviderClass object, and the API server's checks of it.

use std::fmt;

use super::{
    object::{Object, at, list_at, text_at, text_of},
    synced::Synced,
};
use crate::model::{
    class::{Class, OpenedClass},
    file::FileMode,
    message::quoted,
    mistakes::Invalid,
    rules::Rules,
    yaml::{Content, Node},
};

pub(super) const KIND: &str = "SecretProviderClass";
const GROUP: &str = "secrets-store.csi.x-k8s.io";
const VERSIONS: [&str; 2] = ["secrets-store.csi.x-k8s.io/v1", "secrets-store.csi.x-k8s.io/v1alpha1"];
/// The driver's default file mode.
const DEFAULT_MODE: u32 = 0o644;

/// The fields of the object, its spec and its `secretObjects`:
/// <https://github.com/kubernetes-sigs/secrets-store-csi-driver/blob/main/apis/v1/secretproviderclass_types.go>
const FIELDS: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
const SPEC_FIELDS: [&str; 3] = ["provider", "parameters", "secretObjects"];
const SECRET_FIELDS: [&str; 5] = ["secretName", "type", "labels", "annotations", "data"];
const DATA_FIELDS: [&str; 2] = ["objectName", "key"];

/// A SecretProviderClass, of this provider or another one.
#[derive(Clone, Debug)]
pub struct SecretProviderClass {
    pub name: String,
    /// `default` if the manifest names none.
    pub namespace: String,
    /// The file, or `standard input`; empty in a live cluster.
    pub file: String,
    pub root: Node,
}

/// Whether the object is a SecretProviderClass, or was meant to be one.
pub(super) fn is_class(object: &Object) -> bool {
    let kind = object.kind();
    kind.eq_ignore_ascii_case(KIND)
        || object.api_version().starts_with(GROUP) && kind != "SecretProviderClassPodStatus"
}

impl fmt::Display for SecretProviderClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, namespace, file, root } = self;
        match file.as_str() {
            "" => write!(f, "{namespace}/{name}"),
            file => write!(f, "{namespace}/{name} ({file}, line {})", root.line),
        }
    }
}

impl SecretProviderClass {
    /// Reads an object that is one.
    pub fn of(object: &Object) -> Self {
        Self {
            name: object.name(),
            namespace: object.namespace().unwrap_or_else(|| "default".to_owned()),
            file: object.file.clone(),
            root: object.root.clone(),
        }
    }

    /// Whether `wanted` is its name or `namespace/name`.
    pub fn is_named(&self, wanted: &str) -> bool {
        wanted == self.name || wanted.split_once('/') == Some((&self.namespace, &self.name))
    }

    /// Whether it names this provider.
    pub fn is_ours(&self) -> bool {
        matches!(text_at(&self.root, &["spec", "provider"]).as_deref(), Some("aws" | "latchkey"))
    }

    /// Why the API server would not accept it, or the driver not call this provider.
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let kind = text_at(&self.root, &["kind"]).unwrap_or_default();
        if kind != KIND {
            mistakes.push(format!("kind {} must be {KIND:?}", quoted(&kind)));
        }
        let version = text_at(&self.root, &["apiVersion"]).unwrap_or_default();
        if !VERSIONS.contains(&version.as_str()) {
            mistakes.push(format!("apiVersion {} must be {:?}", quoted(&version), VERSIONS[0]));
        }
        let provider = text_at(&self.root, &["spec", "provider"]).unwrap_or_default();
        if !self.is_ours() {
            mistakes.push(format!("spec.provider {} must be \"aws\"", quoted(&provider)));
        }
        match at(&self.root, &["spec", "parameters"]) {
            None => mistakes.push("spec.parameters is missing".to_owned()),
            Some(Node { content: Content::Map(entries), .. }) => {
                mistakes.extend(entries.iter().filter_map(|(key, node)| not_a_string(key, node)));
            }
            Some(node) => mistakes.push(format!("spec.parameters (line {}) must be a mapping", node.line)),
        }
        mistakes
    }

    /// Fields that the API server would reject or drop, depending on the client.
    pub fn warnings(&self) -> Vec<String> {
        let mut unknown = Unknown { warnings: Vec::new() };
        unknown.fields("", &self.root, &FIELDS);
        if let Some(spec) = at(&self.root, &["spec"]) {
            unknown.fields("spec.", spec, &SPEC_FIELDS);
        }
        for (index, secret) in self.secrets().iter().enumerate() {
            let place = format!("spec.secretObjects[{index}].");
            unknown.fields(&place, secret, &SECRET_FIELDS);
            for (index, entry) in list_at(secret, "data").iter().enumerate() {
                unknown.fields(&format!("{place}data[{index}]."), entry, &DATA_FIELDS);
            }
        }
        if text_at(&self.root, &["apiVersion"]).as_deref() == Some(VERSIONS[1]) {
            unknown.warnings.push(format!("apiVersion v1alpha1 is deprecated; use {}", VERSIONS[0]));
        }
        unknown.warnings
    }

    /// The entries that the driver copies into Kubernetes Secrets.
    pub fn secret_objects(&self) -> Vec<Synced> {
        let mut synced = Vec::new();
        for (index, secret) in self.secrets().iter().enumerate() {
            let name = text_at(secret, &["secretName"]).unwrap_or_default();
            let place = format!("spec.secretObjects[{index}] {} (line {})", quoted(&name), secret.line);
            for missing in ["secretName", "type"] {
                if text_at(secret, &[missing]).is_none_or(|text| text.is_empty()) {
                    synced.push(Synced::without(&place, missing));
                }
            }
            let data = list_at(secret, "data");
            if data.is_empty() {
                synced.push(Synced::without(&place, "data"));
            }
            for (index, entry) in data.iter().enumerate() {
                let place = format!("{place}.data[{index}]");
                if text_at(entry, &["key"]).is_none_or(|text| text.is_empty()) {
                    synced.push(Synced::without(&place, "key"));
                }
                synced.push(match text_at(entry, &["objectName"]) {
                    Some(name) if !name.is_empty() => Synced::file(&place, &name),
                    Some(_) | None => Synced::without(&place, "objectName"),
                });
            }
        }
        synced
    }

    fn secrets(&self) -> &[Node] {
        at(&self.root, &["spec"]).map_or(&[], |spec| list_at(spec, "secretObjects"))
    }

    /// Parses the class like a mount does.
    ///
    /// # Errors
    /// All mistakes in its parameters.
    pub fn read(&self, rules: &Rules) -> Result<Class, Invalid> {
        let parameters = match at(&self.root, &["spec", "parameters"]).map(|node| &node.content) {
            Some(Content::Map(entries)) => entries.as_slice(),
            _ => &[],
        };
        let parameters =
            parameters.iter().map(|(key, node)| (key.clone(), text_of(node).unwrap_or_default()));
        let mode = FileMode::new(DEFAULT_MODE).unwrap_or(FileMode::OWNER_READ);
        let heading = format!("SecretProviderClass {self} is invalid");
        let opened = OpenedClass::of_parameters(self.name.clone(), parameters, mode, rules);
        opened.read(None, rules, || heading)
    }
}

/// Why the API server would reject a parameter: each must be a string.
fn not_a_string(key: &str, node: &Node) -> Option<String> {
    let problem = match &node.content {
        Content::Scalar { text, number, boolean } => {
            let unquoted = number.as_ref().or(boolean.then_some(text))?;
            format!("must be a string; write it in quotes: {}", quoted(unquoted))
        }
        Content::List(_) | Content::Map(_) => "must be a string; write it as a block after a |".to_owned(),
        Content::Null => "must be a string, but is empty; write \"\" or remove the key".to_owned(),
    };
    Some(format!("spec.parameters.{key} (line {}) {problem}", node.line))
}

struct Unknown {
    warnings: Vec<String>,
}

impl Unknown {
    fn fields(&mut self, place: &str, node: &Node, known: &[&str]) {
        let Content::Map(entries) = &node.content else { return };
        for (field, node) in entries.iter().filter(|(field, _)| !known.contains(&field.as_str())) {
            let near = known.iter().find(|known| known.eq_ignore_ascii_case(field));
            let advice = match near {
                Some(near) => format!(": the correct spelling is {near}"),
                None if place == "spec." => ": put parameters below spec.parameters".to_owned(),
                None => String::new(),
            };
            self.warnings.push(format!(
                "{place}{field} (line {}) is not a field of a SecretProviderClass; the API server rejects or drops it{advice}",
                node.line
            ));
        }
    }
}
