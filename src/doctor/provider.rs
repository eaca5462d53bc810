//! Latchkey: where its socket is, who else wants it, and what its pods say.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    objects::DaemonSet,
    rules::{
        EGRESS_RESTRICTED, KEYS_UNREADABLE, LATCHKEY_MISSING, LATCHKEY_NOT_READY, NOT_LOOKED_AT,
        PODS_FAILING, PROVIDER_NOT_SERVED, SECOND_PROVIDER, SOCKET_FOLDER, VALUES_STALE, VERSION_SKEW,
    },
    scene::{Latchkey, Parts, Scene, Voice},
};
use crate::findings::{Finding, Place};

pub(super) fn check(scene: &Scene, parts: &Parts<'_>, findings: &mut Vec<Finding>) {
    if scene.daemon_sets.is_ok() && parts.latchkeys.is_empty() {
        let message = "no DaemonSet in any namespace runs Latchkey".to_owned();
        findings.push(Finding::new(
            &LATCHKEY_MISSING,
            Place::in_cluster("DaemonSet", "", "latchkey"),
            message,
        ));
    }
    for latchkey in &parts.latchkeys {
        folder(latchkey, parts, findings);
    }
    providers(scene, parts, findings);
    second(parts, findings);
    for voice in &scene.voices {
        said(voice, findings);
    }
    versions(scene, parts, findings);
    policies(scene, parts, findings);
}

fn place_of(set: &DaemonSet) -> Place {
    Place::in_cluster("DaemonSet", &set.metadata.namespace, &set.metadata.name)
}

fn folder(latchkey: &Latchkey<'_>, parts: &Parts<'_>, findings: &mut Vec<Finding>) {
    let Some(folder) = latchkey.folder() else {
        let flag = latchkey.container.flag("provider-volume").unwrap_or("its default");
        let message =
            format!("--provider-volume ({flag}) is not a folder of the node: the pod has no hostPath there");
        findings.push(Finding::new(&SOCKET_FOLDER, place_of(latchkey.set), message));
        return;
    };
    for driver in &parts.drivers {
        let folders = driver.folders();
        if !folders.is_empty() && !folders.contains(&folder) {
            let message = format!(
                "creates {} in {folder} on each node, but the driver ({}/{}) looks into {}",
                latchkey.socket(),
                driver.set.metadata.namespace,
                driver.set.metadata.name,
                folders.join(" and ")
            );
            let fix = format!("Set providerVolume={} in Latchkey's chart.", folders[0]);
            findings.push(Finding::new(&SOCKET_FOLDER, place_of(latchkey.set), message).with_fix(fix));
        }
    }
}

/// Classes of the pods here whose provider nobody serves.
fn providers(scene: &Scene, parts: &Parts<'_>, findings: &mut Vec<Finding>) {
    let served: BTreeSet<&str> = parts.latchkeys.iter().map(Latchkey::provider).collect();
    if served.is_empty() {
        return;
    }
    let mut users: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for one in scene.workloads.uses().keys() {
        let Some(class) = scene.workloads.class(&one.namespace, &one.class) else { continue };
        // Who serves other names is not Latchkey's business.
        if let provider @ ("aws" | "latchkey") = class.spec.provider.as_str()
            && !served.contains(provider)
            && !(provider == "aws" && parts.others.iter().any(|set| is_of_aws(set)))
        {
            users.entry(provider).or_default().push(format!("{}/{}", one.namespace, one.class));
        }
    }
    for (provider, mut classes) in users {
        classes.dedup();
        let more = if classes.len() > 3 { format!(" and {} more", classes.len() - 3) } else { String::new() };
        let sockets: Vec<String> = served.iter().map(|name| format!("{name}.sock")).collect();
        let message = format!(
            "pods mount classes with provider: {provider} ({}{more}), but Latchkey serves {}",
            classes.iter().take(3).cloned().collect::<Vec<_>>().join(", "),
            sockets.join(" and ")
        );
        let fix = format!(
            "Set socketName={provider}.sock in Latchkey's chart, or change the provider of these classes to {}.",
            served.iter().copied().collect::<Vec<_>>().join(" or ")
        );
        let set = parts.latchkeys[0].set;
        findings.push(Finding::new(&PROVIDER_NOT_SERVED, place_of(set), message).with_fix(fix));
    }
}

