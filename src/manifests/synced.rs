//! `secretObjects`: the driver copies mounted files, by their names, into Kubernetes
//! Secrets.

use crate::model::{message::quoted, object::Object, objects::Objects};

/// One entry of `secretObjects` or a part of it.
pub struct Synced {
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
    pub(super) fn file(place: &str, name: &str) -> Self {
        // The driver trims the name.
        Self { place: place.to_owned(), entry: Entry::File(name.trim().to_owned()) }
    }

    pub(super) fn without(place: &str, field: &'static str) -> Self {
        Self { place: place.to_owned(), entry: Entry::Without(field) }
    }

    /// Why the driver would not create a Secret from it.
    pub fn problem(&self, objects: &Objects) -> Option<String> {
        let place = &self.place;
        let name = match &self.entry {
            Entry::File(name) => name,
            Entry::Without(field) => return Some(format!("{place}: {field} is missing")),
        };
        let files: Vec<&str> =
            objects.iter().flat_map(Object::file_paths).map(|path| path.as_str()).collect();
        if files.contains(&name.as_str()) {
            return None;
        }
        let advice = match near(name, objects, &files) {
            Some(near) => format!("did you mean {}?", quoted(near)),
            None => match files.as_slice() {
                [] => "the class mounts no files".to_owned(),
                files => {
                    let files: Vec<String> = files.iter().map(|file| quoted(file).to_string()).collect();
                    format!("the mounted files are {}", files.join(", "))
                }
            },
        };
        Some(format!(
            "{place}: objectName {} is not a mounted file, so the driver does not create the Secret; {advice}",
            quoted(name)
        ))
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
