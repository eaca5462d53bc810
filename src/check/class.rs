//! What is wrong with one class.

use super::{
    Checker, Parsed, keys,
    place::{self, Places},
    rules::*,
};
use crate::{
    estate::ClassObject,
    findings::Finding,
    manifests::{Problem, ProblemKind, SecretProviderClass, text_at},
    model::{
        mistakes::{Kind, Mistake},
        spelling::distance,
    },
};

/// How many letters of `aws` may be wrong.
const MAX_TYPOS: usize = 1;

/// Whether the author meant this provider, as far as the class tells.
pub(super) fn is_meant_for_us(class: &SecretProviderClass) -> bool {
    let provider = text_at(&class.root, &["spec", "provider"]).unwrap_or_default().to_ascii_lowercase();
    let objects = text_at(&class.root, &["spec", "parameters", "objects"]).unwrap_or_default();
    class.is_ours()
        || distance(&provider, "aws") <= MAX_TYPOS
        || ["aws", "latchkey"].iter().any(|ours| provider.contains(ours))
        || provider.is_empty()
        || ["secretsmanager", "ssmparameter"].iter().any(|service| objects.contains(service))
}

impl Checker<'_> {
    pub(super) fn check_class(&self, class: &ClassObject, findings: &mut Vec<Finding>) {
        let manifest = &class.manifest;
        let of_problem = |problem: Problem| {
            let place = place::at(manifest, problem.line, problem.column);
            Finding::new(of_problem_kind(problem.kind), place, problem.text)
        };
        let mistakes = manifest.mistakes();
        let has = |kind| mistakes.iter().any(|mistake| mistake.kind == kind);
        // Without objects as a text, a mount has nothing to say.
        let is_readable = !has(ProblemKind::NoParameters)
            && manifest.parameter("objects").is_none_or(|node| crate::manifests::text_of(node).is_some());
        findings.extend(mistakes.into_iter().chain(manifest.warnings()).map(of_problem));
        if !is_readable {
            return;
        }
        let places = Places::of(class, self);
        let parsed = self.parsed(class);
        let (mistakes, warnings) = match &parsed.result {
            Ok(class) => (&[][..], &class.warnings),
            Err(invalid) => (invalid.mistakes.as_slice(), &invalid.warnings),
        };
        // A mistake about a template says all that the warning about it says.
        let is_told = |warning: &&Mistake| {
            let same = |mistake: &Mistake| mistake.kind == warning.kind && mistake.at.line == warning.at.line;
            warning.kind == Kind::Unrendered && mistakes.iter().any(same)
        };
        let warnings = warnings.iter().filter(|warning| !is_told(warning));
        findings.extend(mistakes.iter().chain(warnings).map(|mistake| of_mistake(mistake, &places)));
        let synced = manifest.secret_objects();
        let problems = synced.iter().filter_map(|synced| match &parsed.result {
            Ok(class) => synced.problem(&class.objects),
            // Which files the class mounts is not known.
            Err(_) => synced.incomplete(),
        });
        findings.extend(problems.map(of_problem));
        keys::check_ours(&parsed, &places, findings);
        self.check_is_mounted(&parsed, findings);
    }

    fn check_is_mounted(&self, parsed: &Parsed<'_>, findings: &mut Vec<Finding>) {
        let class = parsed.object;
        let is_near = |pod: &super::PodSpec<'_>| super::same_namespace(&pod.namespace, &class.namespace);
        if !self.is_mounted(&class.name, &class.namespace) && self.pods.iter().any(is_near) {
            let message = "none of the given pods mounts this class".to_owned();
            findings.push(Finding::new(&CLASS_NOT_MOUNTED, class.place.clone(), message));
        }
    }
}

/// A mistake of a mount, in the mount's own words.
pub(super) fn of_mistake(mistake: &Mistake, places: &Places<'_>) -> Finding {
    let Mistake { kind, at, text } = mistake;
    let finding = Finding::new(of_mistake_kind(kind), places.of_part(at), text.clone());
    match kind {
        Kind::Unknown(key) => match keys::near(key, at.line > 0) {
            Some(near) => finding.with_fix(format!("Did you mean {near}?")),
            None => finding,
        },
        _ => finding,
    }
}
