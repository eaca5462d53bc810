//! Watches one ConfigMap, by its name, so that the permission can be for that one only.

use std::{fmt, time::Duration};

use futures_util::{StreamExt, stream::BoxStream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{ListParams, WatchEvent, WatchParams},
};

use tokio::time::sleep;

use super::{Cluster, ClusterError, cause_of};
use crate::metrics::KubernetesRequest;

/// Seconds after which the API server ends a watch, and this asks for the next one.
const WATCH_SECONDS: u32 = 290;
/// A watch that says nothing for this long is dead.
const SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);

/// Time between the end of a watch and the next one.
const PAUSE: Duration = Duration::from_secs(1);

const NOTICES: KubernetesRequest = KubernetesRequest::Notices;
const REMEDY: &str =
    "Grant get, list and watch on this ConfigMap (chart value notices.enabled grants it), or unset --notices";

/// The namespace and the name of a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName {
    pub namespace: String,
    pub name: String,
}

impl ObjectName {
    /// Parses `namespace/name`. Both become parts of a path.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_name = |part: &str| {
            let clean = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
            let edges = [part.bytes().next(), part.bytes().last()];
            part.len() <= 253
                && part.bytes().all(clean)
                && edges.iter().all(|b| b.is_some_and(|b| b.is_ascii_alphanumeric()))
        };
        match text.split_once('/') {
            Some((namespace, name)) if is_name(namespace) && is_name(name) => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err(
                "expected the namespace and the name of a ConfigMap, such as kube-system/latchkey-notices"
                    .to_owned(),
            ),
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A ConfigMap that is watched.
pub struct Watched<'a> {
    cluster: &'a Cluster,
    api: Api<ConfigMap>,
    /// What it does, as in "watch the ConfigMap a/b".
    action: String,
    /// The field selector of its name.
    field: String,
    key: &'static str,
    /// The version up to which it is known; `None` if it has to be read.
    version: Option<String>,
    events: Option<BoxStream<'static, kube::Result<WatchEvent<ConfigMap>>>>,
}

impl Cluster {
    /// Watches the value of `key` in a ConfigMap.
    ///
    /// # Errors
    /// If there is no usable configuration.
    pub async fn watch(&self, object: &ObjectName, key: &'static str) -> Result<Watched<'_>, ClusterError> {
        let action = format!("watch the ConfigMap {object}");
        let client = self.connect(&action, SILENCE).await?;
        let api = Api::namespaced(client, &object.namespace);
        let field = format!("metadata.name={}", object.name);
        Ok(Watched { cluster: self, api, action, field, key, version: None, events: None })
    }
}

impl Watched<'_> {
    /// The value as it is now, and then each new one; `None` while there is none.
    ///
    /// # Errors
    /// If the API server does not answer, or does not allow it. The watch is of no use
    /// then.
    pub async fn next(&mut self) -> Result<Option<String>, ClusterError> {
        loop {
            let Some(version) = &self.version else { return self.read().await };
            let events = match &mut self.events {
                Some(events) => events,
                None => {
                    let params = WatchParams::default().fields(&self.field).timeout(WATCH_SECONDS);
                    let call = self.api.watch(&params, version);
                    self.events
                        .insert(self.cluster.counted(NOTICES, &self.action, REMEDY, call).await?.boxed())
                }
            };
            match events.next().await {
                // The API server has ended the watch: the next one goes on from here. Not
                // again and again at once, if something ends each of them early.
                None => {
                    self.events = None;
                    sleep(PAUSE).await;
                }
                Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                    self.version = object.metadata.resource_version.clone();
                    return Ok(self.value(object));
                }
                Some(Ok(WatchEvent::Deleted(object))) => {
                    self.version = object.metadata.resource_version;
                    return Ok(None);
                }
                Some(Ok(WatchEvent::Bookmark(bookmark))) => {
                    self.version = Some(bookmark.metadata.resource_version);
                }
                // The version is too old, or nobody knows why: read it again.
                Some(Ok(WatchEvent::Error(_))) => {
                    (self.version, self.events) = (None, None);
                    sleep(PAUSE).await;
                }
                Some(Err(error)) => {
                    let (action, cause) = (self.action.clone(), cause_of(&error));
                    return Err(ClusterError::Unreachable { action, cause });
                }
            }
        }
    }

    /// Reads the object by the list that a watch goes on from.
    async fn read(&mut self) -> Result<Option<String>, ClusterError> {
        let params = ListParams::default().fields(&self.field);
        let call = self.api.list(&params);
        let list = self.cluster.counted(NOTICES, &self.action, REMEDY, call).await?;
        // The empty version means the latest one.
        self.version = Some(list.metadata.resource_version.unwrap_or_default());
        Ok(list.items.into_iter().next().and_then(|object| self.value(object)))
    }

    fn value(&self, object: ConfigMap) -> Option<String> {
        object.data?.remove(self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_two_names_of_objects() {
        let parsed = ObjectName::parse("kube-system/latchkey-notices").unwrap();
        assert_eq!(parsed.to_string(), "kube-system/latchkey-notices");
        for bad in ["", "a", "a/", "/a", "a/b/c", "A/b", "a/b?c", "a/../b", "-a/b", "a/b.", "a b/c"] {
            ObjectName::parse(bad).unwrap_err();
        }
        ObjectName::parse(&format!("a/{}", "b".repeat(254))).unwrap_err();
    }
}
