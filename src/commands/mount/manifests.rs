//! The SecretProviderClasses of a person's manifests, among whatever else is there.

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

/// What a folder's manifests end in, as `kubectl apply -f` has it.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// The class to mount: the only one, or the one that is `wanted`.
///
/// # Errors
/// When there is none, when there are several to choose from, and what is wrong with it.
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
                    "{path} has no SecretProviderClass {} (--class); it has these:{}",
                    quoted(wanted),
                    names(&others)
                );
            }
            named
        }
        // A class of another provider is no choice where there is one of this.
        None if all.iter().any(SecretProviderClass::is_ours) => {
            all.into_iter().filter(SecretProviderClass::is_ours).collect()
        }
        None => all,
    };
    if chosen.len() > 1 {
        bail!("{path} has several SecretProviderClasses; choose one with --class:{}", names(&chosen));
    }
    let Some(class) = chosen.pop() else {
        let kinds = if found.kinds.is_empty() { "no object" } else { &found.kinds.join(", ") };
        bail!("{path} has no SecretProviderClass; it has {kinds}");
    };
    class.check().with_context(|| format!("{class} cannot be mounted"))?;
    Ok(class)
}

/// Every manifest's name and text.
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
            bail!("{} has no file that ends in .yaml, .yml or .json", path.display());
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
    let ending = path.extension().and_then(|ending| ending.to_str());
    path.is_file() && ending.is_some_and(|ending| ENDINGS.contains(&ending))
}

#[derive(Default)]
struct Found {
    classes: Vec<SecretProviderClass>,
    /// The kinds of everything else.
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
                        format!("; line {line} holds {{{{: render the chart first (helm template)")
                    });
                    if document.contains(KIND) {
                        bail!("{file} is not YAML: {error}{template}");
                    }
                    self.warnings.push(format!("{file} is not YAML, and passed over: {error}{template}"));
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

/// The documents of a manifest. Each begins with as many empty lines as stand
/// before it, so that the lines of its nodes are those of the file.
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
            // A document may begin on the line of its separator.
            document.push_str(if separator { line[3..].trim_start() } else { line });
            document.push('\n');
        }
    }
    documents
}
