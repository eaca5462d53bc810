//! Kubernetes objects in a user's manifests: files, folders, standard input, and what
//! `helm template` prints.

mod class;
mod documents;
mod file_text;
mod object;
mod synced;

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
};

pub use self::{
    class::{Problem, ProblemKind, SecretProviderClass},
    file_text::{FileText, Within},
    object::{Object, at, list_at, text_at, text_of},
};
use crate::model::yaml;

/// The extensions of manifests in a folder, as in `kubectl apply -f`.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];
/// Maximum size of a manifest.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;
/// Maximum depth of folders in folders.
const MAX_FOLDERS: usize = 32;

/// What manifests contain.
#[derive(Debug, Default)]
pub struct Found {
    /// The text of each file.
    pub texts: BTreeMap<String, FileText>,
    pub objects: Vec<Object>,
    /// Documents that are not YAML.
    pub unreadable: Vec<Unreadable>,
}

/// A document that is not YAML.
#[derive(Debug)]
pub struct Unreadable {
    pub file: String,
    /// 1-based; 0 if the parser reports none.
    pub line: u32,
    pub column: u32,
    pub problem: String,
    /// Whether the document's text contains the name of a SecretProviderClass's kind.
    pub names_a_class: bool,
}

/// Manifests that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("cannot read {file}")]
    Io { file: String, source: std::io::Error },
    #[error("{file} is not UTF-8 text (byte {position}); save it as UTF-8")]
    NotUtf8 { file: String, position: usize },
    #[error("{file} has more than {} MiB, the maximum for a manifest", MAX_MANIFEST_BYTES >> 20)]
    TooLarge { file: String },
    #[error("{folder} contains no .yaml, .yml or .json file")]
    EmptyFolder { folder: String },
}

/// How to read a folder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Folders {
    /// Its own files, as `kubectl apply -f` does.
    Flat,
    /// Its files, and those of the folders in it. Hidden ones are skipped.
    Recursive,
}

/// Reads every object of the manifests; `-` is standard input.
///
/// # Errors
/// What cannot be read. A document that is not YAML is no error.
pub fn read<'a>(paths: impl IntoIterator<Item = &'a Path>, folders: Folders) -> Result<Found, ManifestError> {
    let mut found = Found::default();
    for path in paths {
        if path == Path::new("-") {
            let text = text("standard input", &mut std::io::stdin())?;
            found.read("standard input", &text);
            continue;
        }
        let mut files = Vec::new();
        if path.is_dir() {
            collect(path, folders, 0, &mut files)?;
            files.sort();
            if files.is_empty() {
                return Err(ManifestError::EmptyFolder { folder: path.display().to_string() });
            }
        } else {
            files.push(path.to_owned());
        }
        for file in files {
            let name = file.display().to_string();
            let opened = std::fs::File::open(&file);
            let mut opened = opened.map_err(|source| ManifestError::Io { file: name.clone(), source })?;
            found.read(&name, &text(&name, &mut opened)?);
        }
    }
    Ok(found)
}

fn text(name: &str, from: &mut impl Read) -> Result<String, ManifestError> {
    let file = || name.to_owned();
    let mut bytes = Vec::new();
    let read = from.take(MAX_MANIFEST_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|source| ManifestError::Io { file: file(), source })?;
    if bytes.len() as u64 > MAX_MANIFEST_BYTES {
        return Err(ManifestError::TooLarge { file: file() });
    }
    let not_utf8 = |error: std::string::FromUtf8Error| error.utf8_error().valid_up_to();
    String::from_utf8(bytes)
        .map_err(|error| ManifestError::NotUtf8 { file: file(), position: not_utf8(error) })
}

/// The manifests in a folder. Links to folders are not followed.
fn collect(
    folder: &Path,
    folders: Folders,
    depth: usize,
    files: &mut Vec<PathBuf>,
) -> Result<(), ManifestError> {
    let cannot = |source| ManifestError::Io { file: folder.display().to_string(), source };
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let path = entry.path();
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let is_folder = entry.file_type().map_err(cannot)?.is_dir();
        if is_folder && folders == Folders::Recursive && !hidden && depth < MAX_FOLDERS {
            collect(&path, folders, depth + 1, files)?;
        } else if is_manifest(&path) {
            files.push(path);
        }
    }
    Ok(())
}

fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    path.is_file() && extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
}

impl Found {
    /// Adds the objects of a manifest's text.
    pub fn read(&mut self, file: &str, text: &str) {
        self.texts.insert(file.to_owned(), FileText::new(text));
        for document in documents::of(text) {
            let documents::Document { lines_before, text: document } = document;
            if document.trim().is_empty() {
                continue;
            }
            match yaml::read_manifest(&document, lines_before) {
                Ok(None) => {}
                Ok(Some(root)) => self.add(Object { file: file.to_owned(), root }),
                Err(error) => {
                    let template = yaml::template_line(&document).map_or_else(String::new, |line| {
                        let line = line + lines_before as usize;
                        format!("; line {line} contains {{{{: render the chart first (helm template)")
                    });
                    let place = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
                    self.unreadable.push(Unreadable {
                        file: file.to_owned(),
                        line: place(error.line),
                        column: place(error.column),
                        problem: format!("is not YAML: {error}{template}"),
                        names_a_class: document.contains(class::KIND),
                    });
                }
            }
        }
    }

    /// Adds an object, or the objects of a `List`.
    fn add(&mut self, object: Object) {
        let Object { file, root } = object;
        if at(&root, &["items"]).is_none() {
            return self.objects.push(Object { file, root });
        }
        for item in list_at(&root, "items") {
            self.add(Object { file: file.clone(), root: item.clone() });
        }
    }

    /// The SecretProviderClasses, also those of other providers.
    pub fn classes(&self) -> impl Iterator<Item = SecretProviderClass> {
        self.objects.iter().filter(|object| class::is_class(object)).map(SecretProviderClass::of)
    }
}
