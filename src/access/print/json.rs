//! The report as one JSON document; the HTML page draws the same one.

use serde::Serialize;
use serde_json::Value;

use super::Report;
use crate::{
    access::{graph::Graph, verdict::Verdict},
    findings,
    model::reference::Service,
};

/// The version of the document's form. It grows when a field changes or goes.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    assumptions: &'a [String],
    accounts: Vec<Account<'a>>,
    roles: Vec<Role<'a>>,
    secrets: Vec<Secret<'a>>,
    classes: Vec<Class<'a>>,
    routes: Vec<Route<'a>>,
    findings: Value,
}

#[derive(Serialize)]
struct Account<'a> {
    namespace: &'a str,
    name: &'a str,
    workloads: Vec<&'a str>,
}

#[derive(Serialize)]
struct Role<'a> {
    arn: &'a str,
    /// Whether its policies are known.
    known: bool,
}

#[derive(Serialize)]
struct Secret<'a> {
    service: &'static str,
    name: &'a str,
    region: &'a str,
    account: &'a str,
    /// Whether AWS lists it, as far as a list was given.
    listed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_read: Option<&'a str>,
}

#[derive(Serialize)]
struct Class<'a> {
    namespace: &'a str,
    name: &'a str,
    used: bool,
    invalid: bool,
}

/// A way from a service account to a role, and what it reads there. Numbers are positions
/// in the document's other lists.
#[derive(Serialize)]
struct Route<'a> {
    account: usize,
    means: &'static str,
    roles: &'a [usize],
    trust: Answer<'a>,
    asks: Vec<Ask<'a>>,
    can_also_read: Vec<usize>,
    may_also_read: Vec<Open<'a>>,
}

#[derive(Serialize)]
struct Ask<'a> {
    class: usize,
    secret: usize,
    failover: bool,
    read: Answer<'a>,
}

#[derive(Serialize)]
struct Open<'a> {
    secret: usize,
    depends_on: Vec<&'a str>,
}

#[derive(Serialize)]
pub(super) struct Answer<'a> {
    answer: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

impl<'a> From<&'a Verdict> for Answer<'a> {
    fn from(verdict: &'a Verdict) -> Self {
        let (depends_on, why) = match verdict {
            Verdict::Depends(on) => (on.iter().map(String::as_str).collect(), None),
            Verdict::Denied(why) => (Vec::new(), Some(why.as_str())),
            Verdict::Allowed | Verdict::Unknown => (Vec::new(), None),
        };
        Self { answer: verdict.word(), depends_on, why }
    }
}

/// The report as JSON, indented.
pub fn json(report: &Report<'_>) -> String {
    serde_json::to_string_pretty(&document(report)).unwrap_or_default() + "\n"
}

/// The report as JSON, on one line.
pub(super) fn compact(report: &Report<'_>) -> String {
    serde_json::to_string(&document(report)).unwrap_or_default()
}

fn document<'a>(report: &Report<'a>) -> Document<'a> {
    let graph = report.graph;
    let findings = serde_json::from_str::<Value>(&findings::json(report.findings));
    let findings = findings.ok().and_then(|mut document| document.get_mut("findings").map(Value::take));
    Document {
        version: VERSION,
        assumptions: &graph.assumptions,
        accounts: graph
            .accounts
            .iter()
            .map(|account| Account {
                namespace: &account.namespace,
                name: &account.name,
                workloads: account.workloads.iter().map(String::as_str).collect(),
            })
            .collect(),
        roles: graph.roles.iter().map(|role| Role { arn: &role.arn, known: role.known }).collect(),
        secrets: graph.secrets.iter().map(secret).collect(),
        classes: graph
            .classes
            .iter()
            .map(|class| Class {
                namespace: &class.namespace,
                name: &class.name,
                used: class.used,
                invalid: class.invalid,
            })
            .collect(),
        routes: routes(graph),
        findings: findings.unwrap_or_default(),
    }
}

fn secret(secret: &crate::access::graph::Secret) -> Secret<'_> {
    Secret {
        service: match secret.id.service {
            Service::SecretsManager => "secretsmanager",
            Service::ParameterStore => "ssm",
        },
        name: &secret.id.name,
        region: &secret.id.region,
        account: &secret.id.account,
        listed: secret.listed.is_some(),
        last_read: secret.listed.as_ref().and_then(|listed| listed.last_read.as_deref()),
    }
}

fn routes(graph: &Graph) -> Vec<Route<'_>> {
    let mut routes: Vec<Route<'_>> = graph
        .routes
        .iter()
        .zip(&graph.reach)
        .map(|(route, reach)| Route {
            account: route.account,
            means: route.means.as_str(),
            roles: &route.roles,
            trust: (&route.trust).into(),
            asks: Vec::new(),
            can_also_read: reach.allowed.iter().copied().collect(),
            may_also_read: reach
                .depends
                .iter()
                .map(|(secret, on)| Open {
                    secret: *secret,
                    depends_on: on.iter().map(String::as_str).collect(),
                })
                .collect(),
        })
        .collect();
    for ask in &graph.asks {
        let (class, secret, failover) = (ask.class, ask.secret, ask.failover);
        routes[ask.route].asks.push(Ask { class, secret, failover, read: (&ask.read).into() });
    }
    routes
}
