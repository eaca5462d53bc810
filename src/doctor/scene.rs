//! What was seen of a cluster, and which of its parts is which. The checks read nothing
//! else.

use super::template::canonical;
use super::{
    look::Wanted,
    metrics::Sample,
    objects::{
        ConfigMap, Container, CsiDriver, CsiNode, DaemonSet, Event, Lease, NetworkPolicy, Node, Pod,
        SecretProviderClass, ServiceAccount,
    },
};
use crate::{estate::DRIVER, live::Right};

/// What was read, or why it could not be.
pub(super) type Seen<T> = Result<T, String>;

#[derive(Debug)]
pub struct Scene {
    pub(super) csi_driver: Seen<Option<CsiDriver>>,
    pub(super) daemon_sets: Seen<Vec<DaemonSet>>,
    pub(super) nodes: Seen<Vec<Node>>,
    pub(super) csi_nodes: Seen<Vec<CsiNode>>,
    pub(super) leases: Seen<Vec<Lease>>,
    /// The pods of the driver, of Latchkey, and of the Pod Identity agent.
    pub(super) system_pods: Vec<SystemPods>,
    pub(super) voices: Vec<Voice>,
    pub(super) rights: Vec<Asked>,
    pub(super) notices: Vec<Notices>,
    /// Those in the namespaces of Latchkey.
    pub(super) policies: Seen<Vec<NetworkPolicy>>,
    pub(super) workloads: Workloads,
}

/// The part of the cluster that was asked for.
#[derive(Debug)]
pub(super) struct Workloads {
    /// As in `namespace shop`.
    pub(super) place: String,
    /// `None` if the cluster does not know the kind.
    pub(super) classes: Seen<Option<Vec<SecretProviderClass>>>,
    /// Pods with a volume of the driver.
    pub(super) pods: Seen<Vec<Pod>>,
    pub(super) accounts: Seen<Vec<ServiceAccount>>,
    pub(super) events: Seen<Vec<Event>>,
}

/// The pods of one DaemonSet.
#[derive(Debug)]
pub(super) struct SystemPods {
    pub(super) namespace: String,
    pub(super) daemon_set: String,
    pub(super) pods: Seen<Vec<Pod>>,
}

/// What one pod of Latchkey says.
#[derive(Debug)]
pub(super) struct Voice {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) node: String,
    pub(super) metrics: Seen<Sample>,
    /// What `/readyz` warns of although it is ready.
    pub(super) warning: Option<String>,
    /// The node's clock minus that of the API server, in seconds.
    pub(super) ahead: Option<f64>,
}

/// What was seen of the notices that one DaemonSet listens to.
#[derive(Debug)]
pub(super) struct Notices {
    /// The DaemonSet's namespace and name.
    pub(super) of: (String, String),
    /// The namespace and name of the ConfigMap.
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) object: Seen<Option<ConfigMap>>,
    pub(super) senders: Seen<Vec<Sender>>,
}

/// A pod that runs `latchkey notices` for the ConfigMap.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) pod: String,
    pub(super) is_ready: bool,
    /// What its `/readyz` warns of.
    pub(super) warnings: Vec<String>,
}

/// A permission, why it is needed, and whether it is there.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) right: Right,
    pub(super) need: Need,
    pub(super) allowed: Seen<bool>,
}

/// What a permission is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Roles,
    TokenKeys,
    Region,
    Events,
    Taint,
    SyncSecrets,
}

/// The DaemonSets that matter.
pub(super) struct Parts<'a> {
    pub(super) drivers: Vec<Driver<'a>>,
    pub(super) latchkeys: Vec<Latchkey<'a>>,
    pub(super) agents: Vec<&'a DaemonSet>,
    /// Those that use a folder of sockets of the driver and are none of the above.
    pub(super) others: Vec<&'a DaemonSet>,
}

pub(super) struct Driver<'a> {
    pub(super) set: &'a DaemonSet,
    pub(super) container: &'a Container,
}

pub(super) struct Latchkey<'a> {
    pub(super) set: &'a DaemonSet,
    pub(super) container: &'a Container,
}

const DEFAULT_FOLDERS: [&str; 2] =
    ["/var/run/secrets-store-csi-providers", "/etc/kubernetes/secrets-store-csi-providers"];

