//! Two questions: what falls with one pod, and who can read one secret.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    graph::{Graph, Means, Settings},
    knowledge::{Knowledge, Role},
    reach::{Evaluator, Powers},
    trust,
    verdict::{Verdict, joined},
};

/// A question that has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Question {
    #[error("no service account {0} is known here")]
    NoAccount(String),
    #[error("--if-compromised takes NAMESPACE/NAME, such as shop/web; {0} has no slash")]
    NoNamespace(String),
    #[error("no class asks for {name}, and AWS does not list it{near}")]
    NoSecret { name: String, near: String },
}

/// What somebody reaches who has taken over a pod.
#[derive(Debug)]
pub struct Blast {
    pub(super) account: String,
    pub(super) roles: Vec<ReachedRole>,
    pub(super) secrets: Vec<ReachedSecret>,
    /// Secrets that its classes ask for, with a role that is not known.
    pub(super) unknown: BTreeSet<String>,
}

#[derive(Debug)]
pub(super) struct ReachedRole {
    pub(super) arn: String,
    /// How to get there: the role before, or the way of the service account.
    pub(super) by: String,
    pub(super) verdict: Verdict,
}

#[derive(Debug)]
pub(super) struct ReachedSecret {
    pub(super) secret: usize,
    pub(super) powers: Powers,
    /// The roles that have these powers.
    pub(super) roles: BTreeSet<String>,
}

/// Who can read a secret.
#[derive(Debug)]
pub struct Readers {
    pub(super) secret: usize,
    pub(super) accounts: Vec<Reading>,
    /// Roles that no service account here acts as at first, and that can read it.
    pub(super) other_roles: Vec<OtherRole>,
}

