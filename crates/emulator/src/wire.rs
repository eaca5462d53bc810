//! AWS's errors and answers in their forms: JSON 1.0 and 1.1, query/XML, and the agent's
//! plain text.

mod queues;

use axum::{body::Body, response::Response};
use data_encoding::BASE64;
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(super) use self::queues::json_1_0_response;

/// The XML namespace of every STS answer.
pub(super) const STS_NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// The service that answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    SecretsManager,
    Ssm,
    Sqs,
    Sts,
    PodIdentityAgent,
}

impl Service {
    /// The service's name in the scope of a SigV4 signature.
    pub(super) fn signing_name(self) -> &'static str {
        match self {
            Self::SecretsManager => "secretsmanager",
            Self::Ssm => "ssm",
            Self::Sqs => "sqs",
            Self::Sts => "sts",
            Self::PodIdentityAgent => "eks-auth",
        }
    }

    /// The HTTP status of an answer that refuses credentials. Services of the older query
    /// protocol have kept theirs.
    pub(super) fn refusal_status(self) -> u16 {
        match self {
            Self::Sqs | Self::Sts => 403,
            Self::SecretsManager | Self::Ssm | Self::PodIdentityAgent => 400,
        }
    }

    /// The operations that the emulator supports.
    pub(super) fn operations(self) -> &'static [&'static str] {
        match self {
            Self::SecretsManager => &[
                "BatchGetSecretValue",
                "CreateSecret",
                "DeleteSecret",
                "DescribeSecret",
                "GetSecretValue",
                "ListSecrets",
                "PutSecretValue",
                "RemoveRegionsFromReplication",
                "ReplicateSecretToRegions",
                "RestoreSecret",
                "StopReplicationToReplica",
                "UpdateSecret",
                "UpdateSecretVersionStage",
            ],
            Self::Ssm => &[
                "DeleteParameter",
                "GetParameter",
                "GetParameters",
                "GetParametersByPath",
                "LabelParameterVersion",
                "PutParameter",
            ],
            Self::Sqs => &[
                "ChangeMessageVisibility",
                "ChangeMessageVisibilityBatch",
                "CreateQueue",
                "DeleteMessage",
                "DeleteMessageBatch",
                "DeleteQueue",
                "GetQueueAttributes",
                "GetQueueUrl",
                "ListQueues",
                "PurgeQueue",
                "ReceiveMessage",
                "SendMessage",
                "SendMessageBatch",
                "SetQueueAttributes",
            ],
            Self::Sts => &["AssumeRole", "AssumeRoleWithWebIdentity", "GetCallerIdentity"],
            Self::PodIdentityAgent => &["PodIdentityCredentials"],
        }
    }
}

/// An error as the real service returns it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {}", message.as_deref().unwrap_or_default())]
pub struct AwsError {
    pub status: u16,
    /// AWS's error code, such as `ResourceNotFoundException`.
    pub code: String,
    /// AWS's message. Parameter Store sends none with `ParameterNotFound`.
    pub message: Option<String>,
    /// Whether the message's JSON key is `Message`, as in the services' own exceptions.
    /// The shared front end writes `message`.
    pub(super) capital: bool,
}

