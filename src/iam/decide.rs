//! Whether all policies together allow a request.

use std::{collections::BTreeSet, fmt};

use super::{
    document::Policy,
    principals::{Closeness, Request},
    statement::{Effect, Statement},
    truth::Truth,
};

/// The policies that decide about a request.
#[derive(Clone, Debug, Default)]
pub struct Policies<'a> {
    /// Those of the role, inline and attached.
    pub identity: &'a [Policy],
    /// The role's permissions boundary.
    pub boundary: Option<&'a Policy>,
    /// The session policies; all together they limit the session.
    pub session: Option<&'a [Policy]>,
    pub resource: ResourcePolicy<'a>,
    /// Whether the resource's own policy must allow the request in its own account too: for
    /// a KMS key, and for a role that is assumed.
    pub resource_must_allow: bool,
}

/// The policy of the resource: of a secret, of a key, or the trust policy of a role.
#[derive(Clone, Copy, Debug, Default)]
pub enum ResourcePolicy<'a> {
    /// It has none.
    #[default]
    None,
    /// It may have one. Then the answer depends on it.
    Unknown,
    Known(&'a Policy),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Allowed,
    Denied(Denial),
    /// On these condition keys, whose value is unknown. A resource policy that is unknown is
    /// `the resource's policy`.
    Depends(BTreeSet<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// A statement denies it.
    Explicit { layer: Layer, policy: String, statement: String },
    /// No statement of this layer allows it.
    NotAllowed { layer: Layer },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    Identity,
    Boundary,
    Session,
    Resource,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity => "identity-based policy",
            Self::Boundary => "permissions boundary",
            Self::Session => "session policy",
            Self::Resource => "resource-based policy",
        })
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Explicit { layer, policy, statement } if policy.is_empty() => {
                write!(f, "explicit deny in the {layer}: {statement}")
            }
            Self::Explicit { layer, policy, statement } => {
                write!(f, "explicit deny in the {layer} {policy}: {statement}")
            }
            Self::NotAllowed { layer } => write!(f, "no {layer} allows it"),
        }
    }
}

impl Policies<'_> {
    /// Decides as IAM does: an explicit deny wins; within an account, one of identity and
    /// resource policy must allow, within the limits; between accounts, both must.
    pub fn decide(&self, request: &Request) -> Answer {
        let denied = match self.explicit_deny(request) {
            Ok(keys) => keys,
            Err(denial) => return Answer::Denied(denial),
        };
        let allow = |policies: &[Policy]| {
            Truth::any(statements(policies, Effect::Allow).map(|(_, statement)| statement.covers(request)))
        };
        let identity = allow(self.identity);
        let boundary = self.boundary.map_or(Truth::Yes, |policy| allow(std::slice::from_ref(policy)));
        let session = self.session.map_or(Truth::Yes, allow);
        let limits = boundary.clone().and(session.clone());
        let resource = |least| self.resource_allows(request, least);

        let within_account = request.is_within_account();
        let by_identity = identity.clone().and(limits.clone());
        let allowed = if within_account {
            let enough = if self.resource_must_allow {
                by_identity.clone().and(resource(Closeness::Account))
            } else {
                by_identity.clone()
            };
            enough.or(resource(Closeness::Role).and(limits)).or(resource(Closeness::Session))
        } else {
            by_identity.clone().and(resource(Closeness::Account))
        };
        let layer = match () {
            () if identity == Truth::No => Layer::Identity,
            () if boundary == Truth::No => Layer::Boundary,
            () if session == Truth::No => Layer::Session,
            () => Layer::Resource,
        };
        answer(allowed, denied, layer)
    }

    /// Whether the policies of a role alone allow the request, whatever its boundary and the
    /// resource's policy say.
    pub fn decide_by_identity_alone(policies: &[Policy], request: &Request) -> Answer {
        let only = Policies { identity: policies, ..Policies::default() };
        let denied = match only.explicit_deny(request) {
            Ok(keys) => keys,
            Err(denial) => return Answer::Denied(denial),
        };
        let allowing = statements(policies, Effect::Allow).map(|(_, statement)| statement.covers(request));
        answer(Truth::any(allowing), denied, Layer::Identity)
    }

    /// Whether the resource policy alone allows the request, as a trust policy decides about
    /// a token or a service.
    pub fn decide_by_resource_alone(policy: &Policy, request: &Request) -> Answer {
        let only = Policies { resource: ResourcePolicy::Known(policy), ..Policies::default() };
        let denied = match only.explicit_deny(request) {
            Ok(keys) => keys,
            Err(denial) => return Answer::Denied(denial),
        };
        answer(only.resource_allows(request, Closeness::Account), denied, Layer::Resource)
    }

    /// The keys that a deny depends on, or the statement that denies.
    fn explicit_deny(&self, request: &Request) -> Result<BTreeSet<String>, Denial> {
        let mut keys = BTreeSet::new();
        let resource = match self.resource {
            ResourcePolicy::Known(policy) => std::slice::from_ref(policy),
            ResourcePolicy::Unknown => {
                keys.insert(UNKNOWN_POLICY.to_owned());
                &[]
            }
            ResourcePolicy::None => &[],
        };
        let boundary = self.boundary.map_or(&[][..], std::slice::from_ref);
        for (layer, policies) in [
            (Layer::Identity, self.identity),
            (Layer::Boundary, boundary),
            (Layer::Session, self.session.unwrap_or_default()),
            (Layer::Resource, resource),
        ] {
            for (policy, statement) in statements(policies, Effect::Deny) {
                match statement.covers_caller(request, Closeness::Account) {
                    Truth::No => {}
                    Truth::Depends(on) => keys.extend(on),
                    Truth::Yes => {
                        let (policy, statement) = (policy.name.clone(), statement.name().to_owned());
                        return Err(Denial::Explicit { layer, policy, statement });
                    }
                }
            }
        }
        Ok(keys)
    }

    /// Whether the resource policy allows it, by names of at least this closeness.
    fn resource_allows(&self, request: &Request, least: Closeness) -> Truth {
        match self.resource {
            ResourcePolicy::None => Truth::No,
            ResourcePolicy::Unknown => Truth::depends_on(UNKNOWN_POLICY),
            ResourcePolicy::Known(policy) => Truth::any(
                statements(std::slice::from_ref(policy), Effect::Allow)
                    .filter(|(_, statement)| statement.principals.is_some())
                    .map(|(_, statement)| statement.covers_caller(request, least)),
            ),
        }
    }
}

/// `denied`: the keys that a deny depends on. `layer`: the one that does not allow it.
fn answer(allowed: Truth, denied: BTreeSet<String>, layer: Layer) -> Answer {
    match allowed {
        Truth::Yes if denied.is_empty() => Answer::Allowed,
        Truth::Yes => Answer::Depends(denied),
        Truth::Depends(keys) => Answer::Depends(keys.into_iter().chain(denied).collect()),
        Truth::No => Answer::Denied(Denial::NotAllowed { layer }),
    }
}

const UNKNOWN_POLICY: &str = "the resource's policy";

/// The statements with this effect, each with its policy.
fn statements(policies: &[Policy], effect: Effect) -> impl Iterator<Item = (&Policy, &Statement)> {
    policies
        .iter()
        .flat_map(|policy| policy.statements().iter().map(move |statement| (policy, statement)))
        .filter(move |(_, statement)| statement.effect == effect)
}
