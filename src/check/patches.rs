//! Parts of classes that kustomize merges into others. They lack what the others have.

use std::{
    collections::HashSet,
    path::{Component, Path, PathBuf},
};

use crate::{
    estate::ClassObject,
    manifests::{Found, Object, at, list_at, text_at},
    model::yaml::{Content, Node},
};

/// What makes a class a patch of another one.
pub(super) struct Patches {
    /// The files that kustomizations name as patches.
    files: HashSet<PathBuf>,
    /// The names of the whole classes.
    whole: HashSet<String>,
}

impl Patches {
    pub(super) fn of(found: &Found, classes: &[ClassObject]) -> Self {
        let mut files = HashSet::new();
        for object in found.objects.iter().filter(|object| is_kustomization(object)) {
            let folder = Path::new(&object.file).parent().unwrap_or(Path::new(""));
            let named = list_at(&object.root, "patches").iter().filter_map(|patch| text_at(patch, &["path"]));
            let merged = list_at(&object.root, "patchesStrategicMerge").iter().filter_map(|patch| {
                let Content::Scalar { text, .. } = &patch.content else { return None };
                Some(text.clone())
            });
            files.extend(named.chain(merged).map(|path| plain(&folder.join(path))));
        }
        let whole = classes.iter().filter(|class| is_whole(class));
        Self { files, whole: whole.map(|class| class.name.clone()).collect() }
    }

    /// Whether the class is only a part of one: a kustomization says so, or the whole
    /// class is there too, or it has a directive of a patch.
    pub(super) fn contain(&self, class: &ClassObject) -> bool {
        if is_whole(class) {
            return false;
        }
        self.files.contains(&plain(Path::new(&class.manifest.file)))
            || has_directive(&class.manifest.root)
            || self.whole.contains(&class.name)
    }
}

fn is_kustomization(object: &Object) -> bool {
    let name = Path::new(&object.file).file_stem();
    object.kind() == "Kustomization" || name.is_some_and(|name| name == "kustomization")
}

fn is_whole(class: &ClassObject) -> bool {
    let has = |path: &[&str]| at(&class.manifest.root, path).is_some();
    has(&["spec", "provider"]) && has(&["spec", "parameters", "objects"])
}

fn has_directive(node: &Node) -> bool {
    at(node, &["$patch"]).is_some() || at(node, &["spec"]).is_some_and(|spec| at(spec, &["$patch"]).is_some())
}

/// The path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}
