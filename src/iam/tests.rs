//! The cases of AWS's documentation, and what is not a policy.

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
fn every_operator_compares_as_aws_documents() {
    let key = "aws:PrincipalTag/team";
    for (operator, expected, actual, holds) in [
        ("StringEquals", json!("a"), "a", true),
        ("StringEquals", json!("a"), "A", false),
        ("StringEquals", json!("a*"), "ab", false),
        ("StringEquals", json!(["b", "a"]), "a", true),
        ("StringEquals", json!("${*}"), "*", true),
        ("StringNotEquals", json!(["a", "b"]), "b", false),
        ("StringNotEquals", json!(["a", "b"]), "c", true),
        ("StringEqualsIgnoreCase", json!("TeaM"), "tEAm", true),
        ("StringNotEqualsIgnoreCase", json!("TeaM"), "tEAm", false),
        ("StringLike", json!("a*c?"), "abbcd", true),
        ("StringLike", json!("a*c?"), "abbc", false),
        ("StringLike", json!("a${*}"), "ab", false),
        ("StringLike", json!("a${*}"), "a*", true),
        ("StringLike", json!("*a*b*a"), "xaxbxa", true),
        ("StringNotLike", json!("a*"), "b", true),
        ("StringNotLike", json!(["a*", "b*"]), "b", false),
        ("ArnLike", json!("arn:aws:iam::*:role/x/*"), "arn:aws:iam::111122223333:role/x/y", true),
        ("ArnLike", json!("arn:*:iam::1:role/x"), "arn:aws:x:iam::1:role/x", false),
        ("ArnEquals", json!("arn:aws:iam::*:role/x"), "arn:aws:iam::1:role/x", true),
        ("ArnNotEquals", json!("arn:aws:iam::*:role/x"), "arn:aws:iam::1:role/x", false),
        ("ArnNotLike", json!("arn:aws:iam::*:role/x"), "arn:aws:iam::1:role/y", true),
        ("Bool", json!("true"), "true", true),
        ("Bool", json!(true), "True", true),
        ("Bool", json!("false"), "true", false),
        ("NumericEquals", json!(10), "10.0", true),
        ("NumericNotEquals", json!(10), "11", true),
        ("NumericLessThan", json!("10"), "9", true),
        ("NumericLessThan", json!("10"), "10", false),
        ("NumericLessThanEquals", json!("10"), "10", true),
        ("NumericGreaterThan", json!("10"), "9", false),
        ("NumericGreaterThanEquals", json!("10"), "10", true),
        ("NumericEquals", json!("ten"), "10", false),
        ("DateEquals", json!("2026-01-01T00:00:00Z"), "2026-01-01T01:00:00+01:00", true),
        ("DateNotEquals", json!("2026-01-01T00:00:00Z"), "2026-01-01T00:00:00Z", false),
        ("DateLessThan", json!("2026-01-01"), "2025-12-31T23:59:59.9Z", true),
        ("DateGreaterThan", json!("1767225600"), "2026-01-01T00:00:01Z", true),
        ("DateGreaterThanEquals", json!("2026-01-01"), "2026-01-01T00:00:00Z", true),
        ("DateLessThanEquals", json!("2026-01-01"), "2026-01-01T00:00:01Z", false),
        ("BinaryEquals", json!("QmluYXJ5"), "QmluYXJ5", true),
        ("IpAddress", json!("203.0.113.0/24"), "203.0.113.9", true),
        ("IpAddress", json!("203.0.113.0/24"), "203.0.114.9", false),
        ("IpAddress", json!("0.0.0.0/0"), "203.0.114.9", true),
        ("IpAddress", json!(["::/0"]), "203.0.114.9", false),
        ("IpAddress", json!("2001:db8::/32"), "2001:db8:1::1", true),
        ("NotIpAddress", json!(["203.0.113.0/24", "198.51.100.7"]), "198.51.100.7", false),
        ("NotIpAddress", json!("203.0.113.0/24"), "2001:db8::1", true),
        ("Null", json!("true"), "x", false),
        ("Null", json!("false"), "x", true),
        ("stringequals", json!("a"), "a", true),
    ] {
        let condition = json!({operator: {"AWS:principaltag/TEAM": expected}});
        let answer = with_condition(&condition, Context::default().with(key, actual));
        assert_eq!(allowed(&answer), holds, "{condition} with {actual}");
    }
}

