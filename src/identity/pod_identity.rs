//! EKS Pod Identity: the agent on the node exchanges a pod's token for credentials.
//!
//! <https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html>

use std::{
    convert::Infallible,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;
use aws_smithy_runtime::client::{
    orchestrator::operation::Operation,
    retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier},
};
use aws_smithy_runtime_api::client::{
    orchestrator::{HttpRequest, OrchestratorError},
    result::SdkError,
    runtime_plugin::StaticRuntimePlugin,
};
use aws_smithy_types::{body::SdkBody, config_bag::Layer, date_time::Format};
use http::HeaderValue;
use serde::Deserialize;

use super::Fetched;
use crate::{
    aws::{
        Advice, Aws, AwsFailure, Denial, FailureKind, RetriesCounted, retries, retry_partition, timeouts,
        unreached,
    },
    metrics::{Metrics, Place},
    model::{address_type::AddressType, arn::Region, foreign::said, token::Token},
    permits::{Load, Permit, Permits, Urgency},
};

const OPERATION: &str = "eks-auth:AssumeRoleForPodIdentity by the Pod Identity agent";
/// The agent's link-local addresses.
const IPV4_ENDPOINT: &str = "http://169.254.170.23";
const IPV6_ENDPOINT: &str = "http://[fd00:ec2::23]";
const PATH: &str = "/v1/credentials";
/// Statuses to retry; 429 means that EKS Auth is throttling.
const RETRYABLE: &[u16] = &[429, 500, 502, 503, 504];
/// How long to wait for the first address before calling the second as well.
const HEAD_START: Duration = Duration::from_millis(300);
/// Maximum number of concurrent calls to the agent. Pods may choose an address that
/// never responds.
const MAX_CALLS: usize = 64;
/// The default of --pod-identity-http-timeout.
pub const DEFAULT_AGENT_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct AgentSettings {
    pub ipv4: String,
    pub ipv6: String,
    /// Maximum time that one mount waits for the agent.
    pub timeout: Duration,
}

impl Default for AgentSettings {
    fn default() -> Self {
        Self {
            ipv4: IPV4_ENDPOINT.to_owned(),
            ipv6: IPV6_ENDPOINT.to_owned(),
            timeout: DEFAULT_AGENT_TIMEOUT,
        }
    }
}

impl AgentSettings {
    /// Uses one endpoint for all address types.
    pub fn at(endpoint: &str) -> Self {
        Self { ipv4: endpoint.to_owned(), ipv6: endpoint.to_owned(), timeout: DEFAULT_AGENT_TIMEOUT }
    }
}

pub(super) struct Agent {
    ipv4: Endpoint,
    ipv6: Endpoint,
    same: bool,
    permits: Permits,
    metrics: Arc<Metrics>,
}

impl Agent {
    pub(super) fn new(aws: &Aws, settings: &AgentSettings) -> Self {
        Self {
            ipv4: Endpoint::new(aws, &settings.ipv4, settings.timeout),
            ipv6: Endpoint::new(aws, &settings.ipv6, settings.timeout),
            same: settings.ipv4 == settings.ipv6,
            permits: Permits::new(MAX_CALLS),
            metrics: Arc::clone(aws.metrics()),
        }
    }

    /// Waits for a permit for one call.
    pub(super) async fn admit(&self, urgency: Urgency, namespace: &str, address_type: AddressType) -> Permit {
        let target = match address_type {
            AddressType::Auto => "auto",
            AddressType::Ipv4 => "ipv4",
            AddressType::Ipv6 => "ipv6",
        };
        self.permits.take(urgency, namespace, target).await
    }

    /// The calls that run and wait now.
    pub(super) fn calls(&self) -> Load {
        self.permits.load()
    }