#[derive(Debug)]
pub(super) struct OtherRole {
    pub(super) arn: String,
    pub(super) read: Verdict,
    /// Service accounts whose roles can assume it, directly or through others.
    pub(super) assumed_by: BTreeSet<String>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reading {
    pub(super) account: String,
    /// The classes that ask for it; empty if the role merely may.
    pub(super) classes: BTreeSet<String>,
    pub(super) roles: Vec<String>,
    pub(super) read: String,
}

/// Everything that a pod of the service account `NAMESPACE/NAME` can get at.
///
/// # Errors
/// If the account is not known.
pub fn compromised(
    graph: &Graph,
    knowledge: &Knowledge,
    settings: &Settings,
    account: &str,
) -> Result<Blast, Question> {
    let (namespace, name) =
        account.split_once('/').ok_or_else(|| Question::NoNamespace(account.to_owned()))?;
    if !graph.everybody().any(|known| known == (namespace, name)) {
        return Err(Question::NoAccount(account.to_owned()));
    }
    let index = graph.account(namespace, name);
    let evaluator = Evaluator::new(knowledge);
    let roles = reached_roles(graph, knowledge, settings, (namespace, name));
    let mut secrets: BTreeMap<usize, ReachedSecret> = BTreeMap::new();
    for reached in &roles {
        let Some(role) = knowledge.role(&reached.arn) else { continue };
        let tagged = reached.tagged.then_some((namespace, name));
        let session = evaluator.session_of(role, tagged);
        for (secret, powers) in evaluator.all_powers(&session, graph) {
            let powers = powers.at_most(&reached.verdict);
            match secrets.get_mut(&secret) {
                None => {
                    let roles = BTreeSet::from([reached.arn.clone()]);
                    secrets.insert(secret, ReachedSecret { secret, powers, roles });
                }
                Some(known) => {
                    known.powers = known.powers.clone().or(powers);
                    known.roles.insert(reached.arn.clone());
                }
            }
        }
    }
    let of_account = graph.asks.iter().filter(|ask| Some(graph.routes[ask.route].account) == index);
    let unknown = of_account.filter(|ask| ask.read == Verdict::Unknown && !secrets.contains_key(&ask.secret));
    let unknown = graph.secret_names(unknown.map(|ask| ask.secret));
    let mut secrets: Vec<ReachedSecret> = secrets.into_values().collect();
    secrets.sort_by(|a, b| graph.secrets[a.secret].id.name.cmp(&graph.secrets[b.secret].id.name));
    Ok(Blast {
        account: account.to_owned(),
        unknown,
        roles: roles.into_iter().map(Reached::into_public).collect(),
        secrets,
    })
}

struct Reached {
    arn: String,
    by: String,
    verdict: Verdict,
    /// Whether EKS tags its session.
    tagged: bool,
}

impl Reached {
    fn into_public(self) -> ReachedRole {
        ReachedRole { arn: self.arn, by: self.by, verdict: self.verdict }
    }
}

/// The roles that the account can act as, and those that these can assume, and so on.
fn reached_roles(
    graph: &Graph,
    knowledge: &Knowledge,
    settings: &Settings,
    (namespace, name): (&str, &str),
) -> Vec<Reached> {
    let account = graph.account(namespace, name);
    let mut reached: Vec<Reached> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut waiting = VecDeque::new();
    let mut add = |role: Reached, waiting: &mut VecDeque<Reached>| {
        if seen.insert(role.arn.clone()) {
            waiting.push_back(role);
        }
    };
    let routes = || graph.routes.iter().filter(|route| Some(route.account) == account);
    for route in routes() {
        let Some(first) = route.roles.first() else { continue };
        let by = match route.means {
            Means::Irsa => "IRSA",
            Means::PodIdentity => "Pod Identity",
            Means::Unknown => continue,
        };
        let arn = graph.roles[*first].arn.clone();
        let verdict = match (route.roles.len(), knowledge.role(&arn)) {
            (1, _) => route.trust.clone(),
            (_, None) => Verdict::Unknown,
            (_, Some(role)) => match route.means {
                Means::PodIdentity => trust::pod_identity(role, namespace, name),
                Means::Irsa | Means::Unknown => trust::irsa(role, namespace, name, settings),
            },
        };
        if !matches!(verdict, Verdict::Denied(_)) {
            let tagged = route.means == Means::PodIdentity;
            add(Reached { arn, by: by.to_owned(), verdict, tagged }, &mut waiting);
        }
    }
    // A token serves every role that trusts it, not only the one of the annotation.
    for role in sorted(knowledge) {
        let verdict = trust::irsa(role, namespace, name, settings);
        if matches!(verdict, Verdict::Allowed | Verdict::Depends(_)) && role.trust.is_some() {
            let (arn, by) = (role.arn.as_str().to_owned(), "IRSA (its trust policy lets it in)".to_owned());
            add(Reached { arn, by, verdict, tagged: false }, &mut waiting);
        }
    }
    while let Some(from) = waiting.pop_front() {
        if let Some(role) = knowledge.role(&from.arn) {
            for to in sorted(knowledge).filter(|to| to.arn != role.arn) {
                let external_id = routes().find_map(|route| {
                    let last =
                        route.roles.last().is_some_and(|last| graph.roles[*last].arn == to.arn.as_str());
                    route.external_id.as_ref().filter(|_| last)
                });
                let verdict = from.verdict.clone().and(trust::assume(role, to, external_id));
                if matches!(verdict, Verdict::Allowed | Verdict::Depends(_)) {
                    let (arn, by) = (to.arn.as_str().to_owned(), from.arn.clone());
                    // The tags of Pod Identity are transitive.
                    add(Reached { arn, by, verdict, tagged: from.tagged }, &mut waiting);
                }
            }
        }
        reached.push(from);
    }
    reached
}

fn sorted(knowledge: &Knowledge) -> impl Iterator<Item = &Role> {
    let roles: BTreeMap<&str, &Role> =
        knowledge.roles.iter().map(|(arn, role)| (arn.as_str(), role)).collect();
    roles.into_values()
}

/// Who can read the secret or parameter of this name or ARN, in each Region and account.
///
/// # Errors
/// If it is not known.
pub fn readers(graph: &Graph, knowledge: &Knowledge, name: &str) -> Result<Vec<Readers>, Question> {
    let by_arn = super::SecretId::of_arn(name);
    let matching: Vec<usize> = graph
        .secrets
        .iter()
        .enumerate()
        .filter(|(_, secret)| match &by_arn {
            Some(id) => secret.id == *id,
            None => secret.id.name.trim_start_matches('/') == name.trim_start_matches('/'),
        })
        .map(|(index, _)| index)
        .collect();
    if matching.is_empty() {
        let near: BTreeSet<String> = graph
            .secrets
            .iter()
            .map(|secret| &secret.id.name)
            .filter(|known| known.contains(name) || name.contains(known.as_str()))
            .take(3)
            .cloned()
            .collect();
        let near = if near.is_empty() { String::new() } else { format!("; near names are {}", joined(near)) };
        return Err(Question::NoSecret { name: name.to_owned(), near });
    }
    Ok(matching.into_iter().map(|secret| readers_of(graph, knowledge, secret)).collect())
}

fn readers_of(graph: &Graph, knowledge: &Knowledge, secret: usize) -> Readers {
    let mut accounts = Vec::new();
    for (index, route) in graph.routes.iter().enumerate() {
        let asks: Vec<_> =
            graph.asks.iter().filter(|ask| ask.route == index && ask.secret == secret).collect();
        let reach = &graph.reach[index];
        let verdict = match (asks.first(), reach.allowed.contains(&secret), reach.depends.get(&secret)) {
            (Some(ask), _, _) => ask.read.clone(),
            (None, true, _) => Verdict::Allowed,
            (None, false, Some(on)) => Verdict::Depends(on.clone()),
            (None, false, None) => continue,
        };
        accounts.push(Reading {
            account: graph.accounts[route.account].full_name(),
            classes: asks.iter().map(|ask| graph.classes[ask.class].full_name()).collect(),
            roles: route.roles.iter().map(|role| graph.roles[*role].arn.clone()).collect(),
            read: verdict.and(route.trust.clone().unless_unknown()).cell(),
        });
    }
    accounts.sort();
    let used: BTreeSet<&str> = graph.roles.iter().map(|role| role.arn.as_str()).collect();
    let evaluator = Evaluator::new(knowledge);
    let others = sorted(knowledge).filter(|role| !used.contains(role.arn.as_str())).filter_map(|role| {
        let read = evaluator.read(&evaluator.session_of(role, None), &graph.secrets[secret]);
        matches!(read, Verdict::Allowed | Verdict::Depends(_)).then(|| OtherRole {
            arn: role.arn.as_str().to_owned(),
            read,
            assumed_by: assumed_by(graph, knowledge, role),
        })
    });
    Readers { secret, accounts, other_roles: others.collect() }
}

/// The service accounts that get to the role by assuming roles.
fn assumed_by(graph: &Graph, knowledge: &Knowledge, role: &Role) -> BTreeSet<String> {
    let mut known = BTreeSet::from([role.arn.as_str()]);
    let mut waiting = VecDeque::from([role]);
    while let Some(to) = waiting.pop_front() {
        let callers = sorted(knowledge).filter(|from| from.arn != to.arn);
        let may =
            |from: &&Role| matches!(trust::assume(from, to, None), Verdict::Allowed | Verdict::Depends(_));
        for from in callers.filter(may) {
            if known.insert(from.arn.as_str()) {
                waiting.push_back(from);
            }
        }
    }
    let is_known = |role: &usize| known.contains(graph.roles[*role].arn.as_str());
    let routes = graph.routes.iter().filter(|route| route.roles.iter().any(is_known));
    graph.account_names(routes.map(|route| route.account))
}

impl Verdict {
    /// A trust policy that is not known does not make an answer about the role unknown.
    fn unless_unknown(self) -> Self {
        if self == Self::Unknown { Self::Allowed } else { self }
    }
}

impl Powers {
    /// The same, if it depends on something before.
    fn at_most(self, before: &Verdict) -> Self {
        let Self { read, write, decrypt } = self;
        Self {
            read: read.and(before.clone().unless_unknown()),
            write: write.and(before.clone().unless_unknown()),
            decrypt: decrypt.map(|decrypt| decrypt.and(before.clone().unless_unknown())),
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            read: self.read.or(other.read),
            write: self.write.or(other.write),
            decrypt: match (self.decrypt, other.decrypt) {
                (Some(one), Some(other)) => Some(one.or(other)),
                (one, other) => one.or(other),
            },
        }
    }
}
