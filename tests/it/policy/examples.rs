//! The policy of every class in `examples/`.

use std::path::PathBuf;

use latchkey_emulator::Store;
use serde_json::{Value, json};

use super::decrypt::{decrypt_questions, keys};
use super::seen::{calls, emulator_agrees, ministack_agrees, plan_of, questions, within_the_limit};
use crate::{
    examples::{files, of_kind},
    harness::{Pod, Request, World},
};

/// The examples' store, in which all secrets have one suffix, so that a call that names a
/// secret tells its ARN.
async fn world() -> World {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/store.yaml");
    let mut store: Value = serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    // Optional in an example: a policy that names a secret is denied while it does not exist.
    let secrets = store["secrets"].as_array_mut().unwrap();
    secrets.push(json!({"name": "shop/feature-flags", "value": "on"}));
    for secret in secrets {
        let suffix = if secret["name"] == "partner/api" { "XyZaBc" } else { super::seen::SUFFIX };
        secret["suffix"] = suffix.into();
    }
    let world =
        World::of(Store::from_yaml(&store.to_string()).unwrap(), |config| config.values.max_bytes = 0).await;
    world.kubernetes.annotate("shop", "cart", "arn:aws:iam::111122223333:role/shop");
    world.kubernetes.add_account("payments", "worker");
    world
}

/// What the store's world knows about the service accounts.
const ACCOUNTS: &str = "
---
apiVersion: v1
kind: ServiceAccount
metadata:
  namespace: shop
  name: cart
  annotations: {eks.amazonaws.com/role-arn: 'arn:aws:iam::111122223333:role/shop'}
---
apiVersion: v1
kind: ServiceAccount
metadata: {namespace: payments, name: worker}
";

#[tokio::test(start_paused = true)]
async fn the_policy_of_every_example_allows_exactly_what_its_mount_calls() {
    let (mut all, mut decrypts) = (Vec::new(), Vec::new());
    for (name, documents) in files() {
        for class in of_kind(&documents, "SecretProviderClass") {
            println!("{name}");
            let world = world().await;
            let namespace = class["metadata"]["namespace"].as_str().unwrap();
            let account = if namespace == "payments" { "worker" } else { "cart" };
            for own in of_kind(&documents, "ServiceAccount") {
                let metadata = &own["metadata"];
                let name = metadata["name"].as_str().unwrap();
                match metadata["annotations"]["eks.amazonaws.com/role-arn"].as_str() {
                    Some(role) => world.kubernetes.annotate(namespace, name, role),
                    None => world.kubernetes.add_account(namespace, name),
                }
            }
            let pod = of_kind(&documents, "Pod").next();
            let account = pod.map_or(account, |pod| pod["spec"]["serviceAccountName"].as_str().unwrap());
            let mut request = Request::of_pod(Pod::numbered(namespace, account, 1), "");
            request.parameters.clear();
            let parameters = class["spec"]["parameters"].as_object().unwrap();
            for (key, value) in parameters {
                request = request.parameter(key, value.as_str().unwrap());
            }
            let failover = parameters.get("failoverRegion").and_then(Value::as_str);
            let seen = calls(&world, &request, failover).await;
            assert!(!seen.is_empty());

            let own = of_kind(&documents, "ServiceAccount").any(|own| own["metadata"]["name"] == account);
            let accounts: String = if own {
                of_kind(&documents, "ServiceAccount").map(|own| format!("\n---\n{own}")).collect()
            } else {
                ACCOUNTS.to_owned()
            };
            let manifests = format!("{class}\n{accounts}");
            let plan = plan_of(&manifests, namespace, account, Vec::new());
            within_the_limit(&plan);
            all.extend(questions(&plan, &seen));
            let with_keys = plan_of(&manifests, namespace, account, keys(&seen));
            all.extend(questions(&with_keys, &seen));
            decrypts.extend(decrypt_questions(&with_keys, &seen));
            emulator_agrees(&world, &request, failover, &plan, &seen).await;
        }
    }
    assert!(all.len() > 400 && decrypts.len() > 200, "{} {}", all.len(), decrypts.len());
    ministack_agrees(&all);
    ministack_agrees(&decrypts);
}
