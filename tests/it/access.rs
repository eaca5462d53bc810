//! `latchkey access` on made-up estates.

#![cfg(feature = "tools")]

mod aws;
mod estate;
mod live;

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use self::estate::{Expected, Made, Size};
use crate::harness::{assert_contains, assert_lacks};

const SEED: u64 = 13;
const SIZE: Size = Size { namespaces: 20, accounts: 80, classes: 300, secrets: 500, pods: 0 };

fn access(folder: &Path, args: &[&str]) -> Output {
    let mut latchkey = Command::new(env!("CARGO_BIN_EXE_latchkey"));
    latchkey.env_clear().current_dir(folder).arg("access");
    latchkey.args(args).output().unwrap()
}

const FILES: [&str; 5] = ["manifests", "--iam", "iam.json", "--secrets", "secrets.json"];

fn stdout(output: &Output) -> String {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The findings: the rule and the object of each.
fn found(document: &str) -> Expected {
    let document: Value = serde_json::from_str(document).unwrap();
    let findings = document["findings"].as_array().unwrap().iter().map(|finding| {
        let object = &finding["object"];
        let (namespace, name) = (object["namespace"].as_str().unwrap(), object["name"].as_str().unwrap());
        let name = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
        (finding["id"].as_str().unwrap().to_owned(), name)
    });
    findings.collect()
}

#[test]
fn an_estate_in_order_has_no_finding() {
    let folder = tempfile::tempdir().unwrap();
    Made::in_order(SEED, SIZE).write(folder.path());
    let output = access(folder.path(), &[&FILES[..], &["-o", "json"]].concat());
    assert_eq!(found(&stdout(&output)), Expected::new());
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn planted_mistakes_are_found_and_nothing_else() {
    let mut rules = BTreeSet::new();
    for seed in SEED..SEED + 4 {
        let folder = tempfile::tempdir().unwrap();
        let made = Made::with_mistakes(seed, SIZE, 3);
        made.write(folder.path());
        let output = access(folder.path(), &[&FILES[..], &["-o", "json"]].concat());
        let found = found(&stdout(&output));
        let missed: Vec<_> = made.expected.difference(&found).collect();
        let invented: Vec<_> = found.difference(&made.expected).collect();
        assert!(
            missed.is_empty() && invented.is_empty(),
            "seed {seed}: missed {missed:#?}, invented {invented:#?}"
        );
        assert_eq!(output.status.code(), Some(1));
        rules.extend(found.into_iter().map(|(rule, _)| rule));
    }
    let all = latchkey::access::RULES.iter().map(|rule| rule.id.to_owned());
    assert_eq!(rules, all.collect(), "each rule is planted");
}

/// Writes the estates that tests/access/run reads.
#[test]
fn the_estates_are_written_where_a_script_finds_them() {
    let Ok(folder) = std::env::var("LATCHKEY_ACCESS_ESTATES") else { return };
    let folder = Path::new(&folder);
    Made::with_mistakes(SEED, SIZE, 3).write(&folder.join("mistakes"));
    let large = Size { namespaces: 60, accounts: 300, classes: 1000, secrets: 2000, pods: 10_000 };
    Made::in_order(SEED, large).write(&folder.join("large"));
}

#[test]
fn hostile_names_stay_names_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let manifests = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: "</script><b>\"'", namespace: shop, annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::111122223333:role/\"><img src=x>\e[2J"}}
"#;
    std::fs::create_dir(folder.path().join("manifests")).unwrap();
    std::fs::write(folder.path().join("manifests/a.yaml"), manifests).unwrap();
    let page = stdout(&access(folder.path(), &["manifests", "-o", "html"]));
    assert_lacks(&page, "<img");
    assert_lacks(&page, "</script><b>");
    let flowchart = stdout(&access(folder.path(), &["manifests", "-o", "mermaid"]));
    assert_lacks(&flowchart, "<img");
    let table = stdout(&access(folder.path(), &["manifests"]));
    assert_lacks(&table, "\u{1b}");
}

const QUESTIONS: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop, annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::111122223333:role/web"}}
---
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: db, namespace: shop}
spec:
  provider: aws
  parameters:
    region: eu-central-1
    objects: |
      - {objectName: shop/prod/db, objectType: secretsmanager}
      - {objectName: shop/test/db, objectType: secretsmanager}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    spec:
      serviceAccountName: web
      containers: [{name: main}]
      volumes:
      - {name: s, csi: {driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {secretProviderClass: db}}}
"#;

