//! Objects that are read and written as a whole, by `latchkey notices`. A write names the
//! version that it was made from, so that nobody overwrites what he has not seen.

use http::header::CONTENT_TYPE;
use serde_json::Value;

use super::{Cluster, ClusterError};
use crate::metrics::KubernetesRequest;

/// Where an object is.
#[derive(Clone, Debug)]
pub struct Place {
    /// As in `/apis/coordination.k8s.io/v1`.
    pub root: &'static str,
    pub plural: &'static str,
    pub namespace: String,
    pub name: String,
    /// What to do if Kubernetes forbids it.
    pub remedy: &'static str,
}

const COUNT_REMEDY: &str = "Grant list on nodes (chart value rbac.install grants it with notices.enabled)";

impl Place {
    fn collection(&self) -> String {
        format!("{}/namespaces/{}/{}", self.root, self.namespace, self.plural)
    }

    fn action(&self, verb: &str) -> String {
        format!("{verb} {} {}/{}", self.plural, self.namespace, self.name)
    }
}

impl Cluster {
    /// Returns the object, or `None` if there is none.
    pub(crate) async fn stored(&self, place: &Place) -> Result<Option<Value>, ClusterError> {
        let path = format!("{}/{}", place.collection(), place.name);
        let request = http::Request::get(path);
        match self.exchange(&place.action("get"), place.remedy, request, Vec::new()).await {
            Ok(object) => Ok(Some(object)),
            Err(ClusterError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates the object, or replaces the version that `object` names. Returns it as it is
    /// stored now.
    ///
    /// # Errors
    /// `Rejected` with status 409 if the object is not at that version, or exists already.
    pub(crate) async fn store(&self, place: &Place, object: &Value) -> Result<Value, ClusterError> {
        let new = object.pointer("/metadata/resourceVersion").is_none_or(Value::is_null);
        let (verb, request) = if new {
            ("create", http::Request::post(place.collection()))
        } else {
            ("update", http::Request::put(format!("{}/{}", place.collection(), place.name)))
        };
        let request = request.header(CONTENT_TYPE, "application/json");
        self.exchange(&place.action(verb), place.remedy, request, object.to_string().into_bytes()).await
    }

    /// Returns the number of nodes in the cluster.
    pub(crate) async fn node_count(&self) -> Result<u32, ClusterError> {
        // One node's metadata, and how many more there are.
        let request = http::Request::get("/api/v1/nodes?limit=1")
            .header(http::header::ACCEPT, "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");
        let list = self.exchange("list nodes to count them", COUNT_REMEDY, request, Vec::new()).await?;
        let listed = list["items"].as_array().map_or(0, Vec::len) as u64;
        let more = list["metadata"]["remainingItemCount"].as_u64().unwrap_or_default();
        Ok(u32::try_from(listed + more).unwrap_or(u32::MAX))
    }

    async fn exchange(
        &self,
        action: &str,
        remedy: &'static str,
        request: http::request::Builder,
        body: Vec<u8>,
    ) -> Result<Value, ClusterError> {
        self.ask(KubernetesRequest::Notices, action, remedy, async |client| {
            let request = request.body(body).map_err(kube::Error::HttpError)?;
            // `Client::request` would log an object that it cannot parse.
            let text = client.request_text(request).await?;
            serde_json::from_str(&text).map_err(kube::Error::SerdeError)
        })
        .await
    }
}
