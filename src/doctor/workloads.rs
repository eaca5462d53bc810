//! The pods that were asked for, their classes and service accounts.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    objects::{Labels, Pod, SecretProviderClass, ServiceAccount},
    rules::{
        ANNOTATION_IGNORED, CLASS_MISSING, CLASSES_NOT_SERVED, NO_IDENTITY, NOT_LOOKED_AT, ROLE_ARN_INVALID,
    },
    scene::{Scene, Workloads},
};
use crate::{
    estate::{DRIVER, ROLE_ANNOTATION},
    findings::{Finding, Place},
    model::arn::RoleArn,
};

/// How a class says that its pods get their identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Means {
    PodIdentity,
    Irsa,
    /// IRSA with a role that the class names.
    OwnRole,
    /// IRSA if the service account has the annotation, otherwise EKS Pod Identity.
    ByAnnotation,
}

impl Means {
    pub(super) fn of(parameters: &Labels) -> Self {
        let parameter = |name: &str| parameters.get(name).map(String::as_str).unwrap_or_default();
        match parameter("usePodIdentity") {
            "true" => Self::PodIdentity,
            _ if !parameter("roleArn").is_empty() => Self::OwnRole,
            "false" => Self::Irsa,
            _ => Self::ByAnnotation,
        }
    }

    pub(super) fn reads_annotation(self) -> bool {
        matches!(self, Self::Irsa | Self::ByAnnotation)
    }
}

/// A pod's volume with its class. Many pods of one Deployment are one use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Use {
    pub(super) namespace: String,
    pub(super) account: String,
    pub(super) class: String,
}

impl Workloads {
    /// The uses of classes, each with its pods.
    pub(super) fn uses(&self) -> BTreeMap<Use, Vec<&Pod>> {
        let mut uses: BTreeMap<Use, Vec<&Pod>> = BTreeMap::new();
        for pod in self.pods.iter().flatten() {
            for csi in pod.spec.volumes.iter().filter_map(|volume| volume.csi.as_ref()) {
                let class = csi.volume_attributes.get("secretProviderClass").filter(|_| csi.driver == DRIVER);
                let Some(class) = class else { continue };
                let account = match pod.spec.service_account_name.as_str() {
                    "" => "default",
                    account => account,
                };
                let namespace = pod.metadata.namespace.clone();
                let key = Use { namespace, account: account.to_owned(), class: class.clone() };
                uses.entry(key).or_default().push(pod);
            }
        }
        uses
    }

    pub(super) fn class(&self, namespace: &str, name: &str) -> Option<&SecretProviderClass> {
        let classes = self.classes.iter().flatten().flatten();
        let mut classes = classes.filter(|class| class.metadata.namespace == namespace);
        classes.find(|class| class.metadata.name == name)
    }

    pub(super) fn account(&self, namespace: &str, name: &str) -> Option<&ServiceAccount> {
        let mut accounts = self.accounts.iter().flatten();
        accounts.find(|account| account.metadata.namespace == namespace && account.metadata.name == name)
    }

    /// The audiences that pods here need, as far as that is known.
    pub(super) fn audiences(&self, providers: &[&str]) -> BTreeSet<&'static str> {
        let uses = self.uses();
        let needed = uses.keys().filter_map(|one| {
            let class = self.class(&one.namespace, &one.class)?;
            let ours = providers.contains(&class.spec.provider.as_str());
            match Means::of(&class.spec.parameters) {
                _ if !ours => None,
                Means::PodIdentity => Some(POD_IDENTITY),
                Means::Irsa | Means::OwnRole => Some(STS),
                Means::ByAnnotation => {
                    let annotated = role(self.account(&one.namespace, &one.account)?).is_some();
                    Some(if annotated { STS } else { POD_IDENTITY })
                }
            }
        });
        needed.collect()
    }
}

pub(super) const STS: &str = "sts.amazonaws.com";
pub(super) const POD_IDENTITY: &str = "pods.eks.amazonaws.com";

/// The role of the annotation.
pub(super) fn role(account: &ServiceAccount) -> Option<&str> {
    account.metadata.annotations.get(ROLE_ANNOTATION).map(String::as_str).filter(|role| !role.is_empty())
}

/// What is wrong with classes and service accounts, before anything is mounted.
pub(super) fn check(scene: &Scene, providers: &[&str], findings: &mut Vec<Finding>) {
    let workloads = &scene.workloads;
    unseen(workloads, findings);
    for (one, pods) in workloads.uses() {
        let Use { namespace, account, class } = &one;
        let pod_place = Place::in_cluster("Pod", namespace, &pods[0].metadata.name);
        let Some(found) = workloads.class(namespace, class) else {
            if matches!(&workloads.classes, Ok(Some(_))) {
                let message = format!(
                    "mounts SecretProviderClass {namespace}/{class}, which does not exist{}",
                    others(&pods)
                );
                findings.push(Finding::new(&CLASS_MISSING, pod_place, message));
            }
            continue;
        };
        if !providers.contains(&found.spec.provider.as_str()) {
            continue;
        }
        let Some(object) = workloads.account(namespace, account) else { continue };
        let place = Place::in_cluster("ServiceAccount", namespace, account);
        match (Means::of(&found.spec.parameters), role(object)) {
            (Means::Irsa | Means::ByAnnotation, Some(role)) if RoleArn::parse(role).is_none() => {
                let message = format!("the annotation {ROLE_ANNOTATION} is \"{role}\"");
                findings.push(Finding::new(&ROLE_ARN_INVALID, place, message));
            }
            (Means::Irsa, None) => {
                let message = format!(
                    "has no annotation {ROLE_ANNOTATION}, which SecretProviderClass {namespace}/{class} requires (usePodIdentity is \"false\")"
                );
                findings.push(Finding::new(&NO_IDENTITY, place, message));
            }
            (Means::PodIdentity, Some(role)) => {
                let message = format!(
                    "has the annotation {ROLE_ANNOTATION} ({role}), but SecretProviderClass {namespace}/{class} has usePodIdentity: \"true\", so the role is not used"
                );
                findings.push(Finding::new(&ANNOTATION_IGNORED, place, message));
            }
            _ => {}
        }
    }
}

fn unseen(workloads: &Workloads, findings: &mut Vec<Finding>) {
    let place = |kind: &str| Place::in_cluster(kind, "", &workloads.place);
    if matches!(workloads.classes, Ok(None)) {
        let message = "the API server serves no secretproviderclasses.secrets-store.csi.x-k8s.io".to_owned();
        let place = Place::in_cluster(
            "CustomResourceDefinition",
            "",
            "secretproviderclasses.secrets-store.csi.x-k8s.io",
        );
        findings.push(Finding::new(&CLASSES_NOT_SERVED, place, message));
    }
    let errors = [
        ("SecretProviderClasses", workloads.classes.as_ref().err()),
        ("Pods", workloads.pods.as_ref().err()),
        ("ServiceAccounts", workloads.accounts.as_ref().err()),
        ("Events", workloads.events.as_ref().err()),
    ];
    for (what, error) in errors {
        if let Some(error) = error {
            findings.push(Finding::new(
                &NOT_LOOKED_AT,
                place(what),
                format!("could not look at them: {error}"),
            ));
        }
    }
}

/// ` (and 3 other pods)`.
pub(super) fn others(pods: &[&Pod]) -> String {
    match pods.len() {
        0 | 1 => String::new(),
        2 => " (and another pod)".to_owned(),
        count => format!(" (and {} other pods)", count - 1),
    }
}
