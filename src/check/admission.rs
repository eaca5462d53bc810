//! A ValidatingAdmissionPolicy, which the API server evaluates itself, without a webhook:
//! <https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/>
//!
//! Pods are checked too, because the attributes of a volume override the parameters of
//! its class.

use crate::{
    estate::DRIVER,
    model::{region_patterns::RegionPatterns, role_patterns::RolePatterns, rules::Rules},
};

const API_VERSION: &str = "admissionregistration.k8s.io/v1";

/// What the operator does not want.
#[derive(Clone, Debug)]
pub struct Admission {
    pub rules: Rules,
    /// Whether to refuse every `assumeRoleArn`.
    pub deny_assume_role: bool,
    /// Whether to refuse pods that mount secrets as the service account `default`.
    pub deny_default_account: bool,
}

/// A parameter, and the values that it may have.
struct Limit {
    parameter: &'static str,
    /// A regular expression; `None` if it must not be there.
    allowed: Option<String>,
    message: String,
}

impl Admission {
    /// Two policies with their bindings as YAML. Empty if there is nothing to refuse.
    pub fn manifests(&self) -> String {
        let limits = self.limits();
        let classes: Vec<(String, String)> =
            limits.iter().map(|it| (it.of_class(), it.message.clone())).collect();
        let mut pods: Vec<(String, String)> =
            limits.iter().map(|it| (it.of_pod(), it.message.clone())).collect();
        if self.deny_default_account {
            let expression =
                "has(object.spec.serviceAccountName) && !(object.spec.serviceAccountName in ['', 'default'])";
            let message =
                "a pod that mounts secrets needs a service account of its own: set serviceAccountName";
            pods.push((expression.to_owned(), message.to_owned()));
        }
        let of_aws =
            "has(object.spec) && has(object.spec.provider) && object.spec.provider in ['aws', 'latchkey']";
        let of_driver = format!(
            "has(object.spec.volumes) && object.spec.volumes.exists(v, has(v.csi) && v.csi.driver == '{DRIVER}')"
        );
        let mut manifests = String::new();
        if !classes.is_empty() {
            let resource = ["secrets-store.csi.x-k8s.io", "secretproviderclasses"];
            manifests += &policy("latchkey-classes", resource, of_aws, &classes);
        }
        if !pods.is_empty() {
            manifests += &policy("latchkey-pods", ["", "pods"], &of_driver, &pods);
        }
        manifests
    }

    fn limits(&self) -> Vec<Limit> {
        let Self { rules, deny_assume_role, .. } = self;
        let roles = rules.allowed_roles.as_ref().map(RolePatterns::regular_expression);
        let mut limits = Vec::new();
        if !rules.allow_role_arn {
            let message =
                "roleArn is not allowed; annotate the ServiceAccount with eks.amazonaws.com/role-arn instead";
            limits.push(Limit { parameter: "roleArn", allowed: None, message: message.to_owned() });
        } else if let Some(roles) = &roles {
            let message = "roleArn is not among the roles that the provider allows (--allowed-roles)";
            let allowed = Some(roles.clone());
            limits.push(Limit { parameter: "roleArn", allowed, message: message.to_owned() });
        }
        if *deny_assume_role {
            let message = "assumeRoleArn is not allowed here".to_owned();
            limits.push(Limit { parameter: "assumeRoleArn", allowed: None, message });
        } else if let Some(roles) = roles {
            let message = "assumeRoleArn is not among the roles that the provider allows (--allowed-roles)";
            limits.push(Limit {
                parameter: "assumeRoleArn",
                allowed: Some(roles),
                message: message.to_owned(),
            });
        }
        if let Some(regions) = &rules.allowed_regions {
            for parameter in ["region", "failoverRegion"] {
                let message = format!("{parameter} is not allowed here (--allowed-regions={regions})");
                let allowed = Some(RegionPatterns::regular_expression(regions));
                limits.push(Limit { parameter, allowed, message });
            }
        }
        limits
    }
}

impl Limit {
    fn of_class(&self) -> String {
        format!("!has(object.spec.parameters) || {}", self.of("object.spec.parameters"))
    }

    fn of_pod(&self) -> String {
        let fits = self.of("v.csi.volumeAttributes");
        format!(
            "object.spec.volumes.all(v, !has(v.csi) || v.csi.driver != '{DRIVER}' || !has(v.csi.volumeAttributes) || {fits})"
        )
    }

    /// Whether a map of parameters keeps the limit. An empty parameter counts as none.
    fn of(&self, map: &str) -> String {
        let parameter = self.parameter;
        let allowed = match &self.allowed {
            // The pattern contains no quote.
            Some(pattern) => format!(" || {map}['{parameter}'].matches(r'{pattern}')"),
            None => String::new(),
        };
        format!("!('{parameter}' in {map}) || {map}['{parameter}'] == ''{allowed}")
    }
}

fn policy(
    name: &str,
    [group, resource]: [&str; 2],
    condition: &str,
    validations: &[(String, String)],
) -> String {
    let mut text = format!(
        "---
apiVersion: {API_VERSION}
kind: ValidatingAdmissionPolicy
metadata:
  name: {name}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - apiGroups: [{group:?}]
      apiVersions: [\"*\"]
      operations: [CREATE, UPDATE]
      resources: [{resource}]
  matchConditions:
  - name: of-latchkey
    expression: >-
      {condition}
  validations:
"
    );
    for (expression, message) in validations {
        text += &format!("  - expression: >-\n      {expression}\n    message: {message:?}\n");
    }
    text += &format!(
        "---
apiVersion: {API_VERSION}
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {name}
spec:
  policyName: {name}
  validationActions: [Deny]
"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifests::Found;

    fn admission(rules: Rules) -> Admission {
        Admission { rules, deny_assume_role: true, deny_default_account: true }
    }

    #[test]
    fn the_policies_are_yaml_whatever_the_patterns_are() {
        let roles = RolePatterns::parse("arn:aws:iam::1:role/a'b\\+.*").unwrap();
        let regions = RegionPatterns::parse("eu-*,us-east-1").unwrap();
        let rules = Rules {
            allow_role_arn: true,
            allowed_roles: roles,
            allowed_regions: regions,
            ..Rules::default()
        };
        let text = Admission { deny_assume_role: false, ..admission(rules) }.manifests();
        let mut found = Found::default();
        found.read("policy.yaml", &text);
        let kinds: Vec<String> = found.objects.iter().map(crate::manifests::Object::kind).collect();
        let pair = ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"];
        assert_eq!(kinds, [pair, pair].concat(), "{text}");
        assert!(text.contains(r"matches(r'^(?:arn:aws:iam::1:role/a\x27b\\\+\..*)$')"), "{text}");
        assert!(text.contains("matches(r'^(?:eu-.*|us-east-1)$')"), "{text}");
        assert!(!text.contains("roleArn is not allowed"), "{text}");
    }

    #[test]
    fn without_anything_to_refuse_there_is_no_policy() {
        let rules = Rules { allow_role_arn: true, ..Rules::default() };
        let nothing = Admission { rules, deny_assume_role: false, deny_default_account: false };
        assert_eq!(nothing.manifests(), "");
        let default = Admission { rules: Rules::default(), ..nothing };
        assert!(default.manifests().contains("roleArn is not allowed"));
    }
}
