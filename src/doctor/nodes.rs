//! Every node: whether the driver and Latchkey run there, and whether its clock is right.

use std::{collections::BTreeMap, time::Duration};

use super::{
    objects::{DaemonSet, Node, NodeTerm, Pod, Taint, Toleration},
    rules::{
        AGENT_NOT_READY, CLOCK_OFF, DRIVER_MISSING_ON_NODE, DRIVER_NOT_READY, DRIVER_NOT_REGISTERED,
        LATCHKEY_MISSING_ON_NODE, LATCHKEY_NOT_READY, NOT_LOOKED_AT,
    },
    scene::{Parts, Scene, SystemPods, Voice},
};
use crate::{
    estate::DRIVER,
    findings::{Finding, Place, Rule},
    live::time::of_kubernetes,
    table::span,
};

/// How far a clock may be off, in seconds. AWS allows five minutes, and a lease is as old
/// as the request that renews it.
const TOLERANCE: f64 = 60.0;

pub(super) fn check(scene: &Scene, parts: &Parts<'_>, findings: &mut Vec<Finding>) {
    unseen(scene, findings);
    for set in &scene.system_pods {
        if let Err(error) = &set.pods {
            let place = Place::in_cluster("DaemonSet", &set.namespace, &set.daemon_set);
            findings.push(Finding::new(
                &NOT_LOOKED_AT,
                place,
                format!("could not look at its pods: {error}"),
            ));
        }
    }
    let on = |set: &DaemonSet, node: &Node| {
        let pods = scene.pods_of(set).unwrap_or_default();
        pods.iter().any(|pod| pod.node() == node.metadata.name && !pod.is_ending())
    };
    let seen = |set: &DaemonSet| scene.pods_of(set).is_some();
    for node in scene.usable_nodes() {
        let driver = parts.drivers.iter().find(|driver| on(driver.set, node));
        let latchkey = parts.latchkeys.iter().find(|latchkey| on(latchkey.set, node));
        // Where the pods of a DaemonSet could not be read, nothing is missing for certain.
        let sure = parts.drivers.iter().all(|driver| seen(driver.set))
            && parts.latchkeys.iter().all(|latchkey| seen(latchkey.set));
        match (driver, latchkey) {
            _ if !sure => {}
            (None, _) if latchkey.is_some() || uses_secrets(scene, node) => {
                let sets: Vec<&DaemonSet> = parts.drivers.iter().map(|driver| driver.set).collect();
                findings.extend(missing(&DRIVER_MISSING_ON_NODE, "the driver", &sets, node));
            }
            (Some(_), None) => {
                let sets: Vec<&DaemonSet> = parts.latchkeys.iter().map(|latchkey| latchkey.set).collect();
                findings.extend(missing(&LATCHKEY_MISSING_ON_NODE, "Latchkey", &sets, node));
            }
            _ => {}
        }
        if let Some(driver) = driver.filter(|driver| is_ready_on(scene, driver.set, node)) {
            check_registered(scene, driver.set, node, findings);
        }
    }
    for driver in &parts.drivers {
        not_ready(&DRIVER_NOT_READY, scene, driver.set, findings);
    }
    for latchkey in &parts.latchkeys {
        not_ready(&LATCHKEY_NOT_READY, scene, latchkey.set, findings);
    }
    for agent in &parts.agents {
        not_ready(&AGENT_NOT_READY, scene, agent, findings);
    }
    clocks(scene, findings);
}

fn unseen(scene: &Scene, findings: &mut Vec<Finding>) {
    let errors = [
        ("Nodes", scene.nodes.as_ref().err()),
        ("CSINodes", scene.csi_nodes.as_ref().err()),
        ("Leases", scene.leases.as_ref().err()),
    ];
    for (kind, error) in errors {
        if let Some(error) = error {
            let place = Place::in_cluster(kind, "", "all");
            findings.push(Finding::new(&NOT_LOOKED_AT, place, format!("could not look at them: {error}")));
        }
    }
}

fn uses_secrets(scene: &Scene, node: &Node) -> bool {
    scene.workloads.pods.iter().flatten().any(|pod| pod.spec.node_name == node.metadata.name)
}

fn is_ready_on(scene: &Scene, set: &DaemonSet, node: &Node) -> bool {
    let pods = scene.pods_of(set).unwrap_or_default();
    pods.iter().any(|pod| pod.node() == node.metadata.name && pod.is_ready())
}