impl AwsError {
    /// An error of the service itself, status 400.
    pub(super) fn service(code: &str, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.to_owned(), message: Some(message.into()), capital: true }
    }

    /// An error of the front end that all services share, status 400.
    pub(super) fn front_end(code: &str, message: impl Into<String>) -> Self {
        Self { capital: false, ..Self::service(code, message) }
    }

    pub(super) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Whether it is an explicit deny of a policy.
    pub(super) fn is_explicit_deny(&self) -> bool {
        self.message.as_deref().is_some_and(|message| message.contains("with an explicit deny"))
    }

    /// KMS's refusal as Secrets Manager passes it on, status 400.
    pub(super) fn kms_denied() -> Self {
        Self::service("AccessDeniedException", "Access to KMS is not allowed")
    }

    /// The error for an operation that the emulator does not support.
    pub(super) fn no_operation(service: Service, operation: &str) -> Self {
        let has = service.operations().join(", ");
        match service {
            Service::Sts => Self::front_end(
                "InvalidAction",
                format!(
                    "Could not find operation {operation} for version 2011-06-15: the emulator does not have it; it has {has}"
                ),
            ),
            _ => Self::front_end(
                "UnknownOperationException",
                format!("the emulator does not have {operation}; it has {has}"),
            ),
        }
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::front_end("ValidationException", message)
    }

    pub(super) fn throttled(service: Service) -> Self {
        match service {
            Service::SecretsManager | Service::Ssm => Self::front_end("ThrottlingException", "Rate exceeded"),
            Service::Sqs => Self::front_end("RequestThrottled", "Rate exceeded"),
            Service::Sts => Self::front_end("Throttling", "Rate exceeded"),
            Service::PodIdentityAgent => {
                Self::front_end("ThrottlingException", "Rate exceeded").with_status(429)
            }
        }
    }

    pub(super) fn internal(service: Service) -> Self {
        match service {
            Service::SecretsManager => {
                Self::service("InternalServiceError", "An error occurred on the server side.")
            }
            Service::Ssm => Self::front_end("InternalServerError", "An error occurred on the server side."),
            Service::Sqs | Service::Sts => Self::front_end(
                "InternalFailure",
                "The request processing has failed because of an unknown error, exception or failure.",
            ),
            Service::PodIdentityAgent => {
                Self::front_end("InternalServerException", "An internal error occurred.")
            }
        }
        .with_status(500)
    }

    /// The answer with this error, in the service's form.
    pub(super) fn into_response(self, service: Service, request_id: &str) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        match service {
            Service::SecretsManager | Service::Ssm => {
                let mut body = json!({ "__type": self.code });
                if let Some(message) = self.message {
                    let key = if self.capital { "Message" } else { "message" };
                    body[key] = Value::String(message);
                }
                json_response(status, &body, request_id)
            }
            Service::Sqs => queues::error_response(&self, status, request_id),
            Service::Sts => {
                let kind = if status.is_server_error() { "Receiver" } else { "Sender" };
                let body = format!(
                    "<ErrorResponse xmlns=\"{STS_NAMESPACE}\">\n  <Error>\n    <Type>{kind}</Type>\n    \
                     <Code>{}</Code>\n    <Message>{}</Message>\n  </Error>\n  \
                     <RequestId>{request_id}</RequestId>\n</ErrorResponse>\n",
                    xml_text(&self.code),
                    xml_text(self.message.as_deref().unwrap_or_default()),
                );
                respond(status, "text/xml", body, request_id)
            }
            Service::PodIdentityAgent => {
                // The agent prints EKS Auth's error as aws-sdk-go does
                // (pkg/errors/errors.go of eks-pod-identity-agent).
                let fault = if status.is_server_error() { "server" } else { "client" };
                let message = self.message.unwrap_or_default();
                let body = format!("[{request_id}]: ({}): {message}, fault: {fault}\n", self.code);
                agent_text(status, body)
            }
        }
    }
}

/// Reads a request's body into its fields.
pub(super) fn parse<T: DeserializeOwned>(body: &Value) -> Result<T, AwsError> {
    T::deserialize(body).map_err(|error| {
        // Other messages of serde may contain a value.
        let text = error.to_string();
        match text.split_once(" `") {
            Some(("unknown field", rest)) => {
                AwsError::validation(format!("the emulator does not have the member `{rest}"))
            }
            Some(("missing field", rest)) => AwsError::validation(format!(
                "1 validation error detected: Value null at '{}' failed to satisfy constraint: Member must not be null",
                rest.trim_end_matches('`')
            )),
            _ => AwsError::front_end(
                "SerializationException",
                "The request body cannot be read as this operation's input.",
            ),
        }
    })
}

/// The token of a page that starts at `offset`.
pub(super) fn page_token(offset: usize) -> String {
    BASE64.encode(format!("page:{offset}").as_bytes())
}

