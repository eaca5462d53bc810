//! Which pods hold which version of each object, which version is the newest, and who
//! waits for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    AwsVersions, Catalog, Fleet, Holding, Object, RunningPod,
    aws::are_of_one,
    kubernetes::{FrozenMount, HeldFile},
};
use crate::{clock::Time, model::reference::Service};

/// How far the rotations are.
#[derive(Debug)]
pub struct Report<'a> {
    pub objects: Vec<ObjectReport<'a>>,
}

#[derive(Debug)]
pub struct ObjectReport<'a> {
    pub object: Arc<Object>,
    /// The version that pods should hold; `None` if no pod holds any, and AWS was not asked.
    pub target: Option<Target>,
    /// The target first, then the version that was seen last.
    pub versions: Vec<VersionReport<'a>>,
    /// AWS's version with the label AWSPREVIOUS, and how many pods hold it or may do so.
    pub previous: Option<(String, usize)>,
    pub waiting: Vec<Waiting<'a>>,
    /// Pods that mount the object and hold nothing of it yet.
    pub starting: usize,
    /// Why AWS could not be asked about it.
    pub aws_problem: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub version: String,
    pub source: TargetSource,
}

/// Who says which version is the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetSource {
    /// `--version`.
    Given,
    /// AWS, or the class, which asks for one version.
    Aws,
    /// The version that a pod has begun to hold last, or the highest number.
    Newest,
}

#[derive(Debug)]
pub struct VersionReport<'a> {
    pub version: &'a str,
    /// AWS's labels, if AWS was asked.
    pub stages: Vec<String>,
    pub holders: Vec<Holder<'a>>,
}

/// A pod that holds a version.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    pub pod: &'a RunningPod,
    pub class: &'a str,
    pub since: Option<Time>,
    /// A mount that started before this version came, and still shows an older one.
    pub frozen: Option<&'a FrozenMount>,
}

/// A pod that does not have the target.
#[derive(Clone, Copy, Debug)]
pub struct Waiting<'a> {
    pub holder: Holder<'a>,
    /// What it holds. With a frozen mount, a container sees an older one.
    pub version: &'a str,
}

/// What decides about targets.
pub struct Question<'a> {
    pub catalog: &'a Catalog,
    /// An object, file or class; `None` for all.
    pub name: Option<&'a str>,
    /// `--version`.
    pub version: Option<&'a str>,
    pub aws: &'a AwsVersions,
}

#[derive(Default)]
struct Group<'a> {
    versions: BTreeMap<&'a str, Vec<Holder<'a>>>,
    starting: usize,
}

impl<'a> Report<'a> {
    pub fn new(fleet: &'a Fleet, question: &Question<'_>) -> Self {
        let groups = grouped(fleet, question);
        let mut objects: Vec<ObjectReport<'a>> =
            groups.into_iter().map(|(object, group)| object_report(object, group, question)).collect();
        count_previous(&mut objects, question.aws);
        Self { objects }
    }

    /// Pods that hold anything.
    pub fn pods(&self) -> usize {
        let pods =
            self.objects.iter().flat_map(|object| &object.versions).flat_map(|version| &version.holders);
        pods.map(|holder| (&holder.pod.namespace, &holder.pod.name)).collect::<BTreeSet<_>>().len()
    }

    /// Who waits for a rotation. Classes that ask for another version than the current
    /// one are left out.
    pub fn waiting(&self) -> impl Iterator<Item = (&ObjectReport<'a>, &Waiting<'a>)> {
        let following = self.objects.iter().filter(|report| report.object.follows_rotation());
        following.flat_map(|report| report.waiting.iter().map(move |waiting| (report, waiting)))
    }
}

fn grouped<'a>(fleet: &'a Fleet, question: &Question<'_>) -> BTreeMap<Arc<Object>, Group<'a>> {
    let mut groups: BTreeMap<Arc<Object>, Group<'a>> = BTreeMap::new();
    if let Some(name) = question.name {
        groups.extend(question.catalog.named(name).into_iter().map(|object| (object, Group::default())));
    }
    let mut mounted: BTreeSet<(&str, &str, &str)> = BTreeSet::new();
    for (pod, holding) in fleet.held() {
        mounted.insert((&pod.namespace, &pod.name, &holding.class));
        for file in &holding.files {
            let object = question.catalog.object(&holding.namespace, &holding.class, &file.id);
            if !groups.contains_key(&object) && !is_meant(question, &object, holding, &file.id) {
                continue;
            }
            let holders = groups.entry(object).or_default().versions.entry(&file.version).or_default();
            holders.push(holder(pod, holding, file));
        }
    }
    for pod in fleet.pods() {
        for volume in &pod.volumes {
            if mounted.contains(&(&*pod.namespace, &*pod.name, &*volume.class)) {
                continue;
            }
            for object in question.catalog.objects_of(&pod.namespace, &volume.class) {
                if question.name.is_none() || groups.contains_key(&object) {
                    groups.entry(object).or_default().starting += 1;
                }
            }
        }
    }
    groups
}

