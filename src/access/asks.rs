//! Who asks for what: classes that pods mount, as which service account and role.

use std::collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry};

use super::{
    graph::{Account, Ask, ClassNode, Graph, Means, Reach, RoleNode, Route, Secret, Settings},
    knowledge::Knowledge,
    secret_id::Named,
    verdict::Verdict,
};
use crate::{
    estate::{ClassObject, ClassVolume, Estate, Workload},
    findings::Place,
    model::{
        arn::Arn,
        class::{Class, IdentityHints},
        principal::ExternalId,
        rules::Rules,
    },
};

/// Attributes of a volume.
type Overriding<'a> = Vec<(&'a str, &'a str)>;

/// Collects the graph's nodes, and the edges that manifests define.
pub(super) struct Asks<'a> {
    graph: Graph,
    rules: Rules,
    /// Positions in the graph's lists.
    accounts: HashMap<(String, String), usize>,
    roles: HashMap<String, usize>,
    secrets: HashMap<super::SecretId, usize>,
    routes: HashMap<(usize, Means, Vec<usize>, Option<ExternalId>), usize>,
    classes: HashMap<(&'a str, &'a str), (usize, &'a ClassObject)>,
    /// Parsed classes, with the attributes that override their parameters.
    parsed: HashMap<(usize, Overriding<'a>), Option<Class>>,
    asked: BTreeSet<(usize, usize, usize)>,
    /// Of all service accounts in the manifests.
    places: HashMap<(&'a str, &'a str), &'a Place>,
    annotations: HashMap<(&'a str, &'a str), &'a str>,
    associations: HashMap<(&'a str, &'a str), Vec<&'a str>>,
    knowledge: &'a Knowledge,
}

impl<'a> Asks<'a> {
    pub(super) fn of(estate: &'a Estate, knowledge: &'a Knowledge, settings: &Settings) -> Self {
        let rules =
            Rules { default_region: settings.region.clone(), allow_role_arn: true, ..Rules::default() };
        let mut asks = Self {
            graph: Graph { has_workloads: !estate.workloads.is_empty(), ..Graph::default() },
            rules,
            accounts: HashMap::new(),
            roles: HashMap::new(),
            secrets: HashMap::new(),
            routes: HashMap::new(),
            classes: HashMap::new(),
            parsed: HashMap::new(),
            asked: BTreeSet::new(),
            places: HashMap::new(),
            annotations: HashMap::new(),
            associations: HashMap::new(),
            knowledge,
        };
        asks.add_identities(estate);
        asks.add_classes(estate);
        estate.workloads.iter().for_each(|workload| asks.add_workload(workload));
        asks.add_listed_secrets();
        asks
    }

    pub(super) fn into_graph(self) -> Graph {
        let mut graph = self.graph;
        let bystanders =
            self.places.keys().map(|(namespace, name)| ((*namespace).to_owned(), (*name).to_owned()));
        graph.bystanders = bystanders.filter(|account| !self.accounts.contains_key(account)).collect();
        graph.reach = vec![Reach::default(); graph.routes.len()];
        graph
    }

    fn add_identities(&mut self, estate: &'a Estate) {
        for association in estate.associations.iter().chain(&self.knowledge.associations) {
            let roles =
                std::iter::once(association.role_arn.as_str()).chain(association.target_role_arn.as_deref());
            let key = (association.namespace.as_str(), association.service_account.as_str());
            self.associations.insert(key, roles.collect());
        }
        for account in &estate.accounts {
            let key = (account.namespace.as_str(), account.name.as_str());
            if let Some(role) = account.role_arn.as_deref().filter(|role| !role.is_empty()) {
                self.annotations.insert(key, role);
            }
            self.places.insert(key, &account.place);
        }
        // Those with a role can read, whether or not a pod mounts a class today.
        let with_role: BTreeSet<(&str, &str)> =
            self.annotations.keys().chain(self.associations.keys()).copied().collect();
        for (namespace, name) in with_role {
            let account = self.account(namespace, name);
            self.route(account, &IdentityHints::default());
        }
    }

    fn add_classes(&mut self, estate: &'a Estate) {
        for class in &estate.classes {
            let index = self.graph.classes.len();
            self.classes.insert((&class.namespace, &class.name), (index, class));
            let invalid = self.parsed(index, class, Vec::new()).is_none();
            self.graph.classes.push(ClassNode {
                place: class.place.clone(),
                namespace: class.namespace.clone(),
                name: class.name.clone(),
                used: false,
                invalid,
            });
        }
    }

    fn add_workload(&mut self, workload: &'a Workload) {
        let account = self.account(&workload.namespace, &workload.service_account);
        self.graph.accounts[account].workloads.insert(format!("{} {}", workload.kind, workload.name));
        for volume in &workload.volumes {
            let Some((index, class)) =
                self.classes.get(&(workload.namespace.as_str(), volume.class.as_str()))
            else {
                continue;
            };
            let (index, class) = (*index, *class);
            self.graph.classes[index].used = true;
            let overriding = overriding(volume);
            self.parsed(index, class, overriding.clone());
            // Taken out for the time of its use.
            let key = (index, overriding);
            let Some(Some(parsed)) = self.parsed.remove(&key) else { continue };
            self.add_asks(account, index, &parsed);
            self.parsed.insert(key, Some(parsed));
        }
    }

    fn add_asks(&mut self, account: usize, class: usize, parsed: &Class) {
        let route = self.route(account, &parsed.identity);
        if !self.asked.insert((route, class, usize::MAX)) {
            return;
        }
        let aws_account =
            self.graph.reader(&self.graph.routes[route]).map(|role| account_of(&role.arn).to_owned());
        let aws_account = aws_account.unwrap_or_default();
        for object in parsed.objects.iter() {
            let primary = Named::of(&object.reference, parsed.region.as_ref(), &aws_account);
            self.add_ask(route, class, primary, false);
            if let Some(region) = &parsed.failover_region {
                let reference = object.failover.as_ref().unwrap_or(&object.reference);
                self.add_ask(route, class, Named::of(reference, Some(region), &aws_account), true);
            }
        }
    }

    fn add_ask(&mut self, route: usize, class: usize, named: Named, failover: bool) {
        let secret = match self.secrets.entry(named.id.clone()) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                let index = self.graph.secrets.len();
                let listed = self.knowledge.secrets.get(&named.id).cloned();
                self.graph.secrets.push(Secret::new(named.id, listed));
                *entry.insert(index)
            }
        };
        self.graph.secrets[secret].arns.extend(named.arn);
        if self.asked.insert((route, class, secret)) {
            let through_parameter_store = named.through_parameter_store;
            let read = Verdict::Unknown;
            self.graph.asks.push(Ask { route, class, secret, failover, through_parameter_store, read });
        }
    }

    fn add_listed_secrets(&mut self) {
        let listed: BTreeMap<_, _> = self.knowledge.secrets.iter().collect();
        for (id, listed) in listed {
            if !self.secrets.contains_key(id) {
                self.secrets.insert(id.clone(), self.graph.secrets.len());
                self.graph.secrets.push(Secret::new(id.clone(), Some(listed.clone())));
            }
        }
    }

    fn account(&mut self, namespace: &str, name: &str) -> usize {
        let key = (namespace.to_owned(), name.to_owned());
        *self.accounts.entry(key).or_insert_with(|| {
            let place = self.places.get(&(namespace, name)).copied().cloned();
            self.graph.accounts.push(Account {
                place: place.unwrap_or_else(|| Place::in_cluster("ServiceAccount", namespace, name)),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                workloads: BTreeSet::new(),
            });
            self.graph.accounts.len() - 1
        })
    }

    /// The route that a class's pods take, by the rules of `identity`.
    fn route(&mut self, account: usize, hints: &IdentityHints) -> usize {
        let Account { namespace, name, .. } = &self.graph.accounts[account];
        let key = (namespace.as_str(), name.as_str());
        let annotation = self.annotations.get(&key).copied();
        let associated = self.associations.get(&key).cloned();
        let named = hints.role_arn.as_ref().map(|role| role.as_str());
        let (means, mut chain) = match hints.use_pod_identity {
            Some(true) => (Means::PodIdentity, associated.unwrap_or_default()),
            flag => match (named.or(annotation), associated) {
                (Some(role), _) => (Means::Irsa, vec![role]),
                (None, Some(associated)) if flag.is_none() => (Means::PodIdentity, associated),
                (None, _) => (Means::Unknown, Vec::new()),
            },
        };
        let assumed = hints.assumed_role.as_ref();
        chain.extend(assumed.map(|assumed| assumed.arn.as_str()));
        // Without the first role, nobody knows who assumes the second one.
        let first_is_known = !chain.is_empty() && (chain.len() > 1 || assumed.is_none());
        let external_id = assumed.and_then(|assumed| assumed.external_id.clone());
        let roles: Vec<usize> = chain.iter().map(|role| self.role(role)).collect();
        let means = if first_is_known { means } else { Means::Unknown };
        let next = self.graph.routes.len();
        *self.routes.entry((account, means, roles.clone(), external_id.clone())).or_insert_with(|| {
            let trust = Verdict::Unknown;
            self.graph.routes.push(Route { account, means, roles, external_id, trust });
            next
        })
    }

    fn role(&mut self, arn: &str) -> usize {
        *self.roles.entry(arn.to_owned()).or_insert_with(|| {
            let known = self.knowledge.role(arn).is_some();
            self.graph.roles.push(RoleNode { arn: arn.to_owned(), known });
            self.graph.roles.len() - 1
        })
    }

    /// The class, as a mount with these attributes sees it. `None` if it is invalid.
    fn parsed(&mut self, index: usize, class: &ClassObject, overriding: Overriding<'a>) -> Option<&Class> {
        let rules = &self.rules;
        let parse = |overriding: &[(&str, &str)]| parse(class, overriding, rules);
        match self.parsed.entry((index, overriding)) {
            Entry::Occupied(entry) => entry.into_mut().as_ref(),
            Entry::Vacant(entry) => {
                let parsed = parse(&entry.key().1);
                entry.insert(parsed).as_ref()
            }
        }
    }
}

fn parse(class: &ClassObject, overriding: &[(&str, &str)], rules: &Rules) -> Option<Class> {
    let attributes = overriding.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    class.manifest.read_with(rules, &attributes.collect()).ok()
}

/// The attributes of a volume that override its class's parameters.
fn overriding(volume: &ClassVolume) -> Overriding<'_> {
    let attributes = volume.attributes.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    attributes.collect()
}

/// The AWS account of a role; empty if the text is no ARN.
pub(super) fn account_of(role: &str) -> &str {
    Arn::parse(role).map_or("", |arn| arn.account)
}
