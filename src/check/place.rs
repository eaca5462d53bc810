//! Where in a file a part of a class is.

use super::Checker;
use crate::{
    estate::ClassObject,
    findings::{FilePlace, ObjectName, Place},
    manifests::{SecretProviderClass, Within},
    model::{
        mistakes::At,
        yaml::{Content, Node},
    },
};

/// The place of a node of a class.
pub(super) fn of_node(class: &SecretProviderClass, node: &Node) -> Place {
    at(class, node.line, node.column)
}

pub(super) fn at(class: &SecretProviderClass, line: u32, column: u32) -> Place {
    let SecretProviderClass { name, namespace, file, root } = class;
    let kind = crate::manifests::text_at(root, &["kind"]).unwrap_or_default();
    let file = FilePlace { file: file.clone(), line, column };
    Place::in_file(file, ObjectName::new(&kind, namespace, name))
}

/// Finds the places of mistakes in one class.
pub(super) struct Places<'a> {
    class: &'a ClassObject,
    /// The places within `objects`.
    within: Within,
}

impl<'a> Places<'a> {
    pub(super) fn of(class: &'a ClassObject, checker: &Checker<'_>) -> Self {
        let objects = class.manifest.parameter("objects");
        let text = checker.found.texts.get(&class.manifest.file);
        let within = match (objects, text) {
            (Some(Node { line, column, content: Content::Scalar { text: objects, .. } }), Some(text)) => {
                text.within(*line, *column, objects)
            }
            _ => Within::default(),
        };
        Self { class, within }
    }

    /// The place of a part of the class; of the parameter, or of the parameters or the
    /// class if it is not there.
    pub(super) fn of_part(&self, at: &At) -> Place {
        let class = &self.class.manifest;
        let parameter = class.parameter(&at.parameter);
        if at.line > 0
            && at.parameter == "objects"
            && let Some((line, column)) = self.within.place(at.line, at.column)
        {
            return self::at(class, line, column);
        }
        let parameters = || crate::manifests::at(&class.root, &["spec", "parameters"]);
        parameter.or_else(parameters).map_or_else(|| self.class.place.clone(), |node| of_node(class, node))
    }
}
