//! The keys of a class: which one was meant, and which ones AWS's own provider ignores.

use super::{Parsed, place::Places, rules::AWS_IGNORES_KEY};
use crate::{
    findings::Finding,
    manifests::text_of,
    model::{
        mistakes::At,
        spelling::distance,
        yaml::{self, Content, Node},
    },
};

pub(super) const PARAMETERS: [&str; 10] = [
    "objects",
    "region",
    "failoverRegion",
    "pathTranslation",
    "usePodIdentity",
    "preferredAddressType",
    "refreshInterval",
    "roleArn",
    "assumeRoleArn",
    "assumeRoleExternalId",
];
/// Keys within `objects`, of entries, of their `failoverObject` and of their `jmesPath`.
pub(super) const OBJECT_KEYS: [&str; 12] = [
    "objectName",
    "objectType",
    "objectAlias",
    "filePermission",
    "objectVersion",
    "objectVersionLabel",
    "failoverObject",
    "jmesPath",
    "path",
    "key",
    "optional",
    "encoding",
];
/// Longer keys are nobody's typo.
const MAX_COMPARED: usize = 40;

const OUR_PARAMETERS: [&str; 3] = ["roleArn", "assumeRoleExternalId", "refreshInterval"];
const OUR_OBJECT_KEYS: [&str; 2] = ["optional", "encoding"];
const OUR_FIELD_KEYS: [&str; 3] = ["key", "optional", "encoding"];

/// The key that an unknown one is a typo of.
pub(super) fn near(key: &str, in_objects: bool) -> Option<&'static str> {
    let known: &[&'static str] = if in_objects { &OBJECT_KEYS } else { &PARAMETERS };
    let plain = plain(key);
    if plain.len() > MAX_COMPARED {
        return None;
    }
    let typos = |known: &&'static str| (distance(&plain, &known.to_ascii_lowercase()), *known);
    let (typos, near) = known.iter().map(typos).min()?;
    let is_near = typos <= near.len() / 3;
    // "name", "type" and "alias" are parts of the keys of an object.
    let part = || known.iter().find(|known| plain.len() >= 4 && ends_with(known, &plain));
    if is_near { Some(near) } else { part().copied() }
}

fn ends_with(known: &str, plain: &str) -> bool {
    known.to_ascii_lowercase().strip_prefix("object").is_some_and(|rest| rest == plain)
}

fn plain(key: &str) -> String {
    key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Notes each of our own keys once. A class of the provider `latchkey` is for us only.
pub(super) fn check_ours(parsed: &Parsed<'_>, places: &Places<'_>, findings: &mut Vec<Finding>) {
    let manifest = &parsed.object.manifest;
    if crate::manifests::text_at(&manifest.root, &["spec", "provider"]).as_deref() != Some("aws") {
        return;
    }
    let mut note = |name: &str, at: &At| {
        let message = format!("AWS's own provider ignores {name}");
        findings.push(Finding::new(&AWS_IGNORES_KEY, places.of_part(at), message));
    };
    for key in OUR_PARAMETERS.into_iter().filter(|key| manifest.parameter(key).is_some()) {
        note(key, &At { parameter: key.to_owned(), line: 0, column: 0 });
    }
    if parsed.result.is_err() {
        return;
    }
    let text = manifest.parameter("objects").and_then(text_of).unwrap_or_default();
    let Some(Node { content: Content::List(entries), .. }) =
        yaml::read(&text).ok().and_then(|document| document.root)
    else {
        return;
    };
    let fields = || entries.iter().flat_map(|entry| entry.values_of("jmesPath")).flat_map(items);
    let of_objects = OUR_OBJECT_KEYS.iter().filter_map(|key| {
        let mut found = entries.iter().chain(fields()).flat_map(|entry| entry.values_of(key));
        Some((*key, found.next()?))
    });
    let of_fields = OUR_FIELD_KEYS[..1].iter().filter_map(|key| {
        let node = fields().flat_map(|field| field.values_of(key)).next()?;
        Some((*key, node))
    });
    let found: Vec<(&str, &Node)> = of_objects.chain(of_fields).collect();
    for (key, node) in found {
        note(key, &At { parameter: "objects".to_owned(), line: node.line, column: node.column });
    }
}

fn items(node: &Node) -> &[Node] {
    match &node.content {
        Content::List(items) => items,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_suggests_the_intended_one() {
        for (key, in_objects, meant) in [
            ("Region", false, Some("region")),
            ("regoin", false, Some("region")),
            ("failoverregion", false, Some("failoverRegion")),
            ("object", false, Some("objects")),
            ("path_translation", false, Some("pathTranslation")),
            ("keyvaultName", false, None),
            ("vaultAddress", false, None),
            ("objectAlas", true, Some("objectAlias")),
            ("jmespaths", true, Some("jmesPath")),
            ("alias", true, Some("objectAlias")),
            ("name", true, Some("objectName")),
            ("filePermissions", true, Some("filePermission")),
            ("objectVersionLabels", true, Some("objectVersionLabel")),
            ("objectFormat", true, None),
            ("x", true, None),
        ] {
            let found = near(key, in_objects);
            match meant {
                Some(meant) => assert_eq!(found, Some(meant), "{key}"),
                // A far one may resemble another key; it must not be a surprise.
                None => assert!(found.is_none_or(|found| distance(&plain(key), &plain(found)) <= 4), "{key}"),
            }
        }
    }
}