/// Whether it looks like AWS's own provider, by chart, add-on or manifest.
fn is_of_aws(set: &DaemonSet) -> bool {
    let containers = &set.spec.template.spec.containers;
    set.metadata.name.contains("provider-aws")
        || containers.iter().any(|container| container.repository().contains("provider-aws"))
}

fn second(parts: &Parts<'_>, findings: &mut Vec<Finding>) {
    for set in parts.others.iter().filter(|set| is_of_aws(set)) {
        for latchkey in parts.latchkeys.iter().filter(|latchkey| latchkey.socket() == "aws.sock") {
            let metadata = &latchkey.set.metadata;
            let message = format!(
                "AWS's own provider also serves aws.sock, as Latchkey ({}/{}) does; only one of them gets the calls",
                metadata.namespace, metadata.name
            );
            let fix = "Uninstall AWS's own provider (docs/src/moving.md), or let both run side by side: socketName=latchkey.sock in Latchkey's chart, and provider: latchkey in the classes.".to_owned();
            findings.push(Finding::new(&SECOND_PROVIDER, place_of(set), message).with_fix(fix));
        }
    }
    for (index, one) in parts.latchkeys.iter().enumerate() {
        for other in &parts.latchkeys[index + 1..] {
            if one.socket() == other.socket() && one.folder() == other.folder() && !apart(one, other) {
                let metadata = &one.set.metadata;
                let message = format!(
                    "serves {}, as Latchkey {}/{} does",
                    other.socket(),
                    metadata.namespace,
                    metadata.name
                );
                findings.push(Finding::new(&SECOND_PROVIDER, place_of(other.set), message));
            }
        }
    }
}

/// Whether their node selectors can never choose the same node.
fn apart(one: &Latchkey<'_>, other: &Latchkey<'_>) -> bool {
    let theirs = &other.set.spec.template.spec.node_selector;
    let own = &one.set.spec.template.spec.node_selector;
    own.iter().any(|(key, value)| theirs.get(key).is_some_and(|other| other != value))
}

fn said(voice: &Voice, findings: &mut Vec<Finding>) {
    let Voice { namespace, pod, node, metrics, warning, .. } = voice;
    let place = || Place::in_cluster("Pod", namespace, pod);
    let sample = match metrics {
        Ok(sample) => sample,
        Err(error) => {
            let message = format!("could not ask it how it is: {error}");
            findings.push(Finding::new(&NOT_LOOKED_AT, place(), message));
            return;
        }
    };
    match sample.socket.as_str() {
        "foreign" => {
            let message = format!(
                "another running provider holds the socket on node {node} (kubectl --namespace {namespace} logs {pod} names it)"
            );
            findings.push(Finding::new(&SECOND_PROVIDER, place(), message));
        }
        "starting" => {
            let message = format!("does not serve the driver on node {node}: the socket is not bound yet");
            findings.push(Finding::new(&LATCHKEY_NOT_READY, place(), message));
        }
        "succeeded" => {
            let message = format!(
                "does not serve the driver on node {node}: a newer Latchkey has taken over the socket"
            );
            findings.push(Finding::new(&LATCHKEY_NOT_READY, place(), message));
        }
        _ => {}
    }
    if let Some(warning) = warning {
        let message = format!("on node {node}, Latchkey warns: {warning}");
        findings.push(Finding::new(&KEYS_UNREADABLE, place(), message));
    }
    let status = format!("kubectl --namespace {namespace} exec {pod} -- /latchkey status");
    if sample.failing > 0 {
        let message =
            format!("on node {node}, the secrets of {} cannot be refreshed", volumes(sample.failing));
        let fix = format!("Look for the reason: {status}; kubectl --namespace {namespace} logs {pod}.");
        findings.push(Finding::new(&PODS_FAILING, place(), message).with_fix(fix));
    }
    if sample.stale > 0 {
        let message = format!("on node {node}, last known good values are in {}", volumes(sample.stale));
        let fix = format!("{} Details: {status}.", VALUES_STALE.fix);
        findings.push(Finding::new(&VALUES_STALE, place(), message).with_fix(fix));
    }
}

