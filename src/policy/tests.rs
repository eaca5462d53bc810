//! Plans and comparisons.

use serde_json::{Value, json};

use super::*;
use crate::{
    estate::Estate,
    findings::Finding,
    iam::{Home, KmsKey, documents, trust::OidcProvider},
    manifests::Found,
    model::arn::Region,
};

const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1";
const SECRET: &str = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/db-??????";

fn manifest(parameters: &str, objects: &str) -> String {
    let objects = objects.replace('\n', "\n      ");
    format!(
        "apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {{name: db, namespace: shop}}
spec:
  provider: aws
  parameters:
    {parameters}
    objects: |
      {objects}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: web, namespace: shop, annotations: {{eks.amazonaws.com/role-arn: 'arn:aws:iam::111122223333:role/apps/shop-web'}}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: web-1, namespace: shop}}
spec:
  serviceAccountName: web
  containers: [{{name: main}}]
  volumes:
  - name: secrets
    csi: {{driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {{secretProviderClass: db}}}}
"
    )
}

fn settings() -> Settings {
    Settings { region: Region::parse("eu-central-1"), ..Settings::default() }
}

fn estate(text: &str) -> Estate {
    let mut found = Found::default();
    found.read("a.yaml", text);
    assert!(found.unreadable.is_empty(), "{:?}", found.unreadable);
    Estate::of_manifests(&found, "default")
}

fn planned(parameters: &str, objects: &str, settings: &Settings) -> AccountPlan {
    plan(&estate(&manifest(parameters, objects)), settings).unwrap().remove(0)
}

/// Action and resources of the statements of the first role.
fn granted(plan: &AccountPlan) -> Vec<(String, Vec<String>)> {
    let statements = plan.roles[0].policies.iter().flat_map(|policy| &policy.statements);
    statements.map(|statement| (statement.action.join(" "), statement.resource.clone())).collect()
}

fn resources(plan: &AccountPlan) -> Vec<String> {
    granted(plan).into_iter().flat_map(|(_, resources)| resources).collect()
}

#[test]
fn every_form_of_a_name_has_its_resource() {
    let secret = "arn:aws:secretsmanager:eu-central-1:999999999999:secret:other/db";
    let ssm = "arn:aws:ssm:eu-central-1:111122223333:parameter";
    for (object, expected) in [
        ("objectName: shop/db, objectType: secretsmanager", vec![SECRET.to_owned()]),
        (&format!("objectName: '{secret}-AbCdEf', objectAlias: x"), vec![format!("{secret}-AbCdEf")]),
        (&format!("objectName: '{secret}', objectAlias: x"), vec![format!("{secret}-??????")]),
        ("objectName: level, objectType: ssmparameter", vec![format!("{ssm}/level")]),
        ("objectName: /shop/level, objectType: ssmparameter", vec![format!("{ssm}/shop/level")]),
        ("objectName: '/shop/level:3', objectType: ssmparameter", vec![format!("{ssm}/shop/level")]),
        (&format!("objectName: '{ssm}/shop/level', objectAlias: x"), vec![format!("{ssm}/shop/level")]),
        (
            "objectName: /aws/reference/secretsmanager/shop/db, objectType: ssmparameter",
            vec![SECRET.to_owned(), format!("{ssm}/aws/reference/secretsmanager/shop/db")],
        ),
        (
            "objectName: /aws/service/eks/x, objectType: ssmparameter",
            vec!["arn:aws:ssm:eu-central-1::parameter/aws/service/eks/x".to_owned()],
        ),
    ] {
        let plan = planned("usePodIdentity: 'false'", &format!("- {{{object}}}"), &settings());
        assert_eq!(resources(&plan), expected, "{object}");
    }
}

#[test]
fn a_name_that_would_be_a_pattern_grants_nothing() {
    for name in ["shop/*", "*", "shop/d?", "${aws:username}"] {
        let plan = planned(
            "region: eu-central-1",
            &format!("- {{objectName: '{name}', objectType: secretsmanager, objectAlias: x}}"),
            &settings(),
        );
        assert_eq!(resources(&plan), [""; 0], "{name}");
        assert!(
            plan.notes.iter().any(|note| note.contains("no secret can have the name")),
            "{:?}",
            plan.notes
        );
    }
    let arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:*";
    let plan =
        planned("region: eu-central-1", &format!("- {{objectName: '{arn}', objectAlias: x}}"), &settings());
    assert_eq!(resources(&plan), [""; 0]);
}

