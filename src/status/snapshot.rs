//! The document that the status socket serves: names, versions and times, never a value,
//! a token, or anything of credentials but their end.

use serde::{Deserialize, Serialize};

use super::Time;
pub(super) use crate::values::EntryState as State;

/// What one provider holds at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    pub version: String,
    pub taken_at: Time,
    pub started_at: Time,
    /// The name of the node, if Latchkey knows it.
    pub node: Option<String>,
    pub socket: Socket,
    pub writes: Writes,
    pub token_keys: TokenKeys,
    pub pods: Pods,
    /// `None` without `--notices`.
    pub notices: Option<Notices>,
    /// How many times longer than asked the longest intervals are, because AWS throttles.
    pub stretch: f64,
    /// By namespace and service account.
    pub principals: Vec<Principal>,
    /// By namespace, service account and id.
    pub values: Vec<Value>,
    /// The latest refusals by AWS that are not over.
    pub denials: Vec<Denial>,
    /// By namespace and pod. Empty if the driver writes the files.
    pub volumes: Vec<Volume>,
    pub calls: Vec<Calls>,
    pub shares: Vec<Shares>,
}

/// The driver's socket.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Socket {
    pub path: String,
    pub state: SocketState,
    /// The provider that holds it, if that is another one.
    pub held_by: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SocketState {
    Starting,
    Ours,
    /// A newer Latchkey has taken it over.
    Succeeded,
    /// Another provider holds it.
    Foreign,
}

/// Who writes the files into pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Writes {
    Driver,
    Latchkey,
}

/// The cluster's keys, with which Latchkey verifies pods' tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenKeys {
    pub read_at: Option<Time>,
    /// The number of keys that can verify tokens.
    pub usable: usize,
    pub warning: Option<String>,
}

/// Volumes of pods that were mounted here, by the result of their last mount.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pods {
    pub fresh: usize,
    /// Mounted with last known good values.
    pub stale: usize,
    /// The last mount failed; the files are older.
    pub failing: usize,
}

/// The change notices that this node hears.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notices {
    /// The ConfigMap that carries them.
    pub object: String,
    /// Accounts and Regions whose notices flow.
    pub areas: Vec<String>,
    /// The number of values that are polled rarely for that.
    pub values: usize,
}

/// An identity that AWS sees.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Principal {
    #[serde(flatten)]
    pub who: Who,
    /// `None` without credentials.
    pub credentials_until: Option<Time>,
    /// Why the last attempt to get credentials failed.
    pub refused: Option<String>,
    /// When the newest token that the poller may use expires.
    pub token_until: Option<Time>,
    /// The number of values held for it.
    pub values: usize,
}

/// The names of a principal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Who {
    pub namespace: String,
    pub service_account: String,
    pub means: Means,
    /// The role of IRSA.
    pub role: Option<String>,
    /// The role that is assumed (`assumeRoleArn`).
    pub assumed_role: Option<String>,
    /// Set if each pod has its own session (`--pod-identity-cache-scope=pod`).
    pub pod_uid: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Means {
    Irsa,
    PodIdentity,
}

/// A secret or parameter, as one principal reads it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Value {
    #[serde(flatten)]
    pub who: Who,
    /// `secretsmanager` or `ssm`.
    pub service: String,
    /// As the class names it.
    pub id: String,
    pub region: String,
    pub failover_region: Option<String>,
    /// One for each version or label that is read.
    pub versions: Vec<Version>,
    pub state: State,
    /// Why the last read failed.
    pub failed: Option<String>,
    /// Consecutive reads that met an outage.
    pub outages: u32,
    pub read_at: Option<Time>,
    /// `None` while no poll is planned: before the first read, or without a valid token.
    pub next_poll: Option<Time>,
    /// When a mount last asked for it.
    pub asked_at: Time,
    pub interval_seconds: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// The version or label that the class names; `None` for the current version.
    pub asked: Option<String>,
    /// The version that is held.
    pub held: Option<String>,
    pub arn: Option<String>,
    /// The Region that served it.
    pub served_by: Option<String>,
    /// Why nothing is held.
    pub missing: Option<String>,
}

/// A principal that AWS refuses.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Denial {
    #[serde(flatten)]
    pub who: Who,
    /// `None` if the principal got no credentials.
    pub id: Option<String>,
    pub reason: String,
    pub at: Time,
}

/// A volume that Latchkey writes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    pub namespace: String,
    pub pod: String,
    pub pod_uid: String,
    pub class: String,
    /// The number of secrets and parameters.
    pub values: usize,
    /// When it was last mounted or republished.
    pub mounted_at: Time,
}

/// Calls to one service.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Calls {
    /// `aws`, `podIdentityAgent` or `serviceAccounts`.
    pub to: String,
    pub running: usize,
    pub waiting: usize,
    pub max: usize,
    pub namespaces: Vec<NamespaceCalls>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceCalls {
    pub namespace: String,
    pub running: usize,
    pub waiting: usize,
}

/// An amount that namespaces share.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shares {
    pub part: String,
    pub unit: Unit,
    pub used: usize,
    pub max: usize,
    /// The largest first.
    pub namespaces: Vec<Share>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Unit {
    Bytes,
    Mounts,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// Empty for what an earlier process has left.
    pub namespace: String,
    pub used: usize,
    /// Mounts that wait for more.
    pub waiting: usize,
}

impl Snapshot {
    /// Keeps only what belongs to `namespace`.
    pub fn only(mut self, namespace: &str) -> Self {
        self.principals.retain(|one| one.who.namespace == namespace);
        self.values.retain(|one| one.who.namespace == namespace);
        self.denials.retain(|one| one.who.namespace == namespace);
        self.volumes.retain(|one| one.namespace == namespace);
        self.calls.iter_mut().for_each(|calls| calls.namespaces.retain(|one| one.namespace == namespace));
        self.shares.iter_mut().for_each(|shares| shares.namespaces.retain(|one| one.namespace == namespace));
        self
    }
}
