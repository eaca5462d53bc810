//! `latchkey mount`: which class of which manifests it mounts, and its messages.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use latchkey_emulator::{Emulator, Store};

use crate::harness::{REGION, assert_contains, assert_lacks, serve_emulator};

const CLASS: &str = "\
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: NAME, namespace: shop}
spec:
  provider: aws
  parameters:
    region: us-east-1
    objects: |
      - objectName: shop/NAME
        objectType: secretsmanager
";
const OTHERS: &str = "\
# Source: chart/templates/sa.yaml
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop}
";

/// How the command ended, and what it printed.
struct Said {
    good: bool,
    out: String,
    err: String,
}

impl Said {
    /// Checks that it succeeded and mounted this file.
    #[track_caller]
    fn assert_mounted(&self, file: &str) {
        assert!(self.good, "it failed: {}", self.err);
        assert_contains(&self.out, file);
    }

    /// Checks that it failed without printing a file, and gave this reason.
    #[track_caller]
    fn assert_refused(&self, says: &str) {
        assert!(!self.good, "it succeeded: {}", self.out);
        assert_eq!(self.out, "");
        assert_contains(&self.err, says);
    }
}

struct Desk {
    url: String,
    folder: tempfile::TempDir,
}

impl Desk {
    /// An AWS with the secrets shop/web and shop/worker.
    async fn new() -> Self {
        let key = "staticKeys: [{accessKeyId: AKIDEXAMPLE, secretAccessKey: x, account: '111122223333'}]";
        let emulator = Emulator::new(Store::from_yaml(key).unwrap());
        for name in ["shop/web", "shop/worker"] {
            emulator.put_secret(REGION, name, r#"{"username": "u"}"#.to_owned());
        }
        Self { url: serve_emulator(&emulator).await, folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    async fn mount(&self, path: &Path, more: &[&str]) -> Said {
        self.mount_of(path, more, "").await
    }

    async fn mount_text(&self, text: &str) -> Said {
        self.mount(&self.file("class.yaml", text), &[]).await
    }

    async fn mount_of(&self, path: &Path, more: &[&str], input: &str) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey"));
        command.arg("mount").arg(path).args(more).env("AWS_ENDPOINT_URL", &self.url);
        command.env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE").env("AWS_SECRET_ACCESS_KEY", "x");
        command.env("AWS_REGION", REGION).env_remove("AWS_PROFILE").env_remove("AWS_SESSION_TOKEN");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let input = input.to_owned();
        let run = move || {
            let mut child = command.spawn().unwrap();
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            child.wait_with_output().unwrap()
        };
        let run = tokio::task::spawn_blocking(run).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { good: run.status.success(), out: text(run.stdout), err: text(run.stderr) }
    }
}

fn class(name: &str) -> String {
    CLASS.replace("NAME", name)
}

#[tokio::test]
async fn a_class_is_found_in_a_file_a_list_a_folder_or_standard_input() {
    let desk = Desk::new().await;
    let indented: String = class("web").lines().map(|line| format!("  {line}\n")).collect();
    let list = format!("apiVersion: v1\nkind: List\nitems:\n-{}", &indented[1..]);
    let unrelated = "a: [\n---\n".to_owned() + &class("web");
    for text in [
        class("web"),
        format!("{OTHERS}---\n{}", class("web")),
        format!("---\n\n---\n{}---\n{OTHERS}", class("web")),
        format!("\u{feff}{}", format!("{OTHERS}---\n{}", class("web")).replace('\n', "\r\n")),
        list,
        unrelated,
    ] {
        println!("{text}");
        desk.mount_text(&text).await.assert_mounted("shop_web");
    }
    let input = format!("{OTHERS}---\n{}", class("web"));
    desk.mount_of(Path::new("-"), &[], &input).await.assert_mounted("shop_web");

    let folder = desk.folder.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    for (name, text) in [("a.yaml", OTHERS), ("b.yml", &class("web")), ("README.md", "{{ no: manifest")] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let said = desk.mount(&folder, &[]).await;
    said.assert_mounted("shop_web");
    assert_eq!(said.err, "");
}

#[tokio::test]
async fn one_of_several_classes_is_chosen_by_name() {
    let desk = Desk::new().await;
    let two = desk.file("two.yaml", &format!("{}---\n{}", class("web"), class("worker")));
    let said = desk.mount(&two, &[]).await;
    for says in ["--class", "shop/web (", "two.yaml, line 1)", "shop/worker (", "line 12)"] {
        said.assert_refused(says);
    }
    for name in ["worker", "shop/worker"] {
        let said = desk.mount(&two, &["--class", name]).await;
        said.assert_mounted("shop_worker");
        assert_lacks(&said.out, "shop_web");
    }
    let said = desk.mount(&two, &["--class", "pay/worker"]).await;
    said.assert_refused("no SecretProviderClass \"pay/worker\"");
    // A class of another provider does not count.
    let other = class("vault").replace("provider: aws", "provider: vault");
    let said = desk.mount_text(&format!("{other}---\n{}", class("web"))).await;
    said.assert_mounted("shop_web");
    desk.mount_text(OTHERS).await.assert_refused("no SecretProviderClass; it contains ServiceAccount");
}

#[tokio::test]
async fn a_manifest_that_the_api_server_would_refuse_is_refused() {
    let desk = Desk::new().await;
    let with = |line: &str| class("web").replace("    region:", &format!("    {line}\n    region:"));
    for (text, says) in [
        (
            with("usePodIdentity: true"),
            r#"spec.parameters.usePodIdentity (line 7) must be a string; write it in quotes: "true""#,
        ),
        (with("usePodIdentity: yes"), "spec.parameters.usePodIdentity (line 7) must be a string"),
        (with("pathTranslation: False"), "spec.parameters.pathTranslation (line 7) must be a string"),
        (with("refreshInterval: 60"), r#"write it in quotes: "60""#),
        (with("failoverRegion:"), "spec.parameters.failoverRegion (line 7) must be a string"),
        (class("web").replace("objects: |", "objects:"), "spec.parameters.objects (line 9) must be a string"),
        (
            class("web").replace("kind: Secret", "kind: secret"),
            r#"kind "secretProviderClass" must be "SecretProviderClass""#,
        ),
        (class("web").replace("Class\n", "Classes\n"), r#"kind "SecretProviderClasses" must be"#),
        (
            class("web").replace("k8s.io/v1", "k8s.io/v1beta1"),
            r#"apiVersion "secrets-store.csi.x-k8s.io/v1beta1" must be"#,
        ),
        (class("web").replace("secrets-store.csi.x-k8s.io/v1", "v1"), r#"apiVersion "v1" must be"#),
        (class("web").replace("provider: aws", "provider: AWS"), r#"spec.provider "AWS" must be "aws""#),
    ] {
        desk.mount_text(&text).await.assert_refused(says);
    }
}

#[tokio::test]
async fn an_ignored_part_of_a_manifest_is_a_warning() {
    let desk = Desk::new().await;
    for (text, says) in [
        (
            class("web").replace("  provider", "  pathTranslation: \"False\"\n  provider"),
            "spec.pathTranslation (line 5) is not a field of a SecretProviderClass",
        ),
        (
            class("web").replace("  provider", "  secretobjects: []\n  provider"),
            "the correct spelling is secretObjects",
        ),
        (class("web").replace("k8s.io/v1", "k8s.io/v1alpha1"), "deprecated"),
        (
            class("web") + "      ---\n      - objectName: shop/worker\n        objectType: secretsmanager\n",
            "nothing from line 4 on is mounted",
        ),
    ] {
        let said = desk.mount_text(&text).await;
        said.assert_mounted("shop_web");
        assert_contains(&said.err, "warning: ");
        assert_contains(&said.err, says);
    }
}

#[tokio::test]
async fn secret_objects_must_name_mounted_files() {
    let desk = Desk::new().await;
    let objects = class("web") + "        jmesPath: [{path: username, objectAlias: user.txt}]\n";
    for (name, says) in [
        ("shop/web", Some("did you mean \"shop_web\"?")),
        ("Shop_Web", Some("did you mean \"shop_web\"?")),
        ("web", Some("did you mean \"shop_web\"?")),
        ("username", Some("did you mean \"user.txt\"?")),
        ("password", Some("the mounted files are \"shop_web\", \"user.txt\"")),
        ("shop_web", None),
        (" user.txt ", None),
    ] {
        let synced = format!(
            "  secretObjects:\n  - secretName: web\n    type: Opaque\n    data: [{{objectName: '{name}', key: k}}]\n  parameters"
        );
        let said = desk.mount_text(&objects.replace("  parameters", &synced)).await;
        assert!(said.good, "{name:?}: {}", said.err);
        match says {
            None => assert_eq!(said.err, "", "{name:?}"),
            Some(says) => {
                assert_contains(&said.err, says);
                assert_contains(&said.err, "spec.secretObjects[0] \"web\" (line 7).data[0]");
            }
        }
    }
    let bare = objects
        .replace("  parameters", "  secretObjects: [{secretName: web, data: [{key: x}]}]\n  parameters");
    let said = desk.mount_text(&bare).await;
    assert_contains(&said.err, "type is missing");
    assert_contains(&said.err, "objectName is missing");
}
