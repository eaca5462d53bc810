//! What can be read, and where.

use std::fmt;

/// A kind of object of the Kubernetes API.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
    pub namespaced: bool,
}

pub const PODS: Resource = core("pods", true);
pub const SERVICE_ACCOUNTS: Resource = core("serviceaccounts", true);
pub const CONFIG_MAPS: Resource = core("configmaps", true);
pub const NODES: Resource = core("nodes", false);
pub const CLASSES: Resource = of("secrets-store.csi.x-k8s.io", "secretproviderclasses", true);
pub const POD_STATUSES: Resource = of("secrets-store.csi.x-k8s.io", "secretproviderclasspodstatuses", true);
pub const CSI_DRIVERS: Resource = of("storage.k8s.io", "csidrivers", false);
pub const DAEMON_SETS: Resource = of("apps", "daemonsets", true);
pub const EVENTS: Resource = of("events.k8s.io", "events", true);
pub const CSI_NODES: Resource = of("storage.k8s.io", "csinodes", false);
pub const LEASES: Resource = of("coordination.k8s.io", "leases", true);
pub const NETWORK_POLICIES: Resource = of("networking.k8s.io", "networkpolicies", true);

const fn core(plural: &'static str, namespaced: bool) -> Resource {
    of("", plural, namespaced)
}

const fn of(group: &'static str, plural: &'static str, namespaced: bool) -> Resource {
    Resource { group, version: "v1", plural, namespaced }
}

/// Which namespaces to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    All,
    Namespace(String),
}

/// A list of objects to read.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    pub resource: &'a Resource,
    pub scope: &'a Scope,
    /// A field selector; empty for all.
    pub fields: &'a str,
    /// A label selector; empty for all.
    pub labels: &'a str,
}

impl<'a> Query<'a> {
    pub fn new(resource: &'a Resource, scope: &'a Scope) -> Self {
        Self { resource, scope, fields: "", labels: "" }
    }

    pub fn with_fields(self, fields: &'a str) -> Self {
        Self { fields, ..self }
    }

    pub fn with_labels(self, labels: &'a str) -> Self {
        Self { labels, ..self }
    }

    /// The selectors as parameters, each after an `&`.
    pub(super) fn selectors(&self) -> String {
        let selectors = [("fieldSelector", self.fields), ("labelSelector", self.labels)];
        let given = selectors.iter().filter(|(_, text)| !text.is_empty());
        given.map(|(name, text)| format!("&{name}={}", encoded(text))).collect()
    }

    /// The path of the list, without parameters.
    pub(super) fn path(&self) -> String {
        let Resource { plural, namespaced, .. } = self.resource;
        let root = self.resource.root();
        match self.scope {
            Scope::Namespace(namespace) if *namespaced => {
                format!("{root}/namespaces/{}/{plural}", encoded(namespace))
            }
            _ => format!("{root}/{plural}"),
        }
    }
}

impl Resource {
    fn root(&self) -> String {
        match self.group {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        }
    }

    /// The path of one object. `namespace` counts if the resource has namespaces.
    pub(super) fn path_of(&self, namespace: &str, name: &str) -> String {
        let (root, plural, name) = (self.root(), self.plural, encoded(name));
        if self.namespaced {
            format!("{root}/namespaces/{}/{plural}/{name}", encoded(namespace))
        } else {
            format!("{root}/{plural}/{name}")
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group {
            "" => f.write_str(self.plural),
            group => write!(f, "{}.{group}", self.plural),
        }
    }
}

impl fmt::Display for Query<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scope {
            _ if !self.resource.namespaced => self.resource.fmt(f),
            Scope::All => write!(f, "{} in all namespaces", self.resource),
            Scope::Namespace(namespace) => write!(f, "{} in namespace {namespace}", self.resource),
        }
    }
}

/// The text as part of a path or of a parameter.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_kubernetes_api() {
        let shop = Scope::Namespace("shop".to_owned());
        assert_eq!(Query::new(&PODS, &shop).path(), "/api/v1/namespaces/shop/pods");
        assert_eq!(Query::new(&PODS, &Scope::All).path(), "/api/v1/pods");
        assert_eq!(Query::new(&NODES, &shop).path(), "/api/v1/nodes");
        assert_eq!(
            Query::new(&CLASSES, &shop).path(),
            "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/shop/secretproviderclasses"
        );
        assert_eq!(CSI_DRIVERS.path_of("", "a/b"), "/apis/storage.k8s.io/v1/csidrivers/a%2Fb");
        let odd = Scope::Namespace("../x?y".to_owned());
        assert_eq!(Query::new(&PODS, &odd).path(), "/api/v1/namespaces/..%2Fx%3Fy/pods");
    }
}
