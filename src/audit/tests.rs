#[path = "writing_tests.rs"]
mod writing_tests;

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    time::Instant,
};

use serde_json::Value;

use super::*;
use crate::{
    backend::{ReadFailure, Reading},
    model::{
        arn::{Region, RoleArn},
        file::FileMode,
        file_path::FilePath,
        objects::{Objects, ObjectsText},
        principal::{AssumedRole, Means},
        secret::SecretValue,
    },
    values::Readings,
};

const CANARY: &str = "canary-value-4711";

/// A pod and what it mounts.
struct Mount {
    pod: Pod,
    principal: Principal,
    target_path: PathBuf,
    objects: Arc<Objects>,
    found: Vec<Found>,
    files: Vec<MountFile>,
}

impl Mount {
    fn new(namespace: &str, name: &str, yaml: &str) -> Self {
        let service_account = "web".to_owned();
        let role = RoleArn::parse("arn:aws:iam::111122223333:role/shop-web").unwrap();
        let mut mount = Self {
            pod: Pod {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                uid: format!("uid-{name}"),
                service_account: service_account.clone(),
            },
            principal: Principal {
                namespace: namespace.to_owned(),
                service_account,
                means: Means::Irsa { role },
                assumed: None,
            },
            target_path: PathBuf::from(format!("/var/lib/kubelet/pods/uid-{name}/mount")),
            objects: ObjectsText::example(yaml).objects(),
            found: Vec::new(),
            files: Vec::new(),
        };
        mount.read(CANARY, "v1");
        mount
    }

    /// Every object has the same value.
    fn read(&mut self, value: &str, version: &str) {
        let reading = |id: &str| Reading {
            value: SecretValue::from(value.to_owned()),
            version: version.to_owned(),
            arn: format!("arn:aws:secretsmanager:us-east-1:111122223333:secret:{id}-AbCdEf"),
            region: Region::parse("us-east-1").unwrap(),
            request_id: Some(format!("request-{id}")),
        };
        let found = |object: &Object| {
            Readings::new(vec![Ok(reading(&object.reference.id))], tokio::time::Instant::now()).found(0)
        };
        self.found = self.objects.iter().map(found).collect();
        let file = |path: &FilePath| MountFile {
            path: path.clone(),
            mode: FileMode::OWNER_READ,
            contents: SecretValue::from(value.to_owned()),
            version: version.to_owned(),
        };
        self.files = self.objects.iter().flat_map(Object::file_paths).map(file).collect();
    }

    fn deliver(&self, audit: &Audit, origin: Origin) {
        audit.delivered(&Delivery {
            pod: &self.pod,
            class: "class",
            target_path: &self.target_path,
            principal: &self.principal,
            origin,
            objects: &self.objects,
            found: &self.found,
            files: &self.files,
        });
    }

    fn deny(&self, audit: &Audit, reason: Reason, error: &dyn fmt::Display) {
        let principal = Some(&self.principal);
        audit.denied(&Denial { pod: &self.pod, class: "class", principal, reason, error });
    }
}

const ONE: &str = "[{objectName: db, objectType: secretsmanager}]";

fn open(folder: &Path) -> Audit {
    let log = AuditLog::File(folder.join("audit.log"));
    let settings = AuditSettings { log, state_dir: Some(folder.join("state")), node: Some("node1".into()) };
    Audit::open(settings).unwrap()
}

/// An audit log that writes to any file.
fn stream(file: File) -> Audit {
    let (first_seen, queue) = (Arc::default(), Queue::new());
    let output = Output::stream(file);
    writer::start(output, None, Arc::clone(&first_seen), Arc::clone(&queue), None).unwrap();
    let (last, denials) = (LastDeliveries::default(), Denials::default());
    Audit { node: None, last, denials, first_seen, queue }
}

/// Every line of the file; each must be one JSON object, and bounded.
fn read(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is cut");
    let line = |line: &str| {
        assert!(line.len() < line::MAX_LINE_BYTES, "{} bytes", line.len());
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    text.lines().map(line).collect()
}

/// The lines, once everything is written.
fn closed(audit: &Audit, folder: &Path) -> Vec<Value> {
    audit.close(Duration::from_secs(10));
    read(&folder.join("audit.log"))
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn texts<'a>(lines: &'a [Value], key: &str) -> Vec<&'a str> {
    lines.iter().map(|line| line[key].as_str().unwrap_or("")).collect()
}

