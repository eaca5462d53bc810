//! One SecretProviderClass object, and the API server's checks of it.

use std::{collections::BTreeMap, fmt};

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

/// A mistake in the object, or something odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub kind: ProblemKind,
    /// 1-based; 0 in a live cluster.
    pub line: u32,
    pub column: u32,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    Kind,
    ApiVersion,
    Provider,
    NoParameters,
    /// A parameter that is not a string, or parameters that are not a mapping.
    NotAString,
    UnknownField,
    Deprecated,
    /// A field of `secretObjects` that is missing.
    Incomplete,
    /// `secretObjects` with a file that is not mounted.
    NotMounted,
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
    pub fn mistakes(&self) -> Vec<Problem> {
        let mut mistakes = Vec::new();
        let root = &self.root;
        let mut add = |kind, node: Option<&Node>, text| mistakes.push(Problem::new(kind, node, root, text));
        let text = |path: &[&str]| text_at(root, path).unwrap_or_default();
        let kind = text(&["kind"]);
        if kind != KIND {
            let problem = format!("kind {} must be {KIND:?}", quoted(&kind));
            add(ProblemKind::Kind, at(root, &["kind"]), problem);
        }
        let version = text(&["apiVersion"]);
        if !VERSIONS.contains(&version.as_str()) {
            let problem = format!("apiVersion {} must be {:?}", quoted(&version), VERSIONS[0]);
            add(ProblemKind::ApiVersion, at(root, &["apiVersion"]), problem);
        }
        if !self.is_ours() {
            let provider = text(&["spec", "provider"]);
            let problem = format!("spec.provider {} must be \"aws\"", quoted(&provider));
            add(ProblemKind::Provider, at(root, &["spec", "provider"]), problem);
        }
        match at(root, &["spec", "parameters"]) {
            None => add(ProblemKind::NoParameters, None, "spec.parameters is missing".to_owned()),
            Some(Node { content: Content::Map(entries), .. }) => {
                for (key, node) in entries {
                    if let Some(problem) = not_a_string(key, node) {
                        add(ProblemKind::NotAString, Some(node), problem);
                    }
                }
            }
            Some(node) => {
                let problem = format!("spec.parameters{} must be a mapping", in_line(node));
                add(ProblemKind::NotAString, Some(node), problem);
            }
        }
        mistakes
    }

    /// Fields that the API server would reject or drop, depending on the client.
    pub fn warnings(&self) -> Vec<Problem> {
        let mut warnings = Vec::new();
        unknown_fields("", &self.root, &FIELDS, &mut warnings);
        if let Some(spec) = at(&self.root, &["spec"]) {
            unknown_fields("spec.", spec, &SPEC_FIELDS, &mut warnings);
        }
        for (index, secret) in self.secrets().iter().enumerate() {
            let place = format!("spec.secretObjects[{index}].");
            unknown_fields(&place, secret, &SECRET_FIELDS, &mut warnings);
            for (index, entry) in list_at(secret, "data").iter().enumerate() {
                unknown_fields(&format!("{place}data[{index}]."), entry, &DATA_FIELDS, &mut warnings);
            }
        }
        if text_at(&self.root, &["apiVersion"]).as_deref() == Some(VERSIONS[1]) {
            let problem = format!("apiVersion v1alpha1 is deprecated; use {}", VERSIONS[0]);
            let node = at(&self.root, &["apiVersion"]);
            warnings.push(Problem::new(ProblemKind::Deprecated, node, &self.root, problem));
        }
        warnings
    }

    /// The entries that the driver copies into Kubernetes Secrets.
    pub fn secret_objects(&self) -> Vec<Synced> {
        let mut synced = Vec::new();
        for (index, secret) in self.secrets().iter().enumerate() {
            let name = text_at(secret, &["secretName"]).unwrap_or_default();
            let place = format!("spec.secretObjects[{index}] {}{}", quoted(&name), in_line(secret));
            for missing in ["secretName", "type"] {
                if text_at(secret, &[missing]).is_none_or(|text| text.is_empty()) {
                    synced.push(Synced::without(secret, &place, missing));
                }
            }
            let data = list_at(secret, "data");
            if data.is_empty() {
                synced.push(Synced::without(secret, &place, "data"));
            }
            for (index, entry) in data.iter().enumerate() {
                let place = format!("{place}.data[{index}]");
                if text_at(entry, &["key"]).is_none_or(|text| text.is_empty()) {
                    synced.push(Synced::without(entry, &place, "key"));
                }
                synced.push(match at(entry, &["objectName"]).map(|node| (node, text_of(node))) {
                    Some((node, Some(name))) if !name.is_empty() => Synced::file(node, &place, &name),
                    _ => Synced::without(entry, &place, "objectName"),
                });
            }
        }
        synced
    }

    /// The text of a parameter, and its node.
    pub fn parameter(&self, key: &str) -> Option<&Node> {
        at(&self.root, &["spec", "parameters", key])
    }

    /// The `secretObjects`.
    pub fn secrets(&self) -> &[Node] {
        at(&self.root, &["spec"]).map_or(&[], |spec| list_at(spec, "secretObjects"))
    }

    /// Parses the class like a mount does.
    ///
    /// # Errors
    /// All mistakes in its parameters.
    pub fn read(&self, rules: &Rules) -> Result<Class, Invalid> {
        self.read_with(rules, &BTreeMap::new())
    }

    /// Parses the class like a mount does whose volume has these attributes.
    ///
    /// # Errors
    /// All mistakes in the parameters.
    pub fn read_with(&self, rules: &Rules, attributes: &BTreeMap<String, String>) -> Result<Class, Invalid> {
        let parameters = match at(&self.root, &["spec", "parameters"]).map(|node| &node.content) {
            Some(Content::Map(entries)) => entries.as_slice(),
            _ => &[],
        };
        let parameters =
            parameters.iter().map(|(key, node)| (key.clone(), text_of(node).unwrap_or_default()));
        let attributes = attributes.iter().map(|(key, text)| (key.clone(), text.clone()));
        let mode = FileMode::new(DEFAULT_MODE).unwrap_or(FileMode::OWNER_READ);
        let heading = format!("SecretProviderClass {self} is invalid");
        let opened = OpenedClass::of_parameters(self.name.clone(), parameters.chain(attributes), mode, rules);
        opened.read(None, rules, || heading)
    }
}