/// A role that may assume a second one, and a third that has nothing to do with either.
fn questions() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("manifests")).unwrap();
    std::fs::write(folder.path().join("manifests/a.yaml"), QUESTIONS).unwrap();
    let role = |name: &str, trust: Value, statements: Value| {
        serde_json::json!({
            "Arn": format!("arn:aws:iam::111122223333:role/{name}"),
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": trust},
            "RolePolicyList": [{"PolicyName": "all", "PolicyDocument": {"Version": "2012-10-17", "Statement": statements}}],
        })
    };
    let arn = |name: &str| format!("arn:aws:secretsmanager:eu-central-1:111122223333:secret:{name}-AbCdEf");
    let issuer = "oidc.eks.eu-central-1.amazonaws.com/id/E";
    let web = role(
        "web",
        serde_json::json!({"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
            "Principal": {"Federated": format!("arn:aws:iam::111122223333:oidc-provider/{issuer}")},
            "Condition": {"StringEquals": {format!("{issuer}:sub"): "system:serviceaccount:shop:web"}}}),
        serde_json::json!([
            {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": [arn("shop/prod/db"), arn("shop/test/db")]},
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::111122223333:role/data"}]),
    );
    let data = role(
        "data",
        serde_json::json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "arn:aws:iam::111122223333:role/web"}}),
        serde_json::json!([
            {"Effect": "Allow", "Action": "secretsmanager:*", "Resource": "arn:aws:secretsmanager:*:*:secret:hr/p*"},
            {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": arn("hr/vpce"),
             "Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}}},
            {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "arn:aws:kms:eu-central-1:111122223333:key/k"}]),
    );
    let people = role(
        "people",
        serde_json::json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "arn:aws:iam::111122223333:user/eve"}}),
        serde_json::json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}]),
    );
    let key = "arn:aws:kms:eu-central-1:111122223333:key/k";
    let secrets = serde_json::json!({"SecretList": [
        {"ARN": arn("shop/prod/db"), "Name": "shop/prod/db"},
        {"ARN": arn("shop/test/db"), "Name": "shop/test/db"},
        {"ARN": arn("hr/pay"), "Name": "hr/pay", "KmsKeyId": key},
        {"ARN": arn("hr/plain"), "Name": "hr/plain"},
        {"ARN": arn("hr/vpce"), "Name": "hr/vpce"},
        {"ARN": arn("it/root"), "Name": "it/root"}]});
    let iam = serde_json::json!({"RoleDetailList": [web, data, people], "Policies": []});
    std::fs::write(folder.path().join("iam.json"), iam.to_string()).unwrap();
    std::fs::write(folder.path().join("secrets.json"), secrets.to_string()).unwrap();
    folder
}

fn answer(folder: &Path, args: &[&str]) -> Value {
    let output = access(folder, &[&FILES[..], &["-o", "json"], args].concat());
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_compromised_pod_reaches_what_its_roles_and_theirs_can_do() {
    let folder = questions();
    let blast = answer(folder.path(), &["--if-compromised", "shop/web"]);
    let roles: Vec<(&str, &str)> = blast["roles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|role| (role["arn"].as_str().unwrap(), role["by"].as_str().unwrap()))
        .collect();
    let (web, data) = ("arn:aws:iam::111122223333:role/web", "arn:aws:iam::111122223333:role/data");
    assert_eq!(roles, [(web, "IRSA"), (data, web)]);
    let powers: Vec<[&str; 4]> = blast["secrets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|secret| {
            let word = |power: &str| secret[power]["answer"].as_str().unwrap_or("none");
            [secret["name"].as_str().unwrap(), word("read"), word("write"), word("decrypt")]
        })
        .collect();
    assert_eq!(
        powers,
        [
            // Whether it can be written depends on the key's policy: the role lacks the permission.
            ["hr/pay", "allowed", "depends", "allowed"],
            ["hr/plain", "allowed", "allowed", "none"],
            ["hr/vpce", "depends", "denied", "none"],
            ["shop/prod/db", "allowed", "denied", "none"],
            ["shop/test/db", "allowed", "denied", "none"],
        ]
    );
    let text = stdout(&access(folder.path(), &[&FILES[..], &["--if-compromised", "shop/web"]].concat()));
    assert_contains(
        &text,
        "A pod of service account shop/web can act as 2 roles, read 4 secrets and change 1.",
    );
    assert_contains(&text, "depends on aws:SourceVpce");
}

#[test]
fn a_secrets_readers_are_its_pods_and_the_roles_that_nobody_thinks_of() {
    let folder = questions();
    let readers = answer(folder.path(), &["--secret", "shop/prod/db"]);
    assert_eq!(readers["secrets"][0]["accounts"][0]["account"], "shop/web");
    assert_eq!(readers["secrets"][0]["accounts"][0]["classes"], serde_json::json!(["shop/db"]));
    assert_eq!(readers["secrets"][0]["other_roles"][0]["arn"], "arn:aws:iam::111122223333:role/people");
    let arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:hr/pay-AbCdEf";
    let readers = answer(folder.path(), &["--secret", arn]);
    let others = readers["secrets"][0]["other_roles"].as_array().unwrap();
    let others: Vec<(&Value, &Value)> =
        others.iter().map(|role| (&role["arn"], &role["assumed_by"])).collect();
    assert_eq!(others[0].0, "arn:aws:iam::111122223333:role/data");
    assert_eq!(*others[0].1, serde_json::json!(["shop/web"]));
    assert_eq!(*others[1].1, serde_json::json!([]));
}

#[test]
fn questions_without_an_answer_say_why() {
    let folder = questions();
    for (args, says) in [
        (["--secret", "shop/prod"], "near names are shop/prod/db"),
        (["--if-compromised", "web"], "web has no slash"),
        (["--if-compromised", "shop/wbe"], "no service account shop/wbe is known here"),
        (["--iam", "manifests/a.yaml"], "a.yaml is not JSON (line 2, column 1)"),
        (["--oidc-provider", "nonsense"], "expected a URL"),
    ] {
        let output = access(folder.path(), &[&FILES[..], &args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_contains(&String::from_utf8(output.stderr).unwrap(), says);
    }
}

#[test]
fn the_limits_are_the_users() {
    let folder = questions();
    let ids = |args: &[&str]| {
        let output = access(folder.path(), &[&FILES[..], &["-o", "json"], args].concat());
        found(&stdout(&output)).into_iter().map(|(id, _)| id).collect::<BTreeSet<_>>()
    };
    assert!(!ids(&[]).contains("account-over-prefixes"));
    assert!(ids(&["--prefix-depth", "2"]).contains("account-over-prefixes"));
    assert!(!ids(&["--prefix-depth", "2", "--prefixes", "2"]).contains("account-over-prefixes"));
    assert!(!ids(&[]).contains("secret-shared"));
    assert!(ids(&["--shared-by", "0"]).contains("secret-shared"));
}
