//! The state of the emulator: roles, keys, sessions, secrets, parameters, queues and the
//! rules of event buses.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::Notify;

use super::{
    arn::{partition_of, session_arn},
    events::Events,
    ids::Ids,
    parameters::Parameter,
    principal::{Principal, Rule, Session},
    queues::Queue,
    secrets::Secret,
};

/// Account, Region and name, which identify a secret, a parameter, a queue or a rule.
pub(super) type Key = (String, String, String);

/// A role of the store.
#[derive(Clone, Debug, Default)]
pub(super) struct Role {
    /// The subjects that may assume it by IRSA, `system:serviceaccount:namespace:name`.
    pub(super) service_accounts: Vec<String>,
    /// The roles and accounts that may assume it by AssumeRole.
    pub(super) principals: Vec<TrustedPrincipal>,
    /// Whether these may pass on session tags (`sts:TagSession`).
    pub(super) tag_session: bool,
    pub(super) rules: Vec<Rule>,
    pub(super) max_session: Duration,
}

/// A role or account that may assume another role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TrustedPrincipal {
    pub(super) arn: String,
    pub(super) external_id: Option<String>,
}

/// All state, behind one lock.
pub(super) struct World {
    pub(super) account: String,
    pub(super) cluster: String,
    pub(super) roles: BTreeMap<String, Role>,
    pub(super) static_keys: HashMap<String, Principal>,
    pub(super) sessions: HashMap<String, Session>,
    /// From namespace and service account to role ARN.
    pub(super) associations: BTreeMap<(String, String), String>,
    pub(super) pod_identity_session: Duration,
    pub(super) secrets: BTreeMap<Key, Secret>,
    pub(super) parameters: BTreeMap<Key, Parameter>,
    pub(super) queues: BTreeMap<Key, Queue>,
    /// Wakes long polls when a message arrives.
    pub(super) arrivals: Arc<Notify>,
    pub(super) events: Events,
    pub(super) ids: Ids,
}

/// The credentials that a client gets.
pub(super) struct NewSession {
    pub(super) access_key: String,
    pub(super) secret_key: String,
    pub(super) token: String,
    pub(super) session_arn: String,
    pub(super) expires: SystemTime,
}

/// How long expired sessions are kept, so that the answer says expired rather than
/// unknown.
const REMEMBER_EXPIRED: Duration = Duration::from_secs(3600);

impl World {
    pub(super) fn empty() -> Self {
        Self {
            account: "111122223333".to_owned(),
            cluster: "emulator".to_owned(),
            roles: BTreeMap::new(),
            static_keys: HashMap::new(),
            sessions: HashMap::new(),
            associations: BTreeMap::new(),
            pod_identity_session: Duration::from_secs(6 * 3600),
            secrets: BTreeMap::new(),
            parameters: BTreeMap::new(),
            queues: BTreeMap::new(),
            arrivals: Arc::new(Notify::new()),
            events: Events::new(),
            ids: Ids::new(),
        }
    }

    /// Opens a session of a role; `None` if the ARN is not the ARN of a role.
    pub(super) fn open_session(
        &mut self,
        role_arn: &str,
        session_name: &str,
        transitive_tags: bool,
        length: Duration,
        now: SystemTime,
    ) -> Option<NewSession> {
        self.sessions.retain(|_, session| session.expires + REMEMBER_EXPIRED > now);
        let session_arn = session_arn(role_arn, session_name)?;
        let new = NewSession {
            access_key: self.ids.access_key(),
            secret_key: self.ids.secret_key(),
            token: self.ids.session_token(),
            session_arn: session_arn.clone(),
            expires: now + length,
        };
        let session = Session {
            token: new.token.clone(),
            principal: Principal::Role { role_arn: role_arn.to_owned(), session_arn, transitive_tags },
            expires: new.expires,
        };
        self.sessions.insert(new.access_key.clone(), session);
        Some(new)
    }

    /// The role. Creates it without permissions if it does not exist.
    pub(super) fn role_mut(&mut self, role_arn: &str) -> &mut Role {
        self.roles
            .entry(role_arn.to_owned())
            .or_insert_with(|| Role { max_session: DEFAULT_MAX_SESSION, ..Role::default() })
    }
}

/// The default maximum session duration of a role, as in IAM.
pub(super) const DEFAULT_MAX_SESSION: Duration = Duration::from_secs(3600);

/// `arn:…:secretsmanager:region:account:secret:name-suffix`.
pub(super) fn secret_arn((account, region, name): &Key, suffix: &str) -> String {
    let partition = partition_of(region);
    format!("arn:{partition}:secretsmanager:{region}:{account}:secret:{name}-{suffix}")
}

/// `arn:…:ssm:region:account:parameter/name`. A leading slash in the name is not doubled.
pub(super) fn parameter_arn((account, region, name): &Key) -> String {
    let partition = partition_of(region);
    let name = name.strip_prefix('/').unwrap_or(name);
    format!("arn:{partition}:ssm:{region}:{account}:parameter/{name}")
}
