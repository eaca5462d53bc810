//! Finds the SecretProviderClasses in a user's manifests; skips everything else.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use super::class::{GROUP, KIND, SecretProviderClass, text_at};
use crate::model::{
    message::quoted,
    yaml::{self, Content, Node},
};

/// The extensions of manifests in a folder, as in `kubectl apply -f`.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// The class to mount: the only one, or the `wanted` one.
///
/// # Errors
/// If there is none, if there are several, or if the class is invalid.
pub(super) fn class(
    path: &Path,
    wanted: Option<&str>,
    warnings: &mut Vec<String>,
) -> anyhow::Result<SecretProviderClass> {
    let mut found = Found::default();
    for (name, text) in texts(path)? {
        found.read(&name, &text)?;
    }
    warnings.append(&mut found.warnings);
    let all = found.classes;
    let names = |classes: &[SecretProviderClass]| {
        let names: Vec<String> = classes.iter().map(|class| format!("\n  {class}")).collect();
        names.concat()
    };
    let path = path.display();
    let mut chosen = match wanted {
        Some(wanted) => {
            let (named, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|class| class.is_named(wanted));
            if named.is_empty() {
                bail!(
                    "{path} has no SecretProviderClass {} (--class); it contains:{}",
                    quoted(wanted),
                    names(&others)
                );
            }
            named
        }
        // Skip classes of other providers if there is one of ours.
        None if all.iter().any(SecretProviderClass::is_ours) => {
            all.into_iter().filter(SecretProviderClass::is_ours).collect()
        }
        None => all,
    };
    if chosen.len() > 1 {
        bail!("{path} has several SecretProviderClasses; choose one with --class:{}", names(&chosen));
    }
    let Some(class) = chosen.pop() else {
        let kinds = if found.kinds.is_empty() { "no objects" } else { &found.kinds.join(", ") };
        bail!("{path} has no SecretProviderClass; it contains {kinds}");
    };
    class.check().with_context(|| format!("{class} cannot be mounted"))?;
    Ok(class)
}

/// The name and text of each manifest.
fn texts(path: &Path) -> anyhow::Result<Vec<(String, String)>> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(vec![("standard input".to_owned(), text)]);
    }
    let cannot_read = |path: &Path| format!("cannot read {}", path.display());
    let files = if path.is_dir() {
        let entries = std::fs::read_dir(path).with_context(|| cannot_read(path))?;
        let files = entries.map(|entry| entry.map(|entry| entry.path()));
        let files = files.collect::<Result<Vec<PathBuf>, _>>().with_context(|| cannot_read(path))?;
        let mut files: Vec<PathBuf> = files.into_iter().filter(|file| is_manifest(file)).collect();
        files.sort();
        if files.is_empty() {
            bail!("{} contains no .yaml, .yml or .json file", path.display());
        }
        files
    } else {
        vec![path.to_owned()]
    };
    let read = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).with_context(|| cannot_read(&file))?;
        Ok((file.display().to_string(), text))
    };
    files.into_iter().map(read).collect()
}

fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    path.is_file() && extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
}

#[derive(Default)]
struct Found {
    classes: Vec<SecretProviderClass>,
    /// The kinds of other objects.
    kinds: Vec<String>,
    warnings: Vec<String>,
}

impl Found {
    fn read(&mut self, file: &str, text: &str) -> anyhow::Result<()> {
        for document in documents(text) {
            match yaml::read_manifest(&document) {
                Ok(None) => {}
                Ok(Some(node)) => self.object(file, &node),
                Err(error) => {
                    let template = yaml::template_line(&document).map_or_else(String::new, |line| {
                        format!("; line {line} contains {{{{: render the chart first (helm template)")
                    });
                    if document.contains(KIND) {
                        bail!("{file} is not YAML: {error}{template}");
                    }
                    self.warnings.push(format!("skipped {file}, which is not YAML: {error}{template}"));
                }
            }
        }
        Ok(())
    }

    fn object(&mut self, file: &str, node: &Node) {
        let kind = text_at(node, &["kind"]).unwrap_or_default();
        let group = text_at(node, &["apiVersion"]).unwrap_or_default();
        if let Some(Content::List(items)) = super::class::at(node, &["items"]).map(|node| &node.content) {
            items.iter().for_each(|item| self.object(file, item));
        } else if kind.eq_ignore_ascii_case(KIND)
            || group.starts_with(GROUP) && kind != "SecretProviderClassPodStatus"
        {
            self.classes.push(SecretProviderClass::new(file, node));
        } else if !self.kinds.contains(&kind) && self.kinds.len() < 10 {
            self.kinds.push(if kind.is_empty() { "an object without a kind".to_owned() } else { kind });
        }
    }
}

/// Splits a manifest into documents. Each starts with empty lines in place of the
/// previous ones, so that its line numbers are those of the file.
fn documents(text: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = vec![String::new()];
    for (index, line) in text.lines().enumerate() {
        let separator =
            line.strip_prefix("---").is_some_and(|rest| rest.trim_start() != rest || rest.is_empty());
        if separator {
            documents.push("\n".repeat(index));
        }
        if let Some(document) = documents.last_mut() {
            // A document may start on the line of its separator.
            document.push_str(if separator { line[3..].trim_start() } else { line });
            document.push('\n');
        }
    }
    documents
}
