//! The plan as an AWS CloudFormation template, in JSON.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json};

use super::{
    names::{Unique, numbered},
    plan::{AccountPlan, RolePlan},
};
use crate::iam::Document;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Template<'a> {
    #[serde(rename = "AWSTemplateFormatVersion")]
    version: &'static str,
    description: &'static str,
    resources: Resources<'a>,
}

/// In the order of the plans.
#[derive(Default)]
struct Resources<'a>(Vec<(String, Resource<'a>)>);

#[derive(Serialize)]
#[serde(tag = "Type", content = "Properties")]
enum Resource<'a> {
    #[serde(rename = "AWS::IAM::Role", rename_all = "PascalCase")]
    Role {
        role_name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        assume_role_policy_document: &'a Document,
    },
    #[serde(rename = "AWS::IAM::ManagedPolicy", rename_all = "PascalCase")]
    Policy {
        managed_policy_name: String,
        /// A name, or a reference to a role of the template.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        roles: Vec<Value>,
        policy_document: &'a Document,
    },
}

impl Serialize for Resources<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, resource) in &self.0 {
            map.serialize_entry(name, resource)?;
        }
        map.end()
    }
}

/// All plans as one template.
pub fn cloudformation(plans: &[AccountPlan]) -> String {
    let mut resources = Resources::default();
    let mut names = Unique::default();
    for role in plans.iter().flat_map(|plan| &plan.roles) {
        resources.add(role, &mut names);
    }
    let template = Template {
        version: "2010-09-09",
        description: "IAM of service accounts, made by latchkey policy from SecretProviderClasses",
        resources,
    };
    // Texts and lists can always be written.
    serde_json::to_string_pretty(&template).unwrap_or_default() + "\n"
}

impl<'a> Resources<'a> {
    fn add(&mut self, role: &'a RolePlan, names: &mut Unique) {
        let id = names.take(logical_id(&role.policy_name));
        let mut attached: Option<Value> = role.arn.as_ref().map(|_| role.name.as_str().into());
        if let Some(trust) = &role.trust {
            let known = self.0.iter().find(|(_, other)| other.is_role(role));
            let name = known.map_or_else(|| format!("{id}Role"), |(name, _)| name.clone());
            if known.is_none() {
                let (role_name, path) = (role.name.as_str(), role.path());
                let resource = Resource::Role { role_name, path, assume_role_policy_document: trust };
                self.0.push((name.clone(), resource));
            }
            attached = Some(json!({"Ref": name}));
        }
        let count = role.policies.len();
        for (index, policy_document) in role.policies.iter().enumerate() {
            let managed_policy_name = numbered(&role.policy_name, index, count);
            let roles = attached.clone().into_iter().collect();
            let number = if count > 1 { (index + 1).to_string() } else { String::new() };
            let resource = Resource::Policy { managed_policy_name, roles, policy_document };
            self.0.push((format!("{id}Policy{number}"), resource));
        }
    }
}

impl Resource<'_> {
    /// Whether it is the role that another service account reads as too.
    fn is_role(&self, role: &RolePlan) -> bool {
        matches!(self, Self::Role { role_name, path, assume_role_policy_document }
            if *role_name == role.name && *path == role.path() && Some(*assume_role_policy_document) == role.trust.as_ref())
    }
}

/// Letters and digits only: `ShopWeb`.
fn logical_id(name: &str) -> String {
    let name = name.strip_prefix("latchkey-").unwrap_or(name);
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    name.split(|c: char| !c.is_ascii_alphanumeric()).map(word).collect()
}