#[test]
fn an_arn_that_may_lack_its_six_characters_is_noted() {
    let arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/db-backup";
    let plan =
        planned("region: eu-central-1", &format!("- {{objectName: '{arn}', objectAlias: x}}"), &settings());
    assert_eq!(resources(&plan), [arn]);
    assert!(
        plan.notes.iter().any(|note| note.contains("\"backup\" belongs to the secret's name")),
        "{:?}",
        plan.notes
    );
}

#[test]
fn an_optional_secret_is_noted() {
    let plan = planned(
        "region: eu-central-1",
        "- {objectName: shop/db, objectType: secretsmanager, optional: true}",
        &settings(),
    );
    assert_eq!(resources(&plan), [SECRET]);
    assert!(plan.notes.iter().any(|note| note.starts_with("\"shop/db\" is optional")), "{:?}", plan.notes);
}

#[test]
fn both_regions_are_granted_and_a_key_only_in_its_own() {
    let settings = Settings { keys: vec![KmsKey::parse(KEY).unwrap()], ..settings() };
    let plan = planned(
        "failoverRegion: eu-west-1",
        "- {objectName: shop/db, objectType: secretsmanager, objectAlias: db, failoverObject: {objectName: replica/db}}",
        &settings,
    );
    let replica = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:replica/db-??????";
    assert_eq!(
        granted(&plan),
        [
            ("secretsmanager:GetSecretValue".to_owned(), vec![SECRET.to_owned(), replica.to_owned()]),
            ("kms:Decrypt".to_owned(), vec![KEY.to_owned()]),
        ]
    );
    let decrypt = serde_json::to_value(&plan.roles[0].policies[0].statements[1]).unwrap();
    assert_eq!(
        decrypt["Condition"],
        json!({
            "StringEquals": {"kms:ViaService": ["secretsmanager.eu-central-1.amazonaws.com"]},
            "StringLike": {"kms:EncryptionContext:SecretARN": [SECRET]},
        })
    );
    assert!(KmsKey::parse("arn:aws:kms:eu-central-1:111122223333:alias/x").unwrap_err().contains("alias"));
}

#[test]
fn the_pods_attributes_override_the_class() {
    let text = manifest("region: eu-central-1", "- {objectName: shop/db, objectType: secretsmanager}")
        .replace("secretProviderClass: db}", "secretProviderClass: db, region: eu-west-1}");
    let plan = plan(&estate(&text), &settings()).unwrap().remove(0);
    assert!(resources(&plan)[0].contains(":eu-west-1:"), "{:?}", resources(&plan));
}

#[test]
fn a_chain_of_roles_has_a_policy_for_each() {
    let plan = planned(
        "assumeRoleArn: arn:aws:iam::222233334444:role/reader\n    assumeRoleExternalId: shop",
        "- {objectName: shop/db, objectType: secretsmanager}",
        &settings(),
    );
    let [own, assumed] = plan.roles.as_slice() else { panic!("{plan:?}") };
    assert_eq!(
        granted(&plan),
        [("sts:AssumeRole".to_owned(), vec!["arn:aws:iam::222233334444:role/reader".to_owned()])]
    );
    assert_eq!(own.identity, Identity::Irsa);
    let statement = &assumed.policies[0].statements[0];
    assert_eq!(
        statement.resource,
        ["arn:aws:secretsmanager:eu-central-1:222233334444:secret:shop/db-??????"]
    );
    let trust = serde_json::to_value(&assumed.trust).unwrap();
    assert_eq!(trust["Statement"][0]["Principal"]["AWS"], "arn:aws:iam::111122223333:role/apps/shop-web");
    assert_eq!(trust["Statement"][0]["Condition"], json!({"StringEquals": {"sts:ExternalId": ["shop"]}}));
}