fn volumes(count: u64) -> String {
    if count == 1 {
        "1 volume of a running pod".to_owned()
    } else {
        format!("{count} volumes of running pods")
    }
}

/// Different versions on the nodes of one DaemonSet: as the pods say, or else by their
/// images.
fn versions(scene: &Scene, parts: &Parts<'_>, findings: &mut Vec<Finding>) {
    for Latchkey { set, container } in &parts.latchkeys {
        let pods = scene.pods_of(set).unwrap_or_default().iter();
        let pods: Vec<_> = pods.filter(|pod| !pod.is_ending() && !pod.spec.node_name.is_empty()).collect();
        let own = |voice: &&Voice| {
            voice.namespace == set.metadata.namespace && pods.iter().any(|pod| pod.metadata.name == voice.pod)
        };
        let said = scene
            .voices
            .iter()
            .filter(own)
            .filter_map(|voice| Some(voice.metrics.as_ref().ok()?.version.as_str()));
        let images = pods.iter().flat_map(|pod| &pod.spec.containers);
        let images = images.filter(|one| one.name == container.name).map(|one| one.image.as_str());
        let said = counted(said);
        let counts = if said.len() > 1 { said } else { counted(images) };
        if counts.len() > 1 {
            let counts: Vec<String> =
                counts.iter().map(|(version, count)| format!("{version} on {count}")).collect();
            let message = format!("its pods run different versions: {}", counts.join(", "));
            let fix = format!(
                "Wait for the rolling update: kubectl --namespace {} rollout status daemonset/{}.",
                set.metadata.namespace, set.metadata.name
            );
            findings.push(Finding::new(&VERSION_SKEW, place_of(set), message).with_fix(fix));
        }
    }
}

fn counted<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for text in texts.filter(|text| !text.is_empty()) {
        *counts.entry(text).or_default() += 1;
    }
    counts
}

fn policies(scene: &Scene, parts: &Parts<'_>, findings: &mut Vec<Finding>) {
    let policies = match &scene.policies {
        Ok(policies) => policies,
        Err(error) => {
            let place = Place::in_cluster("NetworkPolicies", "", "of Latchkey's namespace");
            findings.push(Finding::new(&NOT_LOOKED_AT, place, format!("could not look at them: {error}")));
            return;
        }
    };
    for latchkey in &parts.latchkeys {
        let set = &latchkey.set;
        for policy in policies.iter().filter(|policy| policy.metadata.namespace == set.metadata.namespace) {
            let spec = &policy.spec;
            let selects = spec.pod_selector.match_expressions.is_empty()
                && spec.pod_selector.may_match(&set.spec.selector.match_labels);
            let no_egress = spec.policy_types.iter().any(|kind| kind == "Egress")
                && spec.egress.as_ref().is_none_or(Vec::is_empty);
            if selects && no_egress {
                let metadata = &policy.metadata;
                let place = Place::in_cluster("NetworkPolicy", &metadata.namespace, &metadata.name);
                let message = format!(
                    "selects the pods of Latchkey ({}/{}) and allows no egress",
                    set.metadata.namespace, set.metadata.name
                );
                findings.push(Finding::new(&EGRESS_RESTRICTED, place, message));
            }
        }
    }
}
