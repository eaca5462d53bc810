//! What a node concludes from texts that come, stop, and skip.

use tokio::time::{Duration, Instant};

use super::{Area, Change, Document, FLOWS_FOR, Feed, News};

const SECOND: Duration = Duration::from_secs(1);

fn area(region: &str) -> Area {
    Area { account: "111122223333".to_owned(), region: region.to_owned() }
}

fn change(number: u64) -> Change {
    let arn = format!("arn:aws:secretsmanager:eu-west-1:111122223333:secret:s{number}-AbCdEf");
    Change { number, arn, label: None, version_id: None, at: None }
}

fn text(heartbeat: u64, numbers: std::ops::RangeInclusive<u64>) -> Document {
    let number = *numbers.end();
    let covered = vec![area("eu-west-1")];
    Document { heartbeat, number, covered, changes: numbers.map(change).collect(), ..Document::default() }
}

/// No change is listed; the last one was `number`.
fn quiet(heartbeat: u64, number: u64) -> Document {
    Document { changes: Vec::new(), ..text(heartbeat, number..=number) }
}

fn numbers(news: &News) -> Vec<u64> {
    news.changes.iter().map(|change| change.number).collect()
}

#[test]
fn the_first_text_tells_its_changes_and_covers_nothing() {
    let (mut feed, now) = (Feed::default(), Instant::now());
    let news = feed.take(text(7, 3..=5), now);
    assert_eq!(numbers(&news), [3, 4, 5]);
    assert!(!feed.covers(&area("eu-west-1"), now, now));
    // The same text again, as after a new connection, proves no life either.
    let news = feed.take(text(7, 3..=5), now + SECOND);
    assert_eq!(news, News::default());
    assert!(!feed.covers(&area("eu-west-1"), now + SECOND, now + SECOND));
}

#[test]
fn an_area_is_covered_for_what_was_read_since_the_object_was_seen_to_change() {
    let (mut feed, start) = (Feed::default(), Instant::now());
    feed.take(quiet(7, 5), start);
    let news = feed.take(quiet(8, 5), start + SECOND);
    assert_eq!(news.began, [area("eu-west-1")].into());
    let now = start + 2 * SECOND;
    assert!(feed.covers(&area("eu-west-1"), start + SECOND, now));
    assert!(!feed.covers(&area("eu-west-1"), start, now), "read before");
    assert!(!feed.covers(&area("us-east-1"), now, now), "another Region");
    // Further texts do not begin it again.
    let news = feed.take(text(9, 6..=6), now);
    assert_eq!((numbers(&news), news.began.len(), news.missed), (vec![6], 0, false));
    assert!(feed.covers(&area("eu-west-1"), start + SECOND, now));
}

#[test]
fn coverage_ends_when_the_object_no_longer_changes() {
    let (mut feed, start) = (Feed::default(), Instant::now());
    feed.take(quiet(7, 5), start);
    feed.take(quiet(8, 5), start);
    let end = start + FLOWS_FOR;
    assert_eq!(feed.flows_until(), Some(end));
    assert_eq!(feed.lapse(end - SECOND), News::default());
    assert!(feed.covers(&area("eu-west-1"), start, end - SECOND));
    assert!(!feed.covers(&area("eu-west-1"), start, end));
    assert_eq!(feed.lapse(end).broken, [area("eu-west-1")].into());
    assert_eq!(feed.flows_until(), None);
    // It begins anew with the next text, and what was read before stays uncovered.
    let again = end + SECOND;
    assert_eq!(feed.take(quiet(9, 5), again).began, [area("eu-west-1")].into());
    assert!(!feed.covers(&area("eu-west-1"), end, again));
    assert!(feed.covers(&area("eu-west-1"), again, again));
}

#[test]
fn a_text_that_comes_after_the_end_breaks_the_coverage_by_itself() {
    let (mut feed, start) = (Feed::default(), Instant::now());
    feed.take(quiet(7, 5), start);
    feed.take(quiet(8, 5), start);
    let news = feed.take(quiet(9, 5), start + FLOWS_FOR);
    assert_eq!((news.broken, news.began), ([area("eu-west-1")].into(), [area("eu-west-1")].into()));
}

#[test]
fn missed_changes_break_the_coverage() {
    for (what, next) in [
        ("no longer listed", text(9, 9..=10)),
        ("none is listed", quiet(9, 6)),
        ("the numbers went back", text(9, 1..=2)),
    ] {
        let (mut feed, start) = (Feed::default(), Instant::now());
        feed.take(quiet(7, 5), start);
        feed.take(quiet(8, 5), start);
        let listed = next.changes.len();
        let news = feed.take(next, start + SECOND);
        assert!(news.missed, "{what}");
        assert_eq!(news.changes.len(), listed, "{what}");
        assert_eq!(news.broken, [area("eu-west-1")].into(), "{what}");
        assert!(!feed.covers(&area("eu-west-1"), start, start + SECOND), "{what}");
        assert!(feed.covers(&area("eu-west-1"), start + SECOND, start + SECOND), "{what}");
    }
}

#[test]
fn an_area_that_is_no_longer_listed_is_not_covered() {
    let (mut feed, start) = (Feed::default(), Instant::now());
    feed.take(quiet(7, 5), start);
    let both = vec![area("eu-west-1"), area("us-east-1")];
    feed.take(Document { covered: both, ..quiet(8, 5) }, start);
    assert_eq!(feed.areas().count(), 2);
    let news = feed.take(quiet(9, 5), start + SECOND);
    assert_eq!(news.broken, [area("us-east-1")].into());
    assert!(feed.covers(&area("eu-west-1"), start, start + SECOND));
    assert!(!feed.covers(&area("us-east-1"), start, start + SECOND));
}

#[test]
fn a_distrusted_area_is_covered_again_after_a_day() {
    let (mut feed, start) = (Feed::default(), Instant::now());
    feed.take(quiet(7, 5), start);
    feed.take(quiet(8, 5), start);
    assert_eq!(feed.distrust(&area("eu-west-1"), start).broken, [area("eu-west-1")].into());
    assert!(feed.is_distrusted(&area("eu-west-1")));
    let day = Duration::from_secs(24 * 60 * 60);
    for (heartbeat, later, covered) in [(9, SECOND, false), (10, day - SECOND, false), (11, day, true)] {
        let now = start + later;
        let news = feed.take(quiet(heartbeat, 5), now);
        assert_eq!(news.began.contains(&area("eu-west-1")), covered, "{later:?}");
        assert_eq!(feed.covers(&area("eu-west-1"), now, now), covered, "{later:?}");
    }
}
