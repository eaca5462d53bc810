//! Callers that take as much as they can: the limits hold, nobody starves, nothing leaks.

use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;

/// All permits that the namespace gets at once.
fn greedy(permits: &Permits, urgency: Urgency, namespace: &str, targets: &[&str]) -> Vec<Permit> {
    let mut held = Vec::new();
    let mut refused = 0;
    for target in targets.iter().cycle() {
        match permits.take(urgency, namespace, target).now_or_never() {
            Some(permit) => held.push(permit),
            None => refused += 1,
        }
        if refused > targets.len() {
            break;
        }
    }
    held
}

/// Asserts that no place is held, and that no namespace is remembered.
#[track_caller]
fn assert_empty(permits: &Permits) {
    let board = lock(&permits.board);
    for (name, class) in [("mounts", &board.mounts), ("polls", &board.polls)] {
        assert_eq!(class.held, 0, "places held by {name}");
        assert_eq!(class.namespaces.len(), 0, "namespaces known among {name}");
    }
}

#[test]
fn each_namespace_with_hanging_calls_leaves_places_for_the_next() {
    let permits = Permits::new(64);
    let regions: Vec<String> = (0..100).map(|number| format!("region-{number}")).collect();
    let regions: Vec<&str> = regions.iter().map(String::as_str).collect();
    let mut held = Vec::new();
    let mut take = |urgency, namespace: &str, regions: &[&str]| {
        let taken = greedy(&permits, urgency, namespace, regions);
        let count = taken.len();
        held.extend(taken);
        count
    };
    assert_eq!(take(Urgency::Poll, "a", &regions), 16);
    assert_eq!(take(Urgency::Poll, "b", &["one"]), 8);
    assert_eq!(take(Urgency::Poll, "c", &regions), 4);
    assert_eq!(take(Urgency::Mount, "a", &regions), 27);
    assert_eq!(take(Urgency::Mount, "b", &regions), 6);
    assert_eq!(take(Urgency::Mount, "c", &regions), 2);
    assert_eq!(take(Urgency::Mount, "d", &regions), 1);
    drop(held);
    assert_empty(&permits);
}

#[test]
fn a_hanging_target_leaves_places_for_others_of_its_namespace() {
    for (urgency, of_target, of_namespace) in [(Urgency::Mount, 44, 48), (Urgency::Poll, 8, 16)] {
        let permits = Permits::new(64);
        let hanging = greedy(&permits, urgency, "a", &["hangs"]);
        assert_eq!(hanging.len(), of_target, "{urgency:?}");
        let others = greedy(&permits, urgency, "a", &["one", "two"]);
        assert_eq!(hanging.len() + others.len(), of_namespace, "{urgency:?}");
    }
}

#[test]
fn the_namespace_that_holds_fewest_places_is_next() {
    let permits = Permits::new(1);
    let first = permits.take(Urgency::Mount, "busy", "r").now_or_never().unwrap();
    let mut waiting: Vec<_> =
        ["busy", "busy", "one", "two"].map(|name| permits.ask(Urgency::Mount, name, "r")).into();
    let mut order = Vec::new();
    let mut current = Some(first);
    while !waiting.is_empty() {
        drop(current.take());
        let at = waiting.iter_mut().position(|(_, served)| served.try_recv().is_ok()).unwrap();
        let (permit, _) = waiting.remove(at);
        order.push(permit.place.ticket.namespace.to_string());
        current = Some(permit);
    }
    // The busy namespace was served before the others came.
    assert_eq!(order, ["busy", "one", "two", "busy"]);
}

#[test]
fn mounts_come_first_and_polls_do_not_starve() {
    for max in [1, 2, 8, 64] {
        let permits = Permits::new(max);
        let mut held: Vec<_> =
            (0..max).map(|number| permits.ask(Urgency::Mount, &format!("m{number}"), "r").0).collect();
        let mut poll = permits.ask(Urgency::Poll, "p", "r");
        let mut mounts: Vec<_> =
            (0..20).map(|number| permits.ask(Urgency::Mount, &format!("n{number}"), "r")).collect();
        let mut before = 0;
        while poll.1.try_recv().is_err() {
            held.remove(0);
            if let Some(at) = mounts.iter_mut().position(|(_, served)| served.try_recv().is_ok()) {
                held.push(mounts.remove(at).0);
                before += 1;
            }
        }
        assert_eq!(before, MOUNTS_BEFORE_A_POLL, "of {max}");
    }
}

