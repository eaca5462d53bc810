//! The closed lists that labels come from, and counters by them.

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use crate::model::reason::Reason;

/// A label's name and its value.
pub(super) type Pair = (&'static str, &'static str);

/// Values of a closed list, as the labels of a series.
pub trait Labels: Copy + PartialEq + 'static {
    /// Every value.
    fn all() -> Vec<Self>;
    fn pairs(self) -> Vec<(&'static str, &'static str)>;
}

/// A counter for each value of a closed list, all of them at 0 from the start. The
/// counters are at hand: counting neither locks nor allocates.
#[derive(Debug)]
pub struct Counted<L>(Vec<(L, Counter)>);

impl<L: Labels> Counted<L> {
    pub(super) fn new(registry: &mut Registry, name: &str, help: &str) -> Self {
        let family = Family::<Vec<Pair>, Counter>::default();
        let counter = |labels: L| (labels, family.get_or_create_owned(&labels.pairs()));
        let counters = L::all().into_iter().map(counter).collect();
        registry.register(name, help, family);
        Self(counters)
    }

    pub fn count(&self, labels: L) {
        self.add(labels, 1);
    }

    pub fn add(&self, labels: L, number: u64) {
        if let Some((_, counter)) = self.0.iter().find(|(known, _)| *known == labels) {
            counter.inc_by(number);
        }
    }
}

impl<A: Labels, B: Labels> Labels for (A, B) {
    fn all() -> Vec<Self> {
        A::all().into_iter().flat_map(|a| B::all().into_iter().map(move |b| (a, b))).collect()
    }

    fn pairs(self) -> Vec<Pair> {
        self.0.pairs().into_iter().chain(self.1.pairs()).collect()
    }
}

impl Labels for Reason {
    fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }

    fn pairs(self) -> Vec<Pair> {
        vec![("reason", self.as_str())]
    }
}

/// An enum whose values are the values of one label.
macro_rules! label {
    ($(#[$doc:meta])* $type:ident, $label:literal, { $($(#[$value_doc:meta])* $value:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type {
            $($(#[$value_doc])* $value,)*
        }

        impl Labels for $type {
            fn all() -> Vec<Self> {
                vec![$(Self::$value),*]
            }

            fn pairs(self) -> Vec<Pair> {
                vec![($label, match self { $(Self::$value => $text),* })]
            }
        }
    };
}

label!(
    /// What a mount found for a value.
    Lookup, "result", {
        /// A fresh one in memory.
        Hit = "hit",
        /// Nothing: it read the value from AWS.
        Miss = "miss",
        /// Another mount's read.
        Shared = "shared",
        /// A last known good one.
        Stale = "stale",
    }
);
label!(
    /// Why a value was dropped.
    Eviction, "cause", {
        /// The memory for values is full.
        Full = "full",
        /// No pod mounts it any more.
        Idle = "idle",
        /// AWS took access away.
        Lost = "lost",
    }
);
label!(
    /// A volume that was rewritten because a value changed.
    Rewrite, "result", {
        Written = "written",
        Failed = "failed",
    }
);
label!(
    /// What a poll meant for a value.
    Polled, "result", {
        Read = "read",
        /// AWS fails; the value is kept.
        Kept = "kept",
        Lost = "lost",
    }
);
label!(CredentialKind, "kind", {
    Irsa = "irsa",
    PodIdentity = "pod_identity",
    AssumedRole = "assumed_role",
});
label!(CredentialResult, "result", {
    Ok = "ok",
    /// A person must act.
    Refused = "refused",
    /// Outage or throttling.
    Failed = "failed",
});
label!(KubernetesRequest, "request", {
    ServiceAccount = "service_account",
    Node = "node",
    TokenKeys = "token_keys",
    Event = "event",
    Taint = "taint",
    Notices = "notices",
});
label!(
    /// A change that a notice told of.
    Noticed, "result", {
        /// A value in memory is read again for it.
        Held = "held",
        /// No value in memory is concerned, or it is as new already.
        NotHeld = "not_held",
    }
);
label!(KubernetesOutcome, "outcome", {
    Ok = "ok",
    Forbidden = "forbidden",
    NotFound = "not_found",
    Outage = "outage",
});
label!(
    /// What the cluster's keys say about a token.
    TokenCheck, "result", {
        Signed = "signed",
        /// Only AWS can decide.
        Unknown = "unknown",
        Refused = "refused",
    }
);
label!(
    /// Why a message of a queue told nothing.
    Dropped, "reason", {
        /// It is no event.
        Malformed = "malformed",
        Oversized = "oversized",
        /// An event of another kind.
        Foreign = "foreign",
        /// An account or Region that no flag names.
        NotCovered = "not_covered",
        /// Its ARN is not of its own account, Region and service.
        Forged = "forged",
        /// An event of the right kind that changes nothing for a reader.
        Ignored = "ignored",
        /// The same event came before.
        Duplicate = "duplicate",
    }
);
label!(NoticesService, "service", {
    SecretsManager = "secretsmanager",
    ParameterStore = "ssm",
});
label!(
    /// What a failed call of `latchkey notices` was for.
    NoticesFailure, "call", {
        Receive = "receive",
        Delete = "delete",
        Write = "write",
        Lease = "lease",
        Nodes = "nodes",
    }
);
