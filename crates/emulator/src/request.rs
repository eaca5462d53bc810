//! A request to AWS or to the agent, and the choice of the service that answers it.

use std::time::Duration;

use axum::response::Response;
use http::{HeaderMap, Method, StatusCode, request::Parts};
use serde_json::Value;

use super::{
    Emulator,
    access::{Caller, Scope},
    agent::{self, Refusal},
    calls::Call,
    parameters_api, queues_api, secrets_api,
    sts::{self, Query},
    wire::{
        self, AwsError, Service, agent_text, form_fields, json_1_0_response, json_response, sts_response,
    },
};

/// One call to AWS or to the agent, not yet verified.
pub(super) struct Incoming {
    pub(super) service: Service,
    pub(super) operation: String,
    payload: Payload,
    authorization: Option<String>,
    session_token: Option<String>,
    host: Option<String>,
    user_agent: Option<String>,
}

enum Payload {
    /// `None` when the body is not JSON.
    Json(Option<Value>),
    Query(Vec<(String, String)>),
    Agent,
}

impl Incoming {
    /// Reads a request; `None` if it is for none of the services.
    pub(super) fn read(parts: &Parts, body: &[u8]) -> Option<Self> {
        let header = |name: &str| text_of(&parts.headers, name);
        let (service, operation, payload) = if parts.uri.path() == "/v1/credentials" {
            (Service::PodIdentityAgent, "PodIdentityCredentials".to_owned(), Payload::Agent)
        } else if let Some(target) = header("x-amz-target") {
            let (prefix, operation) = target.rsplit_once('.')?;
            let service = match prefix {
                "secretsmanager" => Service::SecretsManager,
                "AmazonSSM" => Service::Ssm,
                "AmazonSQS" => Service::Sqs,
                _ => return None,
            };
            (service, operation.to_owned(), Payload::Json(serde_json::from_slice(body).ok()))
        } else {
            let text = match parts.method {
                Method::POST => String::from_utf8_lossy(body).into_owned(),
                _ => parts.uri.query().unwrap_or_default().to_owned(),
            };
            let fields = form_fields(&text);
            let operation = Query(&fields).get("Action")?.to_owned();
            (Service::Sts, operation, Payload::Query(fields))
        };
        Some(Self {
            service,
            operation,
            payload,
            authorization: header("authorization"),
            session_token: header("x-amz-security-token"),
            host: header("host"),
            user_agent: header("user-agent"),
        })
    }

    /// The signature's scope; an error when it is missing or malformed.
    fn scope(&self) -> Result<Scope, AwsError> {
        Scope::from_header(self.authorization.as_deref(), self.service)
    }

    /// The entry for the record of calls. Nothing in it is verified yet.
    pub(super) fn to_call(&self) -> Call {
        let (targets, selector, principal) = match &self.payload {
            Payload::Json(body) => {
                let body = body.as_ref().unwrap_or(&Value::Null);
                let selector = ["VersionId", "VersionStage"].iter().find_map(|key| body[*key].as_str());
                (json_targets(body), selector.map(str::to_owned), None)
            }
            Payload::Query(fields) => {
                let query = Query(fields);
                let role = query.get("RoleArn").map(str::to_owned);
                let subject = query.get("WebIdentityToken").and_then(sts::claimed_subject);
                (role.into_iter().collect(), None, subject)
            }
            Payload::Agent => {
                let token = self.authorization.as_deref().unwrap_or_default();
                let subject = sts::claimed_subject(token);
                let target = subject
                    .as_deref()
                    .and_then(|subject| subject.strip_prefix("system:serviceaccount:"))
                    .map(|name| name.replacen(':', "/", 1));
                (target.into_iter().collect(), None, subject)
            }
        };
        let region = match self.service {
            Service::PodIdentityAgent => None,
            _ => self.scope().ok().map(|scope| scope.region).or_else(|| self.region_of_host()),
        };
        Call {
            operation: self.operation.clone(),
            region,
            targets,
            selector,
            principal,
            user_agent: self.user_agent.clone(),
            ..Call::default()
        }
    }

    /// The Region of an unsigned call: `us-west-2` of `sts.us-west-2.amazonaws.com`.
    fn region_of_host(&self) -> Option<String> {
        let (_, rest) = self.host.as_deref()?.split_once('.')?;
        let (region, domain) = rest.split_once('.')?;
        domain.contains("amazonaws").then(|| region.to_owned())
    }
}

