//! Who reads what on which node.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::Settings;
use crate::{
    estate::{ClassObject, ClassVolume, Estate, Workload},
    findings::Place,
    model::{
        arn::{Region, RoleArn},
        class::Class,
        principal::{Means, Principal},
        reference::Service,
        rules::Rules,
        source::Source,
    },
};

/// Nodes of a cluster about which nothing is known.
const FEWEST_NODES: usize = 3;

/// What the pods of a cluster mount, node by node.
#[derive(Debug, Default)]
pub struct Usage {
    /// The mounts of each principal, by node. A mount that several pods of the principal on
    /// the node share is there once.
    pub(super) nodes: BTreeMap<String, BTreeMap<Principal, BTreeSet<usize>>>,
    pub(super) mounts: Vec<Mount>,
    /// Nodes of the cluster.
    pub cluster_nodes: usize,
    /// Whether the number of nodes is a guess.
    pub nodes_assumed: bool,
    /// How many classes are mounted by no workload, so that the settings say how many
    /// pods they have.
    pub classes_without_pods: usize,
    pub classes: usize,
    pub skipped: Vec<Skipped>,
}

/// A class that cannot be read, or that a volume names and nobody knows.
#[derive(Debug)]
pub struct Skipped {
    pub place: Place,
    pub problem: String,
}

/// The primary Region and the one that fails over.
pub(super) type Places = (Option<Region>, Option<Region>);

/// How one class is mounted by pods of one principal.
#[derive(Debug)]
pub(super) struct Mount {
    pub(super) principal: Principal,
    pub(super) regions: Places,
    /// `refreshInterval`
    pub(super) interval: Option<Duration>,
    pub(super) sources: Vec<Source>,
    /// How many objects of each service the class has, for a provider that reads each.
    pub(super) secrets: usize,
    pub(super) parameters: usize,
    pub(super) pods: usize,
}

impl Usage {
    /// Places the estate's pods on nodes: where they are, or else one after the other.
    pub fn of(estate: &Estate, settings: &Settings) -> Self {
        let rules = Rules {
            default_region: settings.region.clone(),
            allow_role_arn: true,
            min_refresh_interval: Duration::from_secs(1),
            max_refresh_interval: Duration::MAX,
            ..Rules::default()
        };
        let mut usage = Self { classes: estate.classes.len(), ..Self::default() };
        usage.count_nodes(estate, settings);
        let mut next_node = 0;
        for workload in &estate.workloads {
            for volume in &workload.volumes {
                let place = &workload.place;
                let Some(class) = estate.class(&workload.namespace, &volume.class) else {
                    usage.skip(place, format!("SecretProviderClass {:?} is not here", volume.class));
                    continue;
                };
                match class.manifest.read_with(&rules, &volume.attributes) {
                    Ok(read) => {
                        let principal = principal(estate, workload, &read);
                        usage.place(workload, mount(principal, &read), &mut next_node);
                    }
                    Err(invalid) => usage.skip(place, invalid.to_string()),
                }
            }
        }
        for class in estate.classes.iter().filter(|class| estate.users(class).next().is_none()) {
            usage.classes_without_pods += 1;
            let workload = imagined(class, settings.pods);
            match class.manifest.read(&rules) {
                Ok(read) => {
                    let principal = principal(estate, &workload, &read);
                    usage.place(&workload, mount(principal, &read), &mut next_node);
                }
                Err(invalid) => usage.skip(&class.place, invalid.to_string()),
            }
        }
        usage
    }

    pub fn pods(&self) -> usize {
        self.mounts.iter().map(|mount| mount.pods).sum()
    }

    /// Principals that mount something.
    pub fn principals(&self) -> usize {
        self.mounts.iter().map(|mount| &mount.principal).collect::<BTreeSet<_>>().len()
    }

    /// Distinct secrets, and distinct parameters.
    pub fn objects(&self) -> (usize, usize) {
        let mut objects = BTreeSet::new();
        for mount in &self.mounts {
            let references = mount.sources.iter().flat_map(|source| &source.primary);
            objects.extend(references.map(|it| (it.service, &it.id, &mount.regions.0)));
        }
        let secrets = objects.iter().filter(|(service, ..)| *service == Service::SecretsManager).count();
        (secrets, objects.len() - secrets)
    }

    /// On how many nodes a principal is.
    pub(super) fn nodes_of(&self, principal: &Principal) -> usize {
        self.nodes.values().filter(|node| node.contains_key(principal)).count()
    }

