//! What is read is encrypted with customer managed keys: the policy must allow exactly the
//! calls of `kms:Decrypt` that Secrets Manager and Parameter Store make for the reads.

use std::collections::BTreeSet;

use latchkey::{iam::KmsKey, policy::AccountPlan};
use serde_json::Value;

use super::{
    ministack::Question,
    seen::{Seen, documents, question, role_of, without_one},
};

/// A call of KMS that a service makes as the role, in the terms of AWS's pages:
/// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html>,
/// <https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html>
#[derive(Clone, Debug, PartialEq)]
struct Decrypt {
    action: &'static str,
    key: String,
    via_service: Option<String>,
    /// Key and value of the encryption context.
    context: Option<(&'static str, String)>,
}

/// One customer managed key in each account and Region that is read from.
pub(super) fn keys(calls: &BTreeSet<Seen>) -> Vec<KmsKey> {
    let keys: BTreeSet<String> = calls.iter().filter_map(decrypt).map(|call| call.key).collect();
    keys.iter().map(|key| KmsKey::parse(key).unwrap()).collect()
}

/// Questions for MiniStack about the plan with these keys, each with whether it must allow
/// the call.
pub(super) fn decrypt_questions(plan: &AccountPlan, calls: &BTreeSet<Seen>) -> Vec<(Question, bool)> {
    let mut questions = Vec::new();
    for call in calls {
        let Some(decrypt) = decrypt(call) else { continue };
        let of_role = calls.iter().filter(|other| other.role == call.role);
        let needed: Vec<Decrypt> = of_role.filter_map(self::decrypt).collect();
        let documents = documents(role_of(plan, &call.role));
        questions.push((ask(call, &documents, &decrypt), true));
        for other in different(&decrypt) {
            // The keys of a Region may decrypt all that is read there.
            let region = |key: &str| key.split(':').nth(3).unwrap().to_owned();
            let is_key = needed.iter().any(|need| need.key == other.key);
            let mut needed = needed.iter().filter(|need| region(&need.key) == region(&other.key));
            let is_read = needed.any(|need| Decrypt { key: other.key.clone(), ..need.clone() } == other);
            questions.push((ask(call, &documents, &other), is_key && is_read));
        }
        for (others, removed) in without_one(&documents) {
            let service =
                if call.action.starts_with("ssm:") { "DecryptParameters" } else { "DecryptSecrets" };
            let region = call.resource.split(':').nth(3).unwrap();
            let sid = removed["Sid"].as_str().unwrap();
            let of_call =
                sid.starts_with(service) && removed["Resource"].to_string().contains(&format!(":{region}:"));
            questions.push((ask(call, &others, &decrypt), !of_call));
        }
    }
    questions
}

/// The call of KMS that follows from a read.
fn decrypt(call: &Seen) -> Option<Decrypt> {
    let (service, context) = match call.action {
        "secretsmanager:GetSecretValue" => ("secretsmanager", "kms:EncryptionContext:SecretARN"),
        "ssm:GetParameters" => ("ssm", "kms:EncryptionContext:PARAMETER_ARN"),
        _ => return None,
    };
    let parts: Vec<&str> = call.resource.split(':').collect();
    let (region, account) = (parts[3], parts[4]);
    Some(Decrypt {
        action: "kms:Decrypt",
        key: format!("arn:aws:kms:{region}:{account}:key/0ddc0ffe"),
        via_service: Some(format!("{service}.{region}.amazonaws.com")),
        context: Some((context, call.resource.clone())),
    })
}

/// Calls that are nearly the same.
fn different(call: &Decrypt) -> Vec<Decrypt> {
    let (key, arn) = call.context.clone().unwrap();
    let via = call.via_service.clone().unwrap();
    let with_via = |via: Option<String>| Decrypt { via_service: via, ..call.clone() };
    let with_context = |key, arn: String| Decrypt { context: Some((key, arn)), ..call.clone() };
    let other_key = if key.ends_with("SecretARN") {
        "kms:EncryptionContext:PARAMETER_ARN"
    } else {
        "kms:EncryptionContext:SecretARN"
    };
    vec![
        Decrypt { action: "kms:Encrypt", ..call.clone() },
        Decrypt { action: "kms:GenerateDataKey", ..call.clone() },
        Decrypt { key: format!("{}x", call.key), ..call.clone() },
        Decrypt { key: call.key.replace("us-east-1", "eu-west-3"), ..call.clone() },
        // The role itself asks KMS.
        with_via(None),
        with_via(Some(via.replace("secretsmanager.", "s3.").replace("ssm.", "s3."))),
        with_via(Some(via.replace(".amazonaws", ".example"))),
        Decrypt { context: None, ..call.clone() },
        with_context(other_key, arn.clone()),
        with_context(key, format!("{arn}x")),
        with_context(key, arn.replace(crate::harness::ACCOUNT, "999999999999")),
        with_context(key, arn.replace("-AbCdEf", "-extra-AbCdEf")),
        with_context(key, arn.to_uppercase()),
    ]
    .into_iter()
    .filter(|other| other != call)
    .collect()
}

fn ask(call: &Seen, policies: &[Value], decrypt: &Decrypt) -> Question {
    let mut question = question(call, policies, decrypt.action, &decrypt.key);
    let Decrypt { via_service, context, .. } = decrypt;
    let via = via_service.iter().map(|via| ("kms:ViaService".to_owned(), vec![via.clone()]));
    let context = context.iter().map(|(key, arn)| ((*key).to_owned(), vec![arn.clone()]));
    question.context.extend(via.chain(context));
    question
}
