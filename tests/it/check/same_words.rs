//! What a mount refuses, a check refuses before, in the same words and with a place.

use latchkey::{
    check::{Settings, check},
    findings::{Finding, Severity},
    manifests::Found,
    model::{arn::Region, rules::Rules},
};
use serde_json::json;

use crate::{
    harness::{REGION, Request, SECRET},
    messages::served::{world, wrong_classes},
    mistakes::MANY,
};

fn errors(request: &Request, rules: Rules) -> Vec<Finding> {
    let class = json!({
        "apiVersion": "secrets-store.csi.x-k8s.io/v1",
        "kind": "SecretProviderClass",
        "metadata": {"name": "class", "namespace": "shop"},
        "spec": {"provider": "aws", "parameters": request.parameters},
    });
    let mut found = Found::default();
    found.read("class.json", &serde_json::to_string_pretty(&class).unwrap());
    let mut findings = check(&found, &Settings { rules, namespace: String::new(), complete: false });
    findings.retain(|finding| finding.rule.severity == Severity::Error);
    findings
}

/// How many mistakes an answer counts.
fn count(message: &str) -> usize {
    let number = |text: &str| text.rsplit(' ').next().and_then(|number| number.parse().ok());
    message.split_once(" mistakes:").and_then(|(before, _)| number(before)).unwrap_or(1)
}

fn more() -> Vec<(&'static str, Request)> {
    let class = Request::new;
    let object = |more: &str| class(&format!("- {{objectName: a, objectType: secretsmanager, {more}}}"));
    let both = |more: &str| object(more).parameter("failoverRegion", "us-west-2");
    let mut requests = vec![
        ("many", class(MANY).parameter("region", "Frankfurt").parameter("pathTranslation", "__")),
        ("no mapping", class("- a")),
        ("a list for a name", class("- {objectName: [a], objectType: secretsmanager}")),
        ("a mapping for a list", object("jmesPath: {path: a}")),
        ("a line break", class("- {objectName: \"a\\nb\", objectType: secretsmanager}")),
        ("a template", class("- {objectName: '{{ x }}', objectType: secretsmanager}")),
        ("a raw template", class("{{ range }}\n- a: [")),
        ("another service", class("- {objectName: 'arn:aws:s3:us-east-1:111122223333:x'}")),
        ("half an ARN", class("- {objectName: 'arn:aws:ssm', objectType: ssmparameter}")),
        (
            "another type",
            class("- {objectName: 'arn:aws:ssm:us-east-1:111122223333:parameter/a', objectType: secretsmanager}"),
        ),
        ("setuid", object("filePermission: '4755'")),
        ("failover without alias", both("failoverObject: {objectName: b}")),
        ("versions", both("objectAlias: x, objectVersion: v1, failoverObject: {objectName: b, objectVersion: v2}")),
        ("an identity key in an object", object("iamRole: x")),
        ("an external id alone", class(SECRET).parameter("assumeRoleExternalId", "x y")),
        ("two selectors", class("- {objectName: '/a:3', objectType: ssmparameter, objectVersion: 3}")),
        (
            "many versions",
            class(&(0..21).map(|version| format!("- {{objectName: /a, objectType: ssmparameter, objectVersion: {version}, objectAlias: f{version}}}\n")).collect::<String>()),
        ),
        ("a folder", class("- {objectName: db, objectType: secretsmanager}\n- {objectName: db/x, objectType: secretsmanager}").parameter("pathTranslation", "False")),
        ("too many objects", class(&"- {objectName: a, objectType: secretsmanager}\n".repeat(501))),
        ("no objects", class("").without("objects")),
    ];
    for (_, request) in &mut requests {
        request.parameters.entry("pathTranslation".to_owned()).or_insert_with(|| "_".to_owned());
    }
    requests
}

#[tokio::test(start_paused = true)]
async fn every_refusal_of_a_class_is_found_offline() {
    let world = world().await;
    let rules = Rules { allow_role_arn: true, default_region: Region::parse(REGION), ..Rules::default() };
    let mut checked = 0;
    for (cause, request) in wrong_classes().into_iter().chain(more()) {
        if cause == "podInfoOnMount is off" {
            continue; // No manifest of a class decides that.
        }
        let status = world.refusal(&request).await;
        let (message, findings) = (status.message(), errors(&request, rules.clone()));
        assert_eq!(findings.len(), count(message), "{cause}: {message}\n{findings:#?}");
        for finding in findings {
            assert!(message.contains(&finding.message), "{cause}: {message}\n{finding:#?}");
            let place = finding.place.file.unwrap();
            assert!(place.line > 1 && place.column > 0, "{cause}: {place}");
            checked += 1;
        }
    }
    assert!(checked > 45, "{checked}");
    let role = Request::new(SECRET).parameter("roleArn", "arn:aws:iam::111122223333:role/web");
    let findings = errors(&role, Rules { allow_role_arn: false, ..rules });
    assert_eq!(findings.len(), 1);
    assert!(findings[0].message.starts_with("roleArn: is not allowed, because the provider runs without"));
}
