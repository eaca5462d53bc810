//! The files: manifests, and what AWS's command line prints.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    path::Path,
};

use serde_json::{Value, json};

use super::{AWS_ACCOUNTS, Account, ISSUER, Made, REGION, Subject, namespace};

impl Made {
    /// The manifests, as one YAML text.
    pub(crate) fn manifests(&self) -> String {
        let mut text = String::new();
        for account in &self.accounts {
            let namespace = namespace(account.namespace);
            let annotation = match account.annotated && !account.pod_identity {
                true => format!(", annotations: {{eks.amazonaws.com/role-arn: {:?}}}", account.role),
                false => String::new(),
            };
            let _ = writeln!(
                text,
                "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {}, namespace: {namespace}{annotation}}}",
                account.name
            );
        }
        for (index, class) in self.classes.iter().enumerate() {
            let namespace = namespace(self.accounts[class.account].namespace);
            let _ = writeln!(
                text,
                "---\napiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {{name: {}, namespace: {namespace}}}\nspec:\n  provider: aws\n  parameters:\n    region: {REGION}\n    objects: |",
                class.name
            );
            for (position, secret) in class.secrets.iter().enumerate() {
                let named = if class.by_arn { self.arn(*secret) } else { self.secrets[*secret].name.clone() };
                let kind = if self.secrets[*secret].parameter { "ssmparameter" } else { "secretsmanager" };
                let _ = writeln!(
                    text,
                    "      - objectName: {named:?}\n        objectType: {kind}\n        objectAlias: file-{position}"
                );
            }
            if class.used && self.pods == 0 {
                text.push_str(&self.workload("apps/v1", "Deployment", &class.name, index));
            }
        }
        for pod in 0..self.pods {
            let used: Vec<usize> =
                (0..self.classes.len()).filter(|class| self.classes[*class].used).collect();
            text.push_str(&self.workload("v1", "Pod", &format!("pod-{pod}"), used[pod % used.len()]));
        }
        text
    }

    fn workload(&self, version: &str, kind: &str, name: &str, class: usize) -> String {
        let class = &self.classes[class];
        let account = &self.accounts[class.account];
        let namespace = namespace(account.namespace);
        let spec = format!(
            "{{serviceAccountName: {}, containers: [{{name: main}}], volumes: [{{name: secrets, csi: {{driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {{secretProviderClass: {}}}}}}}]}}",
            account.name, class.name
        );
        let spec = if kind == "Pod" { spec } else { format!("{{template: {{spec: {spec}}}}}") };
        format!(
            "---\napiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
        )
    }

    /// What `aws iam get-account-authorization-details` prints for each AWS account, and
    /// the Pod Identity associations.
    pub(crate) fn iam(&self) -> String {
        let mut roles: BTreeMap<&str, Vec<&Account>> = BTreeMap::new();
        for account in self.accounts.iter().filter(|account| account.role_exists) {
            roles.entry(&account.role).or_default().push(account);
        }
        let mut documents = String::new();
        for aws in AWS_ACCOUNTS {
            let of_account = roles.iter().filter(|(arn, _)| arn.contains(aws));
            let roles: Vec<Value> =
                of_account.clone().map(|(arn, accounts)| self.role(arn, accounts)).collect();
            let policies: Vec<Value> = of_account
                .map(|(arn, accounts)| {
                    let document = self.parameters_policy(accounts);
                    json!({"Arn": arn.replace("role", "policy"), "PolicyVersionList": [
                        {"VersionId": "v1", "IsDefaultVersion": false, "Document": {"Version": "2012-10-17", "Statement": []}},
                        {"VersionId": "v2", "IsDefaultVersion": true, "Document": document}]})
                })
                .collect();
            let _ = writeln!(documents, "{}", json!({"RoleDetailList": roles, "Policies": policies}));
        }
        for account in self.accounts.iter().filter(|account| account.pod_identity) {
            let association = json!({"association": {"namespace": namespace(account.namespace),
                "serviceAccount": account.name, "roleArn": account.role}});
            let _ = writeln!(documents, "{association}");
        }
        documents
    }

    fn role(&self, arn: &str, accounts: &[&Account]) -> Value {
        let trust: Vec<Value> = accounts.iter().map(|account| self.trust(account)).collect();
        let inline = json!({"Version": "2012-10-17", "Statement": self.secret_statements(accounts)});
        json!({
            "Arn": arn,
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": trust},
            "RolePolicyList": [{"PolicyName": "secrets", "PolicyDocument": inline}],
            "AttachedManagedPolicies": [{"PolicyName": "parameters", "PolicyArn": arn.replace("role", "policy")}],
            "Tags": [{"Key": "team", "Value": namespace(accounts[0].namespace)}],
        })
    }

