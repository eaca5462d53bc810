//! Chooses the SecretProviderClass to mount.

use std::path::Path;

use anyhow::{Context, bail};

use crate::{
    manifests::{self, Folders, Found, SecretProviderClass},
    model::message::quoted,
};

/// How many other kinds an error lists.
const MAX_KINDS: usize = 10;

/// The class to mount: the only one, or the `wanted` one.
///
/// # Errors
/// If there is none, if there are several, or if the class is invalid.
pub(super) fn class(
    path: &Path,
    wanted: Option<&str>,
    warnings: &mut Vec<String>,
) -> anyhow::Result<SecretProviderClass> {
    let found = manifests::read([path], Folders::Flat)?;
    for unreadable in &found.unreadable {
        let (file, problem) = (&unreadable.file, &unreadable.problem);
        if unreadable.names_a_class {
            bail!("{file} {problem}");
        }
        let problem = problem.strip_prefix("is ").unwrap_or(problem);
        warnings.push(format!("skipped {file}, which is {problem}"));
    }
    let all: Vec<SecretProviderClass> = found.classes().collect();
    let names = |classes: &[SecretProviderClass]| {
        let names: Vec<String> = classes.iter().map(|class| format!("\n  {class}")).collect();
        names.concat()
    };
    let path = if path == Path::new("-") { "standard input".into() } else { path.to_string_lossy() };
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
        bail!("{path} has no SecretProviderClass; it contains {}", kinds(&found));
    };
    match class.mistakes().as_slice() {
        [] => Ok(class),
        mistakes => {
            let mistakes: Vec<&str> = mistakes.iter().map(|mistake| mistake.text.as_str()).collect();
            Err(anyhow::Error::msg(mistakes.join("; "))).with_context(|| format!("{class} cannot be mounted"))
        }
    }
}

fn kinds(found: &Found) -> String {
    let mut kinds: Vec<String> = Vec::new();
    for object in &found.objects {
        let kind = Some(object.kind()).filter(|kind| !kind.is_empty());
        let kind = kind.unwrap_or_else(|| "an object without a kind".to_owned());
        if !kinds.contains(&kind) && kinds.len() < MAX_KINDS {
            kinds.push(kind);
        }
    }
    if kinds.is_empty() { "no objects".to_owned() } else { kinds.join(", ") }
}
