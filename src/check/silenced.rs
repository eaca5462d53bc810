//! Findings that an author has silenced, by a comment on the line or on the one above:
//! `# latchkey: ignore sub-path`.

use std::collections::BTreeMap;

use crate::{findings::Finding, manifests::FileText};

const COMMENT: &str = "# latchkey: ignore ";

pub(super) fn is_silenced(finding: &Finding, texts: &BTreeMap<String, FileText>) -> bool {
    let Some(place) = &finding.place.file else { return false };
    let Some(text) = texts.get(&place.file) else { return false };
    let lines = [text.line(place.line), text.line(place.line.saturating_sub(1))];
    lines.into_iter().flatten().any(|line| names(line, finding.rule.id))
}

fn names(line: &str, id: &str) -> bool {
    let Some((_, names)) = line.split_once(COMMENT) else { return false };
    names.split([',', ' ']).any(|name| name.trim() == id)
}
