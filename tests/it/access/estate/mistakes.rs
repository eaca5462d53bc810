//! The mistakes, and the findings that each must cause.

use serde_json::json;

use super::{Account, Class, Made, REGION, Random, Size, Subject, namespace};

impl Made {
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
}