impl Scene {
    /// Sorts the DaemonSets; nothing if they could not be read.
    pub(super) fn parts(&self) -> Parts<'_> {
        let sets = self.daemon_sets.as_deref().unwrap_or_default();
        let drivers: Vec<Driver<'_>> = sets.iter().filter_map(Driver::of).collect();
        let latchkeys: Vec<Latchkey<'_>> = sets.iter().filter_map(Latchkey::of).collect();
        let agents = sets.iter().filter(|set| is_agent(set)).collect();
        let mut folders: Vec<String> = drivers.iter().flat_map(Driver::folders).collect();
        folders.extend(latchkeys.iter().filter_map(Latchkey::folder));
        folders.extend(DEFAULT_FOLDERS.map(str::to_owned));
        let known = |set: &DaemonSet| Driver::of(set).is_some() || Latchkey::of(set).is_some();
        let others = sets.iter().filter(|set| !known(set) && uses_a_folder(set, &folders)).collect();
        Parts { drivers, latchkeys, agents, others }
    }

    /// Why there is nothing to look at, if one pod was asked for.
    pub fn no_such_pod(&self, wanted: &Wanted) -> Option<String> {
        wanted.pod.as_ref()?;
        let none = self.workloads.pods.as_ref().is_ok_and(Vec::is_empty);
        none.then(|| format!("there is no {} with a volume of the driver {DRIVER}", self.workloads.place))
    }

    /// The pods of a DaemonSet; `None` if they could not be read.
    pub(super) fn pods_of(&self, set: &DaemonSet) -> Option<&[Pod]> {
        let of = |pods: &&SystemPods| {
            pods.daemon_set == set.metadata.name && pods.namespace == set.metadata.namespace
        };
        self.system_pods.iter().find(of)?.pods.as_deref().ok()
    }

    /// The nodes that can run the driver.
    pub(super) fn usable_nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.as_deref().unwrap_or_default().iter().filter(|node| node.can_mount())
    }
}

impl<'a> Driver<'a> {
    /// The driver by its flags, which no provider has. Not the one for Windows.
    pub(super) fn of(set: &'a DaemonSet) -> Option<Self> {
        let spec = &set.spec.template.spec;
        let windows = spec.node_selector.get("kubernetes.io/os").is_some_and(|os| os == "windows");
        let is_driver = |container: &&Container| {
            container.flag("provider-volume").is_some()
                && (container.flag("nodeid").is_some()
                    || container.repository().ends_with("csi-secrets-store/driver"))
        };
        let container = spec.containers.iter().find(is_driver)?;
        (!windows).then_some(Self { set, container })
    }

    /// The folders on the node in which it looks for sockets.
    pub(super) fn folders(&self) -> Vec<String> {
        let spec = &self.set.spec.template.spec;
        let more = self.container.flag("additional-provider-volume-paths").unwrap_or(DEFAULT_FOLDERS[1]);
        let paths = self.container.flag("provider-volume").into_iter().chain(more.split(','));
        paths
            .filter(|path| !path.is_empty())
            .filter_map(|path| spec.host_path_at(self.container, path))
            .collect()
    }

    /// Its version, such as `(1, 6, 0)`; `None` if neither image nor label has it.
    pub(super) fn version(&self) -> Option<(u32, u32, u32)> {
        let label = self.set.metadata.labels.get("app.kubernetes.io/version");
        version(self.container.tag()).or_else(|| version(label?))
    }
}

impl<'a> Latchkey<'a> {
    /// Latchkey by the label of its chart, or by its container.
    pub(super) fn of(set: &'a DaemonSet) -> Option<Self> {
        let labelled =
            set.metadata.labels.get("app.kubernetes.io/name").is_some_and(|name| name == "latchkey");
        let is_latchkey = |container: &&Container| {
            container.name == "latchkey" || container.repository().rsplit('/').next() == Some("latchkey")
        };
        let containers = &set.spec.template.spec.containers;
        let container =
            containers.iter().find(is_latchkey).or_else(|| containers.first().filter(|_| labelled))?;
        Some(Self { set, container })
    }

    pub(super) fn socket(&self) -> &str {
        self.container.flag("socket-name").unwrap_or("aws.sock")
    }

    /// The `provider` of the classes that it serves.
    pub(super) fn provider(&self) -> &str {
        self.socket().trim_end_matches(".sock")
    }

    /// The folder of its socket on the node.
    pub(super) fn folder(&self) -> Option<String> {
        let path = self.container.flag("provider-volume").unwrap_or(DEFAULT_FOLDERS[0]);
        self.set.spec.template.spec.host_path_at(self.container, path)
    }

    /// The port of `/metrics`.
    pub(super) fn port(&self) -> u16 {
        let ports = &self.container.ports;
        let named = ports.iter().find(|port| port.name == "http").or(ports.first());
        named.map_or(8989, |port| port.container_port)
    }
}

/// The user of a DaemonSet's pods.
pub(super) fn user(set: &DaemonSet) -> String {
    let account = &set.spec.template.spec.service_account_name;
    let account = if account.is_empty() { "default" } else { account };
    format!("system:serviceaccount:{}:{account}", set.metadata.namespace)
}

fn is_agent(set: &DaemonSet) -> bool {
    set.metadata.name == "eks-pod-identity-agent"
        || set
            .spec
            .template
            .spec
            .containers
            .iter()
            .any(|container| container.repository().ends_with("/eks-pod-identity-agent"))
}

fn uses_a_folder(set: &DaemonSet, folders: &[String]) -> bool {
    let paths = set.spec.template.spec.volumes.iter().filter_map(|volume| volume.host_path.as_ref());
    paths.map(|path| canonical(&path.path)).any(|path| folders.contains(&path))
}

fn version(text: &str) -> Option<(u32, u32, u32)> {
    let mut numbers = text.trim_start_matches('v').split(['.', '-', '+']).map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next().flatten().unwrap_or(0)))
}
