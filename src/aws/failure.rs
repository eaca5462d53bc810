//! A failed AWS call: what it means, and what a person needs to investigate it.

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
    reason::Reason,
};

/// The message for a request that the SDK could not build.
const NOT_BUILT: &str = "the request could not be built: check the endpoint, FIPS and dual-stack settings (AWS_ENDPOINT_URL…, AWS_USE_FIPS_ENDPOINT, AWS_USE_DUALSTACK_ENDPOINT) and the Region";

/// The advice for a call that got no response.
const CHECK_NETWORK: &str = "if this persists, check the network path from this node to AWS: DNS, routes (NAT or VPC endpoint), security groups, proxy";

/// What a failed AWS call means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// AWS, or the network path to it, does not work: a 5xx status, a timeout, a
    /// connection error, or a response that is not from AWS.
    Outage,
    /// No response in time: an outage that trying again at once would meet, too.
    TimedOut,
    /// AWS throttles, even after retries. More calls would make it worse.
    Throttled,
    /// The credentials are expired or unknown. New ones may work.
    StaleCredentials,
    /// AWS does not accept the caller's token.
    TokenRefused,
    /// STS could not get the key that signed the caller's token from the issuer. The
    /// cause is an outage, or this particular token.
    TokenUnverified,
    /// A permission is missing.
    Denied,
    /// Permission to use the KMS key is missing.
    KmsDenied,
    /// The secret, parameter or version does not exist.
    NotFound,
    /// It exists but cannot be read now: it is scheduled for deletion, or its key is
    /// disabled.
    Unusable,
    /// AWS rejects the request as invalid.
    Invalid,
}

/// A failed AWS call, with what a person needs to investigate it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsFailure {
    pub kind: FailureKind,
    /// The IAM action, such as `secretsmanager:GetSecretValue`.
    pub(crate) operation: &'static str,
    pub(crate) region: Region,
    /// AWS's error code; `None` without a response from AWS.
    pub(crate) code: Option<Box<str>>,
    /// AWS's message, or why there was no response.
    pub(crate) message: String,
    /// AWS's request id, to find the call in CloudTrail.
    pub(crate) request_id: Option<String>,
    /// What to do, if AWS's answer makes it clear.
    pub advice: Option<Box<Advice>>,
}

impl FailureKind {
    pub fn reason(self) -> Reason {
        match self {
            Self::Outage | Self::TimedOut => Reason::Outage,
            Self::Throttled => Reason::Throttled,
            Self::StaleCredentials => Reason::CredentialsRefused,
            Self::TokenRefused | Self::TokenUnverified => Reason::TokenRefused,
            Self::Denied => Reason::Denied,
            Self::KmsDenied => Reason::KmsDenied,
            Self::NotFound => Reason::NotFound,
            Self::Unusable => Reason::Unusable,
            Self::Invalid => Reason::RejectedByAws,
        }
    }

    /// Whether AWS gave no real answer, so that the failover Region or the last known
    /// good value may be used instead.
    pub(crate) fn is_outage(self) -> bool {
        matches!(self, Self::Outage | Self::TimedOut | Self::Throttled | Self::TokenUnverified)
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
    /// Classifies an SDK error.
    pub(crate) fn of<E>(operation: &'static str, region: &Region, error: &SdkError<E, HttpResponse>) -> Self
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
                // `said` shortens the message below, and its end names the policy that denies.
                (kind, advice) = judge(status, code, message);
                (kind, code.map(|code| said(code).into()), message_of(status, message))
            }
            SdkError::TimeoutError(_) => {
                advice = Some(Advice::Known(CHECK_NETWORK));
                (FailureKind::TimedOut, None, "no response in time".to_owned())
            }
            SdkError::DispatchFailure(failure) => {
                let message = unreached(failure);
                if message != NOT_BUILT {
                    advice = Some(Advice::Known(CHECK_NETWORK));
                }
                (FailureKind::Outage, None, message)
            }
            // Do not repeat the response: it may contain part of a value.
            SdkError::ResponseError(answer) => {
                let status = answer.raw().status();
                (FailureKind::Outage, None, format!("the response (HTTP {status}) could not be read"))
            }
            // Do not print the cause: it may contain the whole request, with its token.
            _ => (FailureKind::Invalid, None, NOT_BUILT.to_owned()),
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

    /// A successful response of STS without credentials.
    pub(crate) fn unreadable(operation: &'static str, region: &Region) -> Self {
        Self::outage(operation, region, "the response contains no credentials".to_owned())
    }

    /// A call that exceeded the time limit of its Region.
    pub(crate) fn timed_out(operation: &'static str, region: &Region, after: Duration) -> Self {
        let message = format!("no response within {} s", after.as_secs());
        Self {
            advice: Some(Box::new(Advice::Known(CHECK_NETWORK))),
            ..Self::own(FailureKind::TimedOut, operation, region, message)
        }
    }

    /// A failure that Latchkey detected itself, without an error code from AWS.
    pub fn own(kind: FailureKind, operation: &'static str, region: &Region, message: String) -> Self {
        let region = region.clone();
        Self { kind, operation, region, code: None, message, request_id: None, advice: None }
    }

    fn outage(operation: &'static str, region: &Region, message: String) -> Self {
        Self::own(FailureKind::Outage, operation, region, message)
    }
}

/// Why a request got no response.
pub fn unreached(failure: &DispatchFailure) -> String {
    match failure.as_connector_error().and_then(|error| known_reason(error)) {
        Some(reason) => format!("cannot reach the endpoint: {reason}"),
        // The SDK also reports an endpoint that it cannot resolve in this way.
        None => NOT_BUILT.to_owned(),
    }
}

fn message_of(status: u16, message: &str) -> String {
    if message.is_empty() { format!("HTTP {status} with no message") } else { message.to_owned() }
}
