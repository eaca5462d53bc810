//! Names of roles, policies and resources in templates.

use sha2::{Digest, Sha256};

/// Maximum length of a role's name.
const MAX_ROLE_NAME: usize = 64;
/// Maximum length of a policy's name, with a place for a number.
const MAX_POLICY_NAME: usize = 124;
const HASH_DIGITS: usize = 8;

/// A name for the role of a service account that has none.
pub(super) fn role_name(namespace: &str, account: &str) -> String {
    shortened(&format!("{namespace}-{account}"), MAX_ROLE_NAME)
}

/// The name of a service account's policy; of one of its roles, if it has several.
pub(super) fn policy_name(namespace: &str, account: &str, role: Option<&str>) -> String {
    let role = role.map(|role| format!("-{role}")).unwrap_or_default();
    shortened(&format!("latchkey-{namespace}-{account}{role}"), MAX_POLICY_NAME)
}

/// With the number of a document, if there are several.
pub(super) fn numbered(name: &str, index: usize, count: usize) -> String {
    if count > 1 { format!("{name}-{}", index + 1) } else { name.to_owned() }
}

/// Cuts a long name and adds a hash of the whole one.
fn shortened(name: &str, max: usize) -> String {
    if name.len() <= max {
        return name.to_owned();
    }
    let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(name));
    // Kubernetes names are ASCII.
    let kept: String = name.chars().take(max - HASH_DIGITS - 1).collect();
    format!("{kept}-{}", &hash[..HASH_DIGITS])
}

/// Names of one template: each is given once.
#[derive(Default)]
pub(super) struct Unique(std::collections::BTreeSet<String>);

impl Unique {
    /// `wanted`, or with the first free number.
    pub(super) fn take(&mut self, wanted: String) -> String {
        let numbers = (2..).map(|number| format!("{wanted}{number}"));
        let mut free = std::iter::once(wanted.clone()).chain(numbers).filter(|name| !self.0.contains(name));
        let name = free.next().unwrap_or(wanted);
        self.0.insert(name.clone());
        name
    }
}
