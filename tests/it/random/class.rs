//! Random `objects` of a SecretProviderClass, and its other parameters.

use std::fmt::Write as _;

use super::{SECRETS, expression::expression, source::Random};

/// Parameters with values that are good.
pub(super) const PARAMETERS: [(&str, &[&str]); 13] = [
    ("region", &["us-east-1", "eu-central-1"]),
    ("failoverRegion", &["us-west-2"]),
    ("pathTranslation", &["False", "_", "-", "/"]),
    ("usePodIdentity", &["true", "false", "T"]),
    ("preferredAddressType", &["ipv4", "ipv6", "auto"]),
    ("refreshInterval", &["15s", "1h", "2m30s"]),
    ("roleArn", &["arn:aws:iam::111122223333:role/web"]),
    ("assumeRoleArn", &["arn:aws:iam::111122223333:role/other"]),
    ("assumeRoleExternalId", &["id"]),
    ("csi.storage.k8s.io/pod.name", &["web-1"]),
    ("csi.storage.k8s.io/serviceAccount.name", &["web"]),
    ("secretProviderClass", &["class"]),
    ("objects", &["[]", "- objectName: db", "- {objectName: db, objectType: secretsmanager}"]),
];

const KEYS: [(&str, &[&str]); 16] = [
    ("objectType", &["secretsmanager", "ssmparameter", "SecretsManager"]),
    ("objectAlias", &["alias", "a/b", "x"]),
    ("filePermission", &["'0644'", "0400", "420", "'0777'"]),
    ("objectVersion", &["7", "00000000-0000-4000-8000-000000000001"]),
    ("objectVersionLabel", &["AWSCURRENT", "AWSPREVIOUS"]),
    ("failoverObject", &["{objectName: db}", "{objectName: db, objectVersionLabel: AWSPREVIOUS}"]),
    ("encoding", &["base64", "hex", "base64url"]),
    ("optional", &["true", "false"]),
    ("allKeys", &["true"]),
    ("keyPrefix", &["p-"]),
    ("path", &["/shop"]),
    ("recursive", &["true"]),
    ("tags", &["{a: b}"]),
    ("namePrefix", &["shop/"]),
    ("key", &["user"]),
    ("<<", &["*o", "{optional: true}"]),
];

/// YAML, mostly valid.
pub(super) fn objects(random: &mut Random) -> String {
    let count = match random.below(20) {
        0 => 600,
        1 => 0,
        2..6 => random.below(30),
        _ => 1 + random.below(3),
    };
    let mut text = String::new();
    for number in 0..count {
        let anchor = if number == 0 && random.one_in(4) { "&o " } else { "" };
        writeln!(text, "- {anchor}{}", object(random, number)).unwrap();
    }
    if random.one_in(30) {
        let depth = random.below(5000);
        let (open, close) = random.pick(&[("[", "]"), ("{a: ", "}"), ("- ", "")]);
        writeln!(text, "- {}x{}", open.repeat(depth), close.repeat(depth)).unwrap();
    }
    text
}

fn object(random: &mut Random, number: usize) -> String {
    let name = if random.one_in(8) { hostile(random) } else { random.pick(&SECRETS).to_owned() };
    let mut entries = vec![format!("objectName: {name}")];
    if !random.one_in(10) {
        entries.push("objectType: secretsmanager".to_owned());
    }
    // Without an alias, most objects would collide.
    if !random.one_in(6) {
        entries.push(format!("objectAlias: file-{number}"));
    }
    while random.one_in(3) {
        let (key, values) = random.pick(&KEYS);
        let value = if random.one_in(3) { value(random) } else { random.pick(values).to_owned() };
        entries.push(format!("{key}: {value}"));
    }
    if random.one_in(3) {
        let fields: Vec<String> = (0..=random.below(4)).map(|field| entry(random, number, field)).collect();
        entries.push(format!("jmesPath: [{}]", fields.join(", ")));
    }
    if random.one_in(20) {
        entries.push(format!("{}: {}", hostile(random), value(random)));
    }
    format!("{{{}}}", entries.join(", "))
}

fn entry(random: &mut Random, number: usize, field: usize) -> String {
    let text = expression(random, 4);
    let text = if random.one_in(6) { random.mutated(&text) } else { text };
    let path = quoted(&text);
    let alias = if random.one_in(10) { hostile(random) } else { format!("field-{number}-{field}") };
    let key = if random.one_in(8) { "key" } else { "path" };
    format!("{{{key}: {path}, objectAlias: {alias}}}")
}

/// Any YAML value.
fn value(random: &mut Random) -> String {
    match random.below(5) {
        0 => format!("[{}, {}]", hostile(random), hostile(random)),
        1 => format!("{{{}: {}}}", hostile(random), hostile(random)),
        // Without quotes it may end the document, or begin another.
        2 => random.hostile(),
        _ => hostile(random),
    }
}

fn hostile(random: &mut Random) -> String {
    quoted(&random.hostile())
}

/// JSON text is valid as a double-quoted YAML scalar.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}
