//! Operators, sets and variables of conditions.

use super::*;

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
