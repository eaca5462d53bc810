//! Pods that cannot mount their secrets, or no longer read them: kubelet's and Latchkey's
//! events, matched to causes.

use std::collections::BTreeMap;

use super::{
    causes::{Cause, causes},
    objects::{Event, Pod},
    rules::CLASS_MISSING,
    scene::Scene,
    workloads::others,
};
use crate::{
    estate::DRIVER,
    findings::{Finding, Place, Rule},
};

/// Kubelet's reason.
const FAILED_MOUNT: &str = "FailedMount";
/// Latchkey's own reasons that say a running pod is in trouble.
const TROUBLES: [&str; 3] = ["SecretAccessLost", "SecretRotationFailed", "SecretStale"];
const RECOVERED: &str = "SecretRecovered";

/// Pods of one service account with the same cause are one finding.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    rule: &'static str,
    namespace: String,
    account: String,
    fix: String,
}

pub(super) fn check(scene: &Scene, providers: &[&str], findings: &mut Vec<Finding>) {
    let mut of_pods: BTreeMap<(&str, &str), Vec<&Event>> = BTreeMap::new();
    for event in scene.workloads.events.iter().flatten() {
        let about = &event.regarding;
        of_pods.entry((&about.namespace, &about.name)).or_default().push(event);
    }
    let mut found: BTreeMap<Kind, (&'static Rule, String, Vec<&Pod>)> = BTreeMap::new();
    for pod in scene.workloads.pods.iter().flatten().filter(|pod| !pod.is_ending()) {
        let metadata = &pod.metadata;
        let Some(own) = of_pods.get(&(metadata.namespace.as_str(), metadata.name.as_str())) else { continue };
        if !uses_ours(scene, pod, providers) {
            continue;
        }
        for event in current(own, pod) {
            for Cause { rule, said, fix } in causes(&event.note) {
                if is_known(rule, pod, findings) {
                    continue;
                }
                let kind = Kind {
                    rule: rule.id,
                    namespace: pod.metadata.namespace.clone(),
                    account: pod.spec.service_account_name.clone(),
                    fix,
                };
                let (_, _, pods) = found.entry(kind).or_insert_with(|| (rule, said, Vec::new()));
                if !pods.iter().any(|known| known.metadata.name == pod.metadata.name) {
                    pods.push(pod);
                }
            }
        }
    }
    for (kind, (rule, said, pods)) in found {
        let first = pods[0];
        let on = if first.node().is_empty() { String::new() } else { format!(" on node {}", first.node()) };
        let verb = if first.status.phase == "Pending" {
            "cannot mount its secrets"
        } else {
            "cannot refresh its secrets"
        };
        let message = format!("{verb}{on}{}: {said}", others(&pods));
        let place = Place::in_cluster("Pod", &kind.namespace, &first.metadata.name);
        findings.push(Finding::new(rule, place, message).with_fix(kind.fix));
    }
}

/// Whether another check has found the same, of the CSIDriver, the service account or the
/// class.
fn is_known(rule: &Rule, pod: &Pod, findings: &[Finding]) -> bool {
    let (namespace, account) = (&pod.metadata.namespace, &pod.spec.service_account_name);
    findings.iter().filter(|finding| finding.rule == rule).any(|finding| {
        let Some(object) = &finding.place.object else { return false };
        match object.kind.as_str() {
            "CSIDriver" => true,
            "ServiceAccount" => object.namespace == *namespace && object.name == *account,
            _ => *rule == CLASS_MISSING && object.namespace == *namespace,
        }
    })
}

/// Whether a volume's class is served by Latchkey, or is not known.
fn uses_ours(scene: &Scene, pod: &Pod, providers: &[&str]) -> bool {
    let volumes = pod.spec.volumes.iter().filter_map(|volume| volume.csi.as_ref());
    let mut classes = volumes
        .filter(|csi| csi.driver == DRIVER)
        .filter_map(|csi| csi.volume_attributes.get("secretProviderClass"));
    classes.any(|class| {
        let class = scene.workloads.class(&pod.metadata.namespace, class);
        class.is_none_or(|class| providers.contains(&class.spec.provider.as_str()))
    })
}

/// Whether an event can say how a pod's secrets are.
pub(super) fn matters(event: &Event) -> bool {
    let reason = event.reason.as_str();
    reason == FAILED_MOUNT || reason == RECOVERED || TROUBLES.contains(&reason)
}

/// The events of a pod that say how it is now: of a pod that waits, the last failure of each
/// volume; of one that runs, Latchkey's last word on each class.
fn current<'a>(own: &[&'a Event], pod: &Pod) -> Vec<&'a Event> {
    let mut last: BTreeMap<&str, &Event> = BTreeMap::new();
    for event in own {
        let Some(subject) = subject(event, pod) else { continue };
        let newer = last.get(subject).is_none_or(|known| known.last_seen() <= event.last_seen());
        if newer {
            last.insert(subject, event);
        }
    }
    last.into_values().filter(|event| event.reason != RECOVERED).collect()
}

/// What an event is about: a volume of a pod that waits, or a class of one that runs.
fn subject<'a>(event: &'a Event, pod: &Pod) -> Option<&'a str> {
    match (pod.status.phase.as_str(), event.reason.as_str()) {
        ("Pending", FAILED_MOUNT) => {
            let (_, rest) = event.note.split_once("MountVolume.SetUp failed for volume \"")?;
            let volume = rest.split('"').next()?;
            let is_ours = |csi: &super::template::CsiVolume| csi.driver == DRIVER;
            let own = pod.spec.volumes.iter().find(|own| own.name == volume)?;
            own.csi.as_ref().is_some_and(is_ours).then_some(volume)
        }
        ("Running", reason) if reason == RECOVERED || TROUBLES.contains(&reason) => {
            event.note.strip_prefix("SecretProviderClass ")?.split(':').next()
        }
        _ => None,
    }
}
