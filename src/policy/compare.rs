//! What given policies grant beyond what the classes need, and what they lack.

use std::collections::BTreeSet;

use super::plan::{AccountPlan, RolePlan, Settings};
use super::probes::{Probe, of_policies, of_trust};
use crate::{
    findings::{FilePlace, Finding, Place, Rule, Severity, sorted},
    iam::{Answer, Context, Effect, Policies, Policy, Request, Statement, covers},
    model::message::quoted,
};

/// How many resources a finding lists.
const MAX_LISTED: usize = 5;

pub const RULES: &[Rule] =
    &[POLICY_LACKS, POLICY_GRANTS_MORE, POLICY_DEPENDS, TRUST_LACKS, TRUST_GRANTS_MORE];

const POLICY_LACKS: Rule = Rule {
    id: "policy-lacks",
    severity: Severity::Error,
    title: "The policy does not allow a call that the class needs, so that the mount is denied.",
    fix: "Add the statement that latchkey policy prints without --check.",
};
const POLICY_GRANTS_MORE: Rule = Rule {
    id: "policy-grants-more",
    severity: Severity::Warning,
    title: "The policy allows more than the classes need.",
    fix: "Replace the statement by the one that latchkey policy prints without --check.",
};
const POLICY_DEPENDS: Rule = Rule {
    id: "policy-depends",
    severity: Severity::Note,
    title: "Whether the policy allows a call depends on a condition that the manifests do not tell.",
    fix: "Check that the condition holds for the calls of Latchkey, which come from the nodes.",
};
const TRUST_LACKS: Rule = Rule {
    id: "trust-lacks",
    severity: Severity::Error,
    title: "The trust policy does not let the service account assume the role.",
    fix: "Use the trust policy that latchkey policy prints without --check.",
};
const TRUST_GRANTS_MORE: Rule = Rule {
    id: "trust-grants-more",
    severity: Severity::Warning,
    title: "The trust policy lets others than the service accounts assume the role.",
    fix: "Name each service account in the condition on the token's sub, without wildcards, and its aud.",
};

/// Policies that exist.
#[derive(Debug)]
pub struct Given {
    /// The file.
    pub file: String,
    pub policies: Vec<Policy>,
}

/// Compares the given policies with one role, as all `plans` that use it need it. Policies
/// that name principals and no resources count as its trust policy.
pub fn compare(plans: &[(&AccountPlan, &RolePlan)], given: &[Given], settings: &Settings) -> Vec<Finding> {
    let is_trust = |policy: &&Policy| policy.names_principals();
    let all = || given.iter().flat_map(|given| &given.policies);
    let identity: Vec<Policy> = all().filter(|policy| !is_trust(policy)).cloned().collect();
    let trust: Vec<Policy> = all().filter(is_trust).cloned().collect();
    let mut findings = Vec::new();
    // A call that is missing is missing in all of them; the first file is its place.
    let place = |wanted: &dyn Fn(&Policy) -> bool| {
        let file = given.iter().find(|given| given.policies.iter().any(wanted)).or(given.first());
        file.map(|given| in_file(&given.file)).unwrap_or_default()
    };
    if !identity.is_empty() {
        let place = place(&|policy| !policy.names_principals());
        for probe in of_policies(plans, &identity, settings) {
            let answer = |request: &Request| Policies::decide_by_identity_alone(&identity, request);
            findings.extend(judged(&probe, answer, &POLICY_LACKS, &place));
        }
    }
    if let [policy, ..] = trust.as_slice() {
        let place = place(&Policy::names_principals);
        for probe in of_trust(plans, settings) {
            let answer = |request: &Request| Policies::decide_by_resource_alone(policy, request);
            findings.extend(judged(&probe, answer, &TRUST_LACKS, &place));
        }
    }
    let needed = |documents: Vec<String>| -> Vec<Policy> {
        documents.iter().filter_map(|document| Policy::parse(document).ok()).collect()
    };
    let least =
        needed(plans.iter().flat_map(|(_, role)| &role.policies).map(|policy| policy.compact()).collect());
    let trusted = needed(
        plans.iter().filter_map(|(_, role)| role.trust.as_ref()).map(|trust| trust.compact()).collect(),
    );
    for Given { file, policies } in given {
        for policy in policies {
            let (rule, needed) = if is_trust(&policy) {
                (&TRUST_GRANTS_MORE, &trusted)
            } else {
                (&POLICY_GRANTS_MORE, &least)
            };
            if needed.is_empty() && is_trust(&policy) {
                continue;
            }
            for statement in policy.statements().iter().filter(|one| one.effect() == Effect::Allow) {
                for excess in excess(statement, needed, &identity) {
                    let of = if policy.name.is_empty() {
                        String::new()
                    } else {
                        format!(" of {}", quoted(&policy.name))
                    };
                    let message = format!("{}{of} {excess}", statement.name());
                    findings.push(Finding::new(rule, in_file(file), message));
                }
            }
        }
    }
    sorted(findings)
}

/// What one probe says, by the best of its variants.
fn judged(
    probe: &Probe,
    answer: impl Fn(&Request) -> Answer,
    lacks: &'static Rule,
    place: &Place,
) -> Option<Finding> {
    let answers: Vec<Answer> = probe.variants.iter().map(answer).collect();
    if answers.contains(&Answer::Allowed) {
        return None;
    }
    let depends = answers.iter().find_map(|answer| match answer {
        Answer::Depends(keys) => Some(keys.iter().cloned().collect::<Vec<_>>().join(", ")),
        Answer::Allowed | Answer::Denied(_) => None,
    });
    if let Some(keys) = depends {
        let message = format!("whether {} is allowed depends on {keys}", probe.what);
        return Some(Finding::new(&POLICY_DEPENDS, place.clone(), message));
    }
    let why = answers.into_iter().find_map(|answer| match answer {
        Answer::Denied(denial) => Some(denial.to_string()),
        Answer::Allowed | Answer::Depends(_) => None,
    });
    let message = format!("{} is not allowed: {}", probe.what, why.unwrap_or_default());
    Some(Finding::new(lacks, place.clone(), message))
}

