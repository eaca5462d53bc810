//! The decisions of room `iam` and of MiniStack about random policies.

use std::collections::BTreeMap;

use latchkey::{
    iam::{Answer, Caller, Context, Denial, Policies, Policy, Request, ResourcePolicy},
    model::arn::RoleArn,
};
use serde_json::{Map, Value, json};

use super::{
    ministack::{Question, decide},
    random::Random,
};

const ROLE: &str = "arn:aws:iam::111122223333:role/web";
const SESSION: &str = "arn:aws:sts::111122223333:assumed-role/web/pod";
const ACTIONS: [&str; 4] =
    ["secretsmanager:GetSecretValue", "ssm:GetParameters", "kms:Decrypt", "secretsmanager:PutSecretValue"];
const ACTION_PATTERNS: [&str; 9] = [
    "secretsmanager:GetSecretValue",
    "SecretsManager:getsecretvalue",
    "secretsmanager:*",
    "secretsmanager:Get*",
    "ssm:GetParameter?",
    "ssm:*",
    "kms:Decrypt",
    "*",
    "*:Get*",
];
const RESOURCES: [&str; 5] = [
    "arn:aws:secretsmanager:us-east-1:111122223333:secret:shop/db-AbCdEf",
    "arn:aws:secretsmanager:us-east-1:111122223333:secret:shop/db-extra-AbCdEf",
    "arn:aws:ssm:us-west-2:111122223333:parameter/shop/level",
    "arn:aws:kms:us-east-1:111122223333:key/1",
    "arn:aws:secretsmanager:us-east-1:222233334444:secret:partner/api-XyZaBc",
];
const RESOURCE_PATTERNS: [&str; 10] = [
    "*",
    "arn:aws:secretsmanager:us-east-1:111122223333:secret:shop/db-??????",
    "arn:aws:secretsmanager:us-east-1:111122223333:secret:shop/db-*",
    "arn:aws:secretsmanager:*:*:secret:shop/*",
    "arn:aws:secretsmanager:us-east-1:111122223333:secret:SHOP/db-??????",
    "arn:aws:ssm:*:111122223333:parameter/shop/*",
    "arn:aws:kms:us-east-1:111122223333:key/1",
    "arn:*:partner/*",
    "arn:aws:secretsmanager:us-?ast-1:*",
    "*AbCdEf",
];
/// Keys, the values that requests have, and those that conditions have.
const KEYS: [(&str, &[&str], &[&str]); 9] = [
    ("aws:PrincipalTag/team", &["shop", "Shop", "bank"], &["shop", "SHOP", "s*p", "ban?", "*"]),
    ("aws:SourceVpce", &["vpce-1", "vpce-2"], &["vpce-1", "vpce-*"]),
    ("kms:ViaService", &["ssm.us-west-2.amazonaws.com"], &["ssm.us-west-2.amazonaws.com", "ssm.*"]),
    ("kms:EncryptionContext:SecretARN", &[RESOURCES[0]], &[RESOURCES[0], "arn:aws:*:secret:shop/*"]),
    (
        "aws:SourceIp",
        &["203.0.113.9", "198.51.100.1", "2001:db8::1"],
        &["203.0.113.0/24", "2001:db8::/32", "198.51.100.1"],
    ),
    ("aws:MultiFactorAuthPresent", &["true", "false"], &["true", "false", "True"]),
    ("aws:MultiFactorAuthAge", &["10", "3600"], &["10", "60.5", "3600"]),
    (
        "aws:TokenIssueTime",
        &["2026-01-01T00:00:00Z", "2026-06-01T12:00:00Z"],
        &["2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z"],
    ),
    ("aws:ResourceAccount", &[], &["111122223333", "222233334444", "1*"]),
];
const STRINGS: [&str; 6] = [
    "StringEquals",
    "StringNotEquals",
    "StringLike",
    "StringNotLike",
    "StringEqualsIgnoreCase",
    "StringNotEqualsIgnoreCase",
];
const NUMBERS: [&str; 6] =
    ["Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"];

fn one_or_several(random: &mut Random, from: &[&str]) -> Value {
    let count = 1 + random.below(3);
    let picked: Vec<Value> = (0..count).map(|_| Value::from(random.pick(from))).collect();
    if picked.len() == 1 && random.one_in(2) { picked[0].clone() } else { Value::from(picked) }
}

fn operator(random: &mut Random, key: &str) -> String {
    let base = match key {
        "aws:SourceIp" => random.pick(&["IpAddress", "NotIpAddress"]).to_owned(),
        "aws:MultiFactorAuthPresent" => "Bool".to_owned(),
        "aws:MultiFactorAuthAge" => format!("Numeric{}", random.pick(&NUMBERS)),
        "aws:TokenIssueTime" => format!("Date{}", random.pick(&NUMBERS)),
        "kms:EncryptionContext:SecretARN" if random.one_in(2) => {
            random.pick(&["ArnLike", "ArnEquals", "ArnNotLike", "ArnNotEquals"]).to_owned()
        }
        _ => random.pick(&STRINGS).to_owned(),
    };
    let set = if random.one_in(4) { random.pick(&["ForAllValues:", "ForAnyValue:"]) } else { "" };
    format!("{set}{base}{}", if random.one_in(4) { "IfExists" } else { "" })
}

fn conditions(random: &mut Random) -> Value {
    let mut conditions = Map::new();
    for _ in 0..1 + random.below(2) {
        let (key, _, values) = KEYS[random.below(KEYS.len())];
        let (operator, values) = if random.one_in(8) {
            ("Null".to_owned(), Value::from(random.pick(&["true", "false"])))
        } else {
            (operator(random, key), one_or_several(random, values))
        };
        let keys = conditions.entry(operator).or_insert_with(|| json!({}));
        keys[key] = values;
    }
    Value::Object(conditions)
}

