//! Environment variables from the Secrets that the driver creates out of mounted files.

use std::collections::BTreeSet;

use super::{ByName, Checker, Parsed, PodSpec, class, rules::*};
use crate::{
    findings::Finding,
    manifests::{at, list_at, text_at},
    model::{message::quoted, spelling::distance, yaml::Node},
};

/// A Secret that a class creates.
struct Synced {
    name: String,
    class: String,
    namespace: String,
    keys: BTreeSet<String>,
}

/// The Secrets that pods can take variables from.
struct Secrets<'a> {
    by_name: ByName<&'a Synced>,
    by_class: ByName<&'a Synced>,
    /// Those that something else among the manifests creates.
    given: ByName<()>,
}

/// Where a container takes a variable from.
struct Source<'a> {
    node: &'a Node,
    container: String,
    secret: String,
    /// `None` for all keys.
    key: Option<String>,
}

impl Checker<'_> {
    pub(super) fn check_synced(&self, findings: &mut Vec<Finding>) {
        let synced = self.synced();
        if synced.is_empty() {
            return;
        }
        let by_name = ByName::of(synced.iter().map(|it| (it.namespace.clone(), it.name.clone(), it)));
        let by_class = ByName::of(synced.iter().map(|it| (it.namespace.clone(), it.class.clone(), it)));
        let secrets = Secrets { by_name, by_class, given: self.given() };
        for pod in self.pods {
            for source in sources(pod) {
                self.check_source(pod, &source, &secrets, findings);
            }
        }
    }

    fn check_source(
        &self,
        pod: &PodSpec<'_>,
        source: &Source<'_>,
        secrets: &Secrets<'_>,
        findings: &mut Vec<Finding>,
    ) {
        let Source { node, container, secret, key } = source;
        let of_name: Vec<&Synced> = secrets.by_name.at(&pod.namespace, secret).copied().collect();
        let is_given = secrets.given.at(&pod.namespace, secret).next().is_some();
        let (container, secret) = (quoted(container), quoted(secret));
        let mut add = |rule, message| findings.push(Finding::new(rule, pod.place(node), message));
        if let Some(first) = of_name.first() {
            if !of_name.iter().any(|synced| self.is_mounted(&synced.class, &pod.namespace)) {
                let message = format!(
                    "container {container} takes a variable from Secret {secret}, which the driver creates only while a pod mounts SecretProviderClass {}; no given pod does",
                    quoted(&first.class)
                );
                add(&SYNCED_SECRET_NOT_CREATED, message);
            }
            if let Some(key) = key
                && !is_given
                && !of_name.iter().any(|synced| synced.keys.contains(key))
            {
                let keys: Vec<String> =
                    first.keys.iter().take(10).map(|key| quoted(key).to_string()).collect();
                let message = format!(
                    "container {container} takes a variable from key {} of Secret {secret}, whose keys in SecretProviderClass {} are {}",
                    quoted(key),
                    quoted(&first.class),
                    keys.join(", ")
                );
                add(&SYNCED_SECRET_WITHOUT_KEY, message);
            }
        } else if !is_given {
            let mounted = pod.classes();
            let mut near = mounted
                .flat_map(|class| secrets.by_class.at(&pod.namespace, &class).copied().collect::<Vec<_>>());
            if let Some(near) = near.find(|synced| is_misspelt(&synced.name, &source.secret)) {
                let message = format!(
                    "container {container} takes a variable from Secret {secret}; did you mean {}, which SecretProviderClass {} creates?",
                    quoted(&near.name),
                    quoted(&near.class)
                );
                add(&SYNCED_SECRET_NAME, message);
            }
        }
    }

    /// The Secrets of all classes that can be mounted.
    fn synced(&self) -> Vec<Synced> {
        let ours = self.classes.iter().filter(|class| class::is_meant_for_us(&class.manifest));
        let parsed = ours.map(|class| self.parsed(class));
        let valid = parsed.filter(|parsed| parsed.result.is_ok());
        let of_class = |Parsed { object, .. }: Parsed<'_>| {
            let secrets = object.manifest.secrets().iter();
            let secrets = secrets.map(|secret| Synced {
                name: text_at(secret, &["secretName"]).unwrap_or_default(),
                class: object.name.clone(),
                namespace: object.namespace.clone(),
                keys: list_at(secret, "data").iter().filter_map(|entry| text_at(entry, &["key"])).collect(),
            });
            secrets.collect::<Vec<_>>()
        };
        valid.flat_map(of_class).collect()
    }

    pub(super) fn is_mounted(&self, class: &str, namespace: &str) -> bool {
        self.mounted.at(namespace, class).next().is_some()
    }

    /// The Secrets among the manifests, and those that an object names as its target.
    fn given(&self) -> ByName<()> {
        let given = self.found.objects.iter().flat_map(|object| {
            let is_secret = matches!(object.kind().as_str(), "Secret" | "SealedSecret" | "ExternalSecret");
            let own = is_secret.then(|| object.name());
            let target = text_at(&object.root, &["spec", "target", "name"]);
            let namespace = object.namespace().unwrap_or_default();
            own.into_iter().chain(target).map(move |name| (namespace.clone(), name, ()))
        });
        ByName::of(given)
    }
}

/// The Secrets that the containers of a pod need for their variables.
fn sources<'a>(pod: &PodSpec<'a>) -> Vec<Source<'a>> {
    let mut sources = Vec::new();
    for container in pod.containers() {
        let mut add = |node: Option<&'a Node>, key: bool| {
            let Some(node) = node else { return };
            let is_optional = text_at(node, &["optional"]).as_deref() == Some("true");
            let Some(secret) = text_at(node, &["name"]).filter(|_| !is_optional) else { return };
            let key = if key { text_at(node, &["key"]) } else { None };
            sources.push(Source { node, container: container.name.clone(), secret, key });
        };
        for variable in list_at(container.node, "env") {
            add(at(variable, &["valueFrom", "secretKeyRef"]), true);
        }
        for source in list_at(container.node, "envFrom") {
            add(at(source, &["secretRef"]), false);
        }
    }
    sources
}

/// Whether a name differs from another one only by a letter or by its separators.
/// Another digit makes another name.
fn is_misspelt(name: &str, written: &str) -> bool {
    let plain = |text: &str| {
        let plain = text.chars().filter(|c| c.is_ascii_alphanumeric());
        plain.map(|c| c.to_ascii_lowercase()).collect::<String>()
    };
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    digits(name) == digits(written) && distance(&plain(name), &plain(written)) <= 1
}
