//! `latchkey check`: everything that is wrong with SecretProviderClasses and with the
//! pods that mount them, before a mount finds out.

pub mod admission;
mod by_name;
mod class;
mod identity;
mod keys;
mod patches;
mod place;
mod pods;
mod rules;
mod silenced;
mod synced;
mod volumes;

pub use self::rules::RULES;
use self::{by_name::ByName, patches::Patches, pods::PodSpec, rules::*};
use crate::{
    estate::{Association, ClassObject, Estate, ServiceAccount},
    findings::{FilePlace, Finding, Place, sorted},
    manifests::{Found, SecretProviderClass, Unreadable},
    model::{class::Class, mistakes::Invalid, rules::Rules},
};

/// What a check goes by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the operator allows.
    pub rules: Rules,
    /// Namespace of objects that name none; empty if it is not known.
    pub namespace: String,
    /// Whether everything of the namespaces was read, as in a live cluster, so that what
    /// is not there does not exist.
    pub complete: bool,
}

/// Everything that is wrong, in order of the places.
pub fn check(found: &Found, settings: &Settings) -> Vec<Finding> {
    let mut rules = settings.rules.clone();
    // A mount answers with the first mistakes only.
    rules.limits.max_mistakes_bytes = usize::MAX;
    let estate = Estate::of_manifests(found, &settings.namespace);
    let classes = found.classes().map(|class| class_object(class, &settings.namespace));
    let classes: Vec<ClassObject> = classes.collect();
    let pods = found.objects.iter().filter_map(|object| PodSpec::of(object, &settings.namespace));
    let pods: Vec<PodSpec<'_>> = pods.collect();
    let accounts = estate.accounts.iter();
    let associations = estate.associations.iter();
    let checker = Checker {
        patches: Patches::of(found, &classes),
        by_name: ByName::of(classes.iter().map(|it| (it.namespace.clone(), it.name.clone(), it))),
        mounted: ByName::of(
            pods.iter().flat_map(|pod| pod.classes().map(|class| (pod.namespace.clone(), class, ()))),
        ),
        accounts: ByName::of(accounts.map(|it| (it.namespace.clone(), it.name.clone(), it))),
        associations: ByName::of(
            associations.map(|it| (it.namespace.clone(), it.service_account.clone(), it)),
        ),
        classes: &classes,
        pods: &pods,
        found,
        estate: &estate,
        rules,
        complete: settings.complete,
    };
    let mut findings = Vec::new();
    checker.check_documents(&mut findings);
    checker.check_classes(&mut findings);
    checker.check_volumes(&mut findings);
    checker.check_synced(&mut findings);
    findings.retain(|finding| !silenced::is_silenced(finding, &found.texts));
    for finding in &mut findings {
        // An object of a live cluster is in no file.
        finding.place.file.take_if(|place| place.file.is_empty());
    }
    sorted(findings)
}

/// All that a check reads.
struct Checker<'a> {
    found: &'a Found,
    estate: &'a Estate,
    /// The classes of every provider.
    classes: &'a [ClassObject],
    by_name: ByName<&'a ClassObject>,
    pods: &'a [PodSpec<'a>],
    /// The classes that pods mount, by their names.
    mounted: ByName<()>,
    accounts: ByName<&'a ServiceAccount>,
    /// By their service accounts.
    associations: ByName<&'a Association>,
    patches: Patches,
    rules: Rules,
    complete: bool,
}

/// A class with what a mount says about it.
struct Parsed<'a> {
    object: &'a ClassObject,
    result: Result<Class, Invalid>,
}

impl Checker<'_> {
    fn check_documents(&self, findings: &mut Vec<Finding>) {
        for unreadable in &self.found.unreadable {
            findings.push(unread(unreadable));
        }
        for place in &self.estate.malformed {
            let message = "the API server would reject this object: a field does not have the type that its kind demands. It was not checked";
            findings.push(Finding::new(&MALFORMED_OBJECT, place.clone(), message.to_owned()));
        }
        let volumes = self.estate.workloads.iter().map(|workload| workload.volumes.len()).sum::<usize>();
        let unchecked = self.found.unreadable.len() + self.estate.malformed.len();
        if self.classes.len() + volumes + unchecked == 0 {
            let message = "no SecretProviderClass and no volume of the driver is here".to_owned();
            findings.push(Finding::new(&NOTHING_TO_CHECK, Place::default(), message));
        }
    }

    fn check_classes(&self, findings: &mut Vec<Finding>) {
        for class in self.classes {
            if self.patches.contain(class) {
                let message = "this is a patch of a class, not a whole class; it was not checked".to_owned();
                findings.push(Finding::new(&CLASS_PATCH, class.place.clone(), message));
            } else if class::is_meant_for_us(&class.manifest) {
                self.check_class(class, findings);
            }
        }
    }

    /// What a mount of the class's own parameters says.
    fn parsed<'b>(&self, object: &'b ClassObject) -> Parsed<'b> {
        Parsed { object, result: object.manifest.read(&self.rules) }
    }

    /// The classes with this name, of every provider, which pods of the namespace mount.
    fn class(&self, namespace: &str, name: &str) -> Option<&ClassObject> {
        let mut classes = self.by_name.at(namespace, name);
        let first = classes.next()?;
        let is_whole = |class: &&&ClassObject| !self.patches.contain(class);
        Some(std::iter::once(first).chain(classes).find(is_whole).unwrap_or(first))
    }
}

fn class_object(mut manifest: SecretProviderClass, namespace: &str) -> ClassObject {
    if crate::manifests::text_at(&manifest.root, &["metadata", "namespace"]).is_none_or(|it| it.is_empty()) {
        manifest.namespace = namespace.to_owned();
    }
    let place = place::of_node(&manifest, &manifest.root);
    ClassObject { place, namespace: manifest.namespace.clone(), name: manifest.name.clone(), manifest }
}

/// Whether two objects may be in one namespace. One that is not known is any.
fn same_namespace(one: &str, other: &str) -> bool {
    one == other || one.is_empty() || other.is_empty()
}

fn unread(unreadable: &Unreadable) -> Finding {
    let Unreadable { file, line, column, problem, names_a_class } = unreadable;
    let place = FilePlace { file: file.clone(), line: *line, column: *column };
    let rule = match names_a_class {
        true if problem.contains("{{") => &UNRENDERED_TEMPLATE,
        true => &INVALID_YAML,
        false => &SKIPPED_DOCUMENT,
    };
    let place = Place { file: Some(place), object: None };
    Finding::new(rule, place, format!("this document {problem}"))
}
