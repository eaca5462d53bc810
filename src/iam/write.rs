//! Writes the least policies: one statement for each kind of call, split into documents
//! that IAM accepts.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::needs::Need;
use crate::model::{
    arn::{Arn, Region, RoleArn},
    reference::Service,
};

/// Maximum size of a managed policy, in characters without white space:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
pub const MAX_MANAGED_POLICY: usize = 6144;

/// A policy document, in the order in which people write its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Document {
    #[serde(rename = "Version")]
    version: &'static str,
    #[serde(rename = "Statement")]
    pub statements: Vec<WrittenStatement>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct WrittenStatement {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sid: String,
    pub effect: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub principal: BTreeMap<&'static str, String>,
    pub action: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource: Vec<String>,
    /// Operator, key, values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub condition: BTreeMap<&'static str, BTreeMap<String, Vec<String>>>,
}

/// What a role must be allowed.
#[derive(Clone, Debug, Default)]
pub struct Grants<'a> {
    pub reads: BTreeSet<&'a Need>,
    /// KMS keys that encrypt what is read.
    pub keys: &'a [KmsKey],
    /// Roles to assume.
    pub roles: BTreeSet<&'a RoleArn>,
    /// Whether the session has tags, which `sts:TagSession` allows to pass on.
    pub tags: bool,
}

/// The ARN of a KMS key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KmsKey {
    arn: String,
    region: String,
}

impl KmsKey {
    /// # Errors
    /// A sentence, if `text` is not the ARN of a key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let arn = Arn::parse(text).filter(|arn| arn.service == "kms");
        match arn {
            Some(arn) if arn.resource.starts_with("alias/") => Err(
                "an alias cannot be the resource of kms:Decrypt; give the key's ARN (aws kms describe-key --key-id alias/NAME)"
                    .to_owned(),
            ),
            Some(arn) if arn.resource.starts_with("key/") && !text.contains(['*', '?', '$']) => {
                Ok(Self { arn: text.to_owned(), region: arn.region.to_owned() })
            }
            Some(_) | None => Err("expected arn:aws:kms:REGION:ACCOUNT:key/ID".to_owned()),
        }
    }

    pub fn region(&self) -> &str {
        &self.region
    }

    pub fn arn(&self) -> &str {
        &self.arn
    }
}

impl Document {
    pub fn of(statements: Vec<WrittenStatement>) -> Self {
        Self { version: "2012-10-17", statements }
    }

    /// Its size as IAM counts it.
    pub fn size(&self) -> usize {
        self.compact().chars().filter(|c| !c.is_whitespace()).count()
    }

