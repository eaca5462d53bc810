//! The cases of AWS's documentation.

mod conditions;
mod reading;

use serde_json::{Value, json};

use super::*;
use crate::model::arn::RoleArn;

const ROLE: &str = "arn:aws:iam::111122223333:role/apps/shop";
const SECRET: &str = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/db-AbCdEf";
const READ: &str = "secretsmanager:GetSecretValue";

fn policy(statements: &Value) -> Policy {
    Policy::parse(&json!({"Version": "2012-10-17", "Statement": statements}).to_string()).unwrap()
}

fn request(resource: &str, context: Context) -> Request {
    let arn = RoleArn::parse(ROLE).unwrap();
    Request::new(Caller::Role { arn, session: Some("pod".to_owned()) }, READ, resource, context)
}

fn decide(statements: &Value, context: Context) -> Answer {
    Policies { identity: &[policy(statements)], ..Policies::default() }.decide(&request(SECRET, context))
}

/// What a single allowing statement with this condition says.
fn with_condition(condition: &Value, context: Context) -> Answer {
    decide(
        &json!({"Effect": "Allow", "Action": READ, "Resource": "*", "Condition": condition}),
        context.complete(),
    )
}

fn allowed(answer: &Answer) -> bool {
    match answer {
        Answer::Allowed => true,
        Answer::Denied(_) => false,
        Answer::Depends(keys) => panic!("depends on {keys:?}"),
    }
}

#[test]
fn a_statement_matches_by_action_and_resource() {
    for (action, resource, expected) in [
        (json!(READ), json!(SECRET), true),
        (json!("SECRETSMANAGER:getsecretvalue"), json!("*"), true),
        (json!("secretsmanager:Get*"), json!("*"), true),
        (json!("*"), json!("*"), true),
        (json!("secretsmanager:GetSecretValu?"), json!("*"), true),
        (json!("secretsmanager:GetSecretValue?"), json!("*"), false),
        (json!("ssm:*"), json!("*"), false),
        (json!(["ssm:*", READ]), json!(["x", SECRET]), true),
        (json!(READ), json!("arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/db-??????"), true),
        (json!(READ), json!("arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/d-??????"), false),
        (json!(READ), json!("arn:aws:secretsmanager:eu-central-1:111122223333:secret:SHOP/db-??????"), false),
        (json!(READ), json!("arn:aws:secretsmanager:*:*:secret:shop/*"), true),
        (json!(READ), json!("arn:aws:secretsmanager:*:*:secret:*/db-*"), true),
        (json!(READ), json!("arn:aws:secretsmanager:*:*:secret:*/api-*"), false),
    ] {
        let statement = json!({"Effect": "Allow", "Action": action, "Resource": resource});
        assert_eq!(allowed(&decide(&statement, Context::default())), expected, "{statement}");
    }
    for (not_action, not_resource, expected) in [
        (json!("iam:*"), json!("arn:aws:s3:::*"), true),
        (json!("secretsmanager:*"), json!("arn:aws:s3:::*"), false),
        (json!("iam:*"), json!(["arn:aws:s3:::*", SECRET]), false),
    ] {
        let statement = json!({"Effect": "Allow", "NotAction": not_action, "NotResource": not_resource});
        assert_eq!(allowed(&decide(&statement, Context::default())), expected, "{statement}");
    }
}

