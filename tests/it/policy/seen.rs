//! A class is mounted, and its policy must allow exactly the calls that the emulator sees.

use std::collections::BTreeSet;

use latchkey::{
    estate::Estate,
    iam::{Document, Home, KmsKey},
    manifests::Found,
    policy::{AccountPlan, RolePlan, Settings, plan},
};
use latchkey_emulator::{Fault, FaultKind};
use serde_json::{Value, json};

use super::ministack::Question;
use crate::harness::{ACCOUNT, Request, World, seconds};

/// What AWS appends to the names of secrets in these tests' stores.
pub(super) const SUFFIX: &str = "AbCdEf";

/// A call that the emulator saw, as IAM sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seen {
    pub(super) role: String,
    pub(super) action: &'static str,
    pub(super) resource: String,
}

/// The plan of one service account for the classes in the manifests, whose values these
/// keys encrypt.
pub(super) fn plan_of(manifests: &str, namespace: &str, account: &str, keys: Vec<KmsKey>) -> AccountPlan {
    let mut found = Found::default();
    found.read("manifests.yaml", manifests);
    assert!(found.unreadable.is_empty(), "{:?}", found.unreadable);
    let estate = Estate::of_manifests(&found, "default");
    let settings = Settings {
        account: Some((namespace.to_owned(), account.to_owned())),
        keys,
        home: Home { account: Some(ACCOUNT.to_owned()), partition: None },
        ..Settings::default()
    };
    plan(&estate, &settings).unwrap().remove(0)
}

/// Mounts `request` as the world allows it, and returns the calls.
pub(super) async fn calls(world: &World, request: &Request, failover: Option<&str>) -> BTreeSet<Seen> {
    world.emulator.reset_calls();
    world.mount(request).await;
    if failover.is_some() {
        in_an_outage(world, request).await.unwrap();
    }
    world.emulator.calls().iter().flat_map(seen).collect()
}

/// Mounts `request` while the primary Region is down.
async fn in_an_outage(world: &World, request: &Request) -> Result<(), tonic::Status> {
    for operation in ["GetSecretValue", "GetParameters"] {
        let region = request.parameters["region"].clone();
        let fault = Fault::new(FaultKind::InternalError).operation(operation);
        world.emulator.inject(Fault { region: Some(region), ..fault });
    }
    let mounted = world.try_mount(request).await.map(drop);
    world.emulator.clear_faults();
    mounted
}

fn seen(call: &latchkey_emulator::Call) -> Vec<Seen> {
    let action = match call.operation.as_str() {
        "GetSecretValue" => "secretsmanager:GetSecretValue",
        "GetParameters" => "ssm:GetParameters",
        "AssumeRole" => "sts:AssumeRole",
        "AssumeRoleWithWebIdentity" | "PodIdentityCredentials" => return Vec::new(),
        other => panic!("a mount called {other}"),
    };
    let role = call.role.clone().unwrap();
    let account = role.split(':').nth(4).unwrap();
    let region = call.region.as_deref().unwrap();
    let arn = |target: &String| match action {
        _ if target.starts_with("arn:") => target.clone(),
        "secretsmanager:GetSecretValue" => {
            format!("arn:aws:secretsmanager:{region}:{account}:secret:{target}-{SUFFIX}")
        }
        _ => {
            let name = target.split(':').next().unwrap().trim_start_matches('/');
            format!("arn:aws:ssm:{region}:{account}:parameter/{name}")
        }
    };
    call.targets.iter().map(|target| Seen { role: role.clone(), action, resource: arn(target) }).collect()
}

/// The plan of the role that made a call. A role that no manifest names is the service
/// account's own one.
pub(super) fn role_of<'a>(plan: &'a AccountPlan, role: &str) -> &'a RolePlan {
    let named = plan.roles.iter().find(|plan| plan.arn.as_ref().is_some_and(|arn| arn.as_str() == role));
    named
        .or_else(|| plan.roles.iter().find(|plan| plan.arn.is_none()))
        .unwrap_or_else(|| panic!("no role {role}"))
}

pub(super) fn documents(role: &RolePlan) -> Vec<Value> {
    role.policies.iter().map(|policy| serde_json::to_value(policy).unwrap()).collect()
}

/// Every way to leave one statement out, with its actions.
pub(super) fn without_one(documents: &[Value]) -> Vec<(Vec<Value>, Value)> {
    let mut variants = Vec::new();
    for (number, document) in documents.iter().enumerate() {
        for index in 0..document["Statement"].as_array().unwrap().len() {
            let mut others = documents.to_vec();
            let removed = others[number]["Statement"].as_array_mut().unwrap().remove(index);
            variants.push((others, removed));
        }
    }
    variants
}