/// Whether a person means a file of which no class says what it is. By the name of a
/// file or a class, a person means its objects, in all pods that hold them.
fn is_meant(question: &Question<'_>, object: &Object, holding: &Holding, id: &str) -> bool {
    let Some(name) = question.name else { return true };
    object.service.is_none() && Catalog::is_meant(name, object, &holding.namespace, &holding.class, id)
}

fn holder<'a>(pod: &'a RunningPod, holding: &'a Holding, file: &'a HeldFile) -> Holder<'a> {
    // A container starts after the first mount, so that only a later change is missed.
    let changed = file.since.filter(|since| holding.created.is_some_and(|created| created < *since));
    let volumes = pod.volumes.iter().filter(|volume| volume.class == holding.class);
    let frozen = changed.and_then(|changed| {
        volumes
            .flat_map(|volume| &volume.frozen)
            .find(|mount| mount.covers(&file.id) && mount.started < changed)
    });
    Holder { pod, class: &holding.class, since: file.since, frozen }
}

/// Each pod once, also if it holds several files of the object.
fn merged<'a>(mut holders: Vec<Holder<'a>>) -> Vec<Holder<'a>> {
    holders.sort_by_key(|holder| (&holder.pod.namespace, &holder.pod.name));
    holders.dedup_by(|next, kept| {
        let same = std::ptr::eq(next.pod, kept.pod);
        if same {
            kept.frozen = kept.frozen.or(next.frozen);
            kept.since = kept.since.max(next.since);
        }
        same
    });
    holders
}

fn object_report<'a>(object: Arc<Object>, group: Group<'a>, question: &Question<'_>) -> ObjectReport<'a> {
    let stages = question.aws.of(&object);
    let target = target(&object, &group, question);
    let is_target = |version: &str| target.as_ref().is_some_and(|target| target.version == version);
    let mut versions: Vec<VersionReport<'a>> = group
        .versions
        .into_iter()
        .map(|(version, holders)| VersionReport {
            version,
            stages: stages.and_then(|stages| stages.as_ref().ok()?.labels_of(version)).unwrap_or_default(),
            holders: merged(holders),
        })
        .collect();
    versions.sort_by_key(|version| {
        let newest = version.holders.iter().filter_map(|holder| holder.since).max();
        (!is_target(version.version), std::cmp::Reverse(newest))
    });
    let waiting = versions.iter().flat_map(|version| {
        let has_it = is_target(version.version);
        let waiting = version.holders.iter().filter(move |holder| !has_it || holder.frozen.is_some());
        waiting.map(|holder| Waiting { holder: *holder, version: version.version })
    });
    ObjectReport {
        waiting: if target.is_some() { waiting.collect() } else { Vec::new() },
        aws_problem: stages.and_then(|stages| stages.as_ref().err().cloned()),
        object,
        target,
        versions,
        previous: None,
        starting: group.starting,
    }
}

fn target(object: &Object, group: &Group<'_>, question: &Question<'_>) -> Option<Target> {
    if let Some(version) = question.version
        && object.follows_rotation()
    {
        return Some(Target { version: version.to_owned(), source: TargetSource::Given });
    }
    if let Some(version) = &object.selector.version {
        return Some(Target { version: version.clone(), source: TargetSource::Aws });
    }
    if let Some(Ok(stages)) = question.aws.of(object)
        && let Some(version) = stages.current(object.selector.label.as_deref())
    {
        return Some(Target { version, source: TargetSource::Aws });
    }
    let numbers = group.versions.keys().map(|version| version.parse::<u64>().ok());
    let numbers: Option<Vec<u64>> = numbers.collect();
    let version = match numbers {
        Some(numbers) if object.service != Some(Service::SecretsManager) => {
            numbers.into_iter().max()?.to_string()
        }
        _ => {
            // A pod that starts may get an old version, but the first pod to have a new
            // one has it later than the first pod with the old one.
            let first = |holders: &Vec<Holder<'_>>| holders.iter().filter_map(|holder| holder.since).min();
            let newest = group.versions.iter().max_by_key(|(_, holders)| first(holders))?;
            (*newest.0).to_owned()
        }
    };
    Some(Target { version, source: TargetSource::Newest })
}

