//! Reads what the checks need. What the person may not read is noted, and the rest goes
//! on.

use std::time::Instant;

use futures_util::{StreamExt, future::join_all, stream};
use serde::de::DeserializeOwned;

use super::{
    events,
    metrics::Sample,
    objects::{DaemonSet, Pod},
    rights,
    scene::{Asked, Latchkey, Notices, Scene, Seen, Sender, SystemPods, Voice, Workloads},
};
use crate::{
    estate::DRIVER,
    live::{
        CLASSES, CONFIG_MAPS, CSI_DRIVERS, CSI_NODES, DAEMON_SETS, EVENTS, LEASES, Live, LiveError,
        NETWORK_POLICIES, NODES, PODS, Progress, Query, Resource, SERVICE_ACCOUNTS, Scope,
    },
};

/// Pods that are asked at once.
const AT_ONCE: usize = 16;
/// Where kubelet renews its lease.
const LEASE_NAMESPACE: &str = "kube-node-lease";

/// The part of the cluster whose pods are looked at.
pub struct Wanted {
    pub scope: Scope,
    /// Only this pod.
    pub pod: Option<String>,
}

impl Scene {
    /// Looks at the cluster.
    ///
    /// # Errors
    /// If the API server does not answer, or does not accept the credentials.
    pub async fn look(live: &Live, wanted: &Wanted, progress: &Progress) -> Result<Self, LiveError> {
        live.clock().await?;
        let eye = Eye { live, progress };
        let leases = Scope::Namespace(LEASE_NAMESPACE.to_owned());
        let (csi_driver, daemon_sets, nodes, csi_nodes, leases, workloads) = tokio::join!(
            live.get(&CSI_DRIVERS, "", DRIVER),
            eye.list(&DAEMON_SETS, &Scope::All),
            eye.list(&NODES, &Scope::All),
            eye.list(&CSI_NODES, &Scope::All),
            eye.list(&LEASES, &leases),
            eye.workloads(wanted),
        );
        let mut scene = Self {
            csi_driver: seen(csi_driver),
            daemon_sets: seen(daemon_sets),
            nodes: seen(nodes),
            csi_nodes: seen(csi_nodes),
            leases: seen(leases),
            system_pods: Vec::new(),
            voices: Vec::new(),
            rights: Vec::new(),
            notices: Vec::new(),
            policies: Ok(Vec::new()),
            workloads,
        };
        scene.system_pods = eye.system_pods(&scene).await;
        let parts = scene.parts();
        let mut voices = Vec::new();
        for latchkey in &parts.latchkeys {
            voices.extend(eye.voices(&scene, latchkey).await);
        }
        let notices = join_all(parts.latchkeys.iter().map(|latchkey| eye.notices(latchkey))).await;
        let notices = notices.into_iter().flatten().collect();
        let rights = rights::wanted(&scene, &parts);
        let rights = join_all(rights.into_iter().map(async |(right, need)| {
            let allowed = live.allows(&right).await.map_err(|error| error.to_string());
            Asked { right, need, allowed }
        }))
        .await;
        let policies = eye.policies(&parts.latchkeys).await;
        Ok(Self { voices, rights, notices, policies, ..scene })
    }
}

struct Eye<'a> {
    live: &'a Live,
    progress: &'a Progress,
}