    fn trust(&self, account: &Account) -> Value {
        if account.pod_identity {
            return json!({"Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"},
                "Action": ["sts:AssumeRole", "sts:TagSession"]});
        }
        let space = namespace(account.namespace);
        let (sub, aud) = (format!("{ISSUER}:sub"), format!("{ISSUER}:aud"));
        let exact = format!("system:serviceaccount:{space}:{}", account.name);
        let condition = match account.subject {
            Subject::Exact => json!({"StringEquals": {sub: exact, aud: "sts.amazonaws.com"}}),
            Subject::Pattern => json!({"StringLike": {sub: format!("system:serviceaccount:{space}:*")},
                "StringEquals": {aud: "sts.amazonaws.com"}}),
            Subject::Anybody => json!({"StringEquals": {aud: "sts.amazonaws.com"}}),
            Subject::SomebodyElse => {
                json!({"StringEquals": {sub: format!("{exact}-old"), aud: "sts.amazonaws.com"}})
            }
        };
        json!({"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity", "Condition": condition,
            "Principal": {"Federated": format!("arn:aws:iam::{}:oidc-provider/{ISSUER}", account.aws)}})
    }

    fn secret_statements(&self, accounts: &[&Account]) -> Vec<Value> {
        let mut statements = vec![
            json!({"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}),
            json!({"Effect": "Allow", "Action": ["s3:Get*", "secretsmanager:ListSecrets", "kms:Encrypt"], "Resource": "*"}),
            json!({"Effect": "Deny", "NotAction": ["secretsmanager:*", "ssm:Get*", "kms:*", "s3:*"], "Resource": "*"}),
        ];
        for account in accounts {
            for (secret, condition) in &account.grants {
                if self.secrets[*secret].parameter {
                    continue;
                }
                let mut statement = json!({"Effect": "Allow", "Resource": self.arn(*secret),
                    "Action": ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]});
                if let Some(condition) = condition {
                    statement["Condition"] = condition.clone();
                }
                statements.push(statement);
            }
            for pattern in &account.patterns {
                statements.push(
                    json!({"Effect": "Allow", "Action": "secretsmanager:getsecret*", "Resource": pattern}),
                );
            }
        }
        statements.extend(self.key_statements(accounts));
        statements
    }

    fn key_statements(&self, accounts: &[&Account]) -> Vec<Value> {
        // A pattern reaches its neighbours' secrets; so that it reads them, so must the key.
        let by_pattern =
            accounts.iter().any(|account| account.patterns.iter().any(|pattern| pattern.ends_with("/*")));
        if by_pattern {
            return vec![json!({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*",
                "Condition": {"StringLike": {"kms:ViaService": "*.amazonaws.com"}}})];
        }
        let granted = accounts.iter().flat_map(|account| account.grants.keys());
        let keys: BTreeSet<&String> =
            granted.filter_map(|secret| self.secrets[*secret].key.as_ref()).collect();
        let statement = |key: &String| {
            json!({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": key, "Condition": {"StringEquals": {
                "kms:ViaService": [format!("secretsmanager.{REGION}.amazonaws.com"), format!("ssm.{REGION}.amazonaws.com")]}}})
        };
        keys.into_iter().map(statement).collect()
    }

    fn parameters_policy(&self, accounts: &[&Account]) -> Value {
        let mut statements =
            vec![json!({"Effect": "Allow", "Action": "ssm:DescribeParameters", "Resource": "*"})];
        for account in accounts {
            for (secret, condition) in &account.grants {
                if !self.secrets[*secret].parameter {
                    continue;
                }
                let mut statement = json!({"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": [self.arn(*secret)]});
                if let Some(condition) = condition {
                    statement["Condition"] = condition.clone();
                }
                statements.push(statement);
            }
        }
        json!({"Version": "2012-10-17", "Statement": statements})
    }

    /// What lists the secrets and parameters, with some resource policies.
    pub(crate) fn lists(&self) -> String {
        let listed = || self.secrets.iter().enumerate().filter(|(_, secret)| secret.listed);
        let secrets = listed().filter(|(_, secret)| !secret.parameter).map(|(index, secret)| {
            let mut entry = json!({"ARN": self.arn(index), "Name": secret.name, "LastAccessedDate": "2026-11-20T01:00:00+01:00",
                "Tags": [{"Key": "team", "Value": namespace(self.accounts[secret.owner].namespace)}]});
            if let Some(key) = &secret.key {
                entry["KmsKeyId"] = json!(key);
            }
            entry
        });
        let parameters = listed().filter(|(_, secret)| secret.parameter).map(|(index, secret)| {
            let key = secret.key.as_deref().unwrap_or("alias/aws/ssm");
            json!({"Name": secret.name, "ARN": self.arn(index), "Type": "SecureString", "KeyId": key})
        });
        let mut documents = format!(
            "{}\n{}\n",
            json!({"SecretList": secrets.collect::<Vec<_>>()}),
            json!({"Parameters": parameters.collect::<Vec<_>>()})
        );
        for (index, secret) in listed().filter(|(index, secret)| !secret.parameter && index % 7 == 0) {
            let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "secretsmanager:*",
                "Resource": "*", "Principal": {"AWS": format!("arn:aws:iam::{}:role/operator", self.accounts[secret.owner].aws)}}]});
            let answer =
                json!({"ARN": self.arn(index), "Name": secret.name, "ResourcePolicy": policy.to_string()});
            let _ = writeln!(documents, "{answer}");
        }
        documents
    }

    /// Writes the manifests, `iam.json` and `secrets.json` into a folder.
    pub(crate) fn write(&self, folder: &Path) {
        std::fs::create_dir_all(folder.join("manifests")).unwrap();
        std::fs::write(folder.join("manifests/all.yaml"), self.manifests()).unwrap();
        std::fs::write(folder.join("iam.json"), self.iam()).unwrap();
        std::fs::write(folder.join("secrets.json"), self.lists()).unwrap();
    }
}
