//! A check answers on every input, and soon.

use std::time::{Duration, Instant};

use latchkey::findings::{Form, print};
use proptest::prelude::*;

use super::check_text;

/// Three times what the slowest of these takes, unoptimised; the released program needs a tenth.
const PATIENCE: Duration = Duration::from_secs(30);

fn check_in_time(what: &str, text: &str) {
    let began = Instant::now();
    let findings = check_text(text);
    for form in [Form::Table, Form::Json, Form::Sarif, Form::Github, Form::Markdown] {
        print(&findings, form, false);
    }
    let took = began.elapsed();
    assert!(took < PATIENCE, "{what}: {took:?}, {} findings", findings.len());
}

fn class(objects: &str) -> String {
    let objects = objects.replace('\n', "\n      ");
    format!(
        "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {{name: a}}\nspec:\n  provider: aws\n  parameters:\n    objects: |\n      {objects}\n"
    )
}

#[test]
fn hostile_manifests_are_answered_in_time() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let in_objects = format!("- &a {{objectName: a}}\n{}", "- *a\n".repeat(10_000));
    let shared = format!(
        "kind: List\nitems:\n- &c {}{}",
        class("- {objectName: a}").replace('\n', "\n  ").trim_end(),
        "\n- *c".repeat(2_000)
    );
    let data = "    - {objectName: nothing, key: k}\n".repeat(5_000);
    let synced =
        format!("{}  secretObjects:\n  - secretName: s\n    type: Opaque\n    data:\n{data}", class("[]"));
    for (what, text) in [
        ("deep lists", "[".repeat(1 << 20)),
        ("deep mappings", "{a: ".repeat(1 << 18)),
        ("deep blocks", (0..3_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect()),
        ("deep objects", class(&"[".repeat(100_000))),
        ("a bomb", bomb.clone()),
        ("a bomb in objects", class(&bomb)),
        ("aliases in objects", class(&in_objects)),
        ("one class many times", shared),
        ("many documents", "---\n".repeat(1 << 20)),
        ("many separators before a class", format!("{}{}", "---\n".repeat(1 << 18), class("- a"))),
        ("many classes", format!("---\n{}", class("- {objectName: a}")).repeat(2_000)),
        ("a long line", class(&format!("- {{objectName: {}}}", "x".repeat(1 << 20)))),
        ("many objects", class(&"- {objectName: a}\n".repeat(100_000))),
        ("many Secrets", synced),
        ("nothing but quotes", "'\"".repeat(1 << 19)),
        ("NUL", "\0".repeat(1 << 16)),
        ("anchors", (0..50_000).map(|number| format!("- &a{number} x\n")).collect()),
        ("unknown keys", class(&(0..20_000).map(|key| format!("k{key}: x\n")).collect::<String>())),
    ] {
        check_in_time(what, &text);
    }
}

/// As many classes, and pods that mount them, as a large company has: each looks for others.
#[test]
fn a_large_estate_is_answered_in_time() {
    let all = |one: &dyn Fn(usize) -> String| (0..3_000).map(one).collect::<String>();
    let class = |number| {
        let class = class("- {objectName: a}").replacen("name: a", &format!("name: c{number}"), 1);
        format!(
            "---\n{class}  secretObjects: [{{secretName: s{number}, type: Opaque, data: [{{objectName: a, key: k}}]}}]\n"
        )
    };
    let pod = |number| {
        format!(
            "---\nkind: Pod\nmetadata: {{name: p{number}}}\nspec:\n  serviceAccountName: a{number}\n  containers: [{{name: c, env: [{{name: V, valueFrom: {{secretKeyRef: {{name: s{number}, key: k}}}}}}]}}]\n  volumes: [{{name: v, csi: {{driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {{secretProviderClass: c{number}}}}}}}]\n"
        )
    };
    check_in_time("classes and their pods", &(all(&class) + &all(&pod)));
}

fn part() -> impl Strategy<Value = String> {
    let parts = [
        "apiVersion: secrets-store.csi.x-k8s.io/v1\n",
        "kind: SecretProviderClass\n",
        "kind: Pod\n",
        "kind: List\n",
        "metadata: {name: a, namespace: b}\n",
        "spec:\n",
        "  provider: aws\n",
        "  parameters:\n",
        "    objects: |\n",
        "      - objectName: a\n",
        "        objectType: secretsmanager\n",
        "    objects: \"- a\\n",
        "\"\n",
        "---\n",
        "&a ",
        "*a",
        "<<: *a\n",
        "{",
        "}",
        "[",
        "]",
        ": ",
        "- ",
        "  ",
        "\t",
        "\r\n",
        "|",
        ">",
        "'",
        "#",
        "{{ x }}",
        "é",
        "items:\n",
        "  secretObjects:\n",
        "  - {secretName: s}\n",
        "  volumes: [{csi: {driver: secrets-store.csi.k8s.io}}]\n",
        "  containers: [{env: [{valueFrom: {secretKeyRef: {name: s}}}]}]\n",
        "\u{feff}",
        "!!binary ",
        "? ",
        "%YAML 1.2\n",
    ];
    prop_oneof![4 => proptest::sample::select(parts.to_vec()).prop_map(str::to_owned), 1 => ".{0,8}"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in ".{0,400}") {
        check_in_time("random text", &text);
    }

    #[test]
    fn no_manifest_of_parts_panics(parts in proptest::collection::vec(part(), 0..60)) {
        check_in_time("random parts", &parts.concat());
    }

    #[test]
    fn no_objects_panic(text in ".{0,200}", quoted in any::<bool>()) {
        let manifest = if quoted { class("").replace("objects: |\n", &format!("objects: {}\n", serde_json::json!(text))) } else { class(&text) };
        check_in_time("random objects", &manifest);
    }
}