#[test]
fn a_waiter_that_gives_up_before_or_after_it_is_served_leaves_nothing() {
    let permits = Permits::new(1);
    let held = permits.take(Urgency::Mount, "a", "r").now_or_never().unwrap();
    assert!(permits.take(Urgency::Mount, "b", "r").now_or_never().is_none());
    assert!(permits.take(Urgency::Poll, "b", "r").now_or_never().is_none());
    {
        let board = lock(&permits.board);
        assert_eq!(board.mounts.namespaces.len(), 1);
        assert_eq!(board.polls.namespaces.len(), 0);
    }
    // Served, and dropped before it noticed.
    let late = permits.ask(Urgency::Mount, "c", "r");
    drop(held);
    assert_eq!(lock(&permits.board).mounts.held, 1);
    drop(late);
    assert_empty(&permits);
}

#[tokio::test]
async fn calls_with_one_permit_run_one_after_another() {
    let permits = Permits::new(4);
    let permit = permits.take(Urgency::Poll, "a", "r").await;
    let first = permit.clone().call().await;
    assert!(permit.clone().call().now_or_never().is_none());
    drop(first);
    assert!(permit.call().now_or_never().is_some());
    assert_empty(&permits);
}

/// An action of a random caller.
#[derive(Clone, Debug)]
enum Step {
    Ask { poll: bool, namespace: u8, target: u8 },
    Leave(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ask = (any::<bool>(), 0..6u8, 0..4u8).prop_map(|(poll, namespace, target)| Step::Ask {
        poll,
        namespace,
        target,
    });
    prop::collection::vec(prop_oneof![3 => ask, 2 => any::<usize>().prop_map(Step::Leave)], 1..300)
}

proptest! {
    /// Whatever callers do, the limit holds, and those that remain are served
    /// once each, as soon as the others are done.
    #[test]
    fn the_limit_holds_and_nobody_starves(max in 1..=64usize, steps in steps()) {
        let permits = Permits::new(max);
        let mut callers: Vec<(Permit, oneshot::Receiver<()>, bool)> = Vec::new();
        for step in steps {
            match step {
                Step::Ask { poll, namespace, target } => {
                    let urgency = if poll { Urgency::Poll } else { Urgency::Mount };
                    let (permit, served) = permits.ask(urgency, &namespace.to_string(), &target.to_string());
                    callers.push((permit, served, false));
                }
                Step::Leave(at) if !callers.is_empty() => drop(callers.swap_remove(at % callers.len())),
                Step::Leave(_) => {}
            }
            for (_, served, holds) in &mut callers {
                *holds |= served.try_recv().is_ok();
            }
            let held = callers.iter().filter(|(.., holds)| *holds).count();
            let polls = callers
                .iter()
                .filter(|(permit, _, holds)| *holds && permit.place.ticket.urgency == Urgency::Poll)
                .count();
            prop_assert!(held <= max, "{held} places of {max} are held");
            prop_assert!(polls <= (max / 2).max(1), "polls hold {polls} places of {max}");
            let board = lock(&permits.board);
            prop_assert_eq!(board.mounts.held + board.polls.held, held);
        }
        // The holders end one by one, and everybody is served.
        while !callers.is_empty() {
            for (_, served, holds) in &mut callers {
                *holds |= served.try_recv().is_ok();
            }
            let holder = callers.iter().position(|(.., holds)| *holds);
            prop_assert!(holder.is_some(), "{} starve", callers.len());
            drop(callers.swap_remove(holder.unwrap_or_default()));
        }
        assert_empty(&permits);
    }
}

#[test]
fn the_load_shows_who_calls_and_who_waits() {
    let permits = Permits::new(2);
    let _running = permits.take(Urgency::Mount, "shop", "a").now_or_never().unwrap();
    let (_waiting, _served) = permits.ask(Urgency::Mount, "shop", "a");
    let load = permits.load();
    assert_eq!((load.max, load.running, load.waiting), (2, 1, 1));
    let shop = NamespaceLoad { running: 1, waiting: 1 };
    assert_eq!(load.namespaces, BTreeMap::from([(Arc::from("shop"), shop)]));
    drop((_running, _waiting));
    assert_eq!(permits.load(), Load { max: 2, ..Load::default() });
}
