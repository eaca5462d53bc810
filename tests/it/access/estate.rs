//! A made-up estate: service accounts, classes and secrets, all in order, and then some
//! planted mistakes. It knows which findings each of them must cause.
//!
//! The same seed makes the same estate.

mod files;
mod mistakes;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

const REGION: &str = "eu-central-1";
const ISSUER: &str = "oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE";
const AWS_ACCOUNTS: [&str; 2] = ["111122223333", "444455556666"];

/// How large it is.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) namespaces: usize,
    pub(crate) accounts: usize,
    pub(crate) classes: usize,
    pub(crate) secrets: usize,
    /// Pods; 0 for one Deployment for each class instead.
    pub(crate) pods: usize,
}

/// A finding: the rule's id, and the object's name.
pub(crate) type Expected = BTreeSet<(String, String)>;

pub(crate) struct Made {
    accounts: Vec<Account>,
    secrets: Vec<Secret>,
    classes: Vec<Class>,
    pods: usize,
    pub(crate) expected: Expected,
}

struct Account {
    namespace: usize,
    name: String,
    aws: &'static str,
    role: String,
    pod_identity: bool,
    /// Whether manifests name the role.
    annotated: bool,
    /// Whether the role is in the IAM files.
    role_exists: bool,
    subject: Subject,
    /// Secrets that the role allows, with a condition or without.
    grants: BTreeMap<usize, Option<Value>>,
    /// Resources that it allows besides.
    patterns: Vec<String>,
}

enum Subject {
    Exact,
    Pattern,
    Anybody,
    SomebodyElse,
}

struct Secret {
    owner: usize,
    name: String,
    parameter: bool,
    suffix: String,
    key: Option<String>,
    listed: bool,
}

struct Class {
    account: usize,
    name: String,
    secrets: Vec<usize>,
    used: bool,
    by_arn: bool,
}

/// Pseudo-random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}

fn namespace(index: usize) -> String {
    const DOMAINS: [&str; 20] = [
        "shop", "billing", "hr", "search", "ads", "fraud", "ledger", "mail", "maps", "media", "orders",
        "partner", "pricing", "reports", "returns", "stock", "support", "tax", "travel", "video",
    ];
    let domain = DOMAINS[index % DOMAINS.len()];
    if index < DOMAINS.len() { domain.to_owned() } else { format!("{domain}-{}", index / DOMAINS.len()) }
}

impl Made {
    /// An estate without a mistake.
    pub(crate) fn in_order(seed: u64, size: Size) -> Self {
        let mut random = Random(seed);
        let accounts: Vec<Account> = (0..size.accounts)
            .map(|index| {
                let (place, number) = (index % size.namespaces, index / size.namespaces);
                let name = format!("app-{number}");
                let aws = AWS_ACCOUNTS[place % 2];
                Account {
                    namespace: place,
                    role: format!("arn:aws:iam::{aws}:role/eks/{}-{name}", namespace(place)),
                    name,
                    aws,
                    pod_identity: random.below(3) == 0,
                    annotated: true,
                    role_exists: true,
                    subject: Subject::Exact,
                    grants: BTreeMap::new(),
                    patterns: Vec::new(),
                }
            })
            .collect();
        let mut made = Self {
            accounts,
            secrets: Vec::new(),
            classes: Vec::new(),
            pods: size.pods,
            expected: Expected::new(),
        };
        for index in 0..size.classes {
            let name = format!("class-{index}");
            let by_arn = random.below(4) == 0;
            made.classes.push(Class {
                account: index % size.accounts,
                name,
                secrets: Vec::new(),
                used: true,
                by_arn,
            });
        }
        for index in 0..size.secrets {
            // Each class asks for at least one.
            let class = if index < size.classes { index } else { random.below(size.classes) };
            let owner = made.classes[class].account;
            let namespace = namespace(made.accounts[owner].namespace);
            let secret = made.add_secret(&mut random, owner, &format!("{namespace}/secret-{index}"));
            made.classes[class].secrets.push(secret);
            made.accounts[owner].grants.insert(secret, innocent(&mut random));
        }
        made
    }

    fn add_secret(&mut self, random: &mut Random, owner: usize, name: &str) -> usize {
        let parameter = name.contains('/') && random.below(5) == 0;
        let aws = self.accounts[owner].aws;
        let suffix = (0..6).map(|_| char::from(b"ABCDEFGHabcdefgh0123"[random.below(20)])).collect();
        let key = (random.below(4) == 0).then(|| format!("arn:aws:kms:{REGION}:{aws}:key/{owner}"));
        let name = if parameter { format!("/{name}") } else { name.to_owned() };
        self.secrets.push(Secret { owner, name, parameter, suffix, key, listed: true });
        self.secrets.len() - 1
    }

    fn arn(&self, secret: usize) -> String {
        let secret = &self.secrets[secret];
        let aws = self.accounts[secret.owner].aws;
        match secret.parameter {
            true => format!("arn:aws:ssm:{REGION}:{aws}:parameter{}", secret.name),
            false => {
                format!("arn:aws:secretsmanager:{REGION}:{aws}:secret:{}-{}", secret.name, secret.suffix)
            }
        }
    }
}

/// A condition that every call meets.
fn innocent(random: &mut Random) -> Option<Value> {
    match random.below(6) {
        0 => Some(json!({"Bool": {"aws:SecureTransport": "true"}})),
        1 => Some(json!({"StringEquals": {"aws:RequestedRegion": [REGION, "eu-west-1"]}})),
        2 => Some(json!({"StringEqualsIfExists": {"aws:PrincipalAccount": AWS_ACCOUNTS}})),
        _ => None,
    }
}
