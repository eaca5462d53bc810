//! What this node holds, for people: a snapshot of the rooms that
//! `latchkey status` prints.

mod snapshot;
mod text;
mod verdict;

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use tokio::sync::watch;

use self::snapshot::{
    Calls, Denial, Means, NamespaceCalls, Notices, Pods, Principal, Share, Socket, SocketState, TokenKeys,
    Unit, Value, Version, Volume, Who, Writes,
};
pub use self::{
    snapshot::Snapshot,
    text::{Width, json, text},
};
pub use crate::clock::Time;
use crate::{
    aws::Aws,
    clock::{Clock, Moment},
    cluster::watched::ObjectName,
    delivery::Delivery,
    identity::Identity,
    model::{
        principal::{self, Principal as Known},
        reference::{Reference, Service},
    },
    permits::Load,
    report::Report,
    server::socket,
    shares::Shares,
    values::{EntryView, Values},
};

/// What a snapshot is made of.
pub struct Snapshotter {
    pub clock: Clock,
    pub started_at: SystemTime,
    pub node: Option<String>,
    /// The ConfigMap with change notices.
    pub notices: Option<ObjectName>,
    pub socket_path: PathBuf,
    pub(crate) socket: watch::Receiver<socket::SocketState>,
    pub aws: Arc<Aws>,
    pub identity: Arc<Identity>,
    pub values: Arc<Values>,
    pub delivery: Arc<Delivery>,
    pub report: Arc<Report>,
    /// Places among the mounts.
    pub places: Arc<Shares>,
    /// Memory that namespaces share, by part, but for that of the values.
    pub memory: Vec<(&'static str, Arc<Shares>)>,
}

/// The snapshot as the socket serves it.
pub fn document(snapshot: &Snapshot) -> Vec<u8> {
    // Nothing in a snapshot can fail; without a document, the client reports one.
    serde_json::to_vec(snapshot).unwrap_or_default()
}

impl Snapshotter {
    /// Looks into every room, one after the other. Takes about a millisecond for 1,000
    /// values.
    pub fn snapshot(&self) -> Snapshot {
        let times = self.clock.moment();
        let mut entries = self.values.view();
        entries.sort_by(|one, other| {
            (&one.entry.principal, &one.entry.source).cmp(&(&other.entry.principal, &other.entry.source))
        });
        let (state, held_by) = socket_state(&self.socket.borrow());
        let keys = self.identity.token_keys();
        let (volumes, overview) = (self.delivery.volumes(), self.values.overview());
        Snapshot {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            taken_at: Time::of(times.wall),
            started_at: Time::of(self.started_at),
            node: self.node.clone(),
            socket: Socket { path: self.socket_path.display().to_string(), state, held_by },
            writes: if volumes.is_some() { Writes::Latchkey } else { Writes::Driver },
            token_keys: TokenKeys {
                read_at: keys.read_at.map(|at| Time::of(times.wall_of(at))),
                usable: keys.usable,
                warning: keys.warning,
            },
            pods: {
                let [fresh, stale, failing] = self.report.pods();
                Pods { fresh, stale, failing }
            },
            notices: self.notices.as_ref().map(|object| Notices {
                object: object.to_string(),
                areas: self.values.heard().areas().iter().map(ToString::to_string).collect(),
                values: overview.covered,
            }),
            stretch: overview.stretch,
            principals: self.principals(&entries, &times),
            shares: self.shares(&entries),
            values: entries.iter().map(|entry| value(entry, &times)).collect(),
            denials: self.denials(&times),
            volumes: self.volumes(&times),
            calls: [
                ("aws", self.aws.calls_by_namespace()),
                ("podIdentityAgent", self.identity.agent_calls()),
                ("serviceAccounts", self.identity.account_reads()),
            ]
            .map(|(to, load)| calls(to, load))
            .into(),
        }
    }

    /// Those with values, credentials, or a token.
    fn principals(&self, entries: &[EntryView], times: &Moment) -> Vec<Principal> {
        let mut holdings = self.identity.holdings();
        for of_principal in entries.chunk_by(|one, other| one.entry.principal == other.entry.principal) {
            holdings.entry(of_principal[0].entry.principal.clone()).or_default();
        }
        let principals = holdings.into_iter().map(|(principal, holding)| {
            let first = entries.partition_point(|entry| entry.entry.principal < principal);
            Principal {
                who: who(&principal),
                credentials_until: holding.credentials_until.map(|at| Time::of(times.wall_of(at))),
                refused: holding.refused.map(|reason| reason.as_str().to_owned()),
                token_until: holding.token_until.map(Time::of_unix),
                values: entries[first..]
                    .iter()
                    .take_while(|entry| entry.entry.principal == principal)
                    .count(),
            }
        });
        principals.collect()
    }

    fn denials(&self, times: &Moment) -> Vec<Denial> {
        let denials = self.values.denials().into_iter().map(|denial| Denial {
            who: who(&denial.principal),
            id: denial.id,
            reason: denial.reason.as_str().to_owned(),
            at: Time::of(times.wall_of(denial.at)),
        });
        denials.collect()
    }