    /// Calls the preferred address. Without a preference, calls IPv4 first, and IPv6 as
    /// well if IPv4 fails or does not respond within [`HEAD_START`].
    pub(super) async fn credentials(
        &self,
        token: &Token,
        address_type: AddressType,
        region: &Region,
    ) -> Result<Fetched, AwsFailure> {
        let call = self.metrics.aws.call(OPERATION, Place::Primary);
        let answer = match address_type {
            AddressType::Ipv4 => self.ipv4.ask(token).await,
            AddressType::Ipv6 => self.ipv6.ask(token).await,
            AddressType::Auto if self.same => self.ipv4.ask(token).await,
            AddressType::Auto => self.ask_both(token).await,
        };
        call.ended(answer.as_ref().err().map(|refusal| refusal.kind.reason()));
        answer.map_err(|refusal| refusal.into_failure(region))
    }

    async fn ask_both(&self, token: &Token) -> Result<Fetched, Refusal> {
        let first = self.ipv4.ask(token);
        tokio::pin!(first);
        if let Ok(answer) = tokio::time::timeout(HEAD_START, &mut first).await {
            return match answer {
                Err(refusal) if refusal.is_outage() => {
                    self.ipv6.ask(token).await.map_err(|other| refusal.and(other))
                }
                answer => answer,
            };
        }
        let second = self.ipv6.ask(token);
        tokio::pin!(second);
        tokio::select! {
            answer = &mut first => match answer {
                Err(refusal) if refusal.is_outage() => second.await.map_err(|other| refusal.and(other)),
                answer => answer,
            },
            answer = &mut second => match answer {
                Err(refusal) if refusal.is_outage() => first.await.map_err(|other| other.and(refusal)),
                answer => answer,
            },
        }
    }
}

struct Endpoint {
    url: String,
    operation: Operation<Token, Answer, Infallible>,
}

/// A response. The body contains credentials.
struct Answer {
    status: u16,
    body: zeroize::Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}", self.status)
    }
}

impl Endpoint {
    fn new(aws: &Aws, url: &str, timeout: Duration) -> Self {
        let mut quota = Layer::new("retries");
        quota.store_put(retry_partition());
        let operation = Operation::builder()
            .service_name("eks-pod-identity-agent")
            .operation_name("GetCredentials")
            .behavior_version(aws_config::BehaviorVersion::v2026_01_12())
            .http_client(aws.direct_client())
            .endpoint_url(url.trim_end_matches('/').trim_end_matches(PATH))
            .interceptor(RetriesCounted::new(OPERATION, aws.metrics()))
            .no_auth()
            .standard_retry(&retries())
            .runtime_plugin(StaticRuntimePlugin::new().with_config(quota.freeze()))
            .retry_classifier(HttpStatusCodeClassifier::new_from_codes(RETRYABLE))
            .retry_classifier(TransientErrorClassifier::<Infallible>::new())
            .timeout_config(timeouts(timeout))
            .sleep_impl(aws_smithy_async::rt::sleep::SharedAsyncSleep::new(
                aws_smithy_async::rt::sleep::TokioSleep::new(),
            ))
            .serializer(|token: Token| {
                let mut header = HeaderValue::from_str(token.expose())
                    .map_err(|_| "the token is not a valid header value")?;
                header.set_sensitive(true);
                let request = http::Request::get(PATH)
                    .header(http::header::AUTHORIZATION, header)
                    .header(http::header::ACCEPT, "application/json")
                    .body(SdkBody::empty())?;
                Ok(HttpRequest::try_from(request)?)
            })
            .deserializer::<_, Infallible>(|response| {
                let status = response.status().as_u16();
                if status >= 500 || status == 429 {
                    // Return an error, so that the retry strategy sees the status.
                    return Err(OrchestratorError::other(format!("HTTP {status}")));
                }
                let body = response.body().bytes().unwrap_or_default().to_vec().into();
                Ok(Answer { status, body })
            })
            .build();
        Self { url: url.to_owned(), operation }
    }

