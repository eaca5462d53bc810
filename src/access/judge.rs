//! Finds what is shared, refused, or granted too widely.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    graph::{Graph, Means, Settings},
    knowledge::Knowledge,
    rules,
    trust::{self, Opening},
    verdict::{Verdict, count, joined, some},
};
use crate::findings::{Finding, ObjectName, Place, Rule, sorted};

/// How much sharing is fine.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Maximum number of service accounts whose classes ask for one secret. `None`: any
    /// number, if all are of one namespace.
    pub shared_by: Option<usize>,
    /// Maximum number of prefixes that one service account reads.
    pub prefixes: usize,
    /// Number of segments in a prefix.
    pub prefix_depth: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { shared_by: None, prefixes: 1, prefix_depth: 1 }
    }
}

/// Everything that is wrong, in order of place.
pub fn judge(graph: &Graph, knowledge: &Knowledge, settings: &Settings, bounds: &Bounds) -> Vec<Finding> {
    let judge = Judge { graph, knowledge, settings, bounds };
    let mut findings = Vec::new();
    judge.asks(&mut findings);
    judge.routes(&mut findings);
    judge.roles(&mut findings);
    judge.trust(&mut findings);
    judge.secrets(&mut findings);
    judge.prefixes(&mut findings);
    judge.classes(&mut findings);
    sorted(findings)
}

struct Judge<'a> {
    graph: &'a Graph,
    knowledge: &'a Knowledge,
    settings: &'a Settings,
    bounds: &'a Bounds,
}