#[test]
fn a_delivery_is_one_line_that_names_everything_but_values() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    let mut mount = Mount::new(
        "shop",
        "web-0",
        r"
- {objectName: db, objectType: secretsmanager, objectVersionLabel: AWSPENDING, objectAlias: user.json,
   jmesPath: [{path: user, objectAlias: user}, {path: none, objectAlias: none, optional: true}]}
- {objectName: absent, objectType: secretsmanager, optional: true}
- {objectName: other, objectType: secretsmanager}",
    );
    let assumed = RoleArn::parse("arn:aws:iam::444455556666:role/partner").unwrap();
    mount.principal.assumed = Some(AssumedRole { arn: assumed, external_id: None });
    let failure = ReadFailure {
        primary: Box::new(crate::aws::AwsFailure::own(
            crate::aws::FailureKind::NotFound,
            "GetSecretValue",
            &Region::parse("us-east-1").unwrap(),
            String::new(),
        )),
        failover: None,
    };
    mount.found[1] = Readings::new(vec![Err(failure)], tokio::time::Instant::now()).found(0);
    mount.files.retain(|file| !matches!(file.path.as_str(), "none" | "absent"));
    mount.deliver(&audit, Origin::Aws);
    let lines = closed(&audit, folder.path());
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    let time = line["time"].as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    let expected = serde_json::json!({
        "time": time, "event": "delivered", "node": "node1", "namespace": "shop", "pod": "web-0",
        "uid": "uid-web-0", "service_account": "web",
        "principal": "service account shop/web with role arn:aws:iam::111122223333:role/shop-web as role arn:aws:iam::444455556666:role/partner (assumeRoleArn)",
        "role": "arn:aws:iam::111122223333:role/shop-web",
        "assumed_role": "arn:aws:iam::444455556666:role/partner",
        "session_name": "latchkey-shop.web", "class": "class", "from": "aws",
        "objects": [
            {
                "arn": "arn:aws:secretsmanager:us-east-1:111122223333:secret:db-AbCdEf", "version": "v1",
                "labels": ["AWSPENDING"], "object": "db", "files": ["user.json", "user"],
                "request_id": "request-db", "first_seen": true,
            },
            {
                "arn": "arn:aws:secretsmanager:us-east-1:111122223333:secret:other-AbCdEf", "version": "v1",
                "labels": [], "object": "other", "files": ["other"],
                "request_id": "request-other", "first_seen": true,
            },
        ],
    });
    assert_eq!(*line, expected);
    assert_eq!(audit.counts(), Counts { written: 1, lost: 0, first_seen: 2 });
    let mode = fs::metadata(folder.path().join("audit.log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_book_shows_the_fields_of_a_real_line() {
    let page = include_str!("../../docs/src/audit.md");
    let sample = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let sample: Value = serde_json::from_str(sample).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    Mount::new("shop", "web-0", ONE).deliver(&audit, Origin::Aws);
    let line = &closed(&audit, folder.path())[0];
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<String>>();
    assert_eq!(keys(&sample), keys(line));
    assert_eq!(keys(&sample["objects"][0]), keys(&line["objects"][0]));
    assert_eq!(sample["principal"], line["principal"]);
    assert_eq!(sample["session_name"], line["session_name"]);
}

#[test]
fn a_republish_writes_nothing_and_a_change_does() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    let mut mount = Mount::new("shop", "web-0", ONE);
    let mut other_pod = Mount::new("shop", "web-0", ONE);
    other_pod.pod.uid = "another".to_owned();
    for origin in [Origin::Aws, Origin::Cache, Origin::LastKnownGood, Origin::Aws] {
        mount.deliver(&audit, origin);
    }
    other_pod.deliver(&audit, Origin::Cache);
    mount.read("changed", "v2");
    mount.deliver(&audit, Origin::LastKnownGood);
    // A version may not change with a value: a parameter that refers to a secret.
    mount.read("changed again", "v2");
    mount.deliver(&audit, Origin::Aws);
    mount.deliver(&audit, Origin::Aws);
    audit.drop_idle(Duration::ZERO);
    mount.deliver(&audit, Origin::Cache);
    let lines = closed(&audit, folder.path());
    assert_eq!(texts(&lines, "from"), ["aws", "memory", "last_known_good", "aws", "memory"]);
    let first: Vec<bool> = lines.iter().map(|line| line["objects"][0]["first_seen"] == true).collect();
    assert_eq!(first, [true, false, false, false, false]);
}

#[test]
fn only_refusals_of_access_are_denials() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    let mount = Mount::new("shop", "web-0", ONE);
    Reason::ALL.into_iter().for_each(|reason| mount.deny(&audit, reason, &"why"));
    let lines = closed(&audit, folder.path());
    let expected = [
        "denied",
        "kms_denied",
        "kubernetes_forbidden",
        "token_missing",
        "token_refused",
        "no_identity",
        "credentials_refused",
        "invalid_request",
    ];
    assert_eq!(texts(&lines, "reason"), expected);
    assert!(texts(&lines, "event").iter().all(|event| *event == "denied"));
    assert!(lines.iter().all(|line| line.get("objects").is_none() && line["message"] == "why"));
}

