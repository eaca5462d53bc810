//! The pods of manifests with the places of their parts.

use crate::{
    estate::DRIVER,
    findings::{FilePlace, ObjectName, Place},
    manifests::{Object, at, list_at, text_at},
    model::yaml::{Content, Node},
};

/// A pod, or the template of pods.
pub(super) struct PodSpec<'a> {
    object: &'a Object,
    pub(super) namespace: String,
    spec: &'a Node,
}

/// A container of a pod, and what it inherits.
pub(super) struct Container<'a> {
    pub(super) name: String,
    pub(super) node: &'a Node,
    pod: &'a Node,
}

impl<'a> PodSpec<'a> {
    /// `namespace` is that of objects that name none.
    pub(super) fn of(object: &'a Object, namespace: &str) -> Option<Self> {
        let path: &[&str] = match object.kind().as_str() {
            "Pod" => &["spec"],
            _ if at(&object.root, &["spec", "template", "spec"]).is_some() => &["spec", "template", "spec"],
            _ => &["spec", "jobTemplate", "spec", "template", "spec"],
        };
        let spec = at(&object.root, path).filter(|spec| at(spec, &["containers"]).is_some())?;
        let namespace = object.namespace().unwrap_or_else(|| namespace.to_owned());
        Some(Self { object, namespace, spec })
    }

    /// The place of the whole object, as the estate has it.
    pub(super) fn whole_place(&self) -> Place {
        self.place(&self.object.root)
    }

    /// The place of a part of the pod.
    pub(super) fn place(&self, node: &Node) -> Place {
        let file = FilePlace { file: self.object.file.clone(), line: node.line, column: node.column };
        let name = ObjectName::new(&self.object.kind(), &self.namespace, &self.object.name());
        Place::in_file(file, name)
    }

    /// The `csi` part of a volume, or as near to it as there is one.
    pub(super) fn volume(&self, name: &str) -> Option<&'a Node> {
        let is_it = |volume: &&Node| text_at(volume, &["name"]).as_deref() == Some(name);
        let volume = list_at(self.spec, "volumes").iter().find(is_it)?;
        Some(at(volume, &["csi"]).unwrap_or(volume))
    }

    /// The names of the classes that it mounts.
    pub(super) fn classes(&self) -> impl Iterator<Item = String> {
        let of_driver = |volume: &&Node| text_at(volume, &["csi", "driver"]).as_deref() == Some(DRIVER);
        let volumes = list_at(self.spec, "volumes").iter().filter(of_driver);
        volumes.filter_map(|volume| text_at(volume, &["csi", "volumeAttributes", "secretProviderClass"]))
    }

    pub(super) fn containers(&self) -> impl Iterator<Item = Container<'a>> {
        let lists = ["initContainers", "containers"].into_iter();
        lists.flat_map(|list| list_at(self.spec, list)).map(|node| Container {
            name: text_at(node, &["name"]).unwrap_or_default(),
            node,
            pod: self.spec,
        })
    }
}

impl<'a> Container<'a> {
    /// The mount of a volume in the container, or the container.
    pub(super) fn mount(&self, volume: &str, path: &str) -> &'a Node {
        let is_it = |mount: &&Node| {
            let text = |key| text_at(mount, &[key]);
            text("name").as_deref() == Some(volume) && text("mountPath").as_deref() == Some(path)
        };
        list_at(self.node, "volumeMounts").iter().find(is_it).unwrap_or(self.node)
    }

    /// Whether one of its groups may be 0, which may read what the group of root may.
    pub(super) fn may_have_group_root(&self) -> bool {
        let number = |node: &Node, key| text_at(node, &["securityContext", key]);
        let group = number(self.node, "runAsGroup").or_else(|| number(self.pod, "runAsGroup"));
        let more = at(self.pod, &["securityContext"]).map_or(&[][..], |it| list_at(it, "supplementalGroups"));
        let is_root = |node: &Node| matches!(&node.content, Content::Scalar { text, .. } if text == "0");
        // Without runAsGroup, the image decides.
        group.is_none_or(|group| group == "0")
            || more.iter().any(is_root)
            || number(self.pod, "fsGroup").as_deref() == Some("0")
    }
}
