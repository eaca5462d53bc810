//! The text of the object that nodes watch.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{MAX_BYTES, MAX_CHANGES};
use crate::model::arn::{Region, is_account};

/// Maximum number of covered areas: accounts times Regions of a large organisation.
const MAX_AREAS: usize = 500;

/// What the object says. Anybody who can write it can make nodes read earlier, and no
/// more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// Grows with every write.
    pub heartbeat: u64,
    /// The number of the last change, also of one that is no longer listed.
    pub number: u64,
    /// Nodes that share the rates.
    pub nodes: u32,
    /// How fast all nodes together may read after notices.
    pub reads_per_second: Rates,
    /// The accounts and Regions whose changes are told now.
    pub covered: Vec<Area>,
    /// The latest changes, in ascending order of their numbers.
    pub changes: Vec<Change>,
}

/// Reads per second of each service, in one account and Region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    pub secretsmanager: u32,
    pub ssm: u32,
}

impl Default for Rates {
    /// Half of AWS's default quotas of 10,000 and 40 calls per second.
    fn default() -> Self {
        Self { secretsmanager: 5_000, ssm: 20 }
    }
}

/// An account in a Region.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Area {
    /// Twelve digits.
    pub account: String,
    pub region: String,
}

/// A secret or parameter that has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    pub number: u64,
    /// The secret's or the parameter's ARN.
    pub arn: String,
    /// The staging label that has moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The version that the label has moved to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// When AWS says it happened, as RFC 3339 text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// Why the object's text is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("it has more than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("it is not JSON of the expected shape")]
    Shape,
    #[error("it lists more than {MAX_CHANGES} changes or {MAX_AREAS} areas")]
    TooMany,
    #[error("one of its areas is not an account of twelve digits and a Region")]
    Area,
    #[error("the numbers of its changes do not ascend to its own number")]
    Numbers,
}

impl Document {
    /// Reads the object's text. It may come from anybody who may write the object.
    ///
    /// # Errors
    /// If it is not what a writer of this program writes.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        if text.len() > MAX_BYTES {
            return Err(Unreadable::TooLarge);
        }
        let document: Self = serde_json::from_str(text).map_err(|_| Unreadable::Shape)?;
        if document.changes.len() > MAX_CHANGES || document.covered.len() > MAX_AREAS {
            return Err(Unreadable::TooMany);
        }
        if !document.covered.iter().all(Area::is_whole) {
            return Err(Unreadable::Area);
        }
        let ascend = document.changes.is_sorted_by(|one, next| one.number < next.number);
        let last = document.changes.last().is_none_or(|last| last.number == document.number);
        if ascend && last { Ok(document) } else { Err(Unreadable::Numbers) }
    }

    /// The object's text.
    pub fn to_json(&self) -> String {
        // Strings and numbers only: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Area {
    fn is_whole(&self) -> bool {
        is_account(&self.account) && Region::parse(&self.region).is_some()
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(number: u64) -> Change {
        Change {
            number,
            arn: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf".to_owned(),
            label: Some("AWSCURRENT".to_owned()),
            version_id: Some("v1".to_owned()),
            at: Some("2026-11-27T14:00:00Z".to_owned()),
        }
    }

    fn document(numbers: impl IntoIterator<Item = u64>, number: u64) -> Document {
        let changes = numbers.into_iter().map(change).collect();
        let covered = vec![Area { account: "111122223333".to_owned(), region: "eu-west-1".to_owned() }];
        Document { heartbeat: 7, number, nodes: 3, covered, changes, ..Document::default() }
    }

    #[test]
    fn what_is_written_is_read() {
        for document in [document([], 9), document([8, 9], 9), Document::default()] {
            assert_eq!(Document::parse(&document.to_json()), Ok(document));
        }
        let text = document([9], 9).to_json();
        assert!(text.contains(r#""readsPerSecond":{"secretsmanager":5000,"ssm":20}"#), "{text}");
        assert!(text.contains(r#""versionId":"v1""#), "{text}");
    }

    #[test]
    fn a_text_of_another_shape_is_refused() {
        for text in ["", "{}", "[]", "null", "\u{0}", r#"{"heartbeat":-1}"#] {
            assert_eq!(Document::parse(text), Err(Unreadable::Shape), "{text}");
        }
        assert_eq!(Document::parse(&" ".repeat(MAX_BYTES + 1)), Err(Unreadable::TooLarge));
        for unordered in [document([9, 8], 9), document([8, 8], 8), document([8], 9)] {
            assert_eq!(Document::parse(&unordered.to_json()), Err(Unreadable::Numbers));
        }
        let covering = |account: &str, region: &str, number: usize| {
            let area = Area { account: account.to_owned(), region: region.to_owned() };
            Document::parse(&Document { covered: vec![area; number], ..document([], 9) }.to_json())
        };
        assert_eq!(covering("111122223333", "eu-west-1", MAX_AREAS + 1), Err(Unreadable::TooMany));
        for (account, region) in [("", "eu-west-1"), ("11112222333a", "eu-west-1"), ("111122223333", "x\n")] {
            assert_eq!(covering(account, region, 1), Err(Unreadable::Area), "{account} {region}");
        }
    }
}
