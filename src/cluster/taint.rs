//! Removes the taint that keeps pods off a new node until this process serves the
//! driver.

use std::{fmt, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Cluster, ClusterError};
use crate::metrics::KubernetesRequest;

/// Pauses before another attempt. They double from the shortest to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

const REMEDY: &str =
    "Grant get and patch on nodes: chart value startupTaint needs patch on nodes, and rbac.install grants it";

/// The key of a taint: a qualified name, such as `latchkey.example.com/not-ready`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaintKey(String);

/// The only part of a node that is read.
#[derive(Deserialize)]
struct Node {
    spec: Option<Spec>,
}

#[derive(Deserialize)]
struct Spec {
    /// As they are: a test compares whole taints.
    taints: Option<Vec<Value>>,
}

impl TaintKey {
    /// Parses a key by the rules of Kubernetes:
    /// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>.
    ///
    /// # Errors
    /// If it is not a qualified name, or belongs to Kubernetes itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (prefix, name) = match text.split_once('/') {
            Some((prefix, name)) => (Some(prefix), name),
            None => (None, text),
        };
        if !is_name(name) || !prefix.is_none_or(is_subdomain) {
            return Err(
                "expected a taint's key: at most 63 letters, digits, -, _ and ., after an optional prefix such as example.com/"
                    .to_owned(),
            );
        }
        let of_kubernetes = |domain: &str| {
            prefix.is_some_and(|prefix| {
                prefix.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            })
        };
        if of_kubernetes("kubernetes.io") || of_kubernetes("k8s.io") {
            return Err("taints of kubernetes.io and k8s.io belong to Kubernetes; use a prefix of your own"
                .to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for TaintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Starts and ends with a letter or a digit.
fn is_name(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 63
        && text.starts_with(ends)
        && text.ends_with(ends)
        && text.chars().all(|c| ends(c) || matches!(c, '-' | '_' | '.'))
}

fn is_subdomain(text: &str) -> bool {
    let is_label = |label: &str| {
        is_name(label) && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

impl Cluster {
    /// Removes all taints with this key from this process's node. Tries again until it
    /// succeeds or there is none, and logs each kind of failure once.
    pub async fn remove_startup_taint(&self, key: &TaintKey) {
        let Some(node) = self.settings.node_name.as_deref() else {
            tracing::error!(%key, "cannot remove the startup taint: --node-name is not set");
            return;
        };
        let (mut pause, mut logged) = (SHORTEST_PAUSE, None);
        loop {
            match self.try_remove_taint(node, key).await {
                Ok(0) => return tracing::info!(node, %key, "the node has no startup taint"),
                Ok(_) => return tracing::info!(node, %key, "startup taint removed"),
                // The node has changed since it was read, which passes.
                Err(ClusterError::Rejected { .. }) if pause < LONGEST_PAUSE => {}
                Err(error) => {
                    let reason = error.reason();
                    if logged != Some(reason) {
                        tracing::error!(node, %key, reason = reason.as_str(), "the startup taint stays on the node for now: {error}. Latchkey keeps trying");
                    }
                    logged = Some(reason);
                    if matches!(error, ClusterError::Forbidden { .. }) {
                        pause = LONGEST_PAUSE;
                    }
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Returns the number of removed taints.
    async fn try_remove_taint(&self, node: &str, key: &TaintKey) -> Result<usize, ClusterError> {
        let path = format!("/api/v1/nodes/{node}");
        let action = format!("get node {node} for its taints");
        let taints = self.ask(KubernetesRequest::Taint, &action, REMEDY, async |client| {
            let request = http::Request::get(&path).body(Vec::new()).map_err(kube::Error::HttpError)?;
            // `Client::request` would log a node that it cannot parse.
            let text = client.request_text(request).await?;
            let node: Node = serde_json::from_str(&text).map_err(kube::Error::SerdeError)?;
            Ok(node.spec.and_then(|spec| spec.taints).unwrap_or_default())
        });
        let taints = taints.await?;
        let ours = |taint: &Value| taint.get("key").and_then(Value::as_str) == Some(&key.0);
        // From the last one, so that the other places stay as they were read. The tests
        // reject the patch if the taints have changed.
        let (mut patch, mut count) = (Vec::new(), 0);
        for (place, taint) in taints.iter().enumerate().rev().filter(|(_, taint)| ours(taint)) {
            let path = format!("/spec/taints/{place}");
            patch.push(json!({ "op": "test", "path": path, "value": taint }));
            patch.push(json!({ "op": "remove", "path": path }));
            count += 1;
        }
        if count > 0 {
            let request =
                http::Request::patch(path).header(http::header::CONTENT_TYPE, "application/json-patch+json");
            let action = format!("remove the taint {key} from node {node}");
            self.write(KubernetesRequest::Taint, &action, REMEDY, request, &Value::Array(patch)).await?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_qualified_name_that_is_not_of_kubernetes() {
        let long = "a".repeat(63);
        for key in ["latchkey", "latchkey.example.com/not-ready", "A_b.c-9", "x.y/Z", &long] {
            assert_eq!(TaintKey::parse(key).unwrap().to_string(), key);
        }
        for key in
            ["", "/", "a/", "/a", "a/b/c", "-a", "a-", "a b", "ä", "a=b", "a:NoSchedule", "A.b/c", "a..b/c"]
        {
            TaintKey::parse(key).unwrap_err();
        }
        TaintKey::parse(&"a".repeat(64)).unwrap_err();
        TaintKey::parse(&format!("{}a/b", "a.".repeat(127))).unwrap_err();
        for key in ["kubernetes.io/x", "node.kubernetes.io/not-ready", "k8s.io/x", "a.k8s.io/x"] {
            assert!(TaintKey::parse(key).unwrap_err().contains("belong to Kubernetes"), "{key}");
        }
        TaintKey::parse("mykubernetes.io/x").unwrap();
    }
}
