//! The roles of service accounts, remembered so that a republish needs no
//! Kubernetes call.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    cache::Slots,
    cluster::{Cluster, ClusterError},
    model::{arn::RoleArn, request::MountRequest},
    permits::{Permit, Permits, Urgency},
};

/// Most reads of Kubernetes at once: a pod's author may make many service accounts.
const MAX_READS: usize = 32;

/// Remembers what Kubernetes said of a service account.
pub(super) struct Roles {
    cluster: Arc<Cluster>,
    accounts: Slots<(String, String), Known, ClusterError>,
    reads: Permits,
    /// How long it is believed.
    age: Duration,
    /// How long it is believed while Kubernetes does not answer.
    max_stale: Duration,
}

/// What a successful read said.
#[derive(Clone, Debug)]
struct Known {
    role: Option<RoleArn>,
    /// The uid in the tokens at that time: another one is another account of
    /// the same name.
    uid: Option<String>,
    read_at: Instant,
}

impl Roles {
    pub(super) fn new(cluster: Arc<Cluster>, age: Duration, max_stale: Duration) -> Self {
        Self { cluster, accounts: Slots::new(), reads: Permits::new(MAX_READS), age, max_stale }
    }

    /// The role that the pod's service account is annotated with. `Ok(None)`
    /// says that the account was read and carries no annotation.
    ///
    /// # Errors
    /// Anything but a successful read. Only when Kubernetes does not answer, what
    /// it said before still counts.
    pub(super) async fn of(&self, request: &MountRequest) -> Result<Option<RoleArn>, ClusterError> {
        let (namespace, account) = (&request.pod.namespace, &request.pod.service_account);
        let key = (namespace.clone(), account.clone());
        let uid = account_uid(request);
        let now = Instant::now();
        let believed = |known: &Known, age| known.uid == uid && now.duration_since(known.read_at) < age;
        let admit = || self.reads.take(Urgency::Mount, namespace, "");
        let read = async |_permit: Permit| {
            self.accounts.sweep(|known| now.duration_since(known.read_at) < self.max_stale.max(self.age));
            // On the heap, so that a mount which needs no read stays small.
            let role = Box::pin(self.cluster.role_of(namespace, account)).await?;
            Ok(Known { role, uid: uid.clone(), read_at: now })
        };
        let result =
            self.accounts.get_or_fetch(&key, |known| believed(known, self.age), |_| true, admit, read).await;
        match result {
            Ok(known) => Ok(known.role),
            Err(error @ (ClusterError::Setup { .. } | ClusterError::Unreachable { .. })) => {
                match self.accounts.held(&key).filter(|known| believed(known, self.max_stale)) {
                    Some(known) => {
                        tracing::warn!(
                            service_account = %format_args!("{namespace}/{account}"),
                            "{error}; the role that it told before is used"
                        );
                        Ok(known.role)
                    }
                    None => Err(error),
                }
            }
            Err(error) => {
                self.accounts.forget(&key, |_| true);
                Err(error)
            }
        }
    }
}

/// The uid of the service account, as the pod's tokens state it. A forged one
/// costs a read and gains nothing.
fn account_uid(request: &MountRequest) -> Option<String> {
    let claims = request.tokens.values().filter_map(|token| token.claims());
    claims
        .filter_map(|claims| claims.bound_to.serviceaccount.as_ref())
        .map(|account| &account.uid)
        .min()
        .cloned()
}
