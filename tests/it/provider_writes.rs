//! Provider-writes delivery (`--driver-writes-secrets=false`): the answer has no
//! contents, and the files are in the pod's folder.

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use latchkey_emulator::FaultKind;
use tonic::Code;

use crate::harness::{Request, World, assert_code, assert_says};

const OBJECTS: &str = "
- {objectName: shop/db, objectType: secretsmanager, filePermission: '0440', jmesPath: [{path: user, objectAlias: db/user}]}
- {objectName: /shop/level, objectType: ssmparameter}";

async fn world() -> World {
    let world = World::provider_writes(|config| config.values.max_bytes = 0).await;
    world.secret("shop/db", r#"{"user":"u"}"#);
    world.parameter("/shop/level", "info");
    world
}

fn request(world: &World, objects: &str) -> (Request, PathBuf) {
    world.with_volume(Request::new(objects).parameter("pathTranslation", "False"))
}

/// Mode and contents of every file that the pod sees.
fn seen(folder: &Path) -> BTreeMap<String, (u32, String)> {
    fn walk(folder: &Path, below: &str, files: &mut BTreeMap<String, (u32, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if below.is_empty() && name.starts_with("..") {
                continue;
            }
            let path = folder.join(&name);
            let metadata = std::fs::metadata(&path).unwrap();
            if metadata.is_dir() {
                walk(&path, &format!("{below}{name}/"), files);
            } else {
                let mode = metadata.permissions().mode() & 0o7777;
                files.insert(format!("{below}{name}"), (mode, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut files = BTreeMap::new();
    walk(folder, "", &mut files);
    files
}

fn file(mode: u32, contents: &str) -> (u32, String) {
    (mode, contents.to_owned())
}

#[tokio::test(start_paused = true)]
async fn files_are_written_into_the_pod_and_not_into_the_answer() {
    let world = world().await;
    let (request, folder) = request(&world, OBJECTS);
    let answer = world.mount(&request).await;
    assert_eq!(answer.paths(), [""; 0]);
    let versions: Vec<&str> = answer.versions.keys().map(String::as_str).collect();
    assert_eq!(versions, ["db/user", "shop/db", "shop/level"]);
    let expected = [
        ("db/user", file(0o440, "u")),
        ("shop/db", file(0o440, r#"{"user":"u"}"#)),
        ("shop/level", file(0o644, "info")),
    ];
    assert_eq!(seen(&folder), expected.map(|(path, file)| (path.to_owned(), file)).into());
    let data = std::fs::read_link(folder.join("..data")).unwrap();
    assert!(data.to_str().unwrap().starts_with(".."), "the driver could not continue here: {data:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_value_and_a_removed_object_are_seen_after_the_next_mount() {
    let world = world().await;
    let (request, folder) = request(&world, OBJECTS);
    world.mount(&request).await;
    world.parameter("/shop/level", "debug");
    let fewer = request.parameter("objects", "- {objectName: /shop/level, objectType: ssmparameter}");
    assert_eq!(world.mount(&fewer).await.version("shop/level"), "2");
    assert_eq!(seen(&folder), [("shop/level".to_owned(), file(0o644, "debug"))].into());
    let nothing = fewer.parameter("objects", "[]");
    world.mount(&nothing).await;
    assert_eq!(seen(&folder), BTreeMap::new());
}

#[tokio::test(start_paused = true)]
async fn plain_files_of_another_provider_are_replaced() {
    let world = world().await;
    let (request, folder) = request(&world, OBJECTS);
    std::fs::create_dir(folder.join("shop")).unwrap();
    for name in ["shop/level", "shop/no-longer-asked-for", "left-behind"] {
        std::fs::write(folder.join(name), "old").unwrap();
    }
    world.mount(&request).await;
    assert_eq!(seen(&folder).keys().collect::<Vec<_>>(), ["db/user", "shop/db", "shop/level"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_mount_keeps_the_old_set() {
    let world = world().await;
    let (request, folder) = request(&world, OBJECTS);
    world.mount(&request).await;
    let before = seen(&folder);
    let data = std::fs::read_link(folder.join("..data")).unwrap();
    world.parameter("/shop/level", "debug");
    let fault = world.fault("GetSecretValue", FaultKind::InternalError);
    assert_code(&world.refusal(&request).await, Code::Internal);
    world.emulator.remove_fault(fault);
    let hex = OBJECTS.replace("objectName: /shop/level", "encoding: hex, objectName: /shop/level");
    let status = world.refusal(&request.clone().parameter("objects", &hex)).await;
    assert_code(&status, Code::FailedPrecondition);
    assert_eq!(seen(&folder), before);
    assert_eq!(std::fs::read_link(folder.join("..data")).unwrap(), data);
    world.mount(&request).await;
    assert_eq!(seen(&folder)["shop/level"], file(0o644, "debug"));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_target_path_is_refused_before_any_call() {
    let world = world().await;
    let (request, folder) = request(&world, OBJECTS);
    let (_, other) = world.with_volume(request.clone().numbered(9));
    let elsewhere = tempfile::tempdir().unwrap();
    let link = folder.parent().unwrap().parent().unwrap().join("link");
    std::os::unix::fs::symlink(folder.parent().unwrap(), &link).unwrap();
    for target in [
        elsewhere.path().to_owned(),
        PathBuf::from("/etc"),
        PathBuf::from("mount"),
        other,
        folder.join(".."),
        folder.join("../mount"),
        folder.parent().unwrap().to_owned(),
        link.join("mount"),
    ] {
        let status = world.refusal(&request.clone().target(&target)).await;
        assert_says(&status, Code::FailedPrecondition, &["cannot write into the pod's volume"]);
        assert_eq!(world.emulator.calls(), [], "{}", target.display());
    }
    assert_eq!(seen(&folder), BTreeMap::new());
    std::fs::remove_dir(&folder).unwrap();
    let status = world.refusal(&request).await;
    assert_says(&status, Code::FailedPrecondition, &["is gone"]);
    assert_eq!(world.emulator.calls(), []);
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_is_not_a_tmpfs_mount_is_refused_before_any_call() {
    use latchkey::writer::{FileSystem, Writer};
    let world = World::with(|config| {
        let kubelet = config.provider_volume.join("kubelet");
        config.writer = Some(Writer::new(kubelet, FileSystem::TmpfsMountRoot));
    });
    let world = world.await;
    let (request, _) = request(&world, OBJECTS);
    let status = world.refusal(&request).await;
    assert_code(&status, Code::FailedPrecondition);
    let says = ["is not a tmpfs", "is not a mount point"];
    assert!(says.iter().any(|text| status.message().contains(text)), "{status}");
    assert_eq!(world.emulator.calls(), []);
}

#[tokio::test(start_paused = true)]
async fn the_size_limit_of_a_mount_applies_to_provider_writes_too() {
    let mut world = world().await;
    let mut objects = String::new();
    for number in 0..80 {
        world.secret(&format!("large/{number}"), &"x".repeat(65_536));
        objects.push_str(&format!("- {{objectName: large/{number}, objectType: secretsmanager}}\n"));
    }
    let (request, folder) = request(&world, &objects);
    let status = world.refusal(&request).await;
    assert_says(&status, Code::FailedPrecondition, &["--max-response-bytes", "large/9\" 65536 bytes"]);
    assert_eq!(seen(&folder).len(), 0);
    world.restart(|config| config.rules.limits.max_response_bytes = 8 << 20).await;
    world.mount(&request).await;
    assert_eq!(seen(&folder).len(), 80);
}
