//! The emulator's own endpoints, `/healthz` and `/_emulator/…`, for people and for tests
//! in another process.

use std::time::Duration;

use axum::{body::Body, response::Response};
use http::{HeaderValue, Method, StatusCode, header::CONTENT_TYPE, request::Parts};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Emulator,
    events::EventFaultBody,
    faults::{Fault, FaultId, FaultKind},
    wire::form_fields,
};

/// Answers a request to the emulator itself; `None` for a request to AWS.
pub(super) fn handle(emulator: &Emulator, parts: &Parts, body: &[u8]) -> Option<Response> {
    let path = parts.uri.path();
    if path == "/healthz" {
        return Some(text(StatusCode::OK, "ok\n".to_owned()));
    }
    if path == "/openid/v1/jwks" {
        return Some(json_text(emulator.token_keys()));
    }
    let endpoint = path.strip_prefix("/_emulator/")?;
    let query = form_fields(parts.uri.query().unwrap_or_default());
    Some(match (&parts.method, endpoint) {
        (&Method::GET, "calls") => answer(&json!({
            "calls": emulator.calls(),
            "counts": emulator.call_counts(),
            "maxCallsAtOnce": emulator.max_calls_at_once(),
        })),
        (&Method::DELETE, "calls") => {
            emulator.reset_calls();
            done()
        }
        (&Method::PUT, "delay") => with_body(body, |delay: DelayBody| {
            let length = Duration::from_millis(delay.milliseconds);
            emulator.set_delay(delay.operation.as_deref(), length);
            done()
        }),
        (&Method::POST, "faults") => with_body(body, |fault: FaultBody| {
            let FaultBody { operation, region, target, times, kind } = fault;
            let id = emulator.inject(Fault { operation, region, target, kind, times });
            answer(&json!({ "id": id.0 }))
        }),
        (&Method::DELETE, "faults") => {
            let id = query.iter().find(|(name, _)| name == "id").and_then(|(_, id)| id.parse().ok());
            match id {
                Some(id) => emulator.remove_fault(FaultId(id)),
                None => emulator.clear_faults(),
            }
            done()
        }
        (&Method::GET, "events") => answer(&json!({ "events": emulator.events() })),
        (&Method::POST, "event-faults") => with_body(body, |fault: EventFaultBody| {
            emulator.inject_event_fault(fault.into());
            done()
        }),
        (&Method::DELETE, "event-faults") => {
            emulator.clear_event_faults();
            done()
        }
        (&Method::PUT, "event-rules") => with_body(body, |rule: RuleBody| {
            let key = (rule.account.unwrap_or_else(|| emulator.account()), rule.region, rule.name);
            let added = emulator.inner.world().add_rule(key, &rule.pattern, &rule.queue);
            match added {
                Ok(()) => done(),
                Err(error) => text(StatusCode::BAD_REQUEST, format!("{error}\n")),
            }
        }),
        (&Method::PUT, "trail") => with_body(body, |trail: TrailBody| {
            emulator.set_trail(trail.exists);
            done()
        }),
        (&Method::GET, "token") => token(emulator, &query),
        (&Method::POST, "policy") => with_body(body, |change: PolicyBody| {
            for (role_arn, action, resource, allow) in change.each() {
                if allow {
                    emulator.allow(role_arn, action, resource);
                } else {
                    emulator.deny(role_arn, action, resource);
                }
            }
            done()
        }),
        _ => text(StatusCode::NOT_FOUND, "no such endpoint of the emulator\n".to_owned()),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DelayBody {
    operation: Option<String>,
    milliseconds: u64,
}

/// `{"operation": "GetSecretValue", "kind": "throttle", "times": 2}`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FaultBody {
    operation: Option<String>,
    region: Option<String>,
    target: Option<String>,
    times: Option<u32>,
    #[serde(flatten)]
    kind: FaultKind,
}

/// `{"region": "us-east-1", "name": "changes", "pattern": {"source": […]}, "queue": "changes"}`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RuleBody {
    account: Option<String>,
    region: String,
    name: String,
    pattern: Value,
    queue: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TrailBody {
    exists: bool,
}

/// `{"role": "arn:…", "effect": "deny", "actions": […], "resources": […]}`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PolicyBody {
    role: String,
    effect: Effect,
    actions: Vec<String>,
    resources: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Effect {
    Allow,
    Deny,
}

impl PolicyBody {
    fn each(&self) -> impl Iterator<Item = (&str, &str, &str, bool)> {
        self.actions.iter().flat_map(move |action| {
            self.resources.iter().map(move |resource| {
                (self.role.as_str(), action.as_str(), resource.as_str(), self.effect == Effect::Allow)
            })
        })
    }
}

/// A token as plain text, as kubelet writes it: `curl …/token?… > token` creates a token
/// file.
fn token(emulator: &Emulator, query: &[(String, String)]) -> Response {
    let get = |name: &str| query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let (Some(namespace), Some(service_account)) = (get("namespace"), get("serviceAccount")) else {
        let usage = "namespace and serviceAccount are required; audience, podName, podUid and ttlSeconds are optional\n";
        return text(StatusCode::BAD_REQUEST, usage.to_owned());
    };
    let token = emulator.token(
        namespace,
        service_account,
        get("audience").unwrap_or("sts.amazonaws.com"),
        get("podName").unwrap_or("pod"),
        get("podUid").unwrap_or("00000000-0000-4000-8000-000000000000"),
        Duration::from_secs(get("ttlSeconds").and_then(|ttl| ttl.parse().ok()).unwrap_or(3600)),
    );
    text(StatusCode::OK, token)
}

fn with_body<T: DeserializeOwned>(body: &[u8], act: impl FnOnce(T) -> Response) -> Response {
    match serde_json::from_slice(body) {
        Ok(body) => act(body),
        Err(error) => text(StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

fn done() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn answer(body: &Value) -> Response {
    json_text(body.to_string())
}

fn json_text(body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn text(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