impl Judge<'_> {
    /// What the roles say to what the classes ask for.
    fn asks(&self, findings: &mut Vec<Finding>) {
        let mut open: BTreeMap<(usize, usize, BTreeSet<String>), BTreeSet<usize>> = BTreeMap::new();
        for ask in &self.graph.asks {
            let (class, route) = (&self.graph.classes[ask.class], &self.graph.routes[ask.route]);
            let account = &self.graph.accounts[route.account];
            let secret = &self.graph.secrets[ask.secret];
            match &ask.read {
                Verdict::Denied(why) => {
                    let when = if ask.failover { ", during an outage of the primary Region," } else { "" };
                    let role = self.graph.reader(route).map_or("its role", |role| &role.arn);
                    let message = format!(
                        "class {} asks for the {} {}; for service account {}{when} {role} may not read it: {why}",
                        class.full_name(),
                        secret.id.kind(),
                        secret.id,
                        account.full_name(),
                    );
                    findings.push(Finding::new(&rules::READ_DENIED, class.place.clone(), message));
                }
                Verdict::Depends(on) => {
                    open.entry((ask.class, ask.route, on.clone())).or_default().insert(ask.secret);
                }
                Verdict::Allowed | Verdict::Unknown => {}
            }
        }
        for ((class, route, on), secrets) in open {
            let class = &self.graph.classes[class];
            let account = &self.graph.accounts[self.graph.routes[route].account];
            let message = format!(
                "whether service account {} may read {} for class {} depends on {}",
                account.full_name(),
                some(self.graph.secret_names(secrets)),
                class.full_name(),
                joined(&on),
            );
            findings.push(Finding::new(&rules::READ_DEPENDS, class.place.clone(), message));
        }
    }

    /// How service accounts get to their roles.
    fn routes(&self, findings: &mut Vec<Finding>) {
        let asking: BTreeSet<usize> = self.graph.asks.iter().map(|ask| ask.route).collect();
        for (index, route) in self.graph.routes.iter().enumerate() {
            let account = &self.graph.accounts[route.account];
            let place = || account.place.clone();
            if route.means == Means::Unknown && asking.contains(&index) {
                let message = format!(
                    "pods of service account {} mount a class, and its role is not known",
                    account.full_name()
                );
                findings.push(Finding::new(&rules::ACCOUNT_WITHOUT_ROLE, place(), message));
            }
            if !self.knowledge.has_roles() {
                continue;
            }
            if let Verdict::Denied(why) = &route.trust {
                let role = route.roles.first().map_or("", |role| &self.graph.roles[*role].arn);
                let message = format!("service account {} cannot act as {role}: {why}", account.full_name());
                findings.push(Finding::new(&rules::ASSUME_DENIED, place(), message));
            }
            for role in route.roles.iter().filter(|role| !self.graph.roles[**role].known) {
                let role = &self.graph.roles[*role].arn;
                let message = format!(
                    "nothing was read about {role}, the role of service account {}",
                    account.full_name()
                );
                findings.push(Finding::new(&rules::ROLE_UNKNOWN, place(), message));
            }
        }
    }

    /// Who shares a role, and what it allows that nobody asks for.
    fn roles(&self, findings: &mut Vec<Finding>) {
        for (index, role) in self.graph.roles.iter().enumerate() {
            let routes = || {
                self.graph
                    .routes
                    .iter()
                    .enumerate()
                    .filter(move |(_, route)| route.roles.last() == Some(&index))
            };
            let accounts: BTreeSet<usize> = routes().map(|(_, route)| route.account).collect();
            let namespaces: BTreeSet<&str> =
                accounts.iter().map(|account| self.graph.accounts[*account].namespace.as_str()).collect();
            if namespaces.len() > 1 {
                let message = format!(
                    "service accounts of {} act as it: {}",
                    count(namespaces.len(), "namespace"),
                    some(self.graph.account_names(accounts.iter().copied())),
                );
                findings.push(Finding::new(&rules::ROLE_OVER_NAMESPACES, of_role(&role.arn), message));
            }
            let asked: BTreeSet<usize> = self
                .graph
                .asks
                .iter()
                .filter(|ask| self.graph.routes[ask.route].roles.last() == Some(&index))
                .map(|ask| ask.secret)
                .collect();
            let beyond: BTreeSet<usize> = routes()
                .flat_map(|(route, _)| &self.graph.reach[route].allowed)
                .copied()
                .filter(|secret| !asked.contains(secret))
                .collect();
            if !beyond.is_empty() {
                let message = format!(
                    "it can read {} that no class of {} asks for: {}",
                    count(beyond.len(), "secret"),
                    some(self.graph.account_names(accounts)),
                    some(self.graph.secret_names(beyond)),
                );
                findings.push(Finding::new(&rules::GRANT_UNUSED, of_role(&role.arn), message));
            }
        }
    }

    /// Whom trust policies let in beyond those that use the role.
    fn trust(&self, findings: &mut Vec<Finding>) {
        for (index, node) in self.graph.roles.iter().enumerate() {
            let Some(role) = self.knowledge.role(&node.arn) else { continue };
            let routes = self.graph.routes.iter();
            let users =
                routes.filter(|route| route.means == Means::Irsa && route.roles.first() == Some(&index));
            let users = self.graph.account_names(users.map(|route| route.account));
            let others = || {
                let let_in = self.graph.everybody().filter(|(namespace, name)| {
                    let verdict = trust::irsa(role, namespace, name, self.settings);
                    matches!(verdict, Verdict::Allowed | Verdict::Depends(_))
                });
                let names = let_in.map(|(namespace, name)| format!("{namespace}/{name}"));
                names.filter(|name| !users.contains(name)).collect::<BTreeSet<_>>()
            };
            let (rule, how): (&'static Rule, String) = match trust::opening(role, self.settings) {
                None => continue,
                Some(Opening::Everybody) => {
                    (&rules::TRUST_ANY_ACCOUNT, "lets every service account of the cluster in".to_owned())
                }
                Some(Opening::Matching(patterns)) => (
                    &rules::TRUST_PATTERN,
                    format!("lets every service account that matches {} in", joined(patterns)),
                ),
            };
            let others = others();
            let today = match others.len() {
                0 => "none that is known here besides those that use it".to_owned(),
                _ => format!("also {}", some(others)),
            };
            let message = format!("its trust policy {how}; today {today}");
            findings.push(Finding::new(rule, of_role(&node.arn), message));
        }
    }

    /// Secrets that are shared, not asked for, or not there.
    fn secrets(&self, findings: &mut Vec<Finding>) {
        let mut asking: HashMap<usize, BTreeSet<usize>> = HashMap::new();
        let mut classes: HashMap<usize, BTreeSet<usize>> = HashMap::new();
        for ask in &self.graph.asks {
            classes.entry(ask.secret).or_default().insert(ask.class);
            if !ask.failover {
                asking.entry(ask.secret).or_default().insert(self.graph.routes[ask.route].account);
            }
        }
        // Where nothing at all is listed, the list was not given.
        let complete: BTreeSet<_> = self
            .knowledge
            .secrets
            .keys()
            .map(|id| (id.service, id.region.as_str(), id.account.as_str()))
            .collect();
        for (index, secret) in self.graph.secrets.iter().enumerate() {
            let id = &secret.id;
            let place = || Place::in_cluster(kind(id.kind()), "", &id.to_string());
            let accounts = asking.get(&index);
            let namespaces: BTreeSet<&str> = accounts
                .into_iter()
                .flatten()
                .map(|account| self.graph.accounts[*account].namespace.as_str())
                .collect();
            let number = accounts.map_or(0, BTreeSet::len);
            let shared = match self.bounds.shared_by {
                Some(maximum) => number > maximum,
                None => namespaces.len() > 1,
            };
            if shared {
                let message = format!(
                    "classes of {} in {} ask for it: {}",
                    count(number, "service account"),
                    count(namespaces.len(), "namespace"),
                    some(self.graph.account_names(accounts.into_iter().flatten().copied())),
                );
                findings.push(Finding::new(&rules::SECRET_SHARED, place(), message));
            }
            let asked = classes.get(&index);
            if let (Some(listed), None, true) = (&secret.listed, asked, self.graph.has_workloads) {
                let last = match (&listed.last_read, id.kind()) {
                    (Some(day), _) => format!("; the last read was on {day}"),
                    (None, "secret") => "; AWS has seen no read of it".to_owned(),
                    (None, _) => String::new(),
                };
                let message = format!("no mounted class asks for it{last}");
                findings.push(Finding::new(&rules::SECRET_UNREAD, place(), message));
            }
            let should_be_listed = complete.contains(&(id.service, id.region.as_str(), id.account.as_str()));
            if secret.listed.is_none() && should_be_listed {
                for class in asked.into_iter().flatten() {
                    let class = &self.graph.classes[*class];
                    let message = format!(
                        "class {} asks for the {} {id}, which AWS does not list",
                        class.full_name(),
                        id.kind()
                    );
                    findings.push(Finding::new(&rules::SECRET_NOT_LISTED, class.place.clone(), message));
                }
            }
        }
    }

    /// Service accounts that read over several prefixes.
    fn prefixes(&self, findings: &mut Vec<Finding>) {
        let prefix = |secret: &usize| self.graph.secrets[*secret].id.prefix(self.bounds.prefix_depth);
        let (mut asked, mut reached) =
            (HashMap::<usize, BTreeSet<String>>::new(), HashMap::<usize, BTreeSet<String>>::new());
        for ask in &self.graph.asks {
            let account = self.graph.routes[ask.route].account;
            asked.entry(account).or_default().extend(prefix(&ask.secret));
        }
        for (route, reach) in self.graph.routes.iter().zip(&self.graph.reach) {
            reached.entry(route.account).or_default().extend(reach.allowed.iter().filter_map(prefix));
        }
        for (index, account) in self.graph.accounts.iter().enumerate() {
            let asked = asked.remove(&index).unwrap_or_default();
            let mut only_reached = reached.remove(&index).unwrap_or_default();
            only_reached.retain(|prefix| !asked.contains(prefix));
            let number = asked.len() + only_reached.len();
            if number <= self.bounds.prefixes {
                continue;
            }
            let mut parts = Vec::new();
            if !asked.is_empty() {
                parts.push(format!("asks for {}", some(asked)));
            }
            if !only_reached.is_empty() {
                parts.push(format!("can also read {}", some(only_reached)));
            }
            let message = format!("it reaches {}: {}", count_prefixes(number), parts.join("; "));
            findings.push(Finding::new(&rules::ACCOUNT_OVER_PREFIXES, account.place.clone(), message));
        }
    }

    fn classes(&self, findings: &mut Vec<Finding>) {
        let unused = self.graph.classes.iter().filter(|class| self.graph.has_workloads && !class.used);
        findings.extend(unused.map(|class| {
            let message = format!("no pod mounts class {}", class.full_name());
            Finding::new(&rules::CLASS_UNUSED, class.place.clone(), message)
        }));
    }
}

fn count_prefixes(number: usize) -> String {
    format!("{number} prefix{}", if number == 1 { "" } else { "es" })
}

fn of_role(arn: &str) -> Place {
    Place { file: None, object: Some(ObjectName::new("IAM role", "", arn)) }
}

/// How a place names it.
fn kind(kind: &str) -> &'static str {
    if kind == "secret" { "AWS secret" } else { "AWS parameter" }
}
