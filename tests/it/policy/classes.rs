//! The policies of random classes.

use std::fmt::Write;

use latchkey_emulator::Store;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use serde_json::json;

use super::decrypt::{decrypt_questions, keys};
use super::seen::{SUFFIX, calls, emulator_agrees, ministack_agrees, plan_of, questions, within_the_limit};
use crate::harness::{ACCOUNT, FAILOVER, REGION, Request, WEB, WORKER, World};

const CASES: usize = 40;
const SECRETS: [&str; 7] =
    ["db", "shop/db", "shop/db-extra", "shop/db/deep", "a.b_c+d=e@f", "x!y", "shop/db-backup"];
const PARAMETERS: [&str; 5] = ["level", "/shop/level", "/shop/db", "p.q-r_s", "/a/b/c/d"];

/// One entry of `objects`.
#[derive(Clone, Debug)]
struct Entry {
    secret: bool,
    name: usize,
    by_arn: bool,
    previous: bool,
    optional: bool,
    failover: Option<usize>,
}

#[derive(Clone, Debug)]
struct Class {
    entries: Vec<Entry>,
    failover: bool,
    pod_identity: bool,
}

fn class() -> impl Strategy<Value = Class> {
    let entry = (
        any::<bool>(),
        0..20_usize,
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        proptest::option::of(0..20_usize),
    );
    let entry = entry.prop_map(|(secret, name, by_arn, previous, optional, failover)| Entry {
        secret,
        name,
        by_arn,
        previous,
        optional,
        failover,
    });
    let entries = proptest::collection::vec(entry, 1..8);
    (entries, any::<bool>(), any::<bool>()).prop_map(|(entries, failover, pod_identity)| Class {
        entries,
        failover,
        pod_identity,
    })
}

fn name(secret: bool, index: usize) -> &'static str {
    if secret { SECRETS[index % SECRETS.len()] } else { PARAMETERS[index % PARAMETERS.len()] }
}

fn id(entry: &Entry, index: usize, region: &str) -> String {
    let name = name(entry.secret, index);
    match (entry.by_arn, entry.secret) {
        (false, _) => name.to_owned(),
        (true, true) => format!("arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:{name}-{SUFFIX}"),
        (true, false) => format!("arn:aws:ssm:{region}:{ACCOUNT}:parameter/{}", name.trim_start_matches('/')),
    }
}

fn objects(class: &Class) -> String {
    let mut text = String::new();
    for (number, entry) in class.entries.iter().enumerate() {
        let kind = if entry.secret { "secretsmanager" } else { "ssmparameter" };
        writeln!(text, "- objectName: '{}'", id(entry, entry.name, REGION)).unwrap();
        writeln!(text, "  objectType: {kind}\n  objectAlias: file-{number}").unwrap();
        if entry.secret && entry.previous {
            writeln!(text, "  objectVersionLabel: AWSPREVIOUS").unwrap();
        }
        if entry.optional {
            writeln!(text, "  optional: true").unwrap();
        }
        // An ARN belongs to one Region.
        let other = entry.failover.or(entry.by_arn.then_some(entry.name)).filter(|_| class.failover);
        if let Some(other) = other {
            writeln!(text, "  failoverObject: {{objectName: '{}'}}", id(entry, other, FAILOVER)).unwrap();
        }
    }
    text
}

async fn world() -> World {
    let regions = [REGION, FAILOVER];
    let version = |label: &str, digit: &str| {
        let id = format!(
            "{0}{0}{0}{0}{0}{0}{0}{0}-{0}{0}{0}{0}-4{0}{0}{0}-8{0}{0}{0}-{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}",
            digit
        );
        json!({"id": id, "labels": [label], "value": "v"})
    };
    let secrets = SECRETS.map(|name| {
        json!({"name": name, "regions": regions, "suffix": SUFFIX,
            "versions": [version("AWSPREVIOUS", "1"), version("AWSCURRENT", "2")]})
    });
    let parameters = PARAMETERS.map(|name| json!({"name": name, "regions": regions, "value": "v"}));
    let store = json!({"secrets": secrets, "parameters": parameters}).to_string();
    World::of(Store::from_yaml(&store).unwrap(), |config| config.values.max_bytes = 0).await
}

#[tokio::test(start_paused = true)]
async fn the_policy_of_a_random_class_allows_exactly_what_its_mount_calls() {
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let (mut all, mut decrypts) = (Vec::new(), Vec::new());
    let world = world().await;
    for case in 0..CASES {
        let class = class().new_tree(&mut runner).unwrap().current();
        let objects = objects(&class);
        let (namespace, account) = if class.pod_identity { ("pay", "worker") } else { ("shop", "web") };
        let request =
            if class.pod_identity { Request::pod_identity(&objects) } else { Request::new(&objects) };
        let request = if class.failover { request.parameter("failoverRegion", FAILOVER) } else { request };
        let failover = class.failover.then_some(FAILOVER);

        for role in [WEB, WORKER] {
            world.emulator.clear_policy(role);
            for action in ["secretsmanager:GetSecretValue", "ssm:GetParameters"] {
                world.emulator.allow(role, action, "*");
            }
        }
        let seen = calls(&world, &request, failover).await;
        let parameters: serde_json::Map<_, _> = request
            .parameters
            .iter()
            .filter(|(key, _)| !key.contains("k8s.io"))
            .map(|(key, value)| (key.clone(), json!(value)))
            .collect();
        let manifest = json!({
            "apiVersion": "secrets-store.csi.x-k8s.io/v1",
            "kind": "SecretProviderClass",
            "metadata": {"name": "random", "namespace": namespace},
            "spec": {"provider": "aws", "parameters": parameters},
        });
        let accounts = format!(
            "\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: web, namespace: shop, annotations: {{eks.amazonaws.com/role-arn: '{WEB}'}}}}\n"
        );
        println!("{case}: {class:?}\n{objects}");
        let manifests = format!("{manifest}{accounts}");
        let plan = plan_of(&manifests, namespace, account, Vec::new());
        within_the_limit(&plan);
        all.extend(questions(&plan, &seen));
        let with_keys = plan_of(&manifests, namespace, account, keys(&seen));
        all.extend(questions(&with_keys, &seen));
        decrypts.extend(decrypt_questions(&with_keys, &seen));
        emulator_agrees(&world, &request, failover, &plan, &seen).await;
    }
    ministack_agrees(&all);
    ministack_agrees(&decrypts);
}
