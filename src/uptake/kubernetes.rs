//! The objects of the cluster that tell who holds what: SecretProviderClassPodStatus as
//! the driver writes it, pods, classes, the CSIDriver and events. Only what is of use is
//! kept of each.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{clock::Time, estate};

/// What the driver writes after each mount of a volume. Writing the same again leaves it
/// as it is, so that its last write is the last change:
/// <https://github.com/kubernetes-sigs/secrets-store-csi-driver/blob/v1.6.1/pkg/secrets-store/utils.go>.
#[derive(Debug, Deserialize)]
#[serde(default)]
#[derive(Default)]
pub struct StatusObject {
    metadata: StatusMetadata,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StatusMetadata {
    name: String,
    namespace: String,
    creation_timestamp: Option<String>,
    owner_references: Vec<OwnerReference>,
    managed_fields: Vec<ManagedFields>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OwnerReference {
    uid: String,
}

/// When a client last wrote. The fields themselves are not kept.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ManagedFields {
    time: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    pod_name: String,
    secret_provider_class_name: String,
    mounted: bool,
    objects: Vec<StatusEntry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StatusEntry {
    id: String,
    version: String,
}

/// What a pod holds of a class.
#[derive(Clone, Debug)]
pub struct Holding {
    pub namespace: Box<str>,
    /// The status object's own name.
    pub name: Box<str>,
    pub pod: Box<str>,
    /// Empty if the driver has named none.
    pub pod_uid: Box<str>,
    pub class: Box<str>,
    /// The first mount.
    pub created: Option<Time>,
    pub files: Vec<HeldFile>,
}

#[derive(Clone, Debug)]
pub struct HeldFile {
    /// The path of the file, or what another provider calls it.
    pub id: Box<str>,
    pub version: Box<str>,
    /// When the pod had this version at the latest.
    pub since: Option<Time>,
}

/// `None` if nothing is mounted.
pub fn kept_status(object: StatusObject) -> Option<Holding> {
    let StatusObject { metadata, status } = object;
    if !status.mounted {
        return None;
    }
    let created = metadata.creation_timestamp.as_deref().and_then(Time::parse);
    let writes = metadata.managed_fields.iter().filter_map(|fields| Time::parse(fields.time.as_deref()?));
    let since = writes.max().or(created);
    let files = status.objects.into_iter().map(|entry| HeldFile {
        id: entry.id.into(),
        version: entry.version.into(),
        since,
    });
    Some(Holding {
        namespace: metadata.namespace.into(),
        name: metadata.name.into(),
        pod: status.pod_name.into(),
        pod_uid: metadata.owner_references.into_iter().next().unwrap_or_default().uid.into(),
        class: status.secret_provider_class_name.into(),
        created,
        files: files.collect(),
    })
}

pub type PodObject = estate::Pod;

/// A pod that mounts a class.
#[derive(Clone, Debug)]
pub struct RunningPod {
    pub namespace: Box<str>,
    pub name: Box<str>,
    pub uid: Box<str>,
    pub node: Option<Box<str>>,
    /// It is being deleted.
    pub ending: bool,
    pub volumes: Vec<PodVolume>,
}

#[derive(Clone, Debug)]
pub struct PodVolume {
    pub class: Box<str>,
    /// The mounts that never see a change.
    pub frozen: Vec<FrozenMount>,
}

/// A mount with a subPath of a container that runs.
#[derive(Clone, Debug)]
pub struct FrozenMount {
    pub container: Box<str>,
    /// A file or a folder of the volume; `None` if an expression decides.
    pub path: Option<Box<str>>,
    pub started: Time,
}

/// `None` if the pod mounts no class, or has ended.
pub fn kept_pod(pod: PodObject) -> Option<RunningPod> {
    if matches!(pod.status.phase.as_str(), "Succeeded" | "Failed") {
        return None;
    }
    let volumes = pod.class_volumes();
    if volumes.is_empty() {
        return None;
    }
    let statuses = pod.status.container_statuses.iter().chain(&pod.status.init_container_statuses).flatten();
    let started: BTreeMap<&str, Time> = statuses
        .filter_map(|status| {
            let running = status.state.running.as_ref()?;
            Some((status.name.as_str(), Time::parse(running.started_at.as_deref()?)?))
        })
        .collect();
    let volumes = volumes.iter().map(|volume| PodVolume {
        class: volume.class.as_str().into(),
        frozen: volume
            .mounts
            .iter()
            .filter_map(|mount| {
                let path = mount.sub_path.as_deref()?;
                Some(FrozenMount {
                    container: mount.container.as_str().into(),
                    path: (!path.contains("$(")).then(|| path.trim_end_matches('/').into()),
                    started: *started.get(mount.container.as_str())?,
                })
            })
            .collect(),
    });
    let volumes = volumes.collect();
    let metadata = pod.metadata;
    Some(RunningPod {
        namespace: metadata.namespace.unwrap_or_default().into(),
        name: metadata.name.into(),
        uid: metadata.uid.into(),
        node: pod.spec.node_name.map(Into::into),
        ending: metadata.deletion_timestamp.is_some(),
        volumes,
    })
}

impl FrozenMount {
    /// Whether the container reads this file through the mount.
    pub(super) fn covers(&self, file: &str) -> bool {
        let Some(path) = &self.path else { return true };
        file.strip_prefix(&**path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// A SecretProviderClass.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClassItem {
    pub(super) metadata: ClassMetadata,
    pub(super) spec: ClassSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ClassMetadata {
    pub(super) name: String,
    pub(super) namespace: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ClassSpec {
    pub(super) provider: String,
    pub(super) parameters: BTreeMap<String, String>,
}

/// The CSIDriver of the Secrets Store CSI Driver.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Driver {
    spec: DriverSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DriverSpec {
    requires_republish: Option<bool>,
}

impl Driver {
    /// Whether the kubelet asks the driver again and again to mount.
    pub fn rotates(&self) -> bool {
        self.spec.requires_republish.unwrap_or(false)
    }
}

/// An event on a pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodEvent {
    pub reporting_controller: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub reason: String,
    pub note: String,
    pub event_time: Option<String>,
    pub regarding: Regarding,
    pub series: Option<Series>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Regarding {
    pub uid: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Series {
    pub last_observed_time: Option<String>,
}

impl PodEvent {
    /// When it was last seen. Times to the microsecond, which sort as text.
    pub(super) fn last_seen(&self) -> &str {
        let last = self.series.as_ref().and_then(|series| series.last_observed_time.as_deref());
        last.or(self.event_time.as_deref()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(text: &str) -> Option<RunningPod> {
        kept_pod(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn the_last_write_of_a_status_is_since_when_its_versions_are_held() {
        let status = r#"{
            "metadata": {
                "name": "web-shop-db", "namespace": "shop", "creationTimestamp": "2026-02-03T04:05:06Z",
                "ownerReferences": [{"kind": "Pod", "name": "web", "uid": "u1"}],
                "managedFields": [
                    {"manager": "driver", "time": "2026-02-03T05:00:00Z", "fieldsV1": {"f:status": {}}},
                    {"manager": "other"}
                ]
            },
            "status": {
                "podName": "web", "secretProviderClassName": "db", "mounted": true, "targetPath": "/x",
                "objects": [{"id": "password", "version": "v2"}]
            }
        }"#;
        let holding = kept_status(serde_json::from_str(status).unwrap()).unwrap();
        assert_eq!((&*holding.pod, &*holding.pod_uid, &*holding.class), ("web", "u1", "db"));
        assert_eq!(holding.files[0].since.unwrap().to_string(), "2026-02-03T05:00:00Z");
        assert_eq!(holding.created.unwrap().to_string(), "2026-02-03T04:05:06Z");
        let unmounted = status.replace("true", "false");
        assert!(kept_status(serde_json::from_str(&unmounted).unwrap()).is_none());
    }

    #[test]
    fn of_a_pod_its_classes_and_the_mounts_that_never_change_are_kept() {
        let text = r#"{
            "metadata": {"name": "web", "namespace": "shop", "uid": "u1"},
            "spec": {
                "nodeName": "n1",
                "volumes": [{"name": "s", "csi": {"driver": "secrets-store.csi.k8s.io",
                    "volumeAttributes": {"secretProviderClass": "db"}}}],
                "containers": [
                    {"name": "a", "volumeMounts": [{"name": "s", "mountPath": "/a", "subPath": "password"}]},
                    {"name": "b", "volumeMounts": [{"name": "s", "mountPath": "/b"}]},
                    {"name": "c", "volumeMounts": [{"name": "s", "mountPath": "/c", "subPath": "waiting"}]}
                ]
            },
            "status": {"phase": "Running", "containerStatuses": [
                {"name": "a", "state": {"running": {"startedAt": "2026-02-03T04:05:06Z"}}},
                {"name": "b", "state": {"running": {"startedAt": "2026-02-03T04:05:06Z"}}},
                {"name": "c", "state": {"waiting": {}}}
            ]}
        }"#;
        let kept = pod(text).unwrap();
        let frozen: Vec<&str> = kept.volumes[0].frozen.iter().map(|mount| &*mount.container).collect();
        assert_eq!(frozen, ["a"]);
        let mount = &kept.volumes[0].frozen[0];
        assert!(mount.covers("password") && mount.covers("password/x") && !mount.covers("passwords"));
        assert!(pod(&text.replace("Running", "Succeeded")).is_none());
        assert!(pod(&text.replace("secrets-store.csi.k8s.io", "other")).is_none());
    }
}
