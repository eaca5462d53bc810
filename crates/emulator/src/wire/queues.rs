//! SQS's answers and errors in JSON 1.0.

use axum::response::Response;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::{AwsError, respond};

/// An SQS answer.
pub(crate) fn json_1_0_response(status: StatusCode, body: &Value, request_id: &str) -> Response {
    respond(status, "application/x-amz-json-1.0", body.to_string(), request_id)
}

/// An error of SQS. Clients of its older query protocol knew other codes, which the
/// header `x-amzn-query-error` keeps, and which SDKs show
/// (<https://smithy.io/2.0/aws/protocols/aws-query-protocol.html>).
pub(super) fn error_response(error: &AwsError, status: StatusCode, request_id: &str) -> Response {
    let queried = match error.code.as_str() {
        "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue".to_owned(),
        "QueueNameExists" => "QueueAlreadyExists".to_owned(),
        code @ ("BatchEntryIdsNotDistinct"
        | "BatchRequestTooLong"
        | "EmptyBatchRequest"
        | "InvalidBatchEntryId"
        | "MessageNotInflight"
        | "PurgeQueueInProgress"
        | "TooManyEntriesInBatchRequest") => format!("AWS.SimpleQueueService.{code}"),
        "AccessDeniedException" => "AccessDenied".to_owned(),
        "ExpiredTokenException" => "ExpiredToken".to_owned(),
        "IncompleteSignatureException" => "IncompleteSignature".to_owned(),
        "InvalidSignatureException" => "SignatureDoesNotMatch".to_owned(),
        "MissingAuthenticationTokenException" => "MissingAuthenticationToken".to_owned(),
        "UnrecognizedClientException" => "InvalidClientTokenId".to_owned(),
        code => code.to_owned(),
    };
    let namespace = match error.code.as_str() {
        code if code.ends_with("Exception") || code == "InternalFailure" => "com.amazon.coral.service",
        _ => "com.amazonaws.sqs",
    };
    let body = json!({
        "__type": format!("{namespace}#{}", error.code),
        "message": error.message.as_deref().unwrap_or_default(),
    });
    let mut response = json_1_0_response(status, &body, request_id);
    let fault = if status.is_server_error() { "Receiver" } else { "Sender" };
    if let Ok(queried) = HeaderValue::from_str(&format!("{queried};{fault}")) {
        response.headers_mut().insert("x-amzn-query-error", queried);
    }
    response
}
