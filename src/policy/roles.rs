//! Which roles a service account reads as, in the order that `docs/src/identity.md` gives.

use std::collections::BTreeSet;

use super::{
    classes::AccountName,
    names::role_name,
    plan::{Identity, PlanError, RolePlan, Settings},
};
use crate::{
    estate::Estate,
    iam::{Document, Home, Needs, trust},
    model::{
        arn::{Arn, RoleArn},
        class::Class,
        message::quoted,
        principal::ExternalId,
    },
};

/// The roles of one service account.
pub(super) struct Roles<'a> {
    settings: &'a Settings,
    account: &'a AccountName,
    annotated: Option<RoleArn>,
    /// The role of an association, and the one that it assumes.
    associated: Option<(RoleArn, Option<RoleArn>)>,
    list: Vec<Role>,
    pub(super) notes: BTreeSet<String>,
}

struct Role {
    step: Step,
    /// The role that assumes this one, by its place in the list.
    by: Option<usize>,
    needs: Needs,
    assumes: BTreeSet<RoleArn>,
    /// Whether its sessions have tags: those of EKS Pod Identity do, and pass them on.
    tags: bool,
}

/// How a role is reached.
#[derive(Clone, PartialEq, Eq)]
struct Step {
    identity: Identity,
    arn: Option<RoleArn>,
    external_id: Option<ExternalId>,
}

impl<'a> Roles<'a> {
    /// # Errors
    /// If the annotation or the association does not name a role.
    pub(super) fn new(
        estate: &Estate,
        settings: &'a Settings,
        account: &'a AccountName,
    ) -> Result<Self, PlanError> {
        let (namespace, name) = account;
        let role = |text: &str| {
            RoleArn::parse(text).ok_or_else(|| PlanError::NotARole {
                account: format!("{namespace}/{name}"),
                text: quoted(text).to_string(),
            })
        };
        let annotation = estate.account(namespace, name).and_then(|account| account.role_arn.as_deref());
        let annotated = annotation.filter(|text| !text.is_empty()).map(role).transpose()?;
        let associated = match estate.association(namespace, name) {
            Some(of) => Some((role(&of.role_arn)?, of.target_role_arn.as_deref().map(role).transpose()?)),
            None => None,
        };
        Ok(Self { settings, account, annotated, associated, list: Vec::new(), notes: BTreeSet::new() })
    }

    /// Adds what a class reads to the role that reads it.
    ///
    /// # Errors
    /// If the class names no Region and there is no default.
    pub(super) fn add(&mut self, class: &Class) -> Result<(), PlanError> {
        let mut last = None;
        for step in self.steps(class) {
            let tags =
                step.identity == Identity::PodIdentity || last.is_some_and(|by: usize| self.list[by].tags);
            if let (Some(by), Some(arn)) = (last, &step.arn) {
                self.list[by].assumes.insert(arn.clone());
            }
            let known = self.list.iter().position(|role| role.step == step && role.by == last);
            last = Some(known.unwrap_or_else(|| {
                let (needs, assumes) = (Needs::default(), BTreeSet::new());
                self.list.push(Role { step, by: last, needs, assumes, tags });
                self.list.len() - 1
            }));
        }
        let Some(role) = last.map(|last| &mut self.list[last]) else { return Ok(()) };
        let home = home(role.step.arn.as_ref(), self.settings);
        let needs = Needs::of(class, &home).map_err(|source| PlanError::NoRegion {
            account: format!("{}/{}", self.account.0, self.account.1),
            source,
        })?;
        self.notes.extend(needs.notes.iter().cloned());
        role.needs.extend(needs);
        Ok(())
    }

    /// The roles from the service account's own one to the one that reads.
    fn steps(&self, class: &Class) -> Vec<Step> {
        let hints = &class.identity;
        let by_role = hints.role_arn.clone().or_else(|| self.annotated.clone());
        let step = |identity, arn| Step { identity, arn, external_id: None };
        let irsa = match (hints.use_pod_identity, &by_role) {
            (Some(true), _) => false,
            (Some(false), _) | (None, Some(_)) => true,
            (None, None) => self.associated.is_none() && self.settings.oidc_provider.is_some(),
        };
        let mut steps = Vec::new();
        if irsa {
            steps.push(step(Identity::Irsa, by_role));
        } else {
            let (own, target) = self.associated.clone().unzip();
            steps.push(step(Identity::PodIdentity, own));
            steps.extend(target.flatten().map(|target| step(Identity::AssumedRole, Some(target))));
        }
        steps.extend(hints.assumed_role.as_ref().map(|assumed| Step {
            external_id: assumed.external_id.clone(),
            ..step(Identity::AssumedRole, Some(assumed.arn.clone()))
        }));
        steps
    }

    /// The roles with their trust policies; names and policies are still missing.
    pub(super) fn planned(&self) -> Vec<RolePlan> {
        self.list
            .iter()
            .map(|role| RolePlan {
                name: self.name(role),
                policy_name: String::new(),
                identity: role.step.identity,
                account: home(role.step.arn.as_ref(), self.settings).account,
                reads: role.needs.reads.clone(),
                external_id: role.step.external_id.clone(),
                assumes: role.assumes.clone(),
                tags: role.tags,
                policies: Vec::new(),
                trust: self.trust(role),
                arn: role.step.arn.clone(),
            })
            .collect()
    }

    fn name(&self, role: &Role) -> String {
        let of_arn = role.step.arn.as_ref().and_then(|arn| arn.as_str().rsplit('/').next());
        of_arn.map_or_else(|| role_name(&self.account.0, &self.account.1), str::to_owned)
    }

    fn trust(&self, role: &Role) -> Option<Document> {
        let (namespace, name) = self.account;
        match role.step.identity {
            Identity::Irsa => {
                let provider = self.settings.oidc_provider.as_ref()?;
                let account = home(role.step.arn.as_ref(), self.settings).account?;
                let partition = self.partition(role);
                Some(trust::for_token(provider, &partition, &account, (namespace, name)))
            }
            Identity::PodIdentity => Some(trust::for_pod_identity(self.settings.cluster.as_ref())),
            Identity::AssumedRole => {
                let by = &self.list[role.by?];
                let arn = by.step.arn.clone().or_else(|| {
                    let account = self.settings.home.account.as_ref()?;
                    let (partition, name) = (self.partition(role), self.name(by));
                    RoleArn::parse(&format!("arn:{partition}:iam::{account}:role/{name}"))
                })?;
                Some(trust::for_role(&arn, role.step.external_id.as_ref(), by.tags))
            }
        }
    }

    /// Of the role's ARN, of `--partition`, or of a Region that it reads from.
    fn partition(&self, role: &Role) -> String {
        let of_arn = |arn: &RoleArn| Arn::parse(arn.as_str()).map(|arn| arn.partition.to_owned());
        let of_reads = || {
            let first = self.list.iter().flat_map(|role| &role.needs.reads).next()?;
            Arn::parse(&first.resource).map(|arn| arn.partition.to_owned())
        };
        let known = role.step.arn.as_ref().and_then(of_arn);
        known.or_else(|| self.settings.home.partition.clone()).or_else(of_reads).unwrap_or("aws".to_owned())
    }
}

/// Where a role looks names up: in its own account.
fn home(arn: Option<&RoleArn>, settings: &Settings) -> Home {
    let own = arn.and_then(|arn| Arn::parse(arn.as_str())).map(|arn| arn.account.to_owned());
    Home { account: own.or_else(|| settings.home.account.clone()), ..settings.home.clone() }
}