/// Questions for MiniStack, each with whether it must allow the call.
pub(super) fn questions(plan: &AccountPlan, calls: &BTreeSet<Seen>) -> Vec<(Question, bool)> {
    let mut questions = Vec::new();
    for call in calls {
        let documents = documents(role_of(plan, &call.role));
        let ask =
            |policies: &[Value], action: &str, resource: &str| question(call, policies, action, resource);
        questions.push((ask(&documents, call.action, &call.resource), true));
        for other in near(call) {
            let needed = calls.iter().any(|known| {
                known.role == call.role && known.action == other.action && known.resource == other.resource
            });
            questions.push((ask(&documents, other.action, &other.resource), needed));
        }
        for (others, removed) in without_one(&documents) {
            let covered = removed["Action"].as_array().unwrap().contains(&Value::from(call.action));
            questions.push((ask(&others, call.action, &call.resource), !covered));
        }
    }
    questions
}

pub(super) fn question(call: &Seen, policies: &[Value], action: &str, resource: &str) -> Question {
    let account = call.role.split(':').nth(4).unwrap().to_owned();
    let name = call.role.rsplit('/').next().unwrap();
    Question {
        policies: policies.to_vec(),
        principal: format!("arn:aws:sts::{account}:assumed-role/{name}/pod"),
        owner: account.clone(),
        account,
        action: action.to_owned(),
        resource: resource.to_owned(),
        ..Question::default()
    }
}

/// Calls that are nearly the same.
fn near(call: &Seen) -> Vec<Seen> {
    let mut others = Vec::new();
    for action in [
        "secretsmanager:PutSecretValue",
        "secretsmanager:DescribeSecret",
        "ssm:GetParameter",
        "ssm:GetParametersByPath",
        "kms:Decrypt",
        "iam:PassRole",
    ] {
        others.push(Seen { action, ..call.clone() });
    }
    let resource = &call.resource;
    let changed = [
        resource.replace(&format!("-{SUFFIX}"), &format!("-extra-{SUFFIX}")),
        format!("{resource}x"),
        resource.replace("us-east-1", "eu-west-3"),
        resource.replace(ACCOUNT, "999999999999"),
        resource.to_uppercase(),
        resource.rsplit_once('/').map(|(folder, _)| format!("{folder}/*")).unwrap_or_default(),
    ];
    let changed = changed.into_iter().filter(|other| other != resource && !other.is_empty());
    // A question needs six parts; these have them, or are not asked.
    others.extend(
        changed
            .filter(|other| other.split(':').count() > 5)
            .map(|resource| Seen { resource, ..call.clone() }),
    );
    others
}

/// Gives the emulator's roles exactly these policies.
fn apply(world: &World, role: &str, documents: &[Value]) {
    world.emulator.clear_policy(role);
    for statement in documents.iter().flat_map(|document| document["Statement"].as_array().unwrap()) {
        for action in statement["Action"].as_array().unwrap() {
            for resource in statement["Resource"].as_array().unwrap() {
                world.emulator.allow(role, action.as_str().unwrap(), resource.as_str().unwrap());
            }
        }
    }
}

/// The emulator's own check: the mount works with the plan's policies, in an outage too, and
/// without any one of their statements it is denied.
pub(super) async fn emulator_agrees(
    world: &World,
    request: &Request,
    failover: Option<&str>,
    plan: &AccountPlan,
    calls: &BTreeSet<Seen>,
) {
    let roles: BTreeSet<&str> = calls.iter().map(|call| call.role.as_str()).collect();
    let give_all = || roles.iter().for_each(|role| apply(world, role, &documents(role_of(plan, role))));
    give_all();
    world.mount(request).await;
    if failover.is_some() {
        in_an_outage(world, request).await.unwrap();
    }
    for role in &roles {
        for (others, removed) in without_one(&documents(role_of(plan, role))) {
            apply(world, role, &others);
            if removed["Sid"] == "AssumeRoles" {
                // The session that the role has opened ends first.
                seconds(3600).await;
            }
            let refused = world.try_mount(request).await.err();
            let refused = refused.unwrap_or_else(|| panic!("mounts without {removed}"));
            assert_eq!(refused.code(), tonic::Code::PermissionDenied, "{}", refused.message());
            give_all();
        }
    }
}

/// Compares MiniStack's answers with what must be.
pub(super) fn ministack_agrees(questions: &[(Question, bool)]) {
    let asked: Vec<Question> = questions.iter().map(|(question, _)| question.clone()).collect();
    let Some(answers) = super::ministack::decide(&asked) else { return };
    for ((question, allowed), answer) in questions.iter().zip(answers) {
        assert_eq!(answer == "Allow", *allowed, "{answer}: {}", json!(question));
    }
}

/// The plan's documents are all within IAM's limit.
pub(super) fn within_the_limit(plan: &AccountPlan) {
    let documents = plan.roles.iter().flat_map(|role| &role.policies);
    for size in documents.map(Document::size) {
        assert!(size <= 6144, "{size}");
    }
}