fn statement(random: &mut Random) -> Value {
    let effect = if random.one_in(4) { "Deny" } else { "Allow" };
    let action = if random.one_in(8) { "NotAction" } else { "Action" };
    let resource = if random.one_in(8) { "NotResource" } else { "Resource" };
    let mut statement = json!({
        "Effect": effect,
        action: one_or_several(random, &ACTION_PATTERNS),
        resource: one_or_several(random, &RESOURCE_PATTERNS),
    });
    if random.one_in(2) {
        statement["Condition"] = conditions(random);
    }
    statement
}

fn policy(random: &mut Random) -> Value {
    let statements: Vec<Value> = (0..1 + random.below(3)).map(|_| statement(random)).collect();
    let one = statements.len() == 1 && random.one_in(2);
    let statements = if one { statements[0].clone() } else { Value::from(statements) };
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn resource_policy(random: &mut Random) -> Value {
    let mut policy = policy(random);
    let principals = [
        json!("*"),
        json!({"AWS": "*"}),
        json!({"AWS": ROLE}),
        json!({"AWS": SESSION}),
        json!({"AWS": ["111122223333", "222233334444"]}),
        json!({"AWS": "arn:aws:iam::111122223333:root"}),
        json!({"AWS": "arn:aws:iam::222233334444:root"}),
        json!({"AWS": "arn:aws:iam::111122223333:role/other"}),
    ];
    let name = |statement: &mut Value, random: &mut Random| {
        statement["Principal"] = principals[random.below(principals.len())].clone();
    };
    match &mut policy["Statement"] {
        Value::Array(statements) => statements.iter_mut().for_each(|statement| name(statement, random)),
        statement => name(statement, random),
    }
    policy
}

fn question(random: &mut Random) -> Question {
    let resource = random.pick(&RESOURCES).to_owned();
    let owner = resource.split(':').nth(4).unwrap().to_owned();
    let mut context = BTreeMap::new();
    for (key, values, _) in KEYS.iter().filter(|(_, values, _)| !values.is_empty()) {
        if !random.one_in(3) {
            context.insert((*key).to_owned(), vec![random.pick(values).to_owned()]);
        }
    }
    let limits = (0..2).filter(|_| random.one_in(4)).count();
    Question {
        policies: (0..1 + random.below(2)).map(|_| policy(random)).collect(),
        limits: (0..limits).map(|_| vec![policy(random)]).collect(),
        resource_policy: random.one_in(2).then(|| resource_policy(random)),
        required: random.one_in(3),
        owner,
        trust: None,
        principal: SESSION.to_owned(),
        account: "111122223333".to_owned(),
        action: random.pick(&ACTIONS).to_owned(),
        resource,
        context,
    }
}

/// What room `iam` answers.
fn ours(question: &Question) -> &'static str {
    let parse = |policy: &Value| Policy::parse(&policy.to_string()).unwrap();
    let identity: Vec<Policy> = question.policies.iter().map(parse).collect();
    let limits: Vec<Vec<Policy>> =
        question.limits.iter().map(|layer| layer.iter().map(parse).collect()).collect();
    let resource = question.resource_policy.as_ref().map(parse);
    let mut context = Context::default().with("aws:SecureTransport", "true");
    for (key, values) in &question.context {
        context = context.with_all(key, values.iter().map(String::as_str));
    }
    let arn = RoleArn::parse(ROLE).unwrap();
    let caller = Caller::Role { arn, session: Some("pod".to_owned()) };
    let request = Request::new(caller, &question.action, &question.resource, context.complete());
    let policies = Policies {
        identity: &identity,
        boundary: limits.first().map(|layer| &layer[0]),
        session: limits.get(1).map(Vec::as_slice),
        resource: resource.as_ref().map_or(ResourcePolicy::None, ResourcePolicy::Known),
        // MiniStack knows no key or role without a policy.
        resource_must_allow: question.required && resource.is_some(),
    };
    match policies.decide(&request) {
        Answer::Allowed => "Allow",
        Answer::Denied(Denial::Explicit { .. }) => "Deny",
        Answer::Denied(Denial::NotAllowed { .. }) => "ImplicitDeny",
        Answer::Depends(keys) => panic!("everything is known, and it depends on {keys:?}: {question:?}"),
    }
}

#[test]
fn ministack_decides_the_same_about_thousands_of_random_policies() {
    let mut random = Random::new(13);
    let questions: Vec<Question> = (0..4000)
        .map(|_| question(&mut random))
        // Without a policy of the resource MiniStack lets no other account's resource be used.
        .filter(|question| question.resource_policy.is_some() || question.owner == question.account)
        .collect();
    let Some(answers) = decide(&questions) else { return };
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut different = Vec::new();
    for (question, theirs) in questions.iter().zip(&answers) {
        let ours = ours(question);
        *counts.entry(ours).or_default() += 1;
        if ours != theirs {
            different.push(format!(
                "here {ours}, MiniStack {theirs}: {}",
                serde_json::to_string(question).unwrap()
            ));
        }
    }
    assert!(
        different.is_empty(),
        "{} of {}:\n{}",
        different.len(),
        questions.len(),
        different[..different.len().min(5)].join("\n")
    );
    for (answer, least) in [("Allow", 200), ("Deny", 200), ("ImplicitDeny", 500)] {
        assert!(counts.get(answer).is_some_and(|count| *count > least), "too few {answer}: {counts:?}");
    }
}
