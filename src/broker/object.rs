//! The object that nodes watch, as it is stored.

use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, ClusterError, stored::Place, watched::ObjectName},
    notices::{Document, KEY},
};

const REMEDY: &str = "Grant get and update on this ConfigMap, and create on configmaps (chart value rbac.install grants them with notices.enabled)";

/// The object, and the version of it that was seen last.
pub(super) struct Object {
    place: Place,
    version: Option<String>,
}

/// How a write ended.
pub(super) enum Written {
    Done,
    /// Somebody else has written the object since it was read.
    Conflict,
}

impl Object {
    pub(super) fn new(name: ObjectName) -> Self {
        let ObjectName { namespace, name } = name;
        let place = Place { root: "/api/v1", plural: "configmaps", namespace, name, remedy: REMEDY };
        Self { place, version: None }
    }

    /// What the object says; `None` if there is none, or nobody can read it.
    pub(super) async fn read(&mut self, cluster: &Cluster) -> Result<Option<Document>, ClusterError> {
        let stored = cluster.stored(&self.place).await?;
        self.version = stored.as_ref().and_then(version_of);
        let Some(text) = stored.as_ref().and_then(|stored| stored["data"][KEY].as_str()) else {
            return Ok(None);
        };
        match Document::parse(text) {
            Ok(document) => Ok(Some(document)),
            Err(problem) => {
                let Place { namespace, name, .. } = &self.place;
                tracing::warn!(
                    "ConfigMap {namespace}/{name} was not written by this program, and is replaced: {problem}"
                );
                Ok(None)
            }
        }
    }

    /// Writes the document over the version that was seen last. Creates a missing object.
    pub(super) async fn write(
        &mut self,
        cluster: &Cluster,
        document: &Document,
    ) -> Result<Written, ClusterError> {
        let written = match cluster.store(&self.place, &self.holding(document)).await {
            // Somebody has deleted it.
            Err(ClusterError::NotFound { .. }) if self.version.is_some() => {
                self.version = None;
                cluster.store(&self.place, &self.holding(document)).await
            }
            written => written,
        };
        match written {
            Ok(stored) => {
                self.version = version_of(&stored);
                Ok(Written::Done)
            }
            Err(ClusterError::Rejected { status: 409, .. }) => Ok(Written::Conflict),
            Err(error) => Err(error),
        }
    }

    fn holding(&self, document: &Document) -> Value {
        let mut metadata = json!({
            "namespace": self.place.namespace, "name": self.place.name,
            "labels": { "app.kubernetes.io/managed-by": "latchkey-notices" },
        });
        if let Some(version) = &self.version {
            metadata["resourceVersion"] = json!(version);
        }
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata,
            "data": { KEY: document.to_json() },
        })
    }
}

fn version_of(stored: &Value) -> Option<String> {
    stored["metadata"]["resourceVersion"].as_str().map(str::to_owned)
}