/// What an allowing statement allows beyond the needed ones. A deny that surely takes it
/// back is respected.
fn excess(statement: &Statement, needed: &[Policy], identity: &[Policy]) -> Vec<String> {
    let Some(actions) = statement.actions() else {
        return vec!["allows every action but those in NotAction".to_owned()];
    };
    let needed: Vec<&Statement> = needed.iter().flat_map(Policy::statements).collect();
    let of_action = |action: &str| -> Vec<&Statement> {
        let same = |needed: &String| covers(&needed.to_ascii_lowercase(), &action.to_ascii_lowercase());
        let covering = |one: &&&Statement| one.actions().is_some_and(|actions| actions.iter().any(same));
        needed.iter().filter(covering).copied().collect()
    };
    let (known, unneeded): (Vec<&String>, Vec<&String>) =
        actions.iter().partition(|action| !of_action(action).is_empty());
    let mut found = Vec::new();
    if !unneeded.is_empty() {
        let actions: Vec<&str> = unneeded.iter().map(|action| action.as_str()).collect();
        found.push(format!("allows {}, which no class needs", listed(&actions)));
    }
    for action in known {
        found.extend(excess_of(statement, action, &of_action(action), identity));
    }
    found
}

/// What a statement allows of one action beyond the statements that need the action.
fn excess_of(
    statement: &Statement,
    action: &str,
    needed: &[&Statement],
    identity: &[Policy],
) -> Option<String> {
    if !statement.principals().is_empty() {
        let others: Vec<&str> = statement
            .principals()
            .into_iter()
            .filter(|principal| !needed.iter().any(|one| one.principals().contains(principal)))
            .collect();
        if !others.is_empty() {
            return Some(format!("lets {} call {action}", listed(&others)));
        }
        return wider_condition(statement, needed).map(|key| format!("allows {action} {key}"));
    }
    let Some(resources) = statement.resources() else {
        return Some(format!("allows {action} on every resource but those in NotResource"));
    };
    let covering = |resource: &str| -> Vec<&Statement> {
        let covers = |one: &&&Statement| {
            one.resources().is_some_and(|all| all.iter().any(|needed| covers(needed, resource)))
        };
        needed.iter().filter(covers).copied().collect()
    };
    let beyond: Vec<&str> = resources
        .iter()
        .map(String::as_str)
        .filter(|resource| covering(resource).is_empty() && !is_denied(action, resource, identity))
        .collect();
    if !beyond.is_empty() {
        return Some(format!("allows {action} on {}, which no class reads", listed(&beyond)));
    }
    resources
        .iter()
        .find_map(|resource| wider_condition(statement, &covering(resource)))
        .map(|condition| format!("allows {action} {condition}"))
}

/// A condition of the needed statements that `statement` does not have as narrow.
fn wider_condition(statement: &Statement, needed: &[&Statement]) -> Option<String> {
    let mut missing = needed
        .iter()
        .map(|one| one.conditions().find(|(_, key, values)| !has_condition(statement, key, values)));
    // One needed statement that is as wide is enough.
    let first = missing.next()?;
    if first.is_none() || missing.any(|condition| condition.is_none()) {
        return None;
    }
    let (_, key, values) = first?;
    Some(format!("without the condition {key} = {}", listed(&values)))
}

/// Whether the statement restricts the key to some of these values.
fn has_condition(statement: &Statement, wanted: &str, values: &[&str]) -> bool {
    statement.conditions().any(|(operator, key, own)| {
        let equals = [
            "StringEquals",
            "StringLike",
            "ArnEquals",
            "ArnLike",
            "ForAnyValue:StringEquals",
            "ForAllValues:StringEquals",
        ];
        let positive = equals.iter().any(|name| name.eq_ignore_ascii_case(operator));
        let literal = operator.to_ascii_lowercase().ends_with("stringequals");
        let narrow = |own: &&str| {
            let within =
                |value: &&str| if literal { covers(value, own) || value == own } else { covers(value, own) };
            values.iter().any(within)
        };
        positive && key.eq_ignore_ascii_case(wanted) && own.iter().all(narrow)
    })
}

/// Whether a deny surely takes a grant on a single resource back.
fn is_denied(action: &str, resource: &str, identity: &[Policy]) -> bool {
    if resource.contains(['*', '?', '$']) || action.contains(['*', '?']) {
        return false;
    }
    let caller = super::probes::somebody(resource);
    let request = Request::new(caller, action, resource, Context::default());
    matches!(Policies::decide_by_identity_alone(identity, &request), Answer::Denied(_))
}

fn listed(texts: &[&str]) -> String {
    let unique: BTreeSet<&str> = texts.iter().copied().collect();
    let more = unique.len().saturating_sub(MAX_LISTED);
    let first: Vec<&str> = unique.into_iter().take(MAX_LISTED).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    first.join(", ") + &more
}

fn in_file(file: &str) -> Place {
    Place { file: Some(FilePlace { file: file.to_owned(), line: 0, column: 0 }), object: None }
}
