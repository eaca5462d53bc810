//! `latchkey cost` on files.

#![cfg(feature = "tools")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use crate::harness::{assert_contains, assert_lacks};

const CLASSES: &str = "
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: web, namespace: shop}
spec:
  provider: aws
  parameters:
    region: eu-central-1
    objects: |
      - {objectName: a, objectType: secretsmanager}
      - {objectName: b, objectType: secretsmanager}
      - {objectName: /c, objectType: ssmparameter}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 30
  template:
    spec:
      serviceAccountName: web
      volumes:
        - {name: s, csi: {driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {secretProviderClass: web}}}
---
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: broken, namespace: shop}
spec: {provider: aws, parameters: {objects: '- {objectName: a}'}}
";

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn cost(&self, manifests: &Path, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_latchkey")).arg("cost").arg(manifests).args(args).output().unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.cost(&self.file("m.yaml", CLASSES), &[&["-ojson"], args].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    }
}

/// A figure of an operation, in a day's estimate.
fn figure(scenario: &Value, operation: &str, figure: &str) -> f64 {
    let operations = scenario["operations"].as_array().unwrap();
    let found = operations.iter().find(|it| it["operation"] == operation).unwrap();
    found[figure].as_f64().unwrap_or_else(|| panic!("{found}"))
}

#[test]
fn replicas_spread_over_the_nodes_that_there_are() {
    let desk = Desk::new();
    for (nodes, on) in [("5", 5.0), ("100", 30.0)] {
        let document = desk.json(&["--nodes", nodes]);
        let now = &document["scenarios"][0];
        assert_eq!(document["version"], 1);
        assert_eq!(document["pods"], 30);
        assert_eq!(figure(now, "GetSecretValue", "calls_a_day"), on * 2.0 * 720.0);
        assert_eq!(figure(now, "GetSecretValue", "dollars_a_day"), on * 2.0 * 720.0 * 0.05 / 10_000.0);
        assert_eq!(figure(now, "GetParameters", "calls_a_day"), on * 720.0);
        assert_eq!(figure(now, "GetParameters", "dollars_a_day"), 0.0);
        let renewals = figure(now, "AssumeRoleWithWebIdentity", "calls_a_day") / on;
        assert!((96.0..=104.0).contains(&renewals), "{renewals}");
        assert_eq!(figure(now, "GetSecretValue", "calls_of_a_restart"), on * 2.0);
        let scenarios = document["scenarios"].as_array().unwrap();
        // AWS's own provider asks for each of the 30 pods.
        let of_aws = scenarios.last().unwrap();
        assert_eq!(figure(of_aws, "GetSecretValue", "calls_a_day"), 30.0 * 2.0 * 720.0);
        assert_eq!(figure(of_aws, "AssumeRoleWithWebIdentity", "calls_a_day"), 30.0 * 720.0);
    }
}

#[test]
fn options_add_keys_throughput_prices_and_pods_that_start() {
    let desk = Desk::new();
    let dollars = |args: &[&str], operation| {
        let document = desk.json(&[&["--nodes=30"], args].concat());
        figure(&document["scenarios"][0], operation, "dollars_a_day")
    };
    let calls = 30.0 * 720.0;
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} is not {b}");
    near(dollars(&["--higher-throughput"], "GetParameters"), calls * 0.05 / 10_000.0);
    near(dollars(&["--customer-keys"], "GetParameters"), calls * 0.03 / 10_000.0);
    near(dollars(&["--customer-keys"], "GetSecretValue"), calls * 2.0 * 0.08 / 10_000.0);
    let prices = desk.file("prices.yaml", "secrets_manager_calls: 1\n");
    near(dollars(&["--prices", prices.to_str().unwrap()], "GetSecretValue"), calls * 2.0 / 10_000.0);
    near(dollars(&["--interval=1h"], "GetSecretValue"), 30.0 * 24.0 * 2.0 * 0.05 / 10_000.0);

    // On 60 nodes, half of the pods that start find nothing there.
    let starts = |churn: &str| {
        let document = desk.json(&["--nodes=60", churn]);
        figure(&document["scenarios"][0], "GetSecretValue", "calls_a_day")
    };
    near(starts("--churn=1000") - starts("--churn=0"), 500.0 * (2.0 + 2.0 * 5.0));
}

#[test]
fn a_class_that_cannot_be_read_is_named_and_not_counted() {
    let desk = Desk::new();
    let output = desk.cost(&desk.file("m.yaml", CLASSES), &["--nodes=10"]);
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert_contains(&err, "warning: not counted: ");
    assert_contains(&err, "shop/broken");
    let table = String::from_utf8(output.stdout).unwrap();
    assert_contains(&table, "GetSecretValue");
    assert_contains(&table, "14,400");
    assert_contains(&table, "AWS's own provider");
}

#[test]
fn more_than_a_quota_is_a_finding() {
    let desk = Desk::new();
    let manifests = desk.file("m.yaml", &CLASSES.replace("replicas: 30", "replicas: 6000"));
    let output = desk.cost(&manifests, &["--nodes=6000"]);
    let out = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{out}");
    assert_contains(&out, "[calls-over-quota] GetParameters in eu-central-1: 50 calls a second");
    assert_contains(&out, "[restart-over-quota] GetParameters in eu-central-1");
    assert_contains(&out, "higher throughput");
    let output = desk.cost(&manifests, &["--nodes=6000", "--higher-throughput"]);
    assert_eq!(output.status.code(), Some(0));
    assert_lacks(&String::from_utf8(output.stdout).unwrap(), "over-quota");
}

#[test]
fn wrong_prices_are_refused_with_their_keys() {
    let desk = Desk::new();
    let prices = desk.file("prices.yaml", "a_price: 1\n");
    let output = desk.cost(&desk.file("m.yaml", CLASSES), &["--prices", prices.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert_contains(&String::from_utf8(output.stderr).unwrap(), "get_parameters_higher_quota");
}
