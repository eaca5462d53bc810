//! Tests of the ring.

use proptest::prelude::*;

use super::*;

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn change(name: &str, at: &str) -> Change {
    Change {
        number: 0,
        arn: format!("arn:aws:secretsmanager:eu-west-1:111122223333:secret:{name}-AbCdEf"),
        label: Some("AWSCURRENT".to_owned()),
        version_id: Some(format!("version-{at}")),
        at: Some(at.to_owned()),
    }
}

fn around(nodes: u32) -> Around {
    Around { nodes, ..Around::default() }
}

fn numbers(document: &Document) -> Vec<u64> {
    document.changes.iter().map(|change| change.number).collect()
}

/// A ring whose first document was written at 0.
fn ring() -> Ring {
    let mut ring = Ring::resume(None, 100, Duration::ZERO);
    ring.compose(&around(1), Duration::ZERO);
    assert_eq!(ring.written().count(), 0);
    ring
}

#[test]
fn changes_are_numbered_and_each_event_once() {
    let mut ring = ring();
    assert_eq!(ring.add(change("a", "1"), seconds(1)), Added::New);
    assert_eq!(ring.add(change("a", "1"), seconds(1)), Added::Known { written: false });
    assert_eq!(ring.add(change("b", "1"), seconds(1)), Added::New);
    let document = ring.compose(&around(1), seconds(2));
    assert_eq!((numbers(&document), document.number, document.heartbeat), (vec![101, 102], 102, 2));
    assert_eq!(ring.written().count(), 2);
    assert_eq!(ring.add(change("a", "1"), seconds(3)), Added::Known { written: true });
    assert_eq!(ring.add(change("a", "2"), seconds(3)), Added::New);
    assert_eq!(numbers(&ring.compose(&around(1), seconds(4))), [101, 102, 103]);
}

#[test]
fn of_several_moves_of_one_label_in_one_document_the_latest_is_told() {
    for order in [["1", "2", "3"], ["3", "1", "2"], ["2", "3", "1"]] {
        let mut ring = ring();
        for at in order {
            assert_eq!(ring.add(change("a", at), seconds(1)), Added::New);
        }
        let mut other = change("a", "1");
        other.label = Some("blue".to_owned());
        assert_eq!(ring.add(other, seconds(1)), Added::New);
        let document = ring.compose(&around(1), seconds(2));
        let told: Vec<_> = document.changes.iter().map(|change| change.at.as_deref()).collect();
        assert_eq!(told, [Some("3"), Some("1")], "{order:?}");
    }
}

#[test]
fn a_change_is_kept_for_two_minutes() {
    let mut ring = ring();
    ring.add(change("a", "1"), seconds(1));
    ring.compose(&around(1), seconds(10));
    assert_eq!(numbers(&ring.compose(&around(1), seconds(129))), [101]);
    let document = ring.compose(&around(1), seconds(130));
    assert_eq!((numbers(&document), document.number), (vec![], 101));
}

#[test]
fn a_quiet_ring_writes_a_change_at_once_and_a_busy_one_each_second() {
    let mut ring = ring();
    assert_eq!(ring.due(), HEARTBEAT);
    ring.add(change("a", "1"), seconds(5));
    assert_eq!(ring.due(), seconds(5) + BATCH);
    ring.compose(&around(1), seconds(6));
    ring.written().for_each(drop);
    ring.add(change("b", "1"), seconds(6));
    assert_eq!(ring.due(), seconds(7));
}

#[test]
fn a_failed_write_is_owed_at_once_and_tells_the_same_numbers() {
    let mut ring = ring();
    ring.add(change("a", "1"), seconds(5));
    let first = ring.compose(&around(1), seconds(6));
    assert_eq!(ring.due(), seconds(7));
    let again = ring.compose(&around(1), seconds(7));
    assert_eq!(first.changes, again.changes);
    assert!(again.heartbeat > first.heartbeat);
    assert_eq!(ring.written().count(), 1);
    assert_eq!(ring.due(), seconds(7) + HEARTBEAT);
}

#[test]
fn writes_are_paced_by_what_the_api_server_must_send() {
    for (nodes, changes, least, most) in
        [(10_000, 0, 1, 1), (10_000, 80, 5, 10), (10_000, 500, 10, 15), (100_000, 500, 10, 26)]
    {
        let mut ring = ring();
        for number in 0..changes {
            ring.add(change(&number.to_string(), "1"), seconds(5));
        }
        let document = ring.compose(&around(nodes), seconds(10));
        let pause = ring.earliest() - seconds(10);
        assert!(pause >= seconds(least) && pause <= seconds(most), "{nodes} {changes}: {pause:?}");
        let sent = document.to_json().len() as u64 * u64::from(nodes);
        assert!(
            sent <= BYTES_PER_SECOND * (pause.as_secs() + 1),
            "{nodes} {changes}: {sent} bytes in {pause:?}"
        );
    }
}