fn count_previous(objects: &mut [ObjectReport<'_>], aws: &AwsVersions) {
    let previous: Vec<Option<(String, usize)>> = objects
        .iter()
        .map(|report| {
            let version = aws.of(&report.object)?.as_ref().ok()?.current(Some("AWSPREVIOUS"))?;
            let same = objects.iter().filter(|other| are_of_one(&other.object, &report.object));
            let held = same.flat_map(|other| &other.versions).map(|held| {
                let all = held.version == version;
                held.holders.iter().filter(|holder| all || holder.frozen.is_some()).count()
            });
            let pods = held.sum();
            Some((version, pods))
        })
        .collect();
    for (report, previous) in objects.iter_mut().zip(previous) {
        report.previous = previous;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uptake::kubernetes::PodVolume;

    fn time(text: &str) -> Option<Time> {
        Time::parse(&format!("2026-02-03T{text}Z"))
    }

    /// A file, its version, and the time since when.
    type Held<'a> = (&'a str, &'a str, &'a str);

    /// A fleet of pods of class shop/db with their files.
    fn fleet(pods: &[(&str, &[Held<'_>])]) -> Fleet {
        let mut fleet = Fleet::default();
        for (name, files) in pods {
            let volumes = vec![PodVolume { class: "db".into(), frozen: Vec::new() }];
            fleet.put_pod(RunningPod {
                namespace: "shop".into(),
                name: (*name).into(),
                uid: (*name).into(),
                node: None,
                ending: false,
                volumes,
            });
            let file = |(id, version, since): &Held<'_>| HeldFile {
                id: (*id).into(),
                version: (*version).into(),
                since: time(since),
            };
            fleet.put_holding(Holding {
                namespace: "shop".into(),
                name: format!("{name}-db").into(),
                pod: (*name).into(),
                pod_uid: (*name).into(),
                class: "db".into(),
                created: time("04:00:00"),
                files: files.iter().map(file).collect(),
            });
        }
        fleet
    }

    fn targets(fleet: &Fleet) -> Vec<String> {
        let (catalog, aws) = (Catalog::default(), AwsVersions::default());
        let report =
            Report::new(fleet, &Question { catalog: &catalog, name: None, version: None, aws: &aws });
        report.objects.into_iter().map(|object| object.target.unwrap().version).collect()
    }

    #[test]
    fn the_newest_version_is_the_one_that_appeared_last_and_not_the_one_that_was_mounted_last() {
        let fleet = fleet(&[
            ("a", &[("f", "old", "04:00:00")]),
            ("b", &[("f", "new", "05:00:00")]),
            // It has got the old version from the memory of its node.
            ("c", &[("f", "old", "05:01:00")]),
        ]);
        assert_eq!(targets(&fleet), ["new"]);
    }

    #[test]
    fn of_numbers_the_highest_is_the_newest() {
        let fleet = fleet(&[("a", &[("f", "9", "05:00:00")]), ("b", &[("f", "10", "04:00:00")])]);
        assert_eq!(targets(&fleet), ["10"]);
    }

    #[test]
    fn a_status_of_an_earlier_pod_of_the_same_name_does_not_count() {
        let mut fleet = fleet(&[("a", &[("f", "old", "04:00:00")])]);
        assert_eq!(fleet.held().count(), 1);
        let pod = RunningPod { uid: "another".into(), ..fleet.pods().next().unwrap().clone() };
        fleet.put_pod(pod);
        assert_eq!(fleet.held().count(), 0);
    }

    #[test]
    fn a_write_that_leaves_a_file_as_it_was_does_not_make_its_version_younger() {
        let mut fleet = fleet(&[("a", &[("f", "1", "04:00:00"), ("g", "1", "04:00:00")])]);
        let mut holding = fleet.held().next().unwrap().1.clone();
        for file in &mut holding.files {
            file.since = time("05:00:00");
        }
        holding.files[1].version = "2".into();
        fleet.put_holding(holding);
        let since: Vec<_> = fleet.held().next().unwrap().1.files.iter().map(|file| file.since).collect();
        assert_eq!(since, [time("04:00:00"), time("05:00:00")]);
    }

    #[test]
    fn a_pod_with_several_files_of_an_object_counts_once() {
        let holder = |fleet: &Fleet| merged_of(fleet).len();
        let fleet = fleet(&[("a", &[("f", "1", "04:00:00"), ("g", "1", "05:00:00")])]);
        assert_eq!(holder(&fleet), 1);
        assert_eq!(merged_of(&fleet)[0].since, time("05:00:00"));
    }

    fn merged_of(fleet: &Fleet) -> Vec<Holder<'_>> {
        let (pod, holding) = fleet.held().next().unwrap();
        merged(holding.files.iter().map(|file| holder(pod, holding, file)).collect())
    }
}
