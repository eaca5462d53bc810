//! Questions that are no lists: what a pod answers over HTTP, what somebody may do, and
//! what the API server's clock says.

use std::time::Duration;

use http::{Request, header};
use http_body_util::{BodyExt, Limited};
use kube::{client::Body, core::Status};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use super::{Live, LiveError, failure::Call, resource::encoded, time};

/// Time for an answer. Nothing is computed for it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Maximum size of an answer; metrics take less than 100 KiB.
const MAX_ANSWER: usize = 4 << 20;

/// What somebody may do, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub user: String,
    pub verb: &'static str,
    pub on: Subject,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A resource in all namespaces. The subresource comes after a slash.
    Resource {
        group: &'static str,
        resource: &'static str,
    },
    Path(&'static str),
}

/// An answer to an HTTP request.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// The Date header, in seconds since 1970. A proxy passes on the one of the program
    /// behind it.
    pub date: Option<f64>,
    pub text: String,
}

#[derive(Deserialize)]
struct Review {
    status: ReviewStatus,
}

#[derive(Deserialize)]
struct ReviewStatus {
    #[serde(default)]
    allowed: bool,
}

impl Live {
    /// What a pod answers at a port, through the API server.
    ///
    /// # Errors
    /// If the API server does not allow it, or cannot reach the pod.
    pub async fn ask_pod(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
        path: &str,
    ) -> Result<Answer, LiveError> {
        let call = Call::new(self, "get", format!("pods/proxy of {namespace}/{pod}"));
        let request = Request::get(format!(
            "/api/v1/namespaces/{}/pods/{}:{port}/proxy{path}",
            encoded(namespace),
            encoded(pod)
        ));
        let answer = self.ask(&call, request.body(Body::empty()).map_err(|_| call.unreadable())?).await?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        // An answer of the API server itself: it may not ask, or could not.
        match serde_json::from_str::<Status>(&answer.text) {
            Ok(said) => Err(call.refused(answer.status, &said.message)),
            Err(_) => Err(LiveError::Unreachable(format!(
                "pod {namespace}/{pod} answers {path} with HTTP {}. Check that it is of the same version as this program",
                answer.status
            ))),
        }
    }

    /// The API server's clock, in seconds since 1970; `None` if it does not say.
    ///
    /// # Errors
    /// If there is no answer, or the credentials are not accepted.
    pub async fn clock(&self) -> Result<Option<f64>, LiveError> {
        let call = Call::new(self, "get", "/version".to_owned());
        let request = Request::get("/version").body(Body::empty()).map_err(|_| call.unreadable())?;
        let answer = self.ask(&call, request).await?;
        match answer.status {
            401 => Err(call.refused(401, "")),
            _ => Ok(answer.date),
        }
    }

    /// Whether somebody has a right.
    ///
    /// # Errors
    /// If the API server does not say.
    pub async fn allows(&self, right: &Right) -> Result<bool, LiveError> {
        let call = Call::new(self, "create", "subjectaccessreviews.authorization.k8s.io".to_owned());
        let mut groups = vec!["system:authenticated".to_owned(), "system:serviceaccounts".to_owned()];
        if let Some((namespace, _)) =
            right.user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'))
        {
            groups.push(format!("system:serviceaccounts:{namespace}"));
        }
        let mut spec = json!({ "user": right.user, "groups": groups });
        match right.on {
            Subject::Resource { group, resource } => {
                let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
                spec["resourceAttributes"] = json!({
                    "verb": right.verb, "group": group, "resource": resource, "subresource": subresource,
                });
            }
            Subject::Path(path) => {
                spec["nonResourceAttributes"] = json!({ "verb": right.verb, "path": path })
            }
        }
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec,
        });
        let request = Request::post("/apis/authorization.k8s.io/v1/subjectaccessreviews")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(review.to_string().into_bytes()))
            .map_err(|_| call.unreadable())?;
        let answer = self.ask(&call, request).await?;
        if !(200..300).contains(&answer.status) {
            let said = serde_json::from_str::<Status>(&answer.text).map(|status| status.message);
            return Err(call.refused(answer.status, &said.unwrap_or_default()));
        }
        let review: Review = serde_json::from_str(&answer.text).map_err(|_| call.unreadable())?;
        Ok(review.status.allowed)
    }

    async fn ask(&self, call: &Call<'_>, request: Request<Body>) -> Result<Answer, LiveError> {
        let asked = async {
            let sent = self.client.send(request).await.map_err(|error| call.failed(&error))?;
            let (head, body) = sent.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|_| call.broken())?;
            let date = head.headers.get(header::DATE).and_then(|date| time::of_http(date.to_str().ok()?));
            let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
            Ok(Answer { status: head.status.as_u16(), date, text })
        };
        timeout(PATIENCE, asked).await.map_err(|_| call.late(PATIENCE))?
    }
}
