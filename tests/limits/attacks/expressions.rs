//! Classes whose fields are expensive to extract. The attacker's own account and
//! secrets; all of it is legal.

use std::time::Duration;

use latchkey::server::protocol::MountRequest;

use super::{EVIL, manifests::long_expression};
use crate::{
    harness::REGION,
    node::{names, objects},
    play::Case,
    siege::Siege,
};

/// A secret is at most this large.
const SECRET: usize = 64 << 10;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("flattened-copies", "length([@,…×250]|[]) on an array of 64 KB", |siege| {
            Box::pin(fields(siege, vec![format!("length([{}]|[])", vec!["@"; 250].join(","))], 1, 8))
        }),
        Case::new("costly-fields", "500 fields of the most expensive expressions, many pods", |siege| {
            Box::pin(fields(siege, costly(), 499, 24))
        }),
        Case::new("costly-few", "20 fields of them, many pods", |siege| {
            Box::pin(fields(siege, costly(), 19, 32))
        })
        .driver_writes(),
        Case::new("costly-namespaces", "500 such fields in pods of six namespaces", |siege| {
            Box::pin(costly_namespaces(siege))
        }),
        Case::new("costly-rotation", "500 such fields of a value that changes all the time", |siege| {
            Box::pin(changing(siege))
        })
        .provider_writes(),
        Case::new("plain-paths", "500 plain paths of 64 steps into 64 KB, many pods", |siege| {
            Box::pin(plain_paths(siege))
        })
        .driver_writes(),
        Case::new("deep-json", "values nested 30,000 deep, by path, expression and key", |siege| {
            Box::pin(deep_json(siege))
        })
        .driver_writes(),
        Case::new("wide-results", "fields whose results are as large as may be, 499 of them", |siege| {
            Box::pin(fields(
                siege,
                vec!["@".to_owned(), long_expression(), "to_string(@)".to_owned()],
                499,
                8,
            ))
        })
        .driver_writes(),
        Case::new("deadline", "costly classes under --mount-timeout=1s", |siege| {
            Box::pin(fields(siege, costly(), 499, 4))
        })
        .flags(&["--mount-timeout=1s"])
        .answered_within(Duration::from_millis(1300)),
        Case::new(
            "deadline-parse",
            "the largest legal class, never read before, under --mount-timeout=1s",
            |siege| Box::pin(fields(siege, vec![largest_of_500()], 499, 4)),
        )
        .driver_writes()
        .flags(&["--mount-timeout=1s"])
        .answered_within(Duration::from_millis(1300)),
    ]
}

/// The longest expression that 499 fields of one class may have: 64 KiB in all.
pub(super) fn largest_of_500() -> String {
    format!("[{}]", vec!["a"; 65].join(","))
}

/// The most expensive expressions of their length, on an array of numbers.
fn costly() -> Vec<String> {
    let copies = |count: usize| vec!["@"; count].join(",");
    let mut all = vec![
        format!("length([{}]|[])", copies(250)),
        format!("length(to_string([{}]))", copies(200)),
        "sort_by(@, &to_string(@))[0]".to_owned(),
        "sort(map(&to_string(@), @))[0]".to_owned(),
        "length(sort(@)|reverse(@)|sort(@)|reverse(@)|sort(@)|reverse(@)|sort(@)|reverse(@))".to_owned(),
        "length([?to_string(@)!='0'])".to_owned(),
        "length([?contains(['1','2','3','4','5','6','7','8','9'], to_string(@))])".to_owned(),
        format!("{}@", "@==@ && ".repeat(40)),
        "max_by(@, &length(to_string(@)))".to_owned(),
        "length(map(&[@,@,@,@,@,@,@,@], @))".to_owned(),
        "length([*].[@,@,@,@,@,@,@,@][])".to_owned(),
        "length(@[?@ > `0`] | [?@ > `0`] | [?@ > `0`] | [?@ > `0`] | [?@ > `0`])".to_owned(),
        "length(join(',', map(&to_string(@), @)))".to_owned(),
        "sum([length(@[::2]), length(@[::-1]), sum(@), avg(@), max(@), min(@)])".to_owned(),
        "length([][][][][][][][][][][][])".to_owned(),
    ];
    // The attacker's own literals, sorted at every element.
    let literal = (0..150).rev().map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    all.push(format!("length(map(&sort(`[{literal}]`), @))"));
    all
}

/// An array of as many small numbers as fit, unlike the others.
fn numbers(seed: usize) -> String {
    let count = SECRET / 2 - 16;
    let digits: Vec<String> = (0..count).map(|n| ((n * 7 + seed) % 10).to_string()).collect();
    format!("[{}]", digits.join(","))
}

