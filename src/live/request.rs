//! One request to the API server.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Limited};
use kube::{client::Body, core::Status};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{Live, LiveError, Resource, failure::Call};

/// Time for the whole answer to a list's page or an object.
const PATIENCE: Duration = Duration::from_secs(60);
/// Maximum size of an answer: hundreds of the largest objects that Kubernetes allows.
const MAX_ANSWER: usize = 512 << 20;
/// Maximum size of the text of a failure.
const MAX_STATUS: usize = 64 << 10;

impl Live {
    /// An object; `None` if there is none of that name.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn get<T: DeserializeOwned>(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Option<T>, LiveError> {
        let what = if resource.namespaced { format!(" {namespace}/{name}") } else { format!(" {name}") };
        let call = Call::new(self, "get", format!("{resource}{what}"));
        match self.read(&call, &resource.path_of(namespace, name)).await {
            Ok(object) => Ok(Some(object)),
            Err(LiveError::NotServed { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads a whole JSON document.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        path: &str,
    ) -> Result<T, LiveError> {
        let read = async {
            let body = self.body(call, path).await?;
            let bytes = Limited::new(body, MAX_ANSWER).collect().await;
            bytes.map(|body| body.to_bytes()).map_err(|_| call.broken())
        };
        let bytes: Bytes = timeout(PATIENCE, read).await.map_err(|_| call.late(PATIENCE))??;
        serde_json::from_slice(&bytes).map_err(|_| call.unreadable())
    }

    /// The body of a successful answer.
    pub(super) async fn body(&self, call: &Call<'_>, path: &str) -> Result<Body, LiveError> {
        let request = Request::get(path).body(Body::empty()).map_err(|_| call.unreadable())?;
        let (head, body) = self.client.send(request).await.map_err(|error| call.failed(&error))?.into_parts();
        if head.status.is_success() {
            return Ok(body);
        }
        let text = Limited::new(body, MAX_STATUS).collect().await;
        let text = text.map(|body| body.to_bytes()).unwrap_or_default();
        let message = serde_json::from_slice::<Status>(&text).map(|status| status.message);
        Err(call.refused(head.status.as_u16(), &message.unwrap_or_default()))
    }
}
