//! What is wrong with the volumes of pods.

use std::collections::HashMap;

use super::{Checker, Parsed, class, place::Places, pods::PodSpec, rules::*, same_namespace};
use crate::{
    estate::{ClassObject, ClassVolume, VolumeMount, Workload},
    findings::{Finding, Place, Rule},
    manifests::ProblemKind,
    model::{class::Class, file::FileMode, message::quoted, mistakes::Mistake, spelling::distance},
};

const CLASS_ATTRIBUTE: &str = "secretProviderClass";
/// Maximum number of names among which a misspelt one is looked for.
const MAX_COMPARED: usize = 1_000;
/// Permissions of the group, and of everybody else, to read.
const GROUP_READS: u32 = 0o040;
const OTHERS_READ: u32 = 0o004;

/// A volume of a pod, and where it is.
struct Volume<'a> {
    workload: &'a Workload,
    volume: &'a ClassVolume,
    pod: Option<&'a PodSpec<'a>>,
}

impl Volume<'_> {
    fn place(&self) -> Place {
        let node = self.pod.and_then(|pod| Some(pod.place(pod.volume(&self.volume.volume)?)));
        node.unwrap_or_else(|| self.workload.place.clone())
    }

    fn mount_place(&self, mount: &VolumeMount) -> Place {
        let of_container = self.pod.and_then(|pod| {
            let container = pod.containers().find(|container| container.name == mount.container)?;
            Some(pod.place(container.mount(&self.volume.volume, &mount.path)))
        });
        of_container.unwrap_or_else(|| self.place())
    }

    fn finding(&self, rule: &'static Rule, problem: String) -> Finding {
        let message = format!("volume {}: {problem}", quoted(&self.volume.volume));
        Finding::new(rule, self.place(), message)
    }
}

