//! Groups the objects that are read together: several labels of one secret.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use super::{
    message::quoted,
    mistakes::{Kind, Mistakes, Spot},
    object::Object,
    reference::{Reference, Selector, Service},
};

/// The default label of a secret.
pub(crate) const CURRENT_LABEL: &str = "AWSCURRENT";
/// The label of the version before, which moves with AWSCURRENT.
pub(crate) const PREVIOUS_LABEL: &str = "AWSPREVIOUS";
/// The label of a version that a rotation prepares.
pub(crate) const PENDING_LABEL: &str = "AWSPENDING";
/// Maximum versions and labels of one object in a class. A version of a secret has at
/// most 20 labels:
/// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html>
const MAX_VERSIONS: usize = 20;

/// References that must be read at the same moment: a single one, or several labels
/// of one secret in one class.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// The references in the primary Region. They have the same service and id, and
    /// distinct selectors.
    pub primary: Vec<Reference>,
    /// The references in the failover Region, in the same order.
    pub failover: Vec<Reference>,
}

/// The sources that a class needs, and the position of each object in them.
#[derive(Debug, Default)]
pub struct Plan {
    pub sources: Vec<Planned>,
    /// The source of each object, and its position there.
    places: Vec<(usize, usize)>,
}

/// A source that a class reads.
#[derive(Debug)]
pub struct Planned {
    pub source: Source,
    /// For each of its references, whether it must exist.
    pub required: Vec<bool>,
}

impl Source {
    pub fn service(&self) -> Service {
        // A source is never empty.
        self.primary.first().map_or(Service::SecretsManager, |reference| reference.service)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A source is never empty, and all its references have one id.
        f.write_str(self.primary.first().map_or("", |reference| reference.id.as_str()))
    }
}

impl Plan {
    /// Groups the labels of each secret. Everything else is a source of its own.
    pub fn of(objects: &[Object]) -> Self {
        let mut plan = Self::default();
        let mut known = Known::default();
        for object in objects {
            let primary = normal(&object.reference);
            let failover = normal(object.failover.as_ref().unwrap_or(&object.reference));
            let pair = (primary, failover);
            let place = match known.places.get(&pair) {
                Some(place) => *place,
                None => plan.add(pair, &mut known),
            };
            plan.places.push(place);
            plan.sources[place.0].required[place.1] |= !object.optional;
        }
        plan
    }

    /// For each object, the result of its source and the object's position there. `read`
    /// has one element per source.
    pub fn of_objects<'a, T>(&'a self, read: &'a [T]) -> impl Iterator<Item = (&'a T, usize)> {
        self.places.iter().map(|(source, place)| (&read[*source], *place))
    }

    /// Adds a reference to the source of its secret's other labels, or to a new one.
    fn add(&mut self, pair: (Reference, Reference), known: &mut Known) -> (usize, usize) {
        let (primary, failover) = pair.clone();
        let mut group = is_labelled_secret(&primary)
            .then(|| known.labelled.entry((primary.id.clone(), failover.id.clone())).or_default());
        let existing = group.iter().flat_map(|sources| sources.iter()).copied().find(|index| {
            self.sources[*index].source.primary.iter().all(|other| other.selector != primary.selector)
        });
        let index = existing.unwrap_or_else(|| {
            let index = self.sources.len();
            let source = Source { primary: Vec::new(), failover: Vec::new() };
            self.sources.push(Planned { source, required: Vec::new() });
            if let Some(sources) = &mut group {
                sources.push(index);
            }
            index
        });
        let Planned { source, required } = &mut self.sources[index];
        source.primary.push(primary);
        source.failover.push(failover);
        required.push(false);
        let place = (index, source.primary.len() - 1);
        known.places.insert(pair, place);
        place
    }
}

/// An index of the plan, so that 500 objects need not be compared with each other.
#[derive(Default)]
struct Known {
    places: HashMap<(Reference, Reference), (usize, usize)>,
    /// Sources of labels by their ids.
    labelled: HashMap<(String, String), Vec<usize>>,
}

/// Limits the versions and labels of one object. Each is a separate read in either
/// Region, and all labels of one secret are read in sequence.
pub(super) fn check_versions(objects: &[Object], mistakes: &mut Mistakes) {
    let mut asked: BTreeMap<(&str, &str), BTreeSet<(&Reference, &Reference)>> = BTreeMap::new();
    for object in objects {
        let primary = &object.reference;
        let failover = object.failover.as_ref().unwrap_or(primary);
        asked.entry(("objects", &primary.id)).or_default().insert((primary, failover));
        if failover.id != primary.id {
            asked.entry(("failoverObject", &failover.id)).or_default().insert((primary, failover));
        }
    }
    for ((label, id), versions) in asked {
        let spot = Spot::from("objects").named(label.to_owned());
        let (id, count) = (quoted(id), versions.len());
        if count > MAX_VERSIONS {
            mistakes.add_as(
                Kind::TooLarge,
                &spot,
                format!("{id} is requested with {count} versions and labels; the maximum is {MAX_VERSIONS}"),
            );
        }
    }
}

/// Labels move between versions. Version ids and parameter versions do not.
fn is_labelled_secret(reference: &Reference) -> bool {
    reference.service == Service::SecretsManager && reference.selector.version.is_none()
}

/// Gives the current version a single spelling.
fn normal(reference: &Reference) -> Reference {
    let mut reference = reference.clone();
    let Selector { version, label } = &reference.selector;
    if reference.service == Service::SecretsManager
        && version.is_none()
        && label.as_deref() == Some(CURRENT_LABEL)
    {
        reference.selector.label = None;
    }
    reference
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::model::objects::{Objects, ObjectsText};

    fn plan(objects: &str) -> Arc<Objects> {
        ObjectsText::example(objects).objects()
    }

    #[test]
    fn labels_of_one_secret_are_read_together() {
        let plan = plan(
            "- {objectName: a, objectType: secretsmanager}
- {objectName: b, objectType: secretsmanager, optional: true}
- {objectName: a, objectType: secretsmanager, objectVersionLabel: AWSPREVIOUS, objectAlias: old}
- {objectName: a, objectType: secretsmanager, objectVersion: 11111111-1111-4111-8111-111111111111, objectAlias: pinned}",
        );
        assert_eq!(plan.plan().places, [(0, 0), (1, 0), (0, 1), (2, 0)]);
        let required: Vec<&[bool]> = plan.plan().sources.iter().map(|planned| &*planned.required).collect();
        assert_eq!(required, [&[true, true] as &[bool], &[false], &[true]]);
        assert_eq!(plan.plan().sources[0].source.primary.len(), 2);
    }

    #[test]
    fn one_version_under_two_aliases_is_read_once() {
        let plan = plan(
            "- {objectName: a, objectType: secretsmanager}
- {objectName: a, objectType: secretsmanager, objectVersionLabel: AWSCURRENT, objectAlias: b}
- {objectName: p, objectType: ssmparameter}
- {objectName: p, objectType: ssmparameter, objectVersion: 1, objectAlias: p1}",
        );
        assert_eq!(plan.plan().places, [(0, 0), (0, 0), (1, 0), (2, 0)]);
    }
}