#[test]
fn a_flood_leaves_a_gap_and_a_bounded_ring() {
    let mut ring = ring();
    for number in 0..10_000 {
        assert_eq!(ring.add(change(&number.to_string(), "1"), seconds(1)), Added::New);
    }
    let document = ring.compose(&around(1), seconds(2));
    assert_eq!(document.number, 10_100);
    assert!(document.changes.len() <= MAX_CHANGES);
    assert_eq!(document.changes.last().map(|change| change.number), Some(10_100));
    assert!(document.to_json().len() <= MAX_BYTES);
    assert_eq!(Document::parse(&document.to_json()), Ok(document));
}

#[test]
fn a_new_leader_goes_on_from_the_object() {
    let mut old = ring();
    old.add(change("a", "1"), seconds(1));
    let found = old.compose(&around(7), seconds(2));
    let mut new = Ring::resume(Some(found), 5, seconds(1000));
    assert_eq!(new.add(change("a", "1"), seconds(1001)), Added::Known { written: true });
    assert_eq!(new.add(change("b", "1"), seconds(1001)), Added::New);
    let document = new.compose(&around(7), seconds(1002));
    assert_eq!((numbers(&document), document.heartbeat), (vec![101, 102], 3));
    assert_eq!(new.written().count(), 1);
}

#[test]
fn what_another_writer_did_not_tell_is_told_again() {
    let mut mine = ring();
    mine.add(change("a", "1"), seconds(1));
    mine.add(change("b", "1"), seconds(1));
    // Another leader wrote one of the two, and one of its own.
    mine.compose(&around(1), seconds(2));
    let mut other = ring();
    other.add(change("b", "1"), seconds(1));
    other.add(change("c", "1"), seconds(1));
    let found = other.compose(&around(1), seconds(2));
    mine.rebase(found, seconds(3));
    let document = mine.compose(&around(1), seconds(4));
    let told: Vec<_> = document.changes.iter().map(|change| (change.number, change.arn.as_str())).collect();
    assert_eq!(
        told,
        [
            (101, "arn:aws:secretsmanager:eu-west-1:111122223333:secret:b-AbCdEf"),
            (102, "arn:aws:secretsmanager:eu-west-1:111122223333:secret:c-AbCdEf"),
            (103, "arn:aws:secretsmanager:eu-west-1:111122223333:secret:a-AbCdEf"),
        ]
    );
    assert_eq!(mine.written().count(), 1);
}

#[test]
fn an_edited_object_does_not_turn_numbers_back() {
    let mut ring = ring();
    ring.add(change("a", "1"), seconds(1));
    ring.compose(&around(1), seconds(2));
    ring.written().for_each(drop);
    ring.rebase(Document { number: 3, ..Document::default() }, seconds(3));
    ring.add(change("b", "1"), seconds(3));
    let document = ring.compose(&around(1), seconds(4));
    assert_eq!(numbers(&document), [102]);
    assert!(document.heartbeat > 2);
}

/// What can happen to a ring.
#[derive(Clone, Debug)]
enum Step {
    Add(u8, u8),
    Write { nodes: u32, fails: bool },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (any::<u8>(), 0..4_u8).prop_map(|(name, at)| Step::Add(name, at)),
        3 => (prop_oneof![1..10_u32, 1..200_000_u32], any::<bool>()).prop_map(|(nodes, fails)| Step::Write { nodes, fails }),
        1 => (0..200_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    /// A node that reads every document hears of each change, or sees a gap.
    #[test]
    fn no_change_is_lost_without_a_gap(steps in proptest::collection::vec(step(), 1..200)) {
        let (mut ring, mut now) = (ring(), seconds(1));
        let (mut added, mut seen, mut heartbeat) = (Vec::new(), 100, 1);
        for step in steps {
            match step {
                Step::Add(name, at) => {
                    let change = change(&name.to_string(), &at.to_string());
                    if ring.add(change.clone(), now) == Added::New {
                        added.push(change);
                    }
                }
                Step::Wait(passed) => now += seconds(passed),
                Step::Write { nodes, fails } => {
                    now = now.max(ring.earliest());
                    let document = ring.compose(&around(nodes), now);
                    let text = document.to_json();
                    prop_assert!(text.len() <= MAX_BYTES);
                    prop_assert_eq!(Document::parse(&text), Ok(document.clone()));
                    prop_assert!(document.heartbeat > heartbeat);
                    heartbeat = document.heartbeat;
                    if fails {
                        continue;
                    }
                    ring.written().for_each(drop);
                    let new = document.changes.iter().filter(|change| change.number > seen).count() as u64;
                    prop_assert!(document.number >= seen);
                    if document.number - seen == new {
                        for change in added.drain(..) {
                            let told = |told: &Change| {
                                told.arn == change.arn && told.label == change.label && told.at >= change.at
                            };
                            prop_assert!(document.changes.iter().any(told), "{:?}", change);
                        }
                    }
                    added.clear();
                    seen = document.number;
                }
            }
        }
    }
}
