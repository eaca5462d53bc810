//! Which service account reads which classes.

use std::collections::BTreeMap;

use super::plan::{PlanError, Settings};
use crate::{
    estate::{ClassObject, ClassVolume, Estate},
    model::{class::Class, rules::Rules},
};

/// Namespace and name.
pub(super) type AccountName = (String, String);

/// The classes of each service account, as its pods mount them.
///
/// # Errors
/// If a class is invalid, or nobody mounts a class and no service account is named.
pub(super) fn by_account(
    estate: &Estate,
    settings: &Settings,
) -> Result<BTreeMap<AccountName, Vec<Class>>, PlanError> {
    let mut accounts: BTreeMap<AccountName, Vec<Class>> = BTreeMap::new();
    let wanted = |account: &AccountName| {
        let of_namespace = settings.namespace.as_ref().is_none_or(|namespace| *namespace == account.0);
        of_namespace && settings.account.as_ref().is_none_or(|only| only == account)
    };
    for workload in &estate.workloads {
        let account = (workload.namespace.clone(), workload.service_account.clone());
        if !wanted(&account) {
            continue;
        }
        for volume in &workload.volumes {
            // A class that is not in the manifests is another tool's finding.
            if let Some(class) = estate.class(&workload.namespace, &volume.class) {
                let class = read(class, Some(volume), settings)?;
                accounts.entry(account.clone()).or_default().push(class);
            }
        }
    }
    if accounts.is_empty() {
        let Some(account) = &settings.account else { return Err(nobody(estate)) };
        let of_namespace = estate.classes.iter().filter(|class| class.namespace == account.0);
        let classes: Vec<Class> =
            of_namespace.map(|class| read(class, None, settings)).collect::<Result<_, _>>()?;
        if classes.is_empty() {
            return Err(PlanError::NoClassFor { namespace: account.0.clone(), name: account.1.clone() });
        }
        accounts.insert(account.clone(), classes);
    }
    Ok(accounts)
}

fn nobody(estate: &Estate) -> PlanError {
    match estate.classes.first() {
        Some(class) => {
            PlanError::NobodyMounts { namespace: class.namespace.clone(), class: class.name.clone() }
        }
        None => PlanError::NoClass,
    }
}

/// Parses the class as a mount does: the volume's attributes override its parameters.
fn read(class: &ClassObject, volume: Option<&ClassVolume>, settings: &Settings) -> Result<Class, PlanError> {
    let rules = Rules { default_region: settings.region.clone(), allow_role_arn: true, ..Rules::default() };
    let none = BTreeMap::new();
    let attributes = volume.map_or(&none, |volume| &volume.attributes);
    class.manifest.read_with(&rules, attributes).map_err(|invalid| PlanError::Invalid(invalid.to_string()))
}
