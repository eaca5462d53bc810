//! Trust policies: who may assume a role.

use std::collections::BTreeMap;

use super::write::{Document, WrittenStatement, allow};
use crate::model::{arn::RoleArn, principal::ExternalId};

/// The service that EKS Pod Identity's sessions come from.
const PODS: &str = "pods.eks.amazonaws.com";
/// The audience of a service account's token for STS.
const AUDIENCE: &str = "sts.amazonaws.com";

/// The OpenID Connect issuer of a cluster, as IAM names it: without `https://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcProvider(String);

/// The ARN of an EKS cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterArn {
    arn: String,
    account: String,
}

impl OidcProvider {
    /// Takes the issuer's URL, with or without `https://`, or the provider's ARN.
    ///
    /// # Errors
    /// A sentence, if it is neither.
    pub fn parse(text: &str) -> Result<Self, String> {
        let name = match text.split_once(":oidc-provider/") {
            Some((arn, name)) if arn.starts_with("arn:") => name,
            Some(_) | None => text.strip_prefix("https://").unwrap_or(text),
        };
        let name = name.trim_end_matches('/');
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/~%".contains(c);
        if name.is_empty()
            || !name.split('/').next().is_some_and(|host| host.contains('.'))
            || !name.chars().all(allowed)
        {
            return Err("expected the cluster's issuer, such as https://oidc.eks.eu-central-1.amazonaws.com/id/0123ABCD (aws eks describe-cluster --query cluster.identity.oidc.issuer)".to_owned());
        }
        Ok(Self(name.to_owned()))
    }

    pub fn arn(&self, partition: &str, account: &str) -> String {
        format!("arn:{partition}:iam::{account}:oidc-provider/{}", self.0)
    }

    /// The condition key of a claim of the token.
    pub fn key(&self, claim: &str) -> String {
        format!("{}:{claim}", self.0)
    }
}

impl ClusterArn {
    pub fn arn(&self) -> &str {
        &self.arn
    }

    pub fn account(&self) -> &str {
        &self.account
    }

    /// # Errors
    /// A sentence, if `text` is not the ARN of a cluster.
    pub fn parse(text: &str) -> Result<Self, String> {
        let arn = crate::model::arn::Arn::parse(text);
        match arn.filter(|arn| arn.service == "eks" && arn.resource.starts_with("cluster/")) {
            Some(arn) => Ok(Self { arn: text.to_owned(), account: arn.account.to_owned() }),
            None => Err("expected arn:aws:eks:REGION:ACCOUNT:cluster/NAME".to_owned()),
        }
    }
}

/// Trusts the tokens of one service account (IRSA).
pub fn for_token(
    provider: &OidcProvider,
    partition: &str,
    account: &str,
    (namespace, name): (&str, &str),
) -> Document {
    let claims = BTreeMap::from([
        (provider.key("aud"), vec![AUDIENCE.to_owned()]),
        (provider.key("sub"), vec![format!("system:serviceaccount:{namespace}:{name}")]),
    ]);
    Document::of(vec![WrittenStatement {
        principal: BTreeMap::from([("Federated", provider.arn(partition, account))]),
        action: vec!["sts:AssumeRoleWithWebIdentity"],
        condition: BTreeMap::from([("StringEquals", claims)]),
        ..allow("ServiceAccount".to_owned())
    }])
}

/// Trusts EKS Pod Identity; of `cluster` only, if it is given.
pub fn for_pod_identity(cluster: Option<&ClusterArn>) -> Document {
    let condition = cluster.map_or_else(BTreeMap::new, |cluster| {
        let of = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), vec![value.to_owned()])]);
        BTreeMap::from([
            ("ArnEquals", of("aws:SourceArn", &cluster.arn)),
            ("StringEquals", of("aws:SourceAccount", &cluster.account)),
        ])
    });
    Document::of(vec![WrittenStatement {
        principal: BTreeMap::from([("Service", PODS.to_owned())]),
        action: vec!["sts:AssumeRole", "sts:TagSession"],
        condition,
        ..allow("PodIdentity".to_owned())
    }])
}

/// Trusts another role, whose sessions may have tags.
pub fn for_role(role: &RoleArn, external_id: Option<&ExternalId>, tags: bool) -> Document {
    let condition = external_id.map_or_else(BTreeMap::new, |id| {
        let key = BTreeMap::from([("sts:ExternalId".to_owned(), vec![id.as_str().to_owned()])]);
        BTreeMap::from([("StringEquals", key)])
    });
    let trust = |sid: &str, action, condition| WrittenStatement {
        principal: BTreeMap::from([("AWS", role.as_str().to_owned())]),
        action,
        condition,
        ..allow(sid.to_owned())
    };
    let mut statements = vec![trust("AssumeRole", vec!["sts:AssumeRole"], condition)];
    if tags {
        // sts:ExternalId belongs to AssumeRole only.
        statements.push(trust("TagSession", vec!["sts:TagSession"], BTreeMap::new()));
    }
    Document::of(statements)
}
