//! The plan as one JSON document.

use serde::Serialize;

use super::plan::AccountPlan;
use crate::iam::Document;

/// The version of the document's form. It grows when a field changes or goes.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Plans<'a> {
    version: u32,
    service_accounts: Vec<Account<'a>>,
}

#[derive(Serialize)]
struct Account<'a> {
    namespace: &'a str,
    name: &'a str,
    roles: Vec<Role<'a>>,
    notes: Vec<&'a str>,
}

#[derive(Serialize)]
struct Role<'a> {
    role_arn: Option<&'a str>,
    role_name: &'a str,
    identity: &'static str,
    policies: &'a [Document],
    trust_policy: Option<&'a Document>,
}

/// All plans as JSON, indented.
pub fn json(plans: &[AccountPlan]) -> String {
    let service_accounts = plans.iter().map(account).collect();
    // Texts and lists can always be written.
    serde_json::to_string_pretty(&Plans { version: VERSION, service_accounts }).unwrap_or_default() + "\n"
}

fn account(plan: &AccountPlan) -> Account<'_> {
    let roles = plan.roles.iter().map(|role| Role {
        role_arn: role.arn.as_ref().map(|arn| arn.as_str()),
        role_name: &role.name,
        identity: role.identity.as_str(),
        policies: &role.policies,
        trust_policy: role.trust.as_ref(),
    });
    Account {
        namespace: &plan.namespace,
        name: &plan.name,
        roles: roles.collect(),
        notes: plan.notes.iter().map(String::as_str).collect(),
    }
}
