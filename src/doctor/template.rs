//! What a pod is made of, as far as the checks read it.

use serde::Deserialize;

use super::objects::Labels;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodSpec {
    pub(super) node_name: String,
    pub(super) service_account_name: String,
    pub(super) containers: Vec<Container>,
    pub(super) volumes: Vec<Volume>,
    pub(super) node_selector: Labels,
    pub(super) tolerations: Vec<Toleration>,
    /// The node that a pod of a DaemonSet was made for is only in here.
    pub(super) affinity: Option<Affinity>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) command: Vec<String>,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<Variable>,
    pub(super) ports: Vec<Port>,
    #[serde(rename = "volumeMounts")]
    pub(super) mounts: Vec<Mount>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Variable {
    pub(super) name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) container_port: u16,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Mount {
    pub(super) name: String,
    pub(super) mount_path: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Volume {
    pub(super) name: String,
    pub(super) host_path: Option<HostPath>,
    pub(super) csi: Option<CsiVolume>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct HostPath {
    pub(super) path: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct CsiVolume {
    pub(super) driver: String,
    pub(super) volume_attributes: Labels,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Toleration {
    pub(super) key: String,
    pub(super) operator: String,
    pub(super) value: String,
    pub(super) effect: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Affinity {
    pub(super) node_affinity: Option<NodeAffinity>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct NodeAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub(super) required: Option<NodeTerms>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct NodeTerms {
    pub(super) node_selector_terms: Vec<NodeTerm>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct NodeTerm {
    pub(super) match_expressions: Vec<Expression>,
    pub(super) match_fields: Vec<Expression>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Expression {
    pub(super) key: String,
    pub(super) operator: String,
    pub(super) values: Vec<String>,
}

impl Container {
    /// The value of `--NAME=value`, or of `--NAME value`.
    pub(super) fn flag(&self, name: &str) -> Option<&str> {
        let words: Vec<&str> = self.command.iter().chain(&self.args).map(String::as_str).collect();
        words.iter().enumerate().rev().find_map(|(index, word)| {
            let flag = word.strip_prefix('-')?;
            let rest = flag.strip_prefix('-').unwrap_or(flag).strip_prefix(name)?;
            match rest.strip_prefix('=') {
                Some(value) => Some(value),
                None if rest.is_empty() => words.get(index + 1).copied(),
                None => None,
            }
        })
    }

    /// Whether a boolean flag of a Go program is set. Its value is optional.
    pub(super) fn is_on(&self, name: &str) -> bool {
        let forms =
            [format!("--{name}"), format!("-{name}"), format!("--{name}=true"), format!("-{name}=true")];
        self.command.iter().chain(&self.args).any(|word| forms.contains(word))
    }

    /// The image's repository, without tag and digest.
    pub(super) fn repository(&self) -> &str {
        let image = self.image.split('@').next().unwrap_or_default();
        match image.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => repository,
            _ => image,
        }
    }

    /// The image's tag, empty if it has none.
    pub(super) fn tag(&self) -> &str {
        let image = self.image.split('@').next().unwrap_or_default();
        image.rsplit_once(':').map(|(_, tag)| tag).filter(|tag| !tag.contains('/')).unwrap_or_default()
    }
}

impl PodSpec {
    /// The folder on the node that is mounted at a path of the container, or above it.
    pub(super) fn host_path_at(&self, container: &Container, path: &str) -> Option<String> {
        let path = path.trim_end_matches('/');
        let below = |mount: &&Mount| {
            path.strip_prefix(mount.mount_path.trim_end_matches('/'))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let mount = container.mounts.iter().filter(below).max_by_key(|mount| mount.mount_path.len())?;
        let volume = self.volumes.iter().find(|volume| volume.name == mount.name)?;
        let host = volume.host_path.as_ref()?.path.trim_end_matches('/');
        Some(canonical(&format!("{host}{}", &path[mount.mount_path.trim_end_matches('/').len()..])))
    }
}

/// `/run` and `/var/run` are one folder on every Linux that Kubernetes runs on.
pub(super) fn canonical(path: &str) -> String {
    let path = path.trim_end_matches('/');
    match path.strip_prefix("/run/") {
        Some(rest) => format!("/var/run/{rest}"),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_found_in_every_form() {
        let container = Container {
            args: ["serve", "--socket-name=a.sock", "-provider-volume", "/x", "--rotation-poll-interval=5s"]
                .map(str::to_owned)
                .to_vec(),
            ..Container::default()
        };
        assert_eq!(container.flag("socket-name"), Some("a.sock"));
        assert_eq!(container.flag("provider-volume"), Some("/x"));
        assert_eq!(container.flag("socket"), None);
    }

    #[test]
    fn images_have_repositories_and_tags() {
        let of = |image: &str| Container { image: image.to_owned(), ..Container::default() };
        for (image, repository, tag) in [
            (
                "registry.k8s.io/csi-secrets-store/driver:v1.6.0",
                "registry.k8s.io/csi-secrets-store/driver",
                "v1.6.0",
            ),
            ("host:5000/a/b", "host:5000/a/b", ""),
            ("a/b:1@sha256:0", "a/b", "1"),
        ] {
            assert_eq!((of(image).repository(), of(image).tag()), (repository, tag));
        }
    }

    #[test]
    fn the_folder_on_the_node_is_found_by_the_mount() {
        let spec = PodSpec {
            volumes: vec![Volume {
                name: "p".to_owned(),
                host_path: Some(HostPath { path: "/run/providers/".to_owned() }),
                csi: None,
            }],
            ..PodSpec::default()
        };
        let container = Container {
            mounts: vec![Mount { name: "p".to_owned(), mount_path: "/sockets".to_owned() }],
            ..Container::default()
        };
        assert_eq!(spec.host_path_at(&container, "/sockets/").as_deref(), Some("/var/run/providers"));
        assert_eq!(spec.host_path_at(&container, "/sockets/a").as_deref(), Some("/var/run/providers/a"));
        assert_eq!(spec.host_path_at(&container, "/sockets2"), None);
    }
}