impl Eye<'_> {
    async fn list<T: DeserializeOwned>(
        &self,
        resource: &Resource,
        scope: &Scope,
    ) -> Result<Vec<T>, LiveError> {
        self.live.list(Query::new(resource, scope), self.progress).await
    }

    async fn workloads(&self, wanted: &Wanted) -> Workloads {
        let scope = &wanted.scope;
        let mounts = |pod: Pod| {
            let volumes = pod.spec.volumes.iter().filter_map(|volume| volume.csi.as_ref());
            let of_driver = volumes.into_iter().any(|csi| csi.driver == DRIVER);
            let named = wanted.pod.as_ref().is_none_or(|name| *name == pod.metadata.name);
            (of_driver && named).then_some(pod)
        };
        let events = Query::new(&EVENTS, scope).with_fields("regarding.kind=Pod");
        let (classes, pods, accounts, events) = tokio::join!(
            self.list(&CLASSES, scope),
            self.live.list_kept(Query::new(&PODS, scope), self.progress, mounts),
            self.list(&SERVICE_ACCOUNTS, scope),
            self.live.list_kept(events, self.progress, |event| events::matters(&event).then_some(event)),
        );
        let classes = match classes {
            Err(LiveError::NotServed { .. }) => Ok(None),
            classes => seen(classes.map(Some)),
        };
        let place = match (scope, &wanted.pod) {
            (Scope::All, _) => "all namespaces".to_owned(),
            (Scope::Namespace(namespace), None) => format!("namespace {namespace}"),
            (Scope::Namespace(namespace), Some(pod)) => format!("pod {namespace}/{pod}"),
        };
        let pods = seen(pods.map(|listed| listed.items));
        let events = seen(events.map(|listed| listed.items));
        Workloads { place, classes, pods, accounts: seen(accounts), events }
    }

    /// The pods of the DaemonSets that matter.
    async fn system_pods(&self, scene: &Scene) -> Vec<SystemPods> {
        let parts = scene.parts();
        let sets = parts.drivers.iter().map(|driver| driver.set);
        let sets = sets
            .chain(parts.latchkeys.iter().map(|latchkey| latchkey.set))
            .chain(parts.agents.iter().copied());
        join_all(sets.map(async |set: &DaemonSet| {
            let scope = Scope::Namespace(set.metadata.namespace.clone());
            let labels = set.spec.selector.text();
            let query = Query::new(&PODS, &scope).with_labels(&labels);
            SystemPods {
                namespace: set.metadata.namespace.clone(),
                daemon_set: set.metadata.name.clone(),
                pods: seen(self.live.list(query, self.progress).await),
            }
        }))
        .await
    }

    /// What the pods of Latchkey say that run on nodes that work.
    async fn voices(&self, scene: &Scene, latchkey: &Latchkey<'_>) -> Vec<Voice> {
        let port = latchkey.port();
        let broken: Vec<&str> = scene
            .usable_nodes()
            .filter(|node| !node.is_ready())
            .map(|node| node.metadata.name.as_str())
            .collect();
        let pods = scene.pods_of(latchkey.set).unwrap_or_default().iter();
        let placed = pods
            .filter(|pod| pod.status.phase == "Running" && !pod.is_ending() && !broken.contains(&pod.node()));
        let mut voices = Vec::new();
        let mut asked = stream::iter(placed.map(|pod| self.voice(pod, port))).buffer_unordered(AT_ONCE);
        while let Some(voice) = asked.next().await {
            voices.push(voice);
            self.progress.show("pods of Latchkey", voices.len());
        }
        voices.sort_by(|one, other| one.node.cmp(&other.node));
        voices
    }

    async fn voice(&self, pod: &Pod, port: u16) -> Voice {
        let (namespace, name) = (pod.metadata.namespace.as_str(), pod.metadata.name.as_str());
        // Both clocks within a moment, one after the other.
        let began = Instant::now();
        let metrics = self.live.ask_pod(namespace, name, port, "/metrics").await;
        let between = began.elapsed().as_secs_f64();
        let server = self.live.clock().await.ok().flatten();
        let node = metrics.as_ref().ok().and_then(|answer| answer.date);
        let ahead = node.zip(server).map(|(node, server)| node - (server - between));
        let metrics = seen(metrics.map(|answer| Sample::parse(&answer.text)));
        // Only where it is ready: the client would ask a pod that answers 503 again and again.
        let ready = match &metrics {
            Ok(sample) if sample.serves() => self.live.ask_pod(namespace, name, port, "/readyz").await.ok(),
            _ => None,
        };
        let warning = ready.and_then(|answer| Some(answer.text.split_once("warning: ")?.1.trim().to_owned()));
        Voice {
            namespace: namespace.to_owned(),
            pod: name.to_owned(),
            node: pod.node().to_owned(),
            metrics,
            warning,
            ahead,
        }
    }

    async fn notices(&self, latchkey: &Latchkey<'_>) -> Option<Notices> {
        let object = latchkey.container.flag("notices").filter(|object| !object.is_empty())?;
        let (namespace, name) = object.split_once('/')?;
        let scope = Scope::Namespace(namespace.to_owned());
        let sends = |pod: Pod| {
            let containers = &pod.spec.containers;
            let sends = containers.iter().any(|container| container.flag("object") == Some(object));
            (sends && !pod.is_ending()).then_some(pod)
        };
        let (config_map, pods) = tokio::join!(
            self.live.get(&CONFIG_MAPS, namespace, name),
            self.live.list_kept(Query::new(&PODS, &scope), self.progress, sends),
        );
        let senders = match pods {
            Ok(pods) => {
                let mut senders = Vec::new();
                for pod in pods.items {
                    senders.push(self.sender(&pod).await);
                }
                Ok(senders)
            }
            Err(error) => Err(error.to_string()),
        };
        let metadata = &latchkey.set.metadata;
        Some(Notices {
            of: (metadata.namespace.clone(), metadata.name.clone()),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            object: config_map.map_err(|error| error.to_string()),
            senders,
        })
    }

    async fn sender(&self, pod: &Pod) -> Sender {
        let port = pod.spec.containers.iter().flat_map(|container| &container.ports);
        let port = port.map(|port| port.container_port).next().unwrap_or(8989);
        // A pod that is not ready answers 503, which the client would ask for again and again.
        let said = match pod.is_ready() {
            true => {
                self.live.ask_pod(&pod.metadata.namespace, &pod.metadata.name, port, "/readyz").await.ok()
            }
            false => None,
        };
        let lines = said.iter().flat_map(|answer| answer.text.lines());
        let warnings = lines.filter_map(|line| line.strip_prefix("warning: ")).map(str::to_owned).collect();
        Sender { pod: pod.metadata.name.clone(), is_ready: pod.is_ready(), warnings }
    }

    async fn policies(&self, latchkeys: &[Latchkey<'_>]) -> Seen<Vec<super::objects::NetworkPolicy>> {
        let mut namespaces: Vec<&str> =
            latchkeys.iter().map(|latchkey| latchkey.set.metadata.namespace.as_str()).collect();
        namespaces.dedup();
        let mut policies = Vec::new();
        for namespace in namespaces {
            policies
                .extend(seen(self.list(&NETWORK_POLICIES, &Scope::Namespace(namespace.to_owned())).await)?);
        }
        Ok(policies)
    }
}

fn seen<T>(read: Result<T, LiveError>) -> Seen<T> {
    read.map_err(|error| error.to_string())
}