#[tokio::test(start_paused = true)]
async fn a_namespaces_denials_cannot_fill_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    let (noisy, quiet) = (Mount::new("noisy", "web-0", ONE), Mount::new("quiet", "web-0", ONE));
    for _ in 0..1000 {
        noisy.deny(&audit, Reason::Denied, &"x".repeat(100_000));
    }
    quiet.deny(&audit, Reason::Denied, &"denied");
    tokio::time::advance(Duration::from_secs(60)).await;
    noisy.deny(&audit, Reason::Denied, &"denied");
    let lines = closed(&audit, folder.path());
    let length = fs::metadata(folder.path().join("audit.log")).unwrap().len();
    assert!(length < (64 << 10) + 2048, "{length} bytes");
    let [.., other, last] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((&other["namespace"], other.get("not_written")), (&Value::from("quiet"), None));
    assert_eq!(last["not_written"], 1000 - (lines.len() - 2));
    assert_eq!(audit.counts().lost, 0);
}

#[test]
fn five_hundred_files_become_bounded_lines_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    let object = |n| format!("- {{objectName: s{n}, objectType: secretsmanager}}\n");
    let mut many: String = (0..299).map(object).collect();
    many += "- objectName: many\n  objectType: secretsmanager\n  jmesPath:\n";
    many.extend((0..200).map(|n| format!("  - {{path: a, objectAlias: '{}-{n}'}}\n", "\"".repeat(200))));
    let mut written = 0;
    for (name, yaml) in [("web-0", (0..500).map(object).collect()), ("web-1", many)] {
        let mount = Mount::new("shop", name, &yaml);
        mount.deliver(&audit, Origin::Aws);
        let expected: Vec<&str> = mount.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(expected.len(), 500);
        let path = folder.path().join("audit.log");
        until("all parts are written", || read(&path).last().is_some_and(|last| last["pod"] == name));
        let lines = read(&path).split_off(written);
        written += lines.len();
        let mut files = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            assert_eq!((&line["part"], &line["parts"]), (&(at + 1).into(), &lines.len().into()));
            for object in line["objects"].as_array().unwrap() {
                let of_object = object["files"].as_array().unwrap();
                assert!(!of_object.is_empty());
                files.extend(of_object.iter().map(|file| file.as_str().unwrap().to_owned()));
            }
        }
        assert_eq!(files, expected);
    }
    audit.close(Duration::from_secs(10));
    assert_eq!(audit.counts(), Counts { written: written as u64, lost: 0, first_seen: 501 });
}

#[test]
fn hostile_names_stay_in_one_bounded_line() {
    let hostile = "\u{10fffe}\"\\\n\r\u{1b}[31m\u{202e}\0".repeat(400);
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    let mut mount = Mount::new("shop", "web-0", ONE);
    let mut object = mount.objects[0].clone();
    object.path = FilePath::parse(&format!("{}a", "\"\"\\ü/".repeat(682))).unwrap();
    object.reference.id = "\"".repeat(2048);
    mount.objects = Arc::new(Objects::from(vec![object]));
    mount.read(CANARY, &hostile);
    mount.pod = Pod {
        namespace: hostile.clone(),
        name: "\"".repeat(4000),
        uid: hostile.clone(),
        service_account: hostile.clone(),
    };
    mount.deny(&audit, Reason::InvalidRequest, &hostile);
    mount.deliver(&audit, Origin::Aws);
    let lines = closed(&audit, folder.path());
    assert_eq!(texts(&lines, "event"), ["denied", "delivered"]);
    assert!(lines[1].get("parts").is_none(), "{lines:?}");
    let text = fs::read_to_string(folder.path().join("audit.log")).unwrap();
    assert!(!text.chars().any(|c| c != '\n' && c.is_control() || c == '\u{202e}'));
}

#[test]
fn values_never_appear() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    let mount = Mount::new("shop", "web-0", ONE);
    mount.deliver(&audit, Origin::Aws);
    closed(&audit, folder.path());
    for file in ["audit.log", "state/first-seen"] {
        let text = fs::read_to_string(folder.path().join(file)).unwrap();
        assert!(!text.contains(CANARY) && !text.is_empty(), "{file}: {text}");
    }
    assert!(!format!("{audit:?}").contains(CANARY));
}
