//! A made-up estate: service accounts, classes and secrets, all in order, and then some
//! planted mistakes. It knows which findings each of them must cause.
//!
//! The same seed makes the same estate.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    path::Path,
};

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

    /// The same estate with every kind of mistake, `times` of each.
    pub(crate) fn with_mistakes(seed: u64, size: Size, times: usize) -> Self {
        let mut made = Self::in_order(seed, size);
        let mut random = Random(seed ^ 0x5eed);
        // Each mistake has accounts of its own, so that none hides another.
        let mut free: Vec<usize> = (0..made.accounts.len()).collect();
        for _ in 0..times {
            let mut take = |made: &Self, fits: &dyn Fn(&Made, usize) -> bool| {
                let fitting: Vec<usize> = (0..free.len()).filter(|place| fits(made, free[*place])).collect();
                free.swap_remove(fitting[random.below(fitting.len())])
            };
            let any = &|_: &Self, _| true;
            let irsa = &|made: &Self, account: usize| !made.accounts[account].pod_identity;
            let one = take(&made, any);
            let other = take(&made, &|made: &Self, account| made.is_across(one, account));
            made.share(one, other);
            made.cross_prefixes(take(&made, any));
            let one = take(&made, irsa);
            let other =
                take(&made, &|made: &Self, account| irsa(made, account) && made.is_across(one, account));
            made.share_role(one, other);
            made.open_by_pattern(take(&made, irsa));
            made.open_to_anybody(take(&made, irsa));
            made.grant_more(take(&made, any));
            made.grant_by_pattern(take(&made, any));
            made.forget_class(take(&made, any));
            made.forget_secret(take(&made, any));
            made.refuse_read(take(&made, any));
            made.refuse_trust(take(&made, irsa));
            made.misspell(take(&made, any));
            made.depend(take(&made, any));
            made.leave_without_role(take(&made, irsa));
            made.hide_role(take(&made, any));
        }
        made
    }

    fn expect(&mut self, rule: &str, object: impl Into<String>) {
        self.expected.insert((rule.to_owned(), object.into()));
    }

    fn class_of(&self, account: usize) -> usize {
        self.classes.iter().position(|class| class.account == account).unwrap()
    }

    fn account_name(&self, account: usize) -> String {
        let account = &self.accounts[account];
        format!("{}/{}", namespace(account.namespace), account.name)
    }

    fn class_name(&self, class: usize) -> String {
        let class = &self.classes[class];
        format!("{}/{}", namespace(self.accounts[class.account].namespace), class.name)
    }

    fn secret_name(&self, secret: usize) -> String {
        let secret = &self.secrets[secret];
        format!("{} ({REGION}, {})", secret.name, self.accounts[secret.owner].aws)
    }

    /// A plain secret without a prefix, which says nothing about business domains.
    fn flat_secret(&mut self, owner: usize, name: &str) -> usize {
        let mut random = Random(owner as u64);
        let secret = self.add_secret(&mut random, owner, name);
        self.secrets[secret].key = None;
        self.secrets[secret].parameter = false;
        secret
    }

    fn ask(&mut self, account: usize, secret: usize) {
        let class = self.class_of(account);
        self.classes[class].secrets.push(secret);
        self.accounts[account].grants.insert(secret, None);
    }

    /// Whether two accounts are of different namespaces, and of one AWS account: in two, a
    /// name means two secrets.
    fn is_across(&self, one: usize, other: usize) -> bool {
        let (one, other) = (&self.accounts[one], &self.accounts[other]);
        one.aws == other.aws && one.namespace != other.namespace
    }

    fn share(&mut self, one: usize, other: usize) {
        let secret = self.flat_secret(one, &format!("shared-by-{one}-and-{other}"));
        self.ask(one, secret);
        self.ask(other, secret);
        let name = self.secret_name(secret);
        self.expect("secret-shared", name);
    }

    fn cross_prefixes(&mut self, account: usize) {
        let secret = self.add_secret(&mut Random(7), account, &format!("elsewhere-{account}/secret"));
        self.ask(account, secret);
        let name = self.account_name(account);
        self.expect("account-over-prefixes", name);
    }

    fn share_role(&mut self, one: usize, other: usize) {
        let role = self.accounts[one].role.clone();
        self.accounts[other].role.clone_from(&role);
        self.expect("role-over-namespaces", role);
        // Whoever acts as a role can read what the others ask for.
        for account in [one, other] {
            let name = self.account_name(account);
            self.expect("account-over-prefixes", name);
        }
    }

    fn open_by_pattern(&mut self, account: usize) {
        self.accounts[account].subject = Subject::Pattern;
        let role = self.accounts[account].role.clone();
        self.expect("trust-pattern", role);
    }

    fn open_to_anybody(&mut self, account: usize) {
        self.accounts[account].subject = Subject::Anybody;
        let role = self.accounts[account].role.clone();
        self.expect("trust-any-account", role);
    }

    fn grant_more(&mut self, account: usize) {
        let place = self.accounts[account].namespace;
        let neighbour = self
            .secrets
            .iter()
            .position(|secret| secret.owner != account && self.accounts[secret.owner].namespace == place)
            .unwrap();
        self.accounts[account].grants.insert(neighbour, None);
        let role = self.accounts[account].role.clone();
        self.expect("grant-unused", role);
    }

    fn grant_by_pattern(&mut self, account: usize) {
        let Account { aws, namespace: place, .. } = self.accounts[account];
        let pattern = format!("arn:aws:secretsmanager:{REGION}:{aws}:secret:{}/*", namespace(place));
        self.accounts[account].patterns.push(pattern);
        let role = self.accounts[account].role.clone();
        self.expect("grant-unused", role);
    }

    fn forget_class(&mut self, account: usize) {
        let secrets = self.classes[self.class_of(account)].secrets.clone();
        let name = format!("forgotten-{account}");
        self.classes.push(Class { account, name, secrets, used: false, by_arn: false });
        let name = self.class_name(self.classes.len() - 1);
        self.expect("class-unused", name);
    }

    fn forget_secret(&mut self, account: usize) {
        let secret = self.flat_secret(account, &format!("forgotten-{account}"));
        let name = self.secret_name(secret);
        self.expect("secret-unread", name);
    }

    fn refuse_read(&mut self, account: usize) {
        let class = self.class_of(account);
        let secret = self.classes[class].secrets[0];
        self.accounts[account].grants.remove(&secret);
        let name = self.class_name(class);
        self.expect("read-denied", name);
    }

    fn refuse_trust(&mut self, account: usize) {
        self.accounts[account].subject = Subject::SomebodyElse;
        let name = self.account_name(account);
        self.expect("assume-denied", name);
    }

    fn misspell(&mut self, account: usize) {
        let secret = self.flat_secret(account, &format!("misspelt-{account}"));
        self.secrets[secret].listed = false;
        self.ask(account, secret);
        let class = self.class_of(account);
        self.classes[class].by_arn = false;
        // Its ARN cannot be known, so the role allows every end of it.
        self.accounts[account].grants.remove(&secret);
        let pattern = self.arn(secret).replace(&self.secrets[secret].suffix, "??????");
        self.accounts[account].patterns.push(pattern);
        let name = self.class_name(class);
        self.expect("secret-not-listed", name);
    }

    fn depend(&mut self, account: usize) {
        let class = self.class_of(account);
        let secret = self.classes[class].secrets[0];
        let condition = json!({"StringEquals": {"aws:SourceVpce": "vpce-0123456789abcdef0"}});
        self.accounts[account].grants.insert(secret, Some(condition));
        let name = self.class_name(class);
        self.expect("read-depends", name);
    }

    fn leave_without_role(&mut self, account: usize) {
        self.accounts[account].annotated = false;
        let name = self.account_name(account);
        self.expect("account-without-role", name);
        self.unread(account);
    }

    fn hide_role(&mut self, account: usize) {
        self.accounts[account].role_exists = false;
        let name = self.account_name(account);
        self.expect("role-unknown", name);
    }

    /// Without its role, nobody knows in which AWS account a name is.
    fn unread(&mut self, account: usize) {
        let own: Vec<usize> =
            (0..self.secrets.len()).filter(|secret| self.secrets[*secret].owner == account).collect();
        for class in self.classes.iter_mut().filter(|class| class.account == account) {
            class.by_arn = false;
        }
        for secret in own {
            let name = self.secret_name(secret);
            self.expect("secret-unread", name);
        }
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

    /// The manifests, as one YAML text.
    pub(crate) fn manifests(&self) -> String {
        let mut text = String::new();
        for account in &self.accounts {
            let namespace = namespace(account.namespace);
            let annotation = match account.annotated && !account.pod_identity {
                true => format!(", annotations: {{eks.amazonaws.com/role-arn: {:?}}}", account.role),
                false => String::new(),
            };
            let _ = writeln!(
                text,
                "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {}, namespace: {namespace}{annotation}}}",
                account.name
            );
        }
        for (index, class) in self.classes.iter().enumerate() {
            let namespace = namespace(self.accounts[class.account].namespace);
            let _ = writeln!(
                text,
                "---\napiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {{name: {}, namespace: {namespace}}}\nspec:\n  provider: aws\n  parameters:\n    region: {REGION}\n    objects: |",
                class.name
            );
            for (position, secret) in class.secrets.iter().enumerate() {
                let named = if class.by_arn { self.arn(*secret) } else { self.secrets[*secret].name.clone() };
                let kind = if self.secrets[*secret].parameter { "ssmparameter" } else { "secretsmanager" };
                let _ = writeln!(
                    text,
                    "      - objectName: {named:?}\n        objectType: {kind}\n        objectAlias: file-{position}"
                );
            }
            if class.used && self.pods == 0 {
                text.push_str(&self.workload("apps/v1", "Deployment", &class.name, index));
            }
        }
        for pod in 0..self.pods {
            let used: Vec<usize> =
                (0..self.classes.len()).filter(|class| self.classes[*class].used).collect();
            text.push_str(&self.workload("v1", "Pod", &format!("pod-{pod}"), used[pod % used.len()]));
        }
        text
    }

    fn workload(&self, version: &str, kind: &str, name: &str, class: usize) -> String {
        let class = &self.classes[class];
        let account = &self.accounts[class.account];
        let namespace = namespace(account.namespace);
        let spec = format!(
            "{{serviceAccountName: {}, containers: [{{name: main}}], volumes: [{{name: secrets, csi: {{driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {{secretProviderClass: {}}}}}}}]}}",
            account.name, class.name
        );
        let spec = if kind == "Pod" { spec } else { format!("{{template: {{spec: {spec}}}}}") };
        format!(
            "---\napiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
        )
    }

    /// What `aws iam get-account-authorization-details` prints for each AWS account, and
    /// the Pod Identity associations.
    pub(crate) fn iam(&self) -> String {
        let mut roles: BTreeMap<&str, Vec<&Account>> = BTreeMap::new();
        for account in self.accounts.iter().filter(|account| account.role_exists) {
            roles.entry(&account.role).or_default().push(account);
        }
        let mut documents = String::new();
        for aws in AWS_ACCOUNTS {
            let of_account = roles.iter().filter(|(arn, _)| arn.contains(aws));
            let roles: Vec<Value> =
                of_account.clone().map(|(arn, accounts)| self.role(arn, accounts)).collect();
            let policies: Vec<Value> = of_account
                .map(|(arn, accounts)| {
                    let document = self.parameters_policy(accounts);
                    json!({"Arn": arn.replace("role", "policy"), "PolicyVersionList": [
                        {"VersionId": "v1", "IsDefaultVersion": false, "Document": {"Version": "2012-10-17", "Statement": []}},
                        {"VersionId": "v2", "IsDefaultVersion": true, "Document": document}]})
                })
                .collect();
            let _ = writeln!(documents, "{}", json!({"RoleDetailList": roles, "Policies": policies}));
        }
        for account in self.accounts.iter().filter(|account| account.pod_identity) {
            let association = json!({"association": {"namespace": namespace(account.namespace),
                "serviceAccount": account.name, "roleArn": account.role}});
            let _ = writeln!(documents, "{association}");
        }
        documents
    }

    fn role(&self, arn: &str, accounts: &[&Account]) -> Value {
        let trust: Vec<Value> = accounts.iter().map(|account| self.trust(account)).collect();
        let inline = json!({"Version": "2012-10-17", "Statement": self.secret_statements(accounts)});
        json!({
            "Arn": arn,
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": trust},
            "RolePolicyList": [{"PolicyName": "secrets", "PolicyDocument": inline}],
            "AttachedManagedPolicies": [{"PolicyName": "parameters", "PolicyArn": arn.replace("role", "policy")}],
            "Tags": [{"Key": "team", "Value": namespace(accounts[0].namespace)}],
        })
    }

    fn trust(&self, account: &Account) -> Value {
        if account.pod_identity {
            return json!({"Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"},
                "Action": ["sts:AssumeRole", "sts:TagSession"]});
        }
        let space = namespace(account.namespace);
        let (sub, aud) = (format!("{ISSUER}:sub"), format!("{ISSUER}:aud"));
        let exact = format!("system:serviceaccount:{space}:{}", account.name);
        let condition = match account.subject {
            Subject::Exact => json!({"StringEquals": {sub: exact, aud: "sts.amazonaws.com"}}),
            Subject::Pattern => json!({"StringLike": {sub: format!("system:serviceaccount:{space}:*")},
                "StringEquals": {aud: "sts.amazonaws.com"}}),
            Subject::Anybody => json!({"StringEquals": {aud: "sts.amazonaws.com"}}),
            Subject::SomebodyElse => {
                json!({"StringEquals": {sub: format!("{exact}-old"), aud: "sts.amazonaws.com"}})
            }
        };
        json!({"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity", "Condition": condition,
            "Principal": {"Federated": format!("arn:aws:iam::{}:oidc-provider/{ISSUER}", account.aws)}})
    }

    fn secret_statements(&self, accounts: &[&Account]) -> Vec<Value> {
        let mut statements = vec![
            json!({"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}),
            json!({"Effect": "Allow", "Action": ["s3:Get*", "secretsmanager:ListSecrets", "kms:Encrypt"], "Resource": "*"}),
            json!({"Effect": "Deny", "NotAction": ["secretsmanager:*", "ssm:Get*", "kms:*", "s3:*"], "Resource": "*"}),
        ];
        for account in accounts {
            for (secret, condition) in &account.grants {
                if self.secrets[*secret].parameter {
                    continue;
                }
                let mut statement = json!({"Effect": "Allow", "Resource": self.arn(*secret),
                    "Action": ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]});
                if let Some(condition) = condition {
                    statement["Condition"] = condition.clone();
                }
                statements.push(statement);
            }
            for pattern in &account.patterns {
                statements.push(
                    json!({"Effect": "Allow", "Action": "secretsmanager:getsecret*", "Resource": pattern}),
                );
            }
        }
        statements.extend(self.key_statements(accounts));
        statements
    }

    fn key_statements(&self, accounts: &[&Account]) -> Vec<Value> {
        // A pattern reaches its neighbours' secrets; so that it reads them, so must the key.
        let by_pattern =
            accounts.iter().any(|account| account.patterns.iter().any(|pattern| pattern.ends_with("/*")));
        if by_pattern {
            return vec![json!({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*",
                "Condition": {"StringLike": {"kms:ViaService": "*.amazonaws.com"}}})];
        }
        let granted = accounts.iter().flat_map(|account| account.grants.keys());
        let keys: BTreeSet<&String> =
            granted.filter_map(|secret| self.secrets[*secret].key.as_ref()).collect();
        let statement = |key: &String| {
            json!({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": key, "Condition": {"StringEquals": {
                "kms:ViaService": [format!("secretsmanager.{REGION}.amazonaws.com"), format!("ssm.{REGION}.amazonaws.com")]}}})
        };
        keys.into_iter().map(statement).collect()
    }

    fn parameters_policy(&self, accounts: &[&Account]) -> Value {
        let mut statements =
            vec![json!({"Effect": "Allow", "Action": "ssm:DescribeParameters", "Resource": "*"})];
        for account in accounts {
            for (secret, condition) in &account.grants {
                if !self.secrets[*secret].parameter {
                    continue;
                }
                let mut statement = json!({"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": [self.arn(*secret)]});
                if let Some(condition) = condition {
                    statement["Condition"] = condition.clone();
                }
                statements.push(statement);
            }
        }
        json!({"Version": "2012-10-17", "Statement": statements})
    }

    /// What lists the secrets and parameters, with some resource policies.
    pub(crate) fn lists(&self) -> String {
        let listed = || self.secrets.iter().enumerate().filter(|(_, secret)| secret.listed);
        let secrets = listed().filter(|(_, secret)| !secret.parameter).map(|(index, secret)| {
            let mut entry = json!({"ARN": self.arn(index), "Name": secret.name, "LastAccessedDate": "2026-11-20T01:00:00+01:00",
                "Tags": [{"Key": "team", "Value": namespace(self.accounts[secret.owner].namespace)}]});
            if let Some(key) = &secret.key {
                entry["KmsKeyId"] = json!(key);
            }
            entry
        });
        let parameters = listed().filter(|(_, secret)| secret.parameter).map(|(index, secret)| {
            let key = secret.key.as_deref().unwrap_or("alias/aws/ssm");
            json!({"Name": secret.name, "ARN": self.arn(index), "Type": "SecureString", "KeyId": key})
        });
        let mut documents = format!(
            "{}\n{}\n",
            json!({"SecretList": secrets.collect::<Vec<_>>()}),
            json!({"Parameters": parameters.collect::<Vec<_>>()})
        );
        for (index, secret) in listed().filter(|(index, secret)| !secret.parameter && index % 7 == 0) {
            let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "secretsmanager:*",
                "Resource": "*", "Principal": {"AWS": format!("arn:aws:iam::{}:role/operator", self.accounts[secret.owner].aws)}}]});
            let answer =
                json!({"ARN": self.arn(index), "Name": secret.name, "ResourcePolicy": policy.to_string()});
            let _ = writeln!(documents, "{answer}");
        }
        documents
    }

    /// Writes the manifests, `iam.json` and `secrets.json` into a folder.
    pub(crate) fn write(&self, folder: &Path) {
        std::fs::create_dir_all(folder.join("manifests")).unwrap();
        std::fs::write(folder.join("manifests/all.yaml"), self.manifests()).unwrap();
        std::fs::write(folder.join("iam.json"), self.iam()).unwrap();
        std::fs::write(folder.join("secrets.json"), self.lists()).unwrap();
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
