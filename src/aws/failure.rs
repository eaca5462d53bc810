//! What a failed AWS call means, and what a person needs to follow it up.

use std::{error::Error, fmt, time::Duration};

use aws_smithy_runtime_api::client::{
    orchestrator::HttpResponse,
    result::{DispatchFailure, SdkError},
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;

use super::advice::{Advice, judge};
use crate::model::{
    arn::Region,
    foreign::{known_reason, said},
};

/// What is told of a request that the SDK could not build.
const NOT_MADE: &str = "the request could not be made: check the endpoint, FIPS and dual-stack settings (AWS_ENDPOINT_URL…, AWS_USE_FIPS_ENDPOINT, AWS_USE_DUALSTACK_ENDPOINT) and the Region";

/// What is told of a call that nobody answered.
const WAY: &str = "if it lasts, check the way from this node to AWS: DNS, route (NAT or VPC endpoint), security groups, proxy";

/// What a failed AWS call means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// AWS, or the way to it, does not work: 5xx, time-out, connection, or an
    /// answer that is not AWS's.
    Outage,
    /// AWS throttles, after retries: an outage that asking more makes worse.
    Throttled,
    /// The credentials are expired or unknown: get new ones and try again.
    StaleCredentials,
    /// The caller's token is not accepted.
    TokenRefused,
    /// STS did not get the key that signed the caller's token from its issuer: an
    /// outage, or the fault of this very token.
    TokenUnverified,
    /// A permission is missing.
    Denied,
    /// The permission to use the KMS key is missing.
    KmsDenied,
    /// There is no such secret, parameter or version.
    NotFound,
    /// It is there and cannot be read now: scheduled for deletion, key disabled.
    Unusable,
    /// AWS takes the request for wrong.
    Invalid,
}

/// A failed AWS call, with what a person needs to follow it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsFailure {
    /// What it means.
    pub kind: FailureKind,
    /// The API operation.
    pub operation: &'static str,
    /// Where.
    pub region: Region,
    /// AWS's error code, where there is one.
    pub code: Option<Box<str>>,
    /// AWS's message, or what happened instead of an answer.
    pub message: String,
    /// AWS's request id: the key into CloudTrail.
    pub request_id: Option<String>,
    /// What to do, where AWS's words tell it.
    pub advice: Option<Box<Advice>>,
}

impl FailureKind {
    /// Whether AWS did not answer the question at all, so that the failover
    /// Region or the last known good value may answer in its place.
    pub fn is_outage(self) -> bool {
        matches!(self, Self::Outage | Self::Throttled | Self::TokenUnverified)
    }
}

impl Error for AwsFailure {}

impl fmt::Display for AwsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} failed: ", self.operation, self.region)?;
        if let Some(code) = &self.code {
            write!(f, "{code}: ")?;
        }
        f.write_str(&self.message)?;
        match &self.request_id {
            Some(id) => write!(f, " (request id {id})"),
            None => Ok(()),
        }
    }
}

impl AwsFailure {
    /// Judges an SDK error.
    pub fn of<E>(operation: &'static str, region: &Region, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let request_id = error.request_id().map(said);
        let mut advice = None;
        let (kind, code, message) = match error {
            SdkError::ServiceError(answer) => {
                let (code, message) = (answer.err().code(), answer.err().message().unwrap_or_default());
                let status = answer.raw().status().as_u16();
                let kind;
                // Before the message is cut: its end tells whose policy denies.
                (kind, advice) = judge(status, code, message);
                (kind, code.map(|code| said(code).into()), message_of(status, message))
            }
            SdkError::TimeoutError(_) => {
                advice = Some(Advice::Known(WAY));
                (FailureKind::Outage, None, "no answer in time".to_owned())
            }
            SdkError::DispatchFailure(failure) => {
                let message = unreached(failure);
                if message != NOT_MADE {
                    advice = Some(Advice::Known(WAY));
                }
                (FailureKind::Outage, None, message)
            }
            // What could not be read is not repeated: it may hold a part of a value.
            SdkError::ResponseError(answer) => {
                let status = answer.raw().status();
                (FailureKind::Outage, None, format!("the answer (HTTP {status}) could not be read"))
            }
            // Its cause may hold the whole request, and the request a token.
            _ => (FailureKind::Invalid, None, NOT_MADE.to_owned()),
        };
        Self {
            kind,
            operation,
            region: region.clone(),
            code,
            message: said(&message),
            request_id,
            advice: advice.map(Box::new),
        }
    }

    /// An answer of AWS that lacks what it promises.
    pub fn unreadable(operation: &'static str, region: &Region) -> Self {
        Self::outage(operation, region, "the answer holds no credentials".to_owned())
    }

    /// A read that was given up after the Region's time.
    pub fn timed_out(operation: &'static str, region: &Region, after: Duration) -> Self {
        let message = format!("no answer within {} s", after.as_secs());
        Self { advice: Some(Box::new(Advice::Known(WAY))), ..Self::outage(operation, region, message) }
    }

    /// A failure that no answer of AWS tells in so many words.
    pub fn own(kind: FailureKind, operation: &'static str, region: &Region, message: String) -> Self {
        let region = region.clone();
        Self { kind, operation, region, code: None, message, request_id: None, advice: None }
    }

    fn outage(operation: &'static str, region: &Region, message: String) -> Self {
        Self::own(FailureKind::Outage, operation, region, message)
    }
}

/// Why a request was not answered.
pub fn unreached(failure: &DispatchFailure) -> String {
    match failure.as_connector_error().and_then(|error| known_reason(error)) {
        Some(reason) => format!("the endpoint was not reached: {reason}"),
        // The SDK also says so of an endpoint that it cannot make out.
        None => NOT_MADE.to_owned(),
    }
}

fn message_of(status: u16, message: &str) -> String {
    if message.is_empty() { format!("HTTP {status} without a message") } else { message.to_owned() }
}