#[test]
fn a_large_policy_is_split_and_says_so() {
    let objects: Vec<String> = (0..300)
        .map(|number| {
            format!(
                "- {{objectName: shop/a-rather-long-name-of-a-secret/{number}, objectType: secretsmanager}}"
            )
        })
        .collect();
    let settings = Settings { keys: vec![KmsKey::parse(KEY).unwrap()], ..settings() };
    let plan = planned("region: eu-central-1", &objects.join("\n"), &settings);
    let policies = &plan.roles[0].policies;
    assert!(policies.len() > 3);
    assert!(
        policies.iter().all(|policy| policy.size() <= 6144),
        "{:?}",
        policies.iter().map(|policy| policy.size()).collect::<Vec<_>>()
    );
    let read: Vec<String> = granted(&plan)
        .into_iter()
        .filter(|(action, _)| action != "kms:Decrypt")
        .flat_map(|(_, all)| all)
        .collect();
    assert_eq!(read.len(), 300);
    assert!(plan.notes.iter().any(|note| note.contains("is split into")), "{:?}", plan.notes);
}

#[test]
fn what_the_manifests_do_not_tell_is_asked_for() {
    let class = manifest("usePodIdentity: 'true'", "- {objectName: shop/db, objectType: secretsmanager}");
    let (class, _) = class.split_once("---").unwrap();
    let error = plan(&estate(class), &settings()).unwrap_err().to_string();
    assert!(error.contains("--service-account shop/NAME"), "{error}");
    let with = Settings { account: Some(("shop".to_owned(), "web".to_owned())), ..settings() };
    let plans = plan(&estate(class), &with).unwrap();
    assert!(plans[0].notes.iter().any(|note| note.contains("set --account")), "{:?}", plans[0].notes);
    assert_eq!(
        plan(&estate(""), &with).unwrap_err().to_string(),
        "no SecretProviderClass in namespace shop, for service account shop/web"
    );
    let error = plan(&estate(class), &Settings { region: None, ..with }).unwrap_err();
    assert!(matches!(error, PlanError::NoRegion { .. }), "{error}");
}

fn compared(given: &Value, settings: &Settings) -> Vec<Finding> {
    let plan = planned(
        "region: eu-central-1",
        "- {objectName: shop/db, objectType: secretsmanager}\n- {objectName: /shop/level, objectType: ssmparameter}",
        settings,
    );
    let policies = documents(&given.to_string()).unwrap();
    compare(&[(&plan, &plan.roles[0])], &[Given { file: "given.json".to_owned(), policies }], settings)
}

/// Rule and message of each finding.
fn told(given: &Value, settings: &Settings) -> Vec<String> {
    let findings = compared(given, settings);
    findings.iter().map(|finding| format!("{}: {}", finding.rule.id, finding.message)).collect()
}

const PARAMETER: &str = "arn:aws:ssm:eu-central-1:111122223333:parameter/shop/level";

fn given(statements: &Value) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn read(secret: &str) -> Value {
    json!({"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": secret})
}

fn level() -> Value {
    json!({"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": PARAMETER})
}

#[test]
fn the_least_policy_has_no_findings() {
    assert_eq!(told(&given(&json!([read(SECRET), level()])), &settings()), [""; 0]);
    let exact = SECRET.replace("??????", "XyZ123");
    assert_eq!(told(&given(&json!([read(&exact), level()])), &settings()), [""; 0]);
    let with_keys = Settings { keys: vec![KmsKey::parse(KEY).unwrap()], ..settings() };
    let plan = planned(
        "region: eu-central-1",
        "- {objectName: shop/db, objectType: secretsmanager}\n- {objectName: /shop/level, objectType: ssmparameter}",
        &with_keys,
    );
    let own = serde_json::to_value(&plan.roles[0].policies).unwrap();
    assert_eq!(told(&own, &with_keys), [""; 0]);
}