    fn skip(&mut self, place: &Place, problem: String) {
        self.skipped.push(Skipped { place: place.clone(), problem });
    }

    fn count_nodes(&mut self, estate: &Estate, settings: &Settings) {
        let known: BTreeSet<&String> =
            estate.workloads.iter().filter_map(|workload| workload.node.as_ref()).collect();
        let replicas = estate.workloads.iter().filter_map(|workload| workload.replicas).max();
        let replicas = replicas.map_or(0, |replicas| replicas as usize);
        let guessed = FEWEST_NODES.max(replicas);
        self.cluster_nodes = match settings.nodes {
            Some(nodes) => nodes.max(1) as usize,
            None if !known.is_empty() => known.len(),
            None => guessed,
        };
        self.nodes_assumed = settings.nodes.is_none() && known.is_empty();
    }

    fn place(&mut self, workload: &Workload, mount: Mount, next_node: &mut usize) {
        let principal = mount.principal.clone();
        let number = self.add(mount);
        let (pods, nodes): (usize, Vec<String>) = match (&workload.node, workload.replicas) {
            (Some(node), _) => (1, vec![node.clone()]),
            (None, None) => (self.cluster_nodes, (0..self.cluster_nodes).map(numbered).collect()),
            (None, Some(replicas)) => {
                let replicas = replicas as usize;
                let first = *next_node;
                *next_node += replicas;
                let used = replicas.min(self.cluster_nodes);
                (replicas, (first..first + used).map(|node| numbered(node % self.cluster_nodes)).collect())
            }
        };
        self.mounts[number].pods += pods;
        for node in nodes {
            let node = self.nodes.entry(node).or_default();
            node.entry(principal.clone()).or_default().insert(number);
        }
    }

    /// The number of the mount; equal ones are kept once.
    fn add(&mut self, mount: Mount) -> usize {
        let same = |other: &Mount| {
            other.principal == mount.principal
                && other.regions == mount.regions
                && other.interval == mount.interval
                && other.sources == mount.sources
        };
        if let Some(number) = self.mounts.iter().position(same) {
            return number;
        }
        self.mounts.push(mount);
        self.mounts.len() - 1
    }
}

fn numbered(node: usize) -> String {
    format!("node {node}")
}

fn mount(principal: Principal, class: &Class) -> Mount {
    let sources = class.objects.plan().sources.iter().map(|planned| planned.source.clone()).collect();
    let of = |service| class.objects.iter().filter(|object| object.reference.service == service).count();
    Mount {
        principal,
        regions: (class.region.clone(), class.failover_region.clone()),
        interval: class.refresh_interval,
        sources,
        secrets: of(Service::SecretsManager),
        parameters: of(Service::ParameterStore),
        pods: 0,
    }
}

/// The pods that a class is assumed to have.
fn imagined(class: &ClassObject, pods: u32) -> Workload {
    Workload {
        place: class.place.clone(),
        kind: "Deployment".to_owned(),
        namespace: class.namespace.clone(),
        name: class.name.clone(),
        replicas: Some(pods),
        node: None,
        // Not a name of Kubernetes, so that it is nobody else's.
        service_account: format!("(of class {})", class.name),
        volumes: Vec::<ClassVolume>::new(),
    }
}

/// Who the pods of a workload read as. An unknown role does not change the number of calls.
fn principal(estate: &Estate, workload: &Workload, class: &Class) -> Principal {
    let (namespace, name) = (&workload.namespace, &workload.service_account);
    let hints = &class.identity;
    let annotated = estate.account(namespace, name).and_then(|account| account.role_arn.as_deref());
    let role = hints.role_arn.clone().or_else(|| annotated.and_then(RoleArn::parse));
    let by_agent = match hints.use_pod_identity {
        Some(by_agent) => by_agent,
        None => role.is_none() && estate.association(namespace, name).is_some(),
    };
    let means = match role.filter(|_| !by_agent).or_else(|| (!by_agent).then(unknown_role).flatten()) {
        Some(role) => Means::Irsa { role },
        None => Means::PodIdentity { pod_uid: None },
    };
    Principal {
        namespace: namespace.clone(),
        service_account: name.clone(),
        means,
        assumed: hints.assumed_role.clone(),
    }
}

/// Stands for the role of a service account that is not among the manifests.
fn unknown_role() -> Option<RoleArn> {
    RoleArn::parse("arn:aws:iam::000000000000:role/unknown")
}