/// The ids in a JSON request, from any of its fields.
fn json_targets(body: &Value) -> Vec<String> {
    let mut targets = Vec::new();
    for key in ["SecretId", "SecretIdList", "Name", "Names", "Path", "QueueUrl", "QueueName"] {
        match &body[key] {
            Value::String(id) => targets.push(id.clone()),
            Value::Array(ids) => targets.extend(ids.iter().filter_map(Value::as_str).map(str::to_owned)),
            _ => {}
        }
    }
    targets
}

/// What comes of a request.
pub(super) enum Answer {
    /// The answer, and AWS's error code if it is an error.
    Now(Response, Option<String>),
    /// A long poll goes on. Ask again when a message arrives, or after this time.
    Later(Duration),
}

/// Answers a request. A long poll has already waited for `waited`.
pub(super) fn answer(emulator: &Emulator, incoming: &Incoming, request_id: &str, waited: Duration) -> Answer {
    let now = emulator.inner.clock.now();
    if let Payload::Agent = incoming.payload {
        let (response, error) = agent_answer(emulator, incoming, request_id);
        return Answer::Now(response, error);
    }
    let mut world = emulator.inner.world();
    let result = (|| {
        if !incoming.service.operations().contains(&incoming.operation.as_str()) {
            return Err(AwsError::no_operation(incoming.service, &incoming.operation));
        }
        if let Payload::Query(fields) = &incoming.payload
            && incoming.operation == "AssumeRoleWithWebIdentity"
        {
            let issuers = emulator.inner.issuers();
            let result = sts::assume_role_with_web_identity(&mut world, &issuers, &Query(fields), now)?;
            return Ok(Answer::Now(sts_response(&incoming.operation, &result, request_id), None));
        }
        let scope = incoming.scope()?;
        let token = incoming.session_token.as_deref();
        let principal = world.principal_of(&scope, token, incoming.service, now)?;
        let caller = Caller { principal, region: scope.region, now };
        match &incoming.payload {
            Payload::Json(body) => {
                let body = body.as_ref().ok_or_else(|| {
                    AwsError::front_end("SerializationException", "The request body is not JSON.")
                })?;
                let operation = incoming.operation.as_str();
                let body = match incoming.service {
                    Service::Sqs => {
                        let reply = queues_api::call(&mut world, &caller, operation, body, waited)?;
                        return Ok(match reply {
                            queues_api::Reply::Body(body) => {
                                Answer::Now(json_1_0_response(StatusCode::OK, &body, request_id), None)
                            }
                            queues_api::Reply::Later(pause) => Answer::Later(pause),
                        });
                    }
                    Service::Ssm => parameters_api::call(&mut world, &caller, operation, body)?,
                    _ => secrets_api::call(&mut world, &caller, operation, body)?,
                };
                Ok(Answer::Now(json_response(StatusCode::OK, &body, request_id), None))
            }
            Payload::Query(fields) => {
                let result = match incoming.operation.as_str() {
                    "AssumeRole" => sts::assume_role(&mut world, &caller, &Query(fields))?,
                    "GetCallerIdentity" => sts::get_caller_identity(&caller),
                    other => return Err(AwsError::no_operation(Service::Sts, other)),
                };
                Ok(Answer::Now(sts_response(&incoming.operation, &result, request_id), None))
            }
            Payload::Agent => Err(AwsError::internal(Service::PodIdentityAgent)),
        }
    })();
    result.unwrap_or_else(|error: AwsError| {
        let code = error.code.clone();
        Answer::Now(error.into_response(incoming.service, request_id), Some(code))
    })
}

fn agent_answer(emulator: &Emulator, incoming: &Incoming, request_id: &str) -> (Response, Option<String>) {
    let now = emulator.inner.clock.now();
    let token = incoming.authorization.as_deref().unwrap_or_default();
    let issuers = emulator.inner.issuers();
    match agent::credentials(&mut emulator.inner.world(), &issuers, token, now) {
        Ok(credentials) => (wire::agent_json(&credentials), None),
        Err(Refusal::Agent(status, message)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
            (agent_text(status, format!("{message}\n")), Some("Agent".to_owned()))
        }
        Err(Refusal::Upstream(error)) => {
            let code = error.code.clone();
            (error.into_response(Service::PodIdentityAgent, request_id), Some(code))
        }
    }
}

/// The signer, for the record of calls; `None` if it is unknown.
pub(super) fn signer(emulator: &Emulator, incoming: &Incoming) -> Option<(String, Option<String>)> {
    if matches!(incoming.payload, Payload::Agent) {
        return None;
    }
    let scope = incoming.scope().ok()?;
    let token = incoming.session_token.as_deref();
    let now = emulator.inner.clock.now();
    let principal = emulator.inner.world().principal_of(&scope, token, incoming.service, now).ok()?;
    Some((principal.arn(&scope.region), principal.role_arn().map(str::to_owned)))
}

fn text_of(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}
