//! The calls that `latchkey cost` estimates are those that a provider makes: a day on a node,
//! against the emulated AWS, with the provider's own intervals.

#![cfg(feature = "tools")]

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use futures_util::future::join_all;
use latchkey::{
    cost::{Prices, Settings, Usage, scenarios},
    estate::Estate,
    manifests::Found,
};

use crate::harness::{Pod, Request, WEB, WORKER, World};

/// How far an estimate may be from what is counted.
const TOLERANCE: f64 = 0.02;
/// How long calls are counted: a multiple of every interval, and of the lives of credentials, so
/// that it has the same number of each wherever it begins.
const COUNTED: Duration = Duration::from_secs(3 * 3600 + 1800);
const NODE: &str = "node-1";

/// A class with the pods that mount it on one node.
struct Shape {
    name: &'static str,
    /// `shop/web` by IRSA, or `pay/worker` by Pod Identity.
    account: (&'static str, &'static str),
    pods: u32,
    parameters: &'static [(&'static str, &'static str)],
    objects: String,
}

impl Shape {
    fn new(name: &'static str, account: (&'static str, &'static str), pods: u32, objects: String) -> Self {
        Self { name, account, pods, parameters: &[], objects }
    }

    /// The class and its pods as manifests.
    fn manifests(&self) -> String {
        let (namespace, service_account) = self.account;
        let name = self.name;
        let mut text = format!(
            "---
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  provider: aws
  parameters:
    region: us-east-1
"
        );
        for (key, value) in self.parameters {
            let _ = writeln!(text, "    {key}: \"{value}\"");
        }
        let _ = writeln!(text, "    objects: |");
        for line in self.objects.lines() {
            let _ = writeln!(text, "      {line}");
        }
        for pod in 0..self.pods {
            let _ = write!(
                text,
                "---
apiVersion: v1
kind: Pod
metadata: {{name: {name}-{pod}, namespace: {namespace}}}
spec:
  nodeName: {NODE}
  serviceAccountName: {service_account}
  containers: [{{name: app, image: app}}]
  volumes:
    - name: secrets
      csi:
        driver: secrets-store.csi.k8s.io
        readOnly: true
        volumeAttributes: {{secretProviderClass: {name}}}
"
            );
        }
        text
    }

    fn requests(&self, numbers: &mut std::ops::RangeFrom<u32>) -> Vec<Request> {
        let (namespace, account) = self.account;
        let request = |number| {
            let request = Request::of_pod(Pod::numbered(namespace, account, number), &self.objects);
            let request =
                request.parameter("region", "us-east-1").parameter("secretProviderClass", self.name);
            self.parameters.iter().fold(request, |request, (key, value)| request.parameter(key, value))
        };
        numbers.by_ref().take(self.pods as usize).map(request).collect()
    }
}

fn secrets(range: std::ops::Range<u32>) -> String {
    range.map(|number| format!("- {{objectName: shop/{number}, objectType: secretsmanager}}\n")).collect()
}

fn parameters(range: std::ops::Range<u32>) -> String {
    range.map(|number| format!("- {{objectName: /shop/{number}, objectType: ssmparameter}}\n")).collect()
}