fn check_registered(scene: &Scene, set: &DaemonSet, node: &Node, findings: &mut Vec<Finding>) {
    let Ok(csi_nodes) = &scene.csi_nodes else { return };
    let own = csi_nodes.iter().find(|csi_node| csi_node.metadata.name == node.metadata.name);
    let registered =
        own.is_some_and(|own| own.spec.drivers.iter().flatten().any(|driver| driver.name == DRIVER));
    if !registered {
        let message = format!(
            "the driver ({}/{}) is ready here, but the node's CSINode does not list {DRIVER}",
            set.metadata.namespace, set.metadata.name
        );
        findings.push(Finding::new(&DRIVER_NOT_REGISTERED, node_place(node), message));
    }
}

/// A node without a pod of any of the DaemonSets, and why. Nothing where there is no such
/// DaemonSet at all, which another check says.
fn missing(rule: &'static Rule, what: &str, sets: &[&DaemonSet], node: &Node) -> Option<Finding> {
    let set = sets.first()?;
    let why = why_not(set, node).unwrap_or_else(|| "nothing in its template keeps it away".to_owned());
    let (namespace, name) = (&set.metadata.namespace, &set.metadata.name);
    let message = format!("no pod of {what} (DaemonSet {namespace}/{name}) runs here: {why}");
    Some(Finding::new(rule, node_place(node), message))
}

/// What in a DaemonSet's template keeps its pods away from a node.
fn why_not(set: &DaemonSet, node: &Node) -> Option<String> {
    let spec = &set.spec.template.spec;
    let labels = &node.metadata.labels;
    for (key, value) in &spec.node_selector {
        if labels.get(key) != Some(value) {
            let has = labels.get(key).map_or("no such label".to_owned(), |has| format!("\"{has}\""));
            return Some(format!("its nodeSelector wants {key}={value}, and the node has {has}"));
        }
    }
    let blocking = node.spec.taints.iter().find(|taint| {
        matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute")
            && !set_by_kubernetes(taint)
            && !spec.tolerations.iter().any(|toleration| tolerates(toleration, taint))
    });
    if let Some(Taint { key, value, effect }) = blocking {
        let value = if value.is_empty() { String::new() } else { format!("={value}") };
        return Some(format!("it does not tolerate the node's taint {key}{value}:{effect}"));
    }
    let required =
        spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref()?.required.as_ref())?;
    let fits = required.node_selector_terms.iter().any(|term| may_fit(term, node));
    (!fits).then(|| "its nodeAffinity excludes the node".to_owned())
}

/// Taints that the DaemonSet controller adds tolerations for:
/// <https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/#taints-and-tolerations>.
fn set_by_kubernetes(taint: &Taint) -> bool {
    matches!(
        taint.key.as_str(),
        "node.kubernetes.io/not-ready"
            | "node.kubernetes.io/unreachable"
            | "node.kubernetes.io/disk-pressure"
            | "node.kubernetes.io/memory-pressure"
            | "node.kubernetes.io/pid-pressure"
            | "node.kubernetes.io/unschedulable"
    )
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let key = toleration.key.is_empty() && toleration.operator == "Exists" || toleration.key == taint.key;
    let value = toleration.operator == "Exists" || toleration.value == taint.value;
    let effect = toleration.effect.is_empty() || toleration.effect == taint.effect;
    key && value && effect
}

fn may_fit(term: &NodeTerm, node: &Node) -> bool {
    term.match_expressions.iter().all(|expression| {
        let found = node.metadata.labels.get(&expression.key);
        match expression.operator.as_str() {
            "In" => found.is_some_and(|found| expression.values.contains(found)),
            "NotIn" => found.is_none_or(|found| !expression.values.contains(found)),
            "Exists" => found.is_some(),
            "DoesNotExist" => found.is_none(),
            _ => true,
        }
    })
}

