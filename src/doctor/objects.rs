//! The few fields of Kubernetes objects that the checks read.

use std::collections::BTreeMap;

use serde::Deserialize;

pub(super) use super::template::{Container, NodeTerm, PodSpec, Toleration};

pub(super) type Labels = BTreeMap<String, String>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) labels: Labels,
    pub(super) annotations: Labels,
    pub(super) creation_timestamp: String,
    pub(super) deletion_timestamp: Option<String>,
}

/// Metadata that says when the API server took the last write.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ManagedMetadata {
    pub(super) name: String,
    pub(super) managed_fields: Vec<ManagedFields>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ManagedFields {
    /// By the API server's clock.
    pub(super) time: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CsiDriver {
    pub(super) spec: CsiDriverSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct CsiDriverSpec {
    pub(super) pod_info_on_mount: bool,
    pub(super) requires_republish: bool,
    pub(super) token_requests: Vec<TokenRequest>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TokenRequest {
    pub(super) audience: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DaemonSet {
    pub(super) metadata: Metadata,
    pub(super) spec: DaemonSetSpec,
    pub(super) status: DaemonSetStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DaemonSetSpec {
    pub(super) selector: Selector,
    pub(super) template: Template,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Selector {
    pub(super) match_labels: Labels,
    /// Too much to be evaluated here: such a selector counts as one that may match.
    pub(super) match_expressions: Vec<serde::de::IgnoredAny>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Template {
    pub(super) spec: PodSpec,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct DaemonSetStatus {
    pub(super) desired_number_scheduled: u32,
    pub(super) number_ready: u32,
    pub(super) updated_number_scheduled: u32,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pod {
    pub(super) metadata: Metadata,
    pub(super) spec: PodSpec,
    pub(super) status: PodStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodStatus {
    pub(super) phase: String,
    pub(super) conditions: Vec<Condition>,
    pub(super) container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) message: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerStatus {
    pub(super) state: ContainerState,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerState {
    pub(super) waiting: Option<Waiting>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Waiting {
    pub(super) reason: String,
    pub(super) message: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ConfigMap {
    pub(super) data: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Node {
    pub(super) metadata: Metadata,
    pub(super) spec: NodeSpec,
    pub(super) status: NodeStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeSpec {
    pub(super) taints: Vec<Taint>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Taint {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) effect: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeStatus {
    pub(super) conditions: Vec<Condition>,
}

/// What kubelet renews every ten seconds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Lease {
    pub(super) metadata: ManagedMetadata,
    pub(super) spec: LeaseSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct LeaseSpec {
    /// By the node's clock.
    pub(super) renew_time: String,
}

/// The drivers that have registered with a node's kubelet.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CsiNode {
    pub(super) metadata: Metadata,
    pub(super) spec: CsiNodeSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CsiNodeSpec {
    /// Null if there are none.
    pub(super) drivers: Option<Vec<RegisteredDriver>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RegisteredDriver {
    pub(super) name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NetworkPolicy {
    pub(super) metadata: Metadata,
    pub(super) spec: NetworkPolicySpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct NetworkPolicySpec {
    pub(super) pod_selector: Selector,
    pub(super) policy_types: Vec<String>,
    pub(super) egress: Option<Vec<serde::de::IgnoredAny>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SecretProviderClass {
    pub(super) metadata: Metadata,
    pub(super) spec: ClassSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ClassSpec {
    pub(super) provider: String,
    pub(super) parameters: Labels,
    pub(super) secret_objects: Vec<serde::de::IgnoredAny>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ServiceAccount {
    pub(super) metadata: Metadata,
}

/// An event of events.k8s.io.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Event {
    pub(super) metadata: Metadata,
    pub(super) regarding: Regarding,
    pub(super) reason: String,
    pub(super) note: String,
    pub(super) event_time: Option<String>,
    pub(super) deprecated_last_timestamp: Option<String>,
    pub(super) series: Option<Series>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Regarding {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Series {
    pub(super) last_observed_time: Option<String>,
}

impl Pod {
    pub(super) fn condition(&self, kind: &str) -> Option<&Condition> {
        self.status.conditions.iter().find(|condition| condition.kind == kind)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.condition("Ready").is_some_and(|ready| ready.status == "True")
    }

    pub(super) fn is_ending(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// The node, also of a DaemonSet's pod that the scheduler has not placed yet.
    pub(super) fn node(&self) -> &str {
        if !self.spec.node_name.is_empty() {
            return &self.spec.node_name;
        }
        let terms = self
            .spec
            .affinity
            .as_ref()
            .and_then(|affinity| affinity.node_affinity.as_ref()?.required.as_ref());
        let fields =
            terms.iter().flat_map(|terms| &terms.node_selector_terms).flat_map(|term| &term.match_fields);
        fields
            .filter(|field| field.key == "metadata.name")
            .find_map(|field| field.values.first())
            .map_or("", String::as_str)
    }
}

impl Node {
    pub(super) fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|condition| condition.kind == "Ready" && condition.status == "True")
    }

    /// Fargate and Windows nodes run neither the driver nor Latchkey.
    pub(super) fn can_mount(&self) -> bool {
        let label = |name: &str| self.metadata.labels.get(name).map(String::as_str);
        label("eks.amazonaws.com/compute-type") != Some("fargate")
            && label("kubernetes.io/os").is_none_or(|os| os == "linux")
            && label("type") != Some("virtual-kubelet")
    }
}

impl Event {
    /// When it was seen last, as RFC 3339.
    pub(super) fn last_seen(&self) -> &str {
        let series = self.series.as_ref().and_then(|series| series.last_observed_time.as_deref());
        series
            .or(self.deprecated_last_timestamp.as_deref())
            .or(self.event_time.as_deref())
            .unwrap_or(&self.metadata.creation_timestamp)
    }
}

impl Selector {
    /// Whether it may match the labels.
    pub(super) fn may_match(&self, labels: &Labels) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
    }

    /// For the API server, as in `a=b,c=d`.
    pub(super) fn text(&self) -> String {
        let pairs: Vec<String> =
            self.match_labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        pairs.join(",")
    }
}