/// Calls by operation: estimated for a day and for a restart, and counted in the same way.
async fn compared(shapes: &[Shape]) {
    let mut text: String = shapes.iter().map(Shape::manifests).collect();
    let _ = write!(
        text,
        "---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: web
  namespace: shop
  annotations: {{eks.amazonaws.com/role-arn: {WEB}}}
---
association: {{namespace: pay, serviceAccount: worker, roleArn: {WORKER}}}
"
    );
    let mut found = Found::default();
    found.read("test", &text);
    assert!(found.unreadable.is_empty(), "{:?}\n{text}", found.unreadable);
    let settings = Settings {
        nodes: None,
        pods: 1,
        interval: Duration::from_secs(120),
        notices: false,
        churn: 0,
        region: None,
        customer_keys: false,
        higher_throughput: false,
        republish: Duration::from_secs(120),
        prices: Prices::default(),
    };
    let usage = Usage::of(&Estate::of_manifests(&found, "default"), &settings);
    assert!(usage.skipped.is_empty(), "{:?}", usage.skipped);
    let now = scenarios(&usage, &settings).swap_remove(0);
    let (mut day, mut restart) = (BTreeMap::<String, f64>::new(), BTreeMap::<String, f64>::new());
    for ((operation, _), calls) in &now.totals {
        *day.entry(operation.as_str().to_owned()).or_default() += calls.calls;
        *restart.entry(operation.as_str().to_owned()).or_default() += calls.restart;
    }

    let world = World::start().await;
    world.emulator.allow(WEB, "sts:AssumeRole", READER);
    world.emulator.allow(READER, "secretsmanager:GetSecretValue", "*");
    world.emulator.allow(WEB, "sts:TagSession", READER);
    world.emulator.set_role_trust(READER, &[WEB], None);
    for number in 0..40 {
        world.secret(&format!("shop/{number}"), "old");
        world.secret(&format!("shop/{number}"), "new");
        world.parameter(&format!("/shop/{number}"), "value");
    }
    let mut numbers = 0..;
    let requests: Vec<Request> = shapes.iter().flat_map(|shape| shape.requests(&mut numbers)).collect();
    join_all(requests.iter().map(|request| world.mount(request))).await;
    let counted: BTreeMap<String, f64> = world
        .emulator
        .call_counts()
        .into_iter()
        .map(|(operation, count)| (operation, count as f64))
        .collect();
    assert_eq!(counted, restart, "a restart");

    // What was read at once comes due at the principal's own phase.
    world.republish(&requests, Duration::from_secs(600)).await;
    world.emulator.reset_calls();
    world.republish(&requests, COUNTED).await;
    let counted = world.emulator.call_counts();
    let counted: BTreeMap<String, f64> = counted
        .into_iter()
        .map(|(operation, count)| (operation, count as f64 * 86_400.0 / COUNTED.as_secs_f64()))
        .collect();
    assert_eq!(counted.keys().collect::<Vec<_>>(), day.keys().collect::<Vec<_>>());
    for (operation, counted) in &counted {
        let off = (day[operation] - counted).abs() / counted;
        println!("{operation}: estimated {}, counted {counted}", day[operation]);
        assert!(off <= TOLERANCE, "{operation}: estimated {}, counted {counted} a day", day[operation]);
    }
}

const WEB_ACCOUNT: (&str, &str) = ("shop", "web");
const WORKER_ACCOUNT: (&str, &str) = ("pay", "worker");
const READER: &str = "arn:aws:iam::111122223333:role/reader";

#[tokio::test(start_paused = true)]
async fn secrets_are_read_once_an_interval_however_many_pods_share_them() {
    compared(&[
        Shape::new("one", WEB_ACCOUNT, 1, secrets(0..10)),
        Shape::new("same", WEB_ACCOUNT, 20, secrets(5..12)),
        Shape::new("other", WORKER_ACCOUNT, 3, secrets(0..4)),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn parameters_are_read_ten_at_a_time() {
    compared(&[
        Shape::new("many", WEB_ACCOUNT, 5, parameters(0..23)),
        Shape::new("few", WORKER_ACCOUNT, 5, parameters(0..3) + &secrets(0..2)),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn labels_of_one_secret_cost_one_more_read_than_there_are() {
    let labels = "- {objectName: shop/0, objectType: secretsmanager}
- {objectName: shop/0, objectType: secretsmanager, objectVersionLabel: AWSPREVIOUS, objectAlias: previous}
- {objectName: shop/1, objectType: secretsmanager}
";
    compared(&[Shape::new("labels", WEB_ACCOUNT, 2, labels.to_owned())]).await;
}

#[tokio::test(start_paused = true)]
async fn a_shorter_refresh_interval_of_one_class_counts_for_the_values_it_shares() {
    let mut quick = Shape::new("quick", WEB_ACCOUNT, 2, secrets(0..2) + &parameters(0..2));
    quick.parameters = &[("refreshInterval", "30s")];
    let mut slow = Shape::new("slow", WORKER_ACCOUNT, 1, secrets(0..3));
    slow.parameters = &[("refreshInterval", "10m")];
    compared(&[quick, Shape::new("usual", WEB_ACCOUNT, 2, secrets(1..5)), slow]).await;
}

#[tokio::test(start_paused = true)]
async fn an_assumed_role_has_values_and_credentials_of_its_own() {
    let mut assumed = Shape::new("assumed", WEB_ACCOUNT, 2, secrets(0..3));
    assumed.parameters = &[("assumeRoleArn", READER)];
    compared(&[assumed, Shape::new("own", WEB_ACCOUNT, 2, secrets(0..3))]).await;
}
