//! What is a policy, and what is not.

use super::*;

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