#[test]
fn an_explicit_deny_wins_and_is_named() {
    let statements = json!([
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Sid": "NoShop", "Effect": "Deny", "Action": "*", "Resource": "*:secret:shop/*"},
    ]);
    let Answer::Denied(denial) = decide(&statements, Context::default()) else { panic!() };
    assert_eq!(denial.to_string(), "explicit deny in the identity-based policy: Statement[1] (\"NoShop\")");
    let Answer::Denied(denial) = decide(&json!([]), Context::default()) else { panic!() };
    assert_eq!(denial.to_string(), "no identity-based policy allows it");
}

#[test]
fn what_is_unknown_is_said_and_only_where_it_matters() {
    let only_by = |vpce: &str| json!({"StringEquals": {"aws:SourceVpce": vpce}});
    let allow = json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": only_by("vpce-1")});
    let deny = json!({"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}});
    let everything = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
    let depends = Answer::Depends(["aws:SourceVpce".to_owned()].into());
    assert_eq!(decide(&json!([allow]), Context::default()), depends);
    assert_eq!(decide(&json!([everything, deny]), Context::default()), depends);
    assert_eq!(decide(&json!([everything, allow]), Context::default()), Answer::Allowed);
    assert!(!allowed(&decide(&json!([deny]), Context::default())), "nothing allows it, whatever the key is");
    let sure = json!({"Effect": "Deny", "Action": READ, "Resource": "*"});
    assert!(!allowed(&decide(&json!([everything, deny, sure]), Context::default())));
}

#[test]
fn a_boundary_and_a_session_policy_limit_and_never_grant() {
    let all = policy(&json!({"Effect": "Allow", "Action": "*", "Resource": "*"}));
    let other = policy(&json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}));
    let deny = policy(
        &json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}, {"Effect": "Deny", "Action": READ, "Resource": "*"}]),
    );
    for (boundary, session, layer) in [
        (Some(&all), None, None),
        (Some(&other), None, Some("no permissions boundary allows it")),
        (Some(&deny), None, Some("explicit deny in the permissions boundary: Statement[1]")),
        (None, Some(&all), None),
        (None, Some(&other), Some("no session policy allows it")),
    ] {
        let identity = [all.clone()];
        let session = session.map(std::slice::from_ref);
        let policies = Policies { identity: &identity, boundary, session, ..Policies::default() };
        let said = match policies.decide(&request(SECRET, Context::default())) {
            Answer::Denied(denial) => Some(denial.to_string()),
            _ => None,
        };
        assert_eq!(said.as_deref(), layer);
        let none = Policies { identity: &[], ..policies };
        assert!(!allowed(&none.decide(&request(SECRET, Context::default()))));
    }
}

#[test]
fn a_resource_policy_grants_by_how_closely_it_names_the_caller() {
    let all = [policy(&json!({"Effect": "Allow", "Action": "*", "Resource": "*"}))];
    let limit = policy(&json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}));
    let session = "arn:aws:sts::111122223333:assumed-role/shop/pod";
    let there = "arn:aws:secretsmanager:eu-central-1:999999999999:secret:shop/db-AbCdEf";
    // Alone, alone within a boundary that does not allow it, with identity, in another
    // account with identity, in another account alone.
    for (principal, expected) in [
        (json!({"AWS": "111122223333"}), [false, false, true, true, false]),
        (json!({"AWS": "arn:aws:iam::111122223333:root"}), [false, false, true, true, false]),
        (json!({"AWS": ROLE}), [true, false, true, true, false]),
        (json!({"AWS": session}), [true, true, true, true, false]),
        (
            json!({"AWS": ["arn:aws:iam::999999999999:root", "arn:aws:sts::111122223333:assumed-role/shop/other"]}),
            [false, false, true, false, false],
        ),
        (json!("*"), [true, false, true, true, false]),
        (json!({"Service": "ecs.amazonaws.com"}), [false, false, true, false, false]),
    ] {
        let resource =
            policy(&json!({"Effect": "Allow", "Principal": principal, "Action": READ, "Resource": "*"}));
        let resource = ResourcePolicy::Known(&resource);
        let alone = Policies { resource, ..Policies::default() };
        let limited = Policies { boundary: Some(&limit), ..alone.clone() };
        let both = Policies { identity: &all, ..alone.clone() };
        let answers =
            [(&alone, SECRET), (&limited, SECRET), (&both, SECRET), (&both, there), (&alone, there)];
        let answers =
            answers.map(|(policies, secret)| allowed(&policies.decide(&request(secret, Context::default()))));
        assert_eq!(answers, expected, "{principal}");
    }
    let unknown = Policies { identity: &all, resource: ResourcePolicy::Unknown, ..Policies::default() };
    assert_eq!(
        unknown.decide(&request(SECRET, Context::default())),
        Answer::Depends(["the resource's policy".to_owned()].into())
    );
}

#[test]
fn a_keys_policy_must_allow_too() {
    let all = [policy(&json!({"Effect": "Allow", "Action": "*", "Resource": "*"}))];
    let by = |principal: &str| {
        policy(&json!({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "*", "Resource": "*"}))
    };
    let (ours, theirs) = (by("arn:aws:iam::111122223333:root"), by("arn:aws:iam::999999999999:root"));
    for (key, identity, expected) in [(&ours, &all[..], true), (&ours, &[], false), (&theirs, &all, false)] {
        let resource = ResourcePolicy::Known(key);
        let policies = Policies { identity, resource, resource_must_allow: true, ..Policies::default() };
        assert_eq!(allowed(&policies.decide(&request(SECRET, Context::default()))), expected);
    }
}

#[test]
fn not_principal_exempts_a_session_only_with_its_role_and_account() {
    let all = [policy(&json!({"Effect": "Allow", "Action": "*", "Resource": "*"}))];
    let answer = |excluded: Value| {
        let deny = policy(
            &json!({"Effect": "Deny", "NotPrincipal": {"AWS": excluded}, "Action": "*", "Resource": "*"}),
        );
        let resource = ResourcePolicy::Known(&deny);
        Policies { identity: &all, resource, ..Policies::default() }
            .decide(&request(SECRET, Context::default()))
    };
    assert!(allowed(&answer(json!(["111122223333", ROLE]))));
    assert!(!allowed(&answer(json!(["999999999999"]))));
    assert_eq!(answer(json!([ROLE])), Answer::Depends(["NotPrincipal".to_owned()].into()));
}

#[test]
fn a_trust_policy_decides_about_a_token() {
    let provider = "arn:aws:iam::111122223333:oidc-provider/oidc.example/id/1";
    let trust = policy(&json!({
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {
            "oidc.example/id/1:sub": "system:serviceaccount:shop:api",
            "oidc.example/id/1:aud": "sts.amazonaws.com",
        }},
    }));
    for (named, sub, expected) in [
        (provider, "system:serviceaccount:shop:api", true),
        (provider, "system:serviceaccount:shop:other", false),
        ("arn:aws:iam::111122223333:oidc-provider/other", "system:serviceaccount:shop:api", false),
    ] {
        let context = Context::default()
            .with("oidc.example/id/1:sub", sub)
            .with_all("oidc.example/id/1:aud", ["sts.amazonaws.com"])
            .complete();
        let caller = Caller::WebIdentity { provider: named.to_owned() };
        let request = Request::new(caller, "sts:AssumeRoleWithWebIdentity", ROLE, context);
        assert_eq!(allowed(&Policies::decide_by_resource_alone(&trust, &request)), expected, "{sub}");
    }
}

#[test]
fn a_pattern_covers_what_it_cannot_be_told_from() {
    for (outer, inner, expected) in [
        ("*", "a*", true),
        ("a*", "ab?c*", true),
        ("a-??????", "a-AbCdEf", true),
        ("a-??????", "a-??????", true),
        ("a-??????", "a-*", false),
        ("a-??????", "a-?????", false),
        ("a-AbCdEf", "a-??????", false),
        ("a*c", "abbc", true),
        ("a*c", "ab*", false),
        ("a?", "a*", false),
    ] {
        assert_eq!(covers(outer, inner), expected, "{outer} {inner}");
    }
}

#[test]
fn a_long_pattern_is_compared_quickly() {
    let hostile = format!("arn:{}b", "*a".repeat(4000));
    let statement = json!({"Effect": "Allow", "Action": READ, "Resource": hostile});
    let policies = [policy(&statement)];
    let request = request(&format!("arn:{}", "a".repeat(4000)), Context::default());
    let began = std::time::Instant::now();
    assert!(!allowed(&Policies { identity: &policies, ..Policies::default() }.decide(&request)));
    assert!(began.elapsed().as_secs() < 10);
}