#[test]
fn an_absent_key_fails_a_comparison_and_passes_a_negated_one() {
    for (operator, value, holds) in [
        ("StringEquals", "a", false),
        ("StringNotEquals", "a", true),
        ("StringNotLike", "a", true),
        ("ArnNotLike", "arn:aws:iam::1:role/x", true),
        ("NotIpAddress", "203.0.113.0/24", true),
        ("NumericNotEquals", "1", true),
        ("DateNotEquals", "2026-01-01", true),
        ("StringEqualsIfExists", "a", true),
        ("BoolIfExists", "false", true),
        ("ForAnyValue:StringEquals", "a", false),
        ("ForAnyValue:StringNotEquals", "a", false),
        ("ForAllValues:StringEquals", "a", true),
        ("ForAnyValue:StringEqualsIfExists", "a", true),
        ("Null", "true", true),
        ("Null", "false", false),
    ] {
        let condition = json!({operator: {"aws:SourceVpce": value}});
        assert_eq!(allowed(&with_condition(&condition, Context::default())), holds, "{condition}");
    }
}

#[test]
fn sets_compare_every_value_or_any() {
    let tags = |values: &[&str]| Context::default().with_all("aws:TagKeys", values.iter().copied());
    for (operator, expected, actual, holds) in [
        ("ForAllValues:StringEquals", json!(["a", "b"]), &["a", "b"][..], true),
        ("ForAllValues:StringEquals", json!(["a", "b"]), &["a", "c"], false),
        ("ForAllValues:StringEquals", json!(["a", "b"]), &[], true),
        ("ForAllValues:StringNotEquals", json!(["a", "b"]), &["c", "d"], true),
        ("ForAllValues:StringNotEquals", json!(["a", "b"]), &["c", "a"], false),
        ("ForAnyValue:StringEquals", json!(["a", "b"]), &["x", "b"], true),
        ("ForAnyValue:StringEquals", json!(["a", "b"]), &["x"], false),
        ("ForAnyValue:StringNotEquals", json!(["a", "b"]), &["a", "x"], true),
        ("ForAnyValue:StringNotEquals", json!(["a", "b"]), &["a", "b"], false),
        ("ForAnyValue:StringLike", json!(["a*"]), &["x", "ab"], true),
    ] {
        let condition = json!({operator: {"aws:TagKeys": expected}});
        assert_eq!(allowed(&with_condition(&condition, tags(actual))), holds, "{condition} with {actual:?}");
    }
    let one = json!({"StringEquals": {"aws:TagKeys": "a"}});
    assert!(allowed(&with_condition(&one, tags(&["a"]))));
    assert_eq!(with_condition(&one, tags(&["a", "b"])), Answer::Depends(["aws:TagKeys".to_owned()].into()));
}

#[test]
fn all_conditions_must_hold() {
    let condition = json!({
        "StringEquals": {"aws:PrincipalTag/a": "1", "aws:PrincipalTag/b": "2"},
        "Bool": {"aws:SecureTransport": "true"},
    });
    let context = Context::default().with("aws:PrincipalTag/a", "1").with("aws:SecureTransport", "true");
    assert!(allowed(&with_condition(&condition, context.clone().with("aws:PrincipalTag/b", "2"))));
    assert!(!allowed(&with_condition(&condition, context.with("aws:PrincipalTag/b", "3"))));
}