#[test]
fn what_is_lacking_is_told_with_its_reason() {
    assert_eq!(
        told(&given(&json!([read(SECRET)])), &settings()),
        [format!(
            "policy-lacks: ssm:GetParameters on {PARAMETER} is not allowed: no identity-based policy allows it"
        )]
    );
    let deny = json!({"Sid": "No", "Effect": "Deny", "Action": "ssm:*", "Resource": "*"});
    assert_eq!(
        told(&given(&json!([read(SECRET), level(), deny])), &settings()),
        [format!(
            "policy-lacks: ssm:GetParameters on {PARAMETER} is not allowed: explicit deny in the identity-based policy: Statement[2] (\"No\")"
        )]
    );
    let only_by = json!({"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}});
    assert_eq!(
        told(&given(&json!([read(SECRET), level(), only_by])), &settings()),
        [
            format!(
                "policy-depends: whether secretsmanager:GetSecretValue on {SECRET} is allowed depends on aws:SourceVpce"
            ),
            format!(
                "policy-depends: whether ssm:GetParameters on {PARAMETER} is allowed depends on aws:SourceVpce"
            ),
        ]
    );
}

#[test]
fn what_is_granted_beyond_is_told() {
    let wide = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/db-*";
    for (statement, said) in [
        (
            read(wide),
            format!("Statement[0] allows secretsmanager:GetSecretValue on {wide}, which no class reads"),
        ),
        (
            read("*"),
            "Statement[0] allows secretsmanager:GetSecretValue on *, which no class reads".to_owned(),
        ),
        (
            json!({"Effect": "Allow", "Action": ["secretsmanager:*", "s3:GetObject"], "Resource": SECRET}),
            "Statement[0] allows s3:GetObject, secretsmanager:*, which no class needs".to_owned(),
        ),
        (
            json!({"Effect": "Allow", "NotAction": "iam:*", "Resource": SECRET}),
            "Statement[0] allows every action but those in NotAction".to_owned(),
        ),
        (
            json!({"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "NotResource": "arn:aws:s3:::x"}),
            "Statement[0] allows secretsmanager:GetSecretValue on every resource but those in NotResource"
                .to_owned(),
        ),
        (
            json!({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": KEY}),
            "Statement[0] allows kms:Decrypt, which no class needs".to_owned(),
        ),
    ] {
        let found = told(&given(&json!([statement, read(SECRET), level()])), &settings());
        assert_eq!(found, [format!("policy-grants-more: {said}")]);
    }
    let with_keys = Settings { keys: vec![KmsKey::parse(KEY).unwrap()], ..settings() };
    let decrypt = json!({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": KEY});
    let found = told(&given(&json!([decrypt, read(SECRET), level()])), &with_keys);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("allows kms:Decrypt without the condition kms:"), "{found:?}");
}

#[test]
fn a_trust_policy_is_compared_too() {
    let provider = "arn:aws:iam::111122223333:oidc-provider/oidc.example/id/1";
    let settings = Settings {
        oidc_provider: Some(OidcProvider::parse("https://oidc.example/id/1").unwrap()),
        ..settings()
    };
    let trust = |condition: Value| {
        given(
            &json!([{"Effect": "Allow", "Principal": {"Federated": provider}, "Action": "sts:AssumeRoleWithWebIdentity", "Condition": condition}]),
        )
    };
    let (sub, aud) = ("system:serviceaccount:shop:web", "sts.amazonaws.com");
    let both = json!({"StringEquals": {"oidc.example/id/1:sub": sub, "oidc.example/id/1:aud": aud}});
    assert_eq!(told(&trust(both), &settings), [""; 0]);
    let wild = json!({"StringLike": {"oidc.example/id/1:sub": "system:serviceaccount:shop:*"}, "StringEquals": {"oidc.example/id/1:aud": aud}});
    assert_eq!(
        told(&trust(wild), &settings),
        [
            "trust-grants-more: Statement[0] allows sts:AssumeRoleWithWebIdentity without the condition oidc.example/id/1:sub = system:serviceaccount:shop:web"
        ]
    );
    let other = json!({"StringEquals": {"oidc.example/id/1:sub": "system:serviceaccount:shop:web2", "oidc.example/id/1:aud": aud}});
    let found = told(&trust(other), &settings);
    assert!(found.iter().any(|found| found.starts_with("trust-lacks: sts:AssumeRoleWithWebIdentity with a token of system:serviceaccount:shop:web is not allowed")), "{found:?}");
}

#[test]
fn home_is_the_roles_account_before_the_flags() {
    let home = Home { account: Some("999999999999".to_owned()), partition: Some("aws-new".to_owned()) };
    let plan = planned(
        "region: eu-central-1",
        "- {objectName: shop/db, objectType: secretsmanager}",
        &Settings { home, ..settings() },
    );
    assert_eq!(
        resources(&plan),
        ["arn:aws-new:secretsmanager:eu-central-1:111122223333:secret:shop/db-??????"]
    );
}
