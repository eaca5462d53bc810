//! Requests that are expensive to parse. None of them needs a valid token.

use std::fmt::Write as _;

use latchkey::server::protocol::MountRequest;
use serde_json::{Value, json};

use super::EVIL;
use crate::{
    harness::{Request, STS},
    node::{Node, filler, objects},
    play::Case,
    siege::Siege,
};

const AT_ONCE: usize = 8;
const TOKENS: &str = "csi.storage.k8s.io/serviceAccount.tokens";
/// Requests just below gRPC's maximum size.
const LARGE: usize = (4 << 20) - (64 << 10);

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("aliased-fields", "3,800 jmesPath entries by aliases, of 400 and of one", |siege| {
            Box::pin(of_objects(siege, vec![aliased_fields(400, 3800), aliased_fields(1, 3800)]))
        })
        .driver_writes(),
        Case::new("aliased-lists", "aliases of lists of aliases, 19,000 nodes", |siege| {
            Box::pin(of_objects(siege, vec![aliased_lists()]))
        })
        .driver_writes(),
        Case::new("merged-keys", "merge keys of large mappings, many times", |siege| {
            Box::pin(of_objects(siege, vec![merged(16), merged(500)]))
        })
        .driver_writes(),
        Case::new("wide-mapping", "one object with 19,000 keys, known to nobody", |siege| {
            Box::pin(of_objects(siege, vec![wide("k"), wide("\\x01")]))
        })
        .driver_writes(),
        Case::new(
            "legal-maximum",
            "500 files of the longest expressions, 32 at once, without a token",
            |siege| Box::pin(legal_maximum(siege)),
        )
        .driver_writes(),
        Case::new("deep-nests", "lists in lists, in flow, block and by aliases", |siege| {
            Box::pin(of_objects(siege, nests()))
        })
        .driver_writes(),
        Case::new("long-names", "256 KiB of names and of paths with many folders", |siege| {
            Box::pin(of_objects(siege, vec![long_names(), deep_paths()]))
        })
        .driver_writes(),
        Case::new(
            "mistakes",
            "500 objects with every mistake, long and full of control characters",
            |siege| Box::pin(of_objects(siege, mistakes())),
        )
        .driver_writes(),
        Case::new(
            "large-attributes",
            "attributes of 4 MiB: one key, many keys, escapes, long values",
            |siege| Box::pin(large_attributes(siege)),
        )
        .driver_writes(),
        Case::new("large-secrets", "secrets of 4 MiB, and tokens by the hundred thousand in them", |siege| {
            Box::pin(large_secrets(siege))
        })
        .driver_writes(),
        Case::new("too-large", "requests larger than gRPC takes", |siege| Box::pin(too_large(siege)))
            .driver_writes(),
    ]
}

/// Mounts by some pods with these objects and an unsigned token.
async fn of_objects(siege: Siege, variants: Vec<String>) {
    let messages = variants.iter().flat_map(|objects| messages(&siege.node, objects, 4)).collect();
    siege.mount_for_ever(messages, AT_ONCE).await;
}

fn messages(node: &Node, objects: &str, pods: usize) -> Vec<MountRequest> {
    (0..pods).map(|_| message(node, node.request(EVIL, "nobody", objects))).collect()
}