    /// As JSON on one line.
    pub fn compact(&self) -> String {
        // Texts and lists can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The documents that grant no more than this: one, unless it would be too large. None if
/// there is nothing to grant.
pub fn documents(grants: &Grants<'_>) -> Vec<Document> {
    let mut documents: Vec<Document> = Vec::new();
    for statement in statements(grants) {
        let mut rest = statement;
        loop {
            let mut last = match documents.pop() {
                Some(last) => last,
                None => Document::of(Vec::new()),
            };
            let fitting = fitting(&last, &rest);
            if fitting == rest.split_len() {
                last.statements.push(rest);
                documents.push(last);
                break;
            }
            // A document with nothing in it takes at least one resource.
            let fitting = if last.statements.is_empty() { fitting.max(1) } else { fitting };
            if fitting > 0 {
                let (first, others) = rest.split_at(fitting);
                last.statements.push(first);
                rest = others;
            }
            documents.push(last);
            documents.push(Document::of(Vec::new()));
        }
    }
    documents.retain(|document| !document.statements.is_empty());
    documents
}

/// How many of the statement's values fit into the document.
fn fitting(document: &Document, statement: &WrittenStatement) -> usize {
    let fits = |count: usize| {
        let mut larger = document.clone();
        larger.statements.push(statement.split_at(count).0);
        larger.size() <= MAX_MANAGED_POLICY
    };
    let (mut low, mut high) = (0, statement.split_len());
    while low < high {
        let middle = (low + high).div_ceil(2);
        if fits(middle) { low = middle } else { high = middle - 1 }
    }
    low
}

impl WrittenStatement {
    /// The list that is split: the values of the encryption context, or the resources.
    fn split_list(&mut self) -> &mut Vec<String> {
        let Self { condition, resource, .. } = self;
        let values = condition.values_mut().flat_map(BTreeMap::iter_mut);
        let context = values.filter(|(key, _)| key.starts_with(CONTEXT)).map(|(_, values)| values).next();
        context.unwrap_or(resource)
    }

    fn split_len(&self) -> usize {
        self.clone().split_list().len()
    }

    fn split_at(&self, count: usize) -> (Self, Self) {
        let (mut first, mut others) = (self.clone(), self.clone());
        *others.split_list() = first.split_list().split_off(count);
        (first, others)
    }
}

/// The encryption context that the services send to KMS with every value:
/// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html>,
/// <https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html>
const CONTEXT: &str = "kms:EncryptionContext:";

fn statements(grants: &Grants<'_>) -> Vec<WrittenStatement> {
    let mut statements = Vec::new();
    for (service, sid) in
        [(Service::SecretsManager, "ReadSecrets"), (Service::ParameterStore, "ReadParameters")]
    {
        let of_service: Vec<&Need> =
            grants.reads.iter().copied().filter(|need| need.service == service).collect();
        if let Some(first) = of_service.first() {
            statements.push(WrittenStatement {
                action: vec![first.action()],
                resource: of_service.iter().map(|need| need.resource.clone()).collect(),
                ..allow(sid.to_owned())
            });
        }
    }
    statements.extend(decrypt(grants));
    if !grants.roles.is_empty() {
        let action =
            if grants.tags { vec!["sts:AssumeRole", "sts:TagSession"] } else { vec!["sts:AssumeRole"] };
        let resource = grants.roles.iter().map(|role| role.as_str().to_owned()).collect();
        statements.push(WrittenStatement { action, resource, ..allow("AssumeRoles".to_owned()) });
    }
    statements
}

/// `kms:Decrypt`, only through the service and only for what is read. A key decrypts only
/// what is in its own Region.
fn decrypt(grants: &Grants<'_>) -> Vec<WrittenStatement> {
    let mut keys: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for key in grants.keys {
        keys.entry(&key.region).or_default().insert(&key.arn);
    }
    let mut statements = Vec::new();
    for (region, keys) in keys {
        for (service, name, sid, key) in [
            (Service::SecretsManager, "secretsmanager", "DecryptSecrets", "SecretARN"),
            (Service::ParameterStore, "ssm", "DecryptParameters", "PARAMETER_ARN"),
        ] {
            let of_region = |need: &&&Need| need.service == service && need.region == region;
            let read: Vec<String> =
                grants.reads.iter().filter(of_region).map(|need| need.resource.clone()).collect();
            if read.is_empty() {
                continue;
            }
            let wild = read.iter().any(|resource| resource.contains(['*', '?']));
            let mut condition: BTreeMap<&'static str, BTreeMap<String, Vec<String>>> = BTreeMap::new();
            let context = condition.entry(if wild { "StringLike" } else { "StringEquals" }).or_default();
            context.insert(format!("{CONTEXT}{key}"), read);
            let via = condition.entry("StringEquals").or_default();
            via.insert("kms:ViaService".to_owned(), via_service(name, region));
            statements.push(WrittenStatement {
                action: vec!["kms:Decrypt"],
                resource: keys.iter().map(|key| (*key).to_owned()).collect(),
                condition,
                ..allow(format!("{sid}In{}", words(region)))
            });
        }
    }
    statements
}

/// How KMS names the service that asks. In China AWS's pages show both domains, which are
/// the same service.
fn via_service(name: &str, region: &str) -> Vec<String> {
    let china = Region::parse(region).is_some_and(|region| region.partition() == "aws-cn");
    let domains: &[&str] = if china { &["amazonaws.com", "amazonaws.com.cn"] } else { &["amazonaws.com"] };
    domains.iter().map(|domain| format!("{name}.{region}.{domain}")).collect()
}

/// A Region as a part of a Sid, which has only letters and digits: `EuCentral1`.
fn words(region: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    region.split('-').map(word).collect()
}

pub(super) fn allow(sid: String) -> WrittenStatement {
    WrittenStatement { sid, effect: "Allow", ..WrittenStatement::default() }
}
