//! Tests of shared fetches.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use futures_util::future::join_all;

use super::*;

type Numbers = Slots<&'static str, u32, &'static str>;

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_share_one_fetch() {
    let (slots, fetches) = (Numbers::new(), AtomicU32::new(0));
    let fetch = async |()| {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(fetches.fetch_add(1, Ordering::Relaxed))
    };
    let all =
        join_all((0..1000).map(|_| slots.get_or_fetch(&"k", |_| true, |_| true, async || {}, fetch))).await;
    assert_eq!(all, vec![Ok(0); 1000]);
    assert_eq!(fetches.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn waiters_share_a_failure_and_the_next_caller_fetches_again() {
    let (slots, fetches) = (Numbers::new(), AtomicU32::new(0));
    let fetch = async |()| {
        tokio::time::sleep(Duration::from_secs(1)).await;
        fetches.fetch_add(1, Ordering::Relaxed);
        Err("down")
    };
    let all =
        join_all((0..10).map(|_| slots.get_or_fetch(&"k", |_| true, |_| true, async || {}, fetch))).await;
    assert_eq!(all, [Err("down"); 10]);
    assert_eq!(fetches.load(Ordering::Relaxed), 1);
    assert_eq!(slots.get_or_fetch(&"k", |_| true, |_| true, async || {}, async |()| Ok(7)).await, Ok(7));
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_is_not_shared_lets_each_waiter_try() {
    let slots = Numbers::new();
    let (refused, accepted) = tokio::join!(
        slots.get_or_fetch(
            &"k",
            |_| true,
            |_| false,
            async || {},
            async |()| {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Err("forged")
            }
        ),
        slots.get_or_fetch(&"k", |_| true, |_| false, async || {}, async |()| Ok(1)),
    );
    assert_eq!(refused, Err("forged"));
    assert_eq!(accepted, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn callers_that_share_no_failure_try_one_after_another() {
    let (slots, fetches) = (Numbers::new(), AtomicU32::new(0));
    let fetch = async |()| {
        tokio::time::sleep(Duration::from_secs(1)).await;
        fetches.fetch_add(1, Ordering::Relaxed);
        Err("refused")
    };
    let all = (0..10).map(|_| slots.get_or_fetch(&"k", |_| true, |_| false, async || {}, fetch));
    let all = tokio::time::timeout(Duration::from_secs(11), join_all(all)).await.unwrap();
    assert_eq!(all, [Err("refused"); 10]);
    assert_eq!(fetches.load(Ordering::Relaxed), 10);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_fetch_hands_over() {
    let slots = Arc::new(Numbers::new());
    let first = tokio::spawn({
        let slots = Arc::clone(&slots);
        async move {
            slots
                .get_or_fetch(&"k", |_| true, |_| true, async || {}, async |()| std::future::pending().await)
                .await
        }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    first.abort();
    assert_eq!(slots.get_or_fetch(&"k", |_| true, |_| true, async || {}, async |()| Ok(2)).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_waits_for_admission_delays_nobody() {
    let slots = Numbers::new();
    let admit = |after| move || tokio::time::sleep(Duration::from_secs(after));
    let began = tokio::time::Instant::now();
    let (late, early) = tokio::join!(
        slots.get_or_fetch(&"k", |_| true, |_| true, admit(60), async |()| Ok(1)),
        slots.get_or_fetch(
            &"k",
            |_| true,
            |_| true,
            admit(1),
            async |()| {
                assert_eq!(began.elapsed().as_secs(), 1);
                Ok(2)
            }
        ),
    );
    // Once admitted, it gets the value that the other has fetched.
    assert_eq!(early, Ok(2));
    assert_eq!(late, Ok(2));
}

#[tokio::test]
async fn a_forgotten_value_is_fetched_again_and_swept() {
    let slots = Numbers::new();
    let get =
        async |value| slots.get_or_fetch(&"k", |_| true, |_| true, async || {}, async |()| Ok(value)).await;
    assert_eq!(get(1).await, Ok(1));
    assert_eq!(get(2).await, Ok(1));
    slots.forget(&"k", |held| *held == 9);
    assert_eq!(get(2).await, Ok(1));
    slots.forget(&"k", |held| *held == 1);
    assert_eq!(get(3).await, Ok(3));
    slots.sweep(|held| *held == 3);
    assert_eq!(slots.len(), 1);
    slots.sweep(|_| false);
    assert!(slots.is_empty());
}