/// The pods of a DaemonSet that are not ready on nodes that are, with the reason. What a
/// pod of Latchkey says itself is better, and found elsewhere.
fn not_ready(rule: &'static Rule, scene: &Scene, set: &DaemonSet, findings: &mut Vec<Finding>) {
    let says = |pod: &Pod| {
        let of = |voice: &&Voice| voice.pod == pod.metadata.name && voice.namespace == pod.metadata.namespace;
        let said = scene.voices.iter().find(of).and_then(|voice| voice.metrics.as_ref().ok());
        said.is_some_and(|sample| !sample.serves())
    };
    let ready_nodes: Vec<&str> =
        scene.usable_nodes().filter(|node| node.is_ready()).map(|node| node.metadata.name.as_str()).collect();
    let nodes_seen = scene.nodes.is_ok();
    for pod in scene.pods_of(set).unwrap_or_default() {
        let elsewhere = nodes_seen && !ready_nodes.contains(&pod.node());
        if pod.is_ready() || pod.is_ending() || elsewhere || says(pod) {
            continue;
        }
        let (namespace, name) = (&pod.metadata.namespace, &pod.metadata.name);
        let message = format!("is not ready on node {}: {}", pod.node(), trouble(pod));
        let fix = format!("{} (namespace {namespace}, pod {name})", rule.fix.trim_end_matches('.'));
        findings.push(Finding::new(rule, Place::in_cluster("Pod", namespace, name), message).with_fix(fix));
    }
}

/// Why a pod is not ready, in Kubernetes' words.
fn trouble(pod: &Pod) -> String {
    let waiting = pod.status.container_statuses.iter().find_map(|status| status.state.waiting.as_ref());
    if let Some(waiting) = waiting {
        return format!("{} {}", waiting.reason, waiting.message).trim().to_owned();
    }
    let placed = pod.condition("PodScheduled").filter(|condition| condition.status != "True");
    let ready = pod.condition("Ready");
    let message =
        placed.or(ready).map(|condition| condition.message.as_str()).filter(|text| !text.is_empty());
    message.unwrap_or("it has not become ready yet").to_owned()
}

fn node_place(node: &Node) -> Place {
    Place::in_cluster("Node", "", &node.metadata.name)
}

/// Nodes whose clock differs from that of the API server. Kubelet writes its own time into
/// its lease, and the API server notes by its clock when it did. A pod of Latchkey sends its
/// node's time with its metrics.
fn clocks(scene: &Scene, findings: &mut Vec<Finding>) {
    let mut ahead: BTreeMap<&str, (f64, &str)> = BTreeMap::new();
    for lease in scene.leases.iter().flatten() {
        let written = lease.metadata.managed_fields.iter().filter_map(|fields| of_kubernetes(&fields.time));
        let written =
            written.fold(None, |latest: Option<f64>, time| Some(latest.map_or(time, |l| l.max(time))));
        let renewed = of_kubernetes(&lease.spec.renew_time);
        if let Some((renewed, written)) = renewed.zip(written) {
            ahead.insert(&lease.metadata.name, (renewed - written, "in kubelet's lease"));
        }
    }
    for voice in &scene.voices {
        if let Some(seconds) = voice.ahead {
            ahead.insert(&voice.node, (seconds, "in Latchkey's answer"));
        }
    }
    for node in scene.usable_nodes() {
        let Some((seconds, source)) = ahead.get(node.metadata.name.as_str()) else { continue };
        if seconds.abs() > TOLERANCE {
            let direction = if *seconds > 0.0 { "ahead of" } else { "behind" };
            let message = format!(
                "its clock is {} {direction} the API server's (seen {source})",
                span(Duration::try_from_secs_f64(seconds.abs().round()).unwrap_or_default())
            );
            findings.push(Finding::new(&CLOCK_OFF, node_place(node), message));
        }
    }
}

/// How many nodes' clocks could be compared.
pub(super) fn clocks_seen(scene: &Scene) -> usize {
    scene
        .usable_nodes()
        .filter(|node| {
            let name = &node.metadata.name;
            scene.voices.iter().any(|voice| voice.node == *name && voice.ahead.is_some())
                || scene.leases.iter().flatten().any(|lease| lease.metadata.name == *name)
        })
        .count()
}

/// Ready pods, and nodes that could have one.
pub(super) fn ready(scene: &Scene, set: &DaemonSet) -> (usize, usize) {
    let pods = scene.system_pods.iter().filter(|pods: &&SystemPods| {
        pods.daemon_set == set.metadata.name && pods.namespace == set.metadata.namespace
    });
    let ready = pods.flat_map(|pods| pods.pods.iter().flatten()).filter(|pod| pod.is_ready()).count();
    (ready, scene.usable_nodes().count())
}