    fn volumes(&self, times: &Moment) -> Vec<Volume> {
        let Some(volumes) = self.delivery.volumes() else { return Vec::new() };
        let volumes = volumes.view().into_iter().map(|volume| Volume {
            namespace: volume.pod.namespace,
            pod: volume.pod.name,
            pod_uid: volume.pod.uid,
            class: volume.class,
            values: volume.objects,
            mounted_at: Time::of(times.wall_of(volume.mounted_at)),
        });
        let mut volumes: Vec<Volume> = volumes.collect();
        volumes.sort_by(|one, other| (&one.namespace, &one.pod).cmp(&(&other.namespace, &other.pod)));
        volumes
    }

    fn shares(&self, entries: &[EntryView]) -> Vec<snapshot::Shares> {
        let memory = self.memory.iter();
        let memory = memory.map(|(part, of)| shares(part, Unit::Bytes, of));
        [self.value_bytes(entries)]
            .into_iter()
            .chain(memory)
            .chain([shares("mounts", Unit::Mounts, &self.places)])
            .collect()
    }

    /// The bytes of values, by namespace. Entries are sorted by it.
    fn value_bytes(&self, entries: &[EntryView]) -> snapshot::Shares {
        let by_namespace =
            entries.chunk_by(|one, other| one.entry.principal.namespace == other.entry.principal.namespace);
        let namespaces = by_namespace.map(|entries| Share {
            namespace: entries[0].entry.principal.namespace.clone(),
            used: entries.iter().map(|entry| entry.bytes).sum(),
            waiting: 0,
        });
        let namespaces: Vec<Share> = largest_first(namespaces);
        let used = namespaces.iter().map(|share| share.used).sum();
        let max = self.values.settings().max_bytes;
        snapshot::Shares { part: "values".to_owned(), unit: Unit::Bytes, used, max, namespaces }
    }
}

fn socket_state(state: &socket::SocketState) -> (SocketState, Option<String>) {
    match state {
        socket::SocketState::Starting => (SocketState::Starting, None),
        socket::SocketState::Ours => (SocketState::Ours, None),
        socket::SocketState::Succeeded => (SocketState::Succeeded, None),
        socket::SocketState::Foreign(name) => (SocketState::Foreign, Some(name.clone())),
    }
}

/// The principal's names, without its external id.
fn who(principal: &Known) -> Who {
    let (means, role, pod_uid) = match &principal.means {
        principal::Means::Irsa { role } => (Means::Irsa, Some(role.to_string()), None),
        principal::Means::PodIdentity { pod_uid } => (Means::PodIdentity, None, pod_uid.clone()),
    };
    Who {
        namespace: principal.namespace.clone(),
        service_account: principal.service_account.clone(),
        means,
        role,
        assumed_role: principal.assumed.as_ref().map(|assumed| assumed.arn.to_string()),
        pod_uid,
    }
}

fn value(view: &EntryView, times: &Moment) -> Value {
    let entry = &view.entry;
    let service = match entry.source.service() {
        Service::SecretsManager => "secretsmanager",
        Service::ParameterStore => "ssm",
    };
    let versions = entry.source.primary.iter().enumerate();
    Value {
        who: who(&entry.principal),
        service: service.to_owned(),
        id: entry.source.to_string(),
        region: entry.regions.primary.to_string(),
        failover_region: entry.regions.failover.as_ref().map(ToString::to_string),
        versions: versions.map(|(place, reference)| version(reference, view, place)).collect(),
        state: view.state,
        failed: view.failed.map(|reason| reason.as_str().to_owned()),
        outages: view.outages,
        read_at: view.read_at().map(|at| Time::of(times.wall_of(at))),
        next_poll: view.next_poll.map(|at| Time::of(times.wall_of(at))),
        asked_at: Time::of(times.wall_of(view.asked_at)),
        interval_seconds: view.interval.as_secs(),
    }
}

fn version(reference: &Reference, view: &EntryView, place: usize) -> Version {
    let result = view.held.as_ref().and_then(|held| held.get(place));
    let reading = result.and_then(|result| result.as_ref().ok());
    let failure = result.and_then(|result| result.as_ref().err());
    let selector = &reference.selector;
    Version {
        asked: selector.version.clone().or_else(|| selector.label.clone()),
        held: reading.map(|reading| reading.version.clone()),
        arn: reading.map(|reading| reading.arn.clone()).filter(|arn| !arn.is_empty()),
        served_by: reading.map(|reading| reading.region.to_string()),
        missing: failure.map(|failure| failure.last().kind.reason().as_str().to_owned()),
    }
}

fn calls(to: &str, load: Load) -> Calls {
    let namespaces = load.namespaces.into_iter().map(|(namespace, load)| NamespaceCalls {
        namespace: namespace.to_string(),
        running: load.running,
        waiting: load.waiting,
    });
    let namespaces = namespaces.collect();
    Calls { to: to.to_owned(), running: load.running, waiting: load.waiting, max: load.max, namespaces }
}

fn shares(part: &str, unit: Unit, shares: &Shares) -> snapshot::Shares {
    let usage = shares.usage();
    let namespaces = usage.namespaces.into_iter().map(|holder| Share {
        namespace: holder.namespace.to_string(),
        used: holder.held,
        waiting: holder.waiting,
    });
    let namespaces = largest_first(namespaces);
    snapshot::Shares { part: part.to_owned(), unit, used: usage.taken, max: usage.max, namespaces }
}

fn largest_first(shares: impl Iterator<Item = Share>) -> Vec<Share> {
    let mut shares: Vec<Share> = shares.collect();
    shares.sort_by(|one, other| other.used.cmp(&one.used).then_with(|| one.namespace.cmp(&other.namespace)));
    shares
}
