//! Every SecretProviderClass in `examples/` mounts against `examples/store.yaml`.

use std::path::PathBuf;

use latchkey_emulator::Store;
use serde_json::Value;

use crate::harness::{Answer, Pod, Request, World};

fn examples() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// The files `secretproviderclass-*.yaml`, by name.
pub(crate) fn files() -> Vec<(String, Vec<Value>)> {
    let mut files: Vec<(String, Vec<Value>)> = std::fs::read_dir(examples())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| Some((path.file_name()?.to_str()?.to_owned(), path)))
        .filter(|(name, _)| name.starts_with("secretproviderclass-") && name.ends_with(".yaml"))
        .map(|(name, path)| {
            let documents = serde_yaml::from_multiple(&std::fs::read_to_string(path).unwrap());
            let documents = documents.unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, documents)
        })
        .collect();
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    files
}

pub(crate) fn of_kind<'a>(documents: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    documents.iter().filter(move |document| document["kind"] == kind)
}

/// The examples' store, with the service accounts that it expects.
async fn world() -> World {
    let store = std::fs::read_to_string(examples().join("store.yaml")).unwrap();
    let world = World::of(Store::from_yaml(&store).unwrap(), |_| {}).await;
    world.kubernetes.annotate("shop", "cart", "arn:aws:iam::111122223333:role/shop");
    world.kubernetes.add_account("payments", "worker");
    world
}

/// Mounts each class of an example for its own pod, or for the one that the
/// store knows in its namespace.
async fn mount(world: &World, documents: &[Value]) -> Vec<(Value, Answer)> {
    for account in of_kind(documents, "ServiceAccount") {
        let metadata = &account["metadata"];
        let (namespace, name) = (metadata["namespace"].as_str().unwrap(), metadata["name"].as_str().unwrap());
        match metadata["annotations"]["eks.amazonaws.com/role-arn"].as_str() {
            Some(role) => world.kubernetes.annotate(namespace, name, role),
            None => world.kubernetes.add_account(namespace, name),
        }
    }
    let mut answers = Vec::new();
    for class in of_kind(documents, "SecretProviderClass") {
        assert_eq!(class["spec"]["provider"], "aws", "{class}");
        let namespace = class["metadata"]["namespace"].as_str().unwrap();
        let of_store = if namespace == "payments" { "worker" } else { "cart" };
        let pod = of_kind(documents, "Pod").next();
        let account = pod.map_or(of_store, |pod| pod["spec"]["serviceAccountName"].as_str().unwrap());
        if let Some(pod) = pod {
            let named = &pod["spec"]["volumes"][0]["csi"]["volumeAttributes"]["secretProviderClass"];
            assert_eq!(*named, class["metadata"]["name"]);
        }
        let mut request = Request::of_pod(Pod::numbered(namespace, account, 1), "");
        request.parameters.clear();
        for (key, value) in class["spec"]["parameters"].as_object().unwrap() {
            request = request.parameter(key, value.as_str().expect("a parameter is text"));
        }
        answers.push((class.clone(), world.mount(&request).await));
    }
    answers
}

#[tokio::test(start_paused = true)]
async fn every_example_mounts_against_the_example_store() {
    let files = files();
    assert!(files.len() >= 6, "only {} examples were found", files.len());
    for (name, documents) in files {
        println!("{name}");
        let answers = mount(&world().await, &documents).await;
        assert!(!answers.is_empty(), "{name} has no SecretProviderClass");
        for (class, answer) in answers {
            assert!(!answer.paths().is_empty(), "{name} mounts nothing");
            let objects = class["spec"]["secretObjects"].as_array().into_iter().flatten();
            for data in objects.flat_map(|object| object["data"].as_array().unwrap()) {
                let file = data["objectName"].as_str().unwrap();
                let paths = answer.paths();
                assert!(paths.contains(&file), "{name}: secretObjects names {file}, mounted are {paths:?}");
            }
        }
    }
}

/// The one answer of one example.
async fn answer(name: &str) -> Answer {
    let (_, documents) = files().into_iter().find(|(file, _)| file.contains(name)).unwrap();
    mount(&world().await, &documents).await.remove(0).1
}

#[tokio::test(start_paused = true)]
async fn the_json_fields_example_mounts_what_its_comments_say() {
    let answer = answer("json-fields").await;
    answer.assert_texts([
        ("username", "shop"),
        ("host", "db.shop.example"),
        ("port", "5432"),
        ("first-replica", "db-1.shop.example"),
        ("replicas", "db-1.shop.example,db-2.shop.example"),
    ]);
    assert_eq!(answer.mode("password"), 0o400);
    assert_eq!(answer.bytes("keystore.p12")[..3], [0x30, 0x82, 0x04]);
    for absent in ["sslmode", "shop_feature-flags"] {
        assert!(!answer.paths().contains(&absent), "{absent} is mounted");
    }
}

#[tokio::test(start_paused = true)]
async fn the_versions_example_mounts_what_its_comments_say() {
    let answer = answer("versions").await;
    answer.assert_texts([
        ("shop/limits/items", "99"),
        ("orders/stable", "20"),
        ("orders/canary", "30"),
        ("orders/first", "10"),
        ("key/current", "current"),
        ("key/previous", "previous"),
        ("key/pending", "pending"),
        ("key/pinned", "oldest"),
    ]);
}

#[tokio::test(start_paused = true)]
async fn the_binary_and_tls_example_mounts_what_its_comments_say() {
    let answer = answer("binary-and-tls").await;
    assert_eq!(answer.bytes("keystore.jks"), [0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 0x34]);
    answer.assert_modes([
        ("keystore.jks", 0o400),
        ("certificates.json", 0o400),
        ("tls.crt", 0o444),
        ("tls.key", 0o400),
    ]);
    let certificate = answer.text("tls.crt");
    assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----\n"), "{certificate}");
}
