//! Why a pod does not have the newest version yet, as far as the cluster tells.

use std::collections::BTreeMap;

use super::{PodEvent, Waiting};
use crate::findings::{Rule, Severity};

const SUB_PATH: Rule = Rule {
    id: "rotation-sub-path",
    severity: Severity::Warning,
    title: "A container mounts a file with subPath. It does not see a rotation until it restarts.",
    fix: "Restart the pod. Then mount the whole volume, without subPath.",
};
const ENDING: Rule = Rule {
    id: "rotation-pod-ending",
    severity: Severity::Note,
    title: "The pod is being deleted. It keeps the version that it has until it is gone.",
    fix: "Wait until the pod is gone (terminationGracePeriodSeconds).",
};
const TROUBLE: Rule = Rule {
    id: "rotation-pod-event",
    severity: Severity::Warning,
    title: "Latchkey has reported on the pod why it does not get the new version.",
    fix: "Do what the event says: kubectl describe pod.",
};
const SWITCHED_OFF: Rule = Rule {
    id: "rotation-switched-off",
    severity: Severity::Error,
    title: "The driver's rotation is off: the kubelet does not ask it to mount again, so that no pod's files or status change.",
    fix: "Install the driver's chart with enableSecretRotation: true (CSIDriver requiresRepublish).",
};
const NOT_YET: Rule = Rule {
    id: "rotation-not-remounted",
    severity: Severity::Warning,
    title: "The driver has not mounted the new version yet.",
    fix: "Wait for the driver's rotationPollInterval (2m by default), Latchkey's --rotation-poll-interval, and the kubelet's sync of the pod. Then read the logs of Latchkey and of the driver on the pod's node.",
};

/// What `latchkey rotation` finds.
pub const RULES: &[Rule] = &[SUB_PATH, ENDING, TROUBLE, SWITCHED_OFF, NOT_YET];

/// What is known besides the pods themselves.
#[derive(Debug, Default)]
pub struct Circumstances {
    /// Whether the kubelet asks the driver to mount again; `None` if it is not known.
    pub driver_rotates: Option<bool>,
    /// The last event of Latchkey on a pod, by the pod's UID.
    pub events: BTreeMap<Box<str>, PodEvent>,
}

/// A reason.
#[derive(Clone, Debug)]
pub struct Why {
    pub rule: &'static Rule,
    pub message: String,
}

impl Circumstances {
    /// Adds an event, unless it is of somebody else or an older one.
    pub fn add(&mut self, event: PodEvent) {
        if event.reporting_controller != "latchkey" {
            return;
        }
        let uid: Box<str> = event.regarding.uid.as_str().into();
        match self.events.get(&uid) {
            Some(known) if known.last_seen() >= event.last_seen() => {}
            _ => {
                self.events.insert(uid, event);
            }
        }
    }

    /// Why this pod waits.
    pub fn why(&self, waiting: &Waiting<'_>) -> Vec<Why> {
        let holder = &waiting.holder;
        let mut reasons = Vec::new();
        if holder.pod.ending {
            reasons.push(Why { rule: &ENDING, message: "the pod is being deleted".to_owned() });
        }
        if let Some(mount) = holder.frozen {
            let path = mount.path.as_deref().map_or_else(String::new, |path| format!(" {path}"));
            reasons.push(Why {
                rule: &SUB_PATH,
                message: format!(
                    "container {} mounts subPath{path} and runs since {}, before this version came: restart the pod",
                    mount.container, mount.started
                ),
            });
            return reasons;
        }
        if let Some(event) = self.events.get(&holder.pod.uid).filter(|event| event.kind == "Warning") {
            reasons.push(Why { rule: &TROUBLE, message: format!("{}: {}", event.reason, event.note) });
        }
        if self.driver_rotates == Some(false) {
            reasons.push(Why {
                rule: &SWITCHED_OFF,
                message: "the driver's rotation is off (CSIDriver requiresRepublish: false)".to_owned(),
            });
        }
        if reasons.is_empty() {
            let node = holder.pod.node.as_deref().unwrap_or("?");
            reasons.push(Why {
                rule: &NOT_YET,
                message: format!("the driver on node {node} has not mounted the new version yet"),
            });
        }
        reasons
    }
}
