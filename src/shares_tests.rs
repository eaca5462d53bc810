//! Namespaces that take as much as they can: everybody finds room, nothing leaks.

use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;

/// Takes shares of 1 until the namespace gets no more.
fn fill(shares: &Arc<Shares>, namespace: &str) -> Vec<Share> {
    std::iter::from_fn(|| shares.try_take(namespace, 1).ok()).collect()
}

#[test]
fn one_namespace_gets_half_and_later_ones_still_find_room() {
    let shares = Shares::new(120);
    let first = fill(&shares, "a");
    assert_eq!(first.len(), 60);
    let second = fill(&shares, "b");
    assert_eq!(second.len(), 30);
    assert_eq!(fill(&shares, "c").len(), 15);
    drop(first);
    assert_eq!(fill(&shares, "b").len() + second.len(), 60);
}

#[test]
fn a_namespace_that_holds_nothing_may_take_all_that_is_free() {
    let shares = Shares::new(100);
    let _heavy = shares.try_take("heavy", 50).unwrap();
    let refused = shares.try_take("heavy", 1).unwrap_err();
    assert_eq!(refused, Refused { asked: 1, held: 50, taken: 50, max: 100 });
    shares.try_take("light", 50).unwrap();
    assert!(shares.try_take("light", 51).is_err());
}

#[test]
fn an_amount_larger_than_the_total_is_granted_alone() {
    let shares = Shares::new(10);
    let small = shares.try_take("a", 1).unwrap();
    assert!(shares.try_take("b", 11).is_err());
    drop(small);
    shares.try_take("b", 11).unwrap();
}

#[tokio::test]
async fn small_takes_do_not_keep_a_large_one_waiting() {
    let shares = Shares::new(10);
    let mut small = fill(&shares, "small");
    let mut large = std::pin::pin!(shares.take("large", 8));
    assert!(large.as_mut().now_or_never().is_none());
    small.truncate(3);
    assert!(shares.try_take("small", 1).is_err());
    assert!(shares.take("small", 1).now_or_never().is_none());
    // A namespace that holds nothing overtakes waiting ones.
    shares.try_take("newcomer", 1).unwrap();
    small.truncate(2);
    let large = large.now_or_never().unwrap();
    assert_eq!(large.amount(), 8);
    assert_eq!(shares.taken(), 10);
    assert!(shares.try_take("small", 1).is_err());
}

#[test]
fn a_share_that_shrinks_gives_back_the_rest() {
    let shares = Shares::new(10);
    let mut share = shares.try_take("a", 10).unwrap();
    share.shrink_to(4);
    share.shrink_to(9);
    assert_eq!(share.amount(), 4);
    assert_eq!(shares.taken(), 4);
    drop(share);
    assert_eq!(shares.taken(), 0);
    assert!(shares.state().namespaces.is_empty());
}

#[tokio::test]
async fn a_waiter_is_served_when_room_is_free_and_a_dropped_one_leaves_nothing() {
    let shares = Shares::new(10);
    let held = shares.take("a", 10).await;
    assert!(shares.take("b", 1).now_or_never().is_none());
    assert_eq!(shares.taken(), 10);
    let waiting = tokio::spawn({
        let shares = Arc::clone(&shares);
        async move { shares.take("b", 3).await.amount() }
    });
    tokio::task::yield_now().await;
    drop(held);
    assert_eq!(waiting.await.unwrap(), 3);
    assert_eq!(shares.taken(), 0);
}

#[tokio::test]
async fn the_waiter_that_holds_least_is_served_first() {
    let shares = Shares::new(12);
    let (kept, released) = (shares.take("greedy", 2).await, shares.take("other", 10).await);
    let order = Arc::new(Mutex::new(Vec::new()));
    let waiting: Vec<_> = ["greedy", "greedy", "modest"]
        .map(|namespace| {
            let (shares, order) = (Arc::clone(&shares), Arc::clone(&order));
            tokio::spawn(async move {
                let share = shares.take(namespace, 1).await;
                order.lock().unwrap().push(namespace);
                share
            })
        })
        .into();
    tokio::task::yield_now().await;
    drop(released);
    for waiting in waiting {
        waiting.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), ["modest", "greedy", "greedy"]);
    drop(kept);
}

proptest! {
    /// Whatever earlier namespaces take, a namespace that comes
    /// later gets something, and the total is never exceeded.
    #[test]
    fn a_newcomer_always_finds_room(takes in prop::collection::vec((0..6u8, 1..200usize), 1..200)) {
        let shares = Shares::new(1000);
        let mut held = Vec::new();
        for (namespace, amount) in takes {
            let alone = shares.taken() == 0;
            if let Ok(share) = shares.try_take(&namespace.to_string(), amount.min(300)) {
                held.push(share);
            }
            prop_assert!(alone || shares.taken() <= 1000, "{} of 1000 are taken", shares.taken());
        }
        let by_ones = fill(&shares, "newcomer");
        let has_room = shares.taken() == 1000 || !by_ones.is_empty();
        prop_assert!(has_room, "nothing for the newcomer, with {} of 1000 taken", shares.taken());
    }
}

#[tokio::test]
async fn usage_shows_who_holds_and_who_waits() {
    let shares = Shares::new(10);
    let held = shares.take("shop", 9).await;
    assert!(shares.take("pay", 2).now_or_never().is_none());
    let waiting = tokio::spawn({
        let shares = Arc::clone(&shares);
        async move { shares.take("pay", 2).await }
    });
    tokio::task::yield_now().await;
    let mut usage = shares.usage();
    usage.namespaces.sort_by(|one, other| one.namespace.cmp(&other.namespace));
    let holder = |namespace: &str, held, waiting| Holder { namespace: namespace.into(), held, waiting };
    let namespaces = vec![holder("pay", 0, 1), holder("shop", 9, 0)];
    assert_eq!(usage, Usage { max: 10, taken: 9, namespaces });
    drop(held);
    drop(waiting.await.unwrap());
    assert_eq!(shares.usage(), Usage { max: 10, taken: 0, namespaces: Vec::new() });
}