    async fn ask(&self, token: &Token) -> Result<Fetched, Refusal> {
        let refused = |kind, code: Option<&str>, message: String| Refusal {
            kind,
            code: code.map(str::to_owned),
            message: format!("{} {message}", self.url),
            advice: None,
        };
        let answer = match self.operation.invoke(token.clone()).await {
            Ok(answer) => answer,
            Err(error) => {
                let mut kind = FailureKind::Outage;
                let message = match &error {
                    SdkError::TimeoutError(_) => {
                        kind = FailureKind::TimedOut;
                        "did not respond in time".to_owned()
                    }
                    SdkError::DispatchFailure(failure) => {
                        format!("did not respond: {}", unreached(failure))
                    }
                    SdkError::ResponseError(answer) => {
                        let body = answer
                            .raw()
                            .body()
                            .bytes()
                            .map(|body| plain_text(body, token))
                            .unwrap_or_default();
                        format!("answered HTTP {}: {body}", answer.raw().status())
                    }
                    // Do not print the cause: it may contain the whole request, with its token.
                    _ => "was not called: the request could not be built".to_owned(),
                };
                return Err(refused(kind, None, said(&message)));
            }
        };
        if answer.status != 200 {
            let text = plain_text(&answer.body, token);
            let code = AGENT_CODES.iter().find(|(code, _)| text.contains(code));
            // Without a code of AWS, the agent (or something in its place) failed. This
            // says nothing about permissions.
            let kind = code.map_or(FailureKind::Outage, |(_, kind)| *kind);
            let code = code.map(|(code, _)| *code);
            // The denied caller may be the node's role, and not the pod's role.
            let advice = Denial::read(&text).map(|denial| Box::new(Advice::Denial(denial)));
            return Err(Refusal {
                advice,
                ..refused(kind, code, format!("answered HTTP {}: {text}", answer.status))
            });
        }
        fetched(&answer.body).ok_or_else(|| {
            refused(FailureKind::Outage, None, "answered HTTP 200 without credentials".to_owned())
        })
    }
}

/// The codes of AssumeRoleForPodIdentity, which the agent includes in its message:
/// <https://docs.aws.amazon.com/eks/latest/APIReference/API_auth_AssumeRoleForPodIdentity.html>
const AGENT_CODES: [(&str, FailureKind); 9] = [
    ("AccessDeniedException", FailureKind::Denied),
    ("ExpiredTokenException", FailureKind::TokenRefused),
    ("InvalidTokenException", FailureKind::TokenRefused),
    ("ResourceNotFoundException", FailureKind::NotFound),
    ("InvalidParameterException", FailureKind::Invalid),
    ("InvalidRequestException", FailureKind::Invalid),
    ("ThrottlingException", FailureKind::Throttled),
    ("ServiceUnavailableException", FailureKind::Outage),
    ("InternalServerException", FailureKind::Outage),
];

fn fetched(body: &[u8]) -> Option<Fetched> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Given {
        access_key_id: String,
        secret_access_key: String,
        token: String,
        #[serde(default)]
        account_id: Option<String>,
        expiration: String,
    }
    let given: Given = serde_json::from_slice(body).ok()?;
    let expiry = aws_smithy_types::DateTime::from_str(&given.expiration, Format::DateTimeWithOffset).ok()?;
    let expiry = SystemTime::try_from(expiry).ok()?;
    let credentials = Credentials::new(
        given.access_key_id,
        given.secret_access_key,
        Some(given.token),
        Some(expiry),
        "latchkey-pod-identity",
    );
    Some(Fetched { credentials, account: given.account_id })
}

/// The text of a response, on one line. Removes the token, in case the response
/// echoes it, before it shortens the text.
fn plain_text(body: &[u8], token: &Token) -> String {
    said(&String::from_utf8_lossy(body).replace(token.expose(), "<token>"))
}

/// An error response or no response, not yet attributed to a Region.
struct Refusal {
    kind: FailureKind,
    code: Option<String>,
    message: String,
    advice: Option<Box<Advice>>,
}

impl Refusal {
    fn is_outage(&self) -> bool {
        self.kind.is_outage()
    }

    /// Joins the messages of both addresses. The second one determines the kind.
    fn and(self, other: Self) -> Self {
        Self { message: format!("{}; {}", self.message, other.message), ..other }
    }

    fn into_failure(self, region: &Region) -> AwsFailure {
        AwsFailure {
            code: self.code.map(Into::into),
            advice: self.advice,
            ..AwsFailure::own(self.kind, OPERATION, region, self.message)
        }
    }
}