/// A text in the form of a token.
fn message(node: &Node, request: Request) -> MountRequest {
    request.token(STS, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.").message(&node.emulator)
}

/// A legal expression of 1 KiB with as many nodes as fit.
pub(super) fn long_expression() -> String {
    format!("[{}]", vec!["a"; 500].join(","))
}

/// So many expressions, and so many entries that alias them.
fn aliased_fields(anchors: usize, entries: usize) -> String {
    let expression = format!("[{}]", vec!["a"; 110].join(","));
    let mut fields: Vec<String> =
        (0..anchors).map(|n| format!("&e{n} {{path: '{expression}', objectAlias: f{n}}}")).collect();
    fields.extend((anchors..entries).map(|n| format!("*e{}", n % anchors)));
    format!("- {{objectName: a, objectType: secretsmanager, jmesPath: [{}]}}", fields.join(", "))
}

fn aliased_lists() -> String {
    let mut text = "- &a0 {objectName: a, objectType: secretsmanager}\n".to_owned();
    for level in 1..8 {
        let inner = vec![format!("*a{}", level - 1); 4].join(", ");
        writeln!(text, "- &a{level} [{inner}]").unwrap();
    }
    text
}

/// An object that merges a mapping of 600 keys so many times.
fn merged(times: usize) -> String {
    let keys: Vec<String> = (0..600).map(|number| format!("k{number}: 1")).collect();
    let merges = vec!["*m"; times].join(", ");
    format!(
        "- &m {{{}}}\n- {{<<: [{merges}], objectName: a}}\n- {{<<: *m, objectName: b}}\n",
        keys.join(", ")
    )
}

fn wide(prefix: &str) -> String {
    let keys: Vec<String> = (0..9_400).map(|number| format!("\"{prefix}{number}\": 1")).collect();
    format!("- {{objectName: a, {}}}", keys.join(", "))
}

async fn legal_maximum(siege: Siege) {
    let field = |number: usize| format!("{{path: '{}', objectAlias: f{number}}}", short_expression());
    let fields: Vec<String> = (0..499).map(field).collect();
    let objects =
        objects([format!("objectName: a, objectType: secretsmanager, jmesPath: [{}]", fields.join(", "))]);
    let messages = messages(&siege.node, &objects, 32);
    siege.mount_for_ever(messages, 32).await;
}

/// 256 KiB hold 499 of these.
fn short_expression() -> String {
    format!("[{}]", vec!["a"; 240].join(","))
}

fn nests() -> Vec<String> {
    let flow = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let maps = |depth: usize| format!("{}1{}", "{a: ".repeat(depth), "}".repeat(depth));
    let mut blocks = "- ".repeat(100_000);
    blocks.push('1');
    let many = objects((0..300).map(|_| format!("objectName: {}", flow(60))));
    let aliases = (1..2000).fold("- &a0 []\n".to_owned(), |mut text, level| {
        writeln!(text, "- &a{level} [*a{}]", level - 1).unwrap();
        text
    });
    vec![
        flow(60),
        flow(1000),
        flow(130_000),
        maps(60),
        maps(50_000),
        blocks,
        many,
        aliases,
        "[".repeat(200_000),
    ]
}

fn long_names() -> String {
    objects((0..500).map(|number| format!("objectName: {}, objectType: secretsmanager", filler(number, 470))))
}

fn deep_paths() -> String {
    let folders = "a/".repeat(220);
    objects((0..500).map(|number| format!("objectName: '{folders}{number}', objectType: secretsmanager")))
}

fn mistakes() -> Vec<String> {
    let odd = "\\e[31m\\u202e\\u0001\\U0001F600".repeat(10);
    let object = |number: usize| {
        format!(
            "objectName: \"../{odd}{number}\", objectType: \"{odd}\", objectVersion: [], filePermission: \"{odd}\""
        )
    };
    let empty = |number: usize| format!("a{number}: ");
    let short = objects((0..500).map(|number| format!("x{number}: {number}, objectAlias: ..")));
    vec![objects((0..500).map(object)), objects((0..500).map(empty)), short]
}

/// The attributes of a good request with one of them changed.
fn with_attribute(node: &Node, key: &str, value: impl Into<Value>) -> MountRequest {
    let good = node.request(EVIL, "nobody", "- {objectName: a, objectType: secretsmanager}");
    let mut message = message(node, good);
    let mut attributes: Value = serde_json::from_str(&message.attributes).unwrap();
    attributes[key] = value.into();
    message.attributes = attributes.to_string();
    message
}

async fn large_attributes(siege: Siege) {
    let node = &siege.node;
    let keys =
        ["objects", "region", "failoverRegion", "roleArn", "unknown", "pathTranslation", "refreshInterval"];
    let mut messages: Vec<MountRequest> =
        keys.iter().map(|key| with_attribute(node, key, "x".repeat(LARGE))).collect();
    // Each becomes six bytes when it is quoted.
    messages.extend(keys.iter().map(|key| with_attribute(node, key, "\u{1}".repeat(LARGE / 6))));
    messages.push(with_attribute(node, &"k".repeat(LARGE), "x"));
    // As much as arrives, and as much as is read at once.
    for count in [220_000, 4_000] {
        let mut many = with_attribute(node, "unknown", "x");
        let mut attributes: Value = serde_json::from_str(&many.attributes).unwrap();
        for number in 0..count {
            attributes[format!("k{number}")] = json!("");
        }
        many.attributes = attributes.to_string();
        messages.push(many);
    }
    let mut nested = with_attribute(node, "unknown", "x");
    nested.attributes = "[".repeat(LARGE);
    messages.push(nested);
    siege.mount_for_ever(messages, 16).await;
}

async fn large_secrets(siege: Siege) {
    let node = &siege.node;
    let with_secrets = |secrets: String| {
        let good = node.request(EVIL, "nobody", "- {objectName: a, objectType: secretsmanager}");
        MountRequest { secrets, ..good.audiences(&[]).message(&node.emulator) }
    };
    let audience =
        |number: usize| (format!("a{number}"), json!({ "token": "x.y.z", "expirationTimestamp": "" }));
    let tokens: serde_json::Map<String, Value> = (0..60_000).map(audience).collect();
    let long =
        json!({ STS: { "token": format!("a.{}.c", "x".repeat(LARGE / 2)), "expirationTimestamp": "" } });
    let many: serde_json::Map<String, Value> =
        (0..150_000).map(|n| (format!("k{n}"), json!("value"))).collect();
    let mut messages = vec![
        with_secrets(json!({ TOKENS: Value::Object(tokens).to_string() }).to_string()),
        with_secrets(json!({ TOKENS: long.to_string() }).to_string()),
        with_secrets(Value::Object(many).to_string()),
        with_secrets(format!("{{\"a\":{}", "[".repeat(LARGE))),
        with_secrets(json!({ "a": "\u{1}".repeat(LARGE / 6) }).to_string()),
    ];
    messages.push(with_attribute(node, TOKENS, long.to_string()));
    siege.mount_for_ever(messages, 16).await;
}

async fn too_large(siege: Siege) {
    let messages =
        [5 << 20, 8 << 20].map(|bytes| with_attribute(&siege.node, "unknown", "x".repeat(bytes))).into();
    siege.mount_for_ever(messages, 4).await;
}
