//! What every name means that a user meets: parameters, flags, variables, reasons, metrics,
//! alerts, findings. The book's tables are the one place that says so; they are a part of the
//! program, and tests hold them against it.

mod entry;
mod json;
mod markdown;
mod pages;
mod rules;
mod text;

pub use self::{
    entry::{Entry, Kind},
    json::json,
    pages::PAGES,
    rules::rules,
    text::{overview, text},
};
use crate::model::spelling::distance;

/// How many near names an answer has.
const MAX_NEAR: usize = 5;

/// Every name, in the order of the book.
pub fn entries() -> Vec<Entry> {
    let of_pages = PAGES.iter().flat_map(|(page, text)| pages::entries(page, text));
    of_pages.chain(rules::entries()).collect()
}

/// The entries with the name `key`, however it is written: `--region`, `LATCHKEY_REGION`,
/// `spec.parameters.region`, in any case.
///
/// # Errors
/// The nearest names, the nearest first, if none has this one.
pub fn find(entries: &[Entry], key: &str) -> Result<Vec<Entry>, Vec<String>> {
    let lower = key.trim().to_lowercase();
    let key = lower.strip_prefix("spec.").unwrap_or(&lower);
    let key = key.strip_prefix("parameters.").unwrap_or(key);
    let named = |entry: &&Entry| entry.names.iter().any(|name| name.to_lowercase() == key);
    let found: Vec<Entry> = entries.iter().filter(named).cloned().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let mut near: Vec<(usize, &str)> =
        entries.iter().map(|entry| (apart(entry, key), entry.name())).collect();
    near.sort_by_key(|(apart, _)| *apart);
    near.dedup_by_key(|(_, name)| *name);
    let is_near = |(apart, _): &&(usize, &str)| *apart <= (key.len() / 3).max(1);
    Err(near.iter().filter(is_near).take(MAX_NEAR).map(|(_, name)| (*name).to_owned()).collect())
}

/// How many letters the key is away from the nearest name of an entry. A part of a name is
/// as near as a typo.
fn apart(entry: &Entry, key: &str) -> usize {
    let of_name = |name: &String| {
        let name = name.to_lowercase();
        if key.len() >= 4 && name.contains(key) { 1 } else { distance(&name, key) }
    };
    entry.names.iter().map(of_name).min().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reason::Reason;

    fn found(key: &str) -> Vec<(Kind, String)> {
        let found = find(&entries(), key).unwrap_or_else(|near| panic!("{key}: {near:?}"));
        found.into_iter().map(|entry| (entry.kind, entry.name().to_owned())).collect()
    }

    #[test]
    fn a_name_is_found_however_it_is_written() {
        for key in ["refreshInterval", "refreshinterval", "spec.parameters.refreshInterval"] {
            assert_eq!(found(key), [(Kind::Parameter, "refreshInterval".to_owned())]);
        }
        for key in ["--max-stale", "max-stale", "LATCHKEY_MAX_STALE"] {
            assert_eq!(found(key), [(Kind::Flag, "--max-stale".to_owned())]);
        }
        for key in ["objects.jmesPath.path", "jmesPath.path", "path"] {
            assert_eq!(found(key)[0], (Kind::ObjectKey, "objects.jmesPath.path".to_owned()));
        }
        assert_eq!(found("objectName"), [(Kind::ObjectKey, "objects.objectName".to_owned())]);
        assert_eq!(found("AWS_ENDPOINT_URL_SSM")[0].0, Kind::Variable);
        assert_eq!(found("https_proxy")[0].0, Kind::Variable);
        assert_eq!(found("LatchkeyValuesStale")[0].0, Kind::Alert);
        assert_eq!(found("latchkey_pods")[0].0, Kind::Metric);
        assert_eq!(found("SecretStale")[0].0, Kind::Event);
        assert_eq!(found("FailedPrecondition")[0].0, Kind::Code);
        let region: Vec<Kind> = found("region").into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(region[..2], [Kind::Parameter, Kind::Flag], "and options of other commands");
    }

    #[test]
    fn every_reason_and_rule_is_explained() {
        let entries = entries();
        let rules = rules().into_iter().flat_map(|(_, rules)| rules.iter().map(|rule| rule.id));
        for name in Reason::ALL.map(Reason::as_str).into_iter().chain(rules) {
            assert!(find(&entries, name).is_ok(), "{name}");
        }
    }

    #[test]
    fn an_unknown_name_gets_the_near_ones() {
        let near = |key| find(&entries(), key).unwrap_err();
        assert_eq!(near("refreshIntervall")[0], "refreshInterval");
        assert_eq!(near("--rotation-pol-interval")[0], "--rotation-poll-interval");
        assert_eq!(near("kms_deneid")[0], "kms_denied");
        assert!(near("jmes").contains(&"objects.jmesPath".to_owned()), "{:?}", near("jmes"));
        assert_eq!(near("zzzzzzzzzzzzzzzzzz"), Vec::<String>::new());
    }

    #[test]
    fn every_entry_says_what_it_means_and_where_to_read_on() {
        let entries = entries();
        assert!(entries.len() > 250, "only {} entries", entries.len());
        for entry in &entries {
            assert!(!entry.meaning.is_empty(), "{entry:?}");
            assert!(entry.names.iter().all(|name| !name.is_empty() && !name.contains('`')), "{entry:?}");
            assert!(entry.page.contains(".md"), "{entry:?}");
        }
    }
}
