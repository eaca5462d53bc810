//! Whether the pods that mount a class have an identity in AWS.

use super::{Checker, rules::*};
use crate::{
    estate::{Association, ClassObject, ServiceAccount, Workload},
    findings::Finding,
    model::{class::Class, message::quoted},
};

impl Checker<'_> {
    pub(super) fn check_identity(
        &self,
        workload: &Workload,
        object: &ClassObject,
        class: &Class,
        findings: &mut Vec<Finding>,
    ) {
        let hints = &class.identity;
        let Some(account) = self.account(workload) else { return };
        let role = account.role_arn.as_deref().filter(|role| !role.is_empty());
        let association = self.association(account);
        let class = format!("SecretProviderClass {}", quoted(&object.name));
        let name = quoted(&account.name);
        let mut add = |rule, message| findings.push(Finding::new(rule, account.place.clone(), message));
        match hints.use_pod_identity {
            Some(true) if association.is_some() => {}
            Some(true) => match role {
                Some(role) => {
                    let message = format!(
                        "{class} sets usePodIdentity \"true\", so the role {role} of service account {name} is not used"
                    );
                    add(&UNUSED_ROLE, message);
                }
                None if self.estate.associations.is_empty() => {
                    let message = format!(
                        "{class} sets usePodIdentity \"true\": service account {name} needs an EKS Pod Identity association"
                    );
                    add(&ROLE_NOT_SEEN, message);
                }
                None => {
                    let message = format!(
                        "{class} sets usePodIdentity \"true\", and no given association is for service account {name}"
                    );
                    add(&NO_ASSOCIATION, message);
                }
            },
            _ if hints.role_arn.is_some() || role.is_some() => {}
            Some(false) => {
                let message = format!(
                    "{class} sets usePodIdentity \"false\", and service account {name} has no annotation eks.amazonaws.com/role-arn"
                );
                add(&NO_ROLE, message);
            }
            None if association.is_some() => {}
            None if self.estate.associations.is_empty() => {
                let message = format!(
                    "service account {name} has no annotation eks.amazonaws.com/role-arn: to mount {class}, it needs an EKS Pod Identity association"
                );
                add(&ROLE_NOT_SEEN, message);
            }
            None => {
                let message = format!(
                    "service account {name} mounts {class}, but has no annotation eks.amazonaws.com/role-arn, and no given association is for it"
                );
                add(&NO_ASSOCIATION, message);
            }
        }
    }

    fn account(&self, workload: &Workload) -> Option<&ServiceAccount> {
        self.accounts.at(&workload.namespace, &workload.service_account).next().copied()
    }

    fn association(&self, account: &ServiceAccount) -> Option<&Association> {
        self.associations.at(&account.namespace, &account.name).next().copied()
    }
}
