//! `secretObjects`: the driver copies mounted files, by their names, into Kubernetes
//! Secrets.

use super::class::{Problem, ProblemKind};
use crate::model::{message::quoted, object::Object, objects::Objects, yaml::Node};

/// How many files a message lists.
const MAX_LISTED: usize = 10;

/// One entry of `secretObjects` or a part of it.
pub struct Synced {
    line: u32,
    column: u32,
    place: String,
    entry: Entry,
}

enum Entry {
    /// The file to copy.
    File(String),
    /// The field that is missing.
    Without(&'static str),
}

impl Synced {
    pub(super) fn file(node: &Node, place: &str, name: &str) -> Self {
        // The driver trims the name.
        Self::new(node, place, Entry::File(name.trim().to_owned()))
    }

    pub(super) fn without(node: &Node, place: &str, field: &'static str) -> Self {
        Self::new(node, place, Entry::Without(field))
    }

    fn new(node: &Node, place: &str, entry: Entry) -> Self {
        Self { line: node.line, column: node.column, place: place.to_owned(), entry }
    }

    /// The field that is missing, for a class whose objects cannot be read.
    pub fn incomplete(&self) -> Option<Problem> {
        let Entry::Without(field) = &self.entry else { return None };
        Some(self.with(ProblemKind::Incomplete, format!("{}: {field} is missing", self.place)))
    }

    fn with(&self, kind: ProblemKind, text: String) -> Problem {
        Problem { kind, line: self.line, column: self.column, text }
    }

    /// Why the driver would not create a Secret from it.
    pub fn problem(&self, objects: &Objects) -> Option<Problem> {
        let place = &self.place;
        let name = match &self.entry {
            Entry::File(name) => name,
            Entry::Without(_) => return self.incomplete(),
        };
        let mut files = objects.iter().flat_map(Object::file_paths).map(|path| path.as_str());
        if files.any(|file| file == name) {
            return None;
        }
        let files: Vec<&str> =
            objects.iter().flat_map(Object::file_paths).map(|path| path.as_str()).collect();
        let advice = match near(name, objects, &files) {
            Some(near) => format!("did you mean {}?", quoted(near)),
            None => match files.as_slice() {
                [] => "the class mounts no files".to_owned(),
                files => {
                    let more = match files.len().saturating_sub(MAX_LISTED) {
                        0 => String::new(),
                        more => format!(", and {more} more"),
                    };
                    let files = files.iter().take(MAX_LISTED).map(|file| quoted(file).to_string());
                    format!("the mounted files are {}{more}", files.collect::<Vec<_>>().join(", "))
                }
            },
        };
        let problem = format!(
            "{place}: objectName {} is not a mounted file, so the driver does not create the Secret; {advice}",
            quoted(name)
        );
        Some(self.with(ProblemKind::NotMounted, problem))
    }
}

/// The file that was probably meant: the file of the object with this name or
/// expression, or a file with a similar name.
fn near<'a>(name: &str, objects: &'a Objects, files: &[&'a str]) -> Option<&'a str> {
    let of_object = objects.iter().find(|object| object.reference.id == name).map(|object| &object.path);
    let of_field = || {
        let mut fields = objects.iter().flat_map(|object| &object.fields);
        fields.find(|field| field.expression.as_str() == name).map(|field| &field.path)
    };
    if let Some(path) = of_object.or_else(of_field) {
        return Some(path.as_str());
    }
    let plain = |text: &str| {
        let plain = text.chars().filter(|c| c.is_alphanumeric());
        plain.flat_map(char::to_lowercase).collect::<String>()
    };
    let wanted = plain(name);
    let alike = files.iter().find(|file| plain(file) == wanted);
    let within = || files.iter().find(|file| !wanted.is_empty() && plain(file).ends_with(&wanted));
    alike.or_else(within).copied()
}
