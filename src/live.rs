//! The live cluster, for people: the client of their kubeconfig, lists in pages of slim
//! types, changes as they happen, and a sentence for each failure.

mod ask;
mod connect;
mod failure;
mod follow;
mod list;
mod progress;
mod request;
mod resource;
pub mod time;

use std::path::PathBuf;

use kube::Client;

pub use self::{
    ask::{Answer, Right, Subject},
    failure::LiveError,
    follow::{Followed, Update},
    list::Listed,
    progress::Progress,
    resource::{
        CLASSES, CONFIG_MAPS, CSI_DRIVERS, CSI_NODES, DAEMON_SETS, EVENTS, LEASES, NETWORK_POLICIES, NODES,
        POD_STATUSES, PODS, Query, Resource, SERVICE_ACCOUNTS, Scope,
    },
};

/// kubectl's own choices.
#[derive(Clone, Debug, Default)]
pub struct LiveSettings {
    /// `None` means `KUBECONFIG`, then `~/.kube/config`, then the pod's own service account.
    pub kubeconfig: Option<PathBuf>,
    /// `None` means the kubeconfig's current context.
    pub context: Option<String>,
}

/// A cluster.
#[derive(Clone)]
pub struct Live {
    client: Client,
    /// The context's namespace.
    namespace: String,
    /// The API server, for messages.
    server: String,
}

impl Live {
    /// Reads the configuration. Runs its exec plugin if it names one, but does not yet
    /// call the API server.
    ///
    /// # Errors
    /// If there is no usable configuration.
    pub async fn connect(settings: &LiveSettings) -> Result<Self, LiveError> {
        connect::connect(settings).await
    }

    /// The namespace that the context names; `default` if it names none.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The API server's scheme, host and port.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// What kubectl would read with `-n` and `-A`.
    pub fn scope(&self, namespace: Option<&str>, all_namespaces: bool) -> Scope {
        match namespace {
            _ if all_namespaces => Scope::All,
            Some(namespace) => Scope::Namespace(namespace.to_owned()),
            None => Scope::Namespace(self.namespace.clone()),
        }
    }
}