/// The offset of a page token: 0 without a token, `None` for an invalid one.
pub(super) fn read_page_token(token: Option<&str>) -> Option<usize> {
    let Some(token) = token else { return Some(0) };
    let bytes = BASE64.decode(token.as_bytes()).ok()?;
    std::str::from_utf8(&bytes).ok()?.strip_prefix("page:")?.parse().ok()
}

pub(super) fn json_response(status: StatusCode, body: &Value, request_id: &str) -> Response {
    respond(status, "application/x-amz-json-1.1", body.to_string(), request_id)
}

/// An STS answer: `<{operation}Response>` around its result and the request id.
pub(super) fn sts_response(operation: &str, result: &str, request_id: &str) -> Response {
    let body = format!(
        "<{operation}Response xmlns=\"{STS_NAMESPACE}\">\n  <{operation}Result>\n{result}  </{operation}Result>\n  \
         <ResponseMetadata>\n    <RequestId>{request_id}</RequestId>\n  </ResponseMetadata>\n</{operation}Response>\n"
    );
    respond(StatusCode::OK, "text/xml", body, request_id)
}

pub(super) fn agent_json(body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// Plain text as Go's `http.Error` sends it. The agent sends no request id header.
pub(super) fn agent_text(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

fn respond(status: StatusCode, kind: &'static str, body: String, request_id: &str) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

/// Text with XML's reserved characters escaped.
pub(super) fn xml_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The fields of an `application/x-www-form-urlencoded` body or query, in order.
/// Broken percent escapes stay as they are.
pub(super) fn form_fields(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(name), percent_decode(value))
        })
        .collect()
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = match bytes[at] {
            b'%' => text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok()),
            _ => None,
        };
        match (escaped, bytes[at]) {
            (Some(byte), _) => {
                decoded.push(byte);
                at += 2;
            }
            (None, b'+') => decoded.push(b' '),
            (None, byte) => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_fields_are_decoded() {
        let fields = form_fields("Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam&Name=a+b&Empty=&Odd=%zz");
        let fields: Vec<_> = fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            fields,
            [
                ("Action", "AssumeRole"),
                ("RoleArn", "arn:aws:iam"),
                ("Name", "a b"),
                ("Empty", ""),
                ("Odd", "%zz")
            ]
        );
    }

    #[test]
    fn reserved_characters_are_escaped_in_xml() {
        assert_eq!(xml_text("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }

    async fn sent(error: AwsError, service: Service) -> (u16, String) {
        let response = error.into_response(service, "rid");
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn errors_have_the_form_of_their_service() {
        let (status, kms) = sent(AwsError::kms_denied(), Service::SecretsManager).await;
        assert_eq!(kms, r#"{"Message":"Access to KMS is not allowed","__type":"AccessDeniedException"}"#);
        assert_eq!(status, 400);
        let (_, throttled) = sent(AwsError::throttled(Service::Ssm), Service::Ssm).await;
        assert_eq!(throttled, r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#);
        let (_, missing) = sent(crate::parameters::no_parameter(), Service::Ssm).await;
        assert_eq!(missing, r#"{"__type":"ParameterNotFound"}"#);
        let (status, queue) = sent(AwsError::throttled(Service::Sqs), Service::Sqs).await;
        assert_eq!(queue, r#"{"__type":"com.amazonaws.sqs#RequestThrottled","message":"Rate exceeded"}"#);
        assert_eq!(status, 400);
        let (_, xml) = sent(AwsError::throttled(Service::Sts), Service::Sts).await;
        assert!(xml.contains("<Code>Throttling</Code>"), "{xml}");
        assert!(xml.contains("<RequestId>rid</RequestId>"), "{xml}");
        let agent = AwsError::throttled(Service::PodIdentityAgent);
        let (status, agent) = sent(agent, Service::PodIdentityAgent).await;
        assert_eq!(agent, "[rid]: (ThrottlingException): Rate exceeded, fault: client\n");
        assert_eq!(status, 429);
    }

    #[test]
    fn a_page_token_is_read_back_and_any_other_text_is_refused() {
        assert_eq!(read_page_token(Some(&page_token(20))), Some(20));
        assert_eq!(read_page_token(None), Some(0));
        assert_eq!(read_page_token(Some("nonsense")), None);
    }
}
