//! Reads an estate from a live cluster.

use serde_json::Value;

use super::{Estate, Pod, ServiceAccountObject};
use crate::{
    findings::Place,
    live::{CLASSES, Live, LiveError, PODS, Progress, Query, SERVICE_ACCOUNTS, Scope},
    manifests::{Object, SecretProviderClass},
};

/// A pod that has ended holds no files.
const NOT_ENDED: &str = "status.phase!=Succeeded,status.phase!=Failed";

impl Estate {
    /// The classes, the pods that mount them, and the service accounts of a cluster.
    /// Returns also why pods or service accounts could not be read.
    ///
    /// # Errors
    /// If the classes cannot be read.
    pub async fn of_cluster(
        live: &Live,
        scope: &Scope,
        progress: &Progress,
    ) -> Result<(Self, Vec<LiveError>), LiveError> {
        let mut estate = Self::default();
        for class in live.list::<Value>(Query::new(&CLASSES, scope), progress).await? {
            let class = SecretProviderClass::of(&Object::of_json(&class));
            estate.add_class(Place::in_cluster("SecretProviderClass", &class.namespace, &class.name), class);
        }
        let mut unread = Vec::new();
        let pods = Query::new(&PODS, scope).with_fields(NOT_ENDED);
        let add = |pod: Pod| {
            let namespace = pod.metadata.namespace.clone().unwrap_or_default();
            estate.add_pod(Place::in_cluster("Pod", &namespace, &pod.metadata.name), &pod, &namespace);
            None::<()>
        };
        unread.extend(live.list_kept(pods, progress, add).await.err());
        let add = |account: ServiceAccountObject| {
            let namespace = account.metadata.namespace.clone().unwrap_or_default();
            let place = Place::in_cluster("ServiceAccount", &namespace, &account.metadata.name);
            estate.add_account(place, account, &namespace);
            None::<()>
        };
        unread.extend(live.list_kept(Query::new(&SERVICE_ACCOUNTS, scope), progress, add).await.err());
        Ok((estate, unread))
    }
}