impl Problem {
    /// A problem at a node, or of the whole class.
    fn new(kind: ProblemKind, node: Option<&Node>, root: &Node, text: String) -> Self {
        let Node { line, column, .. } = node.unwrap_or(root);
        Self { kind, line: *line, column: *column, text }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
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
    Some(format!("spec.parameters.{key}{} {problem}", in_line(node)))
}

/// The line of a node, for a message; empty in a live cluster.
fn in_line(node: &Node) -> String {
    if node.line == 0 { String::new() } else { format!(" (line {})", node.line) }
}

fn unknown_fields(place: &str, node: &Node, known: &[&str], warnings: &mut Vec<Problem>) {
    let Content::Map(entries) = &node.content else { return };
    for (field, node) in entries.iter().filter(|(field, _)| !known.contains(&field.as_str())) {
        let near = known.iter().find(|known| known.eq_ignore_ascii_case(field));
        let advice = match near {
            Some(near) => format!(": the correct spelling is {near}"),
            None if place == "spec." => ": put parameters below spec.parameters".to_owned(),
            None => String::new(),
        };
        let problem = format!(
            "{place}{field}{} is not a field of a SecretProviderClass; the API server rejects or drops it{advice}",
            in_line(node)
        );
        warnings.push(Problem::new(ProblemKind::UnknownField, Some(node), node, problem));
    }
}
