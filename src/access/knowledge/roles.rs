//! Roles with their policies, as `aws iam get-account-authorization-details` prints them.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::{Knowledge, list, tags, text};
use crate::{
    iam::{Policy, PolicyError},
    model::arn::RoleArn,
};

/// A role.
#[derive(Debug)]
pub(crate) struct Role {
    pub(in crate::access) arn: RoleArn,
    pub(in crate::access) trust: Option<Policy>,
    /// Inline and attached.
    pub(in crate::access) policies: Vec<Policy>,
    pub(in crate::access) boundary: Option<Policy>,
    /// Policies that were not read: what they say is unknown.
    pub(in crate::access) missing: BTreeSet<String>,
    pub(in crate::access) tags: Vec<(String, String)>,
    /// The tags of principals and resources that its policies name, in lower case.
    pub(in crate::access) names_principal_tags: BTreeSet<String>,
    pub(in crate::access) names_resource_tags: BTreeSet<String>,
}

impl Knowledge {
    pub(super) fn add_roles(&mut self, file: &str, details: &Value) {
        let managed: HashMap<&str, &Value> = list(details, "Policies")
            .iter()
            .filter_map(|policy| Some((text(policy, "Arn")?, default_version(policy)?)))
            .collect();
        for role in list(details, "RoleDetailList") {
            let Some(arn) = text(role, "Arn").and_then(RoleArn::parse) else { continue };
            let mut reader = Reader { file, arn: &arn, warnings: Vec::new(), texts: String::new() };
            let mut missing = BTreeSet::new();
            let mut policies: Vec<Policy> = Vec::new();
            for inline in list(role, "RolePolicyList") {
                let name = text(inline, "PolicyName").unwrap_or_default();
                match inline.get("PolicyDocument").and_then(|document| reader.policy(name, document)) {
                    Some(policy) => policies.push(policy),
                    None => drop(missing.insert(format!("the inline policy {name}"))),
                }
            }
            for attached in list(role, "AttachedManagedPolicies") {
                let Some(policy_arn) = text(attached, "PolicyArn") else { continue };
                match managed.get(policy_arn).and_then(|document| reader.policy(policy_arn, document)) {
                    Some(policy) => policies.push(policy),
                    None => drop(missing.insert(format!("the policy {policy_arn}"))),
                }
            }
            let boundary = role
                .get("PermissionsBoundary")
                .and_then(|boundary| text(boundary, "PermissionsBoundaryArn"))
                .and_then(|boundary| {
                    let found = managed.get(boundary).and_then(|document| reader.policy(boundary, document));
                    if found.is_none() {
                        missing.insert(format!("the permissions boundary {boundary}"));
                    }
                    found
                });
            let names_principal_tags = tag_keys(&reader.texts, "PrincipalTag/");
            let names_resource_tags = tag_keys(&reader.texts, "ResourceTag/");
            let trust = role
                .get("AssumeRolePolicyDocument")
                .and_then(|document| reader.policy("trust policy", document));
            self.warnings.append(&mut reader.warnings);
            let role = Role {
                arn: arn.clone(),
                trust,
                policies,
                boundary,
                missing,
                tags: tags(role).unwrap_or_default(),
                names_principal_tags,
                names_resource_tags,
            };
            self.roles.insert(arn.as_str().to_owned(), role);
        }
    }
}

/// Reads the policies of one role.
struct Reader<'a> {
    file: &'a str,
    arn: &'a RoleArn,
    warnings: Vec<String>,
    /// All policies' texts.
    texts: String,
}

impl Reader<'_> {
    fn policy(&mut self, name: &str, document: &Value) -> Option<Policy> {
        match policy(name, document) {
            Ok(policy) => {
                self.texts.push_str(&document.to_string());
                Some(policy)
            }
            Err(error) => {
                let Self { file, arn, .. } = self;
                self.warnings.push(format!("{file}: cannot read {name} of {arn}: {error}"));
                None
            }
        }
    }
}

/// A policy as an object, as its text, or as its text with percent signs, as the API
/// itself answers.
pub(super) fn policy(name: &str, document: &Value) -> Result<Policy, PolicyError> {
    let text = match document {
        Value::String(text) if text.trim_start().starts_with('{') => text.clone(),
        Value::String(text) => percent_decoded(text),
        document => document.to_string(),
    };
    let mut policy = Policy::parse(&text)?;
    name.clone_into(&mut policy.name);
    Ok(policy)
}

fn default_version(policy: &Value) -> Option<&Value> {
    let is_default =
        |version: &&Value| version.get("IsDefaultVersion").and_then(Value::as_bool) == Some(true);
    list(policy, "PolicyVersionList").iter().find(is_default)?.get("Document")
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'%').then(|| after.get(..2)).flatten();
        let code = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The keys of tags that a policy's text names after `marker`, such as `PrincipalTag/`.
fn tag_keys(text: &str, marker: &str) -> BTreeSet<String> {
    let lower = text.to_ascii_lowercase();
    let marker = marker.to_ascii_lowercase();
    let keys = lower.split(marker.as_str()).skip(1).map(|rest| {
        let end = rest.find(['"', '}', ',', '\\']).unwrap_or(rest.len());
        rest[..end].trim().to_owned()
    });
    keys.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_of_all_forms_are_read_and_missing_ones_are_named() {
        let text = r#"{"RoleDetailList": [{
            "Arn": "arn:aws:iam::111122223333:role/web",
            "AssumeRolePolicyDocument": "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%5D%7D",
            "RolePolicyList": [{"PolicyName": "read", "PolicyDocument": {"Version": "2012-10-17", "Statement":
                {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*",
                 "Condition": {"StringEquals": {"aws:ResourceTag/Team": "${aws:PrincipalTag/Team}"}}}}}],
            "AttachedManagedPolicies": [{"PolicyArn": "arn:aws:iam::111122223333:policy/known"},
                                        {"PolicyArn": "arn:aws:iam::111122223333:policy/absent"}],
            "PermissionsBoundary": {"PermissionsBoundaryArn": "arn:aws:iam::111122223333:policy/edge"},
            "Tags": [{"Key": "Team", "Value": "shop"}]}],
          "Policies": [{"Arn": "arn:aws:iam::111122223333:policy/known", "PolicyVersionList": [
            {"IsDefaultVersion": false, "Document": {}},
            {"IsDefaultVersion": true, "Document": {"Version": "2012-10-17", "Statement": []}}]}]}"#;
        let mut knowledge = Knowledge::default();
        knowledge.read("iam.json", text).unwrap();
        assert_eq!(knowledge.warnings, Vec::<String>::new());
        let role = knowledge.role("arn:aws:iam::111122223333:role/web").unwrap();
        assert!(role.trust.is_some());
        assert_eq!(role.policies.len(), 2);
        let missing: Vec<&str> = role.missing.iter().map(String::as_str).collect();
        assert_eq!(
            missing,
            [
                "the permissions boundary arn:aws:iam::111122223333:policy/edge",
                "the policy arn:aws:iam::111122223333:policy/absent"
            ]
        );
        assert_eq!(role.names_principal_tags, BTreeSet::from(["team".to_owned()]));
        assert_eq!(role.names_resource_tags, BTreeSet::from(["team".to_owned()]));
    }
}