impl Checker<'_> {
    pub(super) fn check_volumes(&self, findings: &mut Vec<Finding>) {
        let pods: HashMap<Place, &PodSpec<'_>> =
            self.pods.iter().map(|pod| (pod.whole_place(), pod)).collect();
        for workload in &self.estate.workloads {
            let pod = pods.get(&workload.place).copied();
            for volume in &workload.volumes {
                self.check_volume(&Volume { workload, volume, pod }, findings);
            }
        }
    }

    fn check_volume(&self, volume: &Volume<'_>, findings: &mut Vec<Finding>) {
        let Volume { workload, volume: ClassVolume { class, read_only, mounts, .. }, .. } = volume;
        if !read_only {
            let problem = "readOnly: true is missing, and the driver mounts no other volume".to_owned();
            findings.push(volume.finding(&VOLUME_NOT_READ_ONLY, problem));
        }
        if class.is_empty() {
            let problem = format!("{CLASS_ATTRIBUTE} is missing in volumeAttributes");
            return findings.push(volume.finding(&VOLUME_WITHOUT_CLASS, problem));
        }
        let object = self.class(&workload.namespace, class);
        if object.is_some_and(|object| !class::is_meant_for_us(&object.manifest)) {
            return;
        }
        for mount in mounts {
            if let Some(path) = &mount.sub_path {
                let message = format!(
                    "container {} mounts {} of volume {} with subPath, so it keeps the value that it started with",
                    quoted(&mount.container),
                    quoted(path),
                    quoted(&volume.volume.volume)
                );
                findings.push(Finding::new(&SUB_PATH, volume.mount_place(mount), message));
            }
        }
        match object {
            None => findings.push(self.missing(volume)),
            Some(object) => self.check_use(volume, object, findings),
        }
        if workload.service_account == "default" {
            let message = "the pod mounts secrets and names no service account of its own".to_owned();
            findings.push(Finding::new(&DEFAULT_SERVICE_ACCOUNT, workload.place.clone(), message));
        }
    }

    /// A volume whose class was not read.
    fn missing(&self, volume: &Volume<'_>) -> Finding {
        let (namespace, name) = (&volume.workload.namespace, &volume.volume.class);
        let problem = format!("there is no SecretProviderClass {}", quoted(name));
        if let Some(elsewhere) = self.by_name.anywhere(name).next() {
            let problem = format!(
                "{problem} in namespace {namespace}; the one in namespace {} is of no use here",
                elsewhere.namespace
            );
            return volume.finding(&MISSING_CLASS, problem);
        }
        let near = self.classes.iter().filter(|class| same_namespace(&class.namespace, namespace));
        let near = near.map(|class| &class.name).take(MAX_COMPARED);
        let near = near.min_by_key(|other| distance(other, name)).filter(|other| distance(other, name) <= 2);
        match near {
            Some(near) => {
                let problem = format!("{problem}; did you mean {}?", quoted(near));
                volume.finding(&MISSING_CLASS, problem)
            }
            None if self.complete => volume.finding(&MISSING_CLASS, problem),
            None => {
                let problem = format!("SecretProviderClass {} is not among the manifests", quoted(name));
                volume.finding(&CLASS_NOT_GIVEN, problem)
            }
        }
    }

    /// Checks what the pod makes of a class that is there.
    fn check_use(&self, volume: &Volume<'_>, object: &ClassObject, findings: &mut Vec<Finding>) {
        if self.patches.contain(object)
            || object.manifest.mistakes().iter().any(|mistake| mistake.kind == ProblemKind::NoParameters)
        {
            return;
        }
        let parsed = self.parsed(object);
        let attributes = &volume.volume.attributes;
        if attributes.is_empty() {
            // Otherwise the class itself has the findings.
            if let Ok(class) = &parsed.result {
                self.check_mounted(volume, object, class, findings);
            }
            return;
        }
        let merged = object.manifest.read_with(&self.rules, attributes);
        let (mistakes, warnings) = match &merged {
            Ok(class) => (&[][..], &class.warnings),
            Err(invalid) => (invalid.mistakes.as_slice(), &invalid.warnings),
        };
        let own = own_texts(&parsed);
        for mistake in mistakes.iter().filter(|mistake| !own.contains(&mistake.text.as_str())) {
            findings.push(volume.finding(&INVALID_OVERRIDE, format!("volumeAttributes: {mistake}")));
        }
        let places = Places::of(object, self);
        for warning in warnings.iter().filter(|warning| !own.contains(&warning.text.as_str())) {
            let finding = class::of_mistake(warning, &places);
            let message = format!("volume {}: volumeAttributes: {warning}", quoted(&volume.volume.volume));
            findings.push(Finding { place: volume.place(), message, ..finding });
        }
        if let Ok(class) = &merged {
            self.check_mounted(volume, object, class, findings);
        }
    }

    /// Checks the files and the identity of a class that can be mounted.
    fn check_mounted(
        &self,
        volume: &Volume<'_>,
        object: &ClassObject,
        class: &Class,
        findings: &mut Vec<Finding>,
    ) {
        self.check_identity(volume.workload, object, class, findings);
        for mount in &volume.volume.mounts {
            let user = match mount.user {
                Some(0) => continue,
                Some(user) => format!("runs as user {user}"),
                None if mount.non_root => "does not run as root".to_owned(),
                None => continue,
            };
            let container = volume.pod.and_then(|pod| pod.containers().find(|it| it.name == mount.container));
            let group_root = container.is_none_or(|container| container.may_have_group_root());
            if let Some((file, mode)) = unreadable(class, group_root, mount.sub_path.as_deref()) {
                let message = format!(
                    "container {} {user}, and cannot read the file {} with mode {mode}, which belongs to root",
                    quoted(&mount.container),
                    quoted(file)
                );
                findings.push(Finding::new(&UNREADABLE_MODE, volume.mount_place(mount), message));
            }
        }
    }
}

/// What is wrong with the class without any pod.
fn own_texts<'a>(parsed: &'a Parsed<'_>) -> Vec<&'a str> {
    let texts = |mistakes: &'a [Mistake]| mistakes.iter().map(|mistake| mistake.text.as_str());
    match &parsed.result {
        Ok(class) => texts(&class.warnings).collect(),
        Err(invalid) => texts(&invalid.mistakes).chain(texts(&invalid.warnings)).collect(),
    }
}

/// The first file that only root can read, or only its group. With a subPath, only the
/// files below it count.
fn unreadable<'a>(class: &'a Class, group_root: bool, sub_path: Option<&str>) -> Option<(&'a str, FileMode)> {
    let files = class.objects.iter().flat_map(|object| {
        let fields = object.fields.iter().map(|field| (field.path.as_str(), field.mode));
        std::iter::once((object.path.as_str(), object.mode)).chain(fields)
    });
    let mounted = |file: &str| match sub_path {
        None => true,
        Some(path) => file == path || file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')),
    };
    let readers = if group_root { GROUP_READS | OTHERS_READ } else { OTHERS_READ };
    let mut hidden = files.filter(|(file, mode)| mounted(file) && mode.bits() & readers == 0);
    hidden.next()
}
