//! What people reason about: SecretProviderClasses, the pods that mount them, and the
//! service accounts and roles that they read as. Out of manifests or a live cluster.

mod cluster;
mod kubernetes;
mod objects;

use std::collections::BTreeMap;

pub use self::kubernetes::{Labels, Metadata, Pod, ServiceAccountObject};
use crate::{
    findings::{FilePlace, ObjectName, Place},
    manifests::SecretProviderClass,
};

/// The driver's name in a volume.
pub const DRIVER: &str = "secrets-store.csi.k8s.io";
/// The annotation with a service account's IRSA role.
pub const ROLE_ANNOTATION: &str = "eks.amazonaws.com/role-arn";

/// Everything that was read.
#[derive(Clone, Debug, Default)]
pub struct Estate {
    /// Classes of this provider.
    pub classes: Vec<ClassObject>,
    pub accounts: Vec<ServiceAccount>,
    pub workloads: Vec<Workload>,
    /// EKS Pod Identity associations.
    pub associations: Vec<Association>,
    /// Objects that do not have the form of their kind.
    pub malformed: Vec<Place>,
}

/// A SecretProviderClass, and where it is.
#[derive(Clone, Debug)]
pub struct ClassObject {
    pub place: Place,
    pub namespace: String,
    pub name: String,
    pub manifest: SecretProviderClass,
}

#[derive(Clone, Debug)]
pub struct ServiceAccount {
    pub place: Place,
    pub namespace: String,
    pub name: String,
    /// The annotation `eks.amazonaws.com/role-arn`.
    pub role_arn: Option<String>,
}

/// A pod, or what makes pods of one template.
#[derive(Clone, Debug)]
pub struct Workload {
    pub place: Place,
    /// `Pod`, `Deployment`, …
    pub kind: String,
    pub namespace: String,
    pub name: String,
    /// How many pods it has; `None` where that depends on the nodes (a DaemonSet) or is
    /// not known.
    pub replicas: Option<u32>,
    /// The node of a pod.
    pub node: Option<String>,
    /// `default` if the template names none.
    pub service_account: String,
    pub volumes: Vec<ClassVolume>,
}

/// A volume of the driver in a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassVolume {
    /// Its name in the pod.
    pub volume: String,
    /// The SecretProviderClass; empty if the volume names none.
    pub class: String,
    /// The other `volumeAttributes`; they override the class's parameters.
    pub attributes: BTreeMap<String, String>,
    /// Whether `readOnly: true` is set, which the driver demands.
    pub read_only: bool,
    pub mounts: Vec<VolumeMount>,
}

/// Where a container mounts a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeMount {
    pub container: String,
    pub path: String,
    /// `subPath` or `subPathExpr`: such a mount never sees a rotation.
    pub sub_path: Option<String>,
    /// The user that the container runs as, as far as the template tells.
    pub user: Option<i64>,
    /// `runAsNonRoot`.
    pub non_root: bool,
}

/// An EKS Pod Identity association.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Association {
    pub place: Place,
    pub namespace: String,
    pub service_account: String,
    pub role_arn: String,
    /// The role that `role_arn` assumes, in another account.
    pub target_role_arn: Option<String>,
}

impl Estate {
    /// Drops what belongs to other namespaces.
    pub fn keep_only(&mut self, namespace: &str) {
        self.classes.retain(|class| class.namespace == namespace);
        self.accounts.retain(|account| account.namespace == namespace);
        self.workloads.retain(|workload| workload.namespace == namespace);
        self.associations.retain(|association| association.namespace == namespace);
    }

    /// The class that a volume names.
    pub fn class(&self, namespace: &str, name: &str) -> Option<&ClassObject> {
        self.classes.iter().find(|class| class.namespace == namespace && class.name == name)
    }

    pub fn account(&self, namespace: &str, name: &str) -> Option<&ServiceAccount> {
        self.accounts.iter().find(|account| account.namespace == namespace && account.name == name)
    }

    pub fn association(&self, namespace: &str, account: &str) -> Option<&Association> {
        let of = |association: &&Association| {
            association.namespace == namespace && association.service_account == account
        };
        self.associations.iter().find(of)
    }

    /// The workloads with a volume of the class, and that volume.
    pub fn users<'a>(
        &'a self,
        class: &'a ClassObject,
    ) -> impl Iterator<Item = (&'a Workload, &'a ClassVolume)> {
        let workloads = self.workloads.iter().filter(|workload| workload.namespace == class.namespace);
        workloads.flat_map(move |workload| {
            let volumes = workload.volumes.iter().filter(move |volume| volume.class == class.name);
            volumes.map(move |volume| (workload, volume))
        })
    }
}

impl Place {
    /// A whole object of a live cluster.
    pub fn in_cluster(kind: &str, namespace: &str, name: &str) -> Self {
        Self { file: None, object: Some(ObjectName::new(kind, namespace, name)) }
    }

    /// An object that starts at a place in a file.
    pub fn in_file(file: FilePlace, object: ObjectName) -> Self {
        Self { file: Some(file), object: Some(object) }
    }
}

impl ObjectName {
    pub fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }
}