#[test]
fn variables_take_values_of_the_request() {
    let read = |resource: &str| json!({"Effect": "Allow", "Action": READ, "Resource": resource});
    let team = |team| Context::default().with("aws:PrincipalTag/team", team);
    let by_tag = read("arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/team}/*");
    assert!(allowed(&decide(&by_tag, team("shop"))));
    assert!(!allowed(&decide(&by_tag, team("sho?"))), "a value is no pattern");
    assert!(!allowed(&decide(&by_tag, Context::default().complete())));
    assert_eq!(
        decide(&by_tag, Context::default()),
        Answer::Depends(["aws:PrincipalTag/team".to_owned()].into())
    );
    let with_default = read("arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/team, 'shop'}/*");
    assert!(allowed(&decide(&with_default, Context::default().complete())));
    assert!(!allowed(&decide(&with_default, team("other"))));
    let literal = read("arn:aws:secretsmanager:*:*:secret:${*}");
    assert!(!allowed(&decide(&literal, Context::default())));

    let condition = json!({"StringEquals": {"secretsmanager:ResourceTag/ns": "${aws:PrincipalTag/kubernetes-namespace}"}});
    let context = |tag, resource| {
        Context::default()
            .with("aws:PrincipalTag/kubernetes-namespace", tag)
            .with("secretsmanager:ResourceTag/ns", resource)
    };
    assert!(allowed(&with_condition(&condition, context("shop", "shop"))));
    assert!(!allowed(&with_condition(&condition, context("shop", "bank"))));

    // The first version of the language has no variables.
    let old = json!({"Version": "2008-10-17", "Statement": [read("*:secret:${aws:PrincipalTag/team}/*")]});
    let old = [Policy::parse(&old.to_string()).unwrap()];
    let answer = Policies { identity: &old, ..Policies::default() }.decide(&request(SECRET, team("shop")));
    assert!(!allowed(&answer));
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
fn what_is_not_a_policy_is_said_with_its_place() {
    let of = |text: &str| documents(text).unwrap_err().to_string();
    let statement = |inside: &str| {
        of(&format!("{{\"Version\": \"2012-10-17\", \"Statement\": [{{\"Effect\": \"Allow\", {inside}}}]}}"))
    };
    for (said, expected) in [
        (of(""), "line 1, column 0: the text ends too early"),
        (of("{\"a\" 1}"), "line 1, column 6: this is not JSON"),
        (of("Version: 2012-10-17"), "line 1, column 1: this is not JSON"),
        (of(r#"{"Statement": [], "Statement": []}"#), "the key \"Statement\" occurs twice"),
        (of("{}"), "the document: contains no policy"),
        (of("[1]"), "the document: contains no policy"),
        (of(r#"{"Version": "2012", "Statement": []}"#), "Version: must be"),
        (of(r#"{"Statment": [], "Statement": []}"#), "\"Statment\" is not an element of a policy"),
        (of(r#"{"Statement": ["x"]}"#), "Statement[0]: must be an object"),
        (of(r#"{"Statement": {"Action": "*"}}"#), "Statement[0]: Effect must be Allow or Deny"),
        (statement(r#""Resource": "*""#), "Statement[0]: has no Action"),
        (statement(r#""Action": "*""#), "Statement[0]: has no Resource"),
        (statement(r#""Action": [], "Resource": "*""#), "Statement[0].Action: is empty"),
        (statement(r#""Action": "*", "NotAction": "x", "Resource": "*""#), "has Action and NotAction"),
        (statement(r#""Action": "*", "Resource": {"x": 1}"#), "Statement[0].Resource: must be a string"),
        (statement(r#""Action": "*", "Resource": "a${b""#), "Statement[0].Resource: \"a${b\""),
        (
            statement(r#""Action": "*", "Resource": "*", "Conditions": {}"#),
            "\"Conditions\" is not an element",
        ),
        (
            statement(r#""Action": "*", "Resource": "*", "Condition": {"StringIs": {}}"#),
            "\"StringIs\" is not a condition operator",
        ),
        (
            statement(r#""Action": "*", "Resource": "*", "Condition": {"Bool": "x"}"#),
            "Statement[0].Condition.Bool: must be",
        ),
        (statement(r#""Action": "*", "Principal": "me""#), "Statement[0].Principal: must be"),
        (
            statement(r#""Action": "*", "Principal": {"Aws": "*x"}"#),
            "Statement[0].Principal.Aws: must be AWS",
        ),
    ] {
        assert!(said.contains(expected), "{said:?} instead of {expected:?}");
    }
    assert!(of(&"[".repeat(100_000)).contains("this is not JSON"));
    assert!(of(&" ".repeat(2 << 20)).contains("the maximum is"));
}

#[test]
fn answers_of_awss_command_line_are_read() {
    let document =
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": READ, "Resource": "*"}});
    let encoded: String = document.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
    for (answer, names) in [
        (document.clone(), vec![""]),
        (json!({"RoleName": "r", "PolicyName": "p", "PolicyDocument": document}), vec!["p"]),
        (json!({"PolicyName": "p", "PolicyDocument": encoded}), vec!["p"]),
        (json!({"PolicyVersion": {"VersionId": "v2", "Document": document}}), vec!["v2"]),
        (json!({"Role": {"RoleName": "r", "AssumeRolePolicyDocument": document}}), vec!["r"]),
        (json!({"Name": "s", "ResourcePolicy": document.to_string()}), vec!["s"]),
        (json!([document, document]), vec!["", ""]),
        (
            json!({"RoleDetailList": [{"RoleName": "r", "AssumeRolePolicyDocument": document, "RolePolicyList": [{"PolicyName": "p", "PolicyDocument": document}]}]}),
            vec!["r", "p"],
        ),
    ] {
        let found = documents(&answer.to_string()).unwrap();
        assert_eq!(found.iter().map(|policy| policy.name.as_str()).collect::<Vec<_>>(), names, "{answer}");
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