/// At most `most` fields with the expression: as many as a class may have.
fn class(secret: &str, expression: &str, most: usize) -> String {
    let count = most.min((250 << 10) / (expression.len() + 32)).min((64 << 10) / expression.len());
    let fields = (0..count).map(|number| format!("{{path: \"{expression}\", objectAlias: f{number}}}"));
    let fields = fields.collect::<Vec<_>>().join(", ");
    objects([format!("objectName: {secret}, objectType: secretsmanager, jmesPath: [{fields}]")])
}

/// Mounts of `pods` pods, each of an account of its own, so that none is served
/// what another has computed. Each class has one expression, so that those that
/// are refused hide no other.
async fn fields(siege: Siege, expressions: Vec<String>, most: usize, pods: usize) {
    let accounts = names("costly", pods.max(expressions.len()));
    siege.node.tenant(EVIL, &accounts);
    let messages = accounts.iter().enumerate().map(|(number, account)| {
        let secret = format!("evil/{number}");
        siege.node.emulator.put_secret(REGION, &secret, numbers(number));
        let expression = &expressions[number % expressions.len()];
        siege.node.message(EVIL, account, &class(&secret, expression, most))
    });
    let messages: Vec<MountRequest> = messages.collect();
    siege.mount_for_ever(messages, pods).await;
}

async fn costly_namespaces(siege: Siege) {
    let accounts = names("costly", costly().len());
    let namespaces = names("evil", 6);
    namespaces.iter().for_each(|namespace| siege.node.tenant(namespace, &accounts));
    let mut messages = Vec::new();
    for (number, expression) in costly().into_iter().enumerate() {
        let (namespace, account) = (&namespaces[number % namespaces.len()], &accounts[number]);
        let secret = format!("evil/{number}");
        siege.node.emulator.put_secret(REGION, &secret, numbers(number));
        messages.push(siege.node.message(namespace, account, &class(&secret, &expression, 499)));
    }
    siege.mount_for_ever(messages, 24).await;
}

async fn changing(siege: Siege) {
    siege.node.tenant(EVIL, &["costly"]);
    siege.node.emulator.put_secret(REGION, "evil/changing", numbers(0));
    let classes = costly().into_iter().map(|expression| class("evil/changing", &expression, 499));
    let messages: Vec<MountRequest> =
        classes.map(|class| siege.node.message(EVIL, "costly", &class)).collect();
    let change = async {
        for seed in 0.. {
            siege.node.emulator.put_secret(REGION, "evil/changing", numbers(seed));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::join!(siege.mount_for_ever(messages, 12), change);
}

async fn plain_paths(siege: Siege) {
    siege.node.tenant(EVIL, &["costly"]);
    let (depth, width) = (60, 1000);
    let mut value = "1".to_owned();
    for _ in 0..depth {
        value = format!("{{\"a\":{value},\"b\":\"{}\"}}", "x".repeat(width));
    }
    siege.node.emulator.put_secret(REGION, "evil/nested", value);
    let path = vec!["a"; depth].join(".");
    let entries = (0..499).map(|number| format!("{{path: {path}, objectAlias: f{number}}}"));
    let class = objects([format!(
        "objectName: evil/nested, objectType: secretsmanager, jmesPath: [{}]",
        entries.collect::<Vec<_>>().join(", ")
    )]);
    let messages: Vec<MountRequest> = (0..24).map(|_| siege.node.message(EVIL, "costly", &class)).collect();
    siege.mount_for_ever(messages, 24).await;
}

async fn deep_json(siege: Siege) {
    siege.node.tenant(EVIL, &["costly"]);
    let half = SECRET / 2 - 8;
    let values = [
        ("evil/lists", format!("{}{}", "[".repeat(half), "]".repeat(half))),
        ("evil/objects", format!("{}1{}", "{\"a\":".repeat(SECRET / 6 - 8), "}".repeat(SECRET / 6 - 8))),
        ("evil/open", "[".repeat(SECRET)),
        ("evil/number", "9".repeat(SECRET)),
        ("evil/exponent", format!("[1e{}]", "9".repeat(SECRET - 8))),
        ("evil/escapes", format!("[\"{}\"]", "\\u0041".repeat(SECRET / 6 - 8))),
        ("evil/same", format!("{{{}}}", vec!["\"a\":1"; SECRET / 6 - 8].join(","))),
    ];
    let paths = [
        "a.a.a",
        "[0][0][0]",
        "length(@)",
        "@",
        "[]",
        "[][]",
        "a",
        "*.*",
        "to_string(@)",
        "[?@==@]",
        "keys(@)",
    ];
    let mut messages = Vec::new();
    for (secret, value) in values {
        siege.node.emulator.put_secret(REGION, secret, value);
        for path in paths {
            let class = format!(
                "objectName: {secret}, objectType: secretsmanager, jmesPath: [{{path: \"{path}\", objectAlias: f}}]"
            );
            messages.push(siege.node.message(EVIL, "costly", &objects([class])));
        }
    }
    siege.mount_for_ever(messages, 16).await;
}
