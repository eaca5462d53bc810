//! Sorts the answers of AWS's command line by their keys.

use serde_json::Value;

use super::{Association, Knowledge, KnowledgeError, Listed, list, roles::policy, tags, text};
use crate::{
    access::secret_id::SecretId,
    findings::{FilePlace, Place},
    model::reference::Service,
};

impl Knowledge {
    /// Adds a document. Whether it was of any use.
    pub(super) fn add(&mut self, file: &str, document: &Value) -> Result<bool, KnowledgeError> {
        if let Value::Array(documents) = document {
            let mut known = false;
            for document in documents {
                known |= self.add(file, document)?;
            }
            return Ok(known);
        }
        let mut known = false;
        if document.get("RoleDetailList").is_some() {
            self.add_roles(file, document);
            known = true;
        }
        if document.get("SecretList").is_some() {
            list(document, "SecretList").iter().for_each(|secret| self.add_secret(secret));
            known = true;
        }
        if document.get("Parameters").is_some() {
            list(document, "Parameters").iter().for_each(|parameter| self.add_parameter(parameter));
            known = true;
        }
        if let Some(association) = document.get("association") {
            known |= self.add_association(file, association);
        }
        if let Some(arn) = text(document, "ARN").filter(|arn| SecretId::of_arn(arn).is_some()) {
            let policy = self.owned_policy(file, arn, document.get("ResourcePolicy"))?;
            self.resource_policies.insert(arn.to_owned(), policy);
            known = true;
        }
        if let (Some(key), Some(_)) = (text(document, "KeyId"), document.get("Policy")) {
            if let Some(policy) = self.owned_policy(file, key, document.get("Policy"))? {
                self.key_policies.insert(key.to_owned(), policy);
            }
            known = true;
        }
        Ok(known)
    }

    fn owned_policy(
        &self,
        file: &str,
        owner: &str,
        document: Option<&Value>,
    ) -> Result<Option<crate::iam::Policy>, KnowledgeError> {
        let policy = document.filter(|document| !document.is_null()).map(|document| policy(owner, document));
        policy.transpose().map_err(|source| {
            let (file, owner) = (file.to_owned(), owner.to_owned());
            KnowledgeError::Policy { file, owner, source }
        })
    }

    fn add_secret(&mut self, secret: &Value) {
        let Some(arn) = text(secret, "ARN") else { return };
        let Some(mut id) = SecretId::of_arn(arn) else { return };
        if let Some(name) = text(secret, "Name") {
            name.clone_into(&mut id.name);
        }
        // A date without its time: AWS reports no more for the last read.
        let last_read = secret.get("LastAccessedDate").and_then(|date| match date {
            Value::String(text) => Some(text.chars().take(10).collect()),
            _ => None,
        });
        self.secrets.insert(
            id,
            Listed {
                arn: arn.to_owned(),
                key: text(secret, "KmsKeyId").filter(|key| !is_of_service(key)).map(str::to_owned),
                tags: Some(tags(secret).unwrap_or_default()),
                last_read,
            },
        );
    }

    fn add_parameter(&mut self, parameter: &Value) {
        let Some(name) = text(parameter, "Name") else { return };
        let id = match text(parameter, "ARN").and_then(|arn| Some((arn, SecretId::of_arn(arn)?))) {
            Some((_, id)) => id,
            None => {
                let (service, name) = (Service::ParameterStore, name.to_owned());
                SecretId { service, name, region: String::new(), account: String::new() }
            }
        };
        let arn = text(parameter, "ARN").unwrap_or_default().to_owned();
        let key = text(parameter, "KeyId").filter(|key| !is_of_service(key)).map(str::to_owned);
        self.secrets.insert(id, Listed { arn, key, tags: None, last_read: None });
    }

    fn add_association(&mut self, file: &str, association: &Value) -> bool {
        let of = |key| text(association, key).map(str::to_owned);
        match (of("namespace"), of("serviceAccount"), of("roleArn")) {
            (Some(namespace), Some(service_account), Some(role_arn)) => {
                let target_role_arn = of("targetRoleArn");
                let file = FilePlace { file: file.to_owned(), ..FilePlace::default() };
                let place = Place { file: Some(file), object: None };
                self.associations.push(Association {
                    place,
                    namespace,
                    service_account,
                    role_arn,
                    target_role_arn,
                });
                true
            }
            _ => false,
        }
    }
}

/// Whether the key is the one that AWS keeps for the service. Its policy allows everybody
/// who may read the secret.
fn is_of_service(key: &str) -> bool {
    key.ends_with("alias/aws/secretsmanager") || key.ends_with("alias/aws/ssm")
}
