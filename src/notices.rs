//! Change notices: what AWS says has changed, in one small object that every node
//! watches. A notice only makes a read come earlier; it never carries a value.

mod document;
mod feed;
#[cfg(test)]
mod feed_tests;
mod heard;
mod subject;

use std::time::Duration;

pub use self::{
    document::{Area, Change, Document, Rates, Unreadable},
    feed::{Feed, News},
    heard::{Heard, Suspicion, by_subject},
    subject::Subject,
};

/// Longest time between two writes of the object.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(20);
/// How long notices count as flowing after the object last changed.
pub const FLOWS_FOR: Duration = Duration::from_secs(60);
/// How long a change stays in the object.
pub const KEEP_FOR: Duration = Duration::from_secs(2 * 60);
/// Maximum number of changes in the object.
pub const MAX_CHANGES: usize = 500;
/// Maximum size of the object's text.
pub const MAX_BYTES: usize = 64 << 10;
/// The key of the object's data that holds the text.
pub const KEY: &str = "notices.json";
